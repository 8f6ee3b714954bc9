//! Sends mail: contents for the devices of one person, which have no place in a thread. Mail is sealed, submitted and settled
//! without lanes, so it neither waits for messages nor delays them. Sessions that are missing are started beside it ([`meetings`]), so
//! that nobody waits for the keys of somebody else.

mod meetings;
pub(crate) mod prepare;
mod together;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sealpost_wire as wire;
use sealpost_wire::reason;
use tokio::time::{Instant, sleep};

use super::answer::{Correction, asked_ms, correct, is_about_time};
use super::time::{ask_time, set_clock};
use super::{backoff_ceiling_ms, backoff_ms};
use crate::account::tokens;
use crate::context::Context;
use crate::error::{Offline, Result};
use crate::fault::{self, Station};
use crate::health::Part;
use crate::id::{ThreadId, UserId};
use crate::store::{MailDropped, MailOutcome, Rows, SettledMail, Tx};
use crate::transport::{self, Socket};
use meetings::Meetings;
use prepare::{LONG_MS, MAX_REFUSALS, Sealed, Unmet, prepare};

/// The delay after a disk failure.
const STORAGE_PAUSE: Duration = Duration::from_secs(1);
/// The maximum interval between checks, because a changed clock could delay what is due.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Sends mail for as long as it is polled. It can be dropped at any time, because its state is on disk.
pub(crate) async fn run(ctx: Context) {
    let mut meetings = Meetings::default();
    let mut elsewhere = ctx.events.elsewhere();
    let mut live = ctx.transport.live_changes();
    // Receipts wait for a moment by the local clock, which may have been set back since an earlier process queued them.
    let newest = until_stored(|| ctx.store.glance(|rows| rows.newest_mail())).await;
    // Nothing is written before there is a connection. What was queued since then waits for its moment.
    ctx.transport.online().await;
    if let Some(newest) = newest {
        until_stored(|| ctx.store.write(move |tx| tx.release_mail(newest))).await;
    }
    loop {
        let ((), _) = meetings.beside(ctx.transport.online()).await;
        live.borrow_and_update();
        let busy = meetings.users().clone();
        let (outcome, has_any_ended) = meetings.beside(step(&ctx, busy)).await;
        ctx.health.report(Part::Sending, &outcome);
        let pause = match outcome {
            Ok(Step::Done(unmet)) => {
                unmet.into_iter().for_each(|unmet| meetings.start(&ctx, unmet));
                continue;
            }
            // What waited for this user was left out.
            Ok(Step::Nothing { .. }) if has_any_ended => continue,
            Ok(Step::Nothing { next_due_ms }) => {
                let wait_ms = next_due_ms.map(|due| due.saturating_sub(ctx.env.now_ms()));
                let of_receipt = ctx.receipts.next(Instant::now()).unwrap_or(LONGEST_PAUSE);
                LONGEST_PAUSE.min(Duration::from_millis(wait_ms.unwrap_or(u64::MAX))).min(of_receipt)
            }
            Err(error) => {
                tracing::debug!(%error, "mail is not sent yet");
                STORAGE_PAUSE.saturating_add(Duration::from_millis(backoff_ms(&ctx.env, 3)))
            }
        };
        tokio::select! {
            // There are sessions for what waited.
            Some(()) = meetings.ended() => {}
            () = ctx.upkeep.mail.notified() => {}
            // Another process may have queued mail.
            Ok(()) = elsewhere.changed() => {}
            Ok(()) = live.changed() => {}
            () = sleep(pause) => {}
        }
    }
}

/// Repeats an access to the database until it succeeds.
async fn until_stored<T, F: Future<Output = Result<T>>>(access: impl Fn() -> F) -> T {
    loop {
        match access().await {
            Ok(value) => return value,
            Err(error) => tracing::debug!(%error, "mail is not sent yet"),
        }
        sleep(STORAGE_PAUSE).await;
    }
}

enum Step {
    /// What was due is done, or waits for sessions with these users.
    Done(Vec<Unmet>),
    Nothing {
        next_due_ms: Option<u64>,
    },
}

/// Seals, submits and settles what is due, except to users with whom sessions are being started.
async fn step(ctx: &Context, busy: HashSet<UserId>) -> Result<Step> {
    let Some(socket) = ctx.transport.live() else { return Ok(Step::Nothing { next_due_ms: None }) };
    set_clock(ctx).await?;
    release_receipts(ctx).await?;
    let now_ms = ctx.env.now_ms();
    let except = busy.clone();
    let look = move |rows: &Rows<'_>| Ok((rows.is_mail_due(now_ms, &except)?, rows.next_mail_due(now_ms)?));
    let (is_due, next_due_ms) = ctx.store.read(look).await?;
    if !is_due {
        return Ok(Step::Nothing { next_due_ms });
    }
    let ctx_in_tx = ctx.clone();
    let work = move |tx: &mut Tx<'_>| {
        let prepared = prepare(&ctx_in_tx, tx, now_ms, &busy)?;
        fault::at(Station::MailBeforeCommit);
        Ok(prepared)
    };
    let prepared = ctx.store.write_repeatable(work).await?;
    fault::at(Station::MailAfterCommit);
    submit(ctx, &socket, prepared.sealed).await?;
    Ok(Step::Done(prepared.unmet.into_values().collect()))
}

/// Makes receipts due whose pause is over, although our clock says that it is not: it was set back.
async fn release_receipts(ctx: &Context) -> Result<()> {
    let (due, now_ms) = (ctx.receipts.take_due(Instant::now()), ctx.env.now_ms());
    for slot in due {
        if ctx.store.glance(move |rows| rows.is_mail_held(slot, now_ms)).await? {
            ctx.store.write(move |tx| tx.set_mail_due(slot, now_ms)).await?;
        }
    }
    Ok(())
}

/// Submits all of it together, and settles the answers.
async fn submit(ctx: &Context, socket: &Socket, sealed: Vec<Sealed>) -> Result<()> {
    let mut answers = Vec::with_capacity(sealed.len());
    for mail in &sealed {
        answers.push(socket.submit_mail(&mail.parcel).await);
    }
    let answers = join_all(answers.into_iter().map(|answer| async { answer?.await })).await;
    fault::at(Station::MailAnswered);
    let is_time_wrong = |answer: &transport::Result<_>| matches!(answer, Err(transport::Error::Refused(refusal)) if is_about_time(refusal));
    if answers.iter().any(is_time_wrong) {
        ask_time(ctx).await?;
    }
    let (mut settled, mut corrections) = (Vec::with_capacity(sealed.len()), Vec::new());
    let mut unwelcome = HashSet::new();
    let distributed = sealed.iter().filter(|mail| mail.is_distribution).map(|mail| mail.thread);
    let distributed: HashSet<_> = distributed.collect();
    let has_distributed = !distributed.is_empty();
    let is_unknown = |answer: &transport::Result<_>| matches!(answer, Err(transport::Error::Refused(refusal)) if refusal.reason == reason::NOT_FOUND);
    let own_thread = sealed.iter().zip(&answers).find(|(mail, answer)| mail.to_us && is_unknown(answer));
    let own_thread = own_thread.map(|(mail, _)| mail.thread);
    for (mail, answer) in sealed.into_iter().zip(answers) {
        let (outcomes, correction) = judge(ctx, &mail, answer);
        if outcomes.iter().any(|outcome| matches!(outcome, MailOutcome::Unwelcome { .. })) {
            unwelcome.insert(mail.thread);
        }
        let name = Some(mail.parcel.get().client_msg_id);
        settled.extend(mail.pieces.iter().zip(outcomes).map(|(piece, outcome)| (piece.id, name, outcome)));
        corrections.extend(correction.map(|correction| (mail.thread, correction)));
    }
    settle(ctx, settled, (unwelcome, distributed)).await?;
    if has_distributed {
        ctx.outbox.notify_one();
    }
    if let Some(thread) = own_thread {
        open_note(ctx, thread).await?;
    }
    // Further pieces are made when some were sent.
    ctx.upkeep.bootstrap.notify_one();
    for (thread, correction) in corrections {
        // Sessions with new devices are started when the mail is sealed anew.
        match correct(ctx, thread, correction).await {
            Err(error) if error.stops_everything() => return Err(error),
            Err(error) => tracing::warn!(%error, "the devices of a recipient could not be corrected"),
            Ok(_) => {}
        }
    }
    Ok(())
}

/// Opens the note to self at the relay, which does not know it before it is needed.
async fn open_note(ctx: &Context, thread: ThreadId) -> Result<()> {
    let us = ctx.store.glance(|rows| Ok(rows.our_account()?.1.user)).await?;
    let opened = tokens::with_access(ctx, |http, token| async move {
        http.create_direct_thread(&token, us, Some(thread)).await
    });
    match opened.await {
        Ok(_) => Ok(()),
        Err(error) if error.stops_everything() => Err(error),
        Err(error) => {
            tracing::debug!(%error, "the relay has not opened the note to self");
            Ok(())
        }
    }
}

/// Decides what becomes of mail, given the relay's answer.
fn judge(
    ctx: &Context,
    mail: &Sealed,
    answer: transport::Result<wire::SendAck>,
) -> (Vec<MailOutcome>, Option<Correction>) {
    let attempts = mail.pieces.iter().map(|piece| piece.attempts).max().unwrap_or(0);
    // The pieces of a frame stay together, so they are due at the same time.
    let all = |outcome| (vec![outcome; mail.pieces.len()], None);
    let refusal = match answer {
        Ok(_) => return all(MailOutcome::Done),
        Err(transport::Error::Refused(refusal)) => refusal,
        Err(transport::Error::Offline(offline)) => return all(later(ctx, attempts, offline)),
        Err(transport::Error::Unauthorized | transport::Error::Replaced) => {
            return all(later(ctx, attempts, Offline::Unreachable));
        }
    };
    if mail.pieces.len() > 1 {
        let outcomes = together::judge(ctx, &mail.pieces, &refusal);
        let correction = (!refusal.mismatches.is_empty()).then_some(Correction::Devices(refusal.mismatches));
        return (outcomes, correction);
    }
    let (outcome, correction) = judge_one(ctx, mail.is_distribution, attempts, *refusal);
    (vec![outcome], correction)
}

/// Decides what becomes of one piece that was refused.
fn judge_one(
    ctx: &Context,
    is_distribution: bool,
    attempts: u32,
    refusal: wire::Error,
) -> (MailOutcome, Option<Correction>) {
    let anew = |is_refusal| MailOutcome::Anew { due_ms: 0, is_refusal };
    match refusal.reason.as_str() {
        reason::MISMATCHED_DEVICES | reason::STALE_DEVICES => {
            (anew(true), Some(Correction::Devices(refusal.mismatches)))
        }
        // The id is too old, or our clock was wrong. If it was stored, its recipient recognises the content.
        _ if is_about_time(&refusal) => (anew(true), None),
        // They may accept the thread later, or unblock us.
        reason::NOT_ACCEPTED => {
            let ceiling_ms = backoff_ceiling_ms(attempts.saturating_add(1), LONG_MS);
            let due_ms = ctx.env.now_ms().saturating_add(1).saturating_add(ctx.env.jitter(ceiling_ms));
            (MailOutcome::Unwelcome { due_ms }, None)
        }
        // A restored relay may know the thread again soon.
        reason::NOT_FOUND if attempts < MAX_REFUSALS => (later(ctx, attempts, Offline::Unreachable), None),
        // The others of its frame were settled since.
        reason::MSG_ID_REUSE if is_distribution => {
            (MailOutcome::Again { name: ctx.new_client_msg_id() }, None)
        }
        reason::RECIPIENT_DELETED => (MailOutcome::Done, None),
        // The relay still does not know it, or does not take it.
        _ => (MailOutcome::GivenUp, None),
    }
}

/// The outcome is unknown, or the relay is busy: the same bytes are submitted again.
fn later(ctx: &Context, attempts: u32, offline: Offline) -> MailOutcome {
    let asked_ms = match offline {
        Offline::Busy(wait) => asked_ms(wait),
        _ => 0,
    };
    let wait_ms = asked_ms.saturating_add(backoff_ms(&ctx.env, attempts.saturating_add(1)));
    MailOutcome::Later { due_ms: ctx.env.now_ms().saturating_add(wait_ms) }
}

/// Stores outcomes in one transaction, among them that mail of these threads was refused because it is unwelcome, and that distributions in these
/// groups were tried, for which messages may have waited. It is not flushed: if it is lost, the same bytes are submitted again.
async fn settle(
    ctx: &Context,
    settled: Vec<SettledMail>,
    (unwelcome, distributed): (HashSet<ThreadId>, HashSet<ThreadId>),
) -> Result<()> {
    let remembered = Arc::clone(&ctx.unwelcome);
    let work = move |tx: &mut Tx<'_>| {
        settled.iter().try_for_each(|settled| settle_one(tx, *settled))?;
        distributed.iter().try_for_each(|thread| tx.release_group(*thread))?;
        unwelcome.iter().for_each(|thread| remembered.add_after(tx, *thread));
        Ok(())
    };
    ctx.store.write_unflushed(work).await
}

/// Stores an outcome. If that is not possible, this mail is dropped, and no other.
fn settle_one(tx: &mut Tx<'_>, settled: SettledMail) -> Result<()> {
    let part = tx.begin_part()?;
    match tx.settle_mail(settled) {
        Ok(()) => tx.keep_part(part),
        Err(error) if error.stops_everything() => Err(error),
        Err(error) => {
            tx.undo_part(part)?;
            tracing::warn!(%error, "an answer for mail could not be stored");
            tx.drop_mail(settled.0, MailDropped::Damaged)
        }
    }
}

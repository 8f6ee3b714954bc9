//! Sends mail: contents for the devices of one person, which have no place in a thread. Mail is sealed, submitted and settled
//! without lanes, so it neither waits for messages nor delays them.

use std::time::Duration;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use sealpost_protocol::UnixSeconds;
use sealpost_wire as wire;
use sealpost_wire::limits::MAILBOX_TTL_S;
use sealpost_wire::reason;
use tokio::time::sleep;

use super::answer::{Correction, asked_ms, correct, is_about_time};
use super::meet::meet_all;
use super::plan::{Addressed, ToMeet, address_users};
use super::seal::{Sealing, seal_mail};
use super::time::{ask_time, set_clock};
use super::{backoff_ceiling_ms, backoff_ms};
use crate::account::registration::{address, local_device};
use crate::content::{Content, Header, Timer};
use crate::context::Context;
use crate::error::{Error, Offline, Result};
use crate::fault::{self, Station};
use crate::health::Part;
use crate::id::{ThreadId, UserId};
use crate::message::FailReason;
use crate::store::{DueMail, Durable, MailDropped, MailId, MailOutcome, Parcel, QueuedMail, SettledMail, Tx};
use crate::transport::{self, Socket};

/// How much mail is in flight at a time: few enough that messages hardly wait for it.
const BATCH: u32 = 32;
const BATCH_BYTES: usize = 16 << 10;
/// After this many refusals, each followed by sealing it anew, mail is dropped.
const MAX_REFUSALS: u32 = 12;
/// The delay after a disk failure.
const STORAGE_PAUSE: Duration = Duration::from_secs(1);
/// The maximum interval between checks, because a changed clock could delay what is due.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The longest wait for a person who does not accept the thread, in milliseconds.
const NOT_ACCEPTED_MS: u64 = 3_600_000;

/// Sends mail for as long as it is polled. It can be dropped at any time, because its state is on disk.
pub(crate) async fn run(ctx: Context) {
    let mut elsewhere = ctx.events.elsewhere();
    let mut live = ctx.transport.live_changes();
    loop {
        ctx.transport.online().await;
        live.borrow_and_update();
        let outcome = step(&ctx).await;
        ctx.health.report(Part::Sending, &outcome);
        let pause = match outcome {
            Ok(Step::Sent) => continue,
            Ok(Step::Nothing { next_due_ms }) => {
                let wait_ms = next_due_ms.map(|due| due.saturating_sub(ctx.env.now_ms()));
                LONGEST_PAUSE.min(Duration::from_millis(wait_ms.unwrap_or(u64::MAX)))
            }
            Err(error) => {
                tracing::debug!(%error, "mail is not sent yet");
                STORAGE_PAUSE.saturating_add(Duration::from_millis(backoff_ms(&ctx.env, 3)))
            }
        };
        tokio::select! {
            () = ctx.upkeep.mail.notified() => {}
            // Another process may have queued mail.
            Ok(()) = elsewhere.changed() => {}
            Ok(()) = live.changed() => {}
            () = sleep(pause) => {}
        }
    }
}

enum Step {
    Sent,
    Nothing { next_due_ms: Option<u64> },
}

/// Mail that is sealed, ready to be submitted.
struct Sealed {
    id: MailId,
    thread: ThreadId,
    attempts: u32,
    parcel: Durable<Parcel>,
}

/// Mail that first needs these sessions.
struct Unmet {
    id: MailId,
    thread: ThreadId,
    attempts: u32,
    to_meet: ToMeet,
}

/// Seals, submits and settles what is due.
async fn step(ctx: &Context) -> Result<Step> {
    let Some(socket) = ctx.transport.live() else { return Ok(Step::Nothing { next_due_ms: None }) };
    set_clock(ctx).await?;
    let now_ms = ctx.env.now_ms();
    let look =
        move |rows: &crate::store::Rows<'_>| Ok((rows.is_mail_due(now_ms)?, rows.next_mail_due(now_ms)?));
    let (is_due, next_due_ms) = ctx.store.read(look).await?;
    if !is_due {
        return Ok(Step::Nothing { next_due_ms });
    }
    let (ctx_in_tx, mut rng) = (ctx.clone(), ctx.env.rng());
    let work = move |tx: &mut Tx<'_>| {
        let prepared = prepare(&ctx_in_tx, tx, now_ms, &mut rng)?;
        fault::at(Station::MailBeforeCommit);
        Ok(prepared)
    };
    let (sealed, unmet) = ctx.store.write(work).await?;
    fault::at(Station::MailAfterCommit);
    submit(ctx, &socket, sealed).await?;
    for Unmet { id, thread, attempts, to_meet } in unmet {
        let outcome = match meet_all(ctx, thread, &[to_meet]).await {
            Ok(Ok(())) => continue,
            // A restored relay may know them again soon.
            Ok(Err(FailReason::UnknownRecipient)) if attempts < MAX_REFUSALS => {
                later(ctx, attempts, Offline::Unreachable)
            }
            // Nothing can be sealed for this person.
            Ok(Err(_)) => MailOutcome::Done,
            Err(Error::Offline(offline)) => later(ctx, attempts, offline),
            Err(error) => return Err(error),
        };
        settle(ctx, vec![(id, None, outcome)]).await?;
    }
    Ok(Step::Sent)
}

fn prepare(
    ctx: &Context,
    tx: &mut Tx<'_>,
    now_ms: u64,
    rng: &mut StdRng,
) -> Result<(Vec<Sealed>, Vec<Unmet>)> {
    let (mut sealed, mut unmet) = (Vec::new(), Vec::new());
    let expired_ms = ctx.expiry_now_ms().saturating_sub(MAILBOX_TTL_S.saturating_mul(1_000));
    for mail in tx.due_mail(now_ms, (BATCH, BATCH_BYTES))? {
        let mail = match mail {
            DueMail::Readable(mail) => *mail,
            DueMail::Damaged(id) => {
                tx.drop_mail(id, MailDropped::Damaged)?;
                continue;
            }
        };
        let (id, thread, attempts) = (mail.id, mail.thread, mail.attempts);
        match prepare_one(ctx, tx, mail, expired_ms, rng)? {
            Prepared::Submit(parcel) => sealed.push(Sealed { id, thread, attempts, parcel }),
            Prepared::Meet(to_meet) => unmet.push(Unmet { id, thread, attempts, to_meet }),
            Prepared::Drop(why) => tx.drop_mail(id, why)?,
        }
    }
    Ok((sealed, unmet))
}

/// What to do with mail that is due.
enum Prepared {
    Submit(Durable<Parcel>),
    /// Start these sessions first.
    Meet(ToMeet),
    Drop(MailDropped),
}

fn prepare_one(
    ctx: &Context,
    tx: &mut Tx<'_>,
    mail: QueuedMail,
    expired_ms: u64,
    rng: &mut StdRng,
) -> Result<Prepared> {
    let QueuedMail { id, thread, to, refusals, sent_ms, content_id, body, sealed, .. } = mail;
    if sent_ms < expired_ms {
        return Ok(Prepared::Drop(MailDropped::Expired));
    }
    if refusals >= MAX_REFUSALS {
        return Ok(Prepared::Drop(MailDropped::Refused));
    }
    // The person may have blocked the recipient since it was queued, or switched it off. What is sealed may have been submitted, but is
    // not submitted again.
    if !tx.may_mail(thread, to, &body)? {
        return Ok(Prepared::Drop(MailDropped::NotAllowed));
    }
    if let Some(parcel) = sealed {
        return Ok(Prepared::Submit(parcel));
    }
    let sent_ms = sent_ms.min(ctx.server_now_ms());
    let (timer, header) = (Timer::default(), Header::default());
    let content = Content { thread, id: content_id, sent_ms, timer, header, body };
    Ok(match seal(ctx, tx, &content, to, rng)? {
        Sealable::Yes(parcel) => Prepared::Submit(tx.set_mail_sealed(id, parcel, ctx.server_now_ms())?),
        Sealable::Meet(to_meet) => Prepared::Meet(to_meet),
        Sealable::No => Prepared::Drop(MailDropped::Unsealable),
    })
}

enum Sealable {
    Yes(Parcel),
    /// Start these sessions first.
    Meet(ToMeet),
    /// Nothing can be sealed for this person.
    No,
}

/// Seals a content for all devices of a person, and stores the advanced sessions.
fn seal(ctx: &Context, tx: &mut Tx<'_>, content: &Content, to: UserId, rng: &mut StdRng) -> Result<Sealable> {
    let now = UnixSeconds(ctx.server_now_ms() / 1000);
    let mut recipients = match address_users(tx, &[to], &ctx.skipped, ctx.policy, now)? {
        Addressed::Ready(recipients) => recipients,
        Addressed::Meet(mut to_meet) => return Ok(to_meet.pop().map_or(Sealable::No, Sealable::Meet)),
        Addressed::Blocked(_) => return Ok(Sealable::No),
    };
    let (account, us) = tx.our_account()?;
    let our_address = address(us.user, us.device)?;
    let local = local_device(&account, &our_address);
    let client_msg_id = ctx.new_client_msg_id();
    let form = wire::Envelope { urgent: content.body.kind().is_urgent(), ..wire::Envelope::default() };
    let sealing = seal_mail(client_msg_id, content, &form, &mut recipients.ready, &local, now, rng)?;
    let outcome = match sealing {
        Sealing::Sealed { send, skipped } => {
            for ((device, _), changes) in recipients.ready.iter().zip(skipped) {
                tx.store_skipped(device.user, device.device, changes)?;
            }
            Sealable::Yes(Parcel { client_msg_id, bytes: send })
        }
        Sealing::TooLarge => return Ok(Sealable::No),
        Sealing::SpentSession(to_meet) => Sealable::Meet(to_meet),
    };
    for (_, sessions) in &mut recipients.ready {
        tx.store_sessions(sessions)?;
    }
    Ok(outcome)
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
    for (mail, answer) in sealed.into_iter().zip(answers) {
        let (outcome, correction) = judge(ctx, &mail, answer);
        settled.push((mail.id, Some(mail.parcel.get().client_msg_id), outcome));
        corrections.extend(correction.map(|correction| (mail.thread, correction)));
    }
    settle(ctx, settled).await?;
    for (thread, correction) in corrections {
        // Sessions with new devices are started when the mail is sealed anew.
        correct(ctx, thread, correction).await?;
    }
    Ok(())
}

/// Decides what becomes of mail, given the relay's answer.
fn judge(
    ctx: &Context,
    mail: &Sealed,
    answer: transport::Result<wire::SendAck>,
) -> (MailOutcome, Option<Correction>) {
    let refusal = match answer {
        Ok(_) => return (MailOutcome::Done, None),
        Err(transport::Error::Refused(refusal)) => refusal,
        Err(transport::Error::Offline(offline)) => return (later(ctx, mail.attempts, offline), None),
        Err(transport::Error::Unauthorized | transport::Error::Replaced) => {
            return (later(ctx, mail.attempts, Offline::Unreachable), None);
        }
    };
    let anew = |is_refusal| MailOutcome::Anew { due_ms: 0, is_refusal };
    match refusal.reason.as_str() {
        reason::MISMATCHED_DEVICES | reason::STALE_DEVICES => {
            (anew(true), Some(Correction::Devices(refusal.mismatches)))
        }
        // The id is too old, or our clock was wrong. If it was stored, its recipient recognises the content.
        _ if is_about_time(&refusal) => (anew(true), None),
        // They may accept the thread later, or unblock us.
        reason::NOT_ACCEPTED => {
            let ceiling_ms = backoff_ceiling_ms(mail.attempts.saturating_add(1), NOT_ACCEPTED_MS);
            let due_ms = ctx.env.now_ms().saturating_add(ctx.env.jitter(ceiling_ms));
            (MailOutcome::Later { due_ms }, None)
        }
        // A restored relay may know the thread again soon.
        reason::NOT_FOUND if mail.attempts < MAX_REFUSALS => {
            (later(ctx, mail.attempts, Offline::Unreachable), None)
        }
        _ => (MailOutcome::Done, None),
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

/// Stores outcomes in one transaction. It is not flushed: if it is lost, the same bytes are submitted again.
async fn settle(ctx: &Context, settled: Vec<SettledMail>) -> Result<()> {
    let work = move |tx: &mut Tx<'_>| settled.iter().try_for_each(|settled| tx.settle_mail(*settled));
    ctx.store.write_unflushed(work).await
}

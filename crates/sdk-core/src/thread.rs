//! Threads: opening and reading them, and changing messages in them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sealpost_wire as wire;
use tokio::time::Instant;

use crate::account::tokens;
use crate::content::{Body, Receipt, ReceiptKind, StateKey};
use crate::context::{Context, RECEIPT_PACE};
use crate::error::{Error, Offline, Result};
use crate::event::Event;
use crate::fault::{self, Station};
use crate::id::{MessageId, ThreadId, UserId};
use crate::message::{Delivery, Direction, Message, MessageBody, Position};
use crate::store::{self, DueRead, MailSlot, NewMail, Rows, Thread, Tx};
use crate::transport::CreatedThread;

/// The direct thread with a user: the one in the database, or the one that the relay has or creates.
pub(crate) async fn direct(ctx: &Context, peer: UserId) -> Result<Thread> {
    let known = ctx.store.read(move |rows| {
        let (_, us) = rows.our_account()?;
        if us.user == peer {
            return Err(Error::Misuse("a direct thread with oneself"));
        }
        rows.thread_with(peer)
    });
    if let Some(thread) = known.await? {
        return Ok(thread);
    }
    let created = tokens::with_access(ctx, |http, token| async move {
        match http.create_direct_thread(&token, peer, None).await? {
            CreatedThread::New(thread) => Ok(thread),
            CreatedThread::Existing(id) => http.thread(&token, id).await,
        }
    });
    let thread = parse(&created.await?, peer)?;
    let us = ctx.store.read(|rows| Ok(rows.our_account()?.1.user)).await?;
    if thread.id == store::note_to_self(us) {
        return Err(Offline::NotARelay.into());
    }
    let now_ms = ctx.server_now_ms();
    let work = ctx.store.write(move |tx| {
        tx.put_thread(thread, now_ms)?;
        // It is not a request on our other devices either.
        tx.note_state(StateKey::Accepted(thread.id))?;
        // Requesting a thread from the relay also accepts it.
        tx.set_accepted(thread.id)
    });
    work.await?;
    Ok(thread)
}

/// The note to self, which is added if there is none.
pub(crate) async fn note_to_self(ctx: &Context, us: UserId) -> Result<ThreadId> {
    let id = store::note_to_self(us);
    if ctx.store.glance(move |rows| rows.kind(id)).await?.is_some() {
        return Ok(id);
    }
    let now_ms = ctx.server_now_ms();
    ctx.store.write(move |tx| tx.open_note_to_self(us, now_ms)).await
}

/// In these slots of a thread, a receipt that was not sealed yet is sent for all that has happened.
const DELIVERED_SLOT: u8 = 11;
const READ_SLOT: u8 = 12;
/// How many messages are read one by one in a transaction, so that others do not wait long for the writer.
const READ_AT_ONCE: usize = 256;

/// Marks the messages of a thread up to and including this one as read, and queues a read receipt.
pub(crate) async fn mark_read(ctx: &Context, thread: ThreadId, up_to: MessageId) -> Result<()> {
    // The person has not seen messages that arrive from now on.
    let now = ctx.store.read(move |rows| rows.moment(thread)).await?;
    let ctx_in_tx = ctx.clone();
    let work = ctx.store.write(move |tx| {
        message_in(tx, thread, up_to)?;
        let marked = tx.mark_read(thread, up_to, now, READ_AT_ONCE)?;
        let authors: BTreeSet<_> = marked.to_confirm.messages.iter().map(|(run, _)| run.user).collect();
        note_read(&ctx_in_tx, tx, &marked.to_confirm, authors)?;
        Ok(marked.more_due)
    });
    let more_due = work.await?;
    ctx.upkeep.timers.notify_one();
    if more_due {
        ctx.upkeep.receipts_due.notify_one();
    }
    Ok(())
}

/// Records the next messages of which their authors are to be told that they were read, and after the last ones queues a receipt.
/// Returns false if there are none.
pub(crate) async fn note_due_read(ctx: &Context) -> Result<bool> {
    if !ctx.store.glance(|rows| rows.are_any_receipts_due()).await? {
        return Ok(false);
    }
    let ctx_in_tx = ctx.clone();
    let step = ctx.store.write(move |tx| {
        let Some(due) = tx.take_due_receipts(READ_AT_ONCE)? else { return Ok(false) };
        let authors = if due.is_last { tx.others(due.thread)? } else { Vec::new() };
        note_read(&ctx_in_tx, tx, &due, authors)?;
        Ok(true)
    });
    step.await
}

/// Records that messages of a thread were read, and queues a receipt for each of these users, if they are told.
fn note_read(
    ctx: &Context,
    tx: &mut Tx<'_>,
    read: &DueRead,
    authors: impl IntoIterator<Item = UserId>,
) -> Result<()> {
    let thread = read.thread;
    if tx.note_read(read)? && !tx.has_left()? {
        let us = tx.our_account()?.1.user;
        if tx.is_group(thread)? && !tx.confirms_in_group(thread, us)? {
            return Ok(());
        }
        for to in authors {
            queue_receipt(ctx, tx, (thread, to), ReceiptKind::Read, false)?;
        }
    }
    Ok(())
}

/// Queues a receipt for messages of a user that have arrived in a thread.
pub(crate) fn queue_delivery_receipt(
    ctx: &Context,
    tx: &mut Tx<'_>,
    (thread, to): (ThreadId, UserId),
    more_follow: bool,
) -> Result<()> {
    if tx.sends_receipts(thread, ReceiptKind::Delivered)? {
        queue_receipt(ctx, tx, (thread, to), ReceiptKind::Delivered, more_follow)?;
    }
    Ok(())
}

/// Queues a receipt, unless one waits already: what it says is decided when it is sealed. It leaves at once, or in a moment if one
/// has just left or more messages follow.
fn queue_receipt(
    ctx: &Context,
    tx: &mut Tx<'_>,
    (thread, to): (ThreadId, UserId),
    kind: ReceiptKind,
    more_follow: bool,
) -> Result<()> {
    let slot = receipt_slot((thread, to), kind);
    let (receipts, upkeep) = (Arc::clone(&ctx.receipts), Arc::clone(&ctx.upkeep));
    let now = Instant::now();
    if more_follow {
        let due_ms = due_after(ctx, RECEIPT_PACE);
        if tx.is_mail_waiting(slot)? {
            tx.set_mail_due(slot, due_ms)?;
        } else {
            queue_at(ctx, tx, slot, kind, due_ms)?;
        }
        tx.after_commit(move || receipts.put_off(slot, now));
        return Ok(());
    }
    let pause = ctx.receipts.pause(&slot, now);
    let due_ms = due_after(ctx, pause);
    if !tx.is_mail_waiting(slot)? {
        queue_at(ctx, tx, slot, kind, due_ms)?;
    } else if !tx.hurry_mail_in(slot, due_ms)? {
        return Ok(());
    }
    tx.after_commit(move || {
        receipts.wait(slot, now, pause);
        upkeep.mail.notify_one();
    });
    Ok(())
}

/// Puts a receipt off that is about to be sealed, if one of its kind has left a short while ago: ours is due by a clock that can be
/// wrong. Returns false if it may leave.
pub(crate) fn hold_receipt(
    ctx: &Context,
    tx: &mut Tx<'_>,
    to: (ThreadId, UserId),
    kind: ReceiptKind,
) -> Result<bool> {
    let (slot, now) = (receipt_slot(to, kind), Instant::now());
    let pause = ctx.receipts.pause(&slot, now);
    if pause.is_zero() {
        return Ok(false);
    }
    tx.set_mail_due(slot, due_after(ctx, pause))?;
    let receipts = Arc::clone(&ctx.receipts);
    tx.after_commit(move || receipts.wait(slot, now, pause));
    Ok(true)
}

/// A receipt was sealed, and the next one of its kind waits.
pub(crate) fn receipt_leaves(ctx: &Context, tx: &mut Tx<'_>, to: (ThreadId, UserId), kind: ReceiptKind) {
    let (receipts, slot) = (Arc::clone(&ctx.receipts), receipt_slot(to, kind));
    tx.after_commit(move || receipts.leave(slot, Instant::now()));
}

const fn receipt_slot((thread, to): (ThreadId, UserId), kind: ReceiptKind) -> MailSlot {
    let slot = match kind {
        ReceiptKind::Delivered => DELIVERED_SLOT,
        ReceiptKind::Read => READ_SLOT,
    };
    (thread, to, slot)
}

/// The local time after a pause.
fn due_after(ctx: &Context, pause: Duration) -> u64 {
    let pause_ms = pause.as_micros().div_ceil(1_000);
    ctx.env.now_ms().saturating_add(u64::try_from(pause_ms).unwrap_or(0))
}

fn queue_at(
    ctx: &Context,
    tx: &mut Tx<'_>,
    (thread, to, slot): MailSlot,
    kind: ReceiptKind,
    due_ms: u64,
) -> Result<()> {
    let body = Body::Receipt(Receipt { kind, marks: Vec::new() });
    let (content_id, sent_ms) = (ctx.new_client_msg_id(), ctx.server_now_ms());
    ctx.queue_mail(tx, &NewMail { thread, to, slot: Some(slot), content_id, sent_ms, body, due_ms })
}

/// How many messages are deleted in one transaction.
const DELETED_AT_ONCE: u32 = 100;

/// Takes a thread out of its list, and deletes its history on this device.
pub(crate) async fn delete(ctx: &Context, thread: ThreadId) -> Result<()> {
    ctx.store.write(move |tx| tx.delete_thread(thread)).await?;
    clear(ctx, thread).await
}

/// Deletes the history of a thread as far as its row says.
pub(crate) async fn clear(ctx: &Context, thread: ThreadId) -> Result<()> {
    let now_ms = ctx.server_now_ms();
    while ctx.store.write(move |tx| tx.clear_some(thread, DELETED_AT_ONCE, now_ms)).await? {}
    Ok(())
}

/// Deletes the messages of a thread on this device that are older than a time. Returns how many there were.
pub(crate) async fn delete_older(ctx: &Context, thread: ThreadId, before_ms: u64) -> Result<u64> {
    let (mut after, mut deleted) = (Some(Position::FIRST), 0_u64);
    while let Some(from) = after {
        let now_ms = ctx.server_now_ms();
        let work = ctx.store.write(move |tx| tx.delete_older(thread, from, before_ms, now_ms));
        let (next, count) = work.await?;
        (after, deleted) = (next, deleted.saturating_add(count));
    }
    Ok(deleted)
}

/// Deletes the messages of all threads on this device that are older than a time. Returns how many there were.
pub(crate) async fn clean_up(ctx: &Context, before_ms: u64) -> Result<u64> {
    ctx.store.write(move |tx| tx.begin_clean_up(before_ms)).await?;
    continue_clean_up(ctx).await
}

/// Continues a clean-up to its end, if there is one, and reports after each step how far it has come.
pub(crate) async fn continue_clean_up(ctx: &Context) -> Result<u64> {
    let (mut from, mut deleted) = (None, 0_u64);
    while ctx.store.glance(|rows| rows.is_clean_up_due()).await? {
        let now_ms = ctx.server_now_ms();
        let work = ctx.store.write(move |tx| {
            let cleaned = tx.clean_up(from, now_ms)?;
            fault::at(Station::CleanUpBeforeCommit);
            Ok(cleaned)
        });
        let cleaned = work.await?;
        fault::at(Station::CleanUpAfterCommit);
        (from, deleted) = (cleaned.next, deleted.saturating_add(cleaned.deleted));
        ctx.events.publish(Event::CleaningUp { deleted, threads_left: cleaned.threads_left });
    }
    Ok(deleted)
}

/// Accepts a message request.
pub(crate) async fn accept_request(ctx: &Context, thread: ThreadId) -> Result<()> {
    let work = ctx.store.write(move |tx| {
        tx.kind(thread)?.ok_or(Error::NotFound)?;
        tx.accept_request(thread)
    });
    if work.await? {
        ctx.upkeep.to_accept.notify_one();
    }
    Ok(())
}

/// Hides a message on this device. It is deleted after a while, unless it is restored.
pub(crate) async fn delete_for_me(ctx: &Context, thread: ThreadId, id: MessageId) -> Result<()> {
    let now_ms = ctx.server_now_ms();
    if !ctx.store.write(move |tx| tx.hide(thread, id, now_ms)).await? {
        return Err(Error::NotFound);
    }
    ctx.upkeep.hidden.notify_one();
    Ok(())
}

/// Shows a message again that was hidden a short while ago.
pub(crate) async fn restore(ctx: &Context, thread: ThreadId, id: MessageId) -> Result<()> {
    let now_ms = ctx.server_now_ms();
    let restored = ctx.store.write(move |tx| tx.restore(thread, id, now_ms)).await?;
    ctx.upkeep.timers.notify_one();
    if restored { Ok(()) } else { Err(Error::NotFound) }
}

/// Queues a failed message again.
pub(crate) async fn retry(ctx: &Context, thread: ThreadId, id: MessageId) -> Result<()> {
    let sent_ms = ctx.server_now_ms();
    let work = ctx.store.write(move |tx| {
        let message = message_in(tx, thread, id)?;
        match message.direction {
            // Nothing is left of it that could be sent.
            _ if message.body == MessageBody::Deleted => Err(Error::WrongState),
            Direction::Outgoing(Delivery::Failed(_)) if tx.has_left()? => Err(Error::Unauthorized),
            Direction::Outgoing(Delivery::Failed(_)) => {
                let thread = tx.thread(thread)?.ok_or(Error::NotFound)?;
                if tx.is_peer_blocked(&thread)? { Err(Error::WrongState) } else { tx.retry(id, sent_ms) }
            }
            _ => Err(Error::WrongState),
        }
    });
    work.await?;
    ctx.outbox.notify_one();
    Ok(())
}

/// Removes a message of ours that was not submitted, or has failed. Returns false if it may have been submitted.
pub(crate) async fn cancel(ctx: &Context, thread: ThreadId, id: MessageId) -> Result<bool> {
    let work = ctx.store.write(move |tx| match message_in(tx, thread, id)?.direction {
        Direction::Outgoing(_) => tx.cancel(id),
        Direction::Incoming { .. } => Err(Error::WrongState),
    });
    work.await
}

/// Gives up a queued message, even if it may have been submitted.
pub(crate) async fn give_up(ctx: &Context, thread: ThreadId, id: MessageId) -> Result<()> {
    let work = ctx.store.write(move |tx| {
        message_in(tx, thread, id)?;
        match tx.give_up(id) {
            // The message exists, but is not queued.
            Err(Error::NotFound) => Err(Error::WrongState),
            done => done,
        }
    });
    work.await?;
    ctx.outbox.notify_one();
    Ok(())
}

/// A message of this thread.
fn message_in(rows: &Rows<'_>, thread: ThreadId, id: MessageId) -> Result<Message> {
    rows.message(id)?.filter(|message| message.thread == thread).ok_or(Error::NotFound)
}

fn parse(thread: &wire::Thread, peer: UserId) -> Result<Thread> {
    let id = ThreadId::from_slice(&thread.thread_id).map_err(|_| Offline::NotARelay)?;
    if !thread.member_user_ids.iter().any(|member| member.as_ref() == peer.as_bytes()) {
        return Err(Offline::NotARelay.into());
    }
    Ok(Thread { id, peer: Some(peer), roster_version: thread.roster_version })
}

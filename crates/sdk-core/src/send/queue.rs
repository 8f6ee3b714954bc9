//! Station 2, Queue: stores what the user writes, and seals it in the same transaction if it can be sent at once.

use std::sync::Arc;

use rand::rngs::StdRng;

use super::prepare::{Prepared, seal_next};
use crate::content::{Body, MAX_TEXT};
use crate::context::{Context, HandedOver};
use crate::error::{Error, Result};
use crate::fault::{self, Station};
use crate::id::{ClientMsgId, ThreadId};
use crate::message::Message;
use crate::store::{NewOutgoing, Tx};
use crate::thread::queue_delivery_receipts;

/// Queues a text. When this returns, the text is durable and will be sent.
pub(crate) async fn send_text(ctx: &Context, thread: ThreadId, text: &str) -> Result<Message> {
    if text.trim().is_empty() {
        return Err(Error::EmptyText);
    }
    if text.len() > MAX_TEXT {
        return Err(Error::TooLong { max: MAX_TEXT });
    }
    let (content_id, sent_ms) = (ctx.new_client_msg_id(), ctx.server_now_ms());
    let body = Body::Text(text.to_owned());
    let (ctx_in_tx, mut rng) = (ctx.clone(), ctx.env.rng());
    let queued = ctx.store.write_repeatable(move |tx| {
        let (_, us) = tx.our_account()?;
        if tx.thread(thread)?.is_none() {
            return Err(Error::NotFound);
        }
        let is_next = !tx.is_lane_busy(thread)?;
        let new = NewOutgoing { thread, us: (us.user, us.device), content_id, sent_ms, body: body.clone() };
        let message = tx.enqueue(new)?;
        let sealed = if is_next { seal_at_once(&ctx_in_tx, tx, thread, &mut rng)? } else { None };
        let ctx = ctx_in_tx.clone();
        tx.after_commit(move || {
            fault::at(Station::QueueAfterCommit);
            match sealed {
                Some(sealed) => ctx.handover.put(thread, sealed),
                None => ctx.outbox.notify_one(),
            }
        });
        fault::at(Station::QueueBeforeCommit);
        message.ok_or(Error::Bug("a queued text without a message"))
    });
    queued.await
}

/// The number of messages from which on their receipt is sealed in the transaction that receives them. Few messages are shown sooner
/// if their receipt is sealed afterwards.
const MANY: usize = 4;

/// Queues a delivery receipt in the transaction that receives the messages. If there are many, and it is next in its lane, it is
/// sealed in this transaction, too, which saves another one. Returns whether the dispatcher must look for it.
pub(crate) fn confirm_at_once(
    ctx: &Context,
    tx: &mut Tx<'_>,
    thread: ThreadId,
    messages: &[ClientMsgId],
) -> Result<bool> {
    let is_next = messages.len() >= MANY && !tx.is_lane_busy(thread)?;
    queue_delivery_receipts(ctx, tx, thread, messages)?;
    if is_next && let Some(sealed) = seal_at_once(ctx, tx, thread, &mut ctx.env.rng())? {
        let handover = Arc::clone(&ctx.handover);
        tx.after_commit(move || handover.put(thread, sealed));
        return Ok(false);
    }
    Ok(true)
}

/// Seals the first entry of a lane, which saves a second transaction. Without a connection it stays unsealed, so that it can
/// still be cancelled. So it does in a process that only fetches messages.
fn seal_at_once(
    ctx: &Context,
    tx: &mut Tx<'_>,
    thread: ThreadId,
    rng: &mut StdRng,
) -> Result<Option<HandedOver>> {
    let Some(connection) = ctx.transport.live().filter(|_| ctx.handover.is_served()) else { return Ok(None) };
    let part = tx.begin_part()?;
    let Ok(prepared) = seal_next(ctx, tx, thread, (None, 1), rng) else {
        // The text is queued nevertheless, and the lane will encounter the error again.
        tx.undo_part(part)?;
        return Ok(None);
    };
    tx.keep_part(part)?;
    let Prepared::Submit(sealed) = prepared else { return Ok(None) };
    // Before the commit: afterwards, the dispatcher could submit it first.
    ctx.note_fresh(sealed.iter().map(|sealed| sealed.parcel.get().client_msg_id));
    Ok(sealed
        .into_iter()
        .next()
        .map(|first| HandedOver::new(first.id, first.is_visible, first.parcel, &connection)))
}

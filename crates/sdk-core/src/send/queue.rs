//! Station 2, Queue: stores what the user writes, and seals it in the same transaction if it can be sent at once.

use super::prepare::seal_next;
use crate::content::{Body, MAX_TEXT};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::fault::{self, Station};
use crate::id::ThreadId;
use crate::message::Message;
use crate::store::NewOutgoing;

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
    let queued = ctx.store.write(move |tx| {
        let (_, us) = tx.our_account()?;
        if tx.thread(thread)?.is_none() {
            return Err(Error::NotFound);
        }
        let is_next = !tx.is_lane_busy(thread)?;
        let new = NewOutgoing { thread, us: (us.user, us.device), content_id, sent_ms, body };
        let message = tx.enqueue(new)?;
        // Sealing here saves a second transaction. Without a connection the entry stays unsealed, so that it can
        // still be cancelled.
        if is_next && ctx_in_tx.transport.live().is_some() {
            let part = tx.begin_part()?;
            match seal_next(&ctx_in_tx, tx, thread, (None, 1), &mut rng) {
                Ok(prepared) => {
                    tx.keep_part(part)?;
                    // Before the commit: afterwards, the dispatcher could submit it first.
                    ctx_in_tx.note_fresh(prepared.parcels());
                }
                // The text is queued nevertheless, and the lane will encounter the error again.
                Err(_) => tx.undo_part(part)?,
            }
        }
        fault::at(Station::QueueBeforeCommit);
        message.ok_or(Error::Bug("a queued text without a message"))
    });
    let message = queued.await?;
    fault::at(Station::QueueAfterCommit);
    ctx.outbox.notify_one();
    Ok(message)
}

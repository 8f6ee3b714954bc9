//! Station 2, Queue: stores what the user writes, and seals it in the same transaction if it can be sent at once.

use std::sync::Arc;

use rand::rngs::StdRng;

use super::prepare::{Prepared, seal_next};
use crate::content::{Body, Contact, ContactCard, Location, MAX_TEXT, Markup, Place, Quote, Text};
use crate::context::{Context, HandedOver};
use crate::error::{Error, InvalidContent, Result};
use crate::fault::{self, Station};
use crate::id::{ClientMsgId, MessageId, ThreadId, UserId};
use crate::message::{Delivery, Direction, Message};
use crate::store::{NewOutgoing, News, Origin, POSITION_PENDING, Tx};

/// Queues a text. When this returns, the text is durable and will be sent.
pub(crate) async fn send_text(
    ctx: &Context,
    thread: ThreadId,
    text: &str,
    markup: Markup,
) -> Result<Message> {
    let (text, markup) = checked_with(text, markup)?;
    let body = Body::Text(Text { text, markup, quote: None, is_forwarded: false });
    send_message(ctx, thread, move |_| Ok(body.clone())).await
}

/// Queues a reply to a message of the same thread.
///
/// # Errors
/// [`Error::NotFound`] if there is no such message, [`Error::WrongState`] if it could not be read; those of [`send_text`].
pub(crate) async fn reply(
    ctx: &Context,
    thread: ThreadId,
    to: MessageId,
    (text, markup): (&str, Markup),
) -> Result<Message> {
    let (text, markup) = checked_with(text, markup)?;
    let work = move |tx: &mut Tx<'_>| {
        let (author, id, body) = content_in(tx, thread, to)?;
        // The text of a message that disappears would stay in the quote. It is shown as long as the message is there.
        let stays = tx.message(to)?.is_none_or(|message| message.timer_s == 0);
        let quoted = body.quoted().ok_or(Error::WrongState)?;
        let quoted = if stays { quoted } else { "" };
        let quote = Some(Box::new(Quote::new(author, id, quoted)));
        Ok(Body::Text(Text { text: text.clone(), markup: markup.clone(), quote, is_forwarded: false }))
    };
    send_message(ctx, thread, work).await
}

/// Queues the body of a message of any thread again, marked as forwarded and without what it replied to.
///
/// # Errors
/// [`Error::NotFound`] if there is no such message, [`Error::WrongState`] if it could not be read.
pub(crate) async fn forward(ctx: &Context, thread: ThreadId, message: MessageId) -> Result<Message> {
    let work = move |tx: &mut Tx<'_>| {
        let from = tx.message(message)?.ok_or(Error::NotFound)?.thread;
        let (_, _, body) = content_in(tx, from, message)?;
        body.forwarded().ok_or(Error::WrongState)
    };
    send_message(ctx, thread, work).await
}

/// Queues a contact card.
///
/// # Errors
/// [`Error::InvalidContent`] if it has no name, or a field that is too long.
pub(crate) async fn send_contact(ctx: &Context, thread: ThreadId, card: ContactCard) -> Result<Message> {
    if !card.is_valid() {
        return Err(InvalidContent::ContactCard.into());
    }
    let body = Body::Contact(Contact { card, is_forwarded: false });
    send_message(ctx, thread, move |_| Ok(body.clone())).await
}

/// Queues a place.
///
/// # Errors
/// [`Error::InvalidContent`] if it is not on the earth, or its name is too long.
pub(crate) async fn send_location(ctx: &Context, thread: ThreadId, location: Location) -> Result<Message> {
    if !location.is_valid() {
        return Err(InvalidContent::Location.into());
    }
    let body = Body::Place(Place { location, is_forwarded: false });
    send_message(ctx, thread, move |_| Ok(body.clone())).await
}

/// A text and what accompanies it, if it can be sent.
pub(super) fn checked_with(text: &str, markup: Markup) -> Result<(String, Markup)> {
    let text = checked(text)?.to_owned();
    let markup = markup.for_sending(&text).ok_or(InvalidContent::Markup)?;
    Ok((text, markup))
}

fn checked(text: &str) -> Result<&str> {
    if text.trim().is_empty() {
        return Err(Error::EmptyText);
    }
    if text.len() > MAX_TEXT {
        return Err(Error::TooLong { max: MAX_TEXT });
    }
    Ok(text)
}

/// A message of a thread that another content can refer to.
pub(super) fn content_in(
    tx: &Tx<'_>,
    thread: ThreadId,
    id: MessageId,
) -> Result<(UserId, ClientMsgId, Body)> {
    let message = tx.message(id)?.filter(|message| message.thread == thread).ok_or(Error::NotFound)?;
    if matches!(message.direction, Direction::Outgoing(Delivery::Failed(_))) {
        return Err(Error::WrongState);
    }
    tx.content_of(thread, id)?.ok_or(Error::WrongState)
}

/// Queues a body that people see.
///
/// # Errors
/// [`Error::WrongState`] if the thread has no message yet, and this body cannot begin one: recipients would drop it.
pub(super) async fn send_message(
    ctx: &Context,
    thread: ThreadId,
    body: impl Fn(&mut Tx<'_>) -> Result<Body> + Send + 'static,
) -> Result<Message> {
    queue(ctx, thread, move |tx, _| body(tx).map(Some))
        .await?
        .ok_or(Error::Bug("a queued text without a message"))
}

/// Queues a body, which is made in the transaction that queues it. When this returns, the content is durable and will be sent.
/// Returns the message that it has become, if people see it. What it changes on this side is changed in the same transaction. Queues
/// nothing if there is no body.
pub(super) async fn queue(
    ctx: &Context,
    thread: ThreadId,
    body: impl Fn(&mut Tx<'_>, &Origin) -> Result<Option<Body>> + Send + 'static,
) -> Result<Option<Message>> {
    let (content_id, sent_ms) = (ctx.new_client_msg_id(), ctx.server_now_ms());
    let (ctx_in_tx, mut rng) = (ctx.clone(), ctx.env.rng());
    let queued = ctx.store.write_repeatable(move |tx| {
        let (_, us) = tx.our_account()?;
        let thread_row = tx.thread(thread)?.ok_or(Error::NotFound)?;
        if tx.is_peer_blocked(&thread_row)? {
            return Err(Error::WrongState);
        }
        let ours = Origin { thread, author: us.user, content_id, sent_ms, order: POSITION_PENDING };
        let Some(body) = body(tx, &ours)? else { return Ok(None) };
        // Some kinds have no meaning in a group.
        if !body.kind().is_accepted(true, thread_row.peer.is_none()) {
            return Err(Error::WrongState);
        }
        // Whoever answers has accepted. Somebody who has sent nothing has not.
        if tx.accept_request(thread)? {
            let ctx = ctx_in_tx.clone();
            tx.after_commit(move || ctx.upkeep.to_accept.notify_one());
        }
        // A group begins with its roster, and the relay has what is written there, whoever is a member now.
        let is_group = thread_row.peer.is_none();
        let is_alone = !is_group && !tx.has_recipients(thread)?;
        let may_begin = is_alone || is_group || body.kind().may_begin_thread();
        if body.kind().is_shown() && !may_begin && !tx.has_begun(thread)? {
            return Err(Error::WrongState);
        }
        if body.kind().is_shown() && tx.is_news_due(thread, News::Profile)? {
            let upkeep = Arc::clone(&ctx_in_tx.upkeep);
            tx.after_commit(move || upkeep.news.notify_one());
        }
        let is_next = !tx.is_lane_busy(thread)?;
        let new = NewOutgoing { thread, us: (us.user, us.device), content_id, sent_ms, body };
        let message = tx.enqueue_unlisted(new)?;
        if is_alone {
            let message = tx.settle_alone(thread, message)?;
            let ctx = ctx_in_tx.clone();
            tx.after_commit(move || {
                fault::at(Station::QueueAfterCommit);
                ctx.upkeep.timers.notify_one();
            });
            fault::at(Station::QueueBeforeCommit);
            return Ok(message);
        }
        let sealed = if is_next { seal_at_once(&ctx_in_tx, tx, thread, &mut rng)? } else { None };
        if sealed.is_none() {
            tx.list_lane(thread)?;
        }
        let ctx = ctx_in_tx.clone();
        tx.after_commit(move || {
            fault::at(Station::QueueAfterCommit);
            ctx.ephemeral.we_have_written(thread);
            match sealed {
                Some(sealed) => ctx.handover.put(thread, sealed),
                None => ctx.outbox.notify_one(),
            }
        });
        fault::at(Station::QueueBeforeCommit);
        Ok(message)
    });
    queued.await
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
    // A block in this process is committed by this thread, and one by another process was noticed when this transaction began.
    let blocks = ctx.handover.blocks(&ctx.events);
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
    Ok(sealed.into_iter().next().map(|first| HandedOver::new(first.id, first.parcel, &connection, blocks)))
}

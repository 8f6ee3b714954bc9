//! Changes of messages: queued like what people write, and applied on this side in the same transaction.

use super::queue::{checked_with, content_in, queue};
use crate::config::ChangeLimits;
use crate::content::{Body, Edit, EmojiSequence, Markup, Pin, Reaction, Target};
use crate::context::Context;
use crate::error::{Error, InvalidContent, Result};
use crate::id::{MessageId, ThreadId};
use crate::store::{Origin, Rows, ThreadKind, Tx};

/// Replaces our reaction to a message of the same thread, or removes it if there is none.
///
/// # Errors
/// [`Error::Misuse`] if it is not an emoji; [`Error::NotFound`] if there is no such message, [`Error::WrongState`] if it could not
/// be read, or has failed.
pub(crate) async fn react(
    ctx: &Context,
    thread: ThreadId,
    to: MessageId,
    emoji: Option<String>,
) -> Result<()> {
    let emoji = match emoji.map(EmojiSequence::new) {
        Some(None) => return Err(Error::Misuse("not an emoji, or longer than 32 bytes")),
        emoji => emoji.flatten(),
    };
    let work = move |tx: &mut Tx<'_>, ours: &Origin| {
        let (author, id, _) = content_in(tx, thread, to)?;
        tx.react(to, ours, emoji.as_ref().map_or("", EmojiSequence::as_str))?;
        Ok(Some(Body::Reaction(Reaction { target: Target { author, id }, emoji: emoji.clone() })))
    };
    queue(ctx, thread, work).await.map(drop)
}

/// Replaces the text of one of our messages.
///
/// # Errors
/// [`Error::NotFound`] if there is no such message, [`Error::WrongState`] if it is not ours, is not a text, has failed, or can no
/// longer be edited; those of a text.
pub(crate) async fn edit(
    ctx: &Context,
    thread: ThreadId,
    message: MessageId,
    (text, markup): (&str, Markup),
) -> Result<()> {
    let (text, markup) = checked_with(text, markup)?;
    let limits = ctx.limits;
    let work = move |tx: &mut Tx<'_>, ours: &Origin| {
        let limits = limits_in(tx, thread, limits)?;
        let (_, id, _) = content_in(tx, thread, message)?;
        // It is not applied either if the author is not us.
        if !tx.edit(message, ours, (&text, &markup), limits)? {
            return Err(Error::WrongState);
        }
        Ok(Some(Body::Edit(Edit { message: id, text: text.clone(), markup: markup.clone() })))
    };
    queue(ctx, thread, work).await.map(drop)
}

/// Pins a message of the same thread for all its members, or unpins it.
///
/// # Errors
/// [`Error::NotFound`] if there is no such message, [`Error::WrongState`] if it could not be read, or has failed;
/// [`Error::InvalidContent`] if too many messages are pinned already.
pub(crate) async fn pin(ctx: &Context, thread: ThreadId, message: MessageId, is_pinned: bool) -> Result<()> {
    let work = move |tx: &mut Tx<'_>, ours: &Origin| {
        let (author, id, _) = content_in(tx, thread, message)?;
        if is_pinned && !tx.may_pin(thread, message)? {
            return Err(InvalidContent::TooManyPinned.into());
        }
        tx.pin(message, ours, is_pinned)?;
        Ok(Some(Body::Pin(Pin { target: Target { author, id }, is_pinned })))
    };
    queue(ctx, thread, work).await.map(drop)
}

/// Deletes one of our messages for everyone, or, as an admin of a group, any message. One that has not been sent is removed, and nobody else learns of it.
///
/// # Errors
/// [`Error::NotFound`] if there is no such message, [`Error::WrongState`] if we may not delete it, or not any longer.
pub(crate) async fn delete_for_everyone(ctx: &Context, thread: ThreadId, message: MessageId) -> Result<()> {
    let limits = ctx.limits;
    let work = move |tx: &mut Tx<'_>, ours: &Origin| {
        let limits = limits_in(tx, thread, limits)?;
        let shown = tx.message(message)?.filter(|shown| shown.thread == thread).ok_or(Error::NotFound)?;
        if shown.sender == ours.author && tx.cancel(message)? {
            return Ok(None);
        }
        let (author, id, _) = tx.content_of(thread, message)?.ok_or(Error::WrongState)?;
        if !tx.delete_for_everyone(message, ours, limits)? {
            return Err(Error::WrongState);
        }
        let is_ours = author == ours.author;
        Ok(Some(if is_ours { Body::Delete(id) } else { Body::DeleteOf(Target { author, id }) }))
    };
    queue(ctx, thread, work).await.map(drop)
}

/// How long messages of a thread can be changed. The limits are for others, who have read them; in the note to self, there are none.
fn limits_in(rows: &Rows<'_>, thread: ThreadId, limits: ChangeLimits) -> Result<ChangeLimits> {
    Ok(match rows.kind(thread)? {
        Some(ThreadKind::NoteToSelf) => ChangeLimits::NONE,
        _ => limits,
    })
}

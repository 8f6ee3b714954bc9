//! Polls, and votes in them.

use super::queue::{content_in, queue, send_message};
use crate::content::{Body, Choices, Poll, Target, Vote};
use crate::context::Context;
use crate::error::{Error, InvalidContent, Result};
use crate::id::{MessageId, ThreadId};
use crate::message::Message;
use crate::store::{Origin, Tx};

/// Queues a poll.
///
/// # Errors
/// [`Error::InvalidContent`] if recipients would refuse it, [`Error::WrongState`] if the thread has no message yet.
pub(crate) async fn send_poll(
    ctx: &Context,
    thread: ThreadId,
    question: &str,
    options: Vec<String>,
    is_multiple: bool,
) -> Result<Message> {
    let poll = Poll::new(question.to_owned(), options, is_multiple).ok_or(InvalidContent::Poll)?;
    send_message(ctx, thread, move |_| Ok(Body::Poll(poll.clone()))).await
}

/// Replaces our vote in a poll of the same thread, or withdraws it.
///
/// # Errors
/// [`Error::NotFound`] if there is no such message, [`Error::WrongState`] if it is not a poll or has failed,
/// [`Error::InvalidContent`] if the poll does not allow these choices.
pub(crate) async fn vote(ctx: &Context, thread: ThreadId, poll: MessageId, choices: Vec<u32>) -> Result<()> {
    let choices = Choices::new(choices).ok_or(InvalidContent::Choices)?;
    let work = move |tx: &mut Tx<'_>, ours: &Origin| {
        let (author, id, Body::Poll(_)) = content_in(tx, thread, poll)? else {
            return Err(Error::WrongState);
        };
        if !tx.vote(poll, ours, &choices)? {
            return Err(InvalidContent::Choices.into());
        }
        Ok(Some(Body::Vote(Vote { target: Target { author, id }, choices: choices.clone() })))
    };
    queue(ctx, thread, work).await.map(drop)
}

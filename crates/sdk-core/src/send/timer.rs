//! The timer of a thread, after which its messages disappear.

use sealpost_wire::roster::Change;

use super::queue::queue;
use crate::content::{Body, Timer};
use crate::context::Context;
use crate::error::{Error, InvalidContent, Result};
use crate::group::change;
use crate::id::ThreadId;
use crate::store::{Origin, Tx};

/// Sets the timer of a thread for all its members. Does nothing if it is set to this already. In a group, it is in the roster.
///
/// # Errors
/// [`Error::NotFound`] if there is no such thread, [`Error::InvalidContent`] if it is too long; in a group, [`Error::WrongState`] if we may not.
pub(crate) async fn set_timer(ctx: &Context, thread: ThreadId, seconds: u32) -> Result<()> {
    let timer = Timer::new(seconds).ok_or(InvalidContent::Timer)?;
    let of_group = ctx
        .store
        .glance(move |rows| if rows.is_group(thread)? { rows.timer(thread).map(Some) } else { Ok(None) });
    match of_group.await? {
        Some(known) if known == timer => return Ok(()),
        Some(_) => return change::queue(ctx, thread, Change::Timer(seconds)).await,
        None => {}
    }
    let work = move |tx: &mut Tx<'_>, ours: &Origin| {
        if tx.thread(thread)?.is_none() {
            return Err(Error::NotFound);
        }
        if tx.timer(thread)? == timer {
            return Ok(None);
        }
        if !tx.has_begun(thread)? {
            tx.set_first_timer(thread, timer)?;
            return Ok(None);
        }
        tx.set_timer(ours, timer)?;
        Ok(Some(Body::Timer(timer)))
    };
    queue(ctx, thread, work).await.map(drop)
}

//! The timer of a thread, after which its messages disappear.

use super::queue::queue;
use crate::content::{Body, Timer};
use crate::context::Context;
use crate::error::{Error, InvalidContent, Result};
use crate::id::ThreadId;
use crate::store::{Origin, Tx};

/// Sets the timer of a thread for all its members. Does nothing if it is set to this already.
///
/// # Errors
/// [`Error::NotFound`] if there is no such thread, [`Error::InvalidContent`] if it is too long.
pub(crate) async fn set_timer(ctx: &Context, thread: ThreadId, seconds: u32) -> Result<()> {
    let timer = Timer::new(seconds).ok_or(InvalidContent::Timer)?;
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

//! Pages of a thread's history, each with what the oldest queued message of the thread is waiting for.

use crate::context::Context;
use crate::error::{Error, Result};
use crate::id::{MessageId, ThreadId};
use crate::message::{Page, Position};
use crate::send::wait;
use crate::store::Rows;

/// A page of history: the newest messages, or those before a position.
pub(crate) async fn page(
    ctx: &Context,
    thread: ThreadId,
    before: Option<Position>,
    limit: u32,
) -> Result<Page> {
    read(ctx, thread, move |rows| Ok(Some(rows.page(thread, before, limit)?))).await
}

/// A page of history after a position.
pub(crate) async fn page_after(ctx: &Context, thread: ThreadId, after: Position, limit: u32) -> Result<Page> {
    read(ctx, thread, move |rows| Ok(Some(rows.page_after(thread, after, limit)?))).await
}

/// A page of history around a message.
pub(crate) async fn page_around(
    ctx: &Context,
    thread: ThreadId,
    message: MessageId,
    limit: u32,
) -> Result<Page> {
    read(ctx, thread, move |rows| rows.page_around(thread, message, limit)).await
}

/// A page of messages with links.
pub(crate) async fn links(
    ctx: &Context,
    thread: ThreadId,
    before: Option<Position>,
    limit: u32,
) -> Result<Page> {
    read(ctx, thread, move |rows| Ok(Some(rows.links(thread, before, limit)?))).await
}

/// Reads a page, and what the oldest queued message of the thread is waiting for.
async fn read(
    ctx: &Context,
    thread: ThreadId,
    page: impl FnOnce(&Rows<'_>) -> Result<Option<Page>> + Send + 'static,
) -> Result<Page> {
    let both = ctx.store.glance(move |rows| Ok((page(rows)?, rows.first_waiting(thread)?)));
    let (page, first) = both.await?;
    let page = page.ok_or(Error::NotFound)?;
    Ok(Page { first_waiting: wait::first(ctx, thread, first), ..page })
}

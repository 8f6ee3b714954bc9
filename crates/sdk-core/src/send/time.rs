//! The time of the relay, which ids and the decision on what is due depend on.

use crate::context::Context;
use crate::error::Result;

/// If our clock was set, asks the relay for the time, because a message sealed with a wrong time would be refused.
pub(super) async fn set_clock(ctx: &Context) -> Result<()> {
    if ctx.clock_has_jumped() { ask_time(ctx).await } else { Ok(()) }
}

/// Asks the relay for the time, and stores the offset.
pub(super) async fn ask_time(ctx: &Context) -> Result<()> {
    let clocks = ctx.learn_server_time(ctx.transport.server_time().await?);
    let work = ctx.store.write(move |tx| {
        tx.set_clocks(clocks)?;
        // The due times were computed with the old clock.
        tx.hurry_lanes()
    });
    work.await
}

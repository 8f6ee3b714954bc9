//! Passes on to a new companion what the primary device knows, on either side. How far it is, is in the database, so it continues where an
//! earlier process has stopped.

use std::time::Duration;

use tokio::time::sleep;

use crate::context::Context;
use crate::error::Result;
use crate::health::Part;
use crate::receive::bootstrap::apply;
use crate::send::bootstrap::make;

/// After how long a companion looks whether it should ask again.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
const AFTER_ERROR: Duration = Duration::from_secs(10);

pub(crate) async fn run(ctx: Context) {
    let mut elsewhere = ctx.events.elsewhere();
    // Nothing is written before there is a connection.
    ctx.transport.online().await;
    loop {
        let outcome = step(&ctx).await;
        ctx.health.report(Part::Sending, &outcome);
        match outcome {
            Ok(true) => {}
            Ok(false) => tokio::select! {
                () = ctx.upkeep.bootstrap.notified() => {}
                // Another process may have received a piece, or sent one.
                Ok(()) = elsewhere.changed() => {}
                () = sleep(LONGEST_PAUSE) => {}
            },
            Err(error) => {
                tracing::warn!(%error, "the bootstrap of a companion does not go on");
                sleep(AFTER_ERROR).await;
            }
        }
    }
}

async fn step(ctx: &Context) -> Result<bool> {
    if !ctx.store.glance(|rows| rows.is_bootstrap_running()).await? {
        return Ok(false);
    }
    let (is_applied, is_made) = (apply(ctx).await?, make(ctx).await?);
    Ok(is_applied || is_made)
}

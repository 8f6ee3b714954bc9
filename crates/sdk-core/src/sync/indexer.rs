//! Feeds the search index when nothing else goes on.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::context::Context;

/// Messages in one transaction: short enough that nobody notices.
const BATCH: u32 = 200;
/// The database is left alone until nothing was told for this long.
const QUIET: Duration = Duration::from_millis(500);
const AFTER_ERROR: Duration = Duration::from_secs(10);

pub(crate) async fn run(ctx: Context) {
    let mut events = ctx.events.subscribe();
    loop {
        // Quiet means that no event came for a while.
        while let Ok(Some(_)) = timeout(QUIET, events.next()).await {}
        match ctx.store.write(|tx| tx.feed_index(BATCH)).await {
            // Nothing to do until something happens.
            Ok(0) if events.next().await.is_none() => return,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "the search index is not fed");
                sleep(AFTER_ERROR).await;
            }
        }
    }
}

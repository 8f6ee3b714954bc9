//! Keeps the search index up to date. Messages that arrive together are indexed together, soon after they arrived.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::context::Context;
use crate::error::Result;
use crate::event::Lagged;
use crate::health::Part;
use crate::store::{INDEX_BATCH, INDEX_MERGE};

/// How many merges follow each batch: more than a batch needs, so that the index stays in few segments.
const MERGES: u32 = 4;
/// How long to gather further messages after the first one. A person usually searches for older messages.
const GATHER: Duration = Duration::from_millis(300);
/// How long to gather while messages keep arriving. Each round writes and merges pages of the index, however few messages it adds.
const GATHER_MORE: Duration = Duration::from_secs(1);
const AFTER_ERROR: Duration = Duration::from_secs(10);

pub(crate) async fn run(ctx: Context) {
    let mut events = ctx.events.subscribe();
    // Gives priority to the first reads of the app.
    sleep(GATHER).await;
    loop {
        // Every change from here on causes another round.
        events.restart();
        let outcome = catch_up(&ctx).await;
        ctx.health.report(Part::Search, &outcome);
        if let Err(error) = outcome {
            tracing::warn!(%error, "the search index could not be updated");
            sleep(AFTER_ERROR).await;
            continue;
        }
        let up_to_date = Instant::now();
        match events.next().await {
            Some(Ok(_) | Err(Lagged(_))) if up_to_date.elapsed() < GATHER => sleep(GATHER_MORE).await,
            Some(Ok(_) | Err(Lagged(_))) => sleep(GATHER).await,
            None => return,
        }
    }
}

/// Indexes all new messages and merges the resulting segments, in steps between which others can use the writer. If there are none,
/// nothing is written: a merge that was interrupted is continued after the next message.
async fn catch_up(ctx: &Context) -> Result<()> {
    let mut merging = false;
    loop {
        let behind = ctx.store.glance(|rows| rows.index_is_behind()).await?;
        if behind {
            ctx.store.write_unflushed(|tx| tx.feed_index(INDEX_BATCH)).await?;
            merging = true;
        }
        for _ in 0..MERGES {
            merging = merging && ctx.store.write_unflushed(|tx| tx.merge_index(INDEX_MERGE)).await?;
        }
        if !behind && !merging {
            return Ok(());
        }
    }
}

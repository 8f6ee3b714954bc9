//! Keeps the search index up: what arrives together is indexed together, soon after it came.

use std::time::Duration;

use tokio::time::sleep;

use crate::context::Context;
use crate::error::Result;
use crate::event::Lagged;
use crate::health::Part;

/// Messages in one transaction: others wait for the writer no longer than that takes.
const BATCH: u32 = 100;
/// Pages of the index that are merged in one transaction, for the same reason.
const MERGED_PAGES: u32 = 16;
/// Merges after each batch: more than a batch gives to merge, so that the index stays in few pieces.
const MERGES: u32 = 4;
/// From the first message on, how long others may join it. A person searches for what came before that.
const GATHER: Duration = Duration::from_millis(300);
const AFTER_ERROR: Duration = Duration::from_secs(10);

pub(crate) async fn run(ctx: Context) {
    let mut events = ctx.events.subscribe();
    loop {
        // What comes from here on is told of.
        events.restart();
        let outcome = catch_up(&ctx).await;
        ctx.health.report(Part::Search, &outcome);
        if let Err(error) = outcome {
            tracing::warn!(%error, "the search index is not fed");
            sleep(AFTER_ERROR).await;
            continue;
        }
        match events.next().await {
            Some(Ok(_) | Err(Lagged(_))) => sleep(GATHER).await,
            None => return,
        }
    }
}

/// Indexes what there is and merges what that leaves, in steps between which others have the writer.
async fn catch_up(ctx: &Context) -> Result<()> {
    loop {
        let behind = ctx.store.read(|rows| rows.index_is_behind()).await?;
        if behind {
            ctx.store.write(|tx| tx.feed_index(BATCH)).await?;
        }
        let mut merging = true;
        for _ in 0..MERGES {
            merging = merging && ctx.store.write(|tx| tx.merge_index(MERGED_PAGES)).await?;
        }
        if !behind && !merging {
            return Ok(());
        }
    }
}

//! Accepts at the relay the threads that others began: until then the relay takes little for us in them.
//!
//! What is still to be accepted stands in the database from the transaction on in which we learn of a thread, until the
//! relay has answered.

use std::time::Duration;

use tokio::time::sleep;

use crate::account::tokens;
use crate::context::Context;
use crate::error::{Error, Offline, Result};
use crate::fault::{self, Station};
use crate::health::Part;
use crate::id::ThreadId;
use crate::send::backoff_ms;

/// Threads that are looked up at a time.
const BATCH: u32 = 100;
const LEAST_PAUSE_MS: u64 = 500;

pub(crate) async fn run(ctx: Context) {
    let mut elsewhere = ctx.events.elsewhere();
    let mut failures = 0;
    loop {
        ctx.transport.online().await;
        let outcome = accept_some(&ctx).await;
        ctx.health.report(Part::Acceptance, &outcome);
        match outcome {
            Ok(Done::Nothing) => {
                failures = 0;
                tokio::select! {
                    () = ctx.upkeep.to_accept.notified() => {}
                    // Another process may have learnt of a thread.
                    Ok(()) = elsewhere.changed() => {}
                }
            }
            Ok(Done::Some) => failures = 0,
            Err(error) => {
                tracing::debug!(%error, "a thread is not accepted yet");
                failures = u32::saturating_add(failures, 1);
                let wait_ms = backoff_ms(&ctx.env, failures).saturating_add(LEAST_PAUSE_MS);
                sleep(Duration::from_millis(wait_ms)).await;
            }
        }
    }
}

enum Done {
    Nothing,
    Some,
}

/// One that the relay refuses, for whatever reason, does not keep the others waiting.
async fn accept_some(ctx: &Context) -> Result<Done> {
    let threads = ctx.store.read(|rows| rows.threads_to_accept(BATCH)).await?;
    if threads.is_empty() {
        return Ok(Done::Nothing);
    }
    let mut refused = None;
    for thread in threads {
        match accept(ctx, thread).await {
            Ok(()) => {}
            Err(error @ Error::Offline(Offline::Refused(_))) => refused = Some(error),
            Err(error) => return Err(error),
        }
    }
    refused.map_or(Ok(Done::Some), Err)
}

async fn accept(ctx: &Context, thread: ThreadId) -> Result<()> {
    fault::at(Station::AcceptBeforeCall);
    let asked =
        tokens::with_access(ctx, |http, token| async move { http.accept_thread(&token, thread).await });
    match asked.await {
        // A relay that knows no such thread, or no such call, keeps nothing back for it.
        Ok(()) | Err(Error::NotFound) => {}
        Err(error) => return Err(error),
    }
    fault::at(Station::AcceptAnswered);
    ctx.store.write(move |tx| tx.set_accepted(thread)).await
}

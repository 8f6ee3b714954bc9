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
use crate::transport::CreatedThread;

/// Threads that are looked up at a time.
const BATCH: u32 = 100;
const LEAST_PAUSE_MS: u64 = 500;
/// The status of a refusal because the other member has deleted their account.
const GONE: u16 = 410;

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
    let (mut last, mut refused) = (None, None);
    loop {
        let threads = ctx.store.read(move |rows| rows.threads_to_accept(last, BATCH)).await?;
        let Some(newest) = threads.last().copied() else { break };
        for thread in threads {
            match accept(ctx, thread).await {
                Ok(()) => {}
                // Also one whose other member a restored relay does not know yet.
                Err(error @ (Error::Offline(Offline::Refused(_)) | Error::NotFound)) => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        last = Some(newest);
    }
    match (last, refused) {
        (_, Some(error)) => Err(error),
        (None, None) => Ok(Done::Nothing),
        (Some(_), None) => Ok(Done::Some),
    }
}

async fn accept(ctx: &Context, thread: ThreadId) -> Result<()> {
    fault::at(Station::AcceptBeforeCall);
    let asked =
        tokens::with_access(ctx, |http, token| async move { http.accept_thread(&token, thread).await });
    let is_there = match asked.await {
        Ok(()) => true,
        Err(Error::NotFound) => open_again(ctx, thread).await?,
        Err(error) => return Err(error),
    };
    fault::at(Station::AcceptAnswered);
    let noted = ctx.store.write(move |tx| {
        if is_there {
            tx.set_accepted(thread)?
        } else {
            tx.set_superseded(thread)?
        }
        // What waited for the thread is sent, or refused for good.
        tx.hurry_lanes()
    });
    noted.await?;
    ctx.outbox.notify_one();
    Ok(())
}

/// The relay does not know the thread: it was restored from a backup. Whether it has it again; otherwise these two have
/// another one by now, or one of them is no more.
async fn open_again(ctx: &Context, thread: ThreadId) -> Result<bool> {
    let Some(known) = ctx.store.read(move |rows| rows.thread(thread)).await? else { return Ok(false) };
    let opened = tokens::with_access(ctx, |http, token| async move {
        http.create_direct_thread(&token, known.peer, Some(thread)).await
    });
    match opened.await {
        Ok(CreatedThread::New(made)) => Ok(made.thread_id == thread.as_bytes()[..]),
        Ok(CreatedThread::Existing(existing)) => Ok(existing == thread),
        Err(Error::Offline(Offline::Refused(GONE))) => Ok(false),
        Err(error) => Err(error),
    }
}

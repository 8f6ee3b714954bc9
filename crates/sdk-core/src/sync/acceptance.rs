//! Accepts threads that others started, at the relay, once the person has accepted them here. Until then, the relay stores only a
//! few of their messages.
//!
//! The database records that a thread is to be accepted until the relay has answered.

use std::time::Duration;

use tokio::time::sleep;

use super::blocks;
use crate::account::tokens;
use crate::context::Context;
use crate::error::{Error, Offline, Result};
use crate::fault::{self, Station};
use crate::health::Part;
use crate::id::ThreadId;
use crate::send::backoff_ms;
use crate::transport::CreatedThread;

/// How many threads are read at a time.
const BATCH: u32 = 100;
const LEAST_PAUSE_MS: u64 = 500;
/// HTTP 410: the other member has deleted their account.
const GONE: u16 = 410;

pub(crate) async fn run(ctx: Context) {
    let mut elsewhere = ctx.events.elsewhere();
    let mut failures = 0;
    loop {
        ctx.transport.online().await;
        let outcome = tell_and_accept(&ctx).await;
        ctx.health.report(Part::Acceptance, &outcome);
        match outcome {
            Ok(Done::Nothing) => {
                failures = 0;
                tokio::select! {
                    () = ctx.upkeep.to_accept.notified() => {}
                    // Another process may have created a thread.
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

/// Tells the relay first who is blocked.
async fn tell_and_accept(ctx: &Context) -> Result<Done> {
    blocks::tell(ctx).await?;
    accept_some(ctx).await
}

/// Accepts all threads that are to be accepted. One that the relay refuses does not delay the others.
async fn accept_some(ctx: &Context) -> Result<Done> {
    let (mut last, mut refused) = (None, None);
    loop {
        let threads = ctx.store.read(move |rows| rows.threads_to_accept(last, BATCH)).await?;
        let Some(newest) = threads.last().copied() else { break };
        for thread in threads {
            match accept(ctx, thread).await {
                Ok(()) => {}
                // A restored relay may not know the other member yet.
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
    let exists = match asked.await {
        Ok(()) => true,
        Err(Error::NotFound) => open_again(ctx, thread).await?,
        Err(error) => return Err(error),
    };
    fault::at(Station::AcceptAnswered);
    let noted = ctx.store.write(move |tx| {
        if exists {
            tx.set_accepted(thread)?
        } else {
            tx.set_superseded(thread)?
        }
        // Messages that waited for this are sent, or fail.
        tx.hurry_lanes()
    });
    noted.await?;
    ctx.upkeep.news.notify_one();
    ctx.outbox.notify_one();
    Ok(())
}

/// Opens a thread again that the relay does not know, because it was restored from a backup, or because it is the note to self and had no
/// recipients before. Returns false if the two
/// members have another thread by now, or if one of them has deleted their account.
async fn open_again(ctx: &Context, thread: ThreadId) -> Result<bool> {
    let peer = ctx.store.read(move |rows| Ok(rows.thread(thread)?.and_then(|thread| thread.peer)));
    let Some(peer) = peer.await? else { return Ok(false) };
    let opened = tokens::with_access(ctx, |http, token| async move {
        http.create_direct_thread(&token, peer, Some(thread)).await
    });
    match opened.await {
        Ok(CreatedThread::New(made)) => Ok(made.thread_id == thread.as_bytes()[..]),
        Ok(CreatedThread::Existing(existing)) => Ok(existing == thread),
        Err(Error::Offline(Offline::Refused(GONE))) => Ok(false),
        Err(error) => Err(error),
    }
}

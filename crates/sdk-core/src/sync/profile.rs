//! Sends our profile, as mail, to the threads that have not had its present version and may have it.

use std::time::Duration;

use tokio::time::sleep;

use crate::content::Body;
use crate::context::Context;
use crate::error::Result;
use crate::store::{NewMail, PROFILE_SLOT, Rows};

/// How many threads are served in one transaction.
const BATCH: u32 = 32;
/// The pause after a failure.
const RETRY: Duration = Duration::from_secs(30);

pub(crate) async fn run(ctx: Context) {
    let mut elsewhere = ctx.events.elsewhere();
    loop {
        if let Err(error) = queue_all(&ctx).await {
            tracing::warn!(%error, "the profile is not sent yet");
            sleep(RETRY).await;
            continue;
        }
        tokio::select! {
            () = ctx.upkeep.profile.notified() => {}
            // Another process may have added a thread.
            Ok(()) = elsewhere.changed() => {}
        }
    }
}

async fn queue_all(ctx: &Context) -> Result<()> {
    while ctx.store.glance(is_due).await? {
        let ctx_in_tx = ctx.clone();
        let work = ctx.store.write(move |tx| {
            let us = tx.our_account()?.1.user;
            let Some(profile) = tx.profile(us)? else { return Ok(()) };
            for thread in tx.threads_for_profile(BATCH)? {
                for to in tx.others(thread)? {
                    let new = NewMail {
                        thread,
                        to,
                        slot: Some(PROFILE_SLOT),
                        content_id: ctx_in_tx.new_client_msg_id(),
                        sent_ms: ctx_in_tx.server_now_ms(),
                        body: Body::Profile(profile.clone()),
                        due_ms: 0,
                    };
                    ctx_in_tx.queue_mail(tx, &new)?;
                }
                tx.set_profile_queued(thread)?;
            }
            Ok(())
        });
        work.await?;
    }
    Ok(())
}

/// Whether we have a profile, and a thread has not got it.
fn is_due(rows: &Rows<'_>) -> Result<bool> {
    let us = rows.our_account()?.1.user;
    Ok(rows.profile(us)?.is_some() && !rows.threads_for_profile(1)?.is_empty())
}

//! Tells our other devices what the person has decided on this one. What is to be told is in the database; the mail that tells it is filled when
//! it is sealed, so that one is enough for many changes.

use std::time::Duration;

use tokio::time::sleep;

use crate::content::{AccountState, Body};
use crate::context::Context;
use crate::error::Result;
use crate::health::Part;
use crate::store::{NewMail, STATE_SLOT, note_to_self};

/// At least this time passes between two contents, so that a draft is not told with each key.
const PACE: Duration = Duration::from_secs(3);

pub(crate) async fn run(ctx: Context) {
    let mut elsewhere = ctx.events.elsewhere();
    loop {
        // Nothing is written before there is a connection.
        ctx.transport.online().await;
        let outcome = queue(&ctx).await;
        ctx.health.report(Part::Sending, &outcome);
        if let Err(error) = outcome {
            tracing::warn!(%error, "our other devices are not told what has changed");
        }
        sleep(PACE).await;
        tokio::select! {
            () = ctx.events.state_noted() => {}
            // Another process may have changed something.
            Ok(()) = elsewhere.changed() => {}
        }
    }
}

/// Queues mail for our other devices if they are to be told something.
async fn queue(ctx: &Context) -> Result<()> {
    if !ctx.store.glance(|rows| rows.is_state_due()).await? {
        return Ok(());
    }
    let ctx_in_tx = ctx.clone();
    let work = ctx.store.write(move |tx| {
        let (us, sent_ms) = (tx.our_account()?.1.user, ctx_in_tx.server_now_ms());
        let new = NewMail {
            thread: note_to_self(us),
            to: us,
            slot: Some(STATE_SLOT),
            content_id: ctx_in_tx.new_client_msg_id(),
            sent_ms,
            body: Body::AccountState(AccountState::default()),
            due_ms: 0,
        };
        ctx_in_tx.queue_mail(tx, &new)
    });
    work.await
}

//! Records what read receipts say of messages that were marked as read together with very many others, some of them in each
//! transaction. What is still to be recorded is in the database, and is continued when the client is opened again.

use std::time::Duration;

use tokio::time::sleep;

use crate::context::Context;
use crate::health::Part;
use crate::thread::note_due_read;

const AFTER_ERROR: Duration = Duration::from_secs(10);

pub(crate) async fn run(ctx: Context) {
    let mut elsewhere = ctx.events.elsewhere();
    loop {
        let outcome = note_due_read(&ctx).await;
        ctx.health.report(Part::Sending, &outcome);
        match outcome {
            Ok(true) => {}
            Ok(false) => tokio::select! {
                () = ctx.upkeep.receipts_due.notified() => {}
                // Another process may have marked messages as read.
                Ok(()) = elsewhere.changed() => {}
            },
            Err(error) => {
                tracing::warn!(%error, "read receipts are not queued");
                sleep(AFTER_ERROR).await;
            }
        }
    }
}

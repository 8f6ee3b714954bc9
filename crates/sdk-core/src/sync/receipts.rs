//! Queues the read receipts of messages that were marked as read together with very many others, one receipt in each transaction.
//! What is still to be queued is in the database, and is continued when the client is opened again.

use std::time::Duration;

use tokio::time::sleep;

use crate::context::Context;
use crate::health::Part;
use crate::thread::queue_due_receipt;

const AFTER_ERROR: Duration = Duration::from_secs(10);

pub(crate) async fn run(ctx: Context) {
    let mut elsewhere = ctx.events.elsewhere();
    loop {
        let outcome = queue_due_receipt(&ctx).await;
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

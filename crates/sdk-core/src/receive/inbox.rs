//! Envelopes that arrive: each batch is processed in one transaction and acknowledged afterwards.

use sealpost_wire as wire;

use super::batch::{Confirm, Finished, in_batch};
use super::envelope::{Envelope, place};
use crate::context::Context;
use crate::error::Result;
use crate::fault::{self, Station};
use crate::id::InvalidId;
use crate::store::{Durable, Tx};
use crate::transport::EnvelopeId;

/// Maximum number of envelopes in one transaction.
pub(crate) const BATCH: usize = 256;

/// Opens, applies and stores a batch. The returned envelope ids may be acknowledged.
///
/// # Errors
/// [`Error::Storage`](crate::Error::Storage): nothing of the batch has happened, and the relay will deliver it again.
pub(crate) async fn receive(
    ctx: &Context,
    batch: Vec<wire::Deliver>,
    confirm: Confirm,
) -> Result<Durable<Vec<EnvelopeId>>> {
    fault::at(Station::Arrive);
    let ctx_in_tx = ctx.clone();
    let mut rng = ctx.env.rng();
    let work = move |tx: &mut Tx<'_>| {
        let mut handled = Vec::with_capacity(batch.len());
        let finished = in_batch(&ctx_in_tx, tx, confirm, |work| {
            for deliver in &batch {
                // An envelope without a valid position cannot be acknowledged, and one without a valid sender can only
                // be acknowledged: the relay is broken.
                let Ok(place) = place(deliver) else {
                    tracing::warn!("the relay delivered an envelope without a position");
                    continue;
                };
                let server_ms = ctx_in_tx.time_of_hlc(deliver.hlc);
                match Envelope::parse(place, deliver.clone(), server_ms) {
                    Ok(envelope) => work.handle_or_defer(&envelope, &mut rng)?,
                    Err(InvalidId) => tracing::warn!("the relay delivered an envelope without a sender"),
                }
                handled.push(place);
            }
            Ok(())
        });
        let finished = finished?;
        fault::at(Station::ApplyBeforeCommit);
        Ok((tx.durable(handled), finished))
    };
    let (handled, finished) = ctx.store.write_repeatable(work).await?;
    fault::at(Station::ApplyAfterCommit);
    wake(ctx, finished);
    Ok(handled)
}

/// Wakes the parts of the client that have something to do after a transaction.
pub(super) fn wake(ctx: &Context, finished: Finished) {
    if finished.begun {
        ctx.upkeep.to_accept.notify_one();
    }
    if finished.retry {
        ctx.upkeep.to_retry.notify_one();
    }
    if finished.queued {
        ctx.outbox.notify_one();
    }
}

//! Envelopes that arrive: each batch is processed in one transaction and acknowledged afterwards.

use sealpost_wire as wire;

use super::batch::{Confirm, Finished, in_batch};
use super::envelope::{Envelope, MailEnvelope, place};
use crate::context::Context;
use crate::error::Result;
use crate::fault::{self, Station};
use crate::id::InvalidId;
use crate::store::{Durable, Tx};
use crate::transport::Handled;

/// Maximum number of envelopes in one transaction.
pub(crate) const BATCH: usize = 256;

/// What the relay delivers.
#[derive(Debug, Clone)]
pub(crate) enum Delivered {
    Post(wire::Deliver),
    Mail(wire::DeliverMail),
}

/// Opens, applies and stores a batch. What is returned may be acknowledged. `confirm` queues the receipts, and is told whether more
/// messages may follow at once.
///
/// # Errors
/// [`Error::Storage`](crate::Error::Storage): nothing of the batch has happened, and the relay will deliver it again.
pub(crate) async fn receive(
    ctx: &Context,
    batch: Vec<Delivered>,
    confirm: (Confirm, bool),
) -> Result<Durable<Handled>> {
    fault::at(Station::Arrive);
    let ctx_in_tx = ctx.clone();
    let mut rng = ctx.env.rng();
    let work = move |tx: &mut Tx<'_>| {
        let mut handled = Handled::default();
        let finished = in_batch(&ctx_in_tx, tx, confirm, |work| {
            for delivered in &batch {
                match delivered {
                    Delivered::Post(deliver) => {
                        // An envelope without a valid position cannot be acknowledged, and one without a valid sender can only
                        // be acknowledged: the relay is broken.
                        let Ok(place) = place(deliver) else {
                            tracing::warn!("the relay delivered an envelope without a position");
                            continue;
                        };
                        let server_ms = ctx_in_tx.time_of_hlc(deliver.hlc);
                        match Envelope::parse(place, deliver.clone(), server_ms) {
                            Ok(envelope) => work.handle_or_defer(&envelope, &mut rng)?,
                            Err(InvalidId) => {
                                tracing::warn!("the relay delivered an envelope without a sender")
                            }
                        }
                        handled.posts.push(place);
                    }
                    Delivered::Mail(mail) => {
                        match MailEnvelope::parse(mail.clone()) {
                            Ok(envelope) => work.handle_or_defer_mail(&envelope, &mut rng)?,
                            Err(InvalidId) => tracing::warn!("the relay delivered mail without a sender"),
                        }
                        handled.mail.extend((mail.mail_seq != 0).then_some(mail.mail_seq));
                    }
                }
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

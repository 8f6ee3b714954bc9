//! Tries envelopes again that could not be processed because of a fault on this side.

use sealpost_wire as wire;
use sealpost_wire::frame::Body;

use super::batch::{Finished, in_batch};
use super::envelope::{AnyEnvelope, Envelope, MailEnvelope, place};
use super::inbox::wake;
use crate::context::Context;
use crate::error::Result;
use crate::fault::{self, Station};
use crate::store::{Deferred, Tx, VERSION};
use crate::thread::queue_delivery_receipt;

/// Tries the deferred envelopes when the client starts, and whenever something has changed for some of them.
pub(crate) async fn run(ctx: Context) {
    let mut elsewhere = ctx.events.elsewhere();
    if let Err(error) = begin(&ctx).await {
        tracing::warn!(%error, "the deferred envelopes could not be read");
    }
    loop {
        elsewhere.borrow_and_update();
        if let Err(error) = retry(&ctx).await {
            tracing::warn!(%error, "deferred envelopes could not be tried again");
        }
        tokio::select! {
            () = ctx.upkeep.to_retry.notified() => {}
            // Another process may have stored the session that some wait for.
            Ok(()) = elsewhere.changed() => {}
        }
    }
}

async fn begin(ctx: &Context) -> Result<()> {
    if !ctx.store.glance(|rows| rows.has_deferred()).await? {
        return Ok(());
    }
    let now_ms = ctx.server_now_ms();
    ctx.store.write(move |tx| tx.retry_deferred(VERSION, now_ms)).await
}

/// Tries each envelope that is due in a transaction of its own.
pub(crate) async fn retry(ctx: &Context) -> Result<()> {
    while ctx.store.glance(|rows| rows.has_due_deferred()).await? {
        let now_ms = ctx.server_now_ms();
        let claimed = ctx.store.write(move |tx| tx.claim_deferred(now_ms)).await?;
        let Some(deferred) = claimed else { return Ok(()) };
        fault::at(Station::RetryBeforeOpen);
        let ctx_in_tx = ctx.clone();
        let work = move |tx: &mut Tx<'_>| {
            let finished = try_again(&ctx_in_tx, tx, &deferred)?;
            fault::at(Station::RetryBeforeCommit);
            Ok(finished)
        };
        let finished = ctx.store.write(work).await?;
        fault::at(Station::RetryAfterCommit);
        wake(ctx, finished);
    }
    Ok(())
}

fn try_again(ctx: &Context, tx: &mut Tx<'_>, deferred: &Deferred) -> Result<Finished> {
    let mut rng = ctx.env.rng();
    let envelope = parse(ctx, deferred);
    in_batch(ctx, tx, (queue_delivery_receipt, false), |work| {
        work.try_again(deferred, envelope.as_ref(), &mut rng)
    })
}

fn parse(ctx: &Context, deferred: &Deferred) -> Option<AnyEnvelope> {
    let frame: wire::Frame = wire::decode(deferred.bytes.clone().into()).ok()?;
    match frame.body? {
        Body::Deliver(deliver) => {
            let (place, server_ms) = (place(&deliver).ok()?, ctx.time_of_hlc(deliver.hlc));
            Envelope::parse(place, deliver, server_ms).ok().map(AnyEnvelope::Post)
        }
        Body::DeliverMail(mail) => MailEnvelope::parse(mail).ok().map(AnyEnvelope::Mail),
        _ => None,
    }
}

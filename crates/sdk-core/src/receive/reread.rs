//! Reads contents again that another version of the library did not understand.

use super::apply::{Applying, apply_change, apply_to};
use crate::config::ChangeLimits;
use crate::content::Body;
use crate::context::Context;
use crate::error::Result;
use crate::store::{Kept, Tx, VERSION};

/// How many contents are read in one transaction.
const BATCH: u32 = 64;

/// Does nothing if there are none, which is the case except after the version has changed.
pub(crate) async fn run(ctx: Context) {
    if let Err(error) = read_all(&ctx).await {
        tracing::warn!(%error, "the contents of another version could not be read");
    }
}

async fn read_all(ctx: &Context) -> Result<()> {
    while ctx.store.glance(|rows| rows.has_unknown_of_other_versions(VERSION)).await? {
        let now = (ctx.server_now_ms(), ctx.limits);
        ctx.store.write(move |tx| reread(tx, VERSION, now)).await?;
    }
    Ok(())
}

fn reread(tx: &mut Tx<'_>, version: &str, now: (u64, ChangeLimits)) -> Result<()> {
    for kept in tx.claim_unknown(version, BATCH)? {
        let part = tx.begin_part()?;
        match reread_one(tx, &kept, now) {
            Ok(()) => tx.keep_part(part)?,
            Err(error) => {
                tracing::warn!(%error, "a content of another version could not be read");
                tx.undo_part(part)?;
            }
        }
    }
    Ok(())
}

fn reread_one(tx: &mut Tx<'_>, kept: &Kept, now: (u64, ChangeLimits)) -> Result<()> {
    let (origin, message) = (&kept.origin, kept.message);
    let (_, us) = tx.our_account()?;
    let (is_from_us, is_group) = (origin.author == us.user, tx.is_group(origin.thread)?);
    match (Body::from_bytes(&kept.body), message) {
        // It was kept as a kind that is accepted, and is another one.
        (Ok(body), message) if !body.kind().is_accepted(is_from_us, is_group) => match message {
            Some(message) => tx.reject_unknown(message),
            None => tx.forget_unknown(kept, origin.thread),
        },
        // Still not understood; the row says by which version.
        (Ok(Body::Unknown(_)), _) => Ok(()),
        (Err(_), Some(message)) => tx.reject_unknown(message),
        (Ok(body), Some(message)) if body.kind().is_shown() => {
            tx.understand(message, &body)?;
            apply_to(tx, origin, now)
        }
        (Ok(body), _) => {
            tx.forget_unknown(kept, origin.thread)?;
            apply_change(tx, &Applying { origin: *origin, now_ms: now.0, limits: now.1 }, body)
        }
        (Err(_), None) => tx.forget_unknown(kept, origin.thread),
    }
}

#[cfg(test)]
mod tests;

//! A companion applies the pieces of a bootstrap that have come, one in each transaction, and asks for it, again if it does not come.

use super::apply::apply_to;
use crate::account::bootstrap::{apply_next, ask, queue};
use crate::context::Context;
use crate::error::Result;
use crate::fault::{self, Station};
use crate::store::Tx;

/// After how long without a piece it asks again, in milliseconds.
const ASK_AGAIN_MS: u64 = 3_600_000;

/// Does one step. Returns whether there may be more to do now.
pub(crate) async fn apply(ctx: &Context) -> Result<bool> {
    let look = ctx.store.glance(|rows| {
        let Some(incoming) = rows.incoming_bootstrap()?.filter(|incoming| !incoming.is_done) else {
            return Ok(None);
        };
        let is_here = rows.has_kept_piece(incoming.applied.saturating_add(1))?;
        Ok(Some((is_here, incoming.asked_ms)))
    });
    let now_ms = ctx.server_now_ms();
    let in_tx = ctx.clone();
    match look.await? {
        Some((true, _)) => {
            let is_applied = ctx.store.write(move |tx| apply_one(&in_tx, tx, now_ms)).await?;
            fault::at(Station::BootstrapApplyAfterCommit);
            Ok(is_applied)
        }
        Some((false, asked_ms)) if is_time_to_ask(asked_ms, now_ms) => {
            let work = ctx.store.write(move |tx| {
                let (_, us) = tx.our_account()?;
                let Some(body) = ask(tx, us.device, now_ms)? else { return Ok(()) };
                queue(&in_tx, tx, body)
            });
            work.await.map(|()| true)
        }
        Some((false, _)) | None => Ok(false),
    }
}

/// The time may have been wrong when it asked, or when the last piece came, so a time in the future counts as well.
const fn is_time_to_ask(asked_ms: u64, now_ms: u64) -> bool {
    now_ms.abs_diff(asked_ms) >= ASK_AGAIN_MS
}

fn apply_one(ctx: &Context, tx: &mut Tx<'_>, now_ms: u64) -> Result<bool> {
    let (_, us) = tx.our_account()?;
    let Some(applied) = apply_next(tx, us, now_ms)? else { return Ok(false) };
    for origin in &applied.added {
        apply_to(tx, origin, (now_ms, ctx.limits))?;
    }
    if let Some(answer) = applied.answer {
        queue(ctx, tx, answer)?;
    }
    let wake = ctx.clone();
    let has_started_timers = tx.has_started_timers();
    tx.after_commit(move || {
        // There may be groups whose members are not known.
        wake.upkeep.rosters.notify_one();
        if has_started_timers {
            wake.upkeep.timers.notify_one();
        }
    });
    fault::at(Station::BootstrapApplyBeforeCommit);
    Ok(true)
}

#[cfg(test)]
mod tests;

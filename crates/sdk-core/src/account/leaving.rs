//! Leaving the account, by logging out or by deleting it.
//!
//! The decision is durable before the relay is told. Telling the relay is repeated until it has answered, in this
//! process or in a later one.

use std::time::Duration;

use tokio::time::sleep;

use super::tokens;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::fault::{self, Station};
use crate::store::{AccountStatus, LeaveRequest};

/// The pause before the second attempt. It doubles with each further attempt.
const FIRST_PAUSE_MS: u64 = 1_000;
const LONGEST_PAUSE_MS: u64 = 300_000;

/// Leaves the account: from now on this device has no keys, and the relay will be told.
pub(crate) async fn leave(
    ctx: &Context,
    request: LeaveRequest,
    keeps_history: bool,
) -> Result<AccountStatus> {
    let status = ctx.store.write(move |tx| tx.leave(request, keeps_history)).await?;
    fault::at(Station::LeaveAfterCommit);
    // Views must be read again, because what they show has changed.
    let newest = ctx.events.newest();
    ctx.events.publish_elsewhere(newest);
    Ok(status)
}

/// Tells the relay once. It is safe to tell it again.
pub(crate) async fn tell(ctx: &Context) -> Result<()> {
    let read = ctx.store.read(|rows| match rows.stored_account()?.0 {
        Some(account) => Ok(Some((account, rows.holds_account_key()?))),
        None => Ok(None),
    });
    let Some((account, is_primary)) = read.await? else { return Ok(()) };
    let device = account.registered.device;
    let AccountStatus::Leaving(request) = account.status else { return Ok(()) };
    let told = tokens::with_access(ctx, |http, token| async move {
        match request {
            // A companion leaves the account, and the primary device signs a list without it.
            LeaveRequest::LogOut if !is_primary => http.revoke_device(&token, device).await,
            LeaveRequest::LogOut => http.log_out(&token).await,
            LeaveRequest::DeleteAccount => http.delete_account(&token).await,
        }
    });
    match told.await {
        // A relay that no longer accepts this device has nothing left to end. It gives the same answer after a
        // deletion whose first answer was lost.
        Ok(()) | Err(Error::Unauthorized | Error::UnknownDevice | Error::Unlinked | Error::NotFound) => {}
        Err(error) => return Err(error),
    }
    fault::at(Station::LeaveAnswered);
    ctx.store.write(|tx| tx.set_left()).await
}

/// Tells the relay, repeatedly if needed, until it has answered.
pub(crate) async fn run(ctx: Context) {
    let mut pause_ms = FIRST_PAUSE_MS;
    let mut hints = ctx.transport.hints.listen();
    while let Err(error) = tell(&ctx).await {
        tracing::debug!(%error, "the relay was not told that the account was left");
        let wait_ms = pause_ms.saturating_add(ctx.env.jitter(pause_ms));
        tokio::select! {
            () = sleep(Duration::from_millis(wait_ms)) => pause_ms = pause_ms.saturating_mul(2).min(LONGEST_PAUSE_MS),
            () = hints.hint() => pause_ms = FIRST_PAUSE_MS,
        }
    }
}

//! Tells the relay who is blocked, and who is no longer.
//!
//! The database records that the relay is to be told in the transaction that blocks somebody, until the relay has answered. After it
//! was restored from a backup, it is told again.

use crate::account::tokens;
use crate::context::Context;
use crate::error::{Error, Offline, Result};
use crate::store::DueBlock;

/// How many are read at a time.
const BATCH: u32 = 100;
/// HTTP 409: as many users are blocked as the relay allows. The others are blocked on this device only.
const TOO_MANY: u16 = 409;

/// Tells the relay of all blocks that it does not know.
///
/// # Errors
/// Some are still to be told.
pub(super) async fn tell(ctx: &Context) -> Result<()> {
    let mut last = None;
    loop {
        let due = ctx.store.read(move |rows| rows.due_blocks(last, BATCH)).await?;
        let Some(newest) = due.last() else { return Ok(()) };
        last = Some(newest.user);
        for block in due {
            let DueBlock { user, is_blocked } = block;
            let told = tokens::with_access(ctx, |http, token| async move {
                http.set_blocked(&token, user, is_blocked).await
            });
            match told.await {
                Ok(()) => {}
                Err(Error::Offline(Offline::Refused(TOO_MANY))) => {
                    tracing::warn!("the relay blocks no more users; this one is blocked on this device only");
                }
                Err(error) => return Err(error),
            }
            ctx.store.write(move |tx| tx.set_block_told(block)).await?;
        }
    }
}

//! Fetches the entries of a group that are missing here.

use crate::account::tokens;
use crate::context::Context;
use crate::error::{Error, Offline, Result};
use crate::group::entries::{EntryPlace, Follower, Taken};
use crate::id::ThreadId;

/// What the relay has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// Everything that it has.
    All,
    /// It does not show the chain to us: we are neither a member nor invited, or it has lost the group.
    Hidden,
    /// What it shows does not continue what is here.
    Contradicts,
}

/// Fetches the entries after the newest one here, and takes them.
///
/// # Errors
/// The relay cannot be reached, or [`Error::Storage`].
pub(crate) async fn fetch(ctx: &Context, thread: ThreadId) -> Result<Fetched> {
    loop {
        let after =
            ctx.store.glance(move |rows| Ok(rows.roster_state(thread)?.map_or(0, |state| state.version)));
        let after = after.await?;
        let page = tokens::with_access(ctx, |http, token| async move {
            http.roster(&token, (thread, after), None).await
        });
        let page = match page.await {
            Ok(page) => page,
            Err(Error::NotFound) => return Ok(Fetched::Hidden),
            Err(error) => return Err(error),
        };
        let (has_more, count, time) = (page.more, page.rows.len(), ctx.clone());
        let work = ctx.store.write(move |tx| {
            let mut follower = Follower::of(tx, thread)?;
            let (mut is_new, mut is_refused) = (false, false);
            for row in page.rows {
                let place = EntryPlace {
                    epoch: page.epoch,
                    server_seq: row.server_seq,
                    now_ms: time.time_of_hlc(row.hlc),
                };
                let taken = follower.take(tx, &row.entry, place)?;
                is_new |= taken == Taken::Next;
                is_refused |= matches!(taken, Taken::Refused | Taken::Early);
            }
            Ok((is_new, is_refused))
        });
        let (is_new, is_refused) = work.await?;
        if is_refused {
            return Ok(Fetched::Contradicts);
        }
        if !has_more {
            return Ok(Fetched::All);
        }
        if count == 0 || !is_new {
            // It says that there is more, and shows nothing.
            return Err(Offline::NotARelay.into());
        }
    }
}

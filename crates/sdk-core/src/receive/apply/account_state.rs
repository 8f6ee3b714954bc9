//! Another device of ours says what the person has decided. It leaves no row of its own, and a second copy changes nothing.

use crate::content::{AccountState, ListDigest};
use crate::error::Result;
use crate::id::UserId;
use crate::store::{Rows, Tx};

/// The relay has received it at `came_ms`. `list` is the newest list of our account that its author had.
pub(super) fn apply(
    tx: &mut Tx<'_>,
    us: UserId,
    (state, list): (&AccountState, Option<&ListDigest>),
    (came_ms, now_ms): (u64, u64),
) -> Result<()> {
    let is_told_again = is_told_again(tx, us, list)?;
    for item in &state.items {
        tx.merge_state(item, came_ms, now_ms)?;
        if is_told_again {
            tx.tell_again(&item.key)?;
        }
    }
    Ok(())
}

/// Whether a new companion may miss it: its author may not have sealed it for that device, which may have its bootstrap already. The
/// primary device, which gives the bootstrap, tells it once more.
fn is_told_again(rows: &Rows<'_>, us: UserId, list: Option<&ListDigest>) -> Result<bool> {
    if !rows.holds_account_key()? {
        return Ok(false);
    }
    let known = rows.known_list(us)?.map_or(0, |known| known.version);
    let is_behind = list.is_none_or(|list| list.version < known);
    Ok(is_behind || !rows.outgoing_bootstraps()?.is_empty())
}

#[cfg(test)]
mod tests;

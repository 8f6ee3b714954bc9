//! Another device of ours says what the person has decided. It leaves no row of its own, and a second copy changes nothing.

use crate::content::AccountState;
use crate::error::Result;
use crate::store::Tx;

/// The relay has received it at `came_ms`.
pub(super) fn apply(tx: &mut Tx<'_>, state: &AccountState, (came_ms, now_ms): (u64, u64)) -> Result<()> {
    state.items.iter().try_for_each(|item| tx.merge_state(item, came_ms, now_ms))
}

#[cfg(test)]
mod tests;

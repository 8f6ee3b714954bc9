//! The deletion of a message for everyone, by its author.

use super::Applying;
use crate::error::Result;
use crate::id::MessageId;
use crate::store::Tx;

/// A deletion that comes too late has no effect.
pub(super) fn apply(tx: &mut Tx<'_>, applying: &Applying, message: MessageId) -> Result<()> {
    tx.delete_for_everyone(message, &applying.origin, applying.limits).map(drop)
}

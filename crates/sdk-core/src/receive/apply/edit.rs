//! An edit of a message by its author.

use super::Applying;
use crate::content::Edit;
use crate::error::Result;
use crate::id::MessageId;
use crate::store::Tx;

/// An edit that comes too late, or after too many others, has no effect.
pub(super) fn apply(tx: &mut Tx<'_>, applying: &Applying, message: MessageId, edit: &Edit) -> Result<()> {
    tx.edit(message, &applying.origin, (&edit.text, &edit.markup), applying.limits).map(drop)
}

//! Pins a message of the same thread, or unpins it, by any of its members.

use super::Applying;
use crate::content::Pin;
use crate::error::Result;
use crate::id::MessageId;
use crate::store::Tx;

pub(super) fn apply(tx: &mut Tx<'_>, applying: &Applying, message: MessageId, pin: &Pin) -> Result<()> {
    tx.pin(message, &applying.origin, pin.is_pinned)
}

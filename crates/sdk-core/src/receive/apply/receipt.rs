//! A receipt updates the state of our messages. It leaves no row of its own.

use crate::content::ReceiptKind;
use crate::error::Result;
use crate::id::{ClientMsgId, ThreadId};
use crate::store::{Registered, Tx};

pub(super) fn apply(
    tx: &mut Tx<'_>,
    (thread, us): (ThreadId, Registered),
    kind: ReceiptKind,
    messages: &[ClientMsgId],
    now_ms: u64,
) -> Result<()> {
    for message in messages {
        // A receipt for a message that is not ours, or not in this thread, has no effect.
        tx.advance_delivery((thread, us.user), *message, kind, now_ms)?;
    }
    Ok(())
}

//! A receipt says how far our messages came. It leaves no row, only the proof that it was handled.

use super::Applied;
use crate::content::ReceiptKind;
use crate::error::Result;
use crate::id::ClientMsgId;
use crate::receive::inbox::Envelope;
use crate::store::{Registered, Tx};

pub(super) fn apply(
    tx: &mut Tx<'_>,
    envelope: &Envelope,
    us: Registered,
    kind: ReceiptKind,
    messages: &[ClientMsgId],
    now_ms: u64,
) -> Result<Applied> {
    tx.insert_handled(envelope.thread, envelope.sender, envelope.client_msg_id, now_ms)?;
    for message in messages {
        // Of a message that is not ours, or not of this thread, a receipt says nothing.
        tx.advance_delivery(envelope.thread, us.user, *message, kind)?;
    }
    Ok(Applied::Other)
}

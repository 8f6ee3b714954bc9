//! A receipt says how far our messages came. It leaves no row.

use super::Applied;
use crate::content::ReceiptKind;
use crate::error::Result;
use crate::id::ClientMsgId;
use crate::receive::envelope::Envelope;
use crate::store::{Registered, Tx};

pub(super) fn apply(
    tx: &mut Tx<'_>,
    envelope: &Envelope,
    us: Registered,
    kind: ReceiptKind,
    messages: &[ClientMsgId],
) -> Result<Applied> {
    for message in messages {
        // Of a message that is not ours, or not of this thread, a receipt says nothing.
        tx.advance_delivery(envelope.thread, us.user, *message, kind)?;
    }
    Ok(Applied::Other)
}

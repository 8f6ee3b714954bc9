//! A text becomes one message, even if its author has sent it in several parcels.

use crate::content::Content;
use crate::error::Result;
use crate::id::MessageId;
use crate::receive::envelope::Envelope;
use crate::store::{Arrived, Tx};

/// If a message represents an envelope with this id that could not be opened, the text replaces it.
pub(super) fn apply(
    tx: &mut Tx<'_>,
    envelope: &Envelope,
    content: Content,
    placeholder: Option<MessageId>,
) -> Result<()> {
    let known = tx.message_of(envelope.sender, content.id)?;
    let message = envelope.message(Arrived::Content(content.id, content.body), content.sent_ms);
    match (known, placeholder) {
        (Some(_), Some(placeholder)) => tx.remove_placeholder(envelope.thread, placeholder)?,
        (Some(_), None) => {}
        (None, Some(placeholder)) => tx.fill_in(placeholder, &message)?,
        (None, None) => drop(tx.insert_incoming(&message)?),
    }
    Ok(())
}

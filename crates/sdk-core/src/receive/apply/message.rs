//! What people see becomes one message, even if its author has sent it in several parcels. So does a content that this version
//! does not understand.

use crate::content::Content;
use crate::error::Result;
use crate::id::{MessageId, UserId};
use crate::receive::envelope::Envelope;
use crate::store::{Origin, Tx};

/// If a message represents an envelope with this id that could not be opened, the content replaces it. Returns whether it is new.
pub(super) fn apply(
    tx: &mut Tx<'_>,
    envelope: &Envelope,
    origin: &Origin,
    (us, is_group): (UserId, bool),
    content: Content,
    placeholder: Option<MessageId>,
) -> Result<bool> {
    let is_known = tx.message_of(envelope.sender, content.id)?.is_some()
        || tx.was_applied(envelope.sender, content.id)?
        || tx.was_cleared(envelope.thread, origin.order)?;
    let (sets, timer) = (content.body.sets_timer(), content.timer);
    let message = envelope.content(us, content);
    // In a group, the timer is in the roster.
    if !is_known && !is_group {
        tx.apply_timer(origin, sets, timer)?;
    }
    match (is_known, placeholder) {
        (true, Some(placeholder)) => tx.remove_placeholder(envelope.thread, placeholder)?,
        (true, None) => {}
        (false, Some(placeholder)) => tx.fill_in(placeholder, &message)?,
        (false, None) => tx.insert_incoming(&message).map(drop)?,
    }
    Ok(!is_known)
}

//! A reaction to a message of the same thread, by any of its members.

use super::Applying;
use crate::content::{EmojiSequence, Reaction};
use crate::error::Result;
use crate::id::MessageId;
use crate::store::Tx;

pub(super) fn apply(
    tx: &mut Tx<'_>,
    applying: &Applying,
    message: MessageId,
    reaction: &Reaction,
) -> Result<()> {
    tx.react(message, &applying.origin, reaction.emoji.as_ref().map_or("", EmojiSequence::as_str))
}

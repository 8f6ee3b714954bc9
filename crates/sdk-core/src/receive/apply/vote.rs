//! A vote in a poll of the same thread, by any of its members.

use super::Applying;
use crate::content::Vote;
use crate::error::Result;
use crate::id::MessageId;
use crate::store::Tx;

/// A vote for options that the poll does not have, or for too many, has no effect.
pub(super) fn apply(tx: &mut Tx<'_>, applying: &Applying, message: MessageId, vote: &Vote) -> Result<()> {
    tx.vote(message, &applying.origin, &vote.choices).map(drop)
}

//! What the receiving half of a step goes by, whichever ratchet takes it.

use super::skipped::{SkippedKey, SkippedKeyId};
use super::walk::Limits;
use crate::session_id::SessionId;
use crate::time::UnixSeconds;

/// All that a step needs besides the message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub(crate) session: SessionId,
    pub(crate) limits: Limits,
    /// The kept keys that the message names, those of other sessions too.
    pub(crate) skipped: &'a [SkippedKey],
    pub(crate) now: UnixSeconds,
    /// Whether SPQR must have a key for the message, once they have sent one that had.
    pub(crate) must_be_keyed: bool,
}

impl<'a> Terms<'a> {
    /// The kept key of a message, unless it was kept for too long.
    pub(crate) fn kept(&self, id: SkippedKeyId) -> Option<&'a SkippedKey> {
        self.skipped.iter().find(|key| key.id == id && key.is_good(self.now))
    }
}

/// How far it is in a session to a message that may be of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Distance {
    /// By how much it is further in one ratchet than in the other. Every message takes a step in both: where none but those
    /// of one chain and one epoch are missing, there is no difference.
    pub(crate) difference: u32,
    /// How many steps it is, of both.
    pub(crate) steps: u32,
}

impl Distance {
    pub(crate) fn new(double: u32, spqr: u32) -> Self {
        Self { difference: double.abs_diff(spqr), steps: double.saturating_add(spqr) }
    }
}

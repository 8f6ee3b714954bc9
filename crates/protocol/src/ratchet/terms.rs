//! The context of the receiving half of a step, for both ratchets.

use super::skipped::{SkippedKey, SkippedKeyId};
use super::walk::Limits;
use crate::session_id::SessionId;
use crate::time::UnixSeconds;

/// Everything that a step needs besides the message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub(crate) session: SessionId,
    pub(crate) limits: Limits,
    /// The stored keys that the message names, including those of other sessions.
    pub(crate) skipped: &'a [SkippedKey],
    pub(crate) now: UnixSeconds,
    /// Whether the message must have a key of SPQR, if the peer has had one.
    pub(crate) must_be_keyed: bool,
}

impl<'a> Terms<'a> {
    /// The stored key of a message, unless it is too old.
    pub(crate) fn kept(&self, id: SkippedKeyId) -> Option<&'a SkippedKey> {
        self.skipped.iter().find(|key| key.id == id && key.is_good(self.now))
    }
}

/// The distance from the state of a session to a message that may belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Distance {
    /// The difference of the distances in the two ratchets. Every message takes a step in both: if only messages of
    /// one chain and one epoch are missing, there is no difference.
    pub(crate) difference: u32,
    /// The number of steps of both ratchets.
    pub(crate) steps: u32,
}

impl Distance {
    pub(crate) fn new(double: u32, spqr: u32) -> Self {
        Self { difference: double.abs_diff(spqr), steps: double.saturating_add(spqr) }
    }
}

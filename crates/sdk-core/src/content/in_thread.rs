//! What the items of a bootstrap have in common: a thread and its members, and numbers that the database can store.

use super::ContentError;
use crate::id::{ThreadId, UserId};

/// Positions are below this.
const POSITIONS: u64 = 1 << 62;

/// A thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InThread {
    pub(crate) thread: ThreadId,
    /// The other member of a direct thread; in the note to self, ourselves. None in a group.
    pub(crate) peer: Option<UserId>,
    pub(crate) roster_version: u64,
}

impl InThread {
    pub(super) fn read((of, peer): (&[u8], &[u8]), roster_version: u64) -> Result<Self, ContentError> {
        let peer = if peer.is_empty() { None } else { Some(user(peer)?) };
        Ok(Self { thread: thread(of)?, peer, roster_version: time(roster_version)? })
    }

    /// The other member as it is written.
    pub(super) fn peer_bytes(&self) -> Vec<u8> {
        self.peer.map_or_else(Vec::new, |peer| peer.as_bytes().to_vec())
    }
}

pub(super) fn user(bytes: &[u8]) -> Result<UserId, ContentError> {
    UserId::from_slice(bytes).map_err(|_| ContentError::Malformed)
}

pub(super) fn thread(bytes: &[u8]) -> Result<ThreadId, ContentError> {
    ThreadId::from_slice(bytes).map_err(|_| ContentError::Malformed)
}

/// A time, or another number that the database can store.
pub(super) const fn time(number: u64) -> Result<u64, ContentError> {
    if number <= u64::MAX >> 1 { Ok(number) } else { Err(ContentError::Malformed) }
}

pub(super) const fn position(number: u64) -> Result<u64, ContentError> {
    if number < POSITIONS { Ok(number) } else { Err(ContentError::Malformed) }
}

//! Threads and their members.

use sealpost_wire::id::{ThreadId, UserId};

use super::answer::Answer;

/// Threads and their members.
pub trait Threads {
    /// Creates the direct thread of two users, once.
    fn create_thread(&self, new: NewThread) -> Answer<Created>;
    /// A member accepts a thread: what it may bring them has no bounds of its own any more. `false`: it is not theirs
    /// or does not exist.
    fn accept_thread(&self, thread: ThreadId, member: UserId) -> Answer<bool>;
    /// A thread as one of its members sees it; `None` when it is not theirs or does not exist.
    fn thread(&self, thread: ThreadId, member: UserId) -> Answer<Option<ThreadRow>>;
}

/// A new direct thread. Whoever opens it has accepted it.
#[derive(Debug, Clone, Copy)]
pub struct NewThread {
    /// Its random id.
    pub id: ThreadId,
    /// Who opens it.
    pub creator: UserId,
    /// The other member.
    pub peer: UserId,
    /// Now.
    pub now_ms: u64,
}

/// What became of a [`NewThread`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It exists now.
    New,
    /// These two had one already, which whoever asked has accepted now.
    Existing(ThreadId),
    /// There is no such peer.
    NoSuchPeer,
    /// The account of the peer was deleted.
    PeerDeleted,
}

/// A thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadRow {
    /// Grows with every change of members.
    pub roster_version: u64,
    /// The members.
    pub members: Vec<UserId>,
    /// The seq of the newest message; 0 = none.
    pub last_seq: u64,
}

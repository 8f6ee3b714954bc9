//! Threads and their members.

use sealpost_wire::id::{ThreadId, UserId};

use super::answer::Answer;
use super::audience::Audience;

/// Threads and their members.
pub trait Threads {
    /// Creates the direct thread of two users, or the note to self of one, unless it exists.
    fn create_thread(&self, new: NewThread) -> Answer<Created>;
    /// Records that a member accepts a thread, which removes the limits on what it may deliver to them. Returns
    /// `false` if the thread does not exist or is not theirs.
    fn accept_thread(&self, thread: ThreadId, member: UserId) -> Answer<bool>;
    /// Blocks a user: nothing that they send in the direct thread of the two is stored any more. Returns `false` if the user
    /// blocks as many as they may.
    fn block(&self, user: UserId, blocked: UserId) -> Answer<bool>;
    /// Ends that.
    fn unblock(&self, user: UserId, blocked: UserId) -> Answer<()>;
    /// A thread as seen by one of its members; `None` if it does not exist or is not theirs.
    fn thread(&self, thread: ThreadId, member: UserId) -> Answer<Option<ThreadRow>>;
    /// The devices of a thread's members; of a group, those of the named users and of the one who asks. `None` if the thread does not exist or
    /// is not theirs. Nothing is written.
    fn audience(&self, thread: ThreadId, member: UserId, named: Vec<UserId>) -> Answer<Option<Audience>>;
}

/// A new direct thread, or the note to self if the peer is the user who opens it. This user accepts it.
#[derive(Debug, Clone, Copy)]
pub struct NewThread {
    /// Its random id. That of a note to self is derived; others lose a thread that they have named like it.
    pub id: ThreadId,
    /// The user who opens it.
    pub creator: UserId,
    /// The other member.
    pub peer: UserId,
    /// The current time.
    pub now_ms: u64,
}

/// The result of a [`NewThread`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It was created.
    New,
    /// These two users already had one, which the requester has now accepted.
    Existing(ThreadId),
    /// There is no such peer.
    NoSuchPeer,
    /// Another thread has this ID.
    IdTaken,
    /// The account of the peer was deleted.
    PeerDeleted,
}

/// A thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadRow {
    /// Incremented with every change of members.
    pub roster_version: u64,
    /// The members.
    pub members: Vec<UserId>,
    /// The sequence number of the newest message or entry; 0 if there is none.
    pub last_seq: u64,
}

//! Which members of a thread have a message of ours.

use crate::id::UserId;

/// What the other members of a thread have said of a message of ours.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct MessageReceipts {
    /// The other members of the thread who were there when it was sent, and are still there, in the order of their ids; in a group of more
    /// than 256, a sample of at most a few hundred, who send receipts.
    pub members: Vec<MemberReceipt>,
    /// How many other members it was sent to. If this is more than there are in `members`, these are a sample of them.
    pub recipients: usize,
}

/// What a member has said of a message of ours. Somebody who has switched receipts off says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberReceipt {
    /// The member.
    pub user: UserId,
    /// One of their devices has it. So it is if they have read it.
    pub is_delivered: bool,
    /// They have read it.
    pub is_read: bool,
}

impl MessageReceipts {
    /// How many of `members` have it.
    pub fn delivered(&self) -> usize {
        self.members.iter().filter(|member| member.is_delivered).count()
    }

    /// How many of `members` have read it.
    pub fn read(&self) -> usize {
        self.members.iter().filter(|member| member.is_read).count()
    }
}

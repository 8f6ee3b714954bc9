//! Which members have a message of ours.

use sealpost_core as core;

use crate::{MessageId, Result, Thread, UserId, runtime};

/// What the other members of a thread have said of a message of ours.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct MessageReceipts {
    /// The other members of the thread who were there when it was sent, and are still there, in the order of their ids; in a group of more
    /// than 256, a sample of at most a few hundred, who send receipts.
    #[uniffi(default = [])]
    pub members: Vec<MemberReceipt>,
    /// How many other members it was sent to. If this is more than there are in `members`, these are a sample of them.
    #[uniffi(default = 0)]
    pub recipients: u32,
    /// How many of `members` have it.
    #[uniffi(default = 0)]
    pub delivered: u32,
    /// How many of `members` have read it.
    #[uniffi(default = 0)]
    pub read: u32,
}

impl From<core::MessageReceipts> for MessageReceipts {
    fn from(receipts: core::MessageReceipts) -> Self {
        let count = |count| u32::try_from(count).unwrap_or(u32::MAX);
        Self {
            recipients: count(receipts.recipients),
            delivered: count(receipts.delivered()),
            read: count(receipts.read()),
            members: receipts.members.into_iter().map(MemberReceipt::from).collect(),
        }
    }
}

/// What a member has said of a message of ours. Somebody who has switched receipts off says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct MemberReceipt {
    /// The member.
    pub user: UserId,
    /// One of their devices has it. So it is if they have read it.
    #[uniffi(default = false)]
    pub is_delivered: bool,
    /// They have read it.
    #[uniffi(default = false)]
    pub is_read: bool,
}

impl From<core::MemberReceipt> for MemberReceipt {
    fn from(receipt: core::MemberReceipt) -> Self {
        Self { user: receipt.user, is_delivered: receipt.is_delivered, is_read: receipt.is_read }
    }
}

#[uniffi::export]
impl Thread {
    /// Which members have one of our messages, and how many. The message is delivered when all of them have it, and read when all have
    /// read it.
    ///
    /// Throws `NotFound` if it is not in this thread, or not ours; and `Storage`.
    pub async fn receipts(&self, message: MessageId) -> Result<MessageReceipts> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.receipts(message).await?.into()) }).await
    }
}

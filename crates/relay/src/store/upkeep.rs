//! Maintenance of the store, and its health.

use super::answer::{Answer, Health};
use super::revocations::Revocations;

/// Maintenance of the store, and its health.
pub trait Upkeep {
    /// Removes what has expired at `now_ms`, at most `budget` rows of each kind.
    fn sweep(&self, now_ms: u64, budget: u32) -> Answer<Swept>;
    /// The devices that lost tokens, because a device was revoked, or a family ended or was replaced. Recorded once
    /// this is durable, whether or not the caller still waits. Does not query the database.
    fn revocations(&self) -> &Revocations;
    /// The outcome of the last write. Does not query the database.
    fn health(&self) -> Health;
    /// The pair (thread, seq) is unique within one epoch. The epoch is incremented when an operator restores a
    /// backup.
    fn epoch(&self) -> u64;
}

/// What a sweep has removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Rows of mailboxes.
    pub inbox: u64,
    /// Stored message ids.
    pub dedupe: u64,
    /// The largest of the numbers of stored bundles and registrations, token families, and keys that were given out.
    pub other: u64,
}

impl Swept {
    /// Whether one kind used up its budget, so that there may be more.
    pub fn is_full(&self, budget: u32) -> bool {
        [self.inbox, self.dedupe, self.other].into_iter().any(|removed| removed >= u64::from(budget))
    }
}

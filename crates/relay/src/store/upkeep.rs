//! What keeps a store in order, and what tells how it is.

use super::answer::{Answer, Health};
use super::revocations::Revocations;

/// What keeps a store in order, and tells how it is.
pub trait Upkeep {
    /// Removes what expired by `now_ms`, at most `budget` rows of each kind.
    fn sweep(&self, now_ms: u64, budget: u32) -> Answer<Swept>;
    /// Which devices lost tokens: a device that was revoked, a family that ended or was replaced. Noted once it is
    /// durable, whether or not the caller still waits. Asks nothing of the engine.
    fn revocations(&self) -> &Revocations;
    /// How the last write went. Asks nothing of the engine.
    fn health(&self) -> Health;
    /// (thread, seq) is unique inside one epoch. Grows when an operator restores a backup.
    fn epoch(&self) -> u64;
}

/// What a sweep removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Rows of mailboxes.
    pub inbox: u64,
    /// Remembered message ids.
    pub dedupe: u64,
    /// Of remembered bundles and registrations, token families and given-out keys, the kind with the most.
    pub other: u64,
}

impl Swept {
    /// Whether a kind used up its budget, so that more may wait.
    pub fn is_full(&self, budget: u32) -> bool {
        [self.inbox, self.dedupe, self.other].into_iter().any(|removed| removed >= u64::from(budget))
    }
}

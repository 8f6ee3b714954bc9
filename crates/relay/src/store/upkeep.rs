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
    /// The pair (thread, seq) is unique within one epoch. The epoch is incremented when a backup was restored, by an
    /// operator or by [`begin_epoch`](Self::begin_epoch). Of what the store contains from earlier epochs, one-time keys are
    /// not given out any more, because they may have been given out since, and no token counts as stolen.
    fn epoch(&self) -> u64;
    /// How far it has come. Asks nothing of the engine.
    fn version(&self) -> StoreVersion;
    /// Whether it has been in this state. If not, it was restored from a backup since. What is said of an epoch that is over is
    /// not judged. Asks nothing of the engine.
    fn has_been(&self, version: &StoreVersion) -> bool;
    /// Begins a new epoch after this one; nothing if that is over. The epoch of now.
    fn begin_epoch(&self, over: u64) -> Answer<u64>;
}

/// What an opening of the store is called: 8 random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpeningName(pub [u8; 8]);

/// How far a store has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreVersion {
    /// The epoch of then.
    pub epoch: u64,
    /// The number of the opening of the file.
    pub opening: u64,
    /// Its name.
    pub name: OpeningName,
    /// Transactions that were durable in it.
    pub commits: u64,
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

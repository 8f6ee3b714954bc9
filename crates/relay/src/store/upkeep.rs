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
    /// The pair (thread, seq) is unique within one epoch. The epoch is incremented after a backup was restored, by an
    /// operator or by [`begin_epoch`](Self::begin_epoch). One-time keys from earlier epochs are not handed out any
    /// more, because they may have been handed out since the backup, and no token of an earlier epoch is reported as
    /// stolen.
    fn epoch(&self) -> u64;
    /// The current version of the store. Does not query the database.
    fn version(&self) -> StoreVersion;
    /// Whether the store has had this version. If not, it was restored from a backup since. Versions of earlier
    /// epochs are not checked. Does not query the database.
    fn has_had_version(&self, version: &StoreVersion) -> bool;
    /// Begins a new epoch if `over` is the current one. Returns the current epoch.
    fn begin_epoch(&self, over: u64) -> Answer<u64>;
}

/// The name of an opening of the store: 8 random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpeningName(pub [u8; 8]);

/// A version of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreVersion {
    /// The epoch at that time.
    pub epoch: u64,
    /// The number of the opening of the file.
    pub opening: u64,
    /// The name of the opening.
    pub name: OpeningName,
    /// How many transactions of the opening were durable.
    pub commits: u64,
}

/// What a sweep has removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Rows of mailboxes.
    pub inbox: u64,
    /// Stored message ids.
    pub dedupe: u64,
    /// The largest of the numbers of removed bundles, registrations, link tokens, token families, deleted families, and used keys.
    pub other: u64,
}

impl Swept {
    /// Whether the budget of one kind was used up, so that there may be more to remove.
    pub fn is_full(&self, budget: u32) -> bool {
        [self.inbox, self.dedupe, self.other].into_iter().any(|removed| removed >= u64::from(budget))
    }
}

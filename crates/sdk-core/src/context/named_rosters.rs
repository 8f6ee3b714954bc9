//! The latest entries of rosters that members have named. In memory only: each content names one again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::id::ThreadId;

/// The latest version of each group's roster that a content has named.
#[derive(Default)]
pub(crate) struct NamedRosters(Mutex<HashMap<ThreadId, u64>>);

impl NamedRosters {
    /// A member has named a later entry than is here.
    pub(crate) fn note(&self, thread: ThreadId, version: u64) {
        let mut named = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = named.entry(thread).or_default();
        *latest = version.max(*latest);
    }

    /// The latest version that somebody has named; 0 if nobody has named one that is not here.
    pub(crate) fn latest(&self, thread: ThreadId) -> u64 {
        let named = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        named.get(&thread).copied().unwrap_or_default()
    }

    /// The chain is here up to this version, or nobody asks for it any more.
    pub(crate) fn forget(&self, thread: ThreadId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&thread);
    }
}

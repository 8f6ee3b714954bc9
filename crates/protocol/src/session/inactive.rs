//! A session in a record, and the list of those that are inactive.

use std::ops::Deref;
use std::sync::Arc;

use super::state::Session;
use crate::time::UnixSeconds;

/// A session and its rank: the session that became active last has the highest rank.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) rank: i64,
    pub(super) session: Arc<Session>,
    /// Since when it has been inactive, if it is inactive and this is known.
    pub(super) since: Option<UnixSeconds>,
}

/// The inactive sessions of a record. Clones share the list, and an empty one needs none.
#[derive(Clone, Default)]
pub(super) struct Inactive(Option<Arc<[Entry]>>);

impl Inactive {
    /// Whether both are clones of the same list, and therefore equal.
    pub(super) fn is_shared_with(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Deref for Inactive {
    type Target = [Entry];

    fn deref(&self) -> &[Entry] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl FromIterator<Entry> for Inactive {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        let mut entries = entries.into_iter().peekable();
        Self(entries.peek().is_some().then(|| entries.collect()))
    }
}

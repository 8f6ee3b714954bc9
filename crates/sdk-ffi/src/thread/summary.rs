//! A thread in a list.

use sealpost_core as core;

use crate::{ThreadId, UserId};

/// A thread in a list.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct ThreadSummary {
    /// What names it.
    pub id: ThreadId,
    /// The other member.
    pub peer: UserId,
}

impl From<core::ThreadSummary> for ThreadSummary {
    fn from(thread: core::ThreadSummary) -> Self {
        Self { id: thread.id, peer: thread.peer }
    }
}

impl From<&core::Thread> for ThreadSummary {
    fn from(thread: &core::Thread) -> Self {
        Self { id: thread.id(), peer: thread.peer().user_id() }
    }
}

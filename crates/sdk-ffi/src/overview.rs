//! What there is, as the whole client sees it.

use sealpost_core as core;

use crate::{ConnectionState, ThreadCursor, ThreadSummary};

/// What a list of threads shows.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Overview {
    /// The connection.
    pub connection: ConnectionState,
    /// The first 50 threads, the one with the newest message first.
    pub threads: Vec<ThreadSummary>,
    /// Where the next page of them begins; none when there is none.
    pub next: Option<ThreadCursor>,
}

impl From<core::Overview> for Overview {
    fn from(overview: core::Overview) -> Self {
        let threads = overview.threads.into_iter().map(ThreadSummary::from).collect();
        Self { connection: overview.connection.into(), threads, next: overview.next }
    }
}

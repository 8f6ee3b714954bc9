//! What there is, as the whole client sees it.

use sealpost_core as core;

use crate::{ConnectionState, ThreadSummary};

/// What a list of threads shows.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Overview {
    /// The connection.
    pub connection: ConnectionState,
    /// Every thread, the one with the newest message first.
    pub threads: Vec<ThreadSummary>,
}

impl From<core::Overview> for Overview {
    fn from(overview: core::Overview) -> Self {
        let threads = overview.threads.into_iter().map(ThreadSummary::from).collect();
        Self { connection: overview.connection.into(), threads }
    }
}

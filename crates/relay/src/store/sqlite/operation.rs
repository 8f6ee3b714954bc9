//! The operations in the writer's queue.

use rusqlite::{Connection, ErrorCode};
use tokio::sync::oneshot;

use super::deferred::Deferred;
use super::room::Need;
use crate::store::StoreError;

/// A queued operation, which runs at least once and is answered later.
pub(super) trait Operation: Send {
    fn need(&self) -> Need;
    /// Whether it uses deferred changes. Before any other operation runs, they are written.
    fn defers(&self) -> bool;
    fn run(&mut self, tx: &Connection, deferred: &mut Deferred) -> rusqlite::Result<()>;
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

/// An operation together with the channel for its answer.
pub(super) struct Pending<D, T, F, N> {
    pub(super) need: Need,
    pub(super) defers: bool,
    pub(super) work: F,
    pub(super) done: Option<D>,
    pub(super) then: N,
    pub(super) reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<D, T, F, N> Operation for Pending<D, T, F, N>
where
    D: Send,
    T: Send,
    F: Fn(&Connection, &mut Deferred) -> rusqlite::Result<D> + Send,
    N: FnOnce(D) -> T + Send,
{
    fn need(&self) -> Need {
        self.need
    }

    fn defers(&self) -> bool {
        self.defers
    }

    fn run(&mut self, tx: &Connection, deferred: &mut Deferred) -> rusqlite::Result<()> {
        self.done = Some((self.work)(tx, deferred)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { done, then, reply, .. } = *self;
        let answer = outcome.and_then(|()| done.map(then).ok_or(StoreError::Unavailable));
        // If the requester has disconnected, nobody waits for the answer; what was stored stays stored.
        let _ = reply.send(answer);
    }
}

/// The meaning of SQLite's error for the callers. Its text may contain values, so only the code is logged.
pub(super) fn store_error(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        code => {
            tracing::error!(?code, "an SQLite operation failed");
            StoreError::Unavailable
        }
    }
}

//! One transaction: its closure, its result, and what remains to be done after its commit.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::group::{Flush, Job, Ran};
use crate::error::{Error, Result};
use crate::event::{Event, EventBus};
use crate::store::transaction::Parts;
use crate::store::{AfterCommit, Tx};

/// The closure of a transaction.
pub(in crate::store) trait Transaction<T>: Send {
    /// Whether it can run more than once.
    const REPEATABLE: bool;

    /// # Errors
    /// Those of the closure.
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<T>;
}

/// A closure that can run only once.
pub(in crate::store) struct Once<F>(pub(in crate::store) Option<F>);

impl<T, F: FnOnce(&mut Tx<'_>) -> Result<T> + Send> Transaction<T> for Once<F> {
    const REPEATABLE: bool = false;

    fn run(&mut self, tx: &mut Tx<'_>) -> Result<T> {
        self.0.take().ok_or(Error::Bug("a transaction was repeated"))?(tx)
    }
}

/// A closure that can run any number of times.
pub(in crate::store) struct Repeatable<F>(pub(in crate::store) F);

impl<T, F: FnMut(&mut Tx<'_>) -> Result<T> + Send> Transaction<T> for Repeatable<F> {
    const REPEATABLE: bool = true;

    fn run(&mut self, tx: &mut Tx<'_>) -> Result<T> {
        (self.0)(tx)
    }
}

/// A transaction that was submitted, with what its caller waits for.
pub(super) struct Work<F, T> {
    work: F,
    done: Option<Result<Done<T>>>,
    flush: Flush,
    needed_in_file: bool,
    answer: oneshot::Sender<Result<T>>,
    events: EventBus,
}

impl<F, T> Work<F, T> {
    pub(super) const fn new(
        work: F,
        flush: Flush,
        answer: oneshot::Sender<Result<T>>,
        events: EventBus,
    ) -> Self {
        Self { work, done: None, flush, needed_in_file: false, answer, events }
    }
}

/// The work of a transaction that remains after its commit.
struct Done<T> {
    value: T,
    events: Vec<Event>,
    must_look: bool,
    is_state_noted: bool,
    is_unlinked: bool,
    after_commit: Vec<AfterCommit>,
}

impl<F: Transaction<T>, T: Send> Job for Work<F, T> {
    fn run(&mut self, connection: &Connection, parts: Parts) -> Ran {
        let mut tx = Tx::with_parts(connection, parts);
        // The writer undoes whatever a panic left unfinished.
        let result = catch_unwind(AssertUnwindSafe(|| self.work.run(&mut tx)));
        if tx.part_has_failed() {
            self.done = None;
            return Ran::PartFailed;
        }
        self.needed_in_file = tx.needed_in_file;
        let Tx { events, must_look, is_state_noted, is_unlinked, after_commit, .. } = tx;
        let result = result.unwrap_or(Err(Error::Bug("a panic in a transaction")));
        match self.done.insert(result.map(|value| Done {
            value,
            events,
            must_look,
            is_state_noted,
            is_unlinked,
            after_commit,
        })) {
            Ok(_) => Ran::Kept,
            Err(_) => Ran::Failed,
        }
    }

    fn can_be_repeated(&self) -> bool {
        F::REPEATABLE
    }

    fn flush(&self) -> Flush {
        self.flush
    }

    fn needed_in_file(&self) -> bool {
        self.needed_in_file
    }

    fn finish(self: Box<Self>, committed: &Result<()>) {
        let result = match (self.done, committed) {
            (
                Some(Ok(Done { value, events, must_look, is_state_noted, is_unlinked, after_commit })),
                Ok(()),
            ) => {
                after_commit.into_iter().for_each(|next| next());
                for event in events {
                    self.events.publish(event);
                }
                if must_look {
                    self.events.publish_look_again();
                }
                if is_state_noted {
                    self.events.note_state();
                }
                if is_unlinked {
                    self.events.note_unlinked();
                }
                Ok(value)
            }
            (Some(Err(error)), _) => Err(error),
            (_, Err(error)) => Err(error.clone()),
            (None, Ok(())) => Err(Error::Bug("a transaction was not run")),
        };
        // The caller may have stopped waiting.
        let _ = self.answer.send(result);
    }
}

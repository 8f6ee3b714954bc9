//! The jobs that share a transaction. Each can be rolled back by itself.

use rusqlite::Connection;

use crate::error::{Error, Result, Storage};

/// Whether a transaction must be on disk before it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Flush {
    Yes,
    /// A power failure may undo it, unless a later transaction was flushed.
    No,
}

/// One transaction with its type erased.
pub(super) trait Job: Send {
    /// Runs in the transaction of the group. Returns whether to keep its changes.
    fn run(&mut self, connection: &Connection) -> bool;
    fn flush(&self) -> Flush;
    /// Whether its changes must be in the database file itself before it answers.
    fn needed_in_file(&self) -> bool;
    /// Answers, once the outcome of the commit is known.
    fn finish(self: Box<Self>, committed: &Result<()>);
}

pub(super) fn begin(connection: &Connection) -> Result<()> {
    Ok(connection.prepare_cached("BEGIN IMMEDIATE")?.execute([]).map(drop)?)
}

/// Runs the jobs so that each can be rolled back by itself. A savepoint is expensive: SQLite copies every page that is changed
/// inside it, and walks through these copies when a nested savepoint is released. Until a job has succeeded, the whole
/// transaction is therefore rolled back instead.
pub(super) fn run_all(connection: &Connection, group: &mut [Box<dyn Job>]) -> Result<()> {
    let mut is_empty = true;
    for job in group {
        let outcome =
            if is_empty { alone(connection, job.as_mut()) } else { in_savepoint(connection, job.as_mut()) };
        // A full or failing disk can end the whole transaction, which also undoes what ran before.
        if connection.is_autocommit() {
            return Err(outcome.err().unwrap_or(Error::Storage(Storage::Full)));
        }
        is_empty &= !outcome?;
    }
    Ok(())
}

/// Runs a job in a transaction in which nothing was done before. If the job fails, the next one has a new transaction. Returns
/// whether its changes were kept.
fn alone(connection: &Connection, job: &mut dyn Job) -> Result<bool> {
    let kept = job.run(connection);
    if !kept && !connection.is_autocommit() {
        connection.prepare_cached("ROLLBACK")?.execute([])?;
        begin(connection)?;
    }
    Ok(kept)
}

fn in_savepoint(connection: &Connection, job: &mut dyn Job) -> Result<bool> {
    connection.prepare_cached("SAVEPOINT job")?.execute([])?;
    let kept = job.run(connection);
    if !kept && !connection.is_autocommit() {
        connection.prepare_cached("ROLLBACK TO job")?.execute([])?;
    }
    if !connection.is_autocommit() {
        connection.prepare_cached("RELEASE job")?.execute([])?;
    }
    Ok(kept)
}

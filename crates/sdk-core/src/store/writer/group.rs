//! The jobs that share a transaction. Each can be rolled back by itself.
//!
//! A savepoint is expensive: SQLite copies every page that is changed inside it, and walks through these copies when a nested
//! savepoint is released. Jobs therefore run without savepoints for as long as a failure can be handled by rolling back the whole
//! transaction and repeating what it contained, which is then done with savepoints.

use rusqlite::Connection;

use crate::error::{Error, Result, Storage};
use crate::store::transaction::Parts;

/// Whether a transaction must be on disk before it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Flush {
    Yes,
    /// A power failure may undo it, unless a later transaction was flushed.
    No,
    /// Nobody waits for it either: it shares the next commit, if there is one soon.
    Later,
}

/// The result of running a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ran {
    /// It has succeeded.
    Kept,
    /// It has failed, and its changes must be undone.
    Failed,
    /// A part of it has failed. Its changes must be undone, and it must run again with a savepoint for each part.
    PartFailed,
}

/// One transaction with its type erased.
pub(super) trait Job: Send {
    /// Runs in the transaction of the group. A job that can be repeated forgets the result of its previous run.
    fn run(&mut self, connection: &Connection, parts: Parts) -> Ran;
    /// Whether it can run again after its changes were undone. Otherwise it must run with savepoints.
    fn can_be_repeated(&self) -> bool;
    fn flush(&self) -> Flush;
    /// Whether its changes must be in the database file itself before it answers.
    fn needed_in_file(&self) -> bool;
    /// Answers, once the outcome of the commit is known.
    fn finish(self: Box<Self>, committed: &Result<()>);
}

pub(super) fn begin(connection: &Connection) -> Result<()> {
    execute(connection, "BEGIN IMMEDIATE")
}

/// Runs the jobs so that each can be rolled back by itself.
pub(super) fn run_all(connection: &Connection, group: &mut [Box<dyn Job>]) -> Result<()> {
    // The jobs that have succeeded without savepoints, and can be repeated.
    let mut repeatable = Vec::new();
    // Whether something was done that a failure must not undo.
    let mut protected = false;
    for job in group {
        if protected {
            in_savepoint(connection, job.as_mut())?;
            continue;
        }
        let ran = job.run(connection, first_attempt(job.as_ref()));
        check(connection)?;
        if ran == Ran::Kept {
            if job.can_be_repeated() {
                repeatable.push(job);
            } else {
                protected = true;
            }
            continue;
        }
        execute(connection, "ROLLBACK")?;
        begin(connection)?;
        for job in repeatable.drain(..) {
            protected |= in_savepoint(connection, job.as_mut())?;
        }
        if ran == Ran::PartFailed {
            protected |= with_savepoints(connection, job.as_mut())?;
        }
    }
    Ok(())
}

fn first_attempt(job: &dyn Job) -> Parts {
    if job.can_be_repeated() { Parts::Repeatable } else { Parts::Savepoints }
}

/// Runs a job that can be undone by itself. Returns whether its changes were kept.
fn in_savepoint(connection: &Connection, job: &mut dyn Job) -> Result<bool> {
    execute(connection, "SAVEPOINT job")?;
    let ran = job.run(connection, first_attempt(job));
    check(connection)?;
    if ran != Ran::Kept {
        execute(connection, "ROLLBACK TO job")?;
    }
    execute(connection, "RELEASE job")?;
    if ran == Ran::PartFailed { with_savepoints(connection, job) } else { Ok(ran == Ran::Kept) }
}

/// Runs a job with savepoints for the job and for each of its parts. Returns whether its changes were kept.
fn with_savepoints(connection: &Connection, job: &mut dyn Job) -> Result<bool> {
    execute(connection, "SAVEPOINT job")?;
    let ran = job.run(connection, Parts::Savepoints);
    check(connection)?;
    if ran != Ran::Kept {
        execute(connection, "ROLLBACK TO job")?;
    }
    execute(connection, "RELEASE job")?;
    Ok(ran == Ran::Kept)
}

/// A full or failing disk can end the whole transaction, which also undoes what ran before.
fn check(connection: &Connection) -> Result<()> {
    if connection.is_autocommit() { Err(Error::Storage(Storage::Full)) } else { Ok(()) }
}

fn execute(connection: &Connection, sql: &str) -> Result<()> {
    Ok(connection.prepare_cached(sql)?.execute([]).map(drop)?)
}

//! A transaction of the writer, and savepoints in which an operation can fail alone.

use rusqlite::Connection;

use super::deferred::Deferred;
use super::fair::Payer;
use super::history::History;
use super::operation::{Operation, store_error};
use crate::store::StoreError;

/// A transaction that is rolled back when it is dropped. Unlike those of rusqlite, its statements are prepared once.
pub(super) struct Transaction<'c> {
    db: &'c Connection,
    deferred: Deferred,
}

impl<'c> Transaction<'c> {
    pub(super) fn begin(db: &'c Connection) -> rusqlite::Result<Self> {
        run(db, "BEGIN IMMEDIATE")?;
        Ok(Self { db, deferred: Deferred::default() })
    }

    pub(super) fn commit(mut self, history: Option<&History>) -> rusqlite::Result<()> {
        self.write_deferred()?;
        let Some(history) = history else { return run(self.db, "COMMIT") };
        history.count(self.db)?;
        run(self.db, "COMMIT")?;
        history.committed();
        Ok(())
    }

    /// Runs an operation. If it fails, everything has to be rolled back.
    pub(super) fn run(&mut self, operation: &mut dyn Operation) -> rusqlite::Result<()> {
        if !operation.defers() {
            self.write_deferred()?;
        }
        operation.run(self.db, &mut self.deferred)
    }

    /// Writes what operations have deferred. If this fails, everything has to be rolled back.
    pub(super) fn write_deferred(&mut self) -> rusqlite::Result<()> {
        self.deferred.write(self.db)
    }

    /// Runs operations whose failure undoes nothing else. With `Err`, the transaction is over.
    pub(super) fn run_each_alone(
        &mut self,
        group: &mut [(Payer, Box<dyn Operation>)],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        group.iter_mut().map(|(_, operation)| self.run_alone(operation.as_mut())).collect()
    }

    /// Runs an operation whose failure undoes nothing else. With `Err`, the transaction is over.
    pub(super) fn run_alone(
        &mut self,
        operation: &mut dyn Operation,
    ) -> Result<Result<(), StoreError>, StoreError> {
        // Written first, so that the deferred changes of others are not rolled back with this operation.
        self.write_deferred().map_err(store_error)?;
        run(self.db, "SAVEPOINT operation").map_err(store_error)?;
        let ran = operation.run(self.db, &mut self.deferred).and_then(|()| self.write_deferred());
        let outcome = ran.map_err(store_error);
        if let Err(error) = outcome {
            self.deferred = Deferred::default();
            // A full disk may have ended the whole transaction; then nothing of the group is left.
            if self.db.is_autocommit() {
                return Err(error);
            }
            run(self.db, "ROLLBACK TO operation").map_err(store_error)?;
        }
        run(self.db, "RELEASE operation").map_err(store_error)?;
        Ok(outcome)
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.db.is_autocommit() {
            run(self.db, "ROLLBACK").map_err(store_error).ok();
        }
    }
}

fn run(db: &Connection, sql: &str) -> rusqlite::Result<()> {
    db.prepare_cached(sql)?.execute([]).map(drop)
}

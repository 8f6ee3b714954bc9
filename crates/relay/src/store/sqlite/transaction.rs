//! A transaction of the writer, and the savepoint in which an operation of it may fail alone.

use rusqlite::Connection;

use super::writer::{Operation, store_error};
use crate::store::StoreError;

/// A transaction that is undone when it is dropped. Its statements are prepared once, unlike those of rusqlite's.
pub(super) struct Transaction<'c> {
    db: &'c Connection,
}

impl<'c> Transaction<'c> {
    pub(super) fn begin(db: &'c Connection) -> rusqlite::Result<Self> {
        run(db, "BEGIN IMMEDIATE")?;
        Ok(Self { db })
    }

    pub(super) fn commit(self) -> rusqlite::Result<()> {
        run(self.db, "COMMIT")
    }

    /// Runs an operation whose failure undoes nothing else. `Err`: the transaction is over.
    pub(super) fn run_alone(
        &self,
        operation: &mut dyn Operation,
    ) -> Result<Result<(), StoreError>, StoreError> {
        run(self.db, "SAVEPOINT operation").map_err(store_error)?;
        let outcome = operation.run(self.db).map_err(store_error);
        if let Err(error) = outcome {
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

//! Numbers rows in the order in which they arrive.

use std::sync::atomic::{AtomicI64, Ordering};

use rusqlite::{Connection, Result};

/// Assigns numbers, each greater than all before it, including those from before the store was last opened: opening
/// the store reserves the next 2³² of them. Numbers of a group that was rolled back are skipped.
#[derive(Debug)]
pub(super) struct Arrivals(AtomicI64);

impl Arrivals {
    pub(super) fn open(db: &Connection) -> Result<Self> {
        let opening: i64 = db.query_row(
            "UPDATE store_meta SET v = v + 1 WHERE k = 'arrivals' RETURNING v - 1",
            [],
            |row| row.get(0),
        )?;
        Ok(Self(AtomicI64::new(opening.saturating_mul(1 << 32))))
    }

    /// Called by the writer only.
    pub(super) fn next(&self) -> i64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

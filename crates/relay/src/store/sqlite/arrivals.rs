//! Numbers for rows in the order in which they arrive.

use std::sync::atomic::{AtomicI64, Ordering};

use rusqlite::{Connection, Result};

/// Gives out numbers, each greater than all before it, also those from before the store was last opened: an opening
/// takes the next 2³² of them. Numbers of a group that was undone are left out.
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

    /// Only the writer asks.
    pub(super) fn next(&self) -> i64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

//! Ciphertexts to which rows of several mailboxes refer. Each exists until the last of its holders is gone: the rows, and the job that is
//! still writing some.

use std::collections::BTreeMap;

use bytes::Bytes;
use rusqlite::{Connection, Result, params};

use super::columns::{blob, expect_one};

/// The number of a payload. It comes from the numbers of arrivals, so none is used twice.
pub(super) type PayloadId = i64;

/// Stores a payload with this many holders, of which there must be one.
pub(super) fn store(tx: &Connection, id: PayloadId, holders: usize, ciphertext: &[u8]) -> Result<()> {
    expect_one(
        tx.prepare_cached("INSERT INTO payload (payload_id, holders, ciphertext) VALUES (?1, ?2, ?3)")?
            .execute(params![id, holders, ciphertext])?,
    )
}

/// Rows were added that refer to it.
pub(super) fn hold(tx: &Connection, id: PayloadId, more: usize) -> Result<()> {
    if more == 0 {
        return Ok(());
    }
    expect_one(
        tx.prepare_cached("UPDATE payload SET holders = holders + ?2 WHERE payload_id = ?1")?
            .execute(params![id, more])?,
    )
}

pub(super) fn ciphertext(tx: &Connection, id: PayloadId) -> Result<Bytes> {
    tx.prepare_cached("SELECT ciphertext FROM payload WHERE payload_id = ?1")?
        .query_row([id], |row| blob(row, 0))
}

/// Payloads that have lost holders, which is not written yet. They are written once for many rows.
#[derive(Debug, Default)]
pub(super) struct Released(BTreeMap<PayloadId, u64>);

impl Released {
    /// A row is gone. Most rows have no payload.
    pub(super) fn row(&mut self, payload: Option<PayloadId>) {
        if let Some(id) = payload {
            let count = self.0.entry(id).or_default();
            *count = count.saturating_add(1);
        }
    }

    /// Deletes the payloads without holders.
    pub(super) fn write(&mut self, tx: &Connection) -> Result<()> {
        for (id, count) in std::mem::take(&mut self.0) {
            let left: i64 = tx
                .prepare_cached(
                    "UPDATE payload SET holders = holders - ?2 WHERE payload_id = ?1 RETURNING holders",
                )?
                .query_row(params![id, count], |row| row.get(0))?;
            if left <= 0 {
                expect_one(tx.prepare_cached("DELETE FROM payload WHERE payload_id = ?1")?.execute([id])?)?;
            }
        }
        Ok(())
    }
}

//! The sums of a mailbox, overall and by thread, and which rows are trimmed when it is full.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Result, params};
use sealpost_wire::id::ThreadId;
use sealpost_wire::limits::MAX_MAILBOX_BYTES;

use super::columns::{Shape, expect_one, row_bytes, thread};
use super::payload::Released;
use crate::address::Address;

/// Maximum number of rows that are trimmed for one new row: enough of the smallest to make space for the largest.
const MAX_TRIMMED: u64 = 256;

/// How a group of operations changes the sums of a thread in a mailbox.
#[derive(Debug, Default)]
pub(super) struct Change {
    /// The number of added rows.
    pub(super) rows: u64,
    /// The number of added bytes.
    pub(super) came: u64,
    /// The number of removed bytes.
    pub(super) went: u64,
    /// Whether rows were added whose thread the owner has not accepted.
    pub(super) request: bool,
}

/// Rows were added to a mailbox or removed from it. If it is now too full, the oldest rows of the thread that
/// occupies most of it are trimmed.
pub(super) fn change(tx: &Connection, owner: Address, changes: &BTreeMap<ThreadId, Change>) -> Result<()> {
    let (user, device) = (owner.user.as_bytes(), owner.device.get());
    let mut all = Change::default();
    let mut left = BTreeMap::new();
    for (thread, Change { rows, came, went, request }) in changes {
        if *rows == 0 {
            left.insert(*thread, *went);
            continue;
        }
        expect_one(
            tx.prepare_cached(
                "INSERT INTO mailbox_thread (user_id, device_id, thread_id, bytes, request)
                 VALUES (?1, ?2, ?3, ?4 - ?6, ?5) ON CONFLICT DO UPDATE
                 SET bytes = bytes + excluded.bytes, request = max(request, excluded.request)",
            )?
            .execute(params![user, device, thread.as_bytes(), came, request, went])?,
        )?;
        all.rows = all.rows.saturating_add(*rows);
        all.came = all.came.saturating_add(*came);
        all.went = all.went.saturating_add(*went);
    }
    if !left.is_empty() {
        shrink(tx, owner, &left)?;
    }
    if all.rows == 0 {
        return Ok(());
    }
    let held: u64 = tx
        .prepare_cached(
            "UPDATE mailbox SET bytes = bytes + ?3 - ?4 WHERE user_id = ?1 AND device_id = ?2 RETURNING bytes",
        )?
        .query_row(params![user, device, all.came, all.went], |row| row.get(0))?;
    match held.checked_sub(MAX_MAILBOX_BYTES) {
        None | Some(0) => Ok(()),
        Some(over) => trim(tx, owner, over, MAX_TRIMMED.saturating_mul(all.rows)),
    }
}

/// Rows were removed from a mailbox: this many bytes of each thread.
pub(super) fn shrink(tx: &Connection, owner: Address, freed: &BTreeMap<ThreadId, u64>) -> Result<()> {
    let (user, device) = (owner.user.as_bytes(), owner.device.get());
    let mut all: u64 = 0;
    for (thread, bytes) in freed {
        all = all.saturating_add(*bytes);
        tx.prepare_cached(
            "UPDATE mailbox_thread SET bytes = bytes - ?4
             WHERE user_id = ?1 AND device_id = ?2 AND thread_id = ?3",
        )?
        .execute(params![user, device, thread.as_bytes(), bytes])?;
    }
    if all > 0 {
        tx.prepare_cached("UPDATE mailbox SET bytes = bytes - ?3 WHERE user_id = ?1 AND device_id = ?2")?
            .execute(params![user, device, all])?;
    }
    Ok(())
}

/// Rows are trimmed from the thread that occupies most space, so a small thread loses nothing to a large one. Every
/// trimmed row is counted, because the number is reported to the device.
fn trim(tx: &Connection, owner: Address, mut over: u64, most: u64) -> Result<()> {
    let (mut trimmed, mut freed): (u64, _) = (0, BTreeMap::new());
    let mut released = Released::default();
    while over > 0 && trimmed < most {
        let Some(thread) = fullest(tx, owner)? else { break };
        let mut bytes: u64 = 0;
        let (table, rows) = oldest(tx, owner, thread)?;
        for (arrival, row) in rows {
            if over <= bytes || trimmed >= most {
                break;
            }
            let sql =
                format!("DELETE FROM {table} WHERE arrival = ?1 RETURNING {}", Shape::of(table).payload);
            released.row(tx.prepare_cached(&sql)?.query_row([arrival], |row| row.get(0))?);
            bytes = bytes.saturating_add(row);
            trimmed = trimmed.saturating_add(1);
        }
        if bytes == 0 {
            break;
        }
        over = over.saturating_sub(bytes);
        freed.clear();
        freed.insert(thread, bytes);
        shrink(tx, owner, &freed)?;
    }
    released.write(tx)?;
    expect_one(
        tx.prepare_cached("UPDATE mailbox SET trimmed = trimmed + ?3 WHERE user_id = ?1 AND device_id = ?2")?
            .execute(params![owner.user.as_bytes(), owner.device.get(), trimmed])?,
    )
}

/// The thread that occupies most of a mailbox. Threads that occupy much have an index of their own; only a mailbox
/// that is full of small threads is scanned.
fn fullest(tx: &Connection, owner: Address) -> Result<Option<ThreadId>> {
    for which in ["bytes > 262144", "bytes > 0"] {
        let found = tx
            .prepare_cached(&format!(
                "SELECT thread_id FROM mailbox_thread WHERE user_id = ?1 AND device_id = ?2 AND {which}
                 ORDER BY bytes DESC LIMIT 1"
            ))?
            .query_row(params![owner.user.as_bytes(), owner.device.get()], |row| thread(row, 0))
            .optional()?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The oldest rows of a thread in a mailbox, with their sizes, and their table. Its messages are trimmed when it has no
/// mail left.
fn oldest(tx: &Connection, owner: Address, thread: ThreadId) -> Result<(&'static str, Vec<(i64, u64)>)> {
    for (table, number) in [("mail", "mail_seq"), ("inbox", "server_seq")] {
        let rows: Vec<_> = tx
            .prepare_cached(&format!(
                "SELECT arrival, {} FROM {table}
                 WHERE user_id = ?1 AND device_id = ?2 AND thread_id = ?3 ORDER BY {number} LIMIT 256",
                Shape::of(table).size
            ))?
            .query_map(params![owner.user.as_bytes(), owner.device.get(), thread.as_bytes()], |row| {
                Ok((row.get(0)?, row_bytes(row.get(1)?)))
            })?
            .collect::<Result<_>>()?;
        if !rows.is_empty() {
            return Ok((table, rows));
        }
    }
    Ok(("inbox", Vec::new()))
}

#[cfg(test)]
mod tests {
    use super::super::schema::tests::of_version;
    use super::super::threads;
    use super::*;
    use sealpost_wire::id::{DeviceId, UserId};

    /// Two mailboxes and a thread of their owners, written by an earlier version of the relay, without sums and
    /// acceptance.
    const EARLIER: &str = "
        INSERT INTO thread VALUES (x'09090909090909090909090909090909', 2, 2, 1, 0);
        INSERT INTO thread_member VALUES
            (x'09090909090909090909090909090909', x'01010101010101010101010101010101'),
            (x'09090909090909090909090909090909', x'02020202020202020202020202020202');
        INSERT INTO mailbox (user_id, device_id, bytes, trimmed, pushed) VALUES
            (x'01010101010101010101010101010101', 1, 30, 0, 7), (x'02020202020202020202020202020202', 1, 0, 1, 0);
        INSERT INTO inbox VALUES
            (1, x'01010101010101010101010101010101', 1, x'09090909090909090909090909090909', 1, 1, x'02', 1, x'01',
             1, 1, 0, 0, 9, zeroblob(10)),
            (2, x'01010101010101010101010101010101', 1, x'09090909090909090909090909090909', 2, 2, x'02', 1, x'02',
             1, 1, 0, 0, 9, zeroblob(20));";

    #[test]
    fn the_migration_computes_sums_and_accepts_existing_threads() {
        for version in 1..=5 {
            let db = of_version(version, EARLIER);
            let thread = ThreadId::from_bytes([9; 16]);
            let sums: (u64, u64) = db
                .query_row(
                    "SELECT t.bytes, m.bytes FROM mailbox_thread AS t JOIN mailbox AS m USING (user_id)",
                    [],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .unwrap();
            assert_eq!(sums, (542, 542), "from {version}");
            let accepted: u32 =
                db.query_row("SELECT sum(accepted) FROM thread_member", [], |row| row.get(0)).unwrap();
            assert_eq!(accepted, 2);
            assert_eq!(threads::accept(&db, thread, UserId::from_bytes([1; 16])), Ok(true));
            let owner = Address { user: UserId::from_bytes([1; 16]), device: DeviceId::PRIMARY };
            trim(&db, owner, 1, MAX_TRIMMED).unwrap();
            let left: (u64, u64, u64) = db
                .query_row(
                    "SELECT bytes, trimmed, (SELECT min(arrival) FROM inbox) FROM mailbox WHERE bytes > 0",
                    [],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
                )
                .unwrap();
            assert_eq!(left, (276, 1, 2));
        }
    }
}

//! Mailboxes: read, acknowledged, expired.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Result, Row as SqlRow, Statement, params};
use sealpost_wire::Envelope;
use sealpost_wire::id::ThreadId;

use super::columns::{address, blob, client_msg_id, row_bytes, thread};
use super::trim;
use crate::address::Address;
use crate::fault::{self, Station};
use crate::store::{Arrival, InboxKey, MailboxState, Message, Page, PageLimit, Row};

pub(super) fn state(tx: &Connection, owner: Address) -> Result<MailboxState> {
    tx.prepare_cached("SELECT trimmed, told, pushed FROM mailbox WHERE user_id = ?1 AND device_id = ?2")?
        .query_row(params![owner.user.as_bytes(), owner.device.get()], |row| {
            Ok(MailboxState { trimmed: row.get(0)?, told: row.get(1)?, pushed: row.get(2)? })
        })
}

const COLUMNS: &str = "arrival, thread_id, server_seq, hlc, sender_user, sender_device, client_msg_id,
    roster_version, kind, urgent, ttl_s, ciphertext";

pub(super) fn arrivals(tx: &Connection, owner: Address, after: Arrival, limit: PageLimit) -> Result<Page> {
    let mut statement = tx.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM inbox WHERE user_id = ?1 AND device_id = ?2 AND expires_ms > ?3 AND arrival > ?4
         ORDER BY arrival"
    ))?;
    let page =
        page(&mut statement, params![owner.user.as_bytes(), owner.device.get(), limit.now_ms, after], limit)?;
    with_trimmed(tx, owner, page)
}

pub(super) fn after(
    tx: &Connection,
    owner: Address,
    after: Option<InboxKey>,
    limit: PageLimit,
) -> Result<Page> {
    // No row comes before the smallest thread id with seq 0, for seqs start at 1.
    let (thread, seq) = after.map_or(([0; 16], 0), |key| {
        // A client may name any number; no row has one that SQLite cannot hold.
        let seq = i64::try_from(key.server_seq).unwrap_or(i64::MAX);
        (*key.thread.as_bytes(), seq)
    });
    let mut statement = tx.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM inbox WHERE user_id = ?1 AND device_id = ?2 AND expires_ms > ?3
         AND (thread_id, server_seq) > (?4, ?5) ORDER BY thread_id, server_seq"
    ))?;
    let page = page(
        &mut statement,
        params![owner.user.as_bytes(), owner.device.get(), limit.now_ms, thread, seq],
        limit,
    )?;
    with_trimmed(tx, owner, page)
}

/// In the snapshot of the page, so that whoever was given the rows knows what is missing among them.
fn with_trimmed(tx: &Connection, owner: Address, page: Page) -> Result<Page> {
    let trimmed = state(tx, owner).optional()?.map_or(0, |mailbox| mailbox.trimmed);
    Ok(Page { trimmed, ..page })
}

/// Reads rows until the page is full, and looks whether one more is there.
fn page(statement: &mut Statement<'_>, params: &[&dyn rusqlite::ToSql], limit: PageLimit) -> Result<Page> {
    let mut page = Page::default();
    let mut bytes: usize = 0;
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()? {
        let row = inbox_row(row)?;
        bytes = bytes.saturating_add(row.message.envelope.ciphertext.len());
        let full =
            page.rows.len() >= usize::try_from(limit.rows).unwrap_or(usize::MAX) || bytes > limit.bytes;
        if full && !page.rows.is_empty() {
            page.more = true;
            break;
        }
        page.rows.push(row);
    }
    Ok(page)
}

fn inbox_row(row: &SqlRow<'_>) -> Result<Row> {
    Ok(Row {
        arrival: row.get(0)?,
        key: InboxKey { thread: thread(row, 1)?, server_seq: row.get(2)? },
        message: Message {
            hlc: row.get(3)?,
            sender: address(row, 4, 5)?,
            client_msg_id: client_msg_id(row, 6)?,
            roster_version: row.get(7)?,
            envelope: Envelope {
                kind: row.get(8)?,
                urgent: row.get(9)?,
                ephemeral: false,
                ttl_s: row.get(10)?,
                ciphertext: blob(row, 11)?,
            },
        },
    })
}

pub(super) fn acknowledge(tx: &Connection, owner: Address, keys: &[InboxKey]) -> Result<u32> {
    let (user, device) = (owner.user.as_bytes(), owner.device.get());
    let (mut removed, mut freed): (u32, BTreeMap<_, u64>) = (0, BTreeMap::new());
    let mut delete = tx.prepare_cached(
        "DELETE FROM inbox WHERE user_id = ?1 AND device_id = ?2 AND thread_id = ?3 AND server_seq = ?4
         RETURNING length(ciphertext)",
    )?;
    for key in keys {
        // A client may name any number; no row has one that SQLite cannot hold.
        let Ok(seq) = i64::try_from(key.server_seq) else { continue };
        let mut gone = delete.query(params![user, device, key.thread.as_bytes(), seq])?;
        while let Some(row) = gone.next()? {
            removed = removed.saturating_add(1);
            let bytes = freed.entry(key.thread).or_default();
            *bytes = bytes.saturating_add(row_bytes(row.get(0)?));
        }
    }
    trim::shrink(tx, owner, &freed)?;
    fault::at(Station::AckBeforeCommit);
    Ok(removed)
}

pub(super) fn mark_pushed(tx: &Connection, owner: Address, up_to: Arrival) -> Result<()> {
    tx.prepare_cached("UPDATE mailbox SET pushed = max(pushed, ?3) WHERE user_id = ?1 AND device_id = ?2")?
        .execute(params![owner.user.as_bytes(), owner.device.get(), up_to])
        .map(drop)
}

pub(super) fn mark_told(tx: &Connection, owner: Address, trimmed: u64) -> Result<()> {
    // A client may name any number.
    let trimmed = i64::try_from(trimmed).unwrap_or(i64::MAX);
    tx.prepare_cached(
        "UPDATE mailbox SET told = max(told, min(trimmed, ?3)) WHERE user_id = ?1 AND device_id = ?2",
    )?
    .execute(params![owner.user.as_bytes(), owner.device.get(), trimmed])
    .map(drop)
}

/// Removes rows that expired, oldest expiry first.
pub(super) fn expire(tx: &Connection, now_ms: u64, budget: u32) -> Result<u64> {
    let expired: Vec<(Address, ThreadId, u64)> = tx
        .prepare_cached(
            "DELETE FROM inbox WHERE arrival IN
                (SELECT arrival FROM inbox WHERE expires_ms <= ?1 ORDER BY expires_ms LIMIT ?2)
             RETURNING user_id, device_id, thread_id, length(ciphertext)",
        )?
        .query_map(params![now_ms, budget], |row| {
            Ok((address(row, 0, 1)?, thread(row, 2)?, row_bytes(row.get(3)?)))
        })?
        .collect::<Result<_>>()?;
    let mut freed: BTreeMap<Address, BTreeMap<ThreadId, u64>> = BTreeMap::new();
    for (owner, thread, bytes) in &expired {
        let of_thread = freed.entry(*owner).or_default().entry(*thread).or_default();
        *of_thread = of_thread.saturating_add(*bytes);
    }
    for (owner, freed) in &freed {
        trim::shrink(tx, *owner, freed)?;
    }
    Ok(u64::try_from(expired.len()).unwrap_or(u64::MAX))
}

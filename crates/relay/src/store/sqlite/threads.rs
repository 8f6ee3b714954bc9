//! Threads and their members.

use rusqlite::{Connection, OptionalExtension as _, Result, params};
use sealpost_wire::id::{ThreadId, UserId};

use super::columns::{expect_one, thread, user};
use super::{blocks, devices, roster};
use crate::store::{Created, NewThread, ThreadRow};

pub(super) fn create(tx: &Connection, new: &NewThread) -> Result<Created> {
    let (lo, hi) = (new.creator.min(new.peer), new.creator.max(new.peer));
    let existing = tx
        .prepare_cached("SELECT thread_id FROM direct_pair WHERE lo = ?1 AND hi = ?2")?
        .query_row([lo.as_bytes(), hi.as_bytes()], |row| thread(row, 0))
        .optional()?;
    if let Some(existing) = existing {
        accept(tx, existing, new.creator)?;
        return Ok(Created::Existing(existing));
    }
    if devices::live(tx, new.peer)?.is_empty() {
        let deleted = devices::is_deleted(tx, new.peer)?;
        return Ok(if deleted { Created::PeerDeleted } else { Created::NoSuchPeer });
    }
    let is_note = new.creator == new.peer;
    let is_taken =
        tx.prepare_cached("SELECT 1 FROM thread WHERE thread_id = ?1")?.exists([new.id.as_bytes()])?;
    match (is_taken, is_note) {
        (true, false) => return Ok(Created::IdTaken),
        (true, true) => remove_members(tx, new.id)?,
        (false, _) => expect_one(tx.execute(
            "INSERT INTO thread (thread_id, last_seq, last_hlc, roster_version, created_ms)
             VALUES (?1, 0, 0, 1, ?2)",
            params![new.id.as_bytes(), new.now_ms],
        )?)?,
    }
    expect_one(tx.execute(
        "INSERT INTO direct_pair (lo, hi, thread_id) VALUES (?1, ?2, ?3)",
        [lo.as_bytes(), hi.as_bytes(), new.id.as_bytes()],
    )?)?;
    let members = if is_note { &[lo][..] } else { &[lo, hi] };
    for member in members.iter().copied() {
        expect_one(tx.execute(
            "INSERT INTO thread_member (thread_id, user_id, accepted) VALUES (?1, ?2, ?3)",
            params![new.id.as_bytes(), member.as_bytes(), member == new.creator],
        )?)?;
    }
    blocks::mark_new_thread(tx, new.id, [lo, hi])?;
    Ok(Created::New)
}

/// Takes a thread from its members. The id of a note to self is derived from its account, so others who have named a thread like it did that
/// to keep the account from its own. The positions go on, because rows with the earlier ones may be in mailboxes.
fn remove_members(tx: &Connection, id: ThreadId) -> Result<()> {
    if let [lo, hi] = members(tx, id)?[..] {
        tx.execute("DELETE FROM direct_pair WHERE lo = ?1 AND hi = ?2", [lo.as_bytes(), hi.as_bytes()])?;
    }
    tx.execute("DELETE FROM thread_member WHERE thread_id = ?1", [id.as_bytes()])?;
    Ok(())
}

/// Returns `false` if there is no such member.
pub(super) fn accept(tx: &Connection, id: ThreadId, member: UserId) -> Result<bool> {
    let mut update = tx.prepare_cached(
        "UPDATE thread_member SET accepted = 1, requested_messages = 0, requested_bytes = 0
         WHERE thread_id = ?1 AND user_id = ?2 AND accepted = 0",
    )?;
    if update.execute([id.as_bytes(), member.as_bytes()])? == 0 {
        return Ok(members(tx, id)?.contains(&member));
    }
    tx.prepare_cached(
        "UPDATE mailbox_thread SET request = 0 WHERE thread_id = ?1 AND user_id = ?2
            AND device_id IN (SELECT device_id FROM device WHERE user_id = ?2)",
    )?
    .execute([id.as_bytes(), member.as_bytes()])?;
    Ok(true)
}

pub(super) fn get(tx: &Connection, id: ThreadId, member: UserId) -> Result<Option<ThreadRow>> {
    let mut members = members(tx, id)?;
    if !members.contains(&member) {
        match roster::members(tx, id, member)? {
            Some(of_group) => members = of_group,
            None => return Ok(None),
        }
    }
    tx.prepare_cached(
        "SELECT coalesce((SELECT version FROM roster WHERE roster.thread_id = ?1), roster_version), last_seq
         FROM thread WHERE thread_id = ?1",
    )?
    .query_row([id.as_bytes()], |row| {
        Ok(ThreadRow { roster_version: row.get(0)?, last_seq: row.get(1)?, members })
    })
    .optional()
}

fn members(tx: &Connection, id: ThreadId) -> Result<Vec<UserId>> {
    tx.prepare_cached("SELECT user_id FROM thread_member WHERE thread_id = ?1 ORDER BY user_id")?
        .query_map([id.as_bytes()], |row| user(row, 0))?
        .collect()
}

//! Whom users block.

use rusqlite::{Connection, Result, params};
use sealpost_wire::id::{ThreadId, UserId};
use sealpost_wire::limits::MAX_BLOCKS;

/// Returns `false` if the user blocks as many as they may. Whether the other user exists makes no difference.
pub(super) fn block(tx: &Connection, user: UserId, blocked: UserId) -> Result<bool> {
    if is_blocked(tx, user, blocked)? {
        return Ok(true);
    }
    let count: u64 = tx
        .prepare_cached("SELECT count(*) FROM block WHERE user_id = ?1")?
        .query_row([user.as_bytes()], |row| row.get(0))?;
    if count >= MAX_BLOCKS {
        return Ok(false);
    }
    tx.prepare_cached("INSERT INTO block (user_id, blocked_user) VALUES (?1, ?2)")?
        .execute([user.as_bytes(), blocked.as_bytes()])?;
    mark_thread(tx, user, blocked, true)?;
    Ok(true)
}

pub(super) fn unblock(tx: &Connection, user: UserId, blocked: UserId) -> Result<()> {
    tx.prepare_cached("DELETE FROM block WHERE user_id = ?1 AND blocked_user = ?2")?
        .execute([user.as_bytes(), blocked.as_bytes()])?;
    mark_thread(tx, user, blocked, false)
}

pub(super) fn is_blocked(tx: &Connection, user: UserId, blocked: UserId) -> Result<bool> {
    tx.prepare_cached("SELECT 1 FROM block WHERE user_id = ?1 AND blocked_user = ?2")?
        .exists([user.as_bytes(), blocked.as_bytes()])
}

/// A new direct thread of two users, either of whom may block the other.
pub(super) fn mark_new_thread(tx: &Connection, thread: ThreadId, members: [UserId; 2]) -> Result<()> {
    let [one, other] = members;
    for (user, blocked) in [(one, other), (other, one)] {
        tx.prepare_cached(
            "UPDATE thread_member SET blocks = 1 WHERE thread_id = ?1 AND user_id = ?2
                AND EXISTS (SELECT 1 FROM block WHERE block.user_id = ?2 AND blocked_user = ?3)",
        )?
        .execute([&thread.as_bytes()[..], user.as_bytes(), blocked.as_bytes()])?;
    }
    Ok(())
}

/// The member's row repeats whether the other one is blocked, so that a message needs no further look-up.
fn mark_thread(tx: &Connection, user: UserId, blocked: UserId, blocks: bool) -> Result<()> {
    let (lo, hi) = (user.min(blocked), user.max(blocked));
    tx.prepare_cached(
        "UPDATE thread_member SET blocks = ?4 WHERE user_id = ?3
            AND thread_id = (SELECT thread_id FROM direct_pair WHERE lo = ?1 AND hi = ?2)",
    )?
    .execute(params![lo.as_bytes(), hi.as_bytes(), user.as_bytes(), blocks])
    .map(drop)
}

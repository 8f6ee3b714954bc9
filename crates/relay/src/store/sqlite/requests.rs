//! Limits on what a thread may deliver to a member who has not accepted it.
//!
//! All messages that were stored for the member in the thread count, even if they were acknowledged: otherwise a
//! stranger could send without limit to a device that acknowledges everything. The rows of all such threads together
//! are limited too, so that many strangers cannot displace other messages.

use rusqlite::{Connection, Result, params};
use sealpost_wire::id::UserId;
use sealpost_wire::limits::{
    MAX_MAILBOX_BYTES, MAX_REQUEST_BYTES, MAX_REQUEST_MESSAGES, MAX_REQUESTS, MAX_REQUESTS_BYTES,
};

use super::columns::{expect_one, row_bytes};
use super::deferred::Mailboxes;
use super::lane::{Lane, Requested};
use crate::address::Address;
use crate::store::{Append, Copy};

/// A message to a member who has not accepted the thread, within the limits.
#[derive(Debug)]
pub(super) struct Admitted {
    member: UserId,
    /// The size of the largest copy.
    bytes: u64,
}

/// Checks the limits of this member for a message. No rows are trimmed to make room for it.
pub(super) fn admit(
    tx: &Connection,
    mailboxes: &mut Mailboxes,
    append: &Append,
    member: UserId,
    so_far: Requested,
) -> Result<Option<Admitted>> {
    let copies = || append.copies.iter().filter(|copy| copy.to.user == member);
    let bytes = copies().map(size).max().unwrap_or(0);
    let room =
        so_far.messages < MAX_REQUEST_MESSAGES && so_far.bytes.saturating_add(bytes) <= MAX_REQUEST_BYTES;
    if !room {
        return Ok(None);
    }
    for copy in copies() {
        mailboxes.write(tx, copy.to)?;
        if !mailbox_has_room(tx, copy.to, row_bytes(copy.ciphertext_len()))? {
            return Ok(None);
        }
    }
    Ok(Some(Admitted { member, bytes }))
}

/// Counts a message that was admitted.
pub(super) fn count(tx: &Connection, lane: &mut Lane, append: &Append, admitted: &Admitted) -> Result<()> {
    if let Some(so_far) = lane.not_accepted.get_mut(&admitted.member) {
        so_far.messages = so_far.messages.saturating_add(1);
        so_far.bytes = so_far.bytes.saturating_add(admitted.bytes);
    }
    expect_one(
        tx.prepare_cached(
            "UPDATE thread_member SET requested_messages = requested_messages + 1,
                requested_bytes = requested_bytes + ?3
             WHERE thread_id = ?1 AND user_id = ?2",
        )?
        .execute(params![append.thread.as_bytes(), admitted.member.as_bytes(), admitted.bytes])?,
    )
}

pub(super) fn mailbox_has_room(tx: &Connection, owner: Address, bytes: u64) -> Result<bool> {
    let (requests, requested, held): (u64, u64, u64) = tx
        .prepare_cached(
            "SELECT count(*), coalesce(sum(bytes), 0),
                (SELECT bytes FROM mailbox WHERE user_id = ?1 AND device_id = ?2)
             FROM mailbox_thread WHERE user_id = ?1 AND device_id = ?2 AND request = 1 AND bytes > 0",
        )?
        .query_row(params![owner.user.as_bytes(), owner.device.get()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    Ok(requests < MAX_REQUESTS
        && requested.saturating_add(bytes) <= MAX_REQUESTS_BYTES
        && held.saturating_add(bytes) <= MAX_MAILBOX_BYTES)
}

/// Whether a user has accepted a direct thread with another one.
pub(super) fn knows(tx: &Connection, user: UserId, other: UserId) -> Result<bool> {
    let (lo, hi) = (user.min(other), user.max(other));
    tx.prepare_cached(
        "SELECT 1 FROM direct_pair CROSS JOIN thread_member USING (thread_id)
         WHERE lo = ?1 AND hi = ?2 AND user_id = ?3 AND accepted = 1",
    )?
    .exists([lo.as_bytes(), hi.as_bytes(), user.as_bytes()])
}

fn size(copy: &Copy) -> u64 {
    u64::try_from(copy.ciphertext_len()).unwrap_or(u64::MAX)
}

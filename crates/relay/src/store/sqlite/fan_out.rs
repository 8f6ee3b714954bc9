//! Writes the rows of a post of a group: at once, or step by step as a job.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension as _, Result, Row, params};
use sealpost_wire::id::{ClientMsgId, ThreadId, UserId};
use sealpost_wire::limits::{MAX_REQUEST_BYTES, MAX_REQUEST_MESSAGES};

use super::arrivals::Arrivals;
use super::columns::{address, client_msg_id, expect_one, row_bytes, thread};
use super::deferred::{Deferred, Mailboxes};
use super::payload::{self, PayloadId};
use super::{blocks, group, requests};
use crate::address::Address;
use crate::fault::{self, Station};
use crate::store::{Claim, JobId, Progress, Stored};

/// A post as it is in each mailbox.
#[derive(Debug, Clone)]
pub(super) struct Post {
    pub(super) thread: ThreadId,
    pub(super) stored: Stored,
    pub(super) sender: Address,
    pub(super) client_msg_id: ClientMsgId,
    pub(super) roster_version: u64,
    pub(super) kind: u32,
    pub(super) urgent: bool,
    pub(super) ttl_s: u32,
    pub(super) expires_ms: u64,
    pub(super) payload: PayloadId,
    /// The length of the payload.
    pub(super) bytes: usize,
}

/// Writes a post for these devices of members.
pub(super) fn to_members(
    tx: &Connection,
    mailboxes: &mut Mailboxes,
    arrivals: &Arrivals,
    post: &Post,
    ciphertext: &[u8],
    devices: &[Address],
) -> Result<()> {
    if devices.is_empty() {
        return Ok(());
    }
    // All are counted before the first row, because a row may be trimmed as soon as it is there.
    payload::store(tx, post.payload, devices.len(), ciphertext)?;
    rows(tx, mailboxes, arrivals, post, devices)
}

/// Writes the rows of a post for these devices of members, which are counted as holders of the payload.
pub(super) fn rows(
    tx: &Connection,
    mailboxes: &mut Mailboxes,
    arrivals: &Arrivals,
    post: &Post,
    devices: &[Address],
) -> Result<()> {
    devices.iter().try_for_each(|device| deliver(tx, mailboxes, arrivals.next(), post, (*device, false)))
}

/// Stores a post whose rows are written later. `concerned` are users who get it without being members, in ascending order.
pub(super) fn begin_job(
    tx: &Connection,
    post: &Post,
    ciphertext: &[u8],
    job: JobId,
    concerned: &[UserId],
) -> Result<()> {
    // The job is a holder, too.
    payload::store(tx, post.payload, 1, ciphertext)?;
    let concerned: Vec<u8> = concerned.iter().flat_map(|user| *user.as_bytes()).collect();
    expect_one(
        tx.prepare_cached(
            "INSERT INTO job (thread_id, server_seq, job_id, payload_id, payload_bytes, hlc, sender_user, sender_device,
                client_msg_id, roster_version, kind, urgent, ttl_s, expires_ms, concerned, cursor_user, cursor_device,
                devices, fence, claimed_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, zeroblob(16), 0, 0, 0, 0)",
        )?
        .execute(params![
            post.thread.as_bytes(),
            post.stored.server_seq,
            job,
            post.payload,
            post.bytes,
            post.stored.hlc,
            post.sender.user.as_bytes(),
            post.sender.device.get(),
            post.client_msg_id.as_bytes(),
            post.roster_version,
            post.kind,
            post.urgent,
            post.ttl_s,
            post.expires_ms,
            concerned
        ])?,
    )
}

/// Adds a row to a mailbox. `request` means that its owner does not know who has sent it.
fn deliver(
    tx: &Connection,
    mailboxes: &mut Mailboxes,
    arrival: i64,
    post: &Post,
    (to, request): (Address, bool),
) -> Result<()> {
    expect_one(
        tx.prepare_cached(
            "INSERT INTO inbox (user_id, device_id, thread_id, server_seq, hlc, sender_user, sender_device,
                client_msg_id, roster_version, kind, urgent, ttl_s, expires_ms, ciphertext, arrival, payload_id, payload_bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, x'', ?14, ?15, ?16)",
        )?
        .execute(params![
            to.user.as_bytes(),
            to.device.get(),
            post.thread.as_bytes(),
            post.stored.server_seq,
            post.stored.hlc,
            post.sender.user.as_bytes(),
            post.sender.device.get(),
            post.client_msg_id.as_bytes(),
            post.roster_version,
            post.kind,
            post.urgent,
            post.ttl_s,
            post.expires_ms,
            arrival,
            post.payload,
            post.bytes
        ])?,
    )?;
    mailboxes.grow(tx, to, post.thread, (row_bytes(post.bytes), request))
}

/// Writes a post for the devices of somebody who is no member: who is invited, or not any more. Nothing is written for somebody who blocks its
/// author, or of whose mailbox strangers have their share. Returns the devices.
pub(super) fn to_concerned(
    tx: &Connection,
    mailboxes: &mut Mailboxes,
    arrivals: &Arrivals,
    post: &Post,
    user: UserId,
) -> Result<Vec<Address>> {
    let author = post.sender.user;
    if blocks::is_blocked(tx, user, author)? {
        return Ok(Vec::new());
    }
    let devices: Vec<_> = group::devices_of(tx, user)?.into_iter().map(|(device, _)| device).collect();
    let is_request = !requests::knows(tx, user, author)?;
    if is_request && !admit(tx, mailboxes, post, user, &devices)? {
        return Ok(Vec::new());
    }
    payload::hold(tx, post.payload, devices.len())?;
    // To be invited is worth a notification.
    let post = Post { urgent: true, ..post.clone() };
    for device in &devices {
        deliver(tx, mailboxes, arrivals.next(), &post, (*device, is_request))?;
    }
    Ok(devices)
}

/// Counts a post for somebody who does not know its author, unless it exceeds a limit.
fn admit(
    tx: &Connection,
    mailboxes: &mut Mailboxes,
    post: &Post,
    user: UserId,
    devices: &[Address],
) -> Result<bool> {
    for device in devices {
        mailboxes.write(tx, *device)?;
        if !requests::mailbox_has_room(tx, *device, row_bytes(post.bytes))? {
            return Ok(false);
        }
    }
    count_request(tx, post.thread, user, post.bytes)
}

/// Counts what a group delivers to somebody who does not know its author. Returns `false` if it is too much.
pub(super) fn count_request(tx: &Connection, thread: ThreadId, user: UserId, bytes: usize) -> Result<bool> {
    let counted = tx
        .prepare_cached(
            "INSERT INTO group_request (thread_id, user_id, requested_messages, requested_bytes) VALUES (?1, ?2, 1, ?3)
             ON CONFLICT DO UPDATE SET requested_messages = requested_messages + 1,
                requested_bytes = requested_bytes + excluded.requested_bytes
             WHERE requested_messages < ?4 AND requested_bytes + excluded.requested_bytes <= ?5",
        )?
        .execute(params![
            thread.as_bytes(),
            user.as_bytes(),
            bytes,
            MAX_REQUEST_MESSAGES,
            MAX_REQUEST_BYTES
        ])?;
    Ok(counted > 0)
}

/// Whether this many further messages may be delivered to somebody who does not know their author.
pub(super) fn has_request_room(
    tx: &Connection,
    thread: ThreadId,
    user: UserId,
    (messages, bytes): (u64, usize),
) -> Result<bool> {
    let so_far: Option<(u64, usize)> = tx
        .prepare_cached(
            "SELECT requested_messages, requested_bytes FROM group_request WHERE thread_id = ?1 AND user_id = ?2",
        )?
        .query_row([thread.as_bytes(), user.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (before, bytes_before) = so_far.unwrap_or_default();
    let bytes = u64::try_from(bytes.saturating_add(bytes_before)).unwrap_or(u64::MAX);
    Ok(before.saturating_add(messages) <= MAX_REQUEST_MESSAGES && bytes <= MAX_REQUEST_BYTES)
}

/// Claims the oldest jobs of groups whose oldest job is not claimed.
pub(super) fn claim(tx: &Connection, most: u32, now_ms: u64, until_ms: u64) -> Result<Vec<Claim>> {
    tx.prepare_cached(
        "UPDATE job SET fence = fence + 1, claimed_ms = ?2 WHERE (thread_id, server_seq) IN
            (SELECT thread_id, server_seq FROM job WHERE claimed_ms <= ?1 AND NOT EXISTS
                (SELECT 1 FROM job AS before WHERE before.thread_id = job.thread_id
                    AND before.server_seq < job.server_seq)
             ORDER BY payload_id LIMIT ?3)
         RETURNING thread_id, server_seq, sender_user, sender_device, fence",
    )?
    .query_map(params![now_ms, until_ms, most], |row| {
        Ok(Claim {
            thread: thread(row, 0)?,
            server_seq: row.get(1)?,
            sender: address(row, 2, 3)?,
            fence: row.get(4)?,
        })
    })?
    .collect()
}

/// A job, as far as it is.
struct Job {
    id: JobId,
    post: Post,
    concerned: BTreeSet<UserId>,
    /// The last device that has the post.
    cursor: Option<Address>,
    /// How many devices have it.
    devices: u32,
}

impl Job {
    fn read(row: &Row<'_>, claim: Claim) -> Result<Self> {
        let concerned: Vec<u8> = row.get(11)?;
        let begins: u32 = row.get(13)?;
        Ok(Self {
            id: row.get(0)?,
            post: Post {
                thread: claim.thread,
                stored: Stored { server_seq: claim.server_seq, hlc: row.get(3)? },
                sender: address(row, 4, 5)?,
                client_msg_id: client_msg_id(row, 6)?,
                roster_version: row.get(7)?,
                kind: row.get(8)?,
                urgent: row.get(9)?,
                ttl_s: row.get(10)?,
                expires_ms: row.get(15)?,
                payload: row.get(1)?,
                bytes: row.get(2)?,
            },
            concerned: concerned.as_chunks().0.iter().map(|user| UserId::from_bytes(*user)).collect(),
            cursor: if begins == 0 { None } else { Some(address(row, 12, 13)?) },
            devices: row.get(14)?,
        })
    }
}

/// Writes the next rows of a job, members first, in the order of their addresses, and then of one concerned user after another.
pub(super) fn run(
    tx: &Connection,
    deferred: &mut Deferred,
    arrivals: &Arrivals,
    claim: Claim,
    rows: u32,
    until_ms: u64,
) -> Result<Progress> {
    let job = tx
        .prepare_cached(
            "SELECT job_id, payload_id, payload_bytes, hlc, sender_user, sender_device, client_msg_id, roster_version,
                kind, urgent, ttl_s, concerned, cursor_user, cursor_device, devices, expires_ms
             FROM job WHERE thread_id = ?1 AND server_seq = ?2 AND fence = ?3",
        )?
        .query_row(params![claim.thread.as_bytes(), claim.server_seq, claim.fence], |row| Job::read(row, claim))
        .optional()?;
    let Some(Job { id, post, mut concerned, cursor, devices }) = job else { return Ok(Progress::Fenced) };
    let mailboxes = &mut deferred.mailboxes;
    let most = usize::try_from(rows).unwrap_or(usize::MAX);
    let mut reached = group::devices_after(tx, post.thread, post.stored.server_seq, cursor, most)?;
    let more_members = reached.len() >= most;
    let cursor = reached.last().copied().or(cursor);
    reached.retain(|device| *device != post.sender);
    payload::hold(tx, post.payload, reached.len())?;
    self::rows(tx, mailboxes, arrivals, &post, &reached)?;
    while !more_members && reached.len() < most {
        let Some(user) = concerned.pop_first() else { break };
        reached.extend(to_concerned(tx, mailboxes, arrivals, &post, user)?);
    }
    let devices = devices.saturating_add(u32::try_from(reached.len()).unwrap_or(u32::MAX));
    let progress = if more_members || !concerned.is_empty() {
        let concerned: Vec<u8> = concerned.iter().flat_map(|user| *user.as_bytes()).collect();
        let cursor = cursor.map_or(([0; 16], 0), |cursor| (*cursor.user.as_bytes(), cursor.device.get()));
        expect_one(
            tx.prepare_cached(
                "UPDATE job SET concerned = ?3, cursor_user = ?4, cursor_device = ?5, devices = ?6, claimed_ms = ?7
                 WHERE thread_id = ?1 AND server_seq = ?2",
            )?
            .execute(params![
                post.thread.as_bytes(),
                post.stored.server_seq,
                concerned,
                cursor.0,
                cursor.1,
                devices,
                until_ms
            ])?,
        )?;
        Progress::More(reached)
    } else {
        expect_one(
            tx.prepare_cached("DELETE FROM job WHERE thread_id = ?1 AND server_seq = ?2")?
                .execute(params![post.thread.as_bytes(), post.stored.server_seq])?,
        )?;
        deferred.released.row(Some(post.payload));
        Progress::Done { devices: reached, job: id, total: devices }
    };
    fault::at(Station::FanoutBeforeCommit);
    Ok(progress)
}

/// Nobody can go on with claims from before the store was opened.
pub(super) fn forget_claims(db: &Connection) -> Result<()> {
    db.execute("UPDATE job SET claimed_ms = 0", []).map(drop)
}

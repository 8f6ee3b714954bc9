//! The hot path: a message gets its place and its rows, in one savepoint.

use std::collections::BTreeMap;

use rusqlite::{Connection, Error, OptionalExtension as _, Result, params};
use sealpost_wire::DeviceMismatch;
use sealpost_wire::id::{ThreadId, UserId};

use super::arrivals::Arrivals;
use super::columns::{address, one, row_bytes, user};
use super::requests::{self, Requested};
use super::trim;
use crate::address::Address;
use crate::fault::{self, Station};
use crate::limits::Inbound;
use crate::store::{Append, Appended, BodyHash, Copy, Stored};

/// Decides first, in the order in which a refusal may say something (membership before all else), then writes, and notes
/// what came to whom.
pub(super) fn append(
    tx: &Connection,
    arrivals: &Arrivals,
    append: &Append,
    inbound: &mut Vec<Inbound>,
) -> Result<Appended> {
    let Some(lane) = lane(tx, append.thread, append.sender.user)? else { return Ok(Appended::NotMember) };
    if !lane.live.iter().any(|(address, _)| *address == append.sender) {
        return Ok(Appended::SenderRevoked);
    }
    if let Err(refused) = check(append, &lane) {
        return Ok(earlier(tx, append)?.unwrap_or(refused));
    }
    let mut admitted = Vec::new();
    for (member, so_far) in &lane.not_accepted {
        match requests::admit(tx, append, *member, *so_far)? {
            Some(message) => admitted.push(message),
            None => return Ok(earlier(tx, append)?.unwrap_or(Appended::NotAccepted)),
        }
    }
    let stored = lane.next(append.now_ms);
    if !remember(tx, append, stored)? {
        return earlier(tx, append)?.ok_or(Error::QueryReturnedNoRows);
    }
    advance(tx, append, stored)?;
    for message in &admitted {
        requests::count(tx, append, message)?;
    }
    for copy in &append.copies {
        let accepted = !lane.not_accepted.contains_key(&copy.to.user);
        deliver(tx, arrivals.next(), append, copy, stored, !accepted)?;
        note(inbound, copy, accepted);
    }
    fault::at(Station::SendBeforeCommit);
    Ok(Appended::Stored(stored))
}

fn note(inbound: &mut Vec<Inbound>, copy: &Copy, accepted: bool) {
    let (recipient, bytes) = (copy.to.user, row_bytes(copy.envelope.ciphertext.len()));
    match inbound.iter_mut().rev().find(|one| one.recipient == recipient) {
        Some(one) => one.bytes = one.bytes.saturating_add(bytes),
        None => inbound.push(Inbound { recipient, bytes, accepted }),
    }
}

/// A thread as a send meets it.
struct Lane {
    /// Its end, where the next message goes.
    last: Stored,
    roster_version: u64,
    /// The live devices of all members in order of their addresses, with their registrations.
    live: Vec<(Address, u32)>,
    /// Members with a device who have not accepted the thread, but for the sender: what it has brought them.
    not_accepted: BTreeMap<UserId, Requested>,
}

impl Lane {
    /// The next place: the clock grows even when the time stands still or steps back.
    fn next(&self, now_ms: u64) -> Stored {
        Stored {
            server_seq: self.last.server_seq.saturating_add(1),
            hlc: self.last.hlc.saturating_add(1).max(now_ms.saturating_mul(1 << 16)),
        }
    }
}

/// The thread, if it has this member.
fn lane(tx: &Connection, thread: ThreadId, member: UserId) -> Result<Option<Lane>> {
    let mut statement = tx.prepare_cached(
        "SELECT last_seq, last_hlc, roster_version, thread_member.user_id, device_id, registration_id,
            accepted, requested_messages, requested_bytes
         FROM thread CROSS JOIN thread_member USING (thread_id)
            LEFT JOIN device ON device.user_id = thread_member.user_id
         WHERE thread_id = ?1 ORDER BY thread_member.user_id, device_id",
    )?;
    let mut rows = statement.query([thread.as_bytes()])?;
    let (mut found, mut is_member): (Option<Lane>, bool) = (None, false);
    while let Some(row) = rows.next()? {
        let lane = match &mut found {
            Some(lane) => lane,
            none => none.insert(Lane {
                last: Stored { server_seq: row.get(0)?, hlc: row.get(1)? },
                roster_version: row.get(2)?,
                live: Vec::new(),
                not_accepted: BTreeMap::new(),
            }),
        };
        is_member |= user(row, 3)? == member;
        // A member without devices has one row without a device.
        if let Some(registration) = row.get(5)? {
            let address = address(row, 3, 4)?;
            lane.live.push((address, registration));
            if !row.get(6)? && address.user != member {
                let so_far = Requested { messages: row.get(7)?, bytes: row.get(8)? };
                lane.not_accepted.insert(address.user, so_far);
            }
        }
    }
    Ok(found.filter(|_| is_member))
}

/// What was answered to this name before.
fn earlier(tx: &Connection, append: &Append) -> Result<Option<Appended>> {
    let earlier = tx
        .prepare_cached(
            "SELECT body_hash, server_seq, hlc FROM dedupe WHERE sender = ?1 AND client_msg_id = ?2",
        )?
        .query_row([append.sender.user.as_bytes(), append.client_msg_id.as_bytes()], |row| {
            let body_hash: BodyHash = row.get(0)?;
            Ok((body_hash, Stored { server_seq: row.get(1)?, hlc: row.get(2)? }))
        })
        .optional()?;
    Ok(earlier.map(|(body_hash, stored)| {
        if body_hash == append.body_hash { Appended::Duplicate(stored) } else { Appended::MsgIdReuse }
    }))
}

/// The roster must be the thread's, and the copies must fit its devices.
fn check(append: &Append, lane: &Lane) -> std::result::Result<(), Appended> {
    if append.roster_version != lane.roster_version {
        return Err(Appended::StaleRoster { current: lane.roster_version });
    }
    let wanted = lane.live.iter().filter(|(address, _)| *address != append.sender);
    if wanted.copied().eq(append.copies.iter().map(|copy| (copy.to, copy.registration_id))) {
        return Ok(());
    }
    check_copies(append, &lane.live.iter().copied().collect())
}

/// The copies must name each live device once, but for the sending one, in its present registration.
fn check_copies(append: &Append, live: &BTreeMap<Address, u32>) -> std::result::Result<(), Appended> {
    let named: BTreeMap<Address, u32> =
        append.copies.iter().map(|copy| (copy.to, copy.registration_id)).collect();
    let wanted = |address: &Address| *address != append.sender && live.contains_key(address);
    let missing = live.keys().filter(|address| wanted(address) && !named.contains_key(address));
    let extra = named.keys().filter(|address| !wanted(address));
    let (missing, extra): (Vec<_>, Vec<_>) = (missing.collect(), extra.collect());
    if !missing.is_empty() || !extra.is_empty() || named.len() != append.copies.len() {
        let mut by_user = Differences::default();
        missing.into_iter().for_each(|address| by_user.of(address).missing.push(address.device.get()));
        extra.into_iter().for_each(|address| by_user.of(address).extra.push(address.device.get()));
        return Err(Appended::MismatchedDevices(by_user.into_list()));
    }
    let stale = named.iter().filter(|(address, registration)| live.get(address) != Some(registration));
    let mut by_user = Differences::default();
    stale.for_each(|(address, _)| by_user.of(address).stale.push(address.device.get()));
    let stale = by_user.into_list();
    if stale.is_empty() { Ok(()) } else { Err(Appended::StaleDevices(stale)) }
}

#[derive(Default)]
struct Differences(BTreeMap<UserId, DeviceMismatch>);

impl Differences {
    fn of(&mut self, address: &Address) -> &mut DeviceMismatch {
        self.0.entry(address.user).or_insert_with(|| DeviceMismatch {
            user_id: address.user.to_wire(),
            ..DeviceMismatch::default()
        })
    }

    fn into_list(self) -> Vec<DeviceMismatch> {
        self.0.into_values().collect()
    }
}

fn advance(tx: &Connection, append: &Append, stored: Stored) -> Result<()> {
    one(tx
        .prepare_cached("UPDATE thread SET last_seq = ?2, last_hlc = ?3 WHERE thread_id = ?1")?
        .execute(params![append.thread.as_bytes(), stored.server_seq, stored.hlc])?)
}

/// Writes down that this name has this place. `false`: it has one, and nothing was written.
fn remember(tx: &Connection, append: &Append, stored: Stored) -> Result<bool> {
    let written = tx
        .prepare_cached(
            "INSERT INTO dedupe (client_msg_id, sender, thread_id, server_seq, hlc, body_hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            append.client_msg_id.as_bytes(),
            append.sender.user.as_bytes(),
            append.thread.as_bytes(),
            stored.server_seq,
            stored.hlc,
            append.body_hash
        ])?;
    Ok(written == 1)
}

fn deliver(
    tx: &Connection,
    arrival: i64,
    append: &Append,
    copy: &Copy,
    stored: Stored,
    request: bool,
) -> Result<()> {
    let (user, device) = (copy.to.user.as_bytes(), copy.to.device.get());
    one(tx
        .prepare_cached(
            "INSERT INTO inbox (user_id, device_id, thread_id, server_seq, hlc, sender_user, sender_device,
                client_msg_id, roster_version, kind, urgent, ttl_s, expires_ms, ciphertext, arrival)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?
        .execute(params![
            user,
            device,
            append.thread.as_bytes(),
            stored.server_seq,
            stored.hlc,
            append.sender.user.as_bytes(),
            append.sender.device.get(),
            append.client_msg_id.as_bytes(),
            append.roster_version,
            copy.envelope.kind,
            copy.envelope.urgent,
            copy.envelope.ttl_s,
            copy.expires_ms,
            &copy.envelope.ciphertext[..],
            arrival
        ])?)?;
    trim::grow(tx, copy.to, append.thread, row_bytes(copy.envelope.ciphertext.len()), request)
}

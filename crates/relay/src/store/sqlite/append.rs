//! Appends a message: assigns its position and writes its rows. This is the hot path.

use std::collections::BTreeMap;

use rusqlite::{Connection, Error, Result, params};
use sealpost_wire::id::{ThreadId, UserId};

use super::arrivals::Arrivals;
use super::columns::{expect_one, row_bytes};
use super::dedupe::{Earlier, Submission, WrongTime};
use super::deferred::{Deferred, Mailboxes};
use super::lane::Lane;
use super::{requests, threads};
use crate::address::Address;
use crate::fault::{self, Station};
use crate::limits::Inbound;
use crate::store::audience::Differences;
use crate::store::{Append, Appended, Copy, Stored};

/// Makes all decisions first, in the order in which refusals may reveal information (membership comes first), then
/// writes, and records the bytes that were delivered to each user.
pub(super) fn append(
    tx: &Connection,
    deferred: &mut Deferred,
    arrivals: &Arrivals,
    append: &Append,
    inbound: &mut Vec<Inbound>,
) -> Result<Appended> {
    let Deferred { lanes, mailboxes, .. } = deferred;
    let sender = append.sender.user;
    let Some(lane) = lanes.get(tx, append.thread)?.filter(|lane| lane.has_member(sender)) else {
        return Ok(Appended::NotMember);
    };
    if !lane.live.iter().any(|(address, _)| *address == append.sender) {
        return Ok(Appended::SenderRevoked);
    }
    let submission = Submission::of_message(append);
    if let Err(refused) = check(append, lane, &submission) {
        return match (submission.earlier(tx)?, refused) {
            (Some(earlier), _) => Ok(repeated(earlier)),
            (None, Appended::TooOld) if !submission.may_be_forgotten(tx)? => Ok(Appended::ClockSkew),
            (None, refused) => Ok(refused),
        };
    }
    // The same answer as for a thread that was not accepted and is full.
    if lane.blocks(sender) {
        return Ok(submission.earlier(tx)?.map_or(Appended::NotAccepted, repeated));
    }
    let mut admitted = Vec::new();
    for (member, so_far) in lane.not_accepted.iter().filter(|(member, _)| **member != sender) {
        match requests::admit(tx, mailboxes, append, *member, *so_far)? {
            Some(message) => admitted.push(message),
            None => return Ok(submission.earlier(tx)?.map_or(Appended::NotAccepted, repeated)),
        }
    }
    let stored = lane.tail.next(append.now_ms);
    if !submission.remember(tx, stored)? {
        return submission.earlier(tx)?.map(repeated).ok_or(Error::QueryReturnedNoRows);
    }
    lane.tail.advance(stored);
    if lane.not_accepted.remove(&sender).is_some() {
        accept(tx, mailboxes, lane, append.thread, sender)?;
    }
    for message in &admitted {
        requests::count(tx, lane, append, message)?;
    }
    for copy in &append.copies {
        deliver(tx, arrivals.next(), append, copy, stored)?;
        let accepted = copy.to.user == sender || !lane.not_accepted.contains_key(&copy.to.user);
        let bytes = row_bytes(copy.ciphertext_len());
        mailboxes.grow(tx, copy.to, append.thread, (bytes, !accepted))?;
        note(inbound, Inbound { recipient: copy.to.user, bytes, accepted });
    }
    fault::at(Station::SendBeforeCommit);
    Ok(Appended::Stored(stored))
}

/// Who writes in a thread has accepted it, although the request that says so may come later.
fn accept(
    tx: &Connection,
    mailboxes: &mut Mailboxes,
    lane: &Lane,
    thread: ThreadId,
    member: UserId,
) -> Result<()> {
    for (address, _) in lane.live.iter().filter(|(address, _)| address.user == member) {
        mailboxes.write(tx, *address)?;
    }
    threads::accept(tx, thread, member).map(drop)
}

fn note(inbound: &mut Vec<Inbound>, more: Inbound) {
    match inbound.iter_mut().rev().find(|one| one.recipient == more.recipient) {
        Some(one) => one.bytes = one.bytes.saturating_add(more.bytes),
        None => inbound.push(more),
    }
}

/// The outcome on a stopped lane. It reports whether the message was stored before, so that the client knows which
/// messages it may seal again.
pub(super) fn stopped(tx: &Connection, submission: &Submission) -> Result<Appended> {
    Ok(match submission.earlier(tx)? {
        Some(earlier) => repeated(earlier),
        None if submission.may_be_forgotten(tx)? => Appended::TooOld,
        None => Appended::LaneStopped,
    })
}

pub(super) fn repeated(earlier: Earlier) -> Appended {
    match earlier {
        Earlier::Same(stored) => Appended::Duplicate(stored),
        Earlier::Other => Appended::MsgIdReuse,
    }
}

/// The time of the id must be recent enough to be remembered, the roster must be that of the thread, and the copies
/// must match its devices.
fn check(append: &Append, lane: &Lane, submission: &Submission) -> std::result::Result<(), Appended> {
    submission.check_time(append.now_ms).map_err(|wrong| match wrong {
        WrongTime::Old => Appended::TooOld,
        WrongTime::Ahead => Appended::ClockSkew,
    })?;
    if append.roster_version != lane.roster_version {
        return Err(Appended::StaleRoster { current: lane.roster_version });
    }
    if lane.is_left_alone(append.sender.user) {
        return Err(Appended::RecipientDeleted);
    }
    let wanted = lane.live.iter().filter(|(address, _)| *address != append.sender);
    if wanted.copied().eq(append.copies.iter().map(|copy| (copy.to, copy.registration_id))) {
        return Ok(());
    }
    check_copies(append, &lane.live.iter().copied().collect())
}

/// The copies must name each live device exactly once in its present registration, except for the sending device.
fn check_copies(append: &Append, live: &BTreeMap<Address, u32>) -> std::result::Result<(), Appended> {
    let named: BTreeMap<Address, u32> =
        append.copies.iter().map(|copy| (copy.to, copy.registration_id)).collect();
    let wanted = |address: &Address| *address != append.sender && live.contains_key(address);
    let missing = live.keys().filter(|address| wanted(address) && !named.contains_key(address));
    let extra = named.keys().filter(|address| !wanted(address));
    let (missing, extra): (Vec<_>, Vec<_>) = (missing.collect(), extra.collect());
    if !missing.is_empty() || !extra.is_empty() || named.len() != append.copies.len() {
        let mut by_user = Differences::default();
        missing.into_iter().for_each(|address| by_user.of(*address).missing.push(address.device.get()));
        extra.into_iter().for_each(|address| by_user.of(*address).extra.push(address.device.get()));
        return Err(Appended::MismatchedDevices(by_user.into_list()));
    }
    let stale = named.iter().filter(|(address, registration)| live.get(address) != Some(registration));
    let mut by_user = Differences::default();
    stale.for_each(|(address, _)| by_user.of(*address).stale.push(address.device.get()));
    let stale = by_user.into_list();
    if stale.is_empty() { Ok(()) } else { Err(Appended::StaleDevices(stale)) }
}

fn deliver(tx: &Connection, arrival: i64, append: &Append, copy: &Copy, stored: Stored) -> Result<()> {
    let (user, device) = (copy.to.user.as_bytes(), copy.to.device.get());
    expect_one(
        tx.prepare_cached(
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
            copy.ciphertext(),
            arrival
        ])?,
    )
}

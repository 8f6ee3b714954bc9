//! Appends a message of a group, which is stored once.

use rusqlite::{Connection, Error, Result};

use super::append::repeated;
use super::arrivals::Arrivals;
use super::dedupe::{Submission, WrongTime};
use super::deferred::Deferred;
use super::fan_out::{self, Post};
use super::group::{self, Group};
use crate::fault::{self, Station};
use crate::store::{Appended, Fanout, GroupAppend};

/// Makes all decisions first, membership before all others, then writes.
pub(super) fn append(
    tx: &Connection,
    deferred: &mut Deferred,
    arrivals: &Arrivals,
    append: &GroupAppend,
) -> Result<Appended> {
    let Some(group) = deferred.groups.get(tx, append.thread)? else { return Ok(Appended::NotMember) };
    let Some((role, is_live)) = group::member(tx, append.thread, append.sender)? else {
        return Ok(Appended::NotMember);
    };
    if !is_live {
        return Ok(Appended::SenderRevoked);
    }
    let submission = Submission::of_group_message(append);
    let checked = check(append, group, &submission)
        .and_then(|()| if group.may_write(role) { Ok(()) } else { Err(Appended::MayNotWrite) });
    if let Err(refused) = checked {
        return match (submission.earlier(tx)?, refused) {
            (Some(earlier), _) => Ok(repeated(earlier)),
            (None, Appended::TooOld) if !submission.may_be_forgotten(tx)? => Ok(Appended::ClockSkew),
            (None, refused) => Ok(refused),
        };
    }
    let stored = group.tail.next(append.now_ms);
    if !submission.remember(tx, stored)? {
        return submission.earlier(tx)?.map(repeated).ok_or(Error::QueryReturnedNoRows);
    }
    group.tail.advance(stored);
    let post = Post {
        thread: append.thread,
        stored,
        sender: append.sender,
        client_msg_id: append.client_msg_id,
        roster_version: append.roster_version,
        kind: append.envelope.kind,
        urgent: append.envelope.urgent,
        ttl_s: append.envelope.ttl_s,
        expires_ms: append.expires_ms,
        payload: arrivals.next(),
        bytes: append.envelope.ciphertext.len(),
    };
    let ciphertext = &append.envelope.ciphertext;
    let fanout = match group.recipients(tx, append.thread, stored, append.sender)? {
        Some(devices) => {
            fan_out::to_members(tx, &mut deferred.mailboxes, arrivals, &post, ciphertext, &devices)?;
            Fanout::Inline(devices)
        }
        None => {
            group.has_jobs = true;
            fan_out::begin_job(tx, &post, ciphertext, append.job, &[])?;
            Fanout::Background(append.job)
        }
    };
    fault::at(Station::SendBeforeCommit);
    Ok(Appended::ForGroup(stored, fanout))
}

/// The time of the id must be recent enough to be remembered. The roster must be one for which nothing was taken away since.
fn check(append: &GroupAppend, group: &Group, submission: &Submission) -> std::result::Result<(), Appended> {
    submission.check_time(append.now_ms).map_err(|wrong| match wrong {
        WrongTime::Old => Appended::TooOld,
        WrongTime::Ahead => Appended::ClockSkew,
    })?;
    if append.roster_version < group.floor
        || append.roster_version > group.version
        || append.roster_version == 0
    {
        return Err(Appended::StaleRoster { current: group.version });
    }
    Ok(())
}

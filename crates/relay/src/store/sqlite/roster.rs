//! Adds entries to the rosters of groups, and reads them.

use std::collections::BTreeSet;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Result, params};
use sealpost_wire::envelope;
use sealpost_wire::id::{ClientMsgId, ThreadId, UserId};
use sealpost_wire::limits::MAX_INLINE_DEVICES;
use sealpost_wire::roster::{ChainError, Change, Effect, Entry, Refusal, Roster, State};

use super::arrivals::Arrivals;
use super::columns::{blob, expect_one};
use super::deferred::Deferred;
use super::fan_out::{self, Post};
use super::group::{self, Standing};
use super::lane::Tail;
use super::{columns, payload, roster_rows};
use crate::fault::{self, Station};
use crate::store::{Entered, Fanout, LinkTokenHash, NewEntry, RosterEntries, RosterQuery, Stored};

/// Adds an entry. Membership is decided before all others, so that a stranger learns nothing.
pub(super) fn enter(
    tx: &Connection,
    deferred: &mut Deferred,
    arrivals: &Arrivals,
    new: &NewEntry,
) -> Result<Entered> {
    // The author may have left with this entry, and has not got the answer.
    if let Some(stored) = earlier(tx, &new.entry)? {
        return Ok(Entered::Repeated(stored));
    }
    if group::devices_of(tx, new.author.user)?.iter().all(|(device, _)| *device != new.author) {
        return Ok(Entered::AuthorRevoked);
    }
    let judged = match &new.entry.content().change {
        Change::Create(_) => create(tx, new)?,
        _ => judge(tx, new)?,
    };
    let effect = match judged {
        Ok(effect) => effect,
        Err(refused) => return Ok(refused),
    };
    store(tx, deferred, arrivals, new, &effect)
}

/// The position of the same entry.
fn earlier(tx: &Connection, entry: &Entry) -> Result<Option<Stored>> {
    tx.prepare_cached(
        "SELECT server_seq, hlc FROM roster_entry WHERE thread_id = ?1 AND version = ?2 AND entry = ?3",
    )?
    .query_row(params![entry.thread().as_bytes(), entry.version(), entry.as_bytes()], |row| {
        Ok(Stored { server_seq: row.get(0)?, hlc: row.get(1)? })
    })
    .optional()
}

type Judged = std::result::Result<Effect, Entered>;

fn create(tx: &Connection, new: &NewEntry) -> Result<Judged> {
    let effect = match Roster::create(&new.entry) {
        Ok((_, effect)) => effect,
        Err(refusal) => return Ok(Err(Entered::NotAllowed(refusal))),
    };
    let is_new = tx
        .prepare_cached(
            "INSERT INTO thread (thread_id, last_seq, last_hlc, roster_version, created_ms)
             VALUES (?1, 0, 0, 1, ?2) ON CONFLICT DO NOTHING",
        )?
        .execute(params![effect.state.thread.as_bytes(), new.now_ms])?;
    // Nobody finds two entries with the same id, but a direct thread may have been named like the group.
    Ok(if is_new == 1 { Ok(effect) } else { Err(Entered::NotFound) })
}

fn judge(tx: &Connection, new: &NewEntry) -> Result<Judged> {
    let (entry, author) = (&new.entry, new.author.user);
    let Some(state) = roster_rows::state(tx, entry.thread())? else { return Ok(Err(Entered::NotFound)) };
    let has_link = has_link(&state, new.link);
    if group::standing(tx, state.thread, author)?.is_none() && !has_link {
        return Ok(Err(Entered::NotFound));
    }
    if matches!(entry.content().change, Change::Join { .. }) && !has_link {
        return Ok(Err(Entered::NotAllowed(Refusal::NoLink)));
    }
    let current = state.version;
    Ok(match roster_rows::read(tx, state)?.judge(entry) {
        Ok(effect) => Ok(effect),
        Err(Refusal::Chain(ChainError::Version | ChainError::Previous)) => {
            Err(Entered::StaleRoster { current })
        }
        Err(refusal) => Err(Entered::NotAllowed(refusal)),
    })
}

fn has_link(state: &State, token: Option<LinkTokenHash>) -> bool {
    // The hash of a random token: whoever finds out how much of a guess is right learns nothing about another one.
    state.link.is_some_and(|link| Some(link.token_hash) == token)
}

fn store(
    tx: &Connection,
    deferred: &mut Deferred,
    arrivals: &Arrivals,
    new: &NewEntry,
    effect: &Effect,
) -> Result<Entered> {
    let (thread, entry) = (effect.state.thread, &new.entry);
    let stored = match deferred.groups.get(tx, thread)? {
        Some(group) => group.tail.next(new.now_ms),
        None => Tail::at(Stored { server_seq: 0, hlc: 0 }).next(new.now_ms),
    };
    roster_rows::write(tx, effect, stored)?;
    // What was read of it is not true any more.
    deferred.groups.forget(tx, thread)?;
    expect_one(
        tx.prepare_cached(
            "INSERT INTO roster_entry (thread_id, version, server_seq, hlc, entry) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            thread.as_bytes(),
            entry.version(),
            stored.server_seq,
            stored.hlc,
            entry.as_bytes()
        ])?,
    )?;
    let fanout = fan_out(tx, deferred, arrivals, new, (effect, stored))?;
    fault::at(Station::EntryBeforeCommit);
    Ok(Entered::Stored(stored, fanout))
}

/// Delivers an entry to the members, and to those whom it invites, or whose invitation it ends.
fn fan_out(
    tx: &Connection,
    deferred: &mut Deferred,
    arrivals: &Arrivals,
    new: &NewEntry,
    (effect, stored): (&Effect, Stored),
) -> Result<Fanout> {
    let (thread, entry) = (effect.state.thread, &new.entry);
    let concerned: BTreeSet<UserId> =
        effect.newly_invited().chain(effect.uninvited()).filter(|user| *user != new.author.user).collect();
    let post = Post {
        thread,
        stored,
        sender: new.author,
        client_msg_id: name(entry),
        roster_version: entry.version(),
        kind: envelope::ROSTER,
        urgent: false,
        ttl_s: 0,
        expires_ms: new.expires_ms,
        payload: arrivals.next(),
        bytes: entry.as_bytes().len(),
    };
    let Some(group) = deferred.groups.get(tx, thread)? else { return Ok(Fanout::Inline(Vec::new())) };
    group.tail.advance(stored);
    let members = group.recipients(tx, thread, stored, new.author)?;
    let members =
        members.filter(|members| members.len().saturating_add(concerned.len()) <= MAX_INLINE_DEVICES);
    let Some(mut devices) = members else {
        group.has_jobs = true;
        let concerned: Vec<UserId> = concerned.into_iter().collect();
        fan_out::begin_job(tx, &post, entry.as_bytes(), new.job, &concerned)?;
        return Ok(Fanout::Background(new.job));
    };
    let mailboxes = &mut deferred.mailboxes;
    if devices.is_empty() && concerned.is_empty() {
        return Ok(Fanout::Inline(devices));
    }
    // This operation holds it until all rows are there.
    payload::store(tx, post.payload, devices.len().saturating_add(1), entry.as_bytes())?;
    fan_out::rows(tx, mailboxes, arrivals, &post, &devices)?;
    for user in concerned {
        devices.extend(fan_out::to_concerned(tx, mailboxes, arrivals, &post, user)?);
    }
    deferred.released.row(Some(post.payload));
    Ok(Fanout::Inline(devices))
}

/// What takes the place of the id of a message: the beginning of the hash of the entry.
fn name(entry: &Entry) -> ClientMsgId {
    let hash = entry.hash();
    ClientMsgId::from_bytes(std::array::from_fn(|at| hash.get(at).copied().unwrap_or_default()))
}

/// The entries that the reader may see.
pub(super) fn page(tx: &Connection, query: &RosterQuery) -> Result<Option<RosterEntries>> {
    let Some(state) = roster_rows::state(tx, query.thread)? else { return Ok(None) };
    let is_inside =
        group::standing(tx, query.thread, query.reader)?.is_some() || has_link(&state, query.link);
    let last = if is_inside { Some(state.version) } else { left_with(tx, query.thread, query.reader)? };
    let Some(last) = last else { return Ok(None) };
    // A client may send any number; one that SQLite cannot store is above all versions.
    let after = i64::try_from(query.after).unwrap_or(i64::MAX);
    let mut statement = tx.prepare_cached(
        "SELECT entry, server_seq, hlc FROM roster_entry WHERE thread_id = ?1 AND version > ?2 AND version <= ?3
         ORDER BY version",
    )?;
    let mut found = statement.query(params![query.thread.as_bytes(), after, last])?;
    let (mut page, mut bytes) = (RosterEntries::default(), 0_usize);
    while let Some(row) = found.next()? {
        let entry: Bytes = blob(row, 0)?;
        bytes = bytes.saturating_add(entry.len());
        if bytes > query.bytes && !page.rows.is_empty() {
            page.more = true;
            break;
        }
        page.rows.push((entry, Stored { server_seq: row.get(1)?, hlc: row.get(2)? }));
    }
    Ok(Some(page))
}

/// The version of the entry by which somebody has left for the last time.
fn left_with(tx: &Connection, thread: ThreadId, user: UserId) -> Result<Option<u64>> {
    tx.prepare_cached("SELECT max(left_version) FROM group_stay WHERE thread_id = ?1 AND user_id = ?2")?
        .query_row([thread.as_bytes(), user.as_bytes()], |row| row.get(0))
}

pub(super) fn are_fellows(tx: &Connection, thread: ThreadId, member: UserId, other: UserId) -> Result<bool> {
    Ok(group::standing(tx, thread, member)? == Some(Standing::Member)
        && group::standing(tx, thread, other)?.is_some())
}

/// The members of a group, the version of its roster and its last position, as seen by a member.
pub(super) fn members(tx: &Connection, thread: ThreadId, member: UserId) -> Result<Option<Vec<UserId>>> {
    if group::standing(tx, thread, member)? != Some(Standing::Member) {
        return Ok(None);
    }
    tx.prepare_cached("SELECT user_id FROM group_member WHERE thread_id = ?1 ORDER BY user_id")?
        .query_map([thread.as_bytes()], |row| columns::user(row, 0))?
        .collect::<Result<_>>()
        .map(Some)
}

//! The queues of the writer for groups and jobs.

use std::sync::Arc;

use rusqlite::Connection;
use sealpost_wire::id::{ThreadId, UserId};

use super::dedupe::Submission;
use super::deferred::Deferred;
use super::fair::Payer;
use super::room::Need;
use super::{SqliteStore, append, fan_out, group_append, roster};
use crate::store::{
    Answer, Appended, Claim, Entered, Fanout, GroupAppend, Groups, Jobs, NewEntry, Progress, RosterEntries,
    RosterQuery, Turn,
};

impl SqliteStore {
    fn append_to_group_at(&self, post: GroupAppend, turn: Option<Turn>) -> Answer<Appended> {
        let arrivals = Arc::clone(&self.arrivals);
        let (limiter, clock) = (Arc::clone(&self.limiter), Arc::clone(&self.clock));
        let (sender, place) = (post.sender.user, turn.as_ref().map(Turn::place));
        let work = move |tx: &Connection, deferred: &mut Deferred| {
            let appended = match &place {
                Some(place) if place.is_stopped() => {
                    append::stopped(tx, &Submission::of_group_message(&post))?
                }
                _ => group_append::append(tx, deferred, &arrivals, &post)?,
            };
            if let Some(place) = &place {
                place.ran(!matches!(appended, Appended::ForGroup(..) | Appended::Duplicate(_)));
            }
            Ok(appended)
        };
        // As for other sends, the lane stops if this does not become durable.
        let then = move |appended| {
            if let Some(turn) = turn {
                turn.over();
            }
            if let Appended::ForGroup(_, Fanout::Inline(devices)) = &appended {
                limiter.fanned_out(sender, devices.len(), clock.monotonic());
            }
            appended
        };
        self.writer.write_deferring(Payer::User(sender), Need::Grows, work, then)
    }
}

impl Groups for SqliteStore {
    fn enter(&self, new: NewEntry) -> Answer<Entered> {
        let arrivals = Arc::clone(&self.arrivals);
        let (limiter, clock) = (Arc::clone(&self.limiter), Arc::clone(&self.clock));
        let author = new.author.user;
        let work = move |tx: &Connection, deferred: &mut Deferred| {
            // Rows that others have deferred are changed.
            deferred.write(tx)?;
            roster::enter(tx, deferred, &arrivals, &new)
        };
        let then = move |entered| {
            if let Entered::Stored(_, Fanout::Inline(devices)) = &entered {
                limiter.fanned_out(author, devices.len(), clock.monotonic());
            }
            entered
        };
        self.writer.write_deferring(Payer::User(author), Need::Grows, work, then)
    }

    fn roster(&self, query: RosterQuery) -> Answer<Option<RosterEntries>> {
        self.readers.read(query.reader, move |tx| roster::page(tx, &query))
    }

    fn append_to_group(&self, post: GroupAppend) -> Answer<Appended> {
        self.append_to_group_at(post, None)
    }

    fn append_to_group_in_turn(&self, post: GroupAppend, turn: Turn) -> Answer<Appended> {
        self.append_to_group_at(post, Some(turn))
    }

    fn are_fellows(&self, thread: ThreadId, member: UserId, other: UserId) -> Answer<bool> {
        self.readers.read(member, move |tx| roster::are_fellows(tx, thread, member, other))
    }
}

impl Jobs for SqliteStore {
    fn claim_jobs(&self, most: u32, now_ms: u64, until_ms: u64) -> Answer<Vec<Claim>> {
        self.writer.write(Payer::Relay, Need::Frees, move |tx| fan_out::claim(tx, most, now_ms, until_ms))
    }

    fn run_job(&self, claim: Claim, rows: u32, until_ms: u64) -> Answer<Progress> {
        let arrivals = Arc::clone(&self.arrivals);
        let (limiter, clock) = (Arc::clone(&self.limiter), Arc::clone(&self.clock));
        let sender = claim.sender.user;
        let work = move |tx: &Connection, deferred: &mut Deferred| {
            // Whether a group has jobs is among what was read of it.
            deferred.groups.forget(tx, claim.thread)?;
            fan_out::run(tx, deferred, &arrivals, claim, rows, until_ms)
        };
        let then = move |progress| {
            if let Progress::More(devices) | Progress::Done { devices, .. } = &progress {
                limiter.fanned_out(sender, devices.len(), clock.monotonic());
            }
            progress
        };
        // Charged to the sender, so that others do not wait for somebody who posts much.
        self.writer.write_deferring(Payer::User(sender), Need::Grows, work, then)
    }
}

//! Threads, and which places of them are accounted for.
//!
//! The relay numbers the messages of a thread without holes, ours and theirs. `seen_up_to` says up to where all
//! are accounted for; places beyond it wait in `seen_ahead` until the ones between arrive. What lies between is a
//! gap, to be fetched.

use std::fmt;
use std::str::FromStr;

use rusqlite::{OptionalExtension as _, params};

use super::{Rows, Tx, from_sql, to_sql};
use crate::error::{Error, Result, Storage};
use crate::event::Event;
use crate::id::{InvalidId, ThreadId, UserId};
use crate::message::Message;

/// What a thread is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ThreadKind {
    /// Of two people; there is one for each pair.
    Direct,
}

const DIRECT: i64 = 1;

impl ThreadKind {
    fn from_stored(kind: i64) -> Result<Self> {
        match kind {
            DIRECT => Ok(Self::Direct),
            _ => Err(Error::Storage(Storage::Corrupt)),
        }
    }
}

/// A direct thread, with its other member.
const THREAD: &str = "SELECT t.thread_id, m.user_id, t.roster_version
    FROM member AS m JOIN thread AS t ON t.thread_id = m.thread_id AND m.user_id IS NOT (SELECT user_id FROM account)";

/// A direct thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Thread {
    pub(crate) id: ThreadId,
    pub(crate) peer: UserId,
    pub(crate) roster_version: u64,
}

/// A thread in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) id: ThreadId,
    pub(crate) kind: ThreadKind,
    pub(crate) others: Vec<UserId>,
    pub(crate) activity_ms: u64,
    pub(crate) unread: u64,
    pub(crate) newest: Option<Message>,
}

/// Where a page of the list of threads ends, and the next one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadCursor {
    pinned: i64,
    activity: i64,
    thread: [u8; 16],
}

/// A text without meaning to others, for those who cannot hold a [`ThreadCursor`].
impl fmt::Display for ThreadCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.pinned, self.activity, ThreadId::from_bytes(self.thread))
    }
}

impl FromStr for ThreadCursor {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let mut parts = text.splitn(3, '.');
        let mut part = || parts.next().ok_or(InvalidId);
        let number = |text: &str| text.parse().map_err(|_| InvalidId);
        let (pinned, activity) = (number(part()?)?, number(part()?)?);
        Ok(Self { pinned, activity, thread: *part()?.parse::<ThreadId>()?.as_bytes() })
    }
}

/// Places that are missing, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Gap {
    pub(crate) thread: ThreadId,
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Rows<'_> {
    pub(crate) fn thread(&self, id: ThreadId) -> Result<Option<Thread>> {
        self.one_thread(&format!("{THREAD} WHERE t.thread_id = ?1"), id.as_bytes())
    }

    /// The direct thread with a user: the newest, should a relay that lost its store have made a second.
    pub(crate) fn thread_with(&self, peer: UserId) -> Result<Option<Thread>> {
        let sql =
            format!("{THREAD} WHERE m.user_id = ?1 AND t.kind = {DIRECT} ORDER BY t.created DESC LIMIT 1");
        self.one_thread(&sql, peer.as_bytes())
    }

    /// Every thread, in any order.
    pub(crate) fn threads(&self) -> Result<Vec<Thread>> {
        let mut statement = self.connection.prepare_cached(THREAD)?;
        let rows = statement.query_map([], thread_columns)?;
        rows.map(|row| to_thread(row?)).collect()
    }

    /// Up to `limit` threads behind a cursor (or from the first on), the one with the newest message first, and the cursor of the
    /// next page.
    pub(crate) fn thread_page(
        &self,
        after: Option<ThreadCursor>,
        limit: u32,
    ) -> Result<(Vec<Listed>, Option<ThreadCursor>)> {
        const FIRST: ThreadCursor = ThreadCursor { pinned: i64::MAX, activity: i64::MAX, thread: [0xff; 16] };
        let ThreadCursor { pinned, activity, thread } = after.unwrap_or(FIRST);
        let sql = "SELECT thread_id, kind, pinned, activity, unread FROM thread
                   WHERE archived = 0 AND (pinned, activity, thread_id) < (?1, ?2, ?3)
                   ORDER BY pinned DESC, activity DESC, thread_id DESC LIMIT ?4";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![pinned, activity, thread, limit], |row| {
            let id = row.get::<_, Vec<u8>>(0)?;
            Ok((id, row.get::<_, i64>(1)?, row.get(2)?, row.get(3)?, row.get::<_, i64>(4)?))
        })?;
        let (mut threads, mut last) = (Vec::new(), None);
        for row in rows {
            let (id, kind, pinned, activity, unread) = row?;
            let id = ThreadId::from_slice(&id)?;
            last = Some(ThreadCursor { pinned, activity, thread: *id.as_bytes() });
            threads.push(Listed {
                id,
                kind: ThreadKind::from_stored(kind)?,
                others: self.others(id)?,
                newest: self.page(id, None, 1)?.messages.pop(),
                activity_ms: from_sql(activity)?,
                unread: from_sql(unread)?,
            });
        }
        let is_full = u32::try_from(threads.len()).is_ok_and(|len| len == limit);
        Ok((threads, last.filter(|_| is_full)))
    }

    /// What a thread is; none when it is not there.
    pub(crate) fn kind(&self, thread: ThreadId) -> Result<Option<ThreadKind>> {
        let sql = "SELECT kind FROM thread WHERE thread_id = ?1";
        let kind: Option<i64> = self
            .connection
            .prepare_cached(sql)?
            .query_row([thread.as_bytes()], |row| row.get(0))
            .optional()?;
        kind.map(ThreadKind::from_stored).transpose()
    }

    /// The members of a thread besides us, in the order of their ids.
    pub(crate) fn others(&self, thread: ThreadId) -> Result<Vec<UserId>> {
        let sql =
            "SELECT user_id FROM member WHERE thread_id = ?1 AND user_id IS NOT (SELECT user_id FROM account)
                   ORDER BY user_id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([thread.as_bytes()], |row| row.get::<_, Vec<u8>>(0))?;
        rows.map(|row| Ok(UserId::from_slice(&row?)?)).collect()
    }

    /// Threads behind this one of which the relay may not know that we accept them.
    pub(crate) fn threads_to_accept(&self, after: Option<ThreadId>, limit: u32) -> Result<Vec<ThreadId>> {
        let sql =
            "SELECT thread_id FROM thread WHERE accepted = 0 AND thread_id > ?1 ORDER BY thread_id LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let after = after.as_ref().map_or(&[][..], |after| after.as_bytes());
        let rows = statement.query_map(params![after, limit], |row| row.get::<_, Vec<u8>>(0))?;
        rows.map(|row| Ok(ThreadId::from_slice(&row?)?)).collect()
    }

    /// The first gap of each thread that has one.
    pub(crate) fn gaps(&self) -> Result<Vec<Gap>> {
        let sql = "SELECT t.thread_id, t.seen_up_to, min(s.server_seq)
                   FROM seen_ahead AS s JOIN thread AS t USING (thread_id) GROUP BY t.thread_id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        })?;
        rows.map(|row| {
            let (thread, seen, ahead) = row?;
            Ok(Gap {
                thread: ThreadId::from_slice(&thread)?,
                first: from_sql(seen)?.saturating_add(1),
                last: from_sql(ahead)?.saturating_sub(1),
            })
        })
        .collect()
    }

    /// Whether a place of the thread is accounted for, or belongs to an epoch that is over.
    pub(crate) fn is_accounted_for(&self, thread: ThreadId, epoch: u64, server_seq: u64) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM thread WHERE thread_id = ?1
                       AND (epoch > ?2 OR epoch = ?2 AND (seen_up_to >= ?3 OR EXISTS (
                           SELECT 1 FROM seen_ahead AS s WHERE s.thread_id = ?1 AND s.server_seq = ?3))))";
        let place = params![thread.as_bytes(), to_sql(epoch)?, to_sql(server_seq)?];
        Ok(self.connection.prepare_cached(sql)?.query_row(place, |row| row.get(0))?)
    }

    fn one_thread(&self, sql: &str, key: &[u8; 16]) -> Result<Option<Thread>> {
        self.connection
            .prepare_cached(sql)?
            .query_row([key], thread_columns)
            .optional()?
            .map(to_thread)
            .transpose()
    }
}

impl Tx<'_> {
    /// Adds a thread; nothing when it is here already.
    pub(crate) fn put_thread(&mut self, thread: Thread, now_ms: u64) -> Result<()> {
        let Thread { id, peer, roster_version } = thread;
        self.ensure_contact(peer)?;
        let added = self.change(
            "INSERT INTO thread (thread_id, roster_version, created, activity) VALUES (?1, ?2, ?3, ?3)
             ON CONFLICT (thread_id) DO NOTHING",
            params![id.as_bytes(), to_sql(roster_version)?, to_sql(now_ms)?],
        )?;
        if added == 1 {
            self.change_one(
                "INSERT INTO member (thread_id, user_id) VALUES (?1, ?2)",
                [id.as_bytes(), peer.as_bytes()],
            )?;
            self.change(
                "INSERT INTO member (thread_id, user_id)
                 SELECT ?1, user_id FROM account WHERE user_id IS NOT NULL ON CONFLICT DO NOTHING",
                [id.as_bytes()],
            )?;
            self.emit(Event::ThreadAdded(id));
        }
        Ok(())
    }

    /// A message is new in the thread, at this time by the relay, as far as it is known: the thread moves up.
    pub(super) fn note_activity(&mut self, thread: ThreadId, at_ms: u64) -> Result<()> {
        self.change_one(
            "UPDATE thread SET activity = max(activity, ?2) WHERE thread_id = ?1",
            params![thread.as_bytes(), to_sql(at_ms)?],
        )
    }

    /// The relay has a message of ours, at this time, which is now: nothing in the thread is newer, whatever a clock said.
    pub(super) fn set_activity(&mut self, thread: ThreadId, now_ms: u64) -> Result<()> {
        self.change_one(
            "UPDATE thread SET activity = ?2 WHERE thread_id = ?1",
            params![thread.as_bytes(), to_sql(now_ms)?],
        )
    }

    /// So many messages of the thread are not unread any more.
    pub(crate) fn fewer_unread(&mut self, thread: ThreadId, read: usize) -> Result<()> {
        let read = i64::try_from(read).map_err(|_| Error::Bug("too many messages"))?;
        self.change_one(
            "UPDATE thread SET unread = unread - ?2 WHERE thread_id = ?1",
            params![thread.as_bytes(), read],
        )
    }

    /// Counts what is unread in the thread.
    pub(crate) fn count_unread(&mut self, thread: ThreadId) -> Result<()> {
        self.change_one(
            "UPDATE thread SET unread = (SELECT count(*) FROM message WHERE thread_id = ?1 AND state = 10)
             WHERE thread_id = ?1",
            [thread.as_bytes()],
        )
    }

    /// The relay knows that we accept the thread: we have opened it there, or it has answered.
    pub(crate) fn set_accepted(&mut self, thread: ThreadId) -> Result<()> {
        self.change_one("UPDATE thread SET accepted = 1 WHERE thread_id = ?1", [thread.as_bytes()])
    }

    /// The relay has another thread for these two, and not this one.
    pub(crate) fn set_superseded(&mut self, thread: ThreadId) -> Result<()> {
        self.change_one("UPDATE thread SET accepted = 2 WHERE thread_id = ?1", [thread.as_bytes()])
    }

    /// The relay may have forgotten that we have accepted the thread, or the whole thread.
    pub(super) fn accept_once_more(&mut self, thread: ThreadId) -> Result<()> {
        self.change_one("UPDATE thread SET accepted = 0 WHERE thread_id = ?1", [thread.as_bytes()])
    }

    /// The relay was restored from a backup, and may have forgotten what we have accepted.
    pub(crate) fn accept_again(&mut self) -> Result<()> {
        self.change("UPDATE thread SET accepted = 0 WHERE accepted <> 0", [])?;
        Ok(())
    }

    /// The relay says which version the roster has now.
    pub(crate) fn set_roster_version(&mut self, thread: ThreadId, version: u64) -> Result<()> {
        self.change_one(
            "UPDATE thread SET roster_version = ?2 WHERE thread_id = ?1",
            params![thread.as_bytes(), to_sql(version)?],
        )
    }

    /// A place of the thread is accounted for: its message is here, or was ours.
    pub(crate) fn account_for(&mut self, thread: ThreadId, epoch: u64, server_seq: u64) -> Result<()> {
        let (known_epoch, mut seen) = self.seen(thread)?;
        if epoch < known_epoch {
            return Ok(());
        }
        if epoch > known_epoch {
            // After a restore the relay may give numbers out again, and delivers old places under the new epoch:
            // what is up to here counts as seen, and the search for gaps goes on behind it.
            self.change("DELETE FROM seen_ahead WHERE thread_id = ?1", [thread.as_bytes()])?;
            seen = if known_epoch == 0 { 0 } else { seen.max(server_seq.saturating_sub(1)) };
        }
        if server_seq == seen.saturating_add(1) {
            seen = self.advance_over(thread, server_seq)?;
        } else if server_seq > seen {
            self.change(
                "INSERT INTO seen_ahead (thread_id, server_seq) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                params![thread.as_bytes(), to_sql(server_seq)?],
            )?;
        }
        self.set_seen(thread, epoch, seen)
    }

    /// As [`Tx::account_for`] for many places, by epoch and number: a run of them costs as much as one.
    pub(super) fn account_for_all(&mut self, thread: ThreadId, places: &[(u64, u64)]) -> Result<()> {
        for run in places.chunk_by(|a, b| a.0 == b.0 && a.1.checked_add(1) == Some(b.1)) {
            let (Some((epoch, first)), Some((_, last))) = (run.first(), run.last()) else { continue };
            let (known_epoch, seen) = self.seen(thread)?;
            if *epoch == known_epoch && *first == seen.saturating_add(1) {
                self.change(
                    "DELETE FROM seen_ahead WHERE thread_id = ?1 AND server_seq <= ?2",
                    params![thread.as_bytes(), to_sql(*last)?],
                )?;
                let seen = self.advance_over(thread, *last)?;
                self.set_seen(thread, *epoch, seen)?;
            } else {
                for (epoch, server_seq) in run {
                    self.account_for(thread, *epoch, *server_seq)?;
                }
            }
        }
        Ok(())
    }

    /// The relay does not have them any more: goes on behind them, and says so.
    pub(crate) fn give_up_on(&mut self, gap: Gap) -> Result<()> {
        let Gap { thread, first, last } = gap;
        let (epoch, _) = self.seen(thread)?;
        // It may have been filled, in part or whole, or be about to be.
        if !self.gaps()?.contains(&gap) || self.has_unanswered(thread)? {
            return Ok(());
        }
        let seen = self.advance_over(thread, last)?;
        self.set_seen(thread, epoch, seen)?;
        self.emit(Event::MessagesMissing { thread, first, last });
        Ok(())
    }

    /// The relay says that the thread reaches up to here, and all of it that is in our mailbox has come: what is missing up
    /// to here is lost. False: a message of ours may have one of those places, so that nobody knows yet.
    pub(crate) fn miss_up_to(&mut self, thread: ThreadId, epoch: u64, last: u64) -> Result<bool> {
        let (known_epoch, mut seen) = self.seen(thread)?;
        // Places of another epoch say nothing about those that we know.
        if seen >= last || (known_epoch != epoch && known_epoch != 0) {
            return Ok(true);
        }
        if self.has_unanswered(thread)? {
            return Ok(false);
        }
        while seen < last {
            let ahead = self.first_ahead(thread)?;
            let end = ahead.map_or(last, |ahead| ahead.saturating_sub(1).min(last));
            if end > seen {
                let first = seen.saturating_add(1);
                self.emit(Event::MessagesMissing { thread, first, last: end });
            }
            seen = self.advance_over(thread, end.max(seen))?.max(seen.saturating_add(1));
        }
        self.set_seen(thread, epoch, seen)?;
        Ok(true)
    }

    fn first_ahead(&self, thread: ThreadId) -> Result<Option<u64>> {
        let sql = "SELECT min(server_seq) FROM seen_ahead WHERE thread_id = ?1";
        let first: Option<i64> =
            self.connection.prepare_cached(sql)?.query_row([thread.as_bytes()], |row| row.get(0))?;
        first.map(from_sql).transpose()
    }

    fn seen(&self, thread: ThreadId) -> Result<(u64, u64)> {
        let sql = "SELECT epoch, seen_up_to FROM thread WHERE thread_id = ?1";
        let (epoch, seen): (i64, i64) = self
            .connection
            .prepare_cached(sql)?
            .query_row([thread.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok((from_sql(epoch)?, from_sql(seen)?))
    }

    fn set_seen(&mut self, thread: ThreadId, epoch: u64, seen: u64) -> Result<()> {
        self.change_one(
            "UPDATE thread SET epoch = ?2, seen_up_to = ?3 WHERE thread_id = ?1",
            params![thread.as_bytes(), to_sql(epoch)?, to_sql(seen)?],
        )
    }

    /// From `seen` on over every place that waits without a gap; returns the last.
    fn advance_over(&mut self, thread: ThreadId, mut seen: u64) -> Result<u64> {
        loop {
            let next = seen.saturating_add(1);
            let waited = self.change(
                "DELETE FROM seen_ahead WHERE thread_id = ?1 AND server_seq = ?2",
                params![thread.as_bytes(), to_sql(next)?],
            )?;
            if waited == 0 {
                return Ok(seen);
            }
            seen = next;
        }
    }
}

type ThreadColumns = (Vec<u8>, Vec<u8>, i64);

fn thread_columns(row: &rusqlite::Row<'_>) -> rusqlite::Result<ThreadColumns> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

fn to_thread((id, peer, roster_version): ThreadColumns) -> Result<Thread> {
    Ok(Thread {
        id: ThreadId::from_slice(&id)?,
        peer: UserId::from_slice(&peer)?,
        roster_version: from_sql(roster_version)?,
    })
}

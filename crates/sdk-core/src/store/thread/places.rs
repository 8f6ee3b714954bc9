//! Which sequence numbers of a thread are accounted for.
//!
//! The relay numbers all messages of a thread, ours and theirs, without gaps. Every number up to `seen_up_to` is accounted for.
//! Numbers beyond it wait in `seen_ahead` until those in between arrive. The numbers in between are a gap, whose messages have
//! to be fetched.

use rusqlite::params;

use crate::error::Result;
use crate::event::Event;
use crate::id::ThreadId;
use crate::store::message::position;
use crate::store::{Rows, Tx, from_sql, to_sql};

/// A range of missing sequence numbers, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Gap {
    pub(crate) thread: ThreadId,
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Rows<'_> {
    /// The first gap of every thread that has one.
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

    /// The position of the newest post of a thread that the relay has stated the place of.
    pub(in crate::store) fn newest_position(&self, thread: ThreadId) -> Result<i64> {
        let sql = "SELECT newest FROM thread WHERE thread_id = ?1";
        Ok(self.connection.prepare_cached(sql)?.query_row([thread.as_bytes()], |row| row.get(0))?)
    }

    /// Whether a number of the thread is accounted for, or belongs to an earlier epoch.
    pub(crate) fn is_accounted_for(&self, thread: ThreadId, epoch: u64, server_seq: u64) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM thread WHERE thread_id = ?1
                       AND (epoch > ?2 OR epoch = ?2 AND (seen_up_to >= ?3 OR EXISTS (
                           SELECT 1 FROM seen_ahead AS s WHERE s.thread_id = ?1 AND s.server_seq = ?3))))";
        let place = params![thread.as_bytes(), to_sql(epoch)?, to_sql(server_seq)?];
        Ok(self.connection.prepare_cached(sql)?.query_row(place, |row| row.get(0))?)
    }
}

impl Tx<'_> {
    /// Accounts for a number of the thread: its message is here, or was ours.
    pub(crate) fn account_for(&mut self, thread: ThreadId, epoch: u64, server_seq: u64) -> Result<()> {
        let (known_epoch, mut seen) = self.seen(thread)?;
        self.note_newest(thread, epoch, server_seq)?;
        if epoch < known_epoch {
            return Ok(());
        }
        if epoch > known_epoch {
            // After it was restored, the relay may assign numbers again, and delivers old ones under the new epoch. All up
            // to this one count as seen, and the search for gaps continues behind it.
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

    /// Like [`Tx::account_for`] for many numbers, each with its epoch. A run of consecutive numbers costs as much as one.
    pub(in crate::store) fn account_for_all(
        &mut self,
        thread: ThreadId,
        places: &[(u64, u64)],
    ) -> Result<()> {
        for run in places.chunk_by(|a, b| a.0 == b.0 && a.1.checked_add(1) == Some(b.1)) {
            let (Some((epoch, first)), Some((_, last))) = (run.first(), run.last()) else { continue };
            let (known_epoch, seen) = self.seen(thread)?;
            if *epoch == known_epoch && *first == seen.saturating_add(1) {
                self.change(
                    "DELETE FROM seen_ahead WHERE thread_id = ?1 AND server_seq <= ?2",
                    params![thread.as_bytes(), to_sql(*last)?],
                )?;
                let seen = self.advance_over(thread, *last)?;
                self.note_newest(thread, *epoch, *last)?;
                self.set_seen(thread, *epoch, seen)?;
            } else {
                for (epoch, server_seq) in run {
                    self.account_for(thread, *epoch, *server_seq)?;
                }
            }
        }
        Ok(())
    }

    /// Another device of ours accounts for every number up to this one.
    pub(in crate::store) fn account_from(&mut self, thread: ThreadId, epoch: u64, up_to: u64) -> Result<()> {
        let (known_epoch, seen) = self.seen(thread)?;
        if epoch < known_epoch || (epoch == known_epoch && up_to <= seen) {
            return Ok(());
        }
        let (sql, thread_id) = ("DELETE FROM seen_ahead WHERE thread_id = ?1", thread.as_bytes());
        if epoch > known_epoch {
            self.change(sql, [thread_id])?;
        } else {
            self.change(&format!("{sql} AND server_seq <= ?2"), params![thread_id, to_sql(up_to)?])?;
        }
        let seen = self.advance_over(thread, up_to)?;
        self.set_seen(thread, epoch, seen)
    }

    /// The relay no longer has the messages of a gap. Continues behind it, and reports them as missing.
    pub(crate) fn give_up_on(&mut self, gap: Gap) -> Result<()> {
        let Gap { thread, first, last } = gap;
        let (epoch, _) = self.seen(thread)?;
        // Part of it or all of it may have arrived, or may be ours.
        if !self.gaps()?.contains(&gap) || self.has_unanswered(thread)? {
            return Ok(());
        }
        let seen = self.advance_over(thread, last)?;
        self.set_seen(thread, epoch, seen)?;
        self.emit(Event::MessagesMissing { thread, first, last });
        Ok(())
    }

    /// The relay has stated the last number of the thread, and everything in our mailbox has arrived: what is missing up to that
    /// number is lost. Returns false if one of the numbers may belong to a message of ours that the relay has not answered.
    pub(crate) fn miss_up_to(&mut self, thread: ThreadId, epoch: u64, last: u64) -> Result<bool> {
        let (known_epoch, mut seen) = self.seen(thread)?;
        // Numbers of another epoch say nothing about those of this one.
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

    /// Reports a message as missing that can neither be read nor represented, unless it was already reported when its number was
    /// found to be missing. The thread may not be on this device.
    pub(in crate::store) fn miss(&mut self, thread: ThreadId, epoch: u64, server_seq: u64) -> Result<()> {
        if self.kind(thread)?.is_some() {
            if self.is_accounted_for(thread, epoch, server_seq)? {
                return Ok(());
            }
            self.account_for(thread, epoch, server_seq)?;
        }
        self.emit(Event::MessagesMissing { thread, first: server_seq, last: server_seq });
        Ok(())
    }

    /// Records that this post of the thread is here.
    fn note_newest(&mut self, thread: ThreadId, epoch: u64, server_seq: u64) -> Result<()> {
        self.change(
            "UPDATE thread SET newest = ?2 WHERE thread_id = ?1 AND newest < ?2",
            params![thread.as_bytes(), position(epoch, server_seq)?],
        )?;
        Ok(())
    }

    fn first_ahead(&self, thread: ThreadId) -> Result<Option<u64>> {
        let sql = "SELECT min(server_seq) FROM seen_ahead WHERE thread_id = ?1";
        let first: Option<i64> =
            self.connection.prepare_cached(sql)?.query_row([thread.as_bytes()], |row| row.get(0))?;
        first.map(from_sql).transpose()
    }

    pub(super) fn seen(&self, thread: ThreadId) -> Result<(u64, u64)> {
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

    /// Continues from `seen` over the numbers that follow without a gap, and returns the last.
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

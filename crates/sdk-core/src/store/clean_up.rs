//! Deleting the old messages of all threads on this device.
//!
//! It takes many short transactions. The row of the account says up to which time messages are to be deleted, and in which threads that is
//! done, in the order of their ids, so that it is continued if the process ends in between.

use rusqlite::{OptionalExtension as _, params};

use super::clearing::EXAMINED;
use super::{Rows, Tx, from_sql, to_sql};
use crate::error::Result;
use crate::id::ThreadId;
use crate::message::Position;

/// In how many threads messages are examined in one transaction.
const THREADS: usize = 10;

/// How far a clean-up has come within a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CleaningAt {
    thread: ThreadId,
    position: Position,
    /// The time before which messages were deleted up to there.
    before_ms: u64,
}

/// What one step of a clean-up has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cleaned {
    /// How many messages were deleted.
    pub(crate) deleted: u64,
    /// In how many threads messages are still to be examined.
    pub(crate) threads_left: u64,
    /// Where the next step begins within a thread; none if it begins with another thread, or if nothing is left.
    pub(crate) next: Option<CleaningAt>,
}

impl Rows<'_> {
    /// Whether old messages are to be deleted.
    pub(crate) fn is_clean_up_due(&self) -> Result<bool> {
        Ok(self.clean_up_due()?.is_some())
    }

    /// The time before which messages are to be deleted, and the thread up to which that is done.
    fn clean_up_due(&self) -> Result<Option<(u64, Option<ThreadId>)>> {
        let sql = "SELECT clean_before, clean_after FROM account WHERE clean_before IS NOT NULL";
        let row = self
            .connection
            .prepare_cached(sql)?
            .query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<Vec<u8>>>(1)?)));
        let Some((before, after)) = row.optional()? else { return Ok(None) };
        let after = after.map(|after| ThreadId::from_slice(&after)).transpose()?;
        Ok(Some((from_sql(before)?, after)))
    }

    fn next_thread(&self, after: Option<ThreadId>) -> Result<Option<ThreadId>> {
        let sql = "SELECT thread_id FROM thread WHERE thread_id > ?1 ORDER BY thread_id LIMIT 1";
        let after = after.as_ref().map_or(&[][..], |after| after.as_bytes());
        let next = self.connection.prepare_cached(sql)?.query_row([after], |row| row.get::<_, Vec<u8>>(0));
        Ok(next.optional()?.map(|id| ThreadId::from_slice(&id)).transpose()?)
    }

    fn count_threads(&self, after: Option<ThreadId>) -> Result<u64> {
        let sql = "SELECT count(*) FROM thread WHERE thread_id > ?1";
        let after = after.as_ref().map_or(&[][..], |after| after.as_bytes());
        from_sql(self.connection.prepare_cached(sql)?.query_row([after], |row| row.get(0))?)
    }
}

impl Tx<'_> {
    /// Makes the messages of all threads be deleted that the relay stored before a time. One that is under way begins again, with the later
    /// of the two times.
    pub(crate) fn begin_clean_up(&mut self, before_ms: u64) -> Result<()> {
        let before = to_sql(before_ms.min(i64::MAX.cast_unsigned()))?;
        let sql = "UPDATE account SET clean_before = max(coalesce(clean_before, 0), ?1), clean_after = NULL";
        self.change_one(sql, [before])
    }

    /// Does the next step of a clean-up, from this place within a thread.
    pub(crate) fn clean_up(&mut self, from: Option<CleaningAt>, now_ms: u64) -> Result<Cleaned> {
        let Some((before_ms, mut done)) = self.clean_up_due()? else {
            return Ok(Cleaned { deleted: 0, threads_left: 0, next: None });
        };
        let mut deleted = 0_u64;
        // Another clean-up may have begun or gone on meanwhile.
        let mut from = from.filter(|at| {
            at.before_ms == before_ms && self.next_thread(done).is_ok_and(|next| next == Some(at.thread))
        });
        for _ in 0..THREADS {
            // No more are deleted in all threads than in one.
            let limit = u64::from(EXAMINED).saturating_sub(deleted);
            let Some(limit) = u32::try_from(limit).ok().filter(|limit| *limit > 0) else { break };
            let begin = match from.take() {
                Some(at) => Some((at.thread, at.position)),
                None => self.next_thread(done)?.map(|thread| (thread, Position::FIRST)),
            };
            let Some((thread, position)) = begin else {
                self.change_one("UPDATE account SET clean_before = NULL, clean_after = NULL", [])?;
                return Ok(Cleaned { deleted, threads_left: 0, next: None });
            };
            let (next, count) = self.delete_older_of((thread, position), limit, before_ms, now_ms)?;
            deleted = deleted.saturating_add(count);
            if let Some(position) = next {
                from = Some(CleaningAt { thread, position, before_ms });
                break;
            }
            done = Some(thread);
        }
        let after = done.as_ref().map(ThreadId::as_bytes);
        self.change_one("UPDATE account SET clean_after = ?1", params![after])?;
        Ok(Cleaned { deleted, threads_left: self.count_threads(done)?, next: from })
    }
}

//! Messages that disappear: the timer of a thread, the timers of its messages, and their deletion.
//!
//! The timer of a message runs from the time when it was read here, or when the relay accepted it if it is ours. Any number of messages
//! can be read at once, so their timers are started afterwards, a limited number in one transaction: `timer_due` says in which threads.
//! All times are the relay's.

use rusqlite::params;

use super::waiting::Origin;
use super::{Rows, Tx, from_sql, to_sql};
use crate::content::{Body, Target, Timer};
use crate::error::{Error, Result, Storage};
use crate::event::Event;
use crate::id::{ClientMsgId, MessageId, ThreadId, UserId};

impl Rows<'_> {
    /// The timer of the messages that we write into this thread.
    pub(crate) fn timer(&self, thread: ThreadId) -> Result<Timer> {
        let sql = "SELECT coalesce(timer_pending, timer) FROM thread WHERE thread_id = ?1";
        let seconds =
            self.connection.prepare_cached(sql)?.query_row([thread.as_bytes()], |row| row.get(0))?;
        Timer::new(seconds).ok_or(Error::Storage(Storage::Corrupt))
    }

    /// The timer of a message that we write. What changes the timer stays.
    pub(super) fn timer_for(&self, thread: ThreadId, body: &Body) -> Result<Timer> {
        if body.sets_timer().is_some() { Ok(Timer::default()) } else { self.timer(thread) }
    }

    /// What a message is on all devices; none if it could not be opened.
    fn target_of(&self, id: MessageId) -> Result<Option<Target>> {
        let sql = "SELECT author, content_id FROM message WHERE id = ?1";
        let (author, id) = self
            .connection
            .prepare_cached(sql)?
            .query_row([id.0], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Option<Vec<u8>>>(1)?)))?;
        let Some(id) = id else { return Ok(None) };
        Ok(Some(Target { author: UserId::from_slice(&author)?, id: ClientMsgId::from_slice(&id)? }))
    }

    /// Whether timers of messages are to be started.
    pub(crate) fn are_timers_due(&self) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM thread WHERE timer_due = 1)";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    /// When the next message disappears, in server time; none if no timer runs.
    pub(crate) fn next_expiry(&self) -> Result<Option<u64>> {
        let sql = "SELECT min(expires) FROM message WHERE expires IS NOT NULL";
        let next: Option<i64> = self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        next.map(from_sql).transpose()
    }
}

impl Tx<'_> {
    /// A content of ours sets the timer of a thread. It is used at once, and takes its place among those of others when the relay has
    /// accepted it.
    pub(crate) fn set_timer(&mut self, ours: &Origin, timer: Timer) -> Result<()> {
        self.change_one(
            "UPDATE thread SET timer_pending = ?2, timer_pending_by = ?3 WHERE thread_id = ?1",
            params![ours.thread.as_bytes(), timer.seconds(), ours.content_id.as_bytes()],
        )
    }

    /// Sets the timer of a thread that has no messages yet. The first one tells it to the others.
    pub(crate) fn set_first_timer(&mut self, thread: ThreadId, timer: Timer) -> Result<()> {
        let sql = "UPDATE thread SET timer = ?2 WHERE thread_id = ?1";
        self.change_one(sql, params![thread.as_bytes(), timer.seconds()])
    }

    /// A message has arrived that sets the timer of its thread, or has one itself. The timer that the last content in the thread has set
    /// counts; in a thread where none was set, that of the messages.
    pub(crate) fn apply_timer(&mut self, origin: &Origin, sets: Option<Timer>, own: Timer) -> Result<()> {
        let sql =
            "UPDATE thread SET timer = ?2, timer_position = ?3 WHERE thread_id = ?1 AND timer_position < ?3
                       AND (?4 OR timer_position = 0 AND timer = 0)";
        let timer = sets.unwrap_or(own);
        if sets.is_some() || timer != Timer::default() {
            let values = params![origin.thread.as_bytes(), timer.seconds(), origin.order, sets.is_some()];
            self.change(sql, values)?;
        }
        Ok(())
    }

    /// A message of ours that sets the timer of its thread was assigned its position.
    pub(super) fn settle_timer(&mut self, id: MessageId, order: i64, seconds: u32) -> Result<()> {
        self.change(
            "UPDATE thread SET timer = ?2, timer_position = ?3
             WHERE thread_id = (SELECT thread_id FROM message WHERE id = ?1) AND timer_position < ?3",
            params![id.0, seconds, order],
        )?;
        self.change(
            "UPDATE thread SET timer_pending = NULL, timer_pending_by = NULL
             WHERE thread_id = (SELECT thread_id FROM message WHERE id = ?1)
                AND timer_pending_by = (SELECT content_id FROM message WHERE id = ?1)",
            [id.0],
        )?;
        Ok(())
    }

    /// A message of ours will not be sent: if it sets the timer of the thread, that has no effect any longer.
    pub(super) fn forget_pending_timer(&mut self, thread: ThreadId, id: MessageId) -> Result<()> {
        self.change(
            "UPDATE thread SET timer_pending = NULL, timer_pending_by = NULL
             WHERE thread_id = ?1 AND timer_pending_by = (SELECT content_id FROM message WHERE id = ?2)",
            params![thread.as_bytes(), id.0],
        )?;
        Ok(())
    }

    /// Starts the timer of a message at this time, if it has one, and returns when it disappears.
    pub(super) fn start_timer(&mut self, id: MessageId, now_ms: u64) -> Result<Option<u64>> {
        let sql =
            "UPDATE message SET expires = ?2 + 1000 * timer WHERE id = ?1 AND timer > 0 AND expires IS NULL
                   RETURNING expires";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([id.0, to_sql(now_ms)?])?;
        let expires = rows.next()?.map(|row| row.get::<_, i64>(0)).transpose()?;
        // A statement with RETURNING is complete only after its last row.
        while rows.next()?.is_some() {}
        drop(rows);
        drop(statement);
        self.timers_started |= expires.is_some();
        expires.map(from_sql).transpose()
    }

    /// Whether timers were started in this transaction, so that messages may disappear earlier than was known.
    pub(crate) const fn has_started_timers(&self) -> bool {
        self.timers_started
    }

    /// Messages of a thread may have been read: those with a timer are looked for afterwards.
    pub(super) fn note_timers(&mut self, thread: ThreadId) -> Result<()> {
        self.change(
            "UPDATE thread SET timer_due = 1 WHERE thread_id = ?1 AND timer_due = 0 AND EXISTS (
                SELECT 1 FROM message INDEXED BY message_timer
                WHERE thread_id = ?1 AND timer > 0 AND expires IS NULL AND state >= 10)",
            [thread.as_bytes()],
        )?;
        Ok(())
    }

    /// Starts the timers of up to `limit` messages that have been read.
    pub(crate) fn start_timers(&mut self, now_ms: u64, limit: u32) -> Result<()> {
        let sql = "SELECT m.id FROM thread AS t CROSS JOIN message AS m INDEXED BY message_timer
                   WHERE t.timer_due = 1 AND m.thread_id = t.thread_id AND m.timer > 0 AND m.expires IS NULL
                       AND m.state >= 10 AND m.position <= t.read_position
                       AND (m.state = 10 AND (m.position, m.id) <= (t.read_position, t.read_id)
                           OR m.state = 12 AND EXISTS (SELECT 1 FROM late_mark AS mark WHERE mark.thread_id = m.thread_id
                               AND mark.late >= m.late AND (mark.position, mark.id) >= (m.position, m.id)))
                   UNION ALL SELECT m.id FROM thread AS t CROSS JOIN message AS m INDEXED BY message_timer_11
                   WHERE t.timer_due = 1 AND m.thread_id = t.thread_id AND m.timer > 0 AND m.expires IS NULL AND m.state = 11
                   LIMIT ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([limit], |row| row.get(0).map(MessageId))?;
        let read = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        drop(statement);
        for id in &read {
            if self.start_timer(*id, now_ms)?.is_some()
                && self.has_companions()?
                && let Some(message) = self.target_of(*id)?
            {
                self.note_timer_started(message, now_ms)?;
            }
            self.emit_changed(*id)?;
        }
        if u32::try_from(read.len()).is_ok_and(|len| len < limit) {
            self.change("UPDATE thread SET timer_due = 0 WHERE timer_due = 1", [])?;
        }
        Ok(())
    }

    /// Deletes up to `limit` messages whose time has come, with everything that belongs to them, and returns how many. They do not
    /// return if the relay delivers them again, and are not submitted again.
    pub(crate) fn delete_expired(&mut self, now_ms: u64, limit: u32) -> Result<usize> {
        let sql = "SELECT id, thread_id, author, content_id, hidden IS NOT NULL FROM message
                   WHERE expires <= ?1 ORDER BY expires LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![to_sql(now_ms)?, limit], |row| {
            Ok((row.get(0).map(MessageId)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })?;
        type Expired = (MessageId, Vec<u8>, Vec<u8>, Option<Vec<u8>>, bool);
        let expired = rows.collect::<rusqlite::Result<Vec<Expired>>>()?;
        drop(statement);
        let count = expired.len();
        for (id, thread, author, content_id, is_hidden) in expired {
            let thread = ThreadId::from_slice(&thread)?;
            if let Some(content_id) = content_id {
                self.set_applied(
                    UserId::from_slice(&author)?,
                    ClientMsgId::from_slice(&content_id)?,
                    now_ms,
                )?;
            }
            self.nullify(id, thread)?;
            let position = self.position_of(id)?;
            self.delete_row(thread, id)?;
            if !is_hidden {
                self.emit(Event::MessageRemoved { thread, id, position });
            }
        }
        Ok(count)
    }
}

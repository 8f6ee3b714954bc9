//! The lanes of the outbox: a lane contains the contents of a thread that are to be sent, in their order.
//!
//! A lane has a row in `lane` while it is not empty, which says when it is due. There is one exception, which spares four pages of the
//! log: the row is missing while the process that has queued the only entry submits it. If that does not succeed, or the process has
//! ended, the row is added ([`Tx::list_lane`], [`Tx::hurry_lanes`]).

use rusqlite::params;

use super::thread::DIRECT;
use super::{Rows, Tx, from_sql, to_sql};
use crate::error::Result;
use crate::id::{ThreadId, UserId};

/// The lanes that are not empty and have no row, each with the time at which it is due. The index is searched once for each lane.
const UNLISTED_LANES: &str = "WITH RECURSIVE busy (lane) AS (
        SELECT min(lane) FROM outgoing WHERE state < 3
        UNION ALL SELECT (SELECT min(lane) FROM outgoing WHERE state < 3 AND lane > busy.lane) FROM busy
            WHERE busy.lane IS NOT NULL)
    SELECT busy.lane, 0 FROM busy
    WHERE busy.lane IS NOT NULL AND NOT EXISTS (SELECT 1 FROM lane WHERE lane.lane = busy.lane)";

impl Rows<'_> {
    /// Up to `limit` lanes with something due.
    pub(crate) fn due_lanes(&self, now_ms: u64, limit: usize) -> Result<Vec<ThreadId>> {
        let sql = "SELECT lane FROM lane WHERE due <= ?1 ORDER BY due, lane LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map([to_sql(now_ms)?, limit], |row| row.get::<_, Vec<u8>>(0))?;
        rows.map(|row| Ok(ThreadId::from_slice(&row?)?)).collect()
    }

    /// When the next lane that is not due yet becomes due, if there is one.
    pub(crate) fn next_due(&self, now_ms: u64) -> Result<Option<u64>> {
        let sql = "SELECT min(due) FROM lane WHERE due > ?1";
        let due: Option<i64> =
            self.connection.prepare_cached(sql)?.query_row([to_sql(now_ms)?], |row| row.get(0))?;
        due.map(from_sql).transpose()
    }

    /// Up to `limit` lanes that are not empty and have no row. Another process may be sending their entries, or has ended
    /// while it did so.
    pub(crate) fn unlisted_lanes(&self, limit: usize) -> Result<Vec<ThreadId>> {
        let sql = format!("{UNLISTED_LANES} LIMIT ?1");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map([limit], |row| row.get::<_, Vec<u8>>(0))?;
        rows.map(|row| Ok(ThreadId::from_slice(&row?)?)).collect()
    }

    /// Whether something waits in the lane.
    pub(crate) fn is_lane_busy(&self, lane: ThreadId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM outgoing WHERE lane = ?1 AND state < 3)";
        Ok(self.connection.prepare_cached(sql)?.query_row([lane.as_bytes()], |row| row.get(0))?)
    }
}

/// A lane that is due at this time waits until it, or all lanes, are made due.
pub(crate) const NEVER_MS: u64 = u64::MAX >> 2;

impl Tx<'_> {
    /// Puts a lane off for as long as its recipient is blocked.
    pub(crate) fn hold_lane(&mut self, lane: ThreadId) -> Result<()> {
        self.hold_lane_until(lane, NEVER_MS)
    }

    /// Puts a lane off until this local time.
    pub(crate) fn hold_lane_until(&mut self, lane: ThreadId, due_ms: u64) -> Result<()> {
        self.change_one(
            "INSERT INTO lane (lane, due) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET due = excluded.due",
            params![lane.as_bytes(), to_sql(due_ms)?],
        )
    }

    /// Makes the lanes of the direct threads with a user due, who is no longer blocked.
    pub(super) fn release_lanes_with(&mut self, user: UserId) -> Result<()> {
        let sql = format!(
            "UPDATE lane SET due = 0 WHERE due > 0 AND lane IN
                (SELECT thread_id FROM member JOIN thread USING (thread_id) WHERE user_id = ?1 AND kind = {DIRECT})"
        );
        self.change(&sql, [user.as_bytes()]).map(drop)
    }

    /// Makes everything due that was put off in a thread, unless it is held.
    pub(crate) fn hurry_thread(&mut self, thread: ThreadId) -> Result<()> {
        let sql = "UPDATE lane SET due = 0 WHERE lane = ?1 AND due > 0 AND due < ?2";
        self.change(sql, params![thread.as_bytes(), to_sql(NEVER_MS)?])?;
        self.hurry_mail_of(thread)
    }

    /// Adds the row of a lane, unless the lane is empty or has one.
    pub(crate) fn list_lane(&mut self, lane: ThreadId) -> Result<()> {
        self.change(
            "INSERT INTO lane (lane, due) SELECT ?1, 0 WHERE EXISTS (SELECT 1 FROM outgoing WHERE lane = ?1 AND state < 3)
             ON CONFLICT DO NOTHING",
            [lane.as_bytes()],
        )?;
        Ok(())
    }

    /// Makes all lanes and mail due immediately, for example because there is a connection again.
    pub(crate) fn hurry_lanes(&mut self) -> Result<()> {
        self.change("UPDATE lane SET due = 0 WHERE due > 0", [])?;
        self.change(&format!("INSERT INTO lane (lane, due) {UNLISTED_LANES}"), [])?;
        self.hurry_mail()
    }

    /// Removes the row of a lane that is empty.
    pub(super) fn end_lane(&mut self, lane: ThreadId) -> Result<()> {
        self.change(
            "DELETE FROM lane WHERE lane = ?1
                AND NOT EXISTS (SELECT 1 FROM outgoing WHERE lane = ?1 AND state < 3)",
            [lane.as_bytes()],
        )?;
        Ok(())
    }
}

//! Which of our posts have come to the devices of other users, as they tell us: in receipts, and in the headers of what they send.
//!
//! A post that a device has is proven, and need not be kept any longer. One that the relay has accepted, and that a device does not
//! name a day later although it has told us something since, was lost by the relay. It is sent again, as the same content.

use rusqlite::{OptionalExtension as _, params};
use sealpost_wire::limits::MAX_COUNT;

use super::heard::{to_counts, to_run};
use super::outgoing::{ACCEPTED, TO_SEAL};
use super::{Rows, Tx, from_sql, to_sql};
use crate::content::{Counts, Run};
use crate::error::Result;
use crate::id::{DeviceId, ThreadId, UserId};

/// How many exceptions of a mark are kept. Posts of which people are never told amount to more with the time. Then the first exception
/// grows: what was told about the oldest posts has had its effect.
const MAX_EXCEPTIONS: usize = 256;
/// After this time, a post that the relay has accepted must have come to the device that it is for, if that tells us anything.
const LOST_AFTER_MS: u64 = 24 * 3_600 * 1_000;
/// How many proven posts are forgotten with the mark that proves them. The others follow in the background.
pub(super) const FORGOTTEN_AT_ONCE: u32 = 256;

/// What a mark says about our posts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum MarkKind {
    /// They were received, as a receipt says.
    Delivered,
    /// They were read, as a receipt says.
    Read,
    /// They were received, as the header of a content says. People are not told, because receipts may be switched off.
    Seen,
}

impl MarkKind {
    pub(super) const fn to_stored(self) -> i64 {
        match self {
            Self::Delivered => 1,
            Self::Read => 2,
            Self::Seen => 3,
        }
    }
}

/// Where a mark comes from, and which of our runs it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MarkOf {
    pub(crate) thread: ThreadId,
    pub(crate) user: UserId,
    pub(crate) device: DeviceId,
    pub(crate) kind: MarkKind,
    pub(crate) run: Run,
}

impl Rows<'_> {
    /// What a mark says; nothing if there is none.
    pub(crate) fn mark(&self, of: MarkOf) -> Result<Counts> {
        let sql = "SELECT up_to, excepted FROM mark
                   WHERE thread_id = ?1 AND run = ?2 AND user_id = ?3 AND device_id = ?4 AND kind = ?5";
        let values = params![
            of.thread.as_bytes(),
            of.run.0.as_slice(),
            of.user.as_bytes(),
            of.device.get(),
            of.kind.to_stored()
        ];
        let row =
            self.connection.prepare_cached(sql)?.query_row(values, |row| Ok((row.get(0)?, row.get(1)?)));
        row.optional()?.map_or_else(|| Ok(Counts::none()), to_counts)
    }

    /// The highest number of a post of this run that is known here, from this device or another one of ours; none if the run is not ours in
    /// this thread.
    fn highest_of(&self, thread: ThreadId, run: Run) -> Result<Option<u64>> {
        let own = self.own_numbers(thread)?;
        if own.run == Some(run) {
            return Ok(Some(own.count));
        }
        // A run of another device of ours, or from before a restore.
        let sql = "SELECT max(count) FROM (
                SELECT max(count) AS count FROM message
                    WHERE run = ?2 AND outgoing IS NOT NULL AND count IS NOT NULL AND thread_id = ?1
                UNION ALL SELECT max(count) FROM outgoing WHERE state = 3 AND run = ?2 AND lane = ?1
                UNION ALL SELECT max(up_to) FROM heard WHERE thread_id = ?1
                    AND user_id = (SELECT user_id FROM account) AND run = ?2)";
        let values = params![thread.as_bytes(), run.0.as_slice()];
        let highest: Option<i64> =
            self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?;
        highest.map(from_sql).transpose()
    }

    /// Our runs about which something is told.
    fn marked_runs(&self) -> Result<Vec<(ThreadId, Run)>> {
        let sql = "SELECT DISTINCT thread_id, run FROM mark";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows =
            statement.query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
        rows.map(|row| {
            let (thread, run) = row?;
            Ok((ThreadId::from_slice(&thread)?, to_run(&run)?))
        })
        .collect()
    }

    /// The posts of a run that some device has, and when a header said last which there are. A receipt does not name what its author
    /// keeps to themselves, so what it leaves out is not lost.
    pub(super) fn proven(&self, thread: ThreadId, run: Run) -> Result<(Counts, i64)> {
        let sql =
            "SELECT up_to, excepted, iif(kind = 3, told, 0) FROM mark WHERE thread_id = ?1 AND run = ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![thread.as_bytes(), run.0.as_slice()])?;
        let (mut proven, mut told) = (Counts::none(), 0);
        while let Some(row) = rows.next()? {
            proven = proven.union(&to_counts((row.get(0)?, row.get(1)?))?);
            told = told.max(row.get(2)?);
        }
        Ok((proven, told))
    }
}

impl Tx<'_> {
    /// Adds what a device tells about our posts to what it has told before, at this time by the relay's clock. Returns the posts
    /// that are new in the mark; none if the run is not ours.
    pub(crate) fn set_mark(&mut self, of: MarkOf, counts: &Counts, told_ms: u64) -> Result<Option<Counts>> {
        let Some(highest) = self.highest_of(of.thread, of.run)? else { return Ok(None) };
        let known = self.mark(of)?;
        let counts = counts.at_most(highest);
        // What is not kept below may be new again later. That changes nothing.
        let new = counts.without(known.ranges());
        self.forget_accepted(of.run, &new, FORGOTTEN_AT_ONCE)?;
        let whole = known.union(&counts);
        let marked = whole.clone().with_fewer_exceptions(MAX_EXCEPTIONS);
        // Nothing says any longer that these have come, so all of them are forgotten now, and none is sent again.
        self.forget_accepted(of.run, &whole.without(marked.ranges()), u32::MAX)?;
        self.change_one(
            "INSERT INTO mark (thread_id, run, user_id, device_id, kind, up_to, excepted, told)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (thread_id, run, user_id, device_id, kind) DO UPDATE
                SET up_to = excluded.up_to, excepted = excluded.excepted, told = max(told, excluded.told)",
            params![
                of.thread.as_bytes(),
                of.run.0.as_slice(),
                of.user.as_bytes(),
                of.device.get(),
                of.kind.to_stored(),
                to_sql(marked.highest())?,
                marked.exception_bytes(),
                to_sql(told_ms)?,
            ],
        )?;
        Ok(Some(new))
    }

    /// Deletes up to `limit` accepted posts of a run that some device has, and returns how many.
    fn forget_accepted(&mut self, run: Run, counts: &Counts, limit: u32) -> Result<u32> {
        let mut left = limit;
        for (first, last) in counts.ranges() {
            if left == 0 {
                break;
            }
            let deleted = self.change(
                "DELETE FROM outgoing WHERE id IN (SELECT id FROM outgoing
                    WHERE state = 3 AND run = ?1 AND count BETWEEN ?2 AND ?3 LIMIT ?4)",
                params![run.0.as_slice(), to_sql(first)?, to_sql(last)?, left],
            )?;
            left = left.saturating_sub(u32::try_from(deleted).unwrap_or(left));
        }
        Ok(limit.saturating_sub(left))
    }

    /// Deletes up to `limit` accepted posts that some device has. Returns whether there may be more.
    pub(crate) fn forget_some_proven(&mut self, limit: u32) -> Result<bool> {
        let mut left = limit;
        for (thread, run) in self.marked_runs()? {
            let (proven, _) = self.proven(thread, run)?;
            left = left.saturating_sub(self.forget_accepted(run, &proven, left)?);
            if left == 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Queues posts again that the relay has accepted a day ago and lost: the device that they are for does not name them although it
    /// has told us something since. Posts that were written before `not_before_ms` are left alone. Returns how many were queued.
    pub(crate) fn send_lost_again(&mut self, now_ms: u64, not_before_ms: u64) -> Result<usize> {
        let accepted_before = to_sql(now_ms.saturating_sub(LOST_AFTER_MS))?;
        let mut again = 0_usize;
        for (thread, run) in self.marked_runs()? {
            let (proven, told) = self.proven(thread, run)?;
            for (first, last) in proven.missing_ranges().iter().copied() {
                let last = to_sql(last.min(MAX_COUNT))?;
                let lost = "UPDATE outgoing
                    SET state = ?1, attempts = 0, client_msg_id = NULL, bytes = NULL, made = NULL
                    WHERE state = ?2 AND run = ?3 AND count BETWEEN ?4 AND ?5 AND sent >= ?6
                        AND coalesce(made <= ?7 AND made < ?8, 1)";
                let values = params![
                    TO_SEAL,
                    ACCEPTED,
                    run.0.as_slice(),
                    to_sql(first)?,
                    last,
                    to_sql(not_before_ms)?,
                    accepted_before,
                    told,
                ];
                again = again.saturating_add(self.change(lost, values)?);
            }
            self.list_lane(thread)?;
        }
        Ok(again)
    }
}

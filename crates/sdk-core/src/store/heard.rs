//! Which posts of other devices, of other users or our own, have come here, by the numbers that these devices have given them.
//!
//! Each device numbers its posts in a thread without gaps, so a missing number is a post that has not arrived. A device that was
//! restored begins another run. The first number of a run that arrives says nothing about those before it, which may have been sent
//! before this device took part; they count as missing.

use rusqlite::{OptionalExtension as _, Row, params};

use super::{Rows, Tx, from_sql, narrow, to_sql};
use crate::content::{Counts, Mark, Run};
use crate::error::{Error, Result, Storage};
use crate::id::{DeviceId, ThreadId, UserId};

/// Maximum number of ranges that are remembered as missing in a run. Beyond it, the first ones become one, so that what has come in
/// between is not confirmed again.
const MAX_MISSING: usize = 64;

/// Maximum number of runs of a device that are remembered in a thread. A device begins one each time its database is restored.
const MAX_RUNS: u32 = 16;

/// A run of another device, of another user or our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HeardRun {
    pub(crate) thread: ThreadId,
    pub(crate) user: UserId,
    pub(crate) device: DeviceId,
    pub(crate) run: Run,
}

/// A post that has come here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeardPost {
    /// Its number.
    pub(crate) count: u64,
    /// Whether it is a new content, whose number nothing can have had before.
    pub(crate) is_new: bool,
    /// Whether people see it as a message.
    pub(crate) is_shown: bool,
}

impl Rows<'_> {
    /// The posts of a run that have come here.
    pub(crate) fn heard(&self, run: HeardRun) -> Result<Counts> {
        let sql = "SELECT up_to, excepted FROM heard WHERE thread_id = ?1 AND user_id = ?2 AND device_id = ?3 AND run = ?4";
        let values =
            params![run.thread.as_bytes(), run.user.as_bytes(), run.device.get(), run.run.0.as_slice()];
        let row =
            self.connection.prepare_cached(sql)?.query_row(values, |row| Ok((row.get(0)?, row.get(1)?)));
        row.optional()?.map_or_else(|| Ok(Counts::none()), to_counts)
    }

    /// What has come here from the device whose post in this thread is the newest, among those of others, or among our own.
    pub(crate) fn heard_last(&self, thread: ThreadId, of_us: bool) -> Result<Option<Mark>> {
        let sql = "SELECT device_id, run, up_to, excepted FROM heard
                   WHERE thread_id = ?1 AND (user_id IS (SELECT user_id FROM account)) = ?2
                   ORDER BY position DESC LIMIT 1";
        let values = params![thread.as_bytes(), of_us];
        let row = self.connection.prepare_cached(sql)?.query_row(values, mark_columns).optional()?;
        row.map(to_mark).transpose()
    }
}

impl Tx<'_> {
    /// Records that posts have come here, the newest of them at this position, and whether their author is told. Returns whether a new
    /// content has a number that another content had.
    pub(crate) fn hear(
        &mut self,
        run: HeardRun,
        posts: &[HeardPost],
        position: i64,
        is_told: bool,
    ) -> Result<bool> {
        let (mut heard, mut untold) = (self.heard(run)?, self.untold(run)?);
        let mut is_contradicted = false;
        for post in posts {
            let is_behind = post.count < heard.highest();
            let is_first = heard.insert(post.count);
            is_contradicted |= !is_first && post.is_new;
            if is_first {
                untold.note(post, is_behind, is_told);
            }
        }
        let (heard, untold) = (heard.with_fewer_exceptions(MAX_MISSING), untold.limited());
        let oldest = "DELETE FROM heard WHERE thread_id = ?1 AND user_id = ?2 AND device_id = ?3 AND run IN (
            SELECT run FROM heard WHERE thread_id = ?1 AND user_id = ?2 AND device_id = ?3 AND run <> ?4
            ORDER BY position DESC LIMIT -1 OFFSET ?5)";
        let values = params![
            run.thread.as_bytes(),
            run.user.as_bytes(),
            run.device.get(),
            run.run.0.as_slice(),
            MAX_RUNS - 1
        ];
        self.change(oldest, values)?;
        self.change_one(
            "INSERT INTO heard (thread_id, user_id, device_id, run, up_to, excepted, position,
                withheld, withheld_excepted, apart, apart_excepted)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT (thread_id, user_id, device_id, run) DO UPDATE
                SET up_to = excluded.up_to, excepted = excluded.excepted, position = max(position, excluded.position),
                    withheld = excluded.withheld, withheld_excepted = excluded.withheld_excepted,
                    apart = excluded.apart, apart_excepted = excluded.apart_excepted",
            params![
                run.thread.as_bytes(),
                run.user.as_bytes(),
                run.device.get(),
                run.run.0.as_slice(),
                to_sql(heard.highest())?,
                heard.exception_bytes(),
                position,
                to_sql(untold.withheld.highest())?,
                untold.withheld.exception_bytes(),
                to_sql(untold.apart.highest())?,
                untold.apart.exception_bytes(),
            ],
        )?;
        Ok(is_contradicted)
    }
}

pub(super) fn to_run(bytes: &[u8]) -> Result<Run> {
    Run::from_slice(bytes).map_err(|_| Error::Storage(Storage::Corrupt))
}

pub(super) fn to_counts((up_to, excepted): (i64, Vec<u8>)) -> Result<Counts> {
    Counts::from_parts(from_sql(up_to)?, &excepted, usize::MAX).map_err(|_| Error::Storage(Storage::Corrupt))
}

type MarkColumns = (i64, Vec<u8>, i64, Vec<u8>);

fn mark_columns(row: &Row<'_>) -> rusqlite::Result<MarkColumns> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

fn to_mark((device, run, up_to, excepted): MarkColumns) -> Result<Mark> {
    let device = DeviceId::new(narrow(device)?)?;
    Ok(Mark { device, run: to_run(&run)?, counts: to_counts((up_to, excepted))? })
}

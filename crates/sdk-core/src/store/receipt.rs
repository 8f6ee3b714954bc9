//! What receipts tell the authors of the posts that have come here.
//!
//! A receipt is made from the database when it is sealed, so one receipt is enough for any number of posts, and each says everything
//! that an earlier one has said. For each run of a device, the row of `heard` says what to leave out:
//!
//! - `withheld`: posts that came while delivery receipts were switched off, or while the thread was a request.
//! - `read`: the highest number of a message that was read. It reads those before it, because people read a thread in its order, and
//!   also what shows nothing, so that a receipt has few exceptions.
//! - `apart`: messages that are not read because a later one is. They came behind it, were deleted before they were read, or were read
//!   while read receipts were switched off.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension as _, Row, params};

use super::heard::{HeardPost, HeardRun, to_counts, to_run};
use super::{PrivacySetting, Rows, Tx, from_sql, narrow, to_sql};
use crate::content::{Counts, MAX_RECEIPT_EXCEPTIONS, MAX_RECEIPT_MARKS, Mark, Receipt, ReceiptKind, Run};
use crate::error::{Error, Result, Storage};
use crate::id::{DeviceId, MessageId, ThreadId, UserId};

/// Maximum number of ranges that are left out. Beyond it, the first ones become one: what is between them was told before.
const MAX_RANGES: usize = 32;

/// A post of another device, by its number.
pub(crate) type Numbered = (HeardRun, u64);

/// What the author of a run is not told.
pub(super) struct Untold {
    pub(super) withheld: Counts,
    pub(super) apart: Counts,
}

impl Untold {
    /// Records a post that has come for the first time, perhaps behind one with a higher number.
    pub(super) fn note(&mut self, post: &HeardPost, is_behind: bool, is_told: bool) {
        if !is_told {
            self.withheld.insert(post.count);
        }
        if is_behind && post.is_shown {
            self.apart.insert(post.count);
        }
    }

    /// Within the limits.
    pub(super) fn limited(self) -> Self {
        let Self { withheld, apart } = self;
        Self { withheld: withheld.with_fewer_ranges(MAX_RANGES), apart: apart.with_fewer_ranges(MAX_RANGES) }
    }
}

/// The columns of [`Untold`].
fn untold_columns(row: &Row<'_>, first: usize) -> rusqlite::Result<[(i64, Vec<u8>); 2]> {
    let pair = |at: usize| -> rusqlite::Result<_> { Ok((row.get(at)?, row.get(at.saturating_add(1))?)) };
    Ok([pair(first)?, pair(first.saturating_add(2))?])
}

fn to_untold([withheld, apart]: [(i64, Vec<u8>); 2]) -> Result<Untold> {
    Ok(Untold { withheld: to_counts(withheld)?, apart: to_counts(apart)? })
}

impl Rows<'_> {
    pub(super) fn untold(&self, run: HeardRun) -> Result<Untold> {
        let sql = "SELECT withheld, withheld_excepted, apart, apart_excepted FROM heard
                   WHERE thread_id = ?1 AND user_id = ?2 AND device_id = ?3 AND run = ?4";
        let values =
            params![run.thread.as_bytes(), run.user.as_bytes(), run.device.get(), run.run.0.as_slice()];
        let row = self.connection.prepare_cached(sql)?.query_row(values, |row| untold_columns(row, 0));
        match row.optional()? {
            Some(row) => to_untold(row),
            None => Ok(Untold { withheld: Counts::none(), apart: Counts::none() }),
        }
    }

    /// Whether the others in a thread get receipts of a kind.
    pub(crate) fn sends_receipts(&self, thread: ThreadId, kind: ReceiptKind) -> Result<bool> {
        self.tells(thread, PrivacySetting::of_receipt(kind))
    }

    /// What a receipt says at this moment to the author of posts of a thread; none if there is nothing to say.
    pub(crate) fn receipt(
        &self,
        thread: ThreadId,
        author: UserId,
        kind: ReceiptKind,
    ) -> Result<Option<Receipt>> {
        let sql =
            "SELECT device_id, run, up_to, excepted, withheld, withheld_excepted, apart, apart_excepted, read
                   FROM heard WHERE thread_id = ?1 AND user_id = ?2 ORDER BY position DESC LIMIT ?3";
        let mut statement = self.connection.prepare_cached(sql)?;
        let limit =
            u32::try_from(MAX_RECEIPT_MARKS).map_err(|_| Error::Bug("too many marks in a receipt"))?;
        let mut rows = statement.query(params![thread.as_bytes(), author.as_bytes(), limit])?;
        let mut marks = Vec::new();
        while let Some(row) = rows.next()? {
            let heard = to_counts((row.get(2)?, row.get(3)?))?;
            let Untold { withheld, apart } = to_untold(untold_columns(row, 4)?)?;
            let counts = match kind {
                ReceiptKind::Delivered => heard.without(withheld.ranges()),
                ReceiptKind::Read => heard.at_most(from_sql(row.get(8)?)?).without(apart.ranges()),
            };
            // What is new is told, rather than what was told before.
            let counts = counts.with_fewer_exceptions(MAX_RECEIPT_EXCEPTIONS);
            if counts.highest() > 0 {
                let device = DeviceId::new(narrow(row.get(0)?)?)?;
                marks.push(Mark { device, run: to_run(&row.get::<_, Vec<u8>>(1)?)?, counts });
            }
        }
        Ok((!marks.is_empty()).then_some(Receipt { kind, marks }))
    }

    /// The number of an incoming message, if it has one.
    fn numbered(&self, message: MessageId) -> Result<Option<Numbered>> {
        let sql = "SELECT thread_id, author, device, run, count FROM message WHERE id = ?1";
        let row = self
            .connection
            .prepare_cached(sql)?
            .query_row([message.0], |row| Ok((row.get::<_, Vec<u8>>(0)?, NumberColumns::read(row, 1)?)));
        let (thread, columns) = row?;
        columns.numbered(ThreadId::from_slice(&thread)?)
    }
}

/// The author of a message, its device, and its number.
pub(super) struct NumberColumns {
    author: Vec<u8>,
    device: i64,
    run: Option<Vec<u8>>,
    count: Option<i64>,
}

impl NumberColumns {
    pub(super) fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        let at = |offset: usize| first.saturating_add(offset);
        Ok(Self {
            author: row.get(at(0))?,
            device: row.get(at(1))?,
            run: row.get(at(2))?,
            count: row.get(at(3))?,
        })
    }

    /// None if the author has not numbered it.
    pub(super) fn numbered(self, thread: ThreadId) -> Result<Option<Numbered>> {
        let (Some(run), Some(count)) = (self.run, self.count) else { return Ok(None) };
        let corrupt = |_| Error::Storage(Storage::Corrupt);
        let run = HeardRun {
            thread,
            user: UserId::from_slice(&self.author)?,
            device: DeviceId::new(narrow(self.device)?).map_err(corrupt)?,
            run: to_run(&run)?,
        };
        Ok(Some((run, from_sql(count)?)))
    }
}

impl Tx<'_> {
    /// Messages were read. Their author is told with the next receipt, or never.
    pub(super) fn set_read(&mut self, messages: &[Numbered], is_told: bool) -> Result<()> {
        let mut runs = BTreeMap::<HeardRun, Vec<u64>>::new();
        for (run, count) in messages {
            runs.entry(*run).or_default().push(*count);
        }
        for (run, counts) in runs {
            if is_told && self.has_companions()? {
                self.hear_from_history(run, &counts)?;
            }
            let mut apart = self.untold(run)?.apart;
            let mut read = 0;
            if is_told {
                apart = apart.without(counts.iter().map(|count| (*count, *count)));
                read = counts.into_iter().max().unwrap_or(0);
            } else {
                for count in counts {
                    apart.insert(count);
                }
            }
            self.set_apart(run, apart, read)?;
        }
        Ok(())
    }

    /// Another device of ours has told this one these posts, and has confirmed to their author that they were delivered. They were read
    /// here, which only this device can say.
    fn hear_from_history(&mut self, run: HeardRun, counts: &[u64]) -> Result<()> {
        let heard = self.heard(run)?;
        let told = counts.iter().filter(|count| !heard.contains(**count));
        let told: Vec<_> =
            told.map(|count| HeardPost { count: *count, is_new: false, is_shown: true }).collect();
        if told.is_empty() { Ok(()) } else { self.hear(run, &told, 0, false).map(drop) }
    }

    /// An unread message is about to be removed.
    pub(super) fn leave_unread(&mut self, message: MessageId) -> Result<()> {
        let Some((run, count)) = self.numbered(message)? else { return Ok(()) };
        let mut apart = self.untold(run)?.apart;
        apart.insert(count);
        self.set_apart(run, apart, 0)
    }

    fn set_apart(&mut self, run: HeardRun, apart: Counts, read: u64) -> Result<()> {
        let HeardRun { thread, user, device, run: Run(run) } = run;
        let apart = apart.with_fewer_ranges(MAX_RANGES);
        self.change(
            "UPDATE heard SET apart = ?5, apart_excepted = ?6, read = max(read, ?7)
             WHERE thread_id = ?1 AND user_id = ?2 AND device_id = ?3 AND run = ?4",
            params![
                thread.as_bytes(),
                user.as_bytes(),
                device.get(),
                run.as_slice(),
                to_sql(apart.highest())?,
                apart.exception_bytes(),
                to_sql(read)?,
            ],
        )?;
        Ok(())
    }
}

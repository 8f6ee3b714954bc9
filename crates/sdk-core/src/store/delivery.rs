//! What receipts change about our messages.

use rusqlite::params;

use super::message::KIND_CONTENT;
use super::stage::numbers;
use super::{MarkKind, MarkOf, Tx, to_sql};
use crate::content::Counts;
use crate::error::Result;
use crate::id::MessageId;
use crate::message::DeliveryEvent;

/// How many changes of one mark are reported one by one.
const REPORTED: usize = 256;

impl Tx<'_> {
    /// A device says what has happened to posts of ours: adds it to what it has said before, and changes the states of the messages
    /// among them. A run that is not ours says nothing.
    pub(crate) fn confirm(
        &mut self,
        of: MarkOf,
        counts: &Counts,
        (told_ms, now_ms): (u64, u64),
    ) -> Result<()> {
        let Some(new) = self.set_mark(of, counts, told_ms)? else { return Ok(()) };
        let (event, column) = match of.kind {
            MarkKind::Delivered => (DeliveryEvent::Delivered, "delivered"),
            MarkKind::Read => (DeliveryEvent::Read, "read"),
            // People are not told.
            MarkKind::Seen => return Ok(()),
        };
        let mut changed = Vec::new();
        for range in new.ranges() {
            changed.extend(self.advance(of, range, (event, column), now_ms)?);
        }
        if changed.len() > REPORTED {
            self.look_again();
            return Ok(());
        }
        changed.into_iter().try_for_each(|id| self.emit_changed(id))
    }

    /// Changes the states of messages in a range of numbers, and returns which have changed. Those that have the state already are
    /// left alone.
    fn advance(
        &mut self,
        of: MarkOf,
        (first, last): (u64, u64),
        (event, column): (DeliveryEvent, &str),
        now_ms: u64,
    ) -> Result<Vec<MessageId>> {
        let (from, to) = event.transition();
        let (from, to) = (numbers(from), to as i64);
        let sql = format!(
            "UPDATE message SET state = {to}, {column} = ?5
             WHERE run = ?2 AND count BETWEEN ?3 AND ?4 AND outgoing IS NOT NULL AND count IS NOT NULL AND state IN ({from})
                AND thread_id = ?1 AND kind = {KIND_CONTENT} RETURNING id"
        );
        let values = params![
            of.thread.as_bytes(),
            of.run.0.as_slice(),
            to_sql(first)?,
            to_sql(last)?,
            to_sql(now_ms)?
        ];
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(values, |row| row.get(0).map(MessageId))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

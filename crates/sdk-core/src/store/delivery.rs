//! What receipts change about our messages, and which have expired.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use rusqlite::{Row, params};
use sealpost_wire::limits::MAX_COUNT;

use super::heard::to_counts;
use super::message::{KIND_CONTENT, KIND_DELETED};
use super::outgoing::to_number;
use super::stage::numbers;
use super::{MarkKind, MarkOf, Rows, Tx, stage, to_sql};
use crate::content::{Counts, Number, Run};
use crate::error::Result;
use crate::id::{MessageId, ThreadId};
use crate::message::{DeliveryEvent, Stage};

/// How many changes of one mark are reported one by one.
const REPORTED: usize = 256;
/// A message that the relay stored so long after it was written is judged on its own, because those that were written after it do not wait
/// for it. It is less than the day after which a message is sent again that the relay has lost.
const LATE_MS: u64 = 12 * 3600 * 1000;

impl Rows<'_> {
    /// The state in which a message that another device of ours has sent begins here: what others have told of it may have come before. In a
    /// group, it waits for those only who were members of the roster that it was sealed for.
    pub(super) fn state_of_ours(
        &self,
        thread: ThreadId,
        number: Option<Number>,
        sealed_for: Option<u64>,
    ) -> Result<Stage> {
        let Some(number) = number else { return Ok(Stage::Sent) };
        if self.is_group(thread)? {
            let all = self.held_by_all((thread, number.run), sealed_for.unwrap_or(0))?;
            return Ok(match (all.delivered.contains(number.count), all.read.contains(number.count)) {
                (_, true) => Stage::Read,
                (true, _) => Stage::Delivered,
                _ => Stage::Sent,
            });
        }
        let sql =
            "SELECT kind, up_to, excepted FROM mark WHERE thread_id = ?1 AND run = ?2 AND kind IN (1, 2)";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![thread.as_bytes(), number.run.0.as_slice()])?;
        let mut stage = Stage::Sent;
        while let Some(row) = rows.next()? {
            if to_counts((row.get(1)?, row.get(2)?))?.contains(number.count) {
                if row.get::<_, i64>(0)? == MarkKind::Read.to_stored() {
                    return Ok(Stage::Read);
                }
                stage = Stage::Delivered;
            }
        }
        Ok(stage)
    }
}

impl Tx<'_> {
    /// A device says what has happened to posts of ours: adds it to what it has said before, and changes the states of the messages
    /// among them; in a group, of those of which all members say so. A run that is not ours says nothing.
    pub(crate) fn confirm(
        &mut self,
        (of, is_group): (MarkOf, bool),
        counts: &Counts,
        (told_ms, now_ms): (u64, u64),
    ) -> Result<()> {
        let Some(new) = self.set_mark(of, counts, told_ms)? else { return Ok(()) };
        let run = (of.thread, of.run);
        let mut changed = Vec::new();
        if is_group && of.kind != MarkKind::Seen {
            changed = self.advance_in_group(run, &new, now_ms)?;
        } else {
            for range in new.ranges() {
                changed.extend(self.advance(run, range, (of.kind, None), now_ms)?);
            }
        }
        self.emit_all_changed(changed)
    }

    /// Changes the states of messages in a group, among those with these numbers, that all have or have read for whom they were sealed.
    fn advance_in_group(
        &mut self,
        run: (ThreadId, Run),
        new: &Counts,
        now_ms: u64,
    ) -> Result<Vec<MessageId>> {
        let mut changed = Vec::new();
        for sealed_for in self.rosters_of(run, new)? {
            let all = self.held_by_all(run, sealed_for)?;
            for (kind, counts) in [(MarkKind::Delivered, all.delivered), (MarkKind::Read, all.read)] {
                for range in counts.common(new).ranges() {
                    changed.extend(self.advance(run, range, (kind, Some(sealed_for)), now_ms)?);
                }
            }
        }
        Ok(changed)
    }

    /// Somebody is not a member of a group any more, or is blocked: what only waited for them is delivered, or read.
    pub(super) fn advance_without_some(&mut self, thread: ThreadId, now_ms: u64) -> Result<()> {
        let mut changed = Vec::new();
        for run in self.marked_runs_in(thread)? {
            changed.extend(self.advance_in_group((thread, run), &Counts::up_to(MAX_COUNT), now_ms)?);
        }
        self.emit_all_changed(changed)
    }

    fn emit_all_changed(&mut self, mut changed: Vec<MessageId>) -> Result<()> {
        changed.sort_unstable();
        changed.dedup();
        if changed.len() > REPORTED {
            self.look_again();
            return Ok(());
        }
        changed.into_iter().try_for_each(|id| self.emit_changed(id))
    }

    /// Changes the states of messages in a range of numbers, perhaps only of those that were sealed for one roster, and returns which have
    /// changed. Those that have the state already are left alone. One whose deletion waits may be shown again, with its state.
    fn advance(
        &mut self,
        (thread, run): (ThreadId, Run),
        (first, last): (u64, u64),
        (kind, sealed_for): (MarkKind, Option<u64>),
        now_ms: u64,
    ) -> Result<Vec<MessageId>> {
        let (event, also) = match kind {
            MarkKind::Delivered => (DeliveryEvent::Delivered, ", delivered = ?5"),
            MarkKind::Read => (DeliveryEvent::Read, ", read = ?5"),
            // When is not known.
            MarkKind::Seen => (DeliveryEvent::Seen, ", delivered = nullif(?5, ?5)"),
        };
        let (from, to) = event.transition();
        let (from, to) = (numbers(from), to as i64);
        let sql = format!(
            "UPDATE message SET state = {to}{also}
             WHERE run = ?2 AND count BETWEEN ?3 AND ?4 AND outgoing IS NOT NULL AND count IS NOT NULL AND state IN ({from})
                AND thread_id = ?1 AND (?6 IS NULL OR coalesce(roster, 0) = ?6) AND (kind = {KIND_CONTENT} OR kind = {KIND_DELETED} AND body <> x'') RETURNING id"
        );
        let values = params![
            thread.as_bytes(),
            run.0.as_slice(),
            to_sql(first)?,
            to_sql(last)?,
            to_sql(now_ms)?,
            sealed_for.map(to_sql).transpose()?
        ];
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(values, |row| row.get(0).map(MessageId))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The relay has stored a message of ours, which was written at the first of these times.
    pub(super) fn note_stored(&mut self, message: MessageId, sent_ms: u64, stored_ms: u64) -> Result<()> {
        let is_late = stored_ms > sent_ms.saturating_add(LATE_MS);
        if is_late { self.judge_apart(message, stored_ms) } else { Ok(()) }
    }

    /// Judges a message not in the order in which messages were written, but when this time is long ago, or the later one at which the
    /// relay has stored it.
    pub(super) fn judge_apart(&mut self, message: MessageId, stored_ms: u64) -> Result<()> {
        let sql = "INSERT INTO sent_late (message_id, stored) VALUES (?1, ?2)
                   ON CONFLICT DO UPDATE SET stored = excluded.stored";
        self.change_one(sql, params![message.0, to_sql(stored_ms)?])
    }

    /// Judges up to `limit` messages that nobody has judged yet, in the order in which they were written, and as many of those that were
    /// sent late: those of ours that the relay stored before this time, and that nobody has, have expired.
    pub(crate) fn expire_some(&mut self, before_ms: u64, limit: u32) -> Result<()> {
        let old = self.to_judge(before_ms, limit)?;
        if let Some(last) = old.last() {
            self.change_one("UPDATE account SET judged_up_to = ?1", [last.id.0])?;
        }
        // They were sent once more, and it did not take long.
        self.change(
            "UPDATE sent_late SET stored = message.stored FROM message
             WHERE message.id = message_id AND sent_late.stored <= ?1 AND message.stored > ?1",
            [to_sql(before_ms)?],
        )?;
        let late = self.late_to_judge(before_ms, limit)?;
        for message in &late {
            self.change_one("DELETE FROM sent_late WHERE message_id = ?1", [message.id.0])?;
        }
        let mut proven = BTreeMap::new();
        let sql = format!(
            "UPDATE message SET state = {} WHERE id = ?1",
            stage::state_after(DeliveryEvent::Expired)
        );
        for message in old.iter().chain(&late) {
            let Some((thread, number)) = message.sent else { continue };
            let counts = match proven.entry((thread, number.run)) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(self.proven(thread, number.run)?.0),
            };
            if !counts.contains(number.count) {
                self.change_one(&sql, [message.id.0])?;
                self.emit_changed(message.id)?;
            }
        }
        Ok(())
    }
}

/// A message that is old enough to be judged.
struct Old {
    id: MessageId,
    /// If it is ours and was sent: where it is in.
    sent: Option<(ThreadId, Number)>,
}

impl Old {
    /// From its id, anything, its state, thread, run, number and kind. They are NULL if the message is not there any more.
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let id = MessageId(row.get(0)?);
        let is_sent = row.get::<_, Option<i64>>(2)? == Some(Stage::Sent as i64)
            && row.get::<_, Option<i64>>(6)? == Some(KIND_CONTENT);
        let sent = match to_number(row.get(4)?, row.get(5)?)? {
            Some(number) if is_sent => Some((ThreadId::from_slice(&row.get::<_, Vec<u8>>(3)?)?, number)),
            _ => None,
        };
        Ok(Self { id, sent })
    }
}

impl Rows<'_> {
    /// Whether there is a message to be judged.
    pub(crate) fn may_expire(&self, before_ms: u64) -> Result<bool> {
        Ok(!self.to_judge(before_ms, 1)?.is_empty() || !self.late_to_judge(before_ms, 1)?.is_empty())
    }

    /// Up to `limit` messages after those that were judged, but none from the first one on that the relay has stored since this time,
    /// unless it is judged apart.
    fn to_judge(&self, before_ms: u64, limit: u32) -> Result<Vec<Old>> {
        let sql = "SELECT id, coalesce(stored, sent), state, thread_id, run, count, kind,
                       EXISTS (SELECT 1 FROM sent_late WHERE message_id = id) FROM message
                   WHERE id > (SELECT judged_up_to FROM account) ORDER BY id LIMIT ?1";
        let before = to_sql(before_ms)?;
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([limit])?;
        let mut old = Vec::new();
        while let Some(row) = rows.next()? {
            let is_apart: bool = row.get(7)?;
            if !is_apart && row.get::<_, i64>(1)? > before {
                break;
            }
            let message = Old::from_row(row)?;
            old.push(Old { sent: message.sent.filter(|_| !is_apart), ..message });
        }
        Ok(old)
    }

    /// Up to `limit` messages that were sent late, and before this time.
    fn late_to_judge(&self, before_ms: u64, limit: u32) -> Result<Vec<Old>> {
        let sql = "SELECT message_id, sent_late.stored, state, thread_id, run, count, kind
                   FROM sent_late LEFT JOIN message ON id = message_id
                   WHERE sent_late.stored <= ?1 ORDER BY sent_late.stored LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_and_then(params![to_sql(before_ms)?, limit], Old::from_row)?;
        rows.collect()
    }
}

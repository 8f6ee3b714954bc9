//! The outbox: contents that are to be sent, whether or not a person sees them, and the parcels that they were sealed
//! into.
//!
//! ```text
//! enqueue ─▶ to be sealed ─▶ sealed ─▶ settled: accepted, or failed
//!                ▲             │
//!                └─ requeue ───┘   the relay has certainly not stored the parcel
//! ```
//!
//! A content has an id, which stays the same at every attempt. A parcel has another id, by which the relay recognises
//! repetitions, and its bytes stay the same until it is answered. The contents of a [lane](super::lane) are sent in order.

mod decision;

use bytes::Bytes;
use rusqlite::{OptionalExtension as _, params};

use super::heard::to_run;
use super::{Durable, Rows, Tx, from_sql, to_sql};
use crate::content::{Body, Number, Timer};
use crate::error::{Error, Result, Storage};
use crate::event::Event;
use crate::id::{ClientMsgId, DeviceId, MessageId, ThreadId, UserId};
use crate::message::Message;

pub(super) const TO_SEAL: i64 = 1;
pub(super) const SEALED: i64 = 2;
/// The relay has stored it. It is kept until the recipient has it, in case the relay loses it.
pub(super) const ACCEPTED: i64 = 3;

/// A content to be queued.
pub(crate) struct NewOutgoing {
    pub(crate) thread: ThreadId,
    pub(crate) us: (UserId, DeviceId),
    pub(crate) content_id: ClientMsgId,
    pub(crate) sent_ms: u64,
    pub(crate) body: Body,
}

/// The id of a queued content on this device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct OutgoingId(pub(super) i64);

#[cfg(test)]
impl OutgoingId {
    pub(crate) const fn numbered(number: i64) -> Self {
        Self(number)
    }

    pub(crate) const fn number(self) -> i64 {
        self.0
    }
}

/// A content that is to be sealed.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) id: OutgoingId,
    pub(crate) content_id: ClientMsgId,
    pub(crate) sent_ms: u64,
    pub(crate) timer: Timer,
    pub(crate) body: Body,
    pub(crate) attempts: u32,
    /// How often a parcel of it was refused, after which it was sealed anew.
    pub(crate) refusals: u32,
    /// Its number, if it was sealed before.
    pub(crate) number: Option<Number>,
}

/// A sealed content, as it is submitted to the relay.
#[derive(Debug, Clone)]
pub(crate) struct Parcel {
    /// The id by which the relay recognises repetitions.
    pub(crate) client_msg_id: ClientMsgId,
    /// A `relay.v1.Send`.
    pub(crate) bytes: Bytes,
}

/// The progress of a message that waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SendProgress {
    /// How often it was postponed.
    pub(crate) attempts: u32,
    /// The local time before which the lane is not tried.
    pub(crate) due_ms: u64,
    /// Whether it is the oldest of its lane.
    pub(crate) is_first: bool,
}

/// An entry of a lane.
#[derive(Debug)]
pub(crate) enum Entry {
    ToSeal(Outgoing),
    Sealed { id: OutgoingId, attempts: u32, parcel: Durable<Parcel> },
}

impl Rows<'_> {
    /// Whether an entry that is not settled was put off.
    pub(crate) fn was_put_off(&self, id: OutgoingId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM outgoing WHERE id = ?1 AND state < 3 AND attempts > 0)";
        Ok(self.connection.prepare_cached(sql)?.query_row([id.0], |row| row.get(0))?)
    }

    /// The entry in the outbox that a message has in one of these states.
    pub(super) fn entry_of(&self, message: MessageId, states: &[i64]) -> Result<Option<OutgoingId>> {
        let sql = "SELECT o.id, o.state FROM message AS m JOIN outgoing AS o ON o.id = m.outgoing AND o.message_id = m.id
             WHERE m.id = ?1";
        let entry = self
            .connection
            .prepare_cached(sql)?
            .query_row([message.0], |row| Ok((OutgoingId(row.get(0)?), row.get::<_, i64>(1)?)))
            .optional()?;
        Ok(entry.filter(|(_, state)| states.contains(state)).map(|(entry, _)| entry))
    }

    /// The progress of a message of this lane, or `None` if it does not wait there.
    pub(crate) fn waiting(&self, lane: ThreadId, message: MessageId) -> Result<Option<SendProgress>> {
        let sql = "SELECT o.attempts, coalesce((SELECT due FROM lane WHERE lane = ?2), 0),
                NOT EXISTS (SELECT 1 FROM outgoing WHERE lane = ?2 AND state < 3 AND state IN (1, 2) AND id < o.id)
             FROM message AS m JOIN outgoing AS o ON o.id = m.outgoing AND o.message_id = m.id
             WHERE m.id = ?1 AND o.lane = ?2 AND o.state < 3";
        let row =
            self.connection.prepare_cached(sql)?.query_row(params![message.0, lane.as_bytes()], |row| {
                Ok((row.get(0)?, row.get::<_, i64>(1)?, row.get(2)?))
            });
        let Some((attempts, due, is_first)) = row.optional()? else { return Ok(None) };
        Ok(Some(SendProgress { attempts, due_ms: from_sql(due)?, is_first }))
    }

    /// The oldest queued message of a lane; none if there is none.
    pub(crate) fn first_waiting(&self, lane: ThreadId) -> Result<Option<(MessageId, SendProgress)>> {
        // One step of the index for each state.
        let sql = "SELECT message_id FROM (
                SELECT * FROM (SELECT id, message_id FROM outgoing
                    WHERE lane = ?1 AND state < 3 AND state = 1 AND message_id IS NOT NULL ORDER BY id LIMIT 1)
                UNION ALL SELECT * FROM (SELECT id, message_id FROM outgoing
                    WHERE lane = ?1 AND state < 3 AND state = 2 AND message_id IS NOT NULL ORDER BY id LIMIT 1)
             ) ORDER BY id LIMIT 1";
        let first = self.connection.prepare_cached(sql)?.query_row([lane.as_bytes()], |row| row.get(0));
        let Some(message) = first.optional()?.map(MessageId) else { return Ok(None) };
        Ok(self.waiting(lane, message)?.map(|progress| (message, progress)))
    }

    /// Whether a message of ours may have a place in the thread that we do not know yet.
    pub(crate) fn has_unanswered(&self, thread: ThreadId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM outgoing WHERE lane = ?1 AND state < 3 AND state = 2)";
        Ok(self.connection.prepare_cached(sql)?.query_row([thread.as_bytes()], |row| row.get(0))?)
    }

    /// The entries of a lane after one of them, oldest first, within the limits of number and bytes but at least one.
    pub(crate) fn entries(
        &self,
        lane: ThreadId,
        after: Option<OutgoingId>,
        (limit, max_bytes): (u32, usize),
    ) -> Result<Vec<Entry>> {
        // Two parts, each in the order of the index, which SQLite merges.
        let part = "SELECT id, content_id, sent, body, state, attempts, refusals, client_msg_id, bytes, timer, run, count
                   FROM outgoing WHERE lane = ?1 AND state < 3 AND id > ?2 AND state =";
        let sql = format!("{part} 1 UNION ALL {part} 2 ORDER BY id LIMIT ?3");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![lane.as_bytes(), after.map_or(0, |after| after.0), limit])?;
        let (mut entries, mut bytes) = (Vec::new(), 0_usize);
        while bytes < max_bytes
            && let Some(row) = rows.next()?
        {
            let id = OutgoingId(row.get(0)?);
            let corrupt = || Error::Storage(Storage::Corrupt);
            entries.push(if row.get::<_, i64>(4)? == SEALED {
                let name = row.get::<_, Option<Vec<u8>>>(7)?.ok_or_else(corrupt)?;
                let sealed = row.get::<_, Option<Vec<u8>>>(8)?.ok_or_else(corrupt)?;
                let client_msg_id = ClientMsgId::from_slice(&name)?;
                bytes = bytes.saturating_add(sealed.len());
                let parcel = Durable(Parcel { client_msg_id, bytes: sealed.into() });
                Entry::Sealed { id, attempts: row.get(5)?, parcel }
            } else {
                let body = row.get::<_, Vec<u8>>(3)?;
                bytes = bytes.saturating_add(body.len());
                Entry::ToSeal(Outgoing {
                    id,
                    content_id: ClientMsgId::from_slice(&row.get::<_, Vec<u8>>(1)?)?,
                    sent_ms: from_sql(row.get(2)?)?,
                    timer: Timer::new(row.get(9)?).ok_or_else(corrupt)?,
                    body: Body::from_bytes(&body).map_err(|_| corrupt())?,
                    attempts: row.get(5)?,
                    refusals: row.get(6)?,
                    number: to_number(row.get(10)?, row.get(11)?)?,
                })
            });
        }
        Ok(entries)
    }
}

impl Rows<'_> {
    /// The sealed entries of a lane behind one of its entries, oldest first, within the limits but at least one: their
    /// ids, how often they were postponed, and their parcels.
    pub(crate) fn sealed_behind(
        &self,
        lane: ThreadId,
        entry: OutgoingId,
        (limit, max_bytes): (u32, usize),
    ) -> Result<Vec<(OutgoingId, u32, Durable<Parcel>)>> {
        let sql = "SELECT id, attempts, client_msg_id, bytes FROM outgoing
                   WHERE lane = ?1 AND state < 3 AND state = 2 AND id > ?2 ORDER BY id LIMIT ?3";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![lane.as_bytes(), entry.0, limit])?;
        let (mut entries, mut bytes) = (Vec::new(), 0_usize);
        while bytes < max_bytes
            && let Some(row) = rows.next()?
        {
            let client_msg_id = ClientMsgId::from_slice(&row.get::<_, Vec<u8>>(2)?)?;
            let sealed = row.get::<_, Vec<u8>>(3)?;
            bytes = bytes.saturating_add(sealed.len());
            let parcel = Durable(Parcel { client_msg_id, bytes: sealed.into() });
            entries.push((OutgoingId(row.get(0)?), row.get(1)?, parcel));
        }
        Ok(entries)
    }
}

impl Tx<'_> {
    /// Queues a content. If people see it, it also becomes a message, which is returned.
    pub(crate) fn enqueue(&mut self, new: NewOutgoing) -> Result<Option<Message>> {
        let lane = new.thread;
        let message = self.enqueue_unlisted(new)?;
        self.list_lane(lane)?;
        Ok(message)
    }

    /// Like [`Tx::enqueue`] without the row of the lane. The caller adds it unless this process submits the entry at once.
    pub(crate) fn enqueue_unlisted(&mut self, new: NewOutgoing) -> Result<Option<Message>> {
        let (message, timer) = if new.body.kind().is_shown() {
            let timer = self.timer_for(new.thread, &new.body)?;
            (Some(self.insert_outgoing_message(&new, timer)?), timer)
        } else {
            (None, Timer::default())
        };
        self.insert_outgoing(&new, message, timer)?;
        let Some(id) = message else { return Ok(None) };
        let message = self.message(id)?.ok_or(Error::Bug("a queued message is not there"))?;
        self.emit(Event::MessageAdded(message.clone()));
        Ok(Some(message))
    }

    fn insert_outgoing(&mut self, new: &NewOutgoing, message: Option<MessageId>, timer: Timer) -> Result<()> {
        self.change_one(
            "INSERT INTO outgoing (lane, message_id, content_id, sent, class, body, state, timer)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                new.thread.as_bytes(),
                message.map(|id| id.0),
                new.content_id.as_bytes(),
                to_sql(new.sent_ms)?,
                new.body.class().to_stored(),
                new.body.to_bytes(),
                TO_SEAL,
                timer.seconds(),
            ],
        )?;
        message.map_or(Ok(()), |message| self.set_entry_of(message))
    }

    /// The entry that was inserted last is that of this message.
    fn set_entry_of(&mut self, message: MessageId) -> Result<()> {
        let entry = self.connection.last_insert_rowid();
        self.change_one("UPDATE message SET outgoing = ?2 WHERE id = ?1", [message.0, entry])
    }

    /// Corrects the time of writing of a content that was queued while the clock was wrong.
    pub(crate) fn set_sent(&mut self, id: OutgoingId, sent_ms: u64) -> Result<()> {
        let sent = to_sql(sent_ms)?;
        self.change_one("UPDATE outgoing SET sent = ?2 WHERE id = ?1", [id.0, sent])?;
        self.change(
            "UPDATE message SET sent = ?2 WHERE id = (SELECT message_id FROM outgoing WHERE id = ?1)",
            [id.0, sent],
        )?;
        Ok(())
    }

    /// Stores the parcel of a content. Only this parcel is submitted from then on.
    pub(crate) fn set_sealed(
        &mut self,
        id: OutgoingId,
        parcel: Parcel,
        number: Option<Number>,
        now_ms: u64,
    ) -> Result<Durable<Parcel>> {
        let run = number.map(|number| number.run.0);
        let count = number.map(|number| to_sql(number.count)).transpose()?;
        self.change_one(
            "UPDATE outgoing SET state = 2, run = coalesce(?2, run), count = coalesce(?3, count), client_msg_id = ?4,
                bytes = ?5, made = ?6 WHERE id = ?1 AND state = 1",
            params![
                id.0,
                run.as_ref().map(<[u8; 8]>::as_slice),
                count,
                parcel.client_msg_id.as_bytes(),
                parcel.bytes.as_ref(),
                to_sql(now_ms)?
            ],
        )?;
        if let (Some(run), Some(count)) = (run, count) {
            self.change(
                "UPDATE message SET run = ?2, count = ?3
                 WHERE id = (SELECT message_id FROM outgoing WHERE id = ?1) AND (run, count) IS NOT (?2, ?3)",
                params![id.0, run.as_slice(), count],
            )?;
        }
        Ok(Durable(parcel))
    }

    /// Queues again what a relay that was restored from a backup may have lost: the same bytes under the same ids,
    /// unless these are older than the relay accepts. Returns the number of entries.
    pub(crate) fn resubmit_unproven(&mut self, not_before_ms: u64) -> Result<usize> {
        let sql = "UPDATE outgoing SET state = 2 WHERE state = 3 AND made >= ?1 AND bytes > x''";
        let unproven = self.change(sql, [to_sql(not_before_ms)?])?;
        self.change(
            "INSERT INTO lane (lane, due) SELECT DISTINCT lane, 0 FROM outgoing WHERE state < 3 AND state = 2
             ON CONFLICT DO UPDATE SET due = 0",
            [],
        )?;
        Ok(unproven)
    }

    /// Seals everything in the outbox anew, because this database is an older copy, and the same message keys may have
    /// been used for other contents. Recipients recognise a content that they have by its id.
    pub(super) fn unseal_all(&mut self) -> Result<()> {
        self.change(
            "UPDATE outgoing SET state = 1, client_msg_id = NULL, bytes = NULL, made = NULL WHERE state < 3 AND state = 2",
            [],
        )?;
        self.unseal_mail()
    }

    /// Deletes the accepted parcels that are too old to be submitted again.
    pub(crate) fn forget_proven(&mut self, before_ms: u64) -> Result<()> {
        self.change("DELETE FROM outgoing WHERE state = 3 AND coalesce(made, 0) < ?1", [to_sql(before_ms)?])?;
        Ok(())
    }

    /// Removes an entry, and its lane if that is empty then.
    pub(super) fn remove_outgoing(&mut self, id: OutgoingId, lane: ThreadId) -> Result<()> {
        self.change_one("DELETE FROM outgoing WHERE id = ?1", [id.0])?;
        self.end_lane(lane)
    }

    /// Removes an entry that shows nothing. Its number, if it has one, goes to a null content.
    pub(super) fn abandon(&mut self, id: OutgoingId, lane: ThreadId) -> Result<()> {
        let number = self.number_of_outgoing(id, lane)?;
        self.remove_outgoing(id, lane)?;
        number.map_or(Ok(()), |number| self.fill_number(lane, number))
    }
}

pub(super) fn to_number(run: Option<Vec<u8>>, count: Option<i64>) -> Result<Option<Number>> {
    let (Some(run), Some(count)) = (run, count) else { return Ok(None) };
    Ok(Some(Number { run: to_run(&run)?, count: from_sql(count)? }))
}

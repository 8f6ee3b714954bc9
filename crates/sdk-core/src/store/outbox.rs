//! The outbox: messages that the relay has not answered yet. The message row is the outbox row.
//!
//! ```text
//! enqueue ─▶ to be sealed ─▶ sealed ─▶ settled: accepted, or failed
//!                ▲             │
//!                └─ requeue ───┘   the relay refused the bytes because the devices changed
//! ```

use bytes::Bytes;
use rusqlite::{OptionalExtension as _, params};

use super::message::{
    KIND_RECEIPT, KIND_TEXT, POSITION_PENDING, STATE_FAILED, STATE_QUEUED, STATE_SENT, position,
};
use super::{Durable, Rows, Tx, from_sql, to_sql};
use crate::content::{Body, ReceiptKind};
use crate::error::{Error, Offline, Result, Storage};
use crate::event::Event;
use crate::id::{ClientMsgId, MessageId, ThreadId, UserId};
use crate::message::{FailReason, Message};

const OUTBOX_TO_SEAL: i64 = 1;
const OUTBOX_SEALED: i64 = 2;

/// Something to be sent.
pub(crate) struct NewOutgoing {
    pub(crate) thread: ThreadId,
    pub(crate) us: UserId,
    pub(crate) client_msg_id: ClientMsgId,
    pub(crate) sent_ms: u64,
    pub(crate) body: Body,
}

/// A row of the outbox.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) id: MessageId,
    pub(crate) client_msg_id: ClientMsgId,
    pub(crate) sent_ms: u64,
    pub(crate) body: Body,
    /// How often its bytes were refused, so that it was to be sealed anew.
    pub(crate) refusals: u32,
}

/// The next thing to do for a thread.
pub(crate) enum Entry {
    ToSeal(Outgoing),
    /// The bytes of a `relay.v1.Send`, as they are submitted at every attempt.
    Sealed {
        id: MessageId,
        attempts: u32,
        send: Durable<Bytes>,
    },
}

/// What became of an entry.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Settlement {
    /// The relay has it on disk.
    Accepted { epoch: u64, server_seq: u64 },
    /// The relay refused these bytes and stored nothing: to be sealed anew.
    Requeue,
    /// The relay stored nothing, and these bytes have become too old to be tried again: to be sealed anew.
    Outdated,
    /// Not now: to be tried again at this local time.
    Later { due_ms: u64 },
    /// Not without the person.
    Failed(FailReason),
}

impl Rows<'_> {
    /// The threads with something due, oldest first.
    pub(crate) fn due_threads(&self, now_ms: u64) -> Result<Vec<ThreadId>> {
        // The oldest entry of a thread decides: nothing overtakes it.
        let sql = "SELECT thread_id FROM (SELECT thread_id, min(id) AS id, due FROM message WHERE outbox <> 0
                   GROUP BY thread_id) WHERE due <= ?1 ORDER BY id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([to_sql(now_ms)?], |row| row.get::<_, Vec<u8>>(0))?;
        rows.map(|row| Ok(ThreadId::from_slice(&row?)?)).collect()
    }

    /// When the next thread becomes due that is not yet; none when there is none.
    pub(crate) fn next_due(&self, now_ms: u64) -> Result<Option<u64>> {
        let now = to_sql(now_ms)?;
        let sql =
            "SELECT min(due) FROM (SELECT min(id), due FROM message WHERE outbox <> 0 GROUP BY thread_id)
                   WHERE due > ?1";
        let due: Option<i64> = self.connection.prepare_cached(sql)?.query_row([now], |row| row.get(0))?;
        due.map(from_sql).transpose()
    }

    /// Whether something of ours may have a place in the thread that we do not know yet.
    pub(crate) fn has_unanswered(&self, thread: ThreadId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM message WHERE thread_id = ?1 AND outbox <> 0 AND outbox = 2)";
        Ok(self.connection.prepare_cached(sql)?.query_row([thread.as_bytes()], |row| row.get(0))?)
    }

    /// The oldest entries of a thread, oldest first.
    pub(crate) fn outbox(&self, thread: ThreadId, limit: u32) -> Result<Vec<Entry>> {
        let sql =
            "SELECT id, client_msg_id, sent, kind, body, outbox, sealed, attempts, refusals FROM message
                   WHERE thread_id = ?1 AND outbox <> 0 ORDER BY id LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![thread.as_bytes(), limit])?;
        let mut entries = Vec::new();
        while let Some(row) = rows.next()? {
            let id = MessageId(row.get(0)?);
            if row.get::<_, i64>(5)? == OUTBOX_SEALED {
                let send = row.get::<_, Option<Vec<u8>>>(6)?.ok_or(Error::Storage(Storage::Corrupt))?;
                entries.push(Entry::Sealed { id, attempts: row.get(7)?, send: Durable(send.into()) });
            } else {
                entries.push(Entry::ToSeal(Outgoing {
                    id,
                    client_msg_id: ClientMsgId::from_slice(&row.get::<_, Vec<u8>>(1)?)?,
                    sent_ms: from_sql(row.get(2)?)?,
                    body: body_from_stored(row.get(3)?, row.get(4)?)?,
                    refusals: row.get(8)?,
                }));
            }
        }
        Ok(entries)
    }
}

impl Tx<'_> {
    /// Queues something; the row that the person sees is the row that is sent.
    pub(crate) fn enqueue(&mut self, new: NewOutgoing) -> Result<MessageId> {
        let (kind, body) = body_to_stored(&new.body);
        self.change_one(
            "INSERT INTO message (thread_id, client_msg_id, sender, kind, body, sent, position, state, outbox)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                new.thread.as_bytes(),
                new.client_msg_id.as_bytes(),
                new.us.as_bytes(),
                kind,
                body,
                to_sql(new.sent_ms)?,
                POSITION_PENDING,
                STATE_QUEUED,
                OUTBOX_TO_SEAL,
            ],
        )?;
        let id = MessageId(self.connection.last_insert_rowid());
        if let Some(message) = self.message(id)? {
            self.emit(Event::MessageAdded(message));
        }
        Ok(id)
    }

    /// The id of an entry that was never sealed was made while the clock was wrong.
    pub(crate) fn rename(&mut self, id: MessageId, client_msg_id: ClientMsgId, sent_ms: u64) -> Result<()> {
        self.change_one(
            "UPDATE message SET client_msg_id = ?2, sent = ?3 WHERE id = ?1 AND outbox = 1",
            params![id.0, client_msg_id.as_bytes(), to_sql(sent_ms)?],
        )
    }

    /// Stores the bytes that will leave. From here on they are the only ones that do.
    pub(crate) fn set_sealed(&mut self, id: MessageId, send: Bytes) -> Result<Durable<Bytes>> {
        self.change_one(
            "UPDATE message SET outbox = 2, sealed = ?2 WHERE id = ?1 AND outbox = 1",
            params![id.0, send.as_ref()],
        )?;
        Ok(Durable(send))
    }

    /// Writes down what became of an entry: of the bytes that were submitted, or of one that is still to be sealed. A
    /// cancelled one is gone by now, which is no fault; nor is it when another process has taken the entry further.
    ///
    /// # Errors
    /// [`Error::Offline`] when the relay was restored from a backup since it accepted the entry, as another process has
    /// found out meanwhile: it may have lost it, and is to be asked again.
    pub(crate) fn settle(
        &mut self,
        id: MessageId,
        submitted: Option<&Durable<Bytes>>,
        settlement: Settlement,
    ) -> Result<()> {
        let is_accepted = matches!(settlement, Settlement::Accepted { .. });
        if !is_accepted && !self.is_still(id, submitted)? {
            return Ok(());
        }
        match settlement {
            Settlement::Accepted { epoch, server_seq } => {
                self.settle_accepted(id, epoch, server_seq)?;
            }
            Settlement::Requeue => {
                self.change(
                    "UPDATE message SET outbox = 1, sealed = NULL, refusals = refusals + 1
                     WHERE id = ?1 AND outbox <> 0",
                    [id.0],
                )?;
            }
            Settlement::Outdated => {
                self.change(
                    "UPDATE message SET outbox = 1, sealed = NULL WHERE id = ?1 AND outbox <> 0",
                    [id.0],
                )?;
            }
            Settlement::Later { due_ms } => {
                self.change(
                    "UPDATE message SET due = ?2, attempts = attempts + 1 WHERE id = ?1 AND outbox <> 0",
                    params![id.0, to_sql(due_ms)?],
                )?;
            }
            Settlement::Failed(reason) => {
                // A receipt that cannot be sent is nobody's concern. What the other side has seen did arrive, whatever
                // the relay says now.
                self.change("DELETE FROM message WHERE id = ?1 AND kind = 3", [id.0])?;
                self.change(
                    "UPDATE message SET outbox = 0, state = CASE WHEN state IN (2, 3) THEN state ELSE ?2 END,
                        cause = ?3, sealed = NULL WHERE id = ?1 AND outbox <> 0",
                    params![id.0, STATE_FAILED, reason.to_stored()],
                )?;
                self.emit_changed(id)?;
            }
        }
        Ok(())
    }

    /// Queues a failed message anew, under a fresh id: the old one is spent.
    pub(crate) fn retry(&mut self, id: MessageId, client_msg_id: ClientMsgId, sent_ms: u64) -> Result<()> {
        let changed = self.change(
            "UPDATE message SET outbox = 1, state = 0, cause = NULL, due = 0, attempts = 0, refusals = 0, client_msg_id = ?2,
                sent = ?3, position = ?4 WHERE id = ?1 AND state = 4",
            params![id.0, client_msg_id.as_bytes(), to_sql(sent_ms)?, POSITION_PENDING],
        )?;
        if changed == 0 {
            return Err(Error::NotFound);
        }
        self.emit_changed(id)
    }

    /// Removes a message of which nothing has left this device. False when it may have.
    pub(crate) fn cancel(&mut self, id: MessageId) -> Result<bool> {
        let Some(Message { thread, .. }) = self.message(id)? else { return Err(Error::NotFound) };
        // A failed one was refused, or never sealed; one whose outcome is unknown (too old) may have arrived,
        // which removing it here does not change.
        let removed =
            self.change("DELETE FROM message WHERE id = ?1 AND (outbox = 1 OR state = 4)", [id.0])?;
        if removed == 1 {
            self.unindex(id)?;
            self.emit(Event::MessageRemoved { thread, id });
        }
        Ok(removed == 1)
    }

    /// The relay's store was restored from a backup: what it may have lost is submitted again, the same bytes
    /// under the same id, unless that is older than the relay takes. Returns how many.
    pub(crate) fn resubmit_unproven(&mut self, not_before_ms: u64) -> Result<usize> {
        self.change(
            "UPDATE message SET outbox = 2, due = 0 WHERE sealed IS NOT NULL AND outbox = 0 AND sent >= ?1",
            [to_sql(not_before_ms)?],
        )
    }

    /// Everything that waits is tried at once: there is a connection again.
    pub(crate) fn hurry_outbox(&mut self) -> Result<()> {
        self.change("UPDATE message SET due = 0 WHERE outbox <> 0 AND due <> 0", [])?;
        Ok(())
    }

    /// Whether the entry is as it was: sealed as these bytes, or not sealed.
    fn is_still(&self, id: MessageId, sealed: Option<&Durable<Bytes>>) -> Result<bool> {
        let (state, sealed) = match sealed {
            Some(bytes) => (OUTBOX_SEALED, Some(bytes.get().as_ref())),
            None => (OUTBOX_TO_SEAL, None),
        };
        let sql = "SELECT EXISTS (SELECT 1 FROM message WHERE id = ?1 AND outbox <> 0 AND outbox = ?2 AND sealed IS ?3)";
        Ok(self.connection.prepare_cached(sql)?.query_row(params![id.0, state, sealed], |row| row.get(0))?)
    }

    /// Whether the relay is in a later epoch by now.
    fn is_past(&self, epoch: u64) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM account WHERE epoch > ?1)";
        Ok(self.connection.prepare_cached(sql)?.query_row([to_sql(epoch)?], |row| row.get(0))?)
    }

    fn settle_accepted(&mut self, id: MessageId, epoch: u64, server_seq: u64) -> Result<()> {
        let thread: Option<Vec<u8>> = self
            .connection
            .prepare_cached("SELECT thread_id FROM message WHERE id = ?1 AND outbox <> 0")?
            .query_row([id.0], |row| row.get(0))
            .optional()?;
        let Some(thread) = thread else { return Ok(()) };
        if self.is_past(epoch)? {
            return Err(Offline::Unreachable.into());
        }
        self.account_for(ThreadId::from_slice(&thread)?, epoch, server_seq)?;
        if self.change("DELETE FROM message WHERE id = ?1 AND kind = 3", [id.0])? == 1 {
            return Ok(());
        }
        // The bytes are kept until the other side has them, lest the relay lose them; unless it has already.
        self.change_one(
            "UPDATE message SET outbox = 0, server_seq = ?2, position = ?3, state = max(state, ?4),
                sealed = CASE WHEN state > ?4 THEN NULL ELSE sealed END WHERE id = ?1",
            params![id.0, to_sql(server_seq)?, position(epoch, server_seq)?, STATE_SENT],
        )?;
        self.emit_changed(id)
    }
}

fn body_to_stored(body: &Body) -> (i64, Vec<u8>) {
    match body {
        Body::Text(text) => (KIND_TEXT, text.clone().into_bytes()),
        Body::Receipt { kind, messages } => {
            let kind = match kind {
                ReceiptKind::Delivered => 1,
                ReceiptKind::Read => 2,
            };
            let ids = messages.iter().flat_map(|id| *id.as_bytes());
            (KIND_RECEIPT, std::iter::once(kind).chain(ids).collect())
        }
    }
}

fn body_from_stored(kind: i64, body: Vec<u8>) -> Result<Body> {
    let corrupt = || Error::Storage(Storage::Corrupt);
    if kind == KIND_TEXT {
        return Ok(Body::Text(String::from_utf8(body).map_err(|_| corrupt())?));
    }
    let (kind, ids) = body.split_first().ok_or_else(corrupt)?;
    Ok(Body::Receipt {
        kind: match kind {
            1 => ReceiptKind::Delivered,
            2 => ReceiptKind::Read,
            _ => return Err(corrupt()),
        },
        messages: ids.as_chunks::<16>().0.iter().map(|id| ClientMsgId::from_bytes(*id)).collect(),
    })
}

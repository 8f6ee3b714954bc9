//! Messages: the history that a person scrolls through.

use std::fmt;
use std::str::FromStr;

use rusqlite::{OptionalExtension as _, Row, params};

use super::{Rows, Tx, from_sql, to_sql};
use crate::content::ReceiptKind;
use crate::error::{Error, Result, Storage};
use crate::event::Event;
use crate::id::{ClientMsgId, InvalidId, MessageId, ThreadId, UserId};
use crate::message::{Delivery, Direction, FailReason, Message, MessageBody, Undecryptable};

pub(super) const KIND_TEXT: i64 = 1;
pub(super) const KIND_UNDECRYPTABLE: i64 = 2;
pub(super) const KIND_RECEIPT: i64 = 3;

pub(super) const STATE_QUEUED: i64 = 0;
pub(super) const STATE_SENT: i64 = 1;
const STATE_DELIVERED: i64 = 2;
const STATE_READ: i64 = 3;
pub(super) const STATE_FAILED: i64 = 4;
const STATE_UNREAD: i64 = 10;
const STATE_SEEN: i64 = 11;

/// Messages without an answer of the relay stand behind all others, in the order they were written.
pub(super) const POSITION_PENDING: i64 = 1 << 62;

const COLUMNS: &str =
    "id, thread_id, sender, kind, body, cause, sent, server_seq, state, position FROM message";

/// Where a page ends, and the next one begins. Only good for the thread it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    position: i64,
    id: i64,
}

/// A text without meaning to others, for those who cannot hold a [`Cursor`].
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.position, self.id)
    }
}

impl FromStr for Cursor {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let (position, id) = text.split_once('.').ok_or(InvalidId)?;
        let number = |text: &str| text.parse().map_err(|_| InvalidId);
        Ok(Self { position: number(position)?, id: number(id)? })
    }
}

/// A message that arrived.
pub(crate) struct NewIncoming {
    pub(crate) thread: ThreadId,
    pub(crate) client_msg_id: ClientMsgId,
    pub(crate) sender: UserId,
    pub(crate) body: MessageBody,
    pub(crate) sent_ms: u64,
    pub(crate) epoch: u64,
    pub(crate) server_seq: u64,
}

impl Rows<'_> {
    pub(crate) fn message(&self, id: MessageId) -> Result<Option<Message>> {
        let sql = format!("SELECT {COLUMNS} WHERE id = ?1 AND kind <> {KIND_RECEIPT}");
        let row = self.connection.prepare_cached(&sql)?.query_row([id.0], columns).optional()?;
        Ok(row.map(Columns::into_message).transpose()?.map(|(message, _)| message))
    }

    /// Up to `limit` messages of a thread before a cursor (or the newest), newest first, and the cursor of the
    /// next page.
    pub(crate) fn page(
        &self,
        thread: ThreadId,
        before: Option<Cursor>,
        limit: u32,
    ) -> Result<(Vec<Message>, Option<Cursor>)> {
        let Cursor { position, id } = before.unwrap_or(Cursor { position: i64::MAX, id: i64::MAX });
        let sql = format!(
            "SELECT {COLUMNS} WHERE thread_id = ?1 AND kind <> {KIND_RECEIPT} AND (position, id) < (?2, ?3)
             ORDER BY position DESC, id DESC LIMIT ?4"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![thread.as_bytes(), position, id, limit], columns)?;
        let mut messages = Vec::new();
        let mut last = None;
        for row in rows {
            let (message, cursor) = row?.into_message()?;
            last = Some(cursor);
            messages.push(message);
        }
        let full = u32::try_from(messages.len()).is_ok_and(|len| len == limit);
        Ok((messages, if full { last } else { None }))
    }

    /// Up to `limit` messages of a thread that came to be here after another, in that order, wherever they stand.
    pub(crate) fn arrived_after(
        &self,
        thread: ThreadId,
        after: MessageId,
        limit: u32,
    ) -> Result<Vec<Message>> {
        // The sign keeps SQLite from walking the whole thread: what is newer is at the end of the table.
        let sql = format!(
            "SELECT {COLUMNS} WHERE +thread_id = ?1 AND id > ?2 AND kind <> {KIND_RECEIPT} ORDER BY id LIMIT ?3"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![thread.as_bytes(), after.0, limit], columns)?;
        rows.map(|row| Ok(row?.into_message()?.0)).collect()
    }

    /// The one that came to be here last, in whatever thread. Those to come have higher ids.
    pub(crate) fn last_message(&self) -> Result<MessageId> {
        let sql = "SELECT coalesce(max(id), 0) FROM message";
        Ok(MessageId(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?))
    }

    /// Whether this envelope was handled: the row is the proof.
    pub(crate) fn is_handled(&self, thread: ThreadId, sender: UserId, id: ClientMsgId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM message WHERE thread_id = ?1 AND sender = ?2 AND client_msg_id = ?3)
                       OR EXISTS (SELECT 1 FROM handled WHERE thread_id = ?1 AND sender = ?2 AND client_msg_id = ?3)";
        let key = params![thread.as_bytes(), sender.as_bytes(), id.as_bytes()];
        Ok(self.connection.prepare_cached(sql)?.query_row(key, |row| row.get(0))?)
    }

    /// The unread messages of a thread that stand no later than one of its messages; with the id of those that
    /// there was something to read in.
    pub(crate) fn unread(
        &self,
        thread: ThreadId,
        up_to: MessageId,
    ) -> Result<Vec<(MessageId, Option<ClientMsgId>)>> {
        let sql = format!(
            "SELECT id, CASE kind WHEN {KIND_TEXT} THEN client_msg_id END FROM message
             WHERE thread_id = ?1 AND state = {STATE_UNREAD}
                AND position <= (SELECT position FROM message WHERE id = ?2 AND thread_id = ?1)
             ORDER BY id"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![thread.as_bytes(), up_to.0], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Option<Vec<u8>>>(1)?))
        })?;
        rows.map(|row| {
            let (id, client_msg_id) = row?;
            Ok((MessageId(id), client_msg_id.map(|id| ClientMsgId::from_slice(&id)).transpose()?))
        })
        .collect()
    }
}

impl Tx<'_> {
    pub(crate) fn insert_incoming(&mut self, new: NewIncoming) -> Result<()> {
        let (kind, text, cause) = match &new.body {
            MessageBody::Text(text) => (KIND_TEXT, text.as_bytes(), None),
            MessageBody::Undecryptable(cause) => (KIND_UNDECRYPTABLE, [].as_slice(), Some(cause.to_stored())),
        };
        self.change_one(
            "INSERT INTO message
                (thread_id, client_msg_id, sender, kind, body, cause, sent, server_seq, position, state)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![
                new.thread.as_bytes(),
                new.client_msg_id.as_bytes(),
                new.sender.as_bytes(),
                kind,
                text,
                cause,
                to_sql(new.sent_ms)?,
                to_sql(new.server_seq)?,
                position(new.epoch, new.server_seq)?,
                STATE_UNREAD,
            ],
        )?;
        let message = Message {
            id: MessageId(self.connection.last_insert_rowid()),
            thread: new.thread,
            sender: new.sender,
            direction: Direction::Incoming { read: false },
            body: new.body,
            sent_ms: new.sent_ms,
            server_seq: Some(new.server_seq),
        };
        self.emit(Event::MessageAdded(message));
        Ok(())
    }

    /// Remembers an envelope that leaves no message row.
    pub(crate) fn insert_handled(
        &mut self,
        thread: ThreadId,
        sender: UserId,
        id: ClientMsgId,
        now_ms: u64,
    ) -> Result<()> {
        self.change_one(
            "INSERT INTO handled (thread_id, sender, client_msg_id, at) VALUES (?1, ?2, ?3, ?4)",
            params![thread.as_bytes(), sender.as_bytes(), id.as_bytes(), to_sql(now_ms)?],
        )
    }

    /// Forgets envelopes that the relay can not deliver again, and sealed bytes that need not be sent again.
    pub(crate) fn forget_handled(&mut self, before_ms: u64, proven_before_ms: u64) -> Result<()> {
        self.change("DELETE FROM handled WHERE at < ?1", [to_sql(before_ms)?])?;
        self.change(
            "UPDATE message SET sealed = NULL WHERE sealed IS NOT NULL AND outbox = 0 AND sent < ?1",
            [to_sql(proven_before_ms)?],
        )?;
        Ok(())
    }

    /// One of our messages came as far as this, says the other side. Never goes back; one that we had given up came
    /// after all. Nothing when there is no such message.
    pub(crate) fn advance_delivery(
        &mut self,
        thread: ThreadId,
        us: UserId,
        id: ClientMsgId,
        kind: ReceiptKind,
    ) -> Result<()> {
        let state = match kind {
            ReceiptKind::Delivered => STATE_DELIVERED,
            ReceiptKind::Read => STATE_READ,
        };
        // A receipt can be faster than the relay's answer to us: then the sealed bytes are still needed.
        let sql = format!(
            "UPDATE message SET state = ?4, sealed = CASE WHEN outbox = 0 THEN NULL ELSE sealed END
             WHERE thread_id = ?1 AND sender = ?2 AND client_msg_id = ?3 AND kind = {KIND_TEXT}
                AND (state < ?4 OR state = {STATE_FAILED})
             RETURNING id"
        );
        let changed: Option<i64> = self
            .connection
            .prepare_cached(&sql)?
            .query_row(params![thread.as_bytes(), us.as_bytes(), id.as_bytes(), state], |row| row.get(0))
            .optional()?;
        match changed {
            Some(id) => self.emit_changed(MessageId(id)),
            None => Ok(()),
        }
    }

    /// The person has read it.
    pub(crate) fn set_seen_by_us(&mut self, id: MessageId) -> Result<()> {
        let sql = format!("UPDATE message SET state = {STATE_SEEN} WHERE id = ?1 AND state = {STATE_UNREAD}");
        self.change_one(&sql, [id.0])?;
        self.emit_changed(id)
    }

    /// Tells how a message is now. Receipts on their way out are nobody's business.
    pub(super) fn emit_changed(&mut self, id: MessageId) -> Result<()> {
        if let Some(message) = self.message(id)? {
            self.emit(Event::MessageChanged(message));
        }
        Ok(())
    }
}

/// Order in a thread: epochs one after the other, places within each.
pub(super) fn position(epoch: u64, server_seq: u64) -> Result<i64> {
    const SEQ_BITS: u32 = 40;
    const MAX_EPOCH: u64 = (1 << 22) - 1;
    const MAX_SEQ: u64 = (1 << SEQ_BITS) - 1;
    // A relay that counts this high lies; its messages still get a place.
    to_sql(epoch.min(MAX_EPOCH) << SEQ_BITS | server_seq.min(MAX_SEQ))
}

struct Columns {
    id: i64,
    thread: Vec<u8>,
    sender: Vec<u8>,
    kind: i64,
    body: Vec<u8>,
    cause: Option<i64>,
    sent: i64,
    server_seq: Option<i64>,
    state: i64,
    position: i64,
}

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok(Columns {
        id: row.get(0)?,
        thread: row.get(1)?,
        sender: row.get(2)?,
        kind: row.get(3)?,
        body: row.get(4)?,
        cause: row.get(5)?,
        sent: row.get(6)?,
        server_seq: row.get(7)?,
        state: row.get(8)?,
        position: row.get(9)?,
    })
}

impl Columns {
    fn into_message(self) -> Result<(Message, Cursor)> {
        let corrupt = || Error::Storage(Storage::Corrupt);
        let cause = self.cause.unwrap_or(0);
        let message = Message {
            id: MessageId(self.id),
            thread: ThreadId::from_slice(&self.thread)?,
            sender: UserId::from_slice(&self.sender)?,
            direction: match self.state {
                STATE_QUEUED => Direction::Outgoing(Delivery::Queued),
                STATE_SENT => Direction::Outgoing(Delivery::Sent),
                STATE_DELIVERED => Direction::Outgoing(Delivery::Delivered),
                STATE_READ => Direction::Outgoing(Delivery::Read),
                STATE_FAILED => Direction::Outgoing(Delivery::Failed(FailReason::from_stored(cause))),
                STATE_UNREAD => Direction::Incoming { read: false },
                STATE_SEEN => Direction::Incoming { read: true },
                _ => return Err(corrupt()),
            },
            body: match self.kind {
                KIND_TEXT => MessageBody::Text(String::from_utf8(self.body).map_err(|_| corrupt())?),
                KIND_UNDECRYPTABLE => MessageBody::Undecryptable(Undecryptable::from_stored(cause)),
                _ => return Err(corrupt()),
            },
            sent_ms: from_sql(self.sent)?,
            server_seq: self.server_seq.map(from_sql).transpose()?,
        };
        Ok((message, Cursor { position: self.position, id: self.id }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_as_text() {
        for cursor in [Cursor { position: 0, id: 1 }, Cursor { position: i64::MAX, id: i64::MIN }] {
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for text in ["", ".", "1", "1.", ".1", "1.2.3", "9223372036854775808.1", "a.b"] {
            assert_eq!(text.parse::<Cursor>(), Err(InvalidId), "{text}");
        }
    }
}

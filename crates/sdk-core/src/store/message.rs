//! Messages: the history of threads.

use rusqlite::{OptionalExtension as _, Row, params};

use super::{NewOutgoing, Rows, Tx, from_sql, to_sql};
use crate::content::{Body, ReceiptKind};
use crate::error::{Error, Result, Storage};
use crate::event::Event;
use crate::id::{ClientMsgId, DeviceId, MessageId, ThreadId, UserId};
use crate::message::{Delivery, Direction, FailReason, Message, MessageBody, Page, Position, Undecryptable};

pub(super) const KIND_TEXT: i64 = 1;
pub(super) const KIND_UNDECRYPTABLE: i64 = 2;

const STATE_QUEUED: i64 = 0;
const STATE_SENT: i64 = 1;
pub(super) const STATE_DELIVERED: i64 = 2;
const STATE_READ: i64 = 3;
pub(super) const STATE_FAILED: i64 = 4;
const STATE_UNREAD: i64 = 10;
const STATE_SEEN: i64 = 11;

/// Messages without an answer of the relay come after all others, in the order in which they were written.
pub(super) const POSITION_PENDING: i64 = 1 << 62;

const COLUMNS: &str =
    "id, thread_id, author, kind, body, cause, sent, server_seq, state, position FROM message";

/// An incoming message.
#[derive(Clone)]
pub(crate) struct NewIncoming {
    pub(crate) thread: ThreadId,
    pub(crate) author: UserId,
    pub(crate) device: DeviceId,
    pub(crate) what: Arrived,
    pub(crate) sent_ms: u64,
    /// When the relay stored it, by the relay's clock.
    pub(crate) server_ms: u64,
    pub(crate) epoch: u64,
    pub(crate) server_seq: u64,
}

/// The contents of an incoming message.
#[derive(Clone)]
pub(crate) enum Arrived {
    /// A content that a person sees, with the id that its author assigned.
    Content(ClientMsgId, Body),
    /// An envelope that could not be opened.
    Undecryptable(Undecryptable),
}

impl Rows<'_> {
    pub(crate) fn message(&self, id: MessageId) -> Result<Option<Message>> {
        let sql = format!("SELECT {COLUMNS} WHERE id = ?1");
        let row = self.connection.prepare_cached(&sql)?.query_row([id.0], columns).optional()?;
        row.map(Columns::into_message).transpose()
    }

    /// Up to `limit` messages of a thread before a position, or the newest.
    pub(crate) fn page(&self, thread: ThreadId, before: Option<Position>, limit: u32) -> Result<Page> {
        let messages = self.messages_before(thread, before.unwrap_or(Position::LAST), limit)?;
        let older = messages.last().filter(|_| is_full(&messages, limit)).map(|message| message.position);
        let newer = before.map(|before| messages.first().map_or(before, |message| message.position));
        Ok(Page { messages, older, newer })
    }

    /// Up to `limit` messages of a thread that directly follow a position.
    pub(crate) fn page_after(&self, thread: ThreadId, after: Position, limit: u32) -> Result<Page> {
        let sql = format!(
            "SELECT {COLUMNS} WHERE thread_id = ?1 AND (position, id) > (?2, ?3)
             ORDER BY position, id LIMIT ?4"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![thread.as_bytes(), after.order, after.id, limit], columns)?;
        let mut messages = rows.map(|row| row?.into_message()).collect::<Result<Vec<_>>>()?;
        messages.reverse();
        let newer = messages.first().filter(|_| is_full(&messages, limit)).map(|message| message.position);
        let older = messages.last().map_or(after, |message| message.position);
        Ok(Page { messages, older: Some(older), newer })
    }

    /// Up to `limit` messages around a message of a thread, including it; none if it does not exist.
    pub(crate) fn page_around(
        &self,
        thread: ThreadId,
        around: MessageId,
        limit: u32,
    ) -> Result<Option<Page>> {
        let Some(message) = self.message(around)?.filter(|message| message.thread == thread) else {
            return Ok(None);
        };
        let at = message.position;
        let newer = self.page_after(thread, at, limit / 2)?;
        let behind = Position { id: at.id.saturating_add(1), ..at };
        let rest = limit.saturating_sub(u32::try_from(newer.messages.len()).unwrap_or(limit));
        let older = self.page(thread, Some(behind), rest)?;
        // If there was no room for newer messages, it was not checked whether there are any.
        let newer_end = if limit < 2 { Some(at) } else { newer.newer };
        let messages = newer.messages.into_iter().chain(older.messages).collect();
        Ok(Some(Page { messages, older: older.older, newer: newer_end }))
    }

    fn messages_before(&self, thread: ThreadId, before: Position, limit: u32) -> Result<Vec<Message>> {
        let sql = format!(
            "SELECT {COLUMNS} WHERE thread_id = ?1 AND (position, id) < (?2, ?3)
             ORDER BY position DESC, id DESC LIMIT ?4"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows =
            statement.query_map(params![thread.as_bytes(), before.order, before.id, limit], columns)?;
        rows.map(|row| row?.into_message()).collect()
    }

    /// Up to `limit` messages of a thread that were added after another one, in that order, whatever their positions.
    pub(crate) fn arrived_after(
        &self,
        thread: ThreadId,
        after: MessageId,
        limit: u32,
    ) -> Result<Vec<Message>> {
        // The sign prevents SQLite from scanning the whole thread: newer rows are at the end of the table.
        let sql = format!("SELECT {COLUMNS} WHERE +thread_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![thread.as_bytes(), after.0, limit], columns)?;
        rows.map(|row| row?.into_message()).collect()
    }

    /// The message that was added last, in any thread. Later ones have higher ids.
    pub(crate) fn last_message(&self) -> Result<MessageId> {
        let sql = "SELECT coalesce(max(id), 0) FROM message";
        Ok(MessageId(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?))
    }

    /// The message of a content, by its author and the id that the author assigned.
    pub(crate) fn message_of(&self, author: UserId, content_id: ClientMsgId) -> Result<Option<MessageId>> {
        let sql = "SELECT id FROM message WHERE author = ?1 AND content_id = ?2";
        let id = self
            .connection
            .prepare_cached(sql)?
            .query_row(params![author.as_bytes(), content_id.as_bytes()], |row| row.get(0));
        Ok(id.optional()?.map(MessageId))
    }

    /// Up to `limit` unread messages of a thread, the latest arrivals first, that stand no later than `up_to` and arrived
    /// no later than `came_until`. Also returns the content IDs of those that have content to be read.
    pub(crate) fn unread(
        &self,
        thread: ThreadId,
        up_to: MessageId,
        came_until: MessageId,
        limit: u32,
    ) -> Result<Vec<(MessageId, Option<ClientMsgId>)>> {
        // The plus sign prevents SQLite from using the index of the whole history.
        let sql = format!(
            "SELECT id, content_id FROM message
             WHERE thread_id = ?1 AND state = {STATE_UNREAD} AND id <= ?3
                AND +position <= (SELECT position FROM message WHERE id = ?2 AND thread_id = ?1)
             ORDER BY id DESC LIMIT ?4"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let values = params![thread.as_bytes(), up_to.0, came_until.0, limit];
        let rows = statement
            .query_map(values, |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<Vec<u8>>>(1)?)))?;
        rows.map(|row| {
            let (id, content_id) = row?;
            Ok((MessageId(id), content_id.map(|id| ClientMsgId::from_slice(&id)).transpose()?))
        })
        .collect()
    }
}

impl Tx<'_> {
    /// Inserts the row of an outgoing message.
    pub(super) fn insert_outgoing_message(&mut self, new: &NewOutgoing) -> Result<MessageId> {
        let (us, device) = new.us;
        self.change_one(
            "INSERT INTO message (thread_id, content_id, author, device, kind, body, sent, position, state)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                new.thread.as_bytes(),
                new.content_id.as_bytes(),
                us.as_bytes(),
                device.get(),
                KIND_TEXT,
                new.body.to_bytes(),
                to_sql(new.sent_ms)?,
                POSITION_PENDING,
                STATE_QUEUED,
            ],
        )?;
        let id = MessageId(self.connection.last_insert_rowid());
        self.note_activity(new.thread, new.sent_ms)?;
        Ok(id)
    }

    /// One of our messages was assigned its position; returns its present state.
    pub(super) fn accept_message(&mut self, id: MessageId, epoch: u64, server_seq: u64) -> Result<i64> {
        self.moves(id)?;
        let sql = "UPDATE message SET server_seq = ?2, position = ?3, state = max(state, ?4) WHERE id = ?1
                   RETURNING state";
        let values = params![id.0, to_sql(server_seq)?, position(epoch, server_seq)?, STATE_SENT];
        Ok(self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
    }

    pub(crate) fn insert_incoming(&mut self, new: &NewIncoming) -> Result<MessageId> {
        self.put_incoming(None, new)?;
        let id = MessageId(self.connection.last_insert_rowid());
        self.change_one(
            "UPDATE thread SET unread = unread + 1, activity = max(activity, ?2) WHERE thread_id = ?1",
            params![new.thread.as_bytes(), to_sql(new.server_ms)?],
        )?;
        if let Some(message) = self.message(id)? {
            self.emit(Event::MessageAdded(message));
        }
        Ok(id)
    }

    /// Replaces the placeholder of an envelope by its content.
    pub(crate) fn fill_in(&mut self, id: MessageId, new: &NewIncoming) -> Result<()> {
        self.moves(id)?;
        self.put_incoming(Some(id), new)?;
        self.index_late(id)?;
        self.count_unread(new.thread)?;
        self.emit_changed(id)
    }

    /// Inserts a row, or overwrites the one with this id.
    fn put_incoming(&mut self, id: Option<MessageId>, new: &NewIncoming) -> Result<()> {
        let (kind, content_id, body, cause) = new.what.columns();
        self.change_one(
            "INSERT INTO message
                (id, thread_id, content_id, author, device, kind, body, cause, sent, server_seq, position, state)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
             ON CONFLICT (id) DO UPDATE
                SET content_id = excluded.content_id, author = excluded.author, device = excluded.device,
                    kind = excluded.kind, body = excluded.body, cause = excluded.cause, sent = excluded.sent,
                    server_seq = excluded.server_seq, position = excluded.position, state = excluded.state",
            params![
                id.map(|id| id.0),
                new.thread.as_bytes(),
                content_id.as_ref().map(ClientMsgId::as_bytes),
                new.author.as_bytes(),
                new.device.get(),
                kind,
                body,
                cause,
                to_sql(new.sent_ms)?,
                to_sql(new.server_seq)?,
                position(new.epoch, new.server_seq)?,
                STATE_UNREAD,
            ],
        )
    }

    /// Removes the placeholder of an envelope that could not be opened.
    pub(crate) fn remove_placeholder(&mut self, thread: ThreadId, id: MessageId) -> Result<()> {
        match self.message(id)? {
            Some(Message { body: MessageBody::Undecryptable(_), .. }) => self.delete_message(thread, id),
            _ => Err(Error::Bug("no placeholder")),
        }
    }

    /// Removes a message and its search terms; nothing else deletes messages.
    pub(super) fn delete_message(&mut self, thread: ThreadId, id: MessageId) -> Result<()> {
        let position = self.position_of(id)?;
        self.unindex(id)?;
        self.change_one("DELETE FROM message WHERE id = ?1", [id.0])?;
        self.count_unread(thread)?;
        self.emit(Event::MessageRemoved { thread, id, position });
        Ok(())
    }

    /// A receipt reports the state of one of our messages. The state never goes back, except that a message that we
    /// had given up has arrived after all. Does nothing if there is no such message.
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
        let sql = format!(
            "UPDATE message SET state = ?4
             WHERE author = ?2 AND content_id = ?3 AND thread_id = ?1 AND kind = {KIND_TEXT}
                AND (state < ?4 OR state = {STATE_FAILED})
             RETURNING id"
        );
        let changed: Option<i64> = self
            .connection
            .prepare_cached(&sql)?
            .query_row(params![thread.as_bytes(), us.as_bytes(), id.as_bytes(), state], |row| row.get(0))
            .optional()?;
        let Some(id) = changed.map(MessageId) else { return Ok(()) };
        // A receipt can arrive before the relay's answer to us; then the parcel is still needed.
        self.forget_parcel_of(id)?;
        self.emit_changed(id)
    }

    /// Marks a message as read by the person.
    pub(crate) fn set_seen_by_us(&mut self, id: MessageId) -> Result<()> {
        let sql = format!("UPDATE message SET state = {STATE_SEEN} WHERE id = ?1 AND state = {STATE_UNREAD}");
        self.change_one(&sql, [id.0])?;
        self.emit_changed(id)
    }

    /// A message is about to change its position: the present one is reported with the change.
    pub(super) fn moves(&mut self, id: MessageId) -> Result<()> {
        let was = self.position_of(id)?;
        self.moved.entry(id).or_insert(was);
        Ok(())
    }

    /// Reports the present state of a message, and its previous position.
    pub(super) fn emit_changed(&mut self, id: MessageId) -> Result<()> {
        let was = self.moved.remove(&id);
        if let Some(message) = self.message(id)? {
            let was = was.unwrap_or(message.position);
            self.emit(Event::MessageChanged { message, was });
        }
        Ok(())
    }

    fn position_of(&self, id: MessageId) -> Result<Position> {
        let sql = "SELECT position FROM message WHERE id = ?1";
        let order = self.connection.prepare_cached(sql)?.query_row([id.0], |row| row.get(0))?;
        Ok(Position { order, id: id.0 })
    }
}

/// Whether there may be more messages than these.
fn is_full(messages: &[Message], limit: u32) -> bool {
    u32::try_from(messages.len()).is_ok_and(|len| len == limit)
}

/// The order in a thread: by epoch, and by sequence number within an epoch.
pub(super) fn position(epoch: u64, server_seq: u64) -> Result<i64> {
    const SEQ_BITS: u32 = 40;
    const MAX_EPOCH: u64 = (1 << 22) - 1;
    const MAX_SEQ: u64 = (1 << SEQ_BITS) - 1;
    // A relay that counts this high is not honest, but its messages still get a position.
    to_sql(epoch.min(MAX_EPOCH) << SEQ_BITS | server_seq.min(MAX_SEQ))
}

impl Arrived {
    /// Kind, content id, body and cause, as they are stored.
    fn columns(&self) -> (i64, Option<ClientMsgId>, Vec<u8>, Option<i64>) {
        match self {
            Self::Content(id, body) => (KIND_TEXT, Some(*id), body.to_bytes(), None),
            Self::Undecryptable(cause) => (KIND_UNDECRYPTABLE, None, Vec::new(), Some(cause.to_stored())),
        }
    }
}

struct Columns {
    id: i64,
    thread: Vec<u8>,
    author: Vec<u8>,
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
        author: row.get(2)?,
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
    fn into_message(self) -> Result<Message> {
        let corrupt = || Error::Storage(Storage::Corrupt);
        let cause = self.cause.unwrap_or(0);
        Ok(Message {
            id: MessageId(self.id),
            thread: ThreadId::from_slice(&self.thread)?,
            position: Position { order: self.position, id: self.id },
            sender: UserId::from_slice(&self.author)?,
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
                KIND_TEXT => match Body::from_bytes(&self.body) {
                    Ok(Body::Text(text)) => MessageBody::Text(text),
                    _ => return Err(corrupt()),
                },
                KIND_UNDECRYPTABLE => MessageBody::Undecryptable(Undecryptable::from_stored(cause)),
                _ => return Err(corrupt()),
            },
            sent_ms: from_sql(self.sent)?,
            server_seq: self.server_seq.map(from_sql).transpose()?,
        })
    }
}

//! The rows of messages, as they are read.

use rusqlite::Row;

use super::{
    KIND_CONTENT, KIND_DELETED, KIND_UNDECRYPTABLE, KIND_UNKNOWN, STATE_DELIVERED, STATE_EXPIRED,
    STATE_FAILED, STATE_QUEUED, STATE_READ, STATE_SENT,
};
use crate::content::{Body, Contact, ContactCard, Place, Quote, Text};
use crate::error::{Error, Result, Storage};
use crate::id::{MessageId, ThreadId, UserId};
use crate::message::{Delivery, Direction, FailReason, Message, MessageBody, Position, Undecryptable};
use crate::name::displayable_name;
use crate::store::reading::{STATE_INCOMING, STATE_LATE, STATE_READ_LATE};
use crate::store::{Rows, from_sql};

/// Selects what [`columns`] reads.
pub(super) const COLUMNS: &str =
    "id, thread_id, author, kind, body, cause, sent, server_seq, state, position, reactions, edited,
    hidden, timer, expires, late FROM message";

pub(super) struct Columns {
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
    /// How many people have reacted to it.
    pub(super) reactions: u32,
    edited: Option<i64>,
    /// When it was deleted on this device.
    pub(super) hidden: Option<i64>,
    timer: u32,
    expires: Option<i64>,
    late: Option<i64>,
}

pub(super) fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
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
        reactions: row.get(10)?,
        edited: row.get(11)?,
        hidden: row.get(12)?,
        timer: row.get(13)?,
        expires: row.get(14)?,
        late: row.get(15)?,
    })
}

impl Columns {
    /// Whether the message is late, and a mark for late messages has reached it.
    pub(super) fn was_read_late(&self, rows: &Rows<'_>) -> Result<bool> {
        let (STATE_LATE, Some(late)) = (self.state, self.late) else { return Ok(false) };
        let at = Position { order: self.position, id: self.id };
        rows.has_late_mark(ThreadId::from_slice(&self.thread)?, late, at)
    }

    pub(super) fn into_read_late(self) -> Self {
        Self { state: STATE_READ_LATE, ..self }
    }

    /// The thread, if its mark decides whether the message has been read.
    pub(super) fn thread_with_mark(&self) -> Result<Option<ThreadId>> {
        if self.state == STATE_INCOMING { Ok(Some(ThreadId::from_slice(&self.thread)?)) } else { Ok(None) }
    }

    /// The message, given the position up to which its thread has been read, and the quote in it.
    pub(super) fn into_message(self, read_mark: Position) -> Result<(Message, Option<Box<Quote>>)> {
        let corrupt = || Error::Storage(Storage::Corrupt);
        let cause = self.cause.unwrap_or(0);
        let position = Position { order: self.position, id: self.id };
        let (mut quoted, mut is_forwarded, mut markup) = (None, false, None);
        let body = match self.kind {
            KIND_CONTENT => match Body::from_bytes(&self.body) {
                Ok(Body::Text(Text { text, markup: with, quote, is_forwarded: forwarded })) => {
                    markup = Some(Box::new(with)).filter(|with| !with.is_empty());
                    (quoted, is_forwarded) = (quote, forwarded);
                    MessageBody::Text(text)
                }
                Ok(Body::Contact(Contact { card, is_forwarded: forwarded })) => {
                    is_forwarded = forwarded;
                    let name = displayable_name(&card.name);
                    MessageBody::Contact(Box::new(ContactCard { name, ..card }))
                }
                Ok(Body::Place(Place { location, is_forwarded: forwarded })) => {
                    is_forwarded = forwarded;
                    MessageBody::Location(Box::new(location))
                }
                Ok(Body::Timer(timer)) => MessageBody::TimerChanged { seconds: timer.seconds() },
                Ok(Body::Poll(poll)) => MessageBody::Poll(Box::new(poll.into())),
                _ => return Err(corrupt()),
            },
            KIND_UNKNOWN => MessageBody::NotUnderstood,
            KIND_DELETED => MessageBody::Deleted,
            KIND_UNDECRYPTABLE => MessageBody::Undecryptable(Undecryptable::from_stored(cause)),
            _ => return Err(corrupt()),
        };
        let message = Message {
            id: MessageId(self.id),
            thread: ThreadId::from_slice(&self.thread)?,
            position,
            sender: UserId::from_slice(&self.author)?,
            direction: match self.state {
                STATE_QUEUED => Direction::Outgoing(Delivery::Queued),
                STATE_SENT => Direction::Outgoing(Delivery::Sent),
                STATE_DELIVERED => Direction::Outgoing(Delivery::Delivered),
                STATE_READ => Direction::Outgoing(Delivery::Read),
                STATE_FAILED => Direction::Outgoing(Delivery::Failed(FailReason::from_stored(cause))),
                STATE_EXPIRED => Direction::Outgoing(Delivery::Expired),
                STATE_INCOMING => Direction::Incoming { read: position <= read_mark },
                STATE_READ_LATE => Direction::Incoming { read: true },
                STATE_LATE => Direction::Incoming { read: false },
                _ => return Err(corrupt()),
            },
            body,
            markup,
            quote: None,
            is_forwarded,
            reactions: Vec::new(),
            edited_ms: self.edited.map(from_sql).transpose()?,
            sent_ms: from_sql(self.sent)?,
            timer_s: self.timer,
            expires_ms: self.expires.map(from_sql).transpose()?,
            server_seq: self.server_seq.map(from_sql).transpose()?,
        };
        Ok((message, quoted))
    }
}

//! Messages: the history of threads.

mod order;
mod page;
mod row;

use rusqlite::params;

use super::reading::{STATE_INCOMING, STATE_LATE};
use super::{NewOutgoing, Tx, VERSION, stage, to_sql};
use crate::content::{Body, EVERYBODY, Number, Post, Target, Timer};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::id::{ClientMsgId, DeviceId, MessageId, ThreadId, UserId};
use crate::message::{
    Delivery, DeliveryEvent, Direction, Message, MessageBody, Position, Stage, Undecryptable,
};

pub(crate) use order::{POSITION_PENDING, position};
pub(super) use order::{order_of_post, post_at};

/// What a person wrote; the body says of which kind it is.
pub(super) const KIND_CONTENT: i64 = 1;
pub(super) const KIND_UNDECRYPTABLE: i64 = 2;
/// A content that is not understood.
pub(super) const KIND_UNKNOWN: i64 = 3;
/// A content that its author has deleted for everyone.
pub(super) const KIND_DELETED: i64 = 4;

const STATE_QUEUED: i64 = Stage::Queued as i64;
const STATE_SENT: i64 = Stage::Sent as i64;
const STATE_DELIVERED: i64 = Stage::Delivered as i64;
const STATE_READ: i64 = Stage::Read as i64;
const STATE_FAILED: i64 = Stage::Failed as i64;
const STATE_EXPIRED: i64 = Stage::Expired as i64;

/// An incoming message: of somebody else, or of another device of ours.
#[derive(Clone)]
pub(crate) struct NewIncoming {
    pub(crate) thread: ThreadId,
    pub(crate) author: UserId,
    pub(crate) device: DeviceId,
    /// Whether another device of ours has sent it. It is shown as sent.
    pub(crate) is_ours: bool,
    pub(crate) what: Arrived,
    pub(crate) sent_ms: u64,
    pub(crate) timer: Timer,
    /// When the relay stored it, by the relay's clock.
    pub(crate) server_ms: u64,
    pub(crate) epoch: u64,
    pub(crate) server_seq: u64,
    /// Its number among the posts of its author's device.
    pub(crate) number: Option<Number>,
    /// The newest post that its author had received.
    pub(crate) after: Option<Post>,
    /// In a group, the version of the roster that it was sealed for.
    pub(crate) roster: Option<u64>,
}

/// The contents of an incoming message.
#[derive(Clone)]
pub(crate) enum Arrived {
    /// A content that a person sees, with the id that its author assigned.
    Content(ClientMsgId, Body),
    /// An envelope that could not be opened.
    Undecryptable(Undecryptable),
}

impl Tx<'_> {
    /// Inserts the row of an outgoing message.
    pub(super) fn insert_outgoing_message(&mut self, new: &NewOutgoing, timer: Timer) -> Result<MessageId> {
        let (us, device) = new.us;
        self.change_one(
            "INSERT INTO message (thread_id, content_id, author, device, kind, body, sent, position, state, links,
                timer)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            params![
                new.thread.as_bytes(),
                new.content_id.as_bytes(),
                us.as_bytes(),
                device.get(),
                kind_of(&new.body),
                new.body.to_bytes(),
                to_sql(new.sent_ms)?,
                POSITION_PENDING,
                STATE_QUEUED,
                new.body.has_link(),
                timer.seconds(),
            ],
        )?;
        let id = MessageId(self.connection.last_insert_rowid());
        self.note_activity(new.thread, new.sent_ms)?;
        if let Body::Text(text) = &new.body {
            self.sent_draft(new.thread, &text.text)?;
        }
        Ok(id)
    }

    /// One of our messages was assigned its position, at this time by the relay's clock, from which its timer runs. Returns whether
    /// a receipt for it is still to come.
    pub(super) fn accept_message(
        &mut self,
        id: MessageId,
        (epoch, server_seq): (u64, u64),
        server_ms: u64,
    ) -> Result<bool> {
        let found = self.message_or_hidden(id)?;
        let (mut message, is_hidden) = found.ok_or(Error::Bug("an outbox without a message"))?;
        let was = self.moved.remove(&id).unwrap_or(message.position);
        let order = position(epoch, server_seq)?;
        let sql = format!(
            "UPDATE message SET server_seq = ?2, position = ?3, state = {}, stored = ?4 WHERE id = ?1",
            stage::state_after(DeliveryEvent::Accepted)
        );
        self.change_one(&sql, params![id.0, to_sql(server_seq)?, order, to_sql(server_ms)?])?;
        self.note_stored(id, message.sent_ms, server_ms)?;
        message.expires_ms = self.start_timer(id, server_ms)?;
        if let MessageBody::TimerChanged { seconds } = message.body {
            self.settle_timer(id, order, seconds)?;
        }
        message.position.order = order;
        message.server_seq = Some(server_seq);
        if message.direction == Direction::Outgoing(Delivery::Queued) {
            message.direction = Direction::Outgoing(Delivery::Sent);
        }
        let is_sent = message.direction == Direction::Outgoing(Delivery::Sent);
        let awaits_receipt = is_sent && !self.is_erased(id)?;
        if !is_hidden {
            self.emit(Event::MessageChanged { message, was });
        }
        Ok(awaits_receipt)
    }

    pub(crate) fn insert_incoming(&mut self, new: &NewIncoming) -> Result<MessageId> {
        if new.is_ours {
            self.put_incoming(None, new, (None, false))?;
            let id = MessageId(self.connection.last_insert_rowid());
            self.begin_ours(id, new)?;
            if let Some(message) = self.message(id)? {
                self.emit(Event::MessageAdded(message));
            }
            return Ok(id);
        }
        // Its id will be the highest, so that it comes after another message with the same order.
        let at = Position { order: self.order_of_new(new)?, id: i64::MAX };
        let mentions = self.mentions_us(new)?;
        let late = self.count_unread(new.thread, at, (to_sql(new.server_ms)?, mentions))?;
        self.put_incoming(None, new, (late, mentions))?;
        let id = MessageId(self.connection.last_insert_rowid());
        self.arrived(id, new, late.is_some())?;
        if let Some(message) = self.message(id)? {
            self.emit(Event::MessageAdded(message));
        }
        Ok(id)
    }

    /// A message that another device of ours has sent has the effects that it has there. One that could not be opened has none: the relay may
    /// have made it up.
    fn begin_ours(&mut self, id: MessageId, new: &NewIncoming) -> Result<()> {
        match new.what {
            Arrived::Content(..) => {
                self.start_timer(id, new.server_ms)?;
                self.note_activity(new.thread, new.server_ms)
            }
            Arrived::Undecryptable(_) => Ok(()),
        }
    }

    /// Replaces the placeholder of an envelope by its content, which is unread even if the placeholder was read, and is shown even if
    /// the placeholder was deleted on this device.
    pub(crate) fn fill_in(&mut self, id: MessageId, new: &NewIncoming) -> Result<()> {
        let was_hidden = self.message_or_hidden(id)?.is_some_and(|(_, is_hidden)| is_hidden);
        self.moves(id)?;
        self.note_unread_removed(id)?;
        // Its id is that of the placeholder, and does not say when the content arrived. A late message has a number that does.
        if new.is_ours {
            self.put_incoming(Some(id), new, (None, false))?;
            self.begin_ours(id, new)?;
        } else {
            let mentions = self.mentions_us(new)?;
            let late = self.count_unread(new.thread, Position::FIRST, (0, mentions))?;
            self.put_incoming(Some(id), new, (late, mentions))?;
            self.arrived(id, new, late.is_some())?;
        }
        self.index_late(id)?;
        if was_hidden && let Some(message) = self.message(id)? {
            self.moved.remove(&id);
            self.emit(Event::MessageAdded(message));
            return Ok(());
        }
        self.emit_changed(id)
    }

    /// A message has arrived that our other devices may have had before.
    fn arrived(&mut self, id: MessageId, new: &NewIncoming, is_late: bool) -> Result<()> {
        if let Arrived::Content(content_id, _) = &new.what
            && new.timer != Timer::default()
        {
            self.start_kept_timer(id, Target { author: new.author, id: *content_id })?;
        }
        if is_late { self.read_if_read_elsewhere(new.thread, id) } else { Ok(()) }
    }

    /// Inserts a row, or overwrites the one with this id. A late message has a number.
    fn put_incoming(
        &mut self,
        id: Option<MessageId>,
        new: &NewIncoming,
        (late, mentions): (Option<i64>, bool),
    ) -> Result<()> {
        let (kind, content_id, body, cause) = new.what.columns();
        let state = match (new.is_ours, late) {
            (true, _) => self.state_of_ours(new.thread, new.number, new.roster)? as i64,
            (false, Some(_)) => STATE_LATE,
            (false, None) => STATE_INCOMING,
        };
        self.change_one(
            "INSERT INTO message
                (id, thread_id, content_id, author, device, kind, body, cause, sent, server_seq, position, state, late,
                 mentions, links, stored, timer, run, count, after_position, outgoing, roster)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)
             ON CONFLICT (id) DO UPDATE
                SET content_id = excluded.content_id, author = excluded.author, device = excluded.device,
                    kind = excluded.kind, body = excluded.body, cause = excluded.cause, sent = excluded.sent,
                    server_seq = excluded.server_seq, position = excluded.position, state = excluded.state,
                    late = excluded.late, mentions = excluded.mentions, links = excluded.links,
                    stored = excluded.stored, timer = excluded.timer, hidden = NULL, run = excluded.run,
                    count = excluded.count, after_position = excluded.after_position, outgoing = excluded.outgoing,
                    roster = excluded.roster",
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
                self.order_of_new(new)?,
                state,
                late,
                mentions,
                new.what.has_link(),
                to_sql(new.server_ms)?,
                new.timer.seconds(),
                new.number.as_ref().map(|number| number.run.0.as_slice()),
                new.number.map(|number| to_sql(number.count)).transpose()?,
                new.after.map(order_of_post).transpose()?,
                // It has no entry in the outbox of this device.
                new.is_ours.then_some(0),
                new.roster.filter(|_| new.is_ours).map(to_sql).transpose()?,
            ],
        )?;
        if kind == KIND_UNKNOWN {
            let id = id.unwrap_or(MessageId(self.connection.last_insert_rowid()));
            self.set_version(id, VERSION)?;
        }
        Ok(())
    }

    /// Replaces the body of a message. While the message is unread, it is counted by whether it mentions us now.
    pub(super) fn set_body(&mut self, id: MessageId, body: &Body) -> Result<()> {
        let us = self.stored_account()?.0.map(|account| account.registered.user);
        let mentions_us = us.is_some_and(|us| body.mentions(us))
            || (body.mentions(EVERYBODY) && self.may_mention_all_in(id)?);
        self.change_one(
            "UPDATE message SET body = ?2, links = ?3 WHERE id = ?1",
            params![id.0, body.to_bytes(), body.has_link()],
        )?;
        let changed = self.change(
            "UPDATE message SET mentions = ?2 WHERE id = ?1 AND mentions <> ?2 AND state >= ?3",
            params![id.0, mentions_us, STATE_INCOMING],
        )?;
        let Some(message) = self.message(id)?.filter(|_| changed == 1) else { return Ok(()) };
        if message.direction == (Direction::Incoming { read: false }) {
            self.change_one(
                "UPDATE thread SET mentions = max(mentions + ?2, 0) WHERE thread_id = ?1",
                params![message.thread.as_bytes(), if mentions_us { 1 } else { -1 }],
            )?;
        }
        Ok(())
    }

    /// Whether an incoming message is counted as one that mentions us.
    fn mentions_us(&self, new: &NewIncoming) -> Result<bool> {
        match &new.what {
            Arrived::Content(_, body) if body.may_mention() => Ok(body.mentions(self.our_account()?.1.user)
                || (body.mentions(EVERYBODY) && self.may_mention_all(new.thread, new.author)?)),
            _ => Ok(false),
        }
    }

    /// Whether the author of a message could address it to everybody in the thread.
    fn may_mention_all_in(&self, id: MessageId) -> Result<bool> {
        match self.message_or_hidden(id)? {
            Some((message, _)) => self.may_mention_all(message.thread, message.sender),
            None => Ok(false),
        }
    }

    /// Removes the placeholder of an envelope that could not be opened.
    pub(crate) fn remove_placeholder(&mut self, thread: ThreadId, id: MessageId) -> Result<()> {
        match self.message_or_hidden(id)? {
            Some((Message { body: MessageBody::Undecryptable(_), .. }, _)) => self.delete_message(thread, id),
            _ => Err(Error::Bug("no placeholder")),
        }
    }

    /// Removes a message and its search terms; nothing else deletes messages.
    pub(super) fn delete_message(&mut self, thread: ThreadId, id: MessageId) -> Result<()> {
        let position = self.position_of(id)?;
        self.delete_row(thread, id)?;
        self.emit(Event::MessageRemoved { thread, id, position });
        Ok(())
    }

    /// Deletes the row of a message, and what depends on it, without an event.
    pub(super) fn delete_row(&mut self, thread: ThreadId, id: MessageId) -> Result<()> {
        self.unindex(id)?;
        self.note_unread_removed(id)?;
        self.forget_pending_timer(thread, id)?;
        self.change_one("DELETE FROM message WHERE id = ?1", [id.0])
    }

    /// The message is about to be removed or replaced: if it is unread, it no longer counts as such. If it was read while receipts were
    /// off, that is recorded now.
    pub(super) fn note_unread_removed(&mut self, id: MessageId) -> Result<()> {
        match self.message(id)? {
            Some(Message { thread, direction: Direction::Incoming { read: true }, .. })
                if self.is_untold(thread, id)? =>
            {
                self.leave_unread(id)
            }
            Some(Message { thread, direction: Direction::Incoming { read: false }, .. }) => {
                self.leave_unread(id)?;
                self.uncount_unread(thread, id)
            }
            _ => Ok(()),
        }
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

    pub(super) fn position_of(&self, id: MessageId) -> Result<Position> {
        let sql = "SELECT position FROM message WHERE id = ?1";
        let order = self.connection.prepare_cached(sql)?.query_row([id.0], |row| row.get(0))?;
        Ok(Position { order, id: id.0 })
    }
}

pub(super) const fn kind_of(body: &Body) -> i64 {
    match body {
        Body::Unknown(_) => KIND_UNKNOWN,
        _ => KIND_CONTENT,
    }
}

impl Arrived {
    fn has_link(&self) -> bool {
        matches!(self, Self::Content(_, body) if body.has_link())
    }

    /// Kind, content id, body and cause, as they are stored.
    fn columns(&self) -> (i64, Option<ClientMsgId>, Vec<u8>, Option<i64>) {
        match self {
            Self::Content(id, body) => (kind_of(body), Some(*id), body.to_bytes(), None),
            Self::Undecryptable(cause) => (KIND_UNDECRYPTABLE, None, Vec::new(), Some(cause.to_stored())),
        }
    }
}

//! Reading messages: single ones, and pages of the history of a thread.

use rusqlite::{OptionalExtension as _, Params, params};

use super::row::{COLUMNS, Columns, columns};
use super::{KIND_CONTENT, KIND_DELETED, STATE_FAILED};
use crate::content::{self, Body};
use crate::error::{Error, Result, Storage};
use crate::id::{ClientMsgId, MessageId, ThreadId, UserId};
use crate::message::{Message, MessageBody, MessageDetails, Page, Position, Quote};
use crate::store::{Rows, from_sql};

impl Rows<'_> {
    /// A message, unless it was deleted on this device.
    pub(crate) fn message(&self, id: MessageId) -> Result<Option<Message>> {
        Ok(self.message_or_hidden(id)?.filter(|(_, is_hidden)| !is_hidden).map(|(message, _)| message))
    }

    /// A message, and whether it was deleted on this device and is hidden.
    pub(in crate::store) fn message_or_hidden(&self, id: MessageId) -> Result<Option<(Message, bool)>> {
        let sql = format!("SELECT {COLUMNS} WHERE id = ?1");
        let row = self.connection.prepare_cached(&sql)?.query_row([id.0], columns).optional()?;
        let Some(row) = row else { return Ok(None) };
        let is_hidden = row.hidden.is_some();
        let read_mark = match row.thread_with_mark()? {
            Some(thread) => self.read_mark(thread)?,
            None => Position::FIRST,
        };
        Ok(Some((self.complete(row, read_mark)?, is_hidden)))
    }

    /// Up to `limit` messages of a thread before a position, or the newest.
    pub(crate) fn page(&self, thread: ThreadId, before: Option<Position>, limit: u32) -> Result<Page> {
        let messages =
            self.messages_before(thread, before.unwrap_or(Position::LAST), limit, self.read_mark(thread)?)?;
        let older = messages.last().filter(|_| is_full(&messages, limit)).map(|message| message.position);
        let newer = before.map(|before| messages.first().map_or(before, |message| message.position));
        Ok(Page { messages, older, newer, first_waiting: None })
    }

    /// Up to `limit` messages of a thread that directly follow a position.
    pub(crate) fn page_after(&self, thread: ThreadId, after: Position, limit: u32) -> Result<Page> {
        let sql = format!(
            "SELECT {COLUMNS} WHERE thread_id = ?1 AND (position, id) > (?2, ?3) AND hidden IS NULL
             ORDER BY position, id LIMIT ?4"
        );
        let values = params![thread.as_bytes(), after.order, after.id, limit];
        let mut messages = self.messages(&sql, values, self.read_mark(thread)?)?;
        messages.reverse();
        let newer = messages.first().filter(|_| is_full(&messages, limit)).map(|message| message.position);
        let older = messages.last().map_or(after, |message| message.position);
        Ok(Page { messages, older: Some(older), newer, first_waiting: None })
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
        Ok(Some(Page { messages, older: older.older, newer: newer_end, first_waiting: None }))
    }

    /// Up to `limit` messages of a thread before a position, newest first.
    pub(in crate::store) fn messages_before(
        &self,
        thread: ThreadId,
        before: Position,
        limit: u32,
        read_mark: Position,
    ) -> Result<Vec<Message>> {
        let sql = format!(
            "SELECT {COLUMNS} WHERE thread_id = ?1 AND (position, id) < (?2, ?3) AND hidden IS NULL
             ORDER BY position DESC, id DESC LIMIT ?4"
        );
        self.messages(&sql, params![thread.as_bytes(), before.order, before.id, limit], read_mark)
    }

    /// Up to `limit` messages of a thread that contain a link, before a position or the newest.
    pub(crate) fn links(&self, thread: ThreadId, before: Option<Position>, limit: u32) -> Result<Page> {
        let sql = format!(
            "SELECT {COLUMNS} WHERE thread_id = ?1 AND (position, id) < (?2, ?3) AND links = 1 AND hidden IS NULL
             ORDER BY position DESC, id DESC LIMIT ?4"
        );
        let from = before.unwrap_or(Position::LAST);
        let values = params![thread.as_bytes(), from.order, from.id, limit];
        let messages = self.messages(&sql, values, self.read_mark(thread)?)?;
        let older = messages.last().filter(|_| is_full(&messages, limit)).map(|message| message.position);
        let newer = before.map(|before| messages.first().map_or(before, |message| message.position));
        Ok(Page { messages, older, newer, first_waiting: None })
    }

    /// When a message of a thread was sent, stored, delivered and read, as far as it is known.
    pub(crate) fn details(&self, thread: ThreadId, id: MessageId) -> Result<Option<MessageDetails>> {
        let sql = "SELECT sent, stored, delivered, read FROM message WHERE id = ?1 AND thread_id = ?2 AND hidden IS NULL";
        let row = self.connection.prepare_cached(sql)?.query_row(params![id.0, thread.as_bytes()], |row| {
            Ok((row.get::<_, i64>(0)?, [row.get::<_, Option<i64>>(1)?, row.get(2)?, row.get(3)?]))
        });
        let Some((sent, [stored, delivered, read])) = row.optional()? else { return Ok(None) };
        let ms = |time: Option<i64>| time.map(from_sql).transpose();
        Ok(Some(MessageDetails {
            sent_ms: from_sql(sent)?,
            stored_ms: ms(stored)?,
            delivered_ms: ms(delivered)?,
            read_ms: ms(read)?,
        }))
    }

    /// The newest messages of an author in a thread, of at most 1,000 that are examined.
    pub(crate) fn newest_of(&self, thread: ThreadId, author: UserId, limit: u32) -> Result<Vec<Message>> {
        const EXAMINED: u32 = 1_000;
        let newest = self.messages_before(thread, Position::LAST, EXAMINED, self.read_mark(thread)?)?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(newest.into_iter().filter(|message| message.sender == author).take(limit).collect())
    }

    /// Up to `limit` messages of a thread that were added after another one, in that order, whatever their positions.
    pub(crate) fn arrived_after(
        &self,
        thread: ThreadId,
        after: MessageId,
        limit: u32,
    ) -> Result<Vec<Message>> {
        // The sign prevents SQLite from scanning the whole thread: newer rows are at the end of the table.
        let sql = format!(
            "SELECT {COLUMNS} WHERE +thread_id = ?1 AND id > ?2 AND hidden IS NULL ORDER BY id LIMIT ?3"
        );
        self.messages(&sql, params![thread.as_bytes(), after.0, limit], self.read_mark(thread)?)
    }

    /// Whether a thread has a message that has not failed. What is sent after it does not begin the thread.
    pub(crate) fn has_begun(&self, thread: ThreadId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM message WHERE thread_id = ?1 AND state <> ?2)";
        let values = params![thread.as_bytes(), STATE_FAILED];
        Ok(self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
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

    /// Like [`Rows::message_of`], but only if it is in this thread.
    pub(in crate::store) fn message_of_thread(
        &self,
        thread: ThreadId,
        author: UserId,
        content_id: ClientMsgId,
    ) -> Result<Option<MessageId>> {
        let sql = "SELECT id FROM message WHERE author = ?1 AND content_id = ?2 AND thread_id = ?3";
        let key = params![author.as_bytes(), content_id.as_bytes(), thread.as_bytes()];
        let id = self.connection.prepare_cached(sql)?.query_row(key, |row| row.get(0));
        Ok(id.optional()?.map(MessageId))
    }

    /// Whether the author of a message has deleted it for everyone.
    pub(in crate::store) fn is_deleted(&self, id: MessageId) -> Result<bool> {
        let sql = "SELECT kind FROM message WHERE id = ?1";
        let kind: i64 = self.connection.prepare_cached(sql)?.query_row([id.0], |row| row.get(0))?;
        Ok(kind == KIND_DELETED)
    }

    /// Whether nothing is left of what a message contained that was deleted for everyone. A deletion of ours that the relay has not
    /// accepted only hides it.
    pub(in crate::store) fn is_erased(&self, id: MessageId) -> Result<bool> {
        let sql = "SELECT kind = ?2 AND body = x'' FROM message WHERE id = ?1";
        let values = params![id.0, KIND_DELETED];
        Ok(self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
    }

    /// The author of a message of this thread, the id of its content, and its body; none if there is no such message, or if it
    /// could not be opened.
    pub(crate) fn content_of(
        &self,
        thread: ThreadId,
        id: MessageId,
    ) -> Result<Option<(UserId, ClientMsgId, Body)>> {
        self.content_where(&format!("kind = {KIND_CONTENT}"), (thread, id))
    }

    /// Like [`Rows::content_of`], also for a message that is shown as deleted although the relay has not accepted the deletion.
    pub(in crate::store) fn kept_content_of(
        &self,
        thread: ThreadId,
        id: MessageId,
    ) -> Result<Option<(UserId, ClientMsgId, Body)>> {
        let kept =
            format!("(kind = {KIND_CONTENT} OR kind = {KIND_DELETED} AND body <> x'' AND version IS NULL)");
        self.content_where(&kept, (thread, id))
    }

    fn content_where(
        &self,
        condition: &str,
        (thread, id): (ThreadId, MessageId),
    ) -> Result<Option<(UserId, ClientMsgId, Body)>> {
        let sql = format!(
            "SELECT author, content_id, body FROM message WHERE id = ?1 AND thread_id = ?2 AND {condition}"
        );
        let row = self.connection.prepare_cached(&sql)?.query_row(params![id.0, thread.as_bytes()], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, Vec<u8>>(2)?))
        });
        let Some((author, content_id, body)) = row.optional()? else { return Ok(None) };
        let body = Body::from_bytes(&body).map_err(|_| Error::Storage(Storage::Corrupt))?;
        Ok(Some((UserId::from_slice(&author)?, ClientMsgId::from_slice(&content_id)?, body)))
    }

    /// What a quote of a message shows. The quote itself is empty if the message disappears.
    fn text_to_quote(&self, id: MessageId) -> Result<String> {
        let sql =
            format!("SELECT body FROM message WHERE id = ?1 AND kind = {KIND_CONTENT} AND hidden IS NULL");
        let body: Option<Vec<u8>> =
            self.connection.prepare_cached(&sql)?.query_row([id.0], |row| row.get(0)).optional()?;
        let body = body.and_then(|body| Body::from_bytes(&body).ok());
        Ok(body.as_ref().and_then(Body::quoted).map(content::Quote::cut).unwrap_or_default().to_owned())
    }

    /// The messages that a query for [`COLUMNS`] of one thread finds.
    fn messages(&self, sql: &str, values: impl Params, read_mark: Position) -> Result<Vec<Message>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(values, columns)?;
        rows.map(|row| self.complete(row?, read_mark)).collect()
    }

    /// The message of a row, with what other rows contain about it.
    fn complete(&self, row: Columns, read_mark: Position) -> Result<Message> {
        // Only late messages are looked up. As a part of each query, this would take almost half of the time to prepare it.
        let row = if row.was_read_late(self)? { row.into_read_late() } else { row };
        let has_reactions = row.reactions > 0;
        let (mut message, quoted) = row.into_message(read_mark)?;
        if has_reactions {
            message.reactions = self.reaction_counts(message.id)?;
        }
        if let MessageBody::Poll(poll) = &mut message.body {
            self.tally(message.id, poll)?;
        }
        if let Some(quoted) = quoted {
            let in_thread = self.message_of_thread(message.thread, quoted.author, quoted.id)?;
            let is_deleted = in_thread.map_or(Ok(false), |id| self.is_deleted(id))?;
            let text = match in_thread {
                _ if is_deleted => String::new(),
                Some(id) if quoted.text.is_empty() => self.text_to_quote(id)?,
                _ => quoted.text,
            };
            message.quote = Some(Box::new(Quote { author: quoted.author, text, message: in_thread }));
        }
        Ok(message)
    }
}

/// Whether there may be more messages than these.
fn is_full(messages: &[Message], limit: u32) -> bool {
    u32::try_from(messages.len()).is_ok_and(|len| len == limit)
}

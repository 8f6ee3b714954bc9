//! The numbers of our own posts. Each post gets the next number of its thread when it is sealed for the first time, and keeps it for
//! as long as it is sealed again. The numbers have no gaps: that of a post that is abandoned is given to a null content.

use rusqlite::{OptionalExtension as _, params};

use super::heard::to_run;
use super::message::post_at;
use super::outgoing::{ACCEPTED, SEALED, TO_SEAL};
use super::{OutgoingId, Rows, Tx, from_sql, to_sql};
use crate::content::{Body, Number, Post, Run};
use crate::error::Result;
use crate::id::{ClientMsgId, MessageId, ThreadId};

/// What is known about the numbers of our own posts in a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OwnNumbers {
    /// None before the first post.
    pub(crate) run: Option<Run>,
    /// The number of posts of this run.
    pub(crate) count: u64,
    /// The newest post of the thread.
    pub(crate) newest: Option<Post>,
}

impl Rows<'_> {
    /// The numbers of our own posts in a thread.
    pub(crate) fn own_numbers(&self, thread: ThreadId) -> Result<OwnNumbers> {
        let sql = "SELECT run, counted, newest FROM thread WHERE thread_id = ?1";
        let row = self.connection.prepare_cached(sql)?.query_row([thread.as_bytes()], |row| {
            Ok((row.get::<_, Option<Vec<u8>>>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        })?;
        let run = row.0.map(|run| to_run(&run)).transpose()?;
        Ok(OwnNumbers { run, count: from_sql(row.1)?, newest: post_at(row.2)? })
    }

    /// The number of a content in the outbox, or of one of our messages, in the present run of its thread.
    fn number_of(&self, sql: &str, id: i64, thread: ThreadId) -> Result<Option<Number>> {
        let row = self
            .connection
            .prepare_cached(sql)?
            .query_row([id], |row| Ok((row.get::<_, Option<Vec<u8>>>(0)?, row.get::<_, Option<i64>>(1)?)));
        let Some((Some(run), Some(count))) = row.optional()? else { return Ok(None) };
        let number = Number { run: to_run(&run)?, count: from_sql(count)? };
        Ok((self.own_numbers(thread)?.run == Some(number.run)).then_some(number))
    }

    pub(super) fn number_of_outgoing(&self, id: OutgoingId, thread: ThreadId) -> Result<Option<Number>> {
        self.number_of("SELECT run, count FROM outgoing WHERE id = ?1 AND body <> x'ea0100'", id.0, thread)
    }

    pub(super) fn number_of_message(&self, id: MessageId, thread: ThreadId) -> Result<Option<Number>> {
        self.number_of("SELECT run, count FROM message WHERE id = ?1", id.0, thread)
    }
}

impl Tx<'_> {
    /// Records the number that was given last to one of our posts in a thread.
    pub(crate) fn set_own_number(&mut self, thread: ThreadId, number: Number) -> Result<()> {
        self.change_one(
            "UPDATE thread SET run = ?2, counted = ?3 WHERE thread_id = ?1",
            params![thread.as_bytes(), number.run.0.as_slice(), to_sql(number.count)?],
        )
    }

    /// Begins new runs of our posts in all threads, because numbers may have been given in a later state of this database. What
    /// is not sealed gets new numbers.
    pub(crate) fn begin_runs(&mut self) -> Result<()> {
        self.change("UPDATE thread SET run = NULL, counted = 0 WHERE run IS NOT NULL", [])?;
        self.change("UPDATE outgoing SET run = NULL, count = NULL WHERE state = 1 AND run IS NOT NULL", [])?;
        Ok(())
    }

    /// Like [`Tx::fill_number`] for a message that is about to be deleted, if it has failed.
    pub(super) fn fill_number_of_failed(&mut self, id: MessageId) -> Result<()> {
        let sql = "SELECT thread_id FROM message WHERE id = ?1 AND state = 4 AND count IS NOT NULL";
        let thread: Option<Vec<u8>> =
            self.connection.prepare_cached(sql)?.query_row([id.0], |row| row.get(0)).optional()?;
        let Some(thread) = thread else { return Ok(()) };
        let thread = ThreadId::from_slice(&thread)?;
        match self.number_of_message(id, thread)? {
            Some(number) if !self.has_left()? => self.fill_number(thread, number),
            _ => Ok(()),
        }
    }

    /// A message of ours that the relay has accepted is not submitted again, because it is deleted. If the relay turns out to have lost it, a
    /// null content with its number is submitted instead, so that nobody waits for it.
    pub(super) fn nullify_accepted(&mut self, id: MessageId, thread: ThreadId) -> Result<()> {
        let Some(entry) = self.entry_of(id, &[ACCEPTED])? else { return Ok(()) };
        let Some(number) = self.number_of_outgoing(entry, thread)? else {
            return self.change_one("DELETE FROM outgoing WHERE id = ?1", [entry.0]);
        };
        self.change_one(
            "UPDATE outgoing SET message_id = NULL, content_id = ?2, class = ?3, body = ?4, timer = 0, bytes = x''
             WHERE id = ?1",
            params![
                entry.0,
                null_id(number).as_bytes(),
                Body::Null.class().to_stored(),
                Body::Null.to_bytes()
            ],
        )
    }

    /// A message of ours has disappeared: it is not submitted any more, and its number goes to a null content.
    pub(super) fn nullify(&mut self, id: MessageId, thread: ThreadId) -> Result<()> {
        self.nullify_accepted(id, thread)?;
        match self.entry_of(id, &[TO_SEAL, SEALED])? {
            Some(entry) => self.abandon(entry, thread),
            None => Ok(()),
        }
    }

    /// Queues a null content with the number of a post that is abandoned, so that nobody waits for it.
    pub(super) fn fill_number(&mut self, thread: ThreadId, number: Number) -> Result<()> {
        let Number { run: Run(run), count } = number;
        self.change_one(
            "INSERT INTO outgoing (lane, content_id, sent, class, body, state, run, count)
             SELECT ?1, ?2, activity, ?3, ?4, ?5, ?6, ?7 FROM thread WHERE thread_id = ?1",
            params![
                thread.as_bytes(),
                null_id(number).as_bytes(),
                Body::Null.class().to_stored(),
                Body::Null.to_bytes(),
                TO_SEAL,
                run.as_slice(),
                to_sql(count)?
            ],
        )?;
        self.list_lane(thread)
    }
}

/// The id of the null content with this number. Nothing else has it.
fn null_id(Number { run: Run(run), count }: Number) -> ClientMsgId {
    let mut id = [0; 16];
    let (of_run, of_count) = id.split_at_mut(8);
    of_run.copy_from_slice(&run);
    of_count.copy_from_slice(&count.to_be_bytes());
    ClientMsgId::from_bytes(id)
}

//! The note to self: the thread of which we are the only member.
//!
//! As long as the account has one device, what is written in it has no recipients, so nothing of it is sealed or submitted. It is settled in
//! the transaction that writes it, and takes the next place of the thread. The places come before all that a relay will assign, because its
//! epochs begin with 1.

use rusqlite::params;

use super::{NOTE_TO_SELF, from_sql, note_to_self, to_sql};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::id::{ThreadId, UserId};
use crate::message::Message;
use crate::store::{OutgoingId, Rows, Tx};

impl Rows<'_> {
    /// Whether what is written in a thread is for another device: of another member, or of ours.
    pub(crate) fn has_recipients(&self, thread: ThreadId) -> Result<bool> {
        Ok(self.has_others(thread)? || self.has_other_devices()?)
    }

    fn has_others(&self, thread: ThreadId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM member WHERE thread_id = ?1
                       AND user_id IS NOT (SELECT user_id FROM account))";
        Ok(self.connection.prepare_cached(sql)?.query_row([thread.as_bytes()], |row| row.get(0))?)
    }
}

impl Tx<'_> {
    /// The note to self, which is added if there is none.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] if there is none, and the account was left.
    pub(crate) fn open_note_to_self(&mut self, us: UserId, now_ms: u64) -> Result<ThreadId> {
        let id = note_to_self(us);
        if self.kind(id)?.is_some() {
            return Ok(id);
        }
        if self.has_left()? {
            return Err(Error::Unauthorized);
        }
        // There is nobody who could accept it, or to whom our profile could be sent.
        self.change_one(
            "INSERT INTO thread (thread_id, kind, roster_version, created, activity, accepted, profile_due)
             VALUES (?1, ?2, 0, ?3, ?3, 1, 0)",
            params![id.as_bytes(), NOTE_TO_SELF, to_sql(now_ms)?],
        )?;
        let sql = "INSERT INTO member (thread_id, user_id) VALUES (?1, ?2)";
        self.change_one(sql, [id.as_bytes(), us.as_bytes()])?;
        self.emit(Event::ThreadAdded(id));
        Ok(id)
    }

    /// Settles what waits in a thread without recipients, as if it had been accepted when it was written. Returns the present state of
    /// the message.
    pub(crate) fn settle_alone(
        &mut self,
        thread: ThreadId,
        message: Option<Message>,
    ) -> Result<Option<Message>> {
        let sql = "SELECT id, sent FROM outgoing WHERE lane = ?1 AND state < 3 ORDER BY id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement
            .query_map([thread.as_bytes()], |row| Ok((OutgoingId(row.get(0)?), row.get::<_, i64>(1)?)))?;
        let queued = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        drop(statement);
        for (id, sent) in queued {
            let (sent_ms, (epoch, seen)) = (from_sql(sent)?, self.seen(thread)?);
            let place = (epoch, seen.saturating_add(1));
            if let Some((_, is_shown)) = self.accept(id, place, sent_ms)? {
                self.account_for(thread, place.0, place.1)?;
                if is_shown {
                    self.set_activity(thread, sent_ms)?;
                }
            }
            self.change("DELETE FROM outgoing WHERE id = ?1", [id.0])?;
        }
        self.end_lane(thread)?;
        message.map_or(Ok(None), |message| self.message(message.id))
    }
}

//! What a person has decided about a thread: its list, its order among the pinned threads, whether it is muted, its draft.
//!
//! A thread is in one list ([`Folder`]). A new message takes it out of the archive, unless it is muted, and back into a list after
//! it was deleted; what the person writes in it takes it to the chats. Pinned threads are in the order in which the person
//! has put them, whatever is written in them; a thread in the archive is not pinned.

use rusqlite::{OptionalExtension as _, params};

use super::Folder;
use crate::content::StateKey;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::id::{ThreadId, UserId};
use crate::store::{Rows, Tx, to_sql};

impl Rows<'_> {
    /// The draft of a thread.
    pub(crate) fn draft(&self, thread: ThreadId) -> Result<Option<String>> {
        let sql = "SELECT draft FROM thread WHERE thread_id = ?1";
        let draft = self.connection.prepare_cached(sql)?.query_row([thread.as_bytes()], |row| row.get(0));
        Ok(draft.optional()?.flatten())
    }

    /// The pinned threads in their order.
    pub(crate) fn pinned_threads(&self) -> Result<Vec<ThreadId>> {
        let sql =
            "SELECT thread_id FROM thread WHERE folder = ?1 AND pinned > 0 ORDER BY pinned DESC, thread_id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([Folder::Chats.to_stored()], |row| row.get::<_, Vec<u8>>(0))?;
        rows.map(|row| Ok(ThreadId::from_slice(&row?)?)).collect()
    }
}

impl Tx<'_> {
    /// Keeps what the person is writing, or deletes it.
    pub(crate) fn set_draft(&mut self, thread: ThreadId, draft: Option<&str>) -> Result<()> {
        let sql = "UPDATE thread SET draft = ?2 WHERE thread_id = ?1 AND draft IS NOT ?2";
        if self.change_thread(thread, sql, params![thread.as_bytes(), draft])? {
            self.note_state(StateKey::Draft(thread))?;
        }
        Ok(())
    }

    /// The person has sent this text: if it is the draft, the draft is deleted.
    pub(in crate::store) fn sent_draft(&mut self, thread: ThreadId, text: &str) -> Result<()> {
        let sql = "UPDATE thread SET draft = NULL WHERE thread_id = ?1 AND trim(draft) = ?2";
        if self.change(sql, params![thread.as_bytes(), text.trim()])? > 0 {
            self.note_state(StateKey::Draft(thread))?;
        }
        Ok(())
    }

    /// Mutes a thread until a time; 0 ends that.
    pub(crate) fn set_muted_until(&mut self, thread: ThreadId, until_ms: u64) -> Result<()> {
        let until = i64::try_from(until_ms).unwrap_or(i64::MAX);
        let sql = "UPDATE thread SET muted_until = ?2 WHERE thread_id = ?1 AND muted_until <> ?2";
        if self.change_thread(thread, sql, params![thread.as_bytes(), until])? {
            self.note_state(StateKey::Muted(thread))?;
        }
        Ok(())
    }

    /// Marks a thread as unread, or takes that mark away.
    pub(crate) fn set_marked_unread(&mut self, thread: ThreadId, is_marked: bool) -> Result<()> {
        let sql = "UPDATE thread SET marked_unread = ?2 WHERE thread_id = ?1 AND marked_unread <> ?2";
        if self.change_thread(thread, sql, params![thread.as_bytes(), is_marked])? {
            self.note_state(StateKey::MarkedUnread(thread))?;
        }
        Ok(())
    }

    /// Puts a thread into the archive, or takes it out.
    ///
    /// # Errors
    /// [`Error::WrongState`] for a request, [`Error::NotFound`].
    pub(crate) fn set_archived(&mut self, thread: ThreadId, is_archived: bool) -> Result<()> {
        self.must_be_chat(thread)?;
        let folder = if is_archived { Folder::Archive } else { Folder::Chats };
        let sql = "UPDATE thread SET folder = ?2, pinned = 0 WHERE thread_id = ?1 AND folder <> ?2";
        if self.change_thread(thread, sql, params![thread.as_bytes(), folder.to_stored()])? {
            self.note_archived(thread)?;
            self.note_state(StateKey::Pinned(thread))?;
        }
        Ok(())
    }

    /// Pins a thread below the other pinned ones, or ends that. A thread in the archive is taken out of it.
    ///
    /// # Errors
    /// [`Error::WrongState`] for a request, [`Error::NotFound`].
    pub(crate) fn set_pinned(&mut self, thread: ThreadId, is_pinned: bool) -> Result<()> {
        let mut order = self.pinned_threads()?;
        match (is_pinned, order.contains(&thread)) {
            (true, false) => order.push(thread),
            (false, true) => order.retain(|pinned| *pinned != thread),
            _ => return self.must_be_chat(thread),
        }
        self.set_pinned_order(&order)
    }

    /// Pins exactly these threads, in this order. Threads in the archive are taken out of it.
    ///
    /// # Errors
    /// [`Error::WrongState`] for a request, [`Error::NotFound`].
    pub(crate) fn set_pinned_order(&mut self, order: &[ThreadId]) -> Result<()> {
        for thread in self.pinned_threads()? {
            if !order.contains(&thread) {
                let sql = "UPDATE thread SET pinned = 0 WHERE thread_id = ?1";
                self.change_thread(thread, sql, [thread.as_bytes()])?;
                self.note_state(StateKey::Pinned(thread))?;
            }
        }
        for (thread, rank) in order.iter().rev().zip(1_i64..) {
            self.must_be_chat(*thread)?;
            let sql = "UPDATE thread SET folder = ?3, pinned = ?2
                       WHERE thread_id = ?1 AND (folder <> ?3 OR pinned <> ?2)";
            let values = params![thread.as_bytes(), rank, Folder::Chats.to_stored()];
            if self.change_thread(*thread, sql, values)? {
                self.note_archived(*thread)?;
                self.note_state(StateKey::Pinned(*thread))?;
            }
        }
        Ok(())
    }

    /// Records that a message of ours was added to the thread, at this time by the relay's clock as far as it is known. The
    /// thread moves up in the chats.
    pub(in crate::store) fn note_activity(&mut self, thread: ThreadId, at_ms: u64) -> Result<()> {
        self.change_one(
            "UPDATE thread SET activity = max(activity, ?2), folder = 0, request = 0 WHERE thread_id = ?1",
            params![thread.as_bytes(), to_sql(at_ms)?],
        )
    }

    /// Reports that something has changed that the lists show of a user.
    pub(in crate::store) fn emit_threads_of(&mut self, user: UserId) -> Result<()> {
        let threads: Vec<_> = {
            let mut statement =
                self.connection.prepare_cached("SELECT thread_id FROM member WHERE user_id = ?1")?;
            let rows = statement.query_map([user.as_bytes()], |row| row.get::<_, Vec<u8>>(0))?;
            rows.map(|row| Ok(ThreadId::from_slice(&row?)?)).collect::<Result<_>>()?
        };
        threads.into_iter().for_each(|thread| self.emit(Event::ThreadChanged(thread)));
        Ok(())
    }

    fn must_be_chat(&self, thread: ThreadId) -> Result<()> {
        match self.folder(thread)? {
            Some(Folder::Chats | Folder::Archive) => Ok(()),
            Some(Folder::Requests) => Err(Error::WrongState),
            None if self.kind(thread)?.is_some() => Err(Error::WrongState),
            None => Err(Error::NotFound),
        }
    }

    /// Changes the row of a thread, and reports that if the statement has changed it. Returns whether it has.
    pub(in crate::store) fn change_thread(
        &mut self,
        thread: ThreadId,
        sql: &str,
        values: impl rusqlite::Params,
    ) -> Result<bool> {
        if self.change(sql, values)? > 0 {
            self.emit(Event::ThreadChanged(thread));
            return Ok(true);
        }
        if self.kind(thread)?.is_some() { Ok(false) } else { Err(Error::NotFound) }
    }
}

//! Message requests and blocked people. What may be sent to them is decided in [`right`](super::right).
//!
//! A thread that a stranger has begun is a request until the person accepts it or writes in it. Nothing leaves this device in
//! it before, and the relay is not told that it is accepted. What a blocked person sends in a direct thread is opened, so that the
//! sessions stay in step, and discarded. The relay is told to store nothing more of it, until it has answered.

use rusqlite::{OptionalExtension as _, params};

use super::thread::{Folder, UNLISTED};
use super::{Rows, Thread, Tx, to_sql};
use crate::content::StateKey;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::id::{ThreadId, UserId};

/// A block, or the end of one, of which the relay is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DueBlock {
    pub(crate) user: UserId,
    pub(crate) is_blocked: bool,
}

impl Rows<'_> {
    /// Whether a user is blocked.
    pub(crate) fn is_blocked(&self, user: UserId) -> Result<bool> {
        let sql = "SELECT blocked > 0 FROM contact WHERE user_id = ?1";
        let blocked: Option<Option<bool>> =
            self.connection.prepare_cached(sql)?.query_row([user.as_bytes()], |row| row.get(0)).optional()?;
        Ok(blocked.flatten().unwrap_or(false))
    }

    /// Whether what a user sends in a thread is discarded. In a group, it is not.
    pub(crate) fn is_discarded(&self, thread: ThreadId, sender: UserId) -> Result<bool> {
        let is_direct = matches!(self.kind(thread)?, None | Some(super::ThreadKind::Direct));
        Ok(is_direct && self.is_blocked(sender)?)
    }

    /// Whether the other member of a direct thread is blocked. Nothing is sent to them there.
    pub(crate) fn is_peer_blocked(&self, thread: &Thread) -> Result<bool> {
        thread.peer.map_or(Ok(false), |peer| self.is_discarded(thread.id, peer))
    }

    /// The blocked users, those that were blocked last first.
    pub(crate) fn blocked(&self) -> Result<Vec<UserId>> {
        let sql = "SELECT user_id FROM contact WHERE blocked IS NOT NULL AND blocked > 0 ORDER BY blocked DESC, user_id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
        rows.map(|row| Ok(UserId::from_slice(&row?)?)).collect()
    }

    /// Up to `limit` blocks of which the relay is to be told, of users after this one.
    pub(crate) fn due_blocks(&self, after: Option<UserId>, limit: u32) -> Result<Vec<DueBlock>> {
        let sql = "SELECT user_id, blocked > 0 FROM contact WHERE block_due = 1 AND user_id > ?1 ORDER BY user_id LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let after = after.as_ref().map_or(&[][..], |after| after.as_bytes());
        let rows = statement.query_map(params![after, limit], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Option<bool>>(1)?))
        })?;
        rows.map(|row| {
            let (user, is_blocked) = row?;
            Ok(DueBlock { user: UserId::from_slice(&user)?, is_blocked: is_blocked.unwrap_or(false) })
        })
        .collect()
    }
}

impl Tx<'_> {
    /// Makes a new thread a request, unless another device of ours has accepted it.
    pub(crate) fn set_request(&mut self, thread: ThreadId) -> Result<()> {
        if self.is_accepted_elsewhere(thread)? {
            return Ok(());
        }
        self.change_one(
            "UPDATE thread SET request = 1, folder = ?2 WHERE thread_id = ?1",
            params![thread.as_bytes(), Folder::Requests.to_stored()],
        )
    }

    /// The person accepts a request. Returns false if it was none. The caller wakes the task that tells the relay.
    pub(crate) fn accept_request(&mut self, thread: ThreadId) -> Result<bool> {
        let accepted = self.change(
            "UPDATE thread SET request = 0, folder = ?2 WHERE thread_id = ?1 AND request = 1",
            params![thread.as_bytes(), Folder::Chats.to_stored()],
        )?;
        if accepted > 0 {
            self.note_state(StateKey::Accepted(thread))?;
            self.emit(Event::ThreadChanged(thread));
        }
        Ok(accepted > 0)
    }

    /// Blocks a user, or ends that. A request of theirs is in no list while they are blocked, and what waits to be sent to them by itself is
    /// dropped. Returns false if nothing has changed;
    /// otherwise the caller wakes the task that tells the relay.
    ///
    /// # Errors
    /// [`Error::Misuse`] for ourselves.
    pub(crate) fn set_blocked(&mut self, user: UserId, is_blocked: bool, now_ms: u64) -> Result<bool> {
        if self.our_account()?.1.user == user {
            return Err(Error::Misuse("blocking oneself"));
        }
        if self.is_blocked(user)? == is_blocked {
            return Ok(false);
        }
        self.ensure_contact(user)?;
        self.change_one(
            "UPDATE contact SET blocked = ?2, block_due = 1 WHERE user_id = ?1",
            params![user.as_bytes(), if is_blocked { to_sql(now_ms.max(1))? } else { 0 }],
        )?;
        // One that was deleted has no messages, and stays in no list.
        let (from, to) = match is_blocked {
            true => (Folder::Requests.to_stored(), UNLISTED),
            false => (UNLISTED, Folder::Requests.to_stored()),
        };
        self.change(
            "UPDATE thread SET folder = ?3 WHERE request = 1 AND folder = ?2 AND kind = 1
                AND thread_id IN (SELECT thread_id FROM member WHERE user_id = ?1)
                AND EXISTS (SELECT 1 FROM message WHERE thread_id = thread.thread_id AND hidden IS NULL)",
            params![user.as_bytes(), from, to],
        )?;
        if is_blocked {
            self.drop_mail_to(user)?;
            for group in self.groups_with(user)? {
                self.advance_without_some(group, now_ms)?;
            }
        } else {
            self.release_lanes_with(user)?;
        }
        self.note_state(StateKey::Blocked(user))?;
        self.emit_threads_of(user)?;
        Ok(true)
    }

    /// Records that the relay knows whether a user is blocked, unless that has changed since.
    pub(crate) fn set_block_told(&mut self, told: DueBlock) -> Result<()> {
        let sql = "UPDATE contact SET block_due = 0 WHERE user_id = ?1 AND (blocked IS NOT NULL AND blocked > 0) = ?2";
        self.change(sql, params![told.user.as_bytes(), told.is_blocked]).map(drop)
    }

    /// Makes the relay be told of all blocks again: it was restored from a backup and may have lost them.
    pub(crate) fn tell_blocks_again(&mut self) -> Result<()> {
        self.change("UPDATE contact SET block_due = 1 WHERE blocked IS NOT NULL", []).map(drop)
    }
}

//! Facts about groups that their rows of members tell.

use rusqlite::params;

use crate::error::Result;
use crate::id::{ThreadId, UserId};
use crate::store::Rows;

/// The role of an admin, in `member.role`.
const ADMIN: i64 = 2;
/// In a group with more members than this, only admins can mention everybody.
const MENTIONED_BY_ANYBODY: u32 = 32;

impl Rows<'_> {
    /// How many members a thread has, ourselves included.
    pub(crate) fn count_members(&self, thread: ThreadId) -> Result<u32> {
        let sql = "SELECT count(*) FROM member WHERE thread_id = ?1";
        Ok(self.connection.prepare_cached(sql)?.query_row([thread.as_bytes()], |row| row.get(0))?)
    }

    /// Whether a user is an admin of a group.
    pub(crate) fn is_admin(&self, thread: ThreadId, user: UserId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM member WHERE thread_id = ?1 AND user_id = ?2 AND role = ?3)";
        let values = params![thread.as_bytes(), user.as_bytes(), ADMIN];
        Ok(self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
    }

    /// Whether what a member writes in a thread can be addressed to everybody in it.
    pub(crate) fn may_mention_all(&self, thread: ThreadId, author: UserId) -> Result<bool> {
        Ok(self.is_group(thread)?
            && (self.count_members(thread)? <= MENTIONED_BY_ANYBODY || self.is_admin(thread, author)?))
    }
}

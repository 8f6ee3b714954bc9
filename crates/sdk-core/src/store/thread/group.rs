//! Facts about groups that their rows of members tell.

use rusqlite::params;

use super::GROUP;
use crate::error::Result;
use crate::id::{ThreadId, UserId};
use crate::store::Rows;

/// The role of an admin, in `member.role`.
pub(in crate::store) const ADMIN: i64 = 2;
/// In a group with more members than this, only admins can mention everybody.
const MENTIONED_BY_ANYBODY: u32 = 32;

/// In a group with more members than this, a sample of them sends receipts.
const ALL_CONFIRM: u32 = 256;

/// Whether a member of a group of this size is among those who send receipts: all of them, and in a larger group the half or a quarter of them.
/// Everybody finds the same ones, as long as they agree on about how many members there are.
pub(in crate::store) fn is_in_sample(thread: ThreadId, user: UserId, members: u32) -> bool {
    let parts = members.div_ceil(ALL_CONFIRM).max(1).next_power_of_two();
    let bytes = thread.as_bytes().iter().chain(user.as_bytes());
    let mixed = bytes.fold(0_u32, |mixed, byte| mixed.wrapping_mul(31).wrapping_add(u32::from(*byte)));
    // Of ids that are random, the highest bits of this are.
    mixed.wrapping_mul(0x9e37_79b1) >> 16 & parts.saturating_sub(1) == 0
}

impl Rows<'_> {
    /// Whether we send receipts in a group.
    pub(crate) fn confirms_in_group(&self, thread: ThreadId, us: UserId) -> Result<bool> {
        Ok(is_in_sample(thread, us, self.count_members(thread)?))
    }

    /// The groups that a user is in.
    pub(in crate::store) fn groups_with(&self, user: UserId) -> Result<Vec<ThreadId>> {
        let sql =
            "SELECT thread_id FROM member JOIN thread USING (thread_id) WHERE user_id = ?1 AND kind = ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![user.as_bytes(), GROUP], |row| row.get::<_, Vec<u8>>(0))?;
        rows.map(|row| Ok(ThreadId::from_slice(&row?)?)).collect()
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_members_of_a_small_group_confirm_and_a_few_hundred_of_a_large_one() {
        let thread = ThreadId::from_bytes([0xa7; 16]);
        let user = |n: u32| {
            let random = u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            UserId::from_bytes(random.to_be_bytes())
        };
        for (members, least, most) in [(2, 2, 2), (256, 256, 256), (257, 80, 180), (1_024, 180, 340)] {
            let sample = (0..members).filter(|n| is_in_sample(thread, user(*n), members)).count();
            assert!((least..=most).contains(&sample), "{sample} of {members}");
        }
        // In another group, they are others.
        let other = ThreadId::from_bytes([0xa8; 16]);
        assert!(
            (0..1_024).any(|n| is_in_sample(thread, user(n), 1_024) != is_in_sample(other, user(n), 1_024))
        );
    }
}

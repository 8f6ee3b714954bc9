//! Threads and their members.

mod group;
mod list;
mod note;
mod places;
mod state;

use rusqlite::{OptionalExtension as _, params};

use super::{Rows, Tx, from_sql, to_sql};
use crate::error::{Error, Result, Storage};
use crate::event::Event;
use crate::id::{ThreadId, UserId};

pub use list::{Folder, ThreadCursor};

pub(super) use group::{ADMIN, is_in_sample};
pub(super) use list::UNLISTED;
pub(crate) use list::{Listed, Other};
pub(crate) use places::Gap;
pub(crate) use sealpost_wire::note::note_to_self;

/// What a thread is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ThreadKind {
    /// A conversation of two people. There is one for each pair.
    Direct,
    /// What a person writes for themselves. There is one for each account, and it has no other members.
    NoteToSelf,
    /// A conversation of any number of people, ourselves included.
    Group,
}

pub(super) const DIRECT: i64 = 1;
pub(super) const NOTE_TO_SELF: i64 = 2;
pub(super) const GROUP: i64 = 3;

impl ThreadKind {
    fn from_stored(kind: i64) -> Result<Self> {
        match kind {
            DIRECT => Ok(Self::Direct),
            NOTE_TO_SELF => Ok(Self::NoteToSelf),
            GROUP => Ok(Self::Group),
            _ => Err(Error::Storage(Storage::Corrupt)),
        }
    }
}

/// Selects threads with other members: direct threads once, and groups once for each of them.
const THREAD: &str = "SELECT t.thread_id, m.user_id, t.roster_version, t.kind
    FROM member AS m JOIN thread AS t ON t.thread_id = m.thread_id AND m.user_id IS NOT (SELECT user_id FROM account)";

/// A thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Thread {
    pub(crate) id: ThreadId,
    /// The other member of a direct thread; in the note to self, ourselves. None in a group.
    pub(crate) peer: Option<UserId>,
    pub(crate) roster_version: u64,
}

impl Rows<'_> {
    pub(crate) fn thread(&self, id: ThreadId) -> Result<Option<Thread>> {
        let found = self.one_thread(&format!("{THREAD} WHERE t.thread_id = ?1"), id.as_bytes())?;
        if found.is_some() {
            return Ok(found);
        }
        let sql = format!(
            "SELECT t.thread_id, a.user_id, t.roster_version, t.kind FROM thread AS t, account AS a
             WHERE t.thread_id = ?1 AND t.kind <> {DIRECT}"
        );
        self.one_thread(&sql, id.as_bytes())
    }

    /// The direct thread with a user. A relay that lost its store may have created a second one; the newest counts.
    pub(crate) fn thread_with(&self, peer: UserId) -> Result<Option<Thread>> {
        let sql =
            format!("{THREAD} WHERE m.user_id = ?1 AND t.kind = {DIRECT} ORDER BY t.created DESC LIMIT 1");
        self.one_thread(&sql, peer.as_bytes())
    }

    /// Every thread that has other members, or can have some, in any order.
    pub(crate) fn threads_with_others(&self) -> Result<Vec<ThreadId>> {
        let sql = "SELECT thread_id FROM thread WHERE kind <> ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([NOTE_TO_SELF], |row| row.get::<_, Vec<u8>>(0))?;
        rows.map(|row| Ok(ThreadId::from_slice(&row?)?)).collect()
    }

    /// The kind of a thread; none if there is no such thread.
    pub(crate) fn kind(&self, thread: ThreadId) -> Result<Option<ThreadKind>> {
        let sql = "SELECT kind FROM thread WHERE thread_id = ?1";
        let kind: Option<i64> = self
            .connection
            .prepare_cached(sql)?
            .query_row([thread.as_bytes()], |row| row.get(0))
            .optional()?;
        kind.map(ThreadKind::from_stored).transpose()
    }

    /// Whether a thread is a group.
    pub(crate) fn is_group(&self, thread: ThreadId) -> Result<bool> {
        Ok(self.kind(thread)? == Some(ThreadKind::Group))
    }

    /// The members of a thread except us, in the order of their ids.
    pub(crate) fn others(&self, thread: ThreadId) -> Result<Vec<UserId>> {
        let sql =
            "SELECT user_id FROM member WHERE thread_id = ?1 AND user_id IS NOT (SELECT user_id FROM account)
                   ORDER BY user_id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([thread.as_bytes()], |row| row.get::<_, Vec<u8>>(0))?;
        rows.map(|row| Ok(UserId::from_slice(&row?)?)).collect()
    }

    /// The members of a thread for whose devices its posts are sealed, in the order of their ids: the others, and we if we have other
    /// devices.
    pub(crate) fn recipients(&self, thread: ThreadId) -> Result<Vec<UserId>> {
        let sql = "SELECT user_id FROM member WHERE thread_id = ?1 AND (user_id IS NOT (SELECT user_id FROM account)
                       OR EXISTS (SELECT 1 FROM device WHERE device.user_id = member.user_id AND live = 1))
                   ORDER BY user_id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([thread.as_bytes()], |row| row.get::<_, Vec<u8>>(0))?;
        rows.map(|row| Ok(UserId::from_slice(&row?)?)).collect()
    }

    /// The kind of a thread of which a user is a member; none if they are not, or if there is no such thread.
    pub(crate) fn kind_with(&self, thread: ThreadId, user: UserId) -> Result<Option<ThreadKind>> {
        let sql =
            "SELECT kind FROM thread JOIN member USING (thread_id) WHERE thread_id = ?1 AND user_id = ?2";
        let values = [thread.as_bytes(), user.as_bytes()];
        let kind: Option<i64> =
            self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0)).optional()?;
        kind.map(ThreadKind::from_stored).transpose()
    }

    /// Whether a user is a member of a thread.
    pub(crate) fn is_member(&self, thread: ThreadId, user: UserId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM member WHERE thread_id = ?1 AND user_id = ?2)";
        let values = [thread.as_bytes(), user.as_bytes()];
        Ok(self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
    }

    /// Threads after this one for which the relay may not know that we have accepted them. Groups are accepted in their roster.
    pub(crate) fn threads_to_accept(&self, after: Option<ThreadId>, limit: u32) -> Result<Vec<ThreadId>> {
        let sql = "SELECT thread_id FROM thread WHERE accepted = 0 AND request = 0 AND kind <> ?3 AND thread_id > ?1 ORDER BY thread_id LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let after = after.as_ref().map_or(&[][..], |after| after.as_bytes());
        let rows = statement.query_map(params![after, limit, GROUP], |row| row.get::<_, Vec<u8>>(0))?;
        rows.map(|row| Ok(ThreadId::from_slice(&row?)?)).collect()
    }

    fn one_thread(&self, sql: &str, key: &[u8; 16]) -> Result<Option<Thread>> {
        self.connection
            .prepare_cached(sql)?
            .query_row([key], thread_columns)
            .optional()?
            .map(to_thread)
            .transpose()
    }
}

impl Tx<'_> {
    /// Adds a thread. Does nothing if it exists.
    pub(crate) fn put_thread(&mut self, thread: Thread, now_ms: u64) -> Result<()> {
        let Thread { id, peer, roster_version } = thread;
        // Whether we have accepted a group is in its roster, and its members know us from there.
        let (kind, is_accepted, profile_due) =
            if peer.is_some() { (DIRECT, false, true) } else { (GROUP, true, false) };
        let added = self.change(
            "INSERT INTO thread (thread_id, roster_version, created, activity, kind, accepted, profile_due)
             VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6) ON CONFLICT (thread_id) DO NOTHING",
            params![id.as_bytes(), to_sql(roster_version)?, to_sql(now_ms)?, kind, is_accepted, profile_due],
        )?;
        if added == 1 {
            if let Some(peer) = peer {
                self.add_member(id, peer)?;
                self.change(
                    "INSERT INTO member (thread_id, user_id)
                     SELECT ?1, user_id FROM account WHERE user_id IS NOT NULL ON CONFLICT DO NOTHING",
                    [id.as_bytes()],
                )?;
            }
            self.emit(Event::ThreadAdded(id));
            self.apply_waiting_of(id, now_ms)?;
        }
        Ok(())
    }

    /// Removes a member.
    #[cfg(test)]
    pub(crate) fn remove_member(&mut self, thread: ThreadId, user: UserId) -> Result<()> {
        let row = [thread.as_bytes(), user.as_bytes()];
        self.change_one("DELETE FROM member WHERE thread_id = ?1 AND user_id = ?2", row)
    }

    /// Adds a member.
    pub(crate) fn add_member(&mut self, thread: ThreadId, user: UserId) -> Result<()> {
        self.ensure_contact(user)?;
        let row = [thread.as_bytes(), user.as_bytes()];
        self.change_one("INSERT INTO member (thread_id, user_id) VALUES (?1, ?2)", row)
    }

    /// Records that the relay has stored a message of ours at this time. Nothing in the thread is newer, whatever the local clock
    /// said.
    pub(super) fn set_activity(&mut self, thread: ThreadId, now_ms: u64) -> Result<()> {
        self.change_one(
            "UPDATE thread SET activity = ?2 WHERE thread_id = ?1",
            params![thread.as_bytes(), to_sql(now_ms)?],
        )
    }

    /// Records that the relay knows that we accept the thread: we have created it there, or the relay has answered.
    pub(crate) fn set_accepted(&mut self, thread: ThreadId) -> Result<()> {
        let sql = "UPDATE thread SET accepted = 1, profile_due = iif(profile_due = 2, 1, profile_due),
                   list_due = iif(list_due = 2, 1, list_due) WHERE thread_id = ?1";
        self.change_one(sql, [thread.as_bytes()])
    }

    /// Records that the relay has another thread for these two users instead of this one.
    pub(crate) fn set_superseded(&mut self, thread: ThreadId) -> Result<()> {
        self.change_one("UPDATE thread SET accepted = 2 WHERE thread_id = ?1", [thread.as_bytes()])
    }

    /// Makes the thread be accepted again: the relay may have lost it, or the fact that we have accepted it.
    pub(super) fn accept_once_more(&mut self, thread: ThreadId) -> Result<()> {
        self.change_one("UPDATE thread SET accepted = 0 WHERE thread_id = ?1", [thread.as_bytes()])
    }

    /// Makes every thread be accepted again: the relay was restored from a backup and may have lost what we have accepted.
    pub(crate) fn accept_again(&mut self) -> Result<()> {
        let sql = "UPDATE thread SET accepted = 0 WHERE accepted <> 0 AND kind = ?1";
        self.change(sql, [DIRECT])?;
        Ok(())
    }

    /// Records the version of the roster that the relay has stated. That of a group comes from its entries.
    pub(crate) fn set_roster_version(&mut self, thread: ThreadId, version: u64) -> Result<()> {
        let sql = "UPDATE thread SET roster_version = ?2 WHERE thread_id = ?1 AND kind <> ?3";
        self.change(sql, params![thread.as_bytes(), to_sql(version)?, GROUP]).map(drop)
    }
}

type ThreadColumns = (Vec<u8>, Vec<u8>, i64, i64);

fn thread_columns(row: &rusqlite::Row<'_>) -> rusqlite::Result<ThreadColumns> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

fn to_thread((id, peer, roster_version, kind): ThreadColumns) -> Result<Thread> {
    Ok(Thread {
        id: ThreadId::from_slice(&id)?,
        peer: if kind == GROUP { None } else { Some(UserId::from_slice(&peer)?) },
        roster_version: from_sql(roster_version)?,
    })
}

//! The lists of threads, page by page.

use std::fmt;
use std::str::FromStr;

use rusqlite::{OptionalExtension as _, Params, Row, params};

use super::ThreadKind;
use crate::error::{Error, Result, Storage};
use crate::id::{InvalidId, ThreadId, UserId};
use crate::message::{Message, Position};
use crate::store::contact::trust_from_stored;
use crate::store::{Rows, TrustState, from_sql, to_sql};

/// A list of threads. Each thread is in one of them, or in none after it was deleted on this device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Folder {
    /// The chats.
    Chats,
    /// Chats that the person has put away. A new message takes a chat out of the archive, unless the chat is muted.
    Archive,
    /// Message requests: threads that strangers have begun and that the person has not accepted.
    Requests,
}

/// In no list.
pub(in crate::store) const UNLISTED: i64 = 3;

impl Folder {
    pub(in crate::store) const fn to_stored(self) -> i64 {
        match self {
            Self::Chats => 0,
            Self::Archive => 1,
            Self::Requests => 2,
        }
    }

    /// None for a thread that is in no list.
    pub(super) const fn from_stored(folder: i64) -> Result<Option<Self>> {
        match folder {
            0 => Ok(Some(Self::Chats)),
            1 => Ok(Some(Self::Archive)),
            2 => Ok(Some(Self::Requests)),
            UNLISTED => Ok(None),
            _ => Err(Error::Storage(Storage::Corrupt)),
        }
    }
}

/// A thread in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) id: ThreadId,
    pub(crate) place: ThreadCursor,
    /// None if it is in no list.
    pub(crate) folder: Option<Folder>,
    pub(crate) kind: ThreadKind,
    /// In a group, there may be many, and the list does not show them.
    pub(crate) others: Vec<Other>,
    /// Ourselves included.
    pub(crate) members: u32,
    pub(crate) activity_ms: u64,
    pub(crate) unread: u64,
    pub(crate) mentions: u64,
    pub(crate) is_marked_unread: bool,
    pub(crate) muted_until_ms: Option<u64>,
    pub(crate) draft: Option<String>,
    pub(crate) is_request: bool,
    pub(crate) newest: Option<Message>,
}

/// Another member of a thread, as the list shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Other {
    pub(crate) user: UserId,
    /// What their profile says; empty if there is none.
    pub(crate) name: String,
    pub(crate) trust: TrustState,
    pub(crate) is_blocked: bool,
}

/// The place of a thread in its list: the end of a page, at which the next page begins. Of two threads, the one with the greater
/// place is shown above the other. It changes with the newest message, and when the thread is pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ThreadCursor {
    pinned: i64,
    activity: i64,
    thread: [u8; 16],
}

/// Makes negative numbers sort first as text, too.
const SIGN: u64 = 1 << 63;

/// A text of 64 characters, which sort in the same order.
impl fmt::Display for ThreadCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pinned, activity, thread } = *self;
        let [pinned, activity] = [pinned, activity].map(|number| number.cast_unsigned() ^ SIGN);
        write!(f, "{pinned:016x}{activity:016x}{:032x}", u128::from_be_bytes(thread))
    }
}

impl FromStr for ThreadCursor {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let is_ours = text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        let (pinned, rest) =
            text.split_at_checked(16).filter(|_| is_ours && text.len() == 64).ok_or(InvalidId)?;
        let (activity, thread) = rest.split_at_checked(16).ok_or(InvalidId)?;
        let number = |digits: &str| {
            u64::from_str_radix(digits, 16).map(|number| (number ^ SIGN).cast_signed()).map_err(|_| InvalidId)
        };
        let thread = u128::from_str_radix(thread, 16).map_err(|_| InvalidId)?.to_be_bytes();
        Ok(Self { pinned: number(pinned)?, activity: number(activity)?, thread })
    }
}

impl ThreadCursor {
    /// Whether the person has pinned the thread.
    pub(crate) const fn is_pinned(self) -> bool {
        self.pinned > 0
    }
}

/// Selects what [`columns`] reads.
const COLUMNS: &str =
    "thread_id, kind, pinned, activity, unread, read_position, read_id, folder, mentions, marked_unread,
    muted_until, draft, request FROM thread";

/// A row of the table of threads, and the read mark of the thread.
type Columns = (Vec<u8>, i64, ThreadCursor, Position, Flags);

struct Flags {
    unread: i64,
    folder: i64,
    mentions: i64,
    is_marked_unread: bool,
    muted_until: i64,
    draft: Option<String>,
    is_request: bool,
}

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    let place = ThreadCursor { pinned: row.get(2)?, activity: row.get(3)?, thread: row.get(0)? };
    let flags = Flags {
        unread: row.get(4)?,
        folder: row.get(7)?,
        mentions: row.get(8)?,
        is_marked_unread: row.get(9)?,
        muted_until: row.get(10)?,
        draft: row.get(11)?,
        is_request: row.get(12)?,
    };
    Ok((row.get(0)?, row.get(1)?, place, Position { order: row.get(5)?, id: row.get(6)? }, flags))
}

impl Rows<'_> {
    /// Up to `limit` threads of a list after a place, or the first ones: the pinned ones in their order, then the others, ordered
    /// by their newest message; and the place after which the next page begins.
    pub(crate) fn thread_page(
        &self,
        folder: Folder,
        after: Option<ThreadCursor>,
        limit: u32,
    ) -> Result<(Vec<Listed>, Option<ThreadCursor>)> {
        const FIRST: ThreadCursor = ThreadCursor { pinned: i64::MAX, activity: i64::MAX, thread: [0xff; 16] };
        let ThreadCursor { pinned, activity, thread } = after.unwrap_or(FIRST);
        let sql = format!(
            "SELECT {COLUMNS} WHERE folder = ?5 AND (pinned, activity, thread_id) < (?1, ?2, ?3)
             ORDER BY pinned DESC, activity DESC, thread_id DESC LIMIT ?4"
        );
        let threads = self.listed(&sql, params![pinned, activity, thread, limit, folder.to_stored()])?;
        let is_full = u32::try_from(threads.len()).is_ok_and(|len| len == limit);
        let last = threads.last().filter(|_| is_full).map(|last| last.place);
        Ok((threads, last))
    }

    /// A thread as a list shows it, also if it is in none.
    pub(crate) fn listed_thread(&self, thread: ThreadId) -> Result<Option<Listed>> {
        let sql = format!("SELECT {COLUMNS} WHERE thread_id = ?1");
        Ok(self.listed(&sql, [thread.as_bytes()])?.pop())
    }

    /// How much is unread in the chats and in the archive: the threads with unread messages or a mark of the person, and the
    /// messages, without those of muted threads. Requests do not count.
    pub(crate) fn unread_totals(&self, now_ms: u64) -> Result<(u64, u64)> {
        let sql = "SELECT count(*), coalesce(sum(unread), 0) FROM thread INDEXED BY thread_unread
                   WHERE folder < 2 AND (unread > 0 OR marked_unread = 1) AND (muted_until <= ?1 OR mentions > 0)";
        let totals: (i64, i64) = self
            .connection
            .prepare_cached(sql)?
            .query_row([to_sql(now_ms)?], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok((from_sql(totals.0)?, from_sql(totals.1)?))
    }

    /// The folder of a thread; none if it is in none, or if there is no such thread.
    pub(crate) fn folder(&self, thread: ThreadId) -> Result<Option<Folder>> {
        let sql = "SELECT folder FROM thread WHERE thread_id = ?1";
        let folder = self.connection.prepare_cached(sql)?.query_row([thread.as_bytes()], |row| row.get(0));
        Ok(folder.optional()?.map(Folder::from_stored).transpose()?.flatten())
    }

    /// The threads that a query for [`COLUMNS`] finds.
    fn listed(&self, sql: &str, values: impl Params) -> Result<Vec<Listed>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(values, columns)?;
        rows.map(|row| self.complete_thread(row?)).collect()
    }

    /// The thread of a row, with its members and its newest message.
    fn complete_thread(&self, (id, kind, place, read_mark, flags): Columns) -> Result<Listed> {
        let id = ThreadId::from_slice(&id)?;
        let kind = ThreadKind::from_stored(kind)?;
        let (others, members) = match kind {
            ThreadKind::Group => (Vec::new(), self.count_members(id)?),
            ThreadKind::Direct => (self.others_as_listed(id)?, 2),
            ThreadKind::NoteToSelf => (Vec::new(), 1),
        };
        Ok(Listed {
            id,
            place,
            folder: Folder::from_stored(flags.folder)?,
            kind,
            others,
            members,
            activity_ms: from_sql(place.activity)?,
            unread: from_sql(flags.unread)?,
            mentions: from_sql(flags.mentions)?,
            is_marked_unread: flags.is_marked_unread,
            muted_until_ms: Some(from_sql(flags.muted_until)?).filter(|until| *until > 0),
            draft: flags.draft,
            is_request: flags.is_request,
            newest: self.messages_before(id, Position::LAST, 1, read_mark)?.pop(),
        })
    }

    fn others_as_listed(&self, thread: ThreadId) -> Result<Vec<Other>> {
        let sql = "SELECT m.user_id, c.trust, coalesce(c.blocked, 0) > 0, coalesce(p.name, '')
                   FROM member AS m JOIN contact AS c USING (user_id) LEFT JOIN profile AS p USING (user_id)
                   WHERE m.thread_id = ?1 AND m.user_id IS NOT (SELECT user_id FROM account) ORDER BY m.user_id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([thread.as_bytes()], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?, row.get(2)?, row.get(3)?))
        })?;
        rows.map(|row| {
            let (user, trust, is_blocked, name) = row?;
            Ok(Other { user: UserId::from_slice(&user)?, name, trust: trust_from_stored(trust)?, is_blocked })
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn places_keep_their_order_as_text(pinned: [i64; 2], activity: [i64; 2], thread: [[u8; 16]; 2]) {
            let [a, b] = [0, 1].map(|n| ThreadCursor { pinned: pinned[n], activity: activity[n], thread: thread[n] });
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
            prop_assert_eq!(a.to_string().parse(), Ok(a));
        }
    }

    #[test]
    fn other_texts_are_not_places() {
        let good = ThreadCursor { pinned: 0, activity: 7, thread: [0xab; 16] }.to_string();
        for bad in [
            "",
            "0",
            &good[1..],
            &format!("{good}0"),
            &good.replace('a', "A"),
            &good.replace('0', "+"),
            &"é".repeat(32),
        ] {
            assert_eq!(bad.parse::<ThreadCursor>(), Err(InvalidId), "{bad}");
        }
    }
}

//! The list of threads, page by page.

use std::fmt;
use std::str::FromStr;

use rusqlite::params;

use super::ThreadKind;
use crate::error::Result;
use crate::id::{InvalidId, ThreadId, UserId};
use crate::message::{Message, Position};
use crate::store::{Rows, from_sql};

/// A thread in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) id: ThreadId,
    pub(crate) kind: ThreadKind,
    pub(crate) others: Vec<UserId>,
    pub(crate) activity_ms: u64,
    pub(crate) unread: u64,
    pub(crate) newest: Option<Message>,
}

/// The end of a page of the list of threads, at which the next page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadCursor {
    pinned: i64,
    activity: i64,
    thread: [u8; 16],
}

/// An opaque text, for callers that cannot keep a [`ThreadCursor`].
impl fmt::Display for ThreadCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.pinned, self.activity, ThreadId::from_bytes(self.thread))
    }
}

impl FromStr for ThreadCursor {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let mut parts = text.splitn(3, '.');
        let mut part = || parts.next().ok_or(InvalidId);
        let number = |text: &str| text.parse().map_err(|_| InvalidId);
        let (pinned, activity) = (number(part()?)?, number(part()?)?);
        Ok(Self { pinned, activity, thread: *part()?.parse::<ThreadId>()?.as_bytes() })
    }
}

impl Rows<'_> {
    /// Up to `limit` threads after a cursor, or the first ones, ordered by their newest message; and the cursor of the next page.
    pub(crate) fn thread_page(
        &self,
        after: Option<ThreadCursor>,
        limit: u32,
    ) -> Result<(Vec<Listed>, Option<ThreadCursor>)> {
        const FIRST: ThreadCursor = ThreadCursor { pinned: i64::MAX, activity: i64::MAX, thread: [0xff; 16] };
        let ThreadCursor { pinned, activity, thread } = after.unwrap_or(FIRST);
        let sql = "SELECT thread_id, kind, pinned, activity, unread, read_position, read_id FROM thread
                   WHERE archived = 0 AND (pinned, activity, thread_id) < (?1, ?2, ?3)
                   ORDER BY pinned DESC, activity DESC, thread_id DESC LIMIT ?4";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![pinned, activity, thread, limit], |row| {
            let (id, kind, unread) =
                (row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(4)?);
            Ok((id, kind, row.get(2)?, row.get(3)?, unread, Position { order: row.get(5)?, id: row.get(6)? }))
        })?;
        let (mut threads, mut last) = (Vec::new(), None);
        for row in rows {
            let (id, kind, pinned, activity, unread, read_mark) = row?;
            let id = ThreadId::from_slice(&id)?;
            last = Some(ThreadCursor { pinned, activity, thread: *id.as_bytes() });
            threads.push(Listed {
                id,
                kind: ThreadKind::from_stored(kind)?,
                others: self.others(id)?,
                newest: self.messages_before(id, Position::LAST, 1, read_mark)?.pop(),
                activity_ms: from_sql(activity)?,
                unread: from_sql(unread)?,
            });
        }
        let is_full = u32::try_from(threads.len()).is_ok_and(|len| len == limit);
        Ok((threads, last.filter(|_| is_full)))
    }
}

//! The whole present state of the account, page by page: the tests compare it between devices.

use rusqlite::params;

use super::StateKey;
use crate::content::{MAX_STATE_BYTES, StateItem, Target};
use crate::error::{Error, Result, Storage};
use crate::id::{ClientMsgId, ThreadId, UserId};
use crate::store::{PrivacySetting, Rows};

/// How many threads, contacts, settings or messages are looked at for a page.
const LOOKED_AT: u32 = 64;

/// Where the next page of a snapshot begins: which part of it, and after which row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct StateCursor {
    part: Part,
    after: Vec<u8>,
}

/// The parts of a snapshot, in their order. A companion applies contacts before threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Part {
    #[default]
    Profile,
    Privacy,
    Contacts,
    Threads,
    Timers,
}

impl Part {
    const fn next(self) -> Option<Self> {
        match self {
            Self::Profile => Some(Self::Privacy),
            Self::Privacy => Some(Self::Contacts),
            Self::Contacts => Some(Self::Threads),
            Self::Threads => Some(Self::Timers),
            Self::Timers => None,
        }
    }
}

/// A row that was looked at, and what it is about.
type Looked = (Vec<u8>, Vec<StateKey>);

impl Rows<'_> {
    /// A page of the present state, which fits into one content, and where the next one begins. What has its default value and was not changed
    /// is left out. The pages are not from one moment: what changes in between is told to all devices.
    pub(crate) fn state_snapshot(&self, from: &StateCursor) -> Result<(Vec<StateItem>, Option<StateCursor>)> {
        let (mut items, mut left) = (Vec::new(), MAX_STATE_BYTES);
        let mut at = from.clone();
        loop {
            let looked = self.looked_at(&at)?;
            let is_last = u32::try_from(looked.len()).is_ok_and(|len| len < LOOKED_AT);
            for (row, keys) in looked {
                let of_row = self.present_state(&keys)?.items;
                let size: usize = of_row.iter().map(StateItem::size).sum();
                let Some(after) = left.checked_sub(size) else { return Ok((items, Some(at))) };
                (left, at.after) = (after, row);
                items.extend(of_row);
            }
            if is_last {
                let Some(part) = at.part.next() else { return Ok((items, None)) };
                at = StateCursor { part, after: Vec::new() };
            }
        }
    }

    fn looked_at(&self, StateCursor { part, after }: &StateCursor) -> Result<Vec<Looked>> {
        let corrupt = || Error::Storage(Storage::Corrupt);
        match part {
            Part::Profile => Ok(vec![(vec![1], vec![StateKey::Profile])]),
            Part::Privacy => {
                // The first scope is empty.
                let sql = "SELECT scope FROM privacy WHERE scope > ?1 OR ?2 ORDER BY scope LIMIT ?3";
                let mut statement = self.connection.prepare_cached(sql)?;
                let values =
                    params![after.strip_prefix(&[1]).unwrap_or_default(), after.is_empty(), LOOKED_AT];
                let rows = statement.query_map(values, |row| row.get::<_, Vec<u8>>(0))?;
                rows.map(|scope| {
                    let scope = scope?;
                    let thread = if scope.is_empty() { None } else { Some(ThreadId::from_slice(&scope)?) };
                    let keys = PrivacySetting::ALL.map(|setting| StateKey::Privacy(thread, setting.number()));
                    Ok(([&[1], scope.as_slice()].concat(), keys.to_vec()))
                })
                .collect()
            }
            Part::Contacts => {
                let sql = "SELECT user_id FROM contact WHERE user_id > ?1 ORDER BY user_id LIMIT ?2";
                let mut statement = self.connection.prepare_cached(sql)?;
                let rows = statement.query_map(params![after, LOOKED_AT], |row| row.get::<_, Vec<u8>>(0))?;
                rows.map(|row| {
                    let row = row?;
                    let user = UserId::from_slice(&row)?;
                    let trust = self.account_key_of(user)?.map(|key| StateKey::Trust(user, key.serialize()));
                    Ok((row, trust.into_iter().chain([StateKey::Blocked(user)]).collect()))
                })
                .collect()
            }
            Part::Threads => {
                let sql = "SELECT thread_id FROM thread WHERE thread_id > ?1 ORDER BY thread_id LIMIT ?2";
                let mut statement = self.connection.prepare_cached(sql)?;
                let rows = statement.query_map(params![after, LOOKED_AT], |row| row.get::<_, Vec<u8>>(0))?;
                rows.map(|row| {
                    let row = row?;
                    let keys = of_thread(ThreadId::from_slice(&row)?);
                    Ok((row, keys))
                })
                .collect()
            }
            Part::Timers => {
                let sql = "SELECT id, author, content_id FROM message
                           WHERE expires IS NOT NULL AND state >= 10 AND content_id IS NOT NULL AND id > ?1 ORDER BY id LIMIT ?2";
                let after = after.as_slice().try_into().map_or(0, i64::from_be_bytes);
                let mut statement = self.connection.prepare_cached(sql)?;
                let rows = statement.query_map(params![after, LOOKED_AT], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, Vec<u8>>(2)?))
                })?;
                rows.map(|row| {
                    let (id, author, content) = row?;
                    let message = Target {
                        author: UserId::from_slice(&author)?,
                        id: ClientMsgId::from_slice(&content).map_err(|_| corrupt())?,
                    };
                    Ok((id.to_be_bytes().to_vec(), vec![StateKey::TimerStarted(message)]))
                })
                .collect()
            }
        }
    }
}

fn of_thread(thread: ThreadId) -> Vec<StateKey> {
    vec![
        StateKey::Muted(thread),
        StateKey::Archived(thread),
        StateKey::Pinned(thread),
        StateKey::MarkedUnread(thread),
        StateKey::Draft(thread),
        StateKey::Accepted(thread),
        StateKey::Cleared(thread),
        StateKey::Read(thread),
    ]
}

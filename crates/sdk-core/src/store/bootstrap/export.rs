//! What there is to send to a companion, page by page in a stable order.

use rusqlite::params;

use super::transfer::{Outgoing, Phase, Place};
use crate::content::{
    ContactItem, InThread, Item, MAX_PIECE, MAX_REPLACED, Post, StateKey, ThreadItem, Timer,
};
use crate::error::{Error, Result, Storage};
use crate::id::{ThreadId, UserId};
use crate::store::{Rows, from_sql};

/// How many rows are examined for a page.
pub(super) const ROWS: u32 = 64;
/// How much of what belongs to a message is sent beside it.
pub(super) const BESIDE: usize = MAX_PIECE - 4_096;

/// An item, and where to continue after it.
pub(crate) struct Exported {
    pub(crate) item: Item,
    pub(crate) after: Vec<u8>,
    pub(crate) is_message: bool,
}

/// Some items of a phase.
pub(crate) struct Page {
    pub(crate) items: Vec<Exported>,
    /// Where to continue after all of them; `None` at the end of the phase.
    pub(crate) next: Option<Vec<u8>>,
}

impl Rows<'_> {
    /// The next items of a transfer after a place.
    pub(crate) fn bootstrap_page(&self, out: &Outgoing, at: &Place, now_ms: u64) -> Result<Page> {
        match at.phase {
            Phase::Contacts => self.contact_items(&at.after),
            Phase::Settings => self.setting_items(&at.after),
            Phase::Threads => self.thread_items(&at.after),
            Phase::Messages | Phase::Later if out.since_ms.is_none() => {
                Ok(Page { items: Vec::new(), next: None })
            }
            Phase::Messages | Phase::Later => self.message_items(out, at, now_ms),
            Phase::Done => Ok(Page { items: Vec::new(), next: None }),
        }
    }

    fn contact_items(&self, after: &[u8]) -> Result<Page> {
        let sql = "SELECT user_id, coalesce(blocked, 0) FROM contact
                   WHERE user_id > ?1 AND user_id IS NOT (SELECT user_id FROM account) ORDER BY user_id LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement
            .query_map(params![after, ROWS], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?)))?;
        let mut items = Vec::new();
        for row in rows {
            let (after, blocked) = row?;
            let user = UserId::from_slice(&after)?;
            let contact = ContactItem {
                user,
                account_key: self.account_key_of(user)?.map(|key| key.serialize()),
                list: self.device_list_bytes(user)?,
                replaced: self.replaced_account_keys(user)?,
                blocked_ms: from_sql(blocked)?,
                profile: self.profile(user)?,
                state: self.state_of_contact(user)?,
            };
            items.push(Exported { item: Item::Contact(Box::new(contact)), after, is_message: false });
        }
        Ok(page_of(items))
    }

    fn replaced_account_keys(&self, user: UserId) -> Result<Vec<[u8; 33]>> {
        let sql = "SELECT account_key FROM replaced_account_key WHERE user_id = ?1 LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let limit = i64::try_from(MAX_REPLACED).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![user.as_bytes(), limit], |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Our profile, and then what others are told: the key begins with 0, and is followed by the scope.
    fn setting_items(&self, after: &[u8]) -> Result<Page> {
        let mut items = Vec::new();
        if after.is_empty() {
            let item = Item::State(self.present_state(&[StateKey::Profile])?);
            items.push(Exported { item, after: vec![0], is_message: false });
        }
        // The scope of all threads is empty, and comes first.
        let scope = after.split_first().and_then(|(is_after, scope)| (*is_after == 1).then_some(scope));
        let sql = "SELECT scope FROM privacy WHERE ?1 IS NULL OR scope > ?1 ORDER BY scope LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![scope, ROWS], |row| row.get::<_, Vec<u8>>(0))?;
        for row in rows {
            let scope = row?;
            let thread = if scope.is_empty() { None } else { Some(ThreadId::from_slice(&scope)?) };
            let item = Item::State(self.state_of_privacy(thread)?);
            items.push(Exported { item, after: [&[1][..], &scope].concat(), is_message: false });
        }
        Ok(page_of(items))
    }

    fn thread_items(&self, after: &[u8]) -> Result<Page> {
        let sql = "SELECT thread_id, created, activity, folder, request, timer, timer_position, epoch, seen_up_to FROM thread
                   WHERE thread_id > ?1 ORDER BY thread_id LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![after, ROWS], |row| {
            let numbers: [i64; 3] = [row.get(1)?, row.get(2)?, row.get(6)?];
            let seen: [i64; 2] = [row.get(7)?, row.get(8)?];
            let flags: (u32, bool, u32) = (row.get(3)?, row.get(4)?, row.get(5)?);
            Ok((row.get::<_, Vec<u8>>(0)?, numbers, seen, flags))
        })?;
        let mut items = Vec::new();
        for row in rows {
            let (after, [created, activity, timer_position], [epoch, seen], (folder, is_request, timer)) =
                row?;
            let Some(thread) = self.thread(ThreadId::from_slice(&after)?)? else { continue };
            let thread = ThreadItem {
                of: InThread { thread: thread.id, peer: thread.peer, roster_version: thread.roster_version },
                created_ms: from_sql(created)?,
                activity_ms: from_sql(activity)?,
                folder,
                is_request,
                timer: Timer::new(timer).ok_or(CORRUPT)?,
                timer_position: from_sql(timer_position)?,
                seen: Post { epoch: from_sql(epoch)?, server_seq: from_sql(seen)? },
                state: self.state_of_thread(thread.id)?,
            };
            items.push(Exported { item: Item::Thread(Box::new(thread)), after, is_message: false });
        }
        Ok(page_of(items))
    }
}

pub(super) const CORRUPT: Error = Error::Storage(Storage::Corrupt);

/// A page of rows that each make an item.
fn page_of(items: Vec<Exported>) -> Page {
    let next = items.last().map(|last| last.after.clone());
    Page { items, next }
}

//! The messages that there are to send to a companion. Those that a deletion or a timer has removed are not sent, nor those that have no place
//! in their thread yet: if they get one, the companion receives them like all other devices.

use std::collections::HashMap;

use rusqlite::{OptionalExtension as _, Row, params};

use super::export::{BESIDE, CORRUPT, Exported, Page, ROWS};
use super::transfer::{Outgoing, Phase, Place};
use crate::content::{
    Body, InThread, Item, ItemState, MAX_SAID, MessageItem, Number, Said, Target, Timer, VersionsItem,
};
use crate::error::Result;
use crate::id::{ClientMsgId, MessageId, ThreadId, UserId};
use crate::message::Position;
use crate::store::heard::to_run;
use crate::store::message::{KIND_CONTENT, KIND_DELETED, KIND_UNKNOWN, POSITION_PENDING};
use crate::store::reading::{STATE_INCOMING, STATE_LATE, STATE_READ_LATE};
use crate::store::{Rows, from_sql, to_sql};

/// The size of the bodies after which a page ends.
const PAGE_BYTES: usize = 64 << 10;

/// A thread, for its messages.
#[derive(Clone, Copy)]
struct Context {
    of: InThread,
    read_mark: Position,
    clear_up_to: i64,
}

impl Rows<'_> {
    /// How many messages there are to send.
    pub(crate) fn count_for_bootstrap(&self, since_ms: u64) -> Result<u64> {
        let sql = "SELECT count(*) FROM message WHERE kind IN (1, 3, 4) AND hidden IS NULL AND position < ?1
                   AND coalesce(stored, sent) >= ?2";
        let values = params![POSITION_PENDING, to_sql(since_ms)?];
        from_sql(self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
    }

    /// Before which message a transfer continues with what was not accepted when it began.
    pub(crate) fn first_pending(&self) -> Result<Option<i64>> {
        let sql = "SELECT min(message_id) FROM outgoing WHERE state < 3 AND message_id IS NOT NULL";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    pub(super) fn message_items(&self, out: &Outgoing, at: &Place, now_ms: u64) -> Result<Page> {
        let start = if at.phase == Phase::Later { out.later_after } else { out.newest.saturating_add(1) };
        let (id, versions) = read_key(&at.after)?.unwrap_or((start, None));
        if let Some(from) = versions {
            return self.version_items(MessageId(id), from);
        }
        let order = if at.phase == Phase::Later { "id > ?1 ORDER BY id" } else { "id < ?1 ORDER BY id DESC" };
        let sql = format!("SELECT {COLUMNS} WHERE {order} LIMIT ?2");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![id, ROWS])?;
        let (mut page, mut bytes, mut threads) = (Page { items: Vec::new(), next: None }, 0, HashMap::new());
        while bytes < PAGE_BYTES
            && let Some(row) = rows.next()?
        {
            let columns = Columns::read(row)?;
            page.next = Some(key(columns.id));
            bytes = bytes.saturating_add(columns.body.len());
            let is_due =
                from_sql(columns.stored.unwrap_or(columns.sent))? >= out.since_ms.unwrap_or(u64::MAX);
            let is_gone = columns.hidden.is_some()
                || columns.expires.is_some_and(|at| at <= to_sql(now_ms).unwrap_or(0));
            // What has been sent before is not sent again.
            let is_sent =
                at.phase == Phase::Later && columns.id <= out.newest && columns.state >= STATE_INCOMING;
            if is_due && !is_gone && !is_sent {
                page.items.extend(readable(self.message_item(out, columns, &mut threads))?);
            }
            if page.items.last().is_some_and(|last| last.after.len() > 8) {
                // Its versions follow.
                page.next = page.items.last().map(|last| last.after.clone());
                break;
            }
        }
        Ok(page)
    }

    fn message_item(
        &self,
        out: &Outgoing,
        columns: Columns,
        threads: &mut HashMap<Vec<u8>, Option<Context>>,
    ) -> Result<Option<Exported>> {
        let id = MessageId(columns.id);
        if !threads.contains_key(&columns.thread) {
            let context = self.bootstrap_context(ThreadId::from_slice(&columns.thread)?)?;
            threads.insert(columns.thread.clone(), context);
        }
        let Some(context) = threads.get(&columns.thread).copied().flatten() else { return Ok(None) };
        let place = Position { order: columns.position, id: columns.id };
        let state = match columns.state {
            1 => ItemState::Sent,
            2 => ItemState::Delivered,
            3 => ItemState::ReadByOthers,
            STATE_INCOMING if place > context.read_mark => ItemState::Unread,
            STATE_INCOMING | STATE_READ_LATE => ItemState::Read,
            STATE_LATE => match self.has_late_mark(context.of.thread, columns.late.unwrap_or(0), place)? {
                true => ItemState::Read,
                false => ItemState::Unread,
            },
            _ => return Ok(None),
        };
        let (Some(content_id), true) = (&columns.content_id, columns.position < POSITION_PENDING) else {
            return Ok(None);
        };
        if columns.id <= context.clear_up_to {
            return Ok(None);
        }
        let (mut versions, mut body) = (self.said_versions(id, 0)?, None);
        if matches!(columns.kind, KIND_CONTENT | KIND_UNKNOWN) {
            // What is not accepted yet is not the version that others have.
            let shown = self.newest_accepted_version(id)?.unwrap_or_else(|| columns.body.clone());
            body = Some(Body::from_bytes(&shown).map_err(|_| CORRUPT)?);
        } else if columns.kind != KIND_DELETED {
            return Ok(None);
        }
        let size = |versions: &[Said]| {
            versions.iter().map(|version| version.what.len().saturating_add(64)).sum::<usize>()
        };
        let count = if versions.is_empty() { 0 } else { self.count_versions(id)? };
        // A message that was edited has at least two; those that do not fit follow it.
        let has_more = count > 1
            && (versions.len() < count || size(&versions).saturating_add(columns.body.len()) > BESIDE);
        if has_more || count < 2 {
            versions.clear();
        }
        let time = |time: Option<i64>| time.map_or(Ok(0), from_sql);
        let item = MessageItem {
            of: Some(context.of),
            target: Target {
                author: UserId::from_slice(&columns.author)?,
                id: ClientMsgId::from_slice(content_id)?,
            },
            device: columns.device,
            body,
            sent_ms: from_sql(columns.sent)?,
            server_seq: time(columns.server_seq)?,
            position: from_sql(columns.position)?,
            state,
            number: match (&columns.run, columns.count) {
                (Some(run), Some(count)) => Some(Number { run: to_run(run)?, count: from_sql(count)? }),
                _ => None,
            },
            timer: Timer::new(columns.timer).ok_or(CORRUPT)?,
            expires_ms: time(columns.expires)?,
            after_position: time(columns.after_position)?,
            stored_ms: time(columns.stored)?,
            delivered_ms: time(columns.delivered)?,
            read_ms: time(columns.read)?,
            rank: from_sql(out.newest.saturating_sub(columns.id).saturating_add(1).max(0))?,
            reactions: self.said_reactions(id)?,
            votes: self.said_votes(id)?,
            versions,
            pin: self.said_pin(id)?,
        };
        let after = if has_more { [key(columns.id), vec![0; 8]].concat() } else { key(columns.id) };
        Ok(Some(Exported { item: Item::Message(Box::new(item)), after, is_message: true }))
    }

    fn bootstrap_context(&self, thread: ThreadId) -> Result<Option<Context>> {
        let Some(found) = self.thread(thread)? else { return Ok(None) };
        let sql = "SELECT coalesce(clear_up_to, 0) FROM thread WHERE thread_id = ?1";
        let clear_up_to =
            self.connection.prepare_cached(sql)?.query_row([thread.as_bytes()], |row| row.get(0))?;
        let of = InThread { thread, peer: found.peer, roster_version: found.roster_version };
        Ok(Some(Context { of, read_mark: self.read_mark(thread)?, clear_up_to }))
    }

    /// The versions of a message that follow the first ones.
    fn version_items(&self, id: MessageId, from: u64) -> Result<Page> {
        let versions = self.said_versions(id, from)?;
        let sql =
            "SELECT thread_id, author, content_id FROM message WHERE id = ?1 AND kind = 1 AND hidden IS NULL";
        let of: Option<[Vec<u8>; 3]> = self
            .connection
            .prepare_cached(sql)?
            .query_row([id.0], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))
            .optional()?;
        let (Some([thread, author, content_id]), false) = (of, versions.is_empty()) else {
            return Ok(Page { items: Vec::new(), next: Some(key(id.0)) });
        };
        let count = u64::try_from(versions.len()).unwrap_or(u64::MAX);
        let after = [key(id.0), from.saturating_add(count).to_be_bytes().to_vec()].concat();
        let item = Item::Versions(VersionsItem {
            thread: ThreadId::from_slice(&thread)?,
            target: Target {
                author: UserId::from_slice(&author)?,
                id: ClientMsgId::from_slice(&content_id)?,
            },
            versions,
        });
        Ok(Page {
            items: vec![Exported { item, after: after.clone(), is_message: false }],
            next: Some(after),
        })
    }

    fn said_of(&self, sql: &str, id: MessageId, from: u64) -> Result<Vec<Said>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![id.0, to_sql(from)?])?;
        let (mut all, mut bytes) = (Vec::new(), 0_usize);
        while all.len() < MAX_SAID
            && let Some(row) = rows.next()?
        {
            let said = Said {
                by: row.get(0)?,
                what: row.get(1)?,
                sent_ms: from_sql(row.get(2)?)?,
                position: from_sql(row.get(3)?)?,
            };
            bytes = bytes.saturating_add(said.what.len()).saturating_add(64);
            if bytes > BESIDE && !all.is_empty() {
                break;
            }
            all.push(said);
        }
        Ok(all)
    }

    fn said_versions(&self, id: MessageId, from: u64) -> Result<Vec<Said>> {
        let sql = format!(
            "SELECT content_id, body, sent, position FROM edit WHERE message_id = ?1 AND position < {POSITION_PENDING}
             ORDER BY position, content_id LIMIT -1 OFFSET ?2"
        );
        self.said_of(&sql, id, from)
    }

    fn said_reactions(&self, id: MessageId) -> Result<Vec<Said>> {
        let sql = "SELECT author, CAST(emoji AS BLOB), sent, position FROM reaction WHERE message_id = ?1 AND position > 0
                   ORDER BY author LIMIT -1 OFFSET ?2";
        self.said_of(sql, id, 0)
    }

    fn said_votes(&self, id: MessageId) -> Result<Vec<Said>> {
        let sql = "SELECT author, choices, sent, position FROM vote WHERE message_id = ?1 AND position > 0
                   ORDER BY author LIMIT -1 OFFSET ?2";
        self.said_of(sql, id, 0)
    }

    /// Whether a message was pinned, and when, in place of the time of its content.
    fn said_pin(&self, id: MessageId) -> Result<Option<Said>> {
        let sql = "SELECT zeroblob(16), x'', pinned, position FROM pin WHERE message_id = ?1 AND position > 0
                   LIMIT -1 OFFSET ?2";
        Ok(self.said_of(sql, id, 0)?.pop())
    }

    fn newest_accepted_version(&self, id: MessageId) -> Result<Option<Vec<u8>>> {
        let sql = "SELECT body FROM edit WHERE message_id = ?1 AND position < ?2
                   ORDER BY position DESC, content_id DESC LIMIT 1";
        let values = params![id.0, POSITION_PENDING];
        Ok(self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0)).optional()?)
    }

    fn count_versions(&self, id: MessageId) -> Result<usize> {
        let sql = "SELECT count(*) FROM edit WHERE message_id = ?1 AND position < ?2";
        let count: i64 = self
            .connection
            .prepare_cached(sql)?
            .query_row(params![id.0, POSITION_PENDING], |row| row.get(0))?;
        usize::try_from(count).map_err(|_| CORRUPT)
    }
}

const COLUMNS: &str = "id, thread_id, content_id, author, device, kind, body, sent, server_seq, position, state, run, count, timer,
    expires, after_position, late, hidden, stored, delivered, read FROM message";

struct Columns {
    id: i64,
    thread: Vec<u8>,
    content_id: Option<Vec<u8>>,
    author: Vec<u8>,
    device: u32,
    kind: i64,
    body: Vec<u8>,
    sent: i64,
    server_seq: Option<i64>,
    position: i64,
    state: i64,
    run: Option<Vec<u8>>,
    count: Option<i64>,
    timer: u32,
    expires: Option<i64>,
    after_position: Option<i64>,
    late: Option<i64>,
    hidden: Option<i64>,
    stored: Option<i64>,
    delivered: Option<i64>,
    read: Option<i64>,
}

impl Columns {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            thread: row.get(1)?,
            content_id: row.get(2)?,
            author: row.get(3)?,
            device: row.get(4)?,
            kind: row.get(5)?,
            body: row.get(6)?,
            sent: row.get(7)?,
            server_seq: row.get(8)?,
            position: row.get(9)?,
            state: row.get(10)?,
            run: row.get(11)?,
            count: row.get(12)?,
            timer: row.get(13)?,
            expires: row.get(14)?,
            after_position: row.get(15)?,
            late: row.get(16)?,
            hidden: row.get(17)?,
            stored: row.get(18)?,
            delivered: row.get(19)?,
            read: row.get(20)?,
        })
    }
}

/// The key of a message.
fn key(id: i64) -> Vec<u8> {
    id.to_be_bytes().to_vec()
}

/// A message, and how many of its versions were sent, if there are more; none at the beginning.
fn read_key(key: &[u8]) -> Result<Option<(i64, Option<u64>)>> {
    let (numbers, rest) = key.as_chunks::<8>();
    match (numbers, rest) {
        ([], []) => Ok(None),
        ([id], []) => Ok(Some((i64::from_be_bytes(*id), None))),
        ([id, from], []) => Ok(Some((i64::from_be_bytes(*id), Some(u64::from_be_bytes(*from))))),
        _ => Err(CORRUPT),
    }
}

/// Leaves out what cannot be read, which stops nothing else.
fn readable(item: Result<Option<Exported>>) -> Result<Option<Exported>> {
    match item {
        Err(error) if !error.stops_everything() => {
            tracing::warn!(%error, "a damaged row is not sent to a companion");
            Ok(None)
        }
        item => item,
    }
}

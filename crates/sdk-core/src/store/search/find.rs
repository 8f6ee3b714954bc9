//! Searching: in one thread or in all, of a sender, in a time, the newest first or the best of the newest.

use std::cmp::Reverse;

use rusqlite::{OptionalExtension as _, params};

use super::text::Query;
use crate::error::Result;
use crate::id::MessageId;
use crate::message::{Hit, Hits, Message, Search, SearchOrder};
use crate::store::Rows;

/// The number of candidates that may turn out not to match before a search returns what it has found.
const MAX_MISSES: u32 = 500;
/// The number of candidates that are examined only to find that they are of another thread, sender or time.
const MAX_OTHERS: u32 = 5_000;
/// The number of matches, the newest, of which the best are returned.
const RANKED: u32 = 500;
/// How often a search that is not continued by the caller goes on after one of the limits above.
const STEPS: u32 = 10;

impl Rows<'_> {
    /// The messages that contain words beginning with the given ones and, anywhere, the given runs of characters of
    /// scripts without spaces.
    pub(crate) fn find_messages(&self, search: &Search, limit: u32) -> Result<Hits> {
        let query = Query::new(&search.words).filter(|_| limit > 0);
        let Some(query) = query else { return Ok(Hits::default()) };
        let (found, next) = match search.order {
            SearchOrder::Newest => self.newest_matches(&query, search, limit)?,
            SearchOrder::Best => {
                let (mut found, next) = self.newest_of_many(&query, search, RANKED)?;
                let is_full = u32::try_from(found.len()).is_ok_and(|found| found >= RANKED);
                found.sort_by_cached_key(|message| {
                    let text = message.text().unwrap_or_default();
                    (Reverse(query.whole_words(text)), text.len() / 100, Reverse(message.id))
                });
                found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
                // The rest of 500 matches is not among further ones.
                (found, next.filter(|_| !is_full))
            }
        };
        let hit = |message: Message| Hit { marks: query.marks(message.text().unwrap_or_default()), message };
        Ok(Hits { hits: found.into_iter().map(hit).collect(), next })
    }

    /// The newest messages that contain words, without the places of the words in them.
    pub(crate) fn search_messages(&self, words: &str, limit: u32) -> Result<Vec<Message>> {
        let query = Query::new(words).filter(|_| limit > 0);
        let Some(query) = query else { return Ok(Vec::new()) };
        Ok(self.newest_of_many(&query, &Search::new(words), limit)?.0)
    }

    /// The matches that arrived last, among more candidates than are examined at a time, and where to continue if there may be more.
    fn newest_of_many(
        &self,
        query: &Query,
        search: &Search,
        limit: u32,
    ) -> Result<(Vec<Message>, Option<MessageId>)> {
        let (mut search, mut found) = (search.clone(), Vec::new());
        for _ in 0..STEPS {
            let missing = limit.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
            let (more, next) = self.newest_matches(query, &search, missing)?;
            let is_full = u32::try_from(more.len()).is_ok_and(|more| more >= missing);
            found.extend(more);
            search.before = next;
            if is_full || next.is_none() {
                break;
            }
        }
        Ok((found, search.before))
    }

    /// The matches that arrived last, and where to continue if there may be more.
    fn newest_matches(
        &self,
        query: &Query,
        search: &Search,
        limit: u32,
    ) -> Result<(Vec<Message>, Option<MessageId>)> {
        // The rows are in the order of the index itself, which is read no further than necessary.
        let mut statement = self.connection.prepare_cached(
            "SELECT rowid FROM search WHERE search MATCH ?1 AND rowid < ?2 ORDER BY rowid DESC",
        )?;
        let before = search.before.map_or(i64::MAX, |before| before.0);
        let mut candidates = statement.query(params![query.expression(), before])?;
        let (mut found, mut misses, mut others) = (Vec::new(), 0_u32, 0_u32);
        while let Some(row) = candidates.next()? {
            let id = MessageId(row.get(0)?);
            if !self.is_searched(search, id)? {
                others = others.saturating_add(1);
            } else if let Some(message) = self.message(id)?.filter(|message| matches(query, message)) {
                found.push(message);
            } else {
                misses = misses.saturating_add(1);
            }
            let is_full = u32::try_from(found.len()).is_ok_and(|found| found >= limit);
            if is_full || misses >= MAX_MISSES || others >= MAX_OTHERS {
                return Ok((found, Some(id)));
            }
        }
        Ok((found, None))
    }

    /// Whether a message is in the thread, of the sender and in the time that a search asks for.
    fn is_searched(&self, search: &Search, id: MessageId) -> Result<bool> {
        let Search { thread, sender, from_ms, until_ms, .. } = search;
        if thread.is_none() && sender.is_none() && from_ms.is_none() && until_ms.is_none() {
            return Ok(true);
        }
        let sql = "SELECT (?2 IS NULL OR thread_id = ?2) AND (?3 IS NULL OR author = ?3) AND sent >= ?4 AND sent < ?5
                   FROM message WHERE id = ?1";
        let ms =
            |time: Option<u64>, default| time.map_or(default, |ms| i64::try_from(ms).unwrap_or(i64::MAX));
        let values = params![
            id.0,
            thread.as_ref().map(crate::id::ThreadId::as_bytes),
            sender.as_ref().map(crate::id::UserId::as_bytes),
            ms(*from_ms, 0),
            ms(*until_ms, i64::MAX),
        ];
        let found = self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0)).optional()?;
        Ok(found.unwrap_or(false))
    }
}

fn matches(query: &Query, message: &Message) -> bool {
    message.text().is_some_and(|text| query.matches(text))
}

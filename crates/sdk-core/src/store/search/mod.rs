//! Full-text search, using FTS5 in the same encrypted file.
//!
//! The index is updated in the background in batches, never in the transaction that receives a message, because an
//! index row costs more than the message itself. It contains terms only, not the text. They are removed with the
//! message: FTS5 removes from its pages whatever is passed to it again (`secure-delete`).
//!
//! The index covers the messages between two ids. New messages extend it first. Older ones, such as after a migration
//! that emptied the index, follow from the newest to the oldest.

mod find;
mod marks;
mod text;

use rusqlite::params;

use super::{Rows, Tx};
use crate::content::Body;
use crate::error::Result;
use crate::id::MessageId;
use text::terms;

/// How many messages are indexed in one transaction, so that others do not wait long for the writer.
pub(crate) const INDEX_BATCH: u32 = 100;
/// How many pages of the index are merged in one transaction, for the same reason.
pub(crate) const INDEX_MERGE: u32 = 16;
/// The size of the messages after which a batch ends, so that no batch blocks the writer for long.
const BATCH_BYTES: usize = 16 * 1024;

/// The range of indexed messages: those with ids above `after`, up to `up_to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Indexed {
    pub(super) after: i64,
    pub(super) up_to: i64,
}

impl Indexed {
    const fn covers(self, id: MessageId) -> bool {
        self.after < id.0 && id.0 <= self.up_to
    }
}

impl Rows<'_> {
    /// Whether there are messages that the index does not cover.
    pub(crate) fn index_is_behind(&self) -> Result<bool> {
        let indexed = self.indexed()?;
        let sql = "SELECT EXISTS (SELECT 1 FROM message WHERE id > ?1 OR id <= ?2)";
        let statement = self.connection.prepare_cached(sql);
        Ok(statement?.query_row([indexed.up_to, indexed.after], |row| row.get(0))?)
    }
}

impl Tx<'_> {
    /// Adds up to this many messages to the index: the next new ones, or the newest of the older ones. Returns how
    /// many were examined.
    pub(crate) fn feed_index(&mut self, limit: u32) -> Result<usize> {
        let indexed = self.indexed()?;
        let newer = "SELECT id, kind, body FROM message WHERE id > ?1 ORDER BY id LIMIT ?2";
        let older = "SELECT id, kind, body FROM message WHERE id <= ?1 ORDER BY id DESC LIMIT ?2";
        let mut rows = self.next_batch(newer, indexed.up_to, limit)?;
        if let Some((last, ..)) = rows.last() {
            self.set_indexed(Indexed { up_to: *last, ..indexed })?;
        } else {
            rows = self.next_batch(older, indexed.after, limit)?;
            // FTS5 puts only ascending ids into one segment.
            rows.reverse();
            if let Some((first, ..)) = rows.first() {
                self.set_indexed(Indexed { after: first.saturating_sub(1), ..indexed })?;
            }
        }
        for (id, kind, body) in &rows {
            self.index(*id, *kind, body)?;
        }
        Ok(rows.len())
    }

    /// The first rows, whose total size without the last one is at most [`BATCH_BYTES`].
    fn next_batch(&self, sql: &str, id: i64, limit: u32) -> Result<Vec<(i64, i64, Vec<u8>)>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![id, limit])?;
        let (mut batch, mut bytes) = (Vec::new(), 0_usize);
        while bytes < BATCH_BYTES
            && let Some(row) = rows.next()?
        {
            let body: Vec<u8> = row.get(2)?;
            bytes = bytes.saturating_add(body.len());
            batch.push((row.get(0)?, row.get(1)?, body));
        }
        Ok(batch)
    }

    /// Merges a few pages of the index, and returns whether there may be more to merge. FTS5 would merge
    /// automatically while it is updated, without a limit on the amount.
    pub(crate) fn merge_index(&mut self, pages: u32) -> Result<bool> {
        let before = self.connection.total_changes();
        self.change("INSERT INTO search (search, rank) VALUES ('merge', ?1)", [pages])?;
        // The statement itself counts as one change (FTS5, section 6.8).
        Ok(self.connection.total_changes().saturating_sub(before) > 1)
    }

    /// Indexes a message that gets its text only after its id was passed.
    pub(super) fn index_late(&mut self, id: MessageId) -> Result<()> {
        if !self.indexed()?.covers(id) {
            return Ok(());
        }
        let (kind, body) = self.kind_and_body(id)?;
        self.index(id.0, kind, &body)
    }

    fn index(&mut self, id: i64, kind: i64, body: &[u8]) -> Result<()> {
        if let Some(terms) = terms_of(kind, body) {
            self.change_one("INSERT INTO search (rowid, terms) VALUES (?1, ?2)", params![id, terms])?;
        }
        Ok(())
    }

    /// Removes a message from the index, before its text is deleted.
    pub(super) fn unindex(&mut self, id: MessageId) -> Result<()> {
        if !self.indexed()?.covers(id) {
            return Ok(());
        }
        let (kind, body) = self.kind_and_body(id)?;
        if let Some(terms) = terms_of(kind, &body) {
            let sql = "INSERT INTO search (search, rowid, terms) VALUES ('delete', ?1, ?2)";
            self.change(sql, params![id.0, terms])?;
        }
        Ok(())
    }

    fn kind_and_body(&self, id: MessageId) -> Result<(i64, Vec<u8>)> {
        let mut statement = self.connection.prepare_cached("SELECT kind, body FROM message WHERE id = ?1")?;
        Ok(statement.query_row([id.0], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }
}

/// The terms of a stored message, if it is a text.
fn terms_of(kind: i64, body: &[u8]) -> Option<String> {
    match (kind, Body::from_bytes(body)) {
        (super::message::KIND_CONTENT, Ok(Body::Text(text))) => {
            Some(terms(&text.text)).filter(|terms| !terms.is_empty())
        }
        _ => None,
    }
}

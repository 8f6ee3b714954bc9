//! Full-text search: FTS5 in the same encrypted file.
//!
//! The index is fed in the background in batches, never in the transaction that receives: a row of it costs more
//! than the message itself. It holds words only (no copy of the text), and loses them with the message.

use rusqlite::params;

use super::{Rows, Tx};
use crate::content::Body;
use crate::error::Result;
use crate::id::MessageId;
use crate::message::Message;

impl Rows<'_> {
    /// Messages with words that begin with the given ones, newest first.
    pub(crate) fn search(&self, words: &str, limit: u32) -> Result<Vec<Message>> {
        let Some(query) = prefix_query(words) else { return Ok(Vec::new()) };
        let mut statement = self
            .connection
            .prepare_cached("SELECT rowid FROM search WHERE search MATCH ?1 ORDER BY rowid DESC LIMIT ?2")?;
        let ids =
            statement.query_map(params![query, limit], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
        ids.into_iter().filter_map(|id| self.message(MessageId(id)).transpose()).collect()
    }
}

impl Tx<'_> {
    /// Adds the next messages to the index; how many it looked at.
    pub(crate) fn feed_index(&mut self, limit: u32) -> Result<usize> {
        let after = self.indexed_up_to()?;
        let sql = "SELECT id, kind, body FROM message WHERE id > ?1 ORDER BY id LIMIT ?2";
        let rows = {
            let mut statement = self.connection.prepare_cached(sql)?;
            let rows = statement.query_map(params![after, limit], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, Vec<u8>>(2)?))
            })?;
            rows.collect::<Result<Vec<_>, _>>()?
        };
        for (id, kind, body) in &rows {
            self.index(*id, *kind, body)?;
        }
        if let Some((last, ..)) = rows.last() {
            self.set_indexed_up_to(*last)?;
        }
        Ok(rows.len())
    }

    /// Adds a message that has got its words only now, when its turn is over.
    pub(super) fn index_late(&mut self, id: MessageId) -> Result<()> {
        if id.0 > self.indexed_up_to()? {
            return Ok(());
        }
        let sql = "SELECT kind, body FROM message WHERE id = ?1";
        let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?));
        let (kind, body) = self.connection.prepare_cached(sql)?.query_row([id.0], row)?;
        self.index(id.0, kind, &body)
    }

    fn index(&mut self, id: i64, kind: i64, body: &[u8]) -> Result<()> {
        if let (super::message::KIND_TEXT, Ok(Body::Text(text))) = (kind, Body::from_bytes(body)) {
            self.change_one("INSERT INTO search (rowid, text) VALUES (?1, ?2)", params![id, text])?;
        }
        Ok(())
    }

    /// Takes a message out of the index.
    pub(super) fn unindex(&mut self, id: MessageId) -> Result<()> {
        if id.0 <= self.indexed_up_to()? {
            self.change("DELETE FROM search WHERE rowid = ?1", [id.0])?;
        }
        Ok(())
    }
}

/// Every word as a quoted prefix, so that nothing a person types is taken for query syntax.
fn prefix_query(words: &str) -> Option<String> {
    let words = words
        .split_whitespace()
        .filter(|word| word.chars().any(char::is_alphanumeric))
        .map(|word| format!("\"{}\"*", word.replace('"', "\"\"")));
    let query = words.collect::<Vec<_>>().join(" ");
    (!query.is_empty()).then_some(query)
}

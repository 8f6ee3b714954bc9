//! Reactions: one for each person and message. The one whose content is last in the thread counts.

use rusqlite::{OptionalExtension as _, params};

use super::waiting::Origin;
use super::{Rows, Tx, from_sql, to_sql};
use crate::error::Result;
use crate::id::{MessageId, ThreadId, UserId};
use crate::message::{Reaction, ReactionCount};

/// How many different emoji a message shows; the most frequent ones.
pub(super) const MAX_SHOWN: u32 = 20;

impl Rows<'_> {
    /// The most frequent emoji of a message, and how many people have chosen each.
    pub(super) fn reaction_counts(&self, message: MessageId) -> Result<Vec<ReactionCount>> {
        let sql = "SELECT emoji, count(*), max(author IS (SELECT user_id FROM account)) FROM reaction
                   WHERE message_id = ?1 AND emoji > '' GROUP BY emoji ORDER BY count(*) DESC, emoji LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([message.0, i64::from(MAX_SHOWN)], |row| {
            Ok(ReactionCount { emoji: row.get(0)?, count: row.get(1)?, is_ours: row.get(2)? })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Up to `limit` reactions to a message of this thread, in the order of the users' ids, after the one of a user.
    pub(crate) fn reactions(
        &self,
        (thread, message): (ThreadId, MessageId),
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<Reaction>> {
        let sql = "SELECT r.author, r.emoji, r.sent FROM reaction AS r
                   WHERE r.message_id = ?1 AND r.author > ?3 AND r.emoji > ''
                       AND EXISTS (SELECT 1 FROM message WHERE id = ?1 AND thread_id = ?2)
                   ORDER BY r.author LIMIT ?4";
        let mut statement = self.connection.prepare_cached(sql)?;
        let after = after.as_ref().map_or(&[][..], |after| after.as_bytes());
        let rows = statement.query_map(params![message.0, thread.as_bytes(), after, limit], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?, row.get::<_, i64>(2)?))
        })?;
        rows.map(|row| {
            let (author, emoji, sent) = row?;
            Ok(Reaction { author: UserId::from_slice(&author)?, emoji, sent_ms: from_sql(sent)? })
        })
        .collect()
    }
}

impl Tx<'_> {
    /// Replaces the reaction of a person to a message, or removes it if the new one is empty. Does nothing if a later content of
    /// the person did so already.
    pub(crate) fn react(&mut self, message: MessageId, origin: &Origin, emoji: &str) -> Result<()> {
        let author = origin.author.as_bytes();
        let known: Option<(String, i64)> = self
            .connection
            .prepare_cached("SELECT emoji, position FROM reaction WHERE message_id = ?1 AND author = ?2")?
            .query_row(params![message.0, author], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (old, position) = known.unwrap_or_default();
        if position > origin.order {
            return Ok(());
        }
        self.change_one(
            "INSERT INTO reaction (message_id, author, emoji, sent, position) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET emoji = excluded.emoji, sent = excluded.sent, position = excluded.position",
            params![message.0, author, emoji, to_sql(origin.sent_ms)?, origin.order],
        )?;
        if old == emoji {
            return Ok(());
        }
        let more = i64::from(!emoji.is_empty()).saturating_sub(i64::from(!old.is_empty()));
        let sql = "UPDATE message SET reactions = max(reactions + ?2, 0) WHERE id = ?1";
        self.change_one(sql, [message.0, more])?;
        self.emit_changed(message)
    }
}

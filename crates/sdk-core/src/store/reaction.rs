//! Reactions: one for each person and message. The one whose content is last in the thread counts.
//!
//! Until the relay has accepted a content of ours, what it says is shown (`pending`), and what it replaces is kept.

use rusqlite::{OptionalExtension as _, params};

use super::message::{KIND_DELETED, POSITION_PENDING};
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
        let sql = "SELECT coalesce(pending, emoji), count(*), max(author IS (SELECT user_id FROM account)) FROM reaction
                   WHERE message_id = ?1 AND coalesce(pending, emoji) > '' GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT ?2";
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
        let sql = "SELECT r.author, coalesce(r.pending, r.emoji), coalesce(r.pending_sent, r.sent) FROM reaction AS r
                   WHERE r.message_id = ?1 AND r.author > ?3 AND coalesce(r.pending, r.emoji) > ''
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
        let before = self.shown_reaction(message, origin.author)?;
        let (author, sent) = (origin.author.as_bytes(), to_sql(origin.sent_ms)?);
        if origin.order == POSITION_PENDING {
            self.change_one(
                "INSERT INTO reaction (message_id, author, emoji, sent, position, pending, pending_sent, pending_by)
                 VALUES (?1, ?2, '', ?4, 0, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET pending = excluded.pending, pending_sent = excluded.pending_sent,
                    pending_by = excluded.pending_by",
                params![message.0, author, emoji, sent, origin.content_id.as_bytes()],
            )?;
        } else {
            self.change(
                "INSERT INTO reaction (message_id, author, emoji, sent, position) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET emoji = excluded.emoji, sent = excluded.sent, position = excluded.position
                    WHERE position <= excluded.position",
                params![message.0, author, emoji, sent, origin.order],
            )?;
        }
        self.report_reaction(message, origin.author, &before)
    }

    /// A reaction of ours has a place in the thread now, or was refused for good.
    pub(super) fn settle_reaction(
        &mut self,
        message: MessageId,
        origin: &Origin,
        accepted: Option<&str>,
    ) -> Result<()> {
        if let Some(emoji) = accepted {
            self.react(message, origin, emoji)?;
        }
        let before = self.shown_reaction(message, origin.author)?;
        self.change(
            "UPDATE reaction SET pending = NULL, pending_sent = NULL, pending_by = NULL
             WHERE message_id = ?1 AND author = ?2 AND pending_by = ?3",
            params![message.0, origin.author.as_bytes(), origin.content_id.as_bytes()],
        )?;
        self.report_reaction(message, origin.author, &before)
    }

    /// The reaction of a person that is shown; empty if there is none.
    fn shown_reaction(&self, message: MessageId, author: UserId) -> Result<String> {
        let sql = "SELECT coalesce(pending, emoji) FROM reaction WHERE message_id = ?1 AND author = ?2";
        let values = params![message.0, author.as_bytes()];
        let shown = self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0)).optional()?;
        Ok(shown.unwrap_or_default())
    }

    /// Counts the people who have reacted, and reports the change, if another reaction of a person is shown than before.
    fn report_reaction(&mut self, message: MessageId, author: UserId, before: &str) -> Result<()> {
        let now = self.shown_reaction(message, author)?;
        if now == before {
            return Ok(());
        }
        let more = i64::from(!now.is_empty()).saturating_sub(i64::from(!before.is_empty()));
        // They are counted again if a deletion is taken back.
        let sql = "UPDATE message SET reactions = max(reactions + ?2, 0) WHERE id = ?1 AND kind <> ?3";
        if self.change(sql, [message.0, more, KIND_DELETED])? == 0 {
            return Ok(());
        }
        self.emit_changed(message)
    }
}

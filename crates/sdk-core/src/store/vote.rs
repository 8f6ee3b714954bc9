//! Votes in polls: one for each person and poll. The one whose content is last in the thread counts.
//!
//! Until the relay has accepted a content of ours, what it says is shown (`pending`), and what it replaces is kept.

use rusqlite::{OptionalExtension as _, params};

use super::message::POSITION_PENDING;
use super::waiting::Origin;
use super::{Rows, Tx, from_sql, to_sql};
use crate::content::{Body, Choices};
use crate::error::Result;
use crate::id::{MessageId, ThreadId, UserId};
use crate::message::{Poll, Vote};

impl Rows<'_> {
    /// Counts the votes in a poll.
    pub(super) fn tally(&self, message: MessageId, poll: &mut Poll) -> Result<()> {
        // At most as many rows as there are different choices, and at most one for each member.
        let sql = "SELECT coalesce(pending, choices), count(*), max(author IS (SELECT user_id FROM account)) FROM vote
                   WHERE message_id = ?1 AND coalesce(pending, choices) > x'' GROUP BY 1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([message.0])?;
        while let Some(row) = rows.next()? {
            let (choices, count, is_ours): (Vec<u8>, u32, bool) = (row.get(0)?, row.get(1)?, row.get(2)?);
            poll.voters = poll.voters.saturating_add(count);
            for choice in choices {
                if let Some(option) = poll.options.get_mut(usize::from(choice)) {
                    option.votes = option.votes.saturating_add(count);
                    option.is_ours |= is_ours;
                }
            }
        }
        Ok(())
    }

    /// Up to `limit` votes in a poll of this thread, in the order of the users' ids, after the one of a user.
    pub(crate) fn votes(
        &self,
        (thread, message): (ThreadId, MessageId),
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<Vote>> {
        let sql =
            "SELECT v.author, coalesce(v.pending, v.choices), coalesce(v.pending_sent, v.sent) FROM vote AS v
                   WHERE v.message_id = ?1 AND v.author > ?3 AND coalesce(v.pending, v.choices) > x''
                       AND EXISTS (SELECT 1 FROM message WHERE id = ?1 AND thread_id = ?2)
                   ORDER BY v.author LIMIT ?4";
        let mut statement = self.connection.prepare_cached(sql)?;
        let after = after.as_ref().map_or(&[][..], |after| after.as_bytes());
        let rows = statement.query_map(params![message.0, thread.as_bytes(), after, limit], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, i64>(2)?))
        })?;
        rows.map(|row| {
            let (author, choices, sent) = row?;
            Ok(Vote {
                author: UserId::from_slice(&author)?,
                choices: choices.into_iter().map(u32::from).collect(),
                sent_ms: from_sql(sent)?,
            })
        })
        .collect()
    }
}

impl Tx<'_> {
    /// Replaces the vote of a person in a poll, or withdraws it. Returns false if that has no effect, because the message is not a
    /// poll, or does not allow these choices. Does nothing if a later content of the person did so already.
    pub(crate) fn vote(&mut self, message: MessageId, origin: &Origin, choices: &Choices) -> Result<bool> {
        match self.kept_content_of(origin.thread, message)? {
            Some((_, _, Body::Poll(poll))) if poll.allows(choices) => {}
            _ => return Ok(false),
        }
        let before = self.shown_vote(message, origin.author)?;
        let (author, sent) = (origin.author.as_bytes(), to_sql(origin.sent_ms)?);
        if origin.order == POSITION_PENDING {
            self.change_one(
                "INSERT INTO vote (message_id, author, choices, sent, position, pending, pending_sent, pending_by)
                 VALUES (?1, ?2, x'', ?4, 0, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET pending = excluded.pending, pending_sent = excluded.pending_sent,
                    pending_by = excluded.pending_by",
                params![message.0, author, choices.as_bytes(), sent, origin.content_id.as_bytes()],
            )?;
        } else {
            self.change(
                "INSERT INTO vote (message_id, author, choices, sent, position) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET choices = excluded.choices, sent = excluded.sent, position = excluded.position
                    WHERE position <= excluded.position",
                params![message.0, author, choices.as_bytes(), sent, origin.order],
            )?;
        }
        if self.shown_vote(message, origin.author)? != before {
            self.emit_changed(message)?;
        }
        Ok(true)
    }

    /// A vote of ours has a place in the thread now, or was refused for good.
    pub(super) fn settle_vote(
        &mut self,
        message: MessageId,
        origin: &Origin,
        accepted: Option<&Choices>,
    ) -> Result<()> {
        if let Some(choices) = accepted {
            self.vote(message, origin, choices)?;
        }
        let before = self.shown_vote(message, origin.author)?;
        self.change(
            "UPDATE vote SET pending = NULL, pending_sent = NULL, pending_by = NULL
             WHERE message_id = ?1 AND author = ?2 AND pending_by = ?3",
            params![message.0, origin.author.as_bytes(), origin.content_id.as_bytes()],
        )?;
        if self.shown_vote(message, origin.author)? != before {
            self.emit_changed(message)?;
        }
        Ok(())
    }

    /// What a person has chosen, as it is shown; empty if nothing.
    fn shown_vote(&self, message: MessageId, author: UserId) -> Result<Vec<u8>> {
        let sql = "SELECT coalesce(pending, choices) FROM vote WHERE message_id = ?1 AND author = ?2";
        let values = params![message.0, author.as_bytes()];
        let shown = self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0)).optional()?;
        Ok(shown.unwrap_or_default())
    }
}

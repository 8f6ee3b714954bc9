//! What the relay's answer means for a content of ours that changes a message.

use rusqlite::{OptionalExtension as _, params};

use super::waiting::Origin;
use super::{Found, OutgoingId, Tx, from_sql};
use crate::content::{Body, Class, EmojiSequence};
use crate::error::Result;
use crate::event::{ChangeKind, Event};
use crate::id::{ClientMsgId, MessageId, ThreadId};
use crate::message::FailReason;

impl Tx<'_> {
    /// The relay has stored a content that nobody sees: it has this place in the thread.
    pub(super) fn accept_change(&mut self, id: OutgoingId, lane: ThreadId, order: i64) -> Result<()> {
        let Some((origin, body, Some(message))) = self.queued_change(id, lane, order)? else { return Ok(()) };
        match body {
            Body::Reaction(reaction) => {
                let emoji = reaction.emoji.as_ref().map_or("", EmojiSequence::as_str);
                self.settle_reaction(message, &origin, Some(emoji))
            }
            Body::Edit(_) => self.settle_edit(message, &origin, true),
            Body::Delete(_) | Body::DeleteOf(_) => self.erase(lane, message),
            Body::Vote(vote) => self.settle_vote(message, &origin, Some(&vote.choices)),
            Body::Pin(pin) => self.settle_pin(message, &origin, Some(pin.is_pinned)),
            _ => Ok(()),
        }
    }

    /// A content that nobody sees will not be sent. What it has changed on this device is taken back, and the person is told.
    pub(super) fn fail_change(&mut self, id: OutgoingId, lane: ThreadId, reason: FailReason) -> Result<()> {
        let Some((origin, body, message)) = self.queued_change(id, lane, 0)? else { return Ok(()) };
        let change = match body {
            Body::Reaction(_) => ChangeKind::Reaction,
            Body::Edit(_) => ChangeKind::Edit,
            Body::Delete(_) | Body::DeleteOf(_) => ChangeKind::Deletion,
            Body::Vote(_) => ChangeKind::Vote,
            Body::Pin(_) => ChangeKind::Pin,
            _ => return Ok(()),
        };
        if let Some(message) = message {
            match change {
                ChangeKind::Reaction => self.settle_reaction(message, &origin, None)?,
                ChangeKind::Edit => self.settle_edit(message, &origin, false)?,
                // Another deletion of it was accepted: it has not returned.
                ChangeKind::Deletion if !self.take_back_deletion(lane, message)? => return Ok(()),
                ChangeKind::Deletion => {}
                ChangeKind::Vote => self.settle_vote(message, &origin, None)?,
                ChangeKind::Pin => self.settle_pin(message, &origin, None)?,
            }
        }
        self.emit(Event::ChangeFailed { thread: lane, message, change, reason });
        Ok(())
    }

    /// A queued content that changes a message, and that message if it is still here.
    fn queued_change(
        &self,
        id: OutgoingId,
        thread: ThreadId,
        order: i64,
    ) -> Result<Option<(Origin, Body, Option<MessageId>)>> {
        let sql = "SELECT content_id, sent, body FROM outgoing WHERE id = ?1 AND class = ?2";
        let values = params![id.0, Class::Ordinary.to_stored()];
        let row = self.connection.prepare_cached(sql)?.query_row(values, |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?, row.get::<_, Vec<u8>>(2)?))
        });
        let Some((content_id, sent, body)) = row.optional()? else { return Ok(None) };
        let Ok(body) = Body::from_bytes(&body) else { return Ok(None) };
        let author = self.our_account()?.1.user;
        let Some(target) = body.target(author) else { return Ok(None) };
        let message = match (&body, self.find(thread, target)?) {
            // It is shown as deleted.
            (Body::Delete(_) | Body::DeleteOf(_), Found::Gone) => {
                self.message_of_thread(thread, target.author, target.id)?
            }
            (_, Found::Here(message)) => Some(message),
            _ => None,
        };
        let content_id = ClientMsgId::from_slice(&content_id)?;
        Ok(Some((Origin { thread, author, content_id, sent_ms: from_sql(sent)?, order }, body, message)))
    }
}

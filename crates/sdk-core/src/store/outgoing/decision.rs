//! What a person decides about a message that waits or has failed: to send it again, to give it up, or to remove it.

use rusqlite::params;

use super::super::message::POSITION_PENDING;
use super::super::{Tx, stage, to_sql};
use super::{SEALED, TO_SEAL};
use crate::error::{Error, Result};
use crate::id::MessageId;
use crate::message::{Delivery, DeliveryEvent, Direction, FailReason, Message};

impl Tx<'_> {
    /// Queues a failed message again, as the same content: a recipient who has it already does not see it twice.
    pub(crate) fn retry(&mut self, id: MessageId, sent_ms: u64) -> Result<()> {
        if self.message(id)?.is_some() {
            self.moves(id)?;
        }
        let sql = format!(
            "UPDATE message SET state = {after}, cause = NULL, sent = ?2, position = ?3
             WHERE id = ?1 AND state <> {after} AND kind = 1",
            after = stage::state_after(DeliveryEvent::Retried)
        );
        if self.change(&sql, params![id.0, to_sql(sent_ms)?, POSITION_PENDING])? == 0 {
            return Err(Error::NotFound);
        }
        self.judge_apart(id, sent_ms)?;
        self.change_one(
            "INSERT INTO outgoing (lane, message_id, content_id, sent, class, body, state, timer, run, count)
             SELECT thread_id, id, content_id, sent, 1, body, 1, timer,
                 iif(run = of_thread, run, NULL), iif(run = of_thread, count, NULL)
             FROM (SELECT *, (SELECT run FROM thread WHERE thread.thread_id = message.thread_id) AS of_thread FROM message)
             WHERE id = ?1",
            [id.0],
        )?;
        self.set_entry_of(id)?;
        self.change(
            "INSERT INTO lane (lane, due) SELECT thread_id, 0 FROM message WHERE id = ?1 ON CONFLICT DO NOTHING",
            [id.0],
        )?;
        self.emit_changed(id)
    }

    /// Gives up a message that waits, whether or not it was submitted, so that those behind it continue. It is shown as
    /// failed. The recipient may have it nevertheless, and a receipt for it is still accepted.
    pub(crate) fn give_up(&mut self, id: MessageId) -> Result<()> {
        let Some(Message { thread, .. }) = self.message(id)? else { return Err(Error::NotFound) };
        let entry = self.entry_of(id, &[TO_SEAL, SEALED])?.ok_or(Error::NotFound)?;
        self.change("UPDATE lane SET due = 0 WHERE lane = ?1 AND due <> 0", [thread.as_bytes()])?;
        self.fail(entry, thread, Some(id), FailReason::GivenUp)
    }

    /// Removes a message that was never submitted, or has failed. Returns `false` if it may have been submitted.
    pub(crate) fn cancel(&mut self, id: MessageId) -> Result<bool> {
        let Some(Message { thread, direction, .. }) = self.message(id)? else { return Err(Error::NotFound) };
        if matches!(
            direction,
            Direction::Outgoing(Delivery::Sent | Delivery::Delivered | Delivery::Read | Delivery::Expired)
        ) {
            return Ok(false);
        }
        let content = self.content_of(thread, id)?;
        let number = self.number_of_message(id, thread)?;
        let waits = self.entry_of(id, &[TO_SEAL])?;
        if let Some(waits) = waits {
            self.remove_outgoing(waits, thread)?;
            if let Some((author, content_id, _)) = content {
                self.forget_changes_of(thread, author, content_id)?;
            }
            // The entries behind it need not wait for what it waited for.
            self.change("UPDATE lane SET due = 0 WHERE lane = ?1 AND due <> 0", [thread.as_bytes()])?;
        }
        // A failed message was refused or never sealed, or its outcome is unknown (too old). Then it may have arrived,
        // which its removal here does not change.
        let failed = matches!(direction, Direction::Outgoing(Delivery::Failed(_)));
        let removed = waits.is_some() || failed;
        if removed {
            self.delete_message(thread, id)?;
            if let Some(number) = number {
                self.fill_number(thread, number)?;
            }
        }
        Ok(removed)
    }
}

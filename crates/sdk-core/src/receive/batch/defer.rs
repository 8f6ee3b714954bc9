//! Envelopes that are kept: what could not be opened, and what could not be processed and is tried again.

use std::sync::Arc;

use prost::Message as _;

use super::Batch;
use crate::contact::named_lists;
use crate::error::Result;
use crate::id::{MessageId, UserId};
use crate::message::Undecryptable;
use crate::receive::envelope::{AnyEnvelope, Envelope};
use crate::store::{CiphertextId, NewDeferred};

impl Batch<'_, '_> {
    pub(super) fn defer_unhandled(&mut self, envelope: &Envelope) -> Result<()> {
        if envelope.source().is_impossible(self.us)
            || self.tx.is_discarded(envelope.thread, envelope.sender)?
        {
            return Ok(());
        }
        // Only what is inside says with whom another device of ours has begun a thread.
        if envelope.sender == self.us.user && self.tx.kind(envelope.thread)?.is_none() {
            return self.defer(envelope, None, self.ctx.server_now_ms());
        }
        let part = self.tx.begin_part()?;
        match self.represent(envelope) {
            Ok(begun) => {
                self.begun |= begun;
                return self.tx.keep_part(part);
            }
            Err(error) if error.stops_everything() => return Err(error),
            Err(error) => tracing::warn!(%error, "a message for an envelope could not be stored"),
        }
        self.tx.undo_part(part)?;
        self.defer(envelope, None, self.ctx.server_now_ms())
    }

    /// Stores a message that represents an envelope, and the envelope itself. Returns whether there is a new thread.
    fn represent(&mut self, envelope: &Envelope) -> Result<bool> {
        let now_ms = self.ctx.server_now_ms();
        let begins = self.tx.thread(envelope.thread)?.is_none();
        if begins {
            self.begin_thread(envelope, now_ms)?;
        }
        self.park(envelope, Undecryptable::StorageDamaged, now_ms)?;
        self.tx.account_for(envelope.thread, envelope.epoch, envelope.server_seq)?;
        Ok(begins)
    }

    pub(super) fn defer(
        &mut self,
        envelope: &Envelope,
        message: Option<MessageId>,
        now_ms: u64,
    ) -> Result<()> {
        self.keep(envelope, (message, false), now_ms)
    }

    fn keep(
        &mut self,
        envelope: &Envelope,
        (message, is_unseen): (Option<MessageId>, bool),
        now_ms: u64,
    ) -> Result<()> {
        let deferred = NewDeferred {
            sender: envelope.sender,
            thread: envelope.thread,
            place: Some((envelope.epoch, envelope.server_seq)),
            ciphertext: CiphertextId::of(&envelope.sealed.ciphertext),
            bytes: &envelope.to_frame().encode_to_vec(),
            message,
            is_unseen,
        };
        self.tx.defer(&deferred, now_ms)
    }

    /// Keeps a message of a group whose chain is probably on its way, without showing it. If too much of its sender waits so, all of that is
    /// shown.
    pub(super) fn wait_unseen(&mut self, envelope: &Envelope, now_ms: u64) -> Result<()> {
        self.keep(envelope, (None, true), now_ms)?;
        for bytes in self.tx.too_many_unseen(envelope.sender)? {
            if let Some(AnyEnvelope::Post(waiting)) = AnyEnvelope::from_kept(self.ctx, bytes) {
                self.park(&waiting, Undecryptable::AwaitsSenderKey, now_ms)?;
            }
        }
        let upkeep = Arc::clone(&self.ctx.upkeep);
        self.tx.after_commit(move || upkeep.to_retry.notify_one());
        Ok(())
    }

    pub(super) fn park(&mut self, envelope: &Envelope, cause: Undecryptable, now_ms: u64) -> Result<()> {
        let ciphertext = CiphertextId::of(&envelope.sealed.ciphertext);
        let placeholder = envelope.placeholder(self.us.user, cause, now_ms);
        let message = self.tx.park(envelope.name(), ciphertext, &placeholder, now_ms)?;
        match cause {
            Undecryptable::StorageDamaged | Undecryptable::AwaitsSenderKey => {
                self.defer(envelope, Some(message), now_ms)
            }
            _ => Ok(()),
        }
    }

    /// Whether an envelope from a device that is not on the list of its sender waits until the relay has been asked for a later one.
    pub(super) fn awaits_list(&mut self, sender: UserId) -> Result<bool> {
        // We know which devices we have.
        if sender == self.us.user && self.tx.holds_account_key()? {
            return Ok(false);
        }
        let is_awaited = named_lists::is_awaited(self.tx, sender, !self.is_retry)?;
        if is_awaited {
            let upkeep = Arc::clone(&self.ctx.upkeep);
            self.tx.after_commit(move || upkeep.lists.notify_one());
        }
        Ok(is_awaited)
    }
}

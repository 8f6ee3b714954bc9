//! Stations 2 to 7 for mail. It has no position in its thread, and leaves no row of history: mail that cannot be opened is forgotten.

use std::sync::Arc;

use prost::Message as _;
use rand::rngs::StdRng;

use super::{Batch, Handled};
use crate::content::Body;
use crate::error::Result;
use crate::message::Undecryptable;
use crate::receive::apply::{apply_mail, ephemeral, is_bootstrap};
use crate::receive::envelope::MailEnvelope;
use crate::receive::open::Opened;
use crate::store::{CiphertextId, NewDeferred, ThreadKind};

impl Batch<'_, '_> {
    /// Processes mail. If it cannot be processed, it is deferred, unless it is ephemeral, and never stops anything else.
    pub(in crate::receive) fn handle_or_defer_mail(
        &mut self,
        mail: &MailEnvelope,
        rng: &mut StdRng,
    ) -> Result<()> {
        let Err(error) = self.attempt(&mail.source(), |batch| batch.handle_mail(mail, rng))? else {
            return Ok(());
        };
        tracing::warn!(%error, "mail could not be processed");
        if mail.is_ephemeral() {
            return Ok(());
        }
        let part = self.tx.begin_part()?;
        match self.defer_mail(mail) {
            Ok(()) => self.tx.keep_part(part),
            Err(error) if error.stops_everything() => Err(error),
            Err(error) => {
                tracing::warn!(%error, "mail could not be kept either");
                self.tx.undo_part(part)
            }
        }
    }

    pub(super) fn handle_mail(&mut self, mail: &MailEnvelope, rng: &mut StdRng) -> Result<Handled> {
        let mut handled = Handled::default();
        // Mail begins no thread, and only members send it. Our own devices need no thread on this one.
        let is_from_us = mail.sender == self.us.user;
        let kind = match is_from_us {
            true if mail.source().is_impossible(self.us) => return Ok(handled),
            true => self.tx.kind(mail.thread)?,
            false => match self.tx.kind_with(mail.thread, mail.sender)? {
                Some(kind) => Some(kind),
                // Somebody may have joined a group without this device knowing it yet, and send the chain that they begin with.
                None if self.tx.is_group(mail.thread)? => Some(ThreadKind::Group),
                None => return Ok(handled),
            },
        };
        let is_group = kind == Some(ThreadKind::Group);
        let ciphertext = CiphertextId::of(&mail.sealed.ciphertext);
        if !mail.is_ephemeral() && self.tx.was_opened(ciphertext)? {
            return Ok(handled);
        }
        let (opened, record) = self.open(&mail.source(), rng)?;
        handled.record = record;
        let now_ms = self.ctx.server_now_ms();
        match opened {
            // A copy of earlier mail.
            Opened::Duplicate => {}
            Opened::Undecryptable(_) if mail.is_ephemeral() => {}
            Opened::Undecryptable(cause) => {
                handled.cause = Some(cause);
                let is_unlisted = cause == Undecryptable::UnlistedDevice;
                if cause == Undecryptable::StorageDamaged || (is_unlisted && self.awaits_list(mail.sender)?) {
                    self.defer_mail(mail)?;
                }
                // Its sender still uses a session that was ended here when this database turned out to be a copy.
                if kind.is_some()
                    && self.tx.has_only_old_sessions(mail.sender, mail.sender_device)?
                    && self.tx.may_answer(mail.thread)?
                {
                    self.tx.renew_session(mail.thread, now_ms, self.ctx.new_client_msg_id())?;
                    handled.queued = true;
                }
            }
            Opened::Content(content) => {
                if !mail.is_ephemeral() {
                    self.tx.set_opened(ciphertext, now_ms)?;
                }
                if let Body::Distribution(distribution) = &content.body {
                    if is_group {
                        let from = (mail.thread, mail.sender, mail.sender_device);
                        self.take_distribution(from, distribution, content.header.roster, now_ms)?;
                    }
                    return Ok(handled);
                }
                // What a blocked person sends has no effect.
                if self.tx.is_blocked(mail.sender)? {
                    return Ok(handled);
                }
                handled.lists = content.header.lists;
                if !content.body.kind().is_accepted(is_from_us, is_group)
                    || (is_group && !self.tx.is_member(mail.thread, mail.sender)?)
                {
                    return Ok(handled);
                }
                if mail.is_ephemeral() {
                    ephemeral::apply(self.ctx, self.tx, mail, &content)?;
                } else {
                    if matches!(content.body, Body::Moving(_)) {
                        let ctx = self.ctx.clone();
                        self.tx.after_commit(move || ctx.upkeep.devices.notify_one());
                    }
                    if is_bootstrap(&content.body) {
                        let ctx = self.ctx.clone();
                        self.tx.after_commit(move || ctx.upkeep.bootstrap.notify_one());
                    }
                    let us = (self.us, is_group);
                    apply_mail(self.tx, mail, *content, us, (now_ms, self.ctx.limits))?;
                    if mail.sender == self.us.user {
                        self.wake_all();
                    }
                }
            }
        }
        Ok(handled)
    }

    /// Another device of ours may have said what a background task is to do here.
    fn wake_all(&mut self) {
        let upkeep = Arc::clone(&self.ctx.upkeep);
        self.tx.after_commit(move || {
            for task in
                [&upkeep.to_accept, &upkeep.hidden, &upkeep.timers, &upkeep.receipts_due, &upkeep.news]
            {
                task.notify_one();
            }
        });
    }

    fn defer_mail(&mut self, mail: &MailEnvelope) -> Result<()> {
        let deferred = NewDeferred {
            sender: mail.sender,
            thread: mail.thread,
            place: None,
            ciphertext: CiphertextId::of(&mail.sealed.ciphertext),
            bytes: &mail.to_frame().encode_to_vec(),
            message: None,
            is_unseen: false,
        };
        self.tx.defer(&deferred, self.ctx.server_now_ms())
    }
}

//! The threads that begin with an envelope.

use sealpost_wire as wire;

use super::{Batch, Handled};
use crate::config::MessageRequests;
use crate::error::Result;
use crate::id::UserId;
use crate::message::Undecryptable;
use crate::receive::envelope::Envelope;
use crate::receive::open::Opened;
use crate::store::{CiphertextId, News, Thread, note_to_self};

impl Batch<'_, '_> {
    /// Begins the thread of an envelope that is not on this device, if what is in it can begin one. Otherwise nothing is shown.
    pub(super) fn begins(
        &mut self,
        envelope: &Envelope,
        (opened, ciphertext): (&Opened, CiphertextId),
        handled: &mut Handled,
        now_ms: u64,
    ) -> Result<bool> {
        let is_from_us = envelope.sender == self.us.user;
        let has_begun = match opened {
            Opened::Content(content) if is_from_us => {
                content.body.kind().is_shown()
                    && self.begin_own_thread(envelope, content.header.peer, now_ms)?
            }
            // Only what is inside says with whom another device of ours has begun a thread.
            Opened::Undecryptable(cause @ Undecryptable::StorageDamaged) if is_from_us => {
                handled.cause = Some(*cause);
                self.defer(envelope, None, now_ms)?;
                false
            }
            // A group begins with its roster.
            _ if is_from_us || envelope.sealed.kind == wire::envelope::GROUP || !begins_thread(opened) => {
                false
            }
            _ => {
                self.begin_thread(envelope, now_ms)?;
                true
            }
        };
        if !has_begun && matches!(opened, Opened::Content(_)) {
            self.tx.set_opened(ciphertext, now_ms)?;
        }
        Ok(has_begun)
    }

    /// Another device of ours has written in a thread that is not on this one, with this person or in the note to self.
    fn begin_own_thread(&mut self, envelope: &Envelope, peer: Option<UserId>, now_ms: u64) -> Result<bool> {
        let id = envelope.thread;
        match peer {
            None if id == note_to_self(self.us.user) => {
                self.tx.open_note_to_self(self.us.user, now_ms)?;
            }
            None => return Ok(false),
            Some(peer) => {
                self.tx.put_thread(
                    Thread { id, peer: Some(peer), roster_version: envelope.roster_version },
                    now_ms,
                )?;
                // That device has sent it.
                self.tx.set_news_queued(id, News::Profile)?;
            }
        }
        Ok(true)
    }

    pub(super) fn begin_thread(&mut self, envelope: &Envelope, now_ms: u64) -> Result<()> {
        let (id, peer) = (envelope.thread, envelope.sender);
        self.tx
            .put_thread(Thread { id, peer: Some(peer), roster_version: envelope.roster_version }, now_ms)?;
        match self.ctx.requests {
            MessageRequests::Ask => self.tx.set_request(id),
            MessageRequests::AcceptAll => Ok(()),
        }
    }
}

/// Whether this starts a thread on this device: a text, or an envelope that may have been one. Messages that belong
/// elsewhere, are not authentic, were opened before or leave no row would only show an empty conversation.
fn begins_thread(opened: &Opened) -> bool {
    match opened {
        Opened::Content(content) => content.body.kind().may_begin_thread(),
        Opened::Undecryptable(cause) => {
            use Undecryptable::{Misrouted, SenderKeyReplaced, UnlistedDevice};
            !matches!(cause, Misrouted | SenderKeyReplaced | UnlistedDevice)
        }
        Opened::Duplicate => false,
    }
}

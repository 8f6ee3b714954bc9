//! Stations 2 to 8 for a batch of envelopes, in one transaction.

use std::collections::HashMap;

use rand::rngs::StdRng;
use sealpost_protocol::{Address, Inbound, SessionRecord, UnixSeconds};
use sealpost_wire as wire;

use super::apply::{Applied, apply};
use super::envelope::{Envelope, place};
use super::open::{Changes, NamedPreKeys, Opened, Parsed, open, parse};
use crate::account::registration::{address, local_device};
use crate::content::{Content, ReceiptKind};
use crate::context::Context;
use crate::error::{Error, Result, Storage};
use crate::fault::{self, Station};
use crate::id::{ClientMsgId, DeviceId, InvalidId, ThreadId, UserId};
use crate::message::Undecryptable;
use crate::store::{Account, CiphertextId, Device, Durable, PeerSessions, Registered, Thread, Tx};
use crate::thread;
use crate::transport::EnvelopeId;

/// Maximum number of envelopes in one transaction.
pub(crate) const BATCH: usize = 256;

/// Opens, applies and stores a batch. The returned envelope ids may be acknowledged.
///
/// # Errors
/// [`Error::Storage`]: nothing of the batch has happened, and the relay will deliver it again.
pub(crate) async fn receive(ctx: &Context, batch: Vec<wire::Deliver>) -> Result<Durable<Vec<EnvelopeId>>> {
    fault::at(Station::Arrive);
    let ctx_in_tx = ctx.clone();
    let mut rng = ctx.env.rng();
    let work = move |tx: &mut Tx<'_>| {
        let (account, us) = tx.our_account()?;
        let our_address = address(us.user, us.device)?;
        let mut batch_work = Batch {
            ctx: &ctx_in_tx,
            tx,
            account: &account,
            us,
            our_address: &our_address,
            sessions: HashMap::new(),
            delivered: HashMap::new(),
            begun: false,
        };
        let mut handled = Vec::with_capacity(batch.len());
        for deliver in batch {
            // An envelope without a valid position cannot be acknowledged, and one without a valid sender can only be
            // acknowledged: the relay is broken.
            let Ok(place) = place(&deliver) else {
                tracing::warn!("the relay delivered an envelope without a place");
                continue;
            };
            let server_ms = ctx_in_tx.time_of_hlc(deliver.hlc);
            match Envelope::parse(place, deliver, server_ms) {
                Ok(envelope) => batch_work.handle_or_park(&envelope, &mut rng)?,
                Err(InvalidId) => tracing::warn!("the relay delivered an envelope without a sender"),
            }
            handled.push(place);
        }
        let begun = batch_work.finish()?;
        fault::at(Station::ApplyBeforeCommit);
        Ok((tx.durable(handled), begun))
    };
    let (handled, begun) = ctx.store.write(work).await?;
    if begun {
        ctx.upkeep.to_accept.notify_one();
    }
    fault::at(Station::ApplyAfterCommit);
    // There may be a receipt in the outbox now.
    ctx.outbox.notify_one();
    Ok(handled)
}

/// The work of one transaction. Sessions are loaded once, and stored at the end.
struct Batch<'b, 'c> {
    ctx: &'b Context,
    tx: &'b mut Tx<'c>,
    account: &'b Account,
    us: Registered,
    our_address: &'b Address,
    sessions: HashMap<(UserId, DeviceId), (Address, PeerSessions)>,
    /// New texts by thread, for the delivery receipts.
    delivered: HashMap<ThreadId, Vec<ClientMsgId>>,
    /// Whether there is a new thread.
    begun: bool,
}

/// The effects of one envelope, apart from rows.
#[derive(Default)]
struct Handled {
    /// The advanced session with its sender.
    record: Option<SessionRecord>,
    /// A new content, for the delivery receipt.
    to_confirm: Option<ClientMsgId>,
    /// Whether there is a new thread.
    begun: bool,
}

impl Batch<'_, '_> {
    /// Processes one envelope. One that cannot be processed is parked and never stops the others. Only a failure of
    /// the disk as a whole stops the batch, and then nothing of it has happened.
    fn handle_or_park(&mut self, envelope: &Envelope, rng: &mut StdRng) -> Result<()> {
        let part = self.tx.begin_part()?;
        match self.handle(envelope, rng) {
            Ok(handled) => {
                self.tx.keep_part(part)?;
                self.note(envelope, handled);
                Ok(())
            }
            Err(error) if stops_everything(&error) => Err(error),
            Err(error) => {
                tracing::warn!(%error, "an envelope could not be handled, and is parked");
                self.tx.undo_part(part)?;
                self.park_damaged(envelope)
            }
        }
    }

    fn park_damaged(&mut self, envelope: &Envelope) -> Result<()> {
        let now_ms = self.ctx.server_now_ms();
        if envelope.sender == self.us.user {
            return Ok(());
        }
        if self.tx.thread(envelope.thread)?.is_none() {
            self.begin_thread(envelope, now_ms)?;
            self.begun = true;
        }
        self.park(envelope, Undecryptable::StorageDamaged, now_ms)?;
        self.tx.account_for(envelope.thread, envelope.epoch, envelope.server_seq)
    }

    fn begin_thread(&mut self, envelope: &Envelope, now_ms: u64) -> Result<()> {
        let (id, peer) = (envelope.thread, envelope.sender);
        self.tx.put_thread(Thread { id, peer, roster_version: envelope.roster_version }, now_ms)
    }

    /// Records what was processed and remains in effect.
    fn note(&mut self, envelope: &Envelope, handled: Handled) {
        if let Some(record) = handled.record
            && let Some((_, sessions)) = self.sessions.get_mut(&(envelope.sender, envelope.sender_device))
        {
            sessions.record = record;
        }
        if let Some(content_id) = handled.to_confirm {
            self.delivered.entry(envelope.thread).or_default().push(content_id);
        }
        self.begun |= handled.begun;
    }

    fn handle(&mut self, envelope: &Envelope, rng: &mut StdRng) -> Result<Handled> {
        let mut handled = Handled::default();
        let ciphertext = CiphertextId::of(&envelope.sealed.ciphertext);
        let thread = self.tx.thread(envelope.thread)?;
        if self.tx.was_opened(ciphertext)? {
            if thread.is_some() {
                self.tx.account_for(envelope.thread, envelope.epoch, envelope.server_seq)?;
            }
            return Ok(handled);
        }
        if thread.is_none() && envelope.sender == self.us.user {
            tracing::warn!("the relay delivered what we have not written, in a thread that is not ours");
            return Ok(handled);
        }
        let (opened, record) = if thread.is_none_or(|thread| thread.peer == envelope.sender) {
            self.open(envelope, rng)?
        } else {
            // Only the two members write into a direct thread.
            (Opened::Undecryptable(Undecryptable::Misrouted), None)
        };
        let now_ms = self.ctx.server_now_ms();
        if thread.is_none() {
            if !begins_thread(&opened) {
                tracing::warn!("the relay delivered what begins no thread, in one that is not ours");
                return Ok(handled);
            }
            self.begin_thread(envelope, now_ms)?;
            handled.begun = true;
        }
        match opened {
            Opened::Undecryptable(cause) => {
                self.park(envelope, cause, now_ms)?;
                // Its sender goes on with a session that ended here when this database turned out to be a copy.
                if !handled.begun && self.tx.has_only_old_sessions(envelope.sender, envelope.sender_device)? {
                    self.tx.greet(envelope.thread, now_ms, self.ctx.new_client_msg_id())?;
                }
            }
            // At the same position, this is a copy of an earlier envelope. At another position, it is another message
            // under a key that was already used, such as those of a device that was restored from an older copy of
            // its database.
            Opened::Duplicate if self.is_repeated(envelope)? => {}
            Opened::Duplicate => self.park(envelope, Undecryptable::KeyUsedTwice, now_ms)?,
            Opened::Content(content) => {
                self.tx.set_opened(ciphertext, now_ms)?;
                let id = content.id;
                if apply(self.tx, envelope, content, self.us)? == Applied::Text {
                    handled.to_confirm = Some(id);
                }
            }
        }
        handled.record = record;
        self.tx.account_for(envelope.thread, envelope.epoch, envelope.server_seq)?;
        Ok(handled)
    }

    /// Whether an envelope from this position was processed before.
    fn is_repeated(&self, envelope: &Envelope) -> Result<bool> {
        self.tx.is_accounted_for(envelope.thread, envelope.epoch, envelope.server_seq)
    }

    fn park(&mut self, envelope: &Envelope, cause: Undecryptable, now_ms: u64) -> Result<()> {
        let ciphertext = CiphertextId::of(&envelope.sealed.ciphertext);
        self.tx.park(envelope.name(), ciphertext, &envelope.placeholder(cause, now_ms), now_ms)
    }

    /// Stores the sessions and queues the receipts. Returns whether there is a new thread.
    fn finish(mut self) -> Result<bool> {
        for (_, sessions) in self.sessions.values_mut() {
            self.tx.store_sessions(sessions)?;
        }
        for (thread, messages) in &self.delivered {
            thread::queue_receipts(self.ctx, self.tx, *thread, ReceiptKind::Delivered, messages)?;
        }
        Ok(self.begun)
    }

    /// The opened content, and the advanced session; no session if nothing may change.
    fn open(&mut self, envelope: &Envelope, rng: &mut StdRng) -> Result<(Opened, Option<SessionRecord>)> {
        let undecryptable = |cause| Ok((Opened::Undecryptable(cause), None));
        let message = match parse(&envelope.sealed) {
            Ok(message) => message,
            Err(cause) => return undecryptable(cause),
        };
        let (user, device) = (envelope.sender, envelope.sender_device);
        if !self.sessions.contains_key(&(user, device)) {
            let loaded = (address(user, device)?, self.tx.sessions(user, device)?);
            self.sessions.insert((user, device), loaded);
        }
        let (remote, sessions) =
            self.sessions.get(&(user, device)).ok_or(Error::Bug("sessions were not loaded"))?;
        let skipped = self.tx.skipped_keys(user, device, message.signal())?;
        let keys = named_pre_keys(self.tx, sessions, &message)?;
        let inbound = Inbound {
            local: local_device(self.account, self.our_address),
            remote,
            skipped: &skipped,
            policy: self.ctx.policy,
            now: UnixSeconds(self.ctx.server_now_ms() / 1000),
        };
        let (opened, changes) = open(&inbound, &sessions.record, &message, &keys, rng)?;
        if let Some(changes) = &changes
            && !is_senders(self.tx, user, device, changes)?
        {
            // Nothing changes: a message sealed by a replaced key neither advances nor activates a session.
            return undecryptable(Undecryptable::SenderKeyReplaced);
        }
        if let Opened::Content(content) = &opened
            && is_misrouted(envelope, content)
        {
            // Nothing changes, so that the message can still be opened in its own thread.
            return undecryptable(Undecryptable::Misrouted);
        }
        let Some(changes) = changes else { return Ok((opened, None)) };
        if let Some(consumed) = &changes.consumed
            && !self.tx.consume_pre_keys(consumed)?
        {
            // The same first message was processed before, and its session is gone: it is a replay.
            return undecryptable(Undecryptable::NotDecryptable);
        }
        if let Some(registration_id) = changes.registration_id {
            let identity = changes.authenticated_by;
            self.tx.see_devices(user, &[Device { user, device, registration_id, identity }])?;
        }
        self.tx.store_skipped(user, device, changes.skipped)?;
        Ok((opened, Some(changes.record)))
    }
}

/// Whether a message was authenticated by the identity key that its sender has now. A first message may introduce a
/// new key, which is reported, but not one that was replaced: otherwise, whoever holds an old key could make it the
/// current one.
fn is_senders(tx: &Tx<'_>, user: UserId, device: DeviceId, changes: &Changes) -> Result<bool> {
    let known = tx.identity(user, device)?;
    if known.as_ref() == Some(&changes.authenticated_by) {
        return Ok(true);
    }
    Ok(changes.consumed.is_some() && !tx.was_replaced(user, device, &changes.authenticated_by)?)
}

/// The relay states the thread and position of a message, and so does the sender inside the ciphertext. They must
/// agree.
fn is_misrouted(envelope: &Envelope, content: &Content) -> bool {
    content.thread != envelope.thread
}

/// Whether no other envelope can be processed either: the disk is full, failing or in use.
const fn stops_everything(error: &Error) -> bool {
    matches!(
        error,
        Error::Storage(Storage::Full | Storage::Io | Storage::InUse | Storage::ReadOnly) | Error::Misuse(_)
    )
}

/// Whether this starts a thread on this device: a text, or an envelope that may have been one. Messages that belong
/// elsewhere, are not authentic, were opened before or leave no row would only show an empty conversation.
fn begins_thread(opened: &Opened) -> bool {
    match opened {
        Opened::Content(content) => content.body.is_visible(),
        Opened::Undecryptable(cause) => {
            !matches!(cause, Undecryptable::Misrouted | Undecryptable::SenderKeyReplaced)
        }
        Opened::Duplicate => false,
    }
}

/// Station 5, Load: a message of a known session needs no pre-keys.
fn named_pre_keys(tx: &Tx<'_>, sessions: &PeerSessions, message: &Parsed) -> Result<NamedPreKeys> {
    let message = match message {
        Parsed::PreKey(message) if !sessions.record.knows(message) => message,
        _ => return Ok(NamedPreKeys::default()),
    };
    Ok(NamedPreKeys {
        signed: tx.signed_pre_key(message.signed_pre_key_id())?,
        one_time: message.one_time_pre_key_id().map(|id| tx.one_time_pre_key(id)).transpose()?.flatten(),
        kem: message.kem_pre_key_id().map(|id| tx.kem_pre_key(id)).transpose()?.flatten(),
    })
}

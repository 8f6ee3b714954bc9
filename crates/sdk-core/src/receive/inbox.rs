//! Stations 2 to 8 for a batch of envelopes, in one transaction.

use std::collections::HashMap;

use rand::rngs::StdRng;
use sealpost_protocol::{Address, Inbound, UnixSeconds};
use sealpost_wire as wire;
use sealpost_wire::limits::MAX_COUNT;

use super::apply::{Applied, apply};
use super::open::{Changes, NamedPreKeys, Opened, Parsed, open, parse};
use crate::account::registration::{address, local_device};
use crate::content::{Body, Content, ReceiptKind};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::fault::{self, Station};
use crate::id::{ClientMsgId, DeviceId, InvalidId, ThreadId, UserId};
use crate::message::Undecryptable;
use crate::store::{Account, Device, Durable, PeerSessions, Registered, Thread, Tx};
use crate::thread;
use crate::transport::EnvelopeId;

/// Most envelopes in one transaction.
pub(crate) const BATCH: usize = 256;

/// Opens, applies and stores a batch. What comes back may be acknowledged.
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
            // What names no place cannot even be acknowledged, what names no sender can only be: the relay is broken.
            let Ok(place) = place(&deliver) else {
                tracing::warn!("the relay delivered an envelope without a place");
                continue;
            };
            match Envelope::parse(place, deliver) {
                Ok(envelope) => batch_work.handle(envelope, &mut rng)?,
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
    // A receipt may wait in the outbox now.
    ctx.outbox.notify_one();
    Ok(handled)
}

/// A delivery whose fields have the right form.
pub(super) struct Envelope {
    pub(super) thread: ThreadId,
    pub(super) server_seq: u64,
    pub(super) epoch: u64,
    pub(super) sender: UserId,
    pub(super) sender_device: DeviceId,
    pub(super) client_msg_id: ClientMsgId,
    roster_version: u64,
    sealed: wire::Envelope,
}

fn place(deliver: &wire::Deliver) -> Result<EnvelopeId, InvalidId> {
    let key = deliver.key.as_ref().ok_or(InvalidId)?;
    Ok(EnvelopeId { thread: ThreadId::from_slice(&key.thread_id)?, server_seq: key.server_seq })
}

impl Envelope {
    fn parse(place: EnvelopeId, deliver: wire::Deliver) -> Result<Self, InvalidId> {
        // No honest relay counts this far.
        if [place.server_seq, deliver.epoch, deliver.roster_version].iter().any(|count| *count > MAX_COUNT) {
            return Err(InvalidId);
        }
        Ok(Self {
            thread: place.thread,
            server_seq: place.server_seq,
            epoch: deliver.epoch,
            sender: UserId::from_slice(&deliver.sender_user_id)?,
            sender_device: DeviceId::new(deliver.sender_device_id)?,
            client_msg_id: ClientMsgId::from_slice(&deliver.client_msg_id)?,
            roster_version: deliver.roster_version,
            sealed: deliver.envelope.unwrap_or_default(),
        })
    }
}

/// One transaction's work. Sessions are loaded once, and stored at the end.
struct Batch<'b, 'c> {
    ctx: &'b Context,
    tx: &'b mut Tx<'c>,
    account: &'b Account,
    us: Registered,
    our_address: &'b Address,
    sessions: HashMap<(UserId, DeviceId), (Address, PeerSessions)>,
    /// Texts that are new here, by thread: to be told to their sender.
    delivered: HashMap<ThreadId, Vec<ClientMsgId>>,
    /// Whether a thread is new here.
    begun: bool,
}

impl Batch<'_, '_> {
    fn handle(&mut self, envelope: Envelope, rng: &mut StdRng) -> Result<()> {
        if self.tx.is_handled(envelope.thread, envelope.sender, envelope.client_msg_id)? {
            return self.tx.account_for(envelope.thread, envelope.epoch, envelope.server_seq);
        }
        let thread = self.tx.thread(envelope.thread)?;
        if thread.is_none() && envelope.sender == self.us.user {
            tracing::warn!("the relay delivered what we have not written, in a thread that is not ours");
            return Ok(());
        }
        let opened = if thread.is_none_or(|thread| thread.peer == envelope.sender) {
            self.open(&envelope, rng)?
        } else {
            // Only its two members write into a direct thread.
            Opened::Undecryptable(Undecryptable::Misrouted)
        };
        let now_ms = self.ctx.server_now_ms();
        if thread.is_none() {
            if !begins_thread(&opened) {
                tracing::warn!("the relay delivered what begins no thread, in one that is not ours");
                return Ok(());
            }
            let Envelope { thread: id, sender: peer, roster_version, .. } = envelope;
            self.tx.put_thread(Thread { id, peer, roster_version }, now_ms)?;
            self.begun = true;
        }
        if apply(self.tx, &envelope, opened, self.us, now_ms)? == Applied::Text {
            self.delivered.entry(envelope.thread).or_default().push(envelope.client_msg_id);
        }
        self.tx.account_for(envelope.thread, envelope.epoch, envelope.server_seq)
    }

    /// Whether a thread has begun.
    fn finish(mut self) -> Result<bool> {
        for (_, sessions) in self.sessions.values_mut() {
            self.tx.store_sessions(sessions)?;
        }
        for (thread, messages) in &self.delivered {
            thread::queue_receipts(self.ctx, self.tx, *thread, ReceiptKind::Delivered, messages)?;
        }
        Ok(self.begun)
    }

    fn open(&mut self, envelope: &Envelope, rng: &mut StdRng) -> Result<Opened> {
        let message = match parse(&envelope.sealed) {
            Ok(message) => message,
            Err(cause) => return Ok(Opened::Undecryptable(cause)),
        };
        let (user, device) = (envelope.sender, envelope.sender_device);
        if !self.sessions.contains_key(&(user, device)) {
            let loaded = (address(user, device)?, self.tx.sessions(user, device)?);
            self.sessions.insert((user, device), loaded);
        }
        let (remote, sessions) =
            self.sessions.get_mut(&(user, device)).ok_or(Error::Bug("sessions were not loaded"))?;
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
            // Nothing changes: what a key that was replaced has sealed moves no session and brings none back.
            return Ok(Opened::Undecryptable(Undecryptable::SenderKeyReplaced));
        }
        if let Opened::Content(content) = &opened
            && is_misrouted(envelope, content)
        {
            // Nothing changes, so that the message can still be opened where it belongs.
            return Ok(Opened::Undecryptable(Undecryptable::Misrouted));
        }
        let Some(changes) = changes else { return Ok(opened) };
        if let Some(consumed) = &changes.consumed
            && !self.tx.consume_pre_keys(consumed)?
        {
            // The same first message was here before, and its session is gone: somebody repeats it.
            return Ok(Opened::Undecryptable(Undecryptable::NotDecryptable));
        }
        if let Some(registration_id) = changes.registration_id {
            let identity = changes.authenticated_by;
            self.tx.see_devices(user, &[Device { user, device, registration_id, identity }])?;
        }
        self.tx.store_skipped(user, device, changes.skipped)?;
        sessions.record = changes.record;
        Ok(opened)
    }
}

/// Whether a message was authenticated by the identity key that its sender has now. A first message may bring another one,
/// which is told, but none that was replaced: who holds an old key could otherwise make it the newest.
fn is_senders(tx: &Tx<'_>, user: UserId, device: DeviceId, changes: &Changes) -> Result<bool> {
    let known = tx.identity(user, device)?;
    if known.as_ref() == Some(&changes.authenticated_by) {
        return Ok(true);
    }
    Ok(changes.consumed.is_some() && !tx.was_replaced(user, device, &changes.authenticated_by)?)
}

/// The relay says where a message stands and which it is; so does its sender, inside. They must agree.
fn is_misrouted(envelope: &Envelope, content: &Content) -> bool {
    content.thread != envelope.thread || content.id != envelope.client_msg_id
}

/// Whether a thread begins for us with this: with a text, or with what may have been one. What belongs elsewhere, is not
/// from whom it seems to be, was opened before or leaves no row would only show an empty conversation.
fn begins_thread(opened: &Opened) -> bool {
    match opened {
        Opened::Content(content) => matches!(content.body, Body::Text(_)),
        Opened::Undecryptable(cause) => {
            !matches!(cause, Undecryptable::Misrouted | Undecryptable::SenderKeyReplaced)
        }
        Opened::Duplicate => false,
    }
}

/// Station 5, Load: a message of a session that is known needs no pre-keys.
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

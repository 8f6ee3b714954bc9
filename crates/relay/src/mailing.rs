//! Handles mail: contents for some devices of the members of a thread, which have no place in it.
//!
//! Mail is stored, numbered and delivered by each receiving device. Ephemeral mail is passed on to the devices that are
//! connected, and never stored: the store is only asked who may receive it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use prost::Message as _;
use sealpost_wire::frame::Body;
use sealpost_wire::id::ToWire as _;
use sealpost_wire::id::{ClientMsgId, ThreadId};
use sealpost_wire::limits::{EPHEMERAL_TTL_S, MAX_EPHEMERAL, MAX_EPHEMERAL_TTL_S, MAX_MAIL_COPIES};
use sealpost_wire::send_ack::{Fanout, Status};
use sealpost_wire::{DeliverMail, DeviceCopy, Envelope, FRAME_VERSION, Frame, Mail};
use sha2::{Digest as _, Sha256};

use crate::address::Address;
use crate::bus::{Passing, WakeReason};
use crate::limits::Wait;
use crate::problem::Problem;
use crate::sending::{self, Sent};
use crate::state::State;
use crate::store::{Audience, Copy, MailClass, Misaddressed, NewMail, Posted, StoreError, check_recipients};

/// Mail in progress.
pub(crate) type Mailing = BoxFuture<'static, Result<Sent, Problem>>;

/// Charges mail to its sender, before anything else is done with it. What it adds to the recipients' mailboxes is
/// charged when it is stored.
pub(crate) fn charge(state: &State, sender: Address, mail: &Mail) -> Result<Wait, Problem> {
    let bytes = sending::charged_bytes(mail.encoded_len(), &mail.shared, &mail.copies);
    let wait = state.limiter.send(sender, bytes, state.clock.monotonic())?;
    if is_ephemeral(mail) {
        return Ok(wait);
    }
    Ok(wait.max(sending::charge_recipients(state, sender, &mail.copies)?))
}

/// Passes charged mail to the store, or passes it on once the store has said who may receive it.
pub(crate) fn submit(
    state: &Arc<State>,
    sender: Address,
    mail: &Mail,
    _charged: Wait,
) -> Result<Mailing, Problem> {
    let thread = ThreadId::from_slice(&mail.thread_id)?;
    if mail.copies.is_empty() || mail.copies.len() > MAX_MAIL_COPIES {
        return Err(Problem::Malformed);
    }
    if !is_ephemeral(mail) {
        return store(state, sender, thread, mail);
    }
    let shared_of = sending::shared_of(&mail.copies, &mail.shared)?;
    let copies = mail.copies.iter().map(|copy| parse(copy, &shared_of));
    let copies: Vec<Ephemeral> = copies.collect::<Result<_, _>>()?;
    let named = copies.iter().map(|copy| copy.to.user).collect();
    let (state, audience) = (Arc::clone(state), state.store.audience(thread, sender.user, named));
    Ok(Box::pin(async move { pass(&state, sender, thread, copies, audience.await) }))
}

/// Whether the first envelope is ephemeral; all others must be like it.
fn is_ephemeral(mail: &Mail) -> bool {
    let first = mail.copies.first().and_then(|copy| copy.envelope.as_ref());
    first.is_some_and(|envelope| envelope.ephemeral)
}

fn store(state: &State, sender: Address, thread: ThreadId, mail: &Mail) -> Result<Mailing, Problem> {
    let client_msg_id = ClientMsgId::from_slice(&mail.client_msg_id)?;
    // Only the format is checked here, as for a message.
    client_msg_id.time_ms()?;
    let now_ms = state.clock.unix_ms();
    if mail.copies.iter().filter_map(|copy| copy.envelope.as_ref()).any(|envelope| envelope.ephemeral) {
        return Err(Problem::Malformed);
    }
    let copies = sending::parse_copies(&mail.copies, &mail.shared, now_ms)?;
    let reason = |copy: &Copy| match MailClass::of(&copy.envelope) {
        MailClass::Urgent => WakeReason::UrgentMail,
        MailClass::Ordinary => WakeReason::OrdinaryMail,
    };
    let recipients: Vec<_> = copies.iter().map(|copy| (copy.to, reason(copy))).collect();
    let body_hash = Sha256::digest(mail.encode_to_vec()).into();
    let epoch = state.store.epoch();
    let posted = state.store.post_mail(NewMail { sender, client_msg_id, thread, body_hash, copies, now_ms });
    let metrics = Arc::clone(&state.metrics);
    Ok(Box::pin(async move {
        let sent = |status: Status, recipients: Vec<_>| Sent {
            client_msg_id: Some(client_msg_id),
            thread,
            stored: None,
            epoch,
            status,
            fanout: Fanout::Unspecified,
            job: None,
            recipients,
        };
        match posted.await? {
            Posted::Stored => Ok(sent(Status::Stored, recipients)),
            Posted::Duplicate => {
                metrics.dedupe_hits.count();
                Ok(sent(Status::Duplicate, Vec::new()))
            }
            Posted::MsgIdReuse => Err(Problem::MsgIdReuse),
            Posted::NotMember => Err(Problem::NotFound),
            Posted::Misaddressed(misaddressed) => Err(misaddressed.into()),
            Posted::NotAccepted => Err(Problem::NotAccepted),
            Posted::TooOld => Err(Problem::TooOld),
            Posted::ClockSkew => Err(Problem::ClockSkew),
        }
    }))
}

/// Ephemeral mail for one device.
struct Ephemeral {
    to: Address,
    registration_id: u32,
    envelope: Envelope,
    /// What follows its ciphertext.
    shared: Bytes,
}

fn parse(copy: &DeviceCopy, shared_of: impl Fn(&Envelope) -> Bytes) -> Result<Ephemeral, Problem> {
    let envelope = copy.envelope.clone().ok_or(Problem::Malformed)?;
    let shared = shared_of(&envelope);
    if envelope.ciphertext.len().saturating_add(shared.len()) > MAX_EPHEMERAL {
        return Err(Problem::TooLarge);
    }
    if !envelope.ephemeral || !sending::is_known(&envelope) || envelope.ttl_s > MAX_EPHEMERAL_TTL_S {
        return Err(Problem::Malformed);
    }
    let to = Address::from_wire(&copy.user_id, copy.device_id)?;
    Ok(Ephemeral { to, registration_id: copy.registration_id, envelope, shared })
}

/// Nothing is passed on unless everything may be. The sender does not learn who is connected or has accepted the thread.
fn pass(
    state: &State,
    sender: Address,
    thread: ThreadId,
    copies: Vec<Ephemeral>,
    audience: Result<Option<Audience>, StoreError>,
) -> Result<Sent, Problem> {
    let Audience { live, not_accepted, left_alone, is_group } = audience?.ok_or(Problem::NotFound)?;
    let named = copies.iter().map(|copy| (copy.to, copy.registration_id));
    check_recipients(&live, left_alone, sender, named)?;
    let now = state.clock.monotonic();
    for copy in &copies {
        let bytes = copy.envelope.ciphertext.len().saturating_add(copy.shared.len());
        state.limiter.ephemeral(sender.user, copy.to.user, bytes, now)?;
    }
    let (epoch, server_time_ms) = (state.store.epoch(), state.clock.unix_ms());
    for Ephemeral { to, mut envelope, shared, .. } in copies {
        // Only an accepted thread shows that somebody is typing.
        if not_accepted.contains(&to.user) {
            continue;
        }
        // Of a group, a few are told, and the sender does not learn who.
        if is_group && !state.limiter.ephemeral_device(thread, now) {
            state.metrics.ephemeral.dropped.count();
            continue;
        }
        if !shared.is_empty() {
            envelope.ciphertext = [&envelope.ciphertext[..], &shared].concat().into();
        }
        let ttl_s = if envelope.ttl_s == 0 { EPHEMERAL_TTL_S } else { envelope.ttl_s };
        let until = now.saturating_add(Duration::from_secs(ttl_s.into()));
        let deliver = DeliverMail {
            thread_id: thread.to_wire(),
            server_time_ms,
            epoch,
            sender_user_id: sender.user.to_wire(),
            sender_device_id: sender.device.get(),
            envelope: Some(envelope),
            ..DeliverMail::default()
        };
        let frame = Frame { v: FRAME_VERSION, id: 0, body: Some(Body::DeliverMail(deliver)) };
        let passing = Passing { frame: frame.encode_to_vec().into(), from: sender.user, until };
        if !state.bus.pass(to, &passing) {
            state.metrics.ephemeral.offline.count();
        }
    }
    let status = Status::PassedOn;
    let fanout = Fanout::Unspecified;
    Ok(Sent {
        client_msg_id: None,
        thread,
        stored: None,
        epoch,
        status,
        fanout,
        job: None,
        recipients: Vec::new(),
    })
}

impl From<Misaddressed> for Problem {
    fn from(misaddressed: Misaddressed) -> Self {
        match misaddressed {
            Misaddressed::SenderRevoked => Self::InvalidToken,
            Misaddressed::RecipientDeleted => Self::RecipientDeleted,
            Misaddressed::MismatchedDevices(devices) => Self::MismatchedDevices(devices),
            Misaddressed::StaleDevices(devices) => Self::StaleDevices(devices),
        }
    }
}

//! Handles mail: contents for some devices of the members of a thread, which have no place in it.
//!
//! Ephemeral mail is passed on to the devices that are connected. It is never stored: the store is only asked who may
//! receive it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use prost::Message as _;
use sealpost_wire::frame::Body;
use sealpost_wire::id::ThreadId;
use sealpost_wire::id::ToWire as _;
use sealpost_wire::limits::{EPHEMERAL_TTL_S, MAX_EPHEMERAL, MAX_EPHEMERAL_TTL_S};
use sealpost_wire::send_ack::Status;
use sealpost_wire::{DeliverMail, DeviceCopy, Envelope, FRAME_VERSION, Frame, Mail, SendAck};

use crate::address::Address;
use crate::bus::Passing;
use crate::limits::Wait;
use crate::problem::Problem;
use crate::sending::{self, Sent};
use crate::state::State;
use crate::store::{Audience, Misaddressed, StoreError, check_recipients};

/// Mail in progress.
pub(crate) type Mailing = BoxFuture<'static, Result<Sent, Problem>>;

/// Charges mail to its sender, before anything else is done with it.
pub(crate) fn charge(state: &State, sender: Address, mail: &Mail) -> Result<Wait, Problem> {
    Ok(state.limiter.send(sender, mail.encoded_len(), state.clock.monotonic())?)
}

/// Passes on charged mail, once the store has said who may receive it.
pub(crate) fn submit(
    state: &Arc<State>,
    sender: Address,
    mail: &Mail,
    _charged: Wait,
) -> Result<Mailing, Problem> {
    let thread = ThreadId::from_slice(&mail.thread_id)?;
    let copies: Vec<Ephemeral> = mail.copies.iter().map(parse).collect::<Result<_, _>>()?;
    if copies.is_empty() {
        return Err(Problem::Malformed);
    }
    let (state, audience) = (Arc::clone(state), state.store.audience(thread, sender.user));
    Ok(Box::pin(async move { pass(&state, sender, thread, copies, audience.await) }))
}

/// Ephemeral mail for one device.
struct Ephemeral {
    to: Address,
    registration_id: u32,
    envelope: Envelope,
}

fn parse(copy: &DeviceCopy) -> Result<Ephemeral, Problem> {
    let envelope = copy.envelope.clone().ok_or(Problem::Malformed)?;
    if envelope.ciphertext.len() > MAX_EPHEMERAL {
        return Err(Problem::TooLarge);
    }
    if !envelope.ephemeral || !sending::is_known(&envelope) || envelope.ttl_s > MAX_EPHEMERAL_TTL_S {
        return Err(Problem::Malformed);
    }
    let to = Address::from_wire(&copy.user_id, copy.device_id)?;
    Ok(Ephemeral { to, registration_id: copy.registration_id, envelope })
}

/// Nothing is passed on unless everything may be. The sender does not learn who is connected or has accepted the thread.
fn pass(
    state: &State,
    sender: Address,
    thread: ThreadId,
    copies: Vec<Ephemeral>,
    audience: Result<Option<Audience>, StoreError>,
) -> Result<Sent, Problem> {
    let Audience { live, not_accepted, left_alone } = audience?.ok_or(Problem::NotFound)?;
    let named = copies.iter().map(|copy| (copy.to, copy.registration_id));
    check_recipients(&live, left_alone, sender, named)?;
    let now = state.clock.monotonic();
    for copy in &copies {
        state.limiter.ephemeral(sender.user, copy.to.user, copy.envelope.ciphertext.len(), now)?;
    }
    let (epoch, server_time_ms) = (state.store.epoch(), state.clock.unix_ms());
    for Ephemeral { to, envelope, .. } in copies {
        // Only an accepted thread shows that somebody is typing.
        if not_accepted.contains(&to.user) {
            continue;
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
    let ack = SendAck {
        client_msg_id: Bytes::new(),
        thread_id: thread.to_wire(),
        epoch,
        status: Status::PassedOn.into(),
        ..SendAck::default()
    };
    Ok(Sent::without_rows(ack))
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

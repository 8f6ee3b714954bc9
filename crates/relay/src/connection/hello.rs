//! The start of a connection: `Hello`, and `Welcome` or a refusal.

use std::error::Error as _;

use axum::extract::ws::{Message as WsMessage, WebSocket};
use bytes::Bytes;
use sealpost_wire::frame::Body;
use sealpost_wire::id::DeviceId;
use sealpost_wire::limits::{MAX_COUNT, MAX_FRAME, PING_INTERVAL_S, close};
use sealpost_wire::{FRAME_VERSION, Frame, Hello, Welcome, feature};
use tokio::time::timeout;
use tungstenite::Error as WsError;
use tungstenite::error::ProtocolError;

use super::outgoing::send;
use super::state::Closing;
use super::window::Window;
use crate::bus::Subscription;
use crate::limits::{ConnectionLimits, Flooding};
use crate::problem::Problem;
use crate::random;
use crate::state::State;
use crate::store::{Generation, MailboxState, RevocationMark};
use crate::store_version;
use crate::tokens::Access;

/// Proof that a connection was authenticated and admitted.
#[derive(Debug)]
pub(super) struct Greeted {
    pub(super) access: Access,
    pub(super) subscription: Subscription,
    /// The revocations after which its token was checked.
    pub(super) revocations_seen: RevocationMark,
    pub(super) window: Window,
    pub(super) mailbox: MailboxState,
    /// The generation of the device's database that was recorded before.
    generation: Generation,
    pub(super) epoch: u64,
    pub(super) limits: ConnectionLimits,
    /// Whether the client handles mail.
    pub(super) mail: bool,
}

/// Waits for `Hello` and answers it.
pub(super) async fn greet(socket: &mut WebSocket, state: &State) -> Result<Greeted, Closing> {
    let mut limits = ConnectionLimits::new(state.clock.monotonic());
    let first = first_frame(socket, state, &mut limits);
    let (id, hello) = match timeout(state.timing.receive_timeout, first).await {
        Ok(first) => first?,
        Err(_) => return Err(Closing::Because(close::BAD_FRAME)),
    };
    match admit(state, &hello, limits).await {
        Ok(greeted) => {
            let epoch_changed = hello.epoch_seen != 0 && hello.epoch_seen != greeted.epoch;
            let mut welcome = welcome(state, greeted.access, epoch_changed, Some(greeted.mailbox));
            welcome.epoch = greeted.epoch;
            welcome.generation = Some(to_wire(greeted.generation));
            send(socket, state, id, Body::Welcome(welcome)).await?;
            Ok(greeted)
        }
        Err(problem) => {
            send(socket, state, id, Body::Error(problem.to_wire())).await?;
            let code = match problem {
                Problem::StoreUnavailable | Problem::StoreFull => close::STORE_ERROR,
                Problem::RateLimited { .. } => close::FLOODING,
                _ => close::UNAUTHORIZED,
            };
            Err(Closing::Because(code))
        }
    }
}

/// Tells the client about the relay, its own token, and trimmed rows of which it does not know yet.
pub(super) fn welcome(
    state: &State,
    access: Access,
    epoch_changed: bool,
    mailbox: Option<MailboxState>,
) -> Welcome {
    let MailboxState { trimmed, reported, .. } = mailbox.unwrap_or_default();
    Welcome {
        session_id: random::id().to_string(),
        epoch: state.store.epoch(),
        server_time_ms: state.clock.unix_ms(),
        ping_interval_s: PING_INTERVAL_S,
        max_frame: u32::try_from(MAX_FRAME).unwrap_or(u32::MAX),
        access_expires_ms: access.expires_ms,
        epoch_changed,
        needs_full_sync: trimmed > reported,
        trimmed,
        store_version: state.signer.store_version(&state.store.version()),
        generation: None,
    }
}

fn to_wire(generation: Generation) -> sealpost_wire::Generation {
    let Generation { number, nonce } = generation;
    sealpost_wire::Generation { number, nonce: Bytes::copy_from_slice(&nonce) }
}

/// The generation that a device reports, or `None` if it reports none.
fn generation(hello: &Hello) -> Option<Generation> {
    let generation = hello.generation.as_ref()?;
    let said = (1..=MAX_COUNT).contains(&generation.number);
    let nonce = generation.nonce.as_ref().try_into().ok().filter(|_| said)?;
    Some(Generation { number: generation.number, nonce })
}

/// How a failed read ends the connection.
pub(super) fn read_error(error: &axum::Error) -> Closing {
    match error.source().and_then(|cause| cause.downcast_ref()) {
        Some(WsError::Capacity(_)) => Closing::Because(close::TOO_BIG),
        Some(WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => Closing::Gone,
        Some(WsError::Protocol(_) | WsError::Utf8(_) | WsError::AttackAttempt) => {
            Closing::Because(close::BAD_FRAME)
        }
        _ => Closing::Gone,
    }
}

async fn admit(state: &State, hello: &Hello, limits: ConnectionLimits) -> Result<Greeted, Problem> {
    let access = state.authenticate(&hello.access_token).await?;
    // The token of one device does not open the mailbox of another.
    if access.address.device.get() != hello.device_id {
        return Err(Problem::InvalidToken);
    }
    state.limiter.connect(access.address.user, state.clock.monotonic())?;
    // This happens before the mailbox is read, so that a row that is added in between wakes this connection.
    let subscription = state.bus.subscribe(access.address);
    let revocations_seen = state.store.revocations().mark();
    // Checked again, because a revocation just before would not have reached this connection.
    if !state.store.is_live(access.address, access.family).await? {
        return Err(Problem::InvalidToken);
    }
    store_version::check(state, &hello.store_version).await?;
    // It is not recorded of primary devices, which are most and are never unlinked.
    if access.address.device != DeviceId::PRIMARY || !state.store.is_primary(access.address).await? {
        state.store.note_seen(access.address, state.clock.unix_ms()).await?;
    }
    let generation = match generation(hello) {
        Some(generation) => state.store.note_generation(access.address, generation).await?,
        None => Generation::default(),
    };
    let mailbox = state.store.mailbox(access.address).await?;
    let epoch = state.store.epoch();
    let window = Window::new(hello.credit, hello.max_batch_bytes);
    let mail = hello.features.iter().any(|name| name == feature::MAIL);
    Ok(Greeted { access, subscription, revocations_seen, window, mailbox, generation, epoch, limits, mail })
}

async fn first_frame(
    socket: &mut WebSocket,
    state: &State,
    limits: &mut ConnectionLimits,
) -> Result<(u64, Hello), Closing> {
    loop {
        let frame = match socket.recv().await {
            Some(Ok(WsMessage::Binary(bytes))) => sealpost_wire::decode(bytes),
            Some(Ok(WsMessage::Ping(_) | WsMessage::Pong(_))) => {
                let now = state.clock.monotonic();
                let limited = limits.control(&state.limiter, now);
                limited.map_err(|Flooding| Closing::Because(close::FLOODING))?;
                continue;
            }
            Some(Ok(WsMessage::Text(_))) => return Err(Closing::Because(close::BAD_FRAME)),
            Some(Ok(WsMessage::Close(_))) | None => return Err(Closing::Gone),
            Some(Err(error)) => return Err(read_error(&error)),
        };
        return match frame {
            Ok(Frame { v, .. }) if v != FRAME_VERSION => Err(Closing::Because(close::SCHEMA)),
            Ok(Frame { id, body: Some(Body::Hello(hello)), .. }) => Ok((id, hello)),
            Ok(_) | Err(_) => Err(Closing::Because(close::BAD_FRAME)),
        };
    }
}

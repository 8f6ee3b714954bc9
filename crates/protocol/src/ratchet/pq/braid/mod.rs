//! The ML-KEM Braid: both sides agree on a secret for each epoch, with one chunk in each message.
//!
//! In epoch 1 the initiator owns the KEM key and the responder encapsulates to it; in each following epoch they swap
//! roles.
//!
//! ```text
//!       owner of the key                             encapsulator
//!
//!       KeysUnsampled                                NoHeaderReceived
//!            │ send: make the key                         │ header complete
//!       KeysSampled           ── header ─▶           HeaderReceived
//!            │ ct1 began                                  │ send: first half, SECRET
//!       HeaderSent            ── ek ─────▶           Ct1Sampled ───────────────────┐ ek complete
//!            │ ct1 complete   ◀──── ct1 ──                │ ct1 acknowledged   EkReceivedCt1Sampled
//!       Ct1Received           ── ek, ack ▶           Ct1Acknowledged               │
//!            │ ct2 began                                  │ ek complete           │ ct1 acknowledged
//!       EkSentCt1Received     ◀──── ct2 ──           Ct2Sampled ◀──────────────────┘
//!            │ ct2 complete: SECRET                       │ a message of the next epoch
//!            ▼                                            ▼
//!       NoHeaderReceived, next epoch                 KeysUnsampled, next epoch
//! ```
//!
//! A payload that a state does not expect is ignored. There is one struct for each state, and each transition takes
//! it and returns the next one. A transition never fails because a payload is late or early, but only if it is
//! invalid.

mod send_ct;
mod send_ek;

use rand_core::CryptoRng;
use std::cmp::Ordering;

pub(super) use send_ct::{
    Begun, Ct1Acknowledged, Ct1Sampled, Ct2Sampled, EkReceivedCt1Sampled, HeaderReceived, NoHeaderReceived,
};
use send_ek::Ct2Progress;
pub(super) use send_ek::{Ct1Received, EkSentCt1Received, HeaderSent, KeysSampled, KeysUnsampled};

use super::authenticator::Authenticator;
use super::chain::{Direction, EpochSecret};
use super::message::Payload;
use crate::primitives::kdf;
use crate::primitives::secret::Secret;

/// One side of the braid. Copies share everything that has not changed.
#[derive(Debug, Clone)]
pub(crate) struct Braid {
    pub(super) epoch: u64,
    pub(super) authenticator: Authenticator,
    pub(super) state: State,
}

#[derive(Debug, Clone)]
pub(crate) enum State {
    KeysUnsampled(KeysUnsampled),
    KeysSampled(KeysSampled),
    HeaderSent(HeaderSent),
    Ct1Received(Ct1Received),
    EkSentCt1Received(EkSentCt1Received),
    NoHeaderReceived(NoHeaderReceived),
    HeaderReceived(HeaderReceived),
    Ct1Sampled(Ct1Sampled),
    EkReceivedCt1Sampled(EkReceivedCt1Sampled),
    Ct1Acknowledged(Ct1Acknowledged),
    Ct2Sampled(Ct2Sampled),
}

/// The payload to send, and the secret that was agreed upon by sending it.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) next: Braid,
    pub(crate) payload: Payload,
    pub(crate) secret: Option<EpochSecret>,
}

/// The secret that was agreed upon by receiving a payload.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) next: Braid,
    pub(crate) secret: Option<EpochSecret>,
}

/// Why a message of the peer is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BraidError {
    /// Its epoch is in the future.
    Epoch,
    /// It completes something whose MAC is wrong.
    BadMac,
    /// It completes an encapsulation key that does not match its header.
    BadKey,
}

impl Braid {
    pub(crate) fn start(direction: Direction, auth_key: &Secret<32>) -> Self {
        let state = match direction {
            Direction::Initiator => State::KeysUnsampled(KeysUnsampled),
            Direction::Responder => State::NoHeaderReceived(NoHeaderReceived::new()),
        };
        Self { epoch: 1, authenticator: Authenticator::new(auth_key), state }
    }

    /// From 1.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) fn send<R: CryptoRng + ?Sized>(&self, rng: &mut R) -> Sent {
        let (epoch, authenticator) = (self.epoch, &self.authenticator);
        let (state, payload) = match self.state.clone() {
            State::KeysUnsampled(state) => {
                let (state, chunk) = state.send(epoch, authenticator, rng);
                (State::KeysSampled(state), Payload::Header(chunk))
            }
            State::KeysSampled(state) => {
                let (state, chunk) = state.send();
                (State::KeysSampled(state), Payload::Header(chunk))
            }
            State::HeaderSent(state) => {
                let (state, chunk) = state.send();
                (State::HeaderSent(state), Payload::Ek(chunk))
            }
            State::Ct1Received(state) => {
                let (state, chunk) = state.send();
                (State::Ct1Received(state), Payload::EkCt1Ack(chunk))
            }
            state @ State::EkSentCt1Received(_) => (state, Payload::Ct1Ack),
            state @ (State::NoHeaderReceived(_) | State::Ct1Acknowledged(_)) => (state, Payload::None),
            State::HeaderReceived(state) => {
                let (state, chunk, agreed) = state.send(epoch, authenticator, rng);
                let next =
                    Self { epoch, authenticator: agreed.authenticator, state: State::Ct1Sampled(state) };
                return Sent { next, payload: Payload::Ct1(chunk), secret: Some(agreed.secret) };
            }
            State::Ct1Sampled(state) => {
                let (state, chunk) = state.send();
                (State::Ct1Sampled(state), Payload::Ct1(chunk))
            }
            State::EkReceivedCt1Sampled(state) => {
                let (state, chunk) = state.send();
                (State::EkReceivedCt1Sampled(state), Payload::Ct1(chunk))
            }
            State::Ct2Sampled(state) => {
                let (state, chunk) = state.send();
                (State::Ct2Sampled(state), Payload::Ct2(chunk))
            }
        };
        Sent { next: self.with(state), payload, secret: None }
    }

    /// `epoch` is that of the message, from 1.
    pub(crate) fn receive(&self, epoch: u64, payload: Payload) -> Result<Received, BraidError> {
        match (epoch.cmp(&self.epoch), &self.state) {
            (Ordering::Less, _) => Ok(Received { next: self.clone(), secret: None }),
            (Ordering::Equal, _) => self.receive_now(payload),
            // Their being in the next epoch shows that they have the whole ciphertext.
            (Ordering::Greater, State::Ct2Sampled(_)) if epoch.checked_sub(1) == Some(self.epoch) => {
                let next = Self { epoch, ..self.with(State::KeysUnsampled(KeysUnsampled)) };
                Ok(Received { next, secret: None })
            }
            (Ordering::Greater, _) => Err(BraidError::Epoch),
        }
    }

    /// Handles a payload of the present epoch.
    fn receive_now(&self, payload: Payload) -> Result<Received, BraidError> {
        let (epoch, authenticator) = (self.epoch, &self.authenticator);
        let state = match (self.state.clone(), payload) {
            (State::KeysSampled(state), Payload::Ct1(chunk)) => State::HeaderSent(state.receive_ct1(chunk)),
            (State::HeaderSent(state), Payload::Ct1(chunk)) => state.receive_ct1(chunk),
            (State::Ct1Received(state), Payload::Ct2(chunk)) => {
                State::EkSentCt1Received(state.receive_ct2(chunk))
            }
            (State::EkSentCt1Received(state), Payload::Ct2(chunk)) => match state.receive_ct2(chunk) {
                Ct2Progress::Partial(state) => State::EkSentCt1Received(state),
                Ct2Progress::Complete(ciphertext) => {
                    let Agreed { authenticator, secret } = ciphertext.open(epoch, authenticator)?;
                    let state = State::NoHeaderReceived(NoHeaderReceived::new());
                    // No peer can bring us to an epoch that cannot be left.
                    let epoch = epoch.checked_add(1).ok_or(BraidError::Epoch)?;
                    return Ok(Received { next: Self { epoch, authenticator, state }, secret: Some(secret) });
                }
            },
            (State::NoHeaderReceived(state), Payload::Header(chunk)) => {
                state.receive_header(epoch, authenticator, chunk)?
            }
            (State::Ct1Sampled(state), Payload::Ek(chunk)) => state.receive_ek(chunk)?,
            (State::Ct1Sampled(state), Payload::EkCt1Ack(chunk)) => {
                state.receive_ek_and_ack(epoch, authenticator, chunk)?
            }
            (State::EkReceivedCt1Sampled(state), Payload::Ct1Ack | Payload::EkCt1Ack(_)) => {
                State::Ct2Sampled(state.receive_ack(epoch, authenticator)?)
            }
            (State::Ct1Acknowledged(state), Payload::Ek(chunk) | Payload::EkCt1Ack(chunk)) => {
                state.receive_ek(epoch, authenticator, chunk)?
            }
            (state, _) => state,
        };
        Ok(Received { next: self.with(state), secret: None })
    }

    /// Another state of the same epoch.
    fn with(&self, state: State) -> Self {
        Self { epoch: self.epoch, authenticator: self.authenticator.clone(), state }
    }
}

/// What follows from the shared secret of an epoch, on either side.
struct Agreed {
    authenticator: Authenticator,
    secret: EpochSecret,
}

impl Agreed {
    /// `secret of epoch e = HKDF(0, shared secret, "..SCKA Key" || e)`.
    fn new(epoch: u64, shared: &Secret<32>, authenticator: &Authenticator) -> Self {
        let info: [&[u8]; 2] = [kdf::PQ_EPOCH, &epoch.to_be_bytes()];
        let secret = kdf::hkdf_about(None, &[shared.expose()], &info);
        let authenticator = authenticator.update(epoch, &secret);
        Self { authenticator, secret: EpochSecret { epoch, secret } }
    }
}

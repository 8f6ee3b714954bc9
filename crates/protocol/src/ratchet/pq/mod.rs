//! SPQR, the sparse post-quantum ratchet (Double Ratchet, section 5), over the ML-KEM Braid.
//!
//! Every message contains a few bytes of it and has a key of it, which the [Triple Ratchet](super::triple) combines
//! with the key of the Double Ratchet.
//!
//! ```text
//!   braid:   epoch 1: A owns the KEM key         epoch 2: B owns it            epoch 3: A ...
//!            header ──▶    ◀── ct1               ◀── header   ct1 ──▶
//!            ek     ──▶    ◀── ct2               ◀── ek       ct2 ──▶          one chunk in each message
//!                     │                                  │
//!                  secret 1                           secret 2
//!                     ▼                                  ▼
//!   root ─────────▶ root ────────────────────────────▶ root ─▶                 one step for each epoch
//!    │                │                                  │
//!    ├─ A→B ─▶ keys   ├─ A→B ─▶ keys                     ├─ A→B ─▶ keys        one step for each message
//!    └─ B→A ─▶ keys   └─ B→A ─▶ keys                     └─ B→A ─▶ keys
//!   chains: epoch 0       epoch 1                            epoch 2
//! ```
//!
//! | Spec | Here | |
//! |---|---|---|
//! | SCKA | [`Braid`] | agrees on a secret for each epoch, in some 45 messages each way |
//! | epoch | `epoch` | a message of epoch `e` of the braid has a key of the chains of `e - 1`, which both have |
//! | chain | [`Chains`] | |
//! | version 0, 1 | [`Spqr::Off`], [`Spqr::On`] | |
//!
//! The chains of an epoch depend on the secrets of all epochs before. An attacker who has seen our state once is
//! locked out again by the next secret, even with a quantum computer.
//!
//! This holds for reading. For forging, it holds only where a key of SPQR is required: peers from before it was
//! required begin with messages that have none (number 0 of epoch 0), and an attacker with the classical state can
//! forge such a message at any time. A receiver whose policy requires SPQR therefore refuses them once it has
//! received a message with a key ([`Negotiation::Keyed`]). Under another policy, they are accepted for as long as the
//! session lasts.

pub(crate) mod authenticator;
pub(crate) mod braid;
pub(crate) mod chain;
pub(crate) mod chunks;
mod codec;
pub(crate) mod gf16;
pub(crate) mod message;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use rand_core::CryptoRng;

use braid::{Braid, BraidError};
pub(crate) use chain::Link;
use chain::{Chains, Direction, OutOfStep};
use message::{Malformed, Preamble};

use super::skipped::{Pending, SkippedChange};
use super::terms::Terms;
use super::walk::{Limits, Work};
use crate::primitives::secret::Secret;
use crate::session_id::SessionId;

/// One state. Clones share what the braid has collected so far.
#[derive(Debug, Clone)]
pub(crate) enum Spqr {
    /// Version 0: sends nothing, and contributes no key.
    Off,
    /// Version 1.
    On(Running),
}

#[derive(Debug, Clone)]
pub(crate) struct Running {
    negotiation: Negotiation,
    chains: Chains,
    braid: Braid,
}

/// What is known about the version of the peer.
///
/// ```text
///   Offered ── a later version ─▶ Outpaced              Required
///      │  ╲                       ╱  │                     │
///      │   ╲── silence ─▶ Off ◀──╱   │                     │
///      │                             │                     │
///      └──────── version 1 ──────────┴───── version 1 ─────┘
///                                    ▼
///                                  Agreed ── a key of version 1 ─▶ Keyed
/// ```
///
/// A peer that states version 1 and has a key immediately skips the states in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Negotiation {
    /// Nothing. A peer without SPQR is accepted, so messages have no key yet.
    Offered,
    /// The peer has stated a later version. A peer without SPQR is accepted.
    Outpaced,
    /// The peer has not stated version 1. A peer without SPQR is refused.
    Required,
    /// The peer has stated version 1, and nothing else is accepted. It has not had a key yet.
    Agreed,
    /// The peer has had a key.
    Keyed,
}

/// An outgoing message: its SPQR bytes, its key if it has one, and the state after it.
#[derive(Debug)]
#[must_use = "the key was used, and this forgets it"]
pub(crate) struct Sent {
    pub(crate) next: Spqr,
    pub(crate) message: Vec<u8>,
    pub(crate) key: Option<Secret<32>>,
    pub(crate) skipped: Vec<SkippedChange>,
}

/// An incoming message: its key if it has one, and the state after it. It is dropped if the message turns out not to
/// be authentic; then nothing has happened.
#[derive(Debug)]
#[must_use = "the key was used, and this forgets it"]
pub(crate) struct Received {
    pub(crate) next: Spqr,
    pub(crate) key: Option<Secret<32>>,
    pub(crate) skipped: Pending<Link>,
}

/// Why there is no key for an outgoing message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SendError {
    /// 2^32 - 1 messages were sent in one epoch.
    ChainUsedUp,
    /// A bug: braid and chains are in different epochs.
    OutOfStep,
}

/// Why there is no key for an incoming message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReceiveError {
    /// It is not a message of SPQR.
    Malformed,
    /// Its version is lower than required.
    MinimumVersion,
    /// Its version differs from the one that was agreed upon.
    VersionMismatch,
    /// It has no key, and the policy requires one because the peer has had one.
    Keyless,
    /// Its epoch is in the future, or too old.
    Epoch,
    /// It completes something with a wrong MAC.
    BadMac,
    /// The encapsulation key that it completes does not match its header.
    BadKey,
    /// It skips more messages than are allowed.
    TooFarAhead,
    /// It is older than the keys that are stored.
    Trimmed,
    /// Its key was already used.
    Duplicate,
    /// A bug: braid and chains are in different epochs.
    OutOfStep,
}

impl Spqr {
    /// Starts with `auth_key`, the third key of the handshake. `negotiation` is `Offered` or `Required`.
    pub(crate) fn new(direction: Direction, negotiation: Negotiation, auth_key: &Secret<32>) -> Self {
        let (chains, braid) = (Chains::start(direction, auth_key), Braid::start(direction, auth_key));
        Self::On(Running { negotiation, chains, braid })
    }

    /// The next message. Draws 64 random bytes to generate a KEM key, 32 for an encapsulation, and none otherwise.
    pub(crate) fn send<R: CryptoRng + ?Sized>(
        &self,
        session: SessionId,
        rng: &mut R,
    ) -> Result<Sent, SendError> {
        match self {
            Self::Off => Ok(Sent { next: Self::Off, message: Vec::new(), key: None, skipped: Vec::new() }),
            Self::On(running) => running.send(session, rng),
        }
    }

    /// The result of an incoming message. `skipped` are the stored keys that it names.
    pub(crate) fn receive(
        &self,
        message: &[u8],
        terms: &Terms<'_>,
        work: &mut Work,
    ) -> Result<Received, ReceiveError> {
        match self {
            // Whatever it says, as long as it says something.
            Self::Off => {
                Preamble::parse(message)?;
                Ok(Received::without_key(Self::Off, Vec::new()))
            }
            Self::On(running) => running.receive(Preamble::parse(message)?, terms, work),
        }
    }

    /// The number of steps to an incoming message. `None` if there cannot be a key for it.
    pub(crate) fn distance(&self, message: &[u8], terms: &Terms<'_>) -> Option<u32> {
        let Self::On(running) = self else { return Some(0) };
        let (epoch, index) = match Preamble::parse(message).ok()? {
            Preamble::Silent => return Some(0),
            Preamble::Known(keyed) => (keyed.chain_epoch(), keyed.index),
            Preamble::Later(keyed) => (0, keyed.index),
        };
        if (epoch, index) == NO_KEY { Some(0) } else { running.chains.distance(epoch, index, terms) }
    }

    /// Whether an incoming message without a key of SPQR is refused, or soon will be.
    pub(crate) fn is_required(&self) -> bool {
        match self {
            Self::Off => false,
            Self::On(running) => match running.negotiation {
                Negotiation::Offered | Negotiation::Outpaced => false,
                Negotiation::Required | Negotiation::Agreed | Negotiation::Keyed => true,
            },
        }
    }
}

/// One message less than elsewhere may be skipped, because here a jump is counted from the last message, not from the
/// next one.
pub(crate) fn limits(Limits { skip, keep }: Limits) -> Limits {
    Limits { skip: skip.saturating_sub(1), keep }
}

/// The epoch and number of a message without a key.
const NO_KEY: (u64, u32) = (0, 0);

impl Running {
    fn send<R: CryptoRng + ?Sized>(&self, session: SessionId, rng: &mut R) -> Result<Sent, SendError> {
        let braid::Sent { next: braid, payload, secret } = self.braid.send(rng);
        let epoch = braid.epoch();
        let chains = self.chains.with(secret.as_ref())?;
        let running = |chains| Spqr::On(Self { negotiation: self.negotiation, chains, braid });
        if self.negotiation == Negotiation::Offered {
            let message = message::serialize(epoch, 0, &payload);
            return Ok(Sent { next: running(chains.into_owned()), message, key: None, skipped: Vec::new() });
        }
        let step = chains.send(session, epoch.saturating_sub(1))?;
        let message = message::serialize(epoch, step.index, &payload);
        Ok(Sent { next: running(step.next), message, key: Some(step.key), skipped: step.skipped })
    }

    /// Checks the version.
    fn receive(
        &self,
        preamble: Preamble<'_>,
        terms: &Terms<'_>,
        work: &mut Work,
    ) -> Result<Received, ReceiveError> {
        use Negotiation::{Agreed, Keyed, Offered, Outpaced, Required};
        match (preamble, self.negotiation) {
            (Preamble::Silent, Offered | Outpaced) => {
                Ok(Received::without_key(Spqr::Off, self.chains.forget(terms.session)))
            }
            (Preamble::Silent, Required | Agreed | Keyed) => Err(ReceiveError::MinimumVersion),
            (Preamble::Known(keyed), known) => {
                let has_key = (keyed.chain_epoch(), keyed.index) != NO_KEY;
                if !has_key && known == Keyed && terms.must_be_keyed {
                    return Err(ReceiveError::Keyless);
                }
                let braid::Received { next: braid, secret } =
                    self.braid.receive(keyed.epoch, keyed.payload()?)?;
                let chains = self.chains.with(secret.as_ref())?;
                let negotiation = if has_key || known == Keyed { Keyed } else { Agreed };
                let name = (keyed.chain_epoch(), keyed.index);
                Self::with_key(negotiation, chains, braid, name, terms, work)
            }
            // The contents of a later version are unknown, except that its first keys are the same.
            (Preamble::Later(keyed), open @ (Offered | Outpaced | Required)) => {
                let negotiation = if open == Offered { Outpaced } else { open };
                let (chains, braid) = (Cow::Borrowed(&self.chains), self.braid.clone());
                Self::with_key(negotiation, chains, braid, (0, keyed.index), terms, work)
            }
            (Preamble::Later(_), Agreed | Keyed) => Err(ReceiveError::VersionMismatch),
        }
    }

    /// The state with these parts after it has used the key of the message with this epoch and number. Number 0 of
    /// epoch 0 means no key; peers that do not know yet whether we support SPQR send it.
    fn with_key(
        negotiation: Negotiation,
        chains: Cow<'_, Chains>,
        braid: Braid,
        (epoch, number): (u64, u32),
        terms: &Terms<'_>,
        work: &mut Work,
    ) -> Result<Received, ReceiveError> {
        if (epoch, number) == NO_KEY {
            let running = Self { negotiation, chains: chains.into_owned(), braid };
            return Ok(Received::without_key(Spqr::On(running), Vec::new()));
        }
        let (chains, key, skipped) = chains.receive(epoch, number, terms, work)?;
        Ok(Received { next: Spqr::On(Self { negotiation, chains, braid }), key: Some(key), skipped })
    }
}

impl Received {
    fn without_key(next: Spqr, skipped: Vec<SkippedChange>) -> Self {
        Self { next, key: None, skipped: Pending::Changes(skipped) }
    }
}

impl From<OutOfStep> for SendError {
    fn from(OutOfStep: OutOfStep) -> Self {
        Self::OutOfStep
    }
}

impl From<OutOfStep> for ReceiveError {
    fn from(OutOfStep: OutOfStep) -> Self {
        Self::OutOfStep
    }
}

impl From<Malformed> for ReceiveError {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}

impl From<BraidError> for ReceiveError {
    fn from(reason: BraidError) -> Self {
        match reason {
            BraidError::Epoch => Self::Epoch,
            BraidError::BadMac => Self::BadMac,
            BraidError::BadKey => Self::BadKey,
        }
    }
}

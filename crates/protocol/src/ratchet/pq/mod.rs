//! SPQR, the sparse post-quantum ratchet (Double Ratchet, section 5), over the ML-KEM Braid.
//!
//! Every message carries a few bytes of it, and has a key of it, which the [Triple Ratchet](super::triple) mixes into the
//! key of the Double Ratchet.
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
//! The chains of an epoch rest on the secrets of all epochs before. Whoever has seen our state once is shut out again by
//! the next secret, even with a quantum computer.
//!
//! That holds for reading. For forging it holds only where a key of SPQR is asked for: peers from before it was required
//! begin with messages that have none (number 0 of epoch 0), and who holds the classical state can make such a message at
//! any time. So a receiver whose policy requires SPQR refuses them from the first message on that had a key
//! ([`Negotiation::Keyed`]). Under another policy they are accepted for as long as the session lasts.

pub(crate) mod authenticator;
pub(crate) mod braid;
pub(crate) mod chain;
pub(crate) mod chunks;
mod codec;
pub(crate) mod gf16;
pub(crate) mod message;
#[cfg(test)]
mod tests;

use bytes::Bytes;
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

/// One state. Copies share everything that did not change.
#[derive(Debug, Clone)]
pub(crate) enum Spqr {
    /// Version 0: says nothing, and adds no key.
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
/// Who says version 1 and has a key at once goes all the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Negotiation {
    /// Nothing. None will do, so that messages have no key yet.
    Offered,
    /// They have spoken a later version. None will do.
    Outpaced,
    /// They have not spoken version 1. Silence will not do.
    Required,
    /// They have spoken version 1, and nothing else will do. They had no key yet.
    Agreed,
    /// They have had a key.
    Keyed,
}

/// A message of ours: what it says, the key it adds if it adds one, and the state after it.
#[derive(Debug)]
#[must_use = "the key was used, and this forgets it"]
pub(crate) struct Sent {
    pub(crate) next: Spqr,
    pub(crate) message: Bytes,
    pub(crate) key: Option<Secret<32>>,
    pub(crate) skipped: Vec<SkippedChange>,
}

/// A message of theirs: the key it adds if it adds one, and the state after it. Dropped when the message turns out not
/// to be authentic: then nothing happened.
#[derive(Debug)]
#[must_use = "the key was used, and this forgets it"]
pub(crate) struct Received {
    pub(crate) next: Spqr,
    pub(crate) key: Option<Secret<32>>,
    pub(crate) skipped: Pending<Link>,
}

/// Why there is no key to send with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SendError {
    /// After 2^32 - 1 messages in one epoch.
    ChainUsedUp,
    /// Our own fault: braid and chains are in different epochs.
    OutOfStep,
}

/// Why there is no key for a message of theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReceiveError {
    /// Not a message of SPQR.
    Malformed,
    /// Less than is required.
    MinimumVersion,
    /// Another version than was agreed upon.
    VersionMismatch,
    /// It has no key, and the policy asks for one now that they have had one.
    Keyless,
    /// Its epoch is yet to come, or gone.
    Epoch,
    /// What it completes does not have the right MAC.
    BadMac,
    /// The encapsulation key it completes is not the one of its header.
    BadKey,
    /// It skips more messages than are allowed.
    TooFarAhead,
    /// It is further behind than keys are kept.
    Trimmed,
    /// Its key was used.
    Duplicate,
    /// Our own fault: braid and chains are in different epochs.
    OutOfStep,
}

impl Spqr {
    /// One that begins with `auth_key`, the third key of the handshake. `negotiation` is `Offered` or `Required`.
    pub(crate) fn new(direction: Direction, negotiation: Negotiation, auth_key: &Secret<32>) -> Self {
        let (chains, braid) = (Chains::start(direction, auth_key), Braid::start(direction, auth_key));
        Self::On(Running { negotiation, chains, braid })
    }

    /// The next message. Draws 64 bytes when a KEM key is made, 32 for an encapsulation, and none otherwise.
    pub(crate) fn send<R: CryptoRng + ?Sized>(
        &self,
        session: SessionId,
        rng: &mut R,
    ) -> Result<Sent, SendError> {
        match self {
            Self::Off => Ok(Sent { next: Self::Off, message: Bytes::new(), key: None, skipped: Vec::new() }),
            Self::On(running) => running.send(session, rng),
        }
    }

    /// What a message of theirs leads to. `skipped` are the kept keys that it names.
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

    /// How many steps it is to a message of theirs. `None` when there cannot be a key for it.
    pub(crate) fn distance(&self, message: &[u8], terms: &Terms<'_>) -> Option<u32> {
        let Self::On(running) = self else { return Some(0) };
        let (epoch, index) = match Preamble::parse(message).ok()? {
            Preamble::Silent => return Some(0),
            Preamble::Known(keyed) => (keyed.chain_epoch(), keyed.index),
            Preamble::Later(keyed) => (0, keyed.index),
        };
        if (epoch, index) == NO_KEY { Some(0) } else { running.chains.distance(epoch, index, terms) }
    }

    /// Whether a message of theirs without a key of SPQR is out of the question, or soon will be.
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

/// One message less than elsewhere may be skipped: here a jump counts from the last message, not from the next.
pub(crate) fn limits(Limits { skip, keep }: Limits) -> Limits {
    Limits { skip: skip.saturating_sub(1), keep }
}

/// The epoch of the chain and the number in it of what has no key.
const NO_KEY: (u64, u32) = (0, 0);

impl Running {
    fn send<R: CryptoRng + ?Sized>(&self, session: SessionId, rng: &mut R) -> Result<Sent, SendError> {
        let braid::Sent { next: braid, payload, secret } = self.braid.send(rng);
        let epoch = braid.epoch();
        let chains = match &secret {
            Some(secret) => self.chains.add(secret)?,
            None => self.chains.clone(),
        };
        let running = |chains| Spqr::On(Self { negotiation: self.negotiation, chains, braid });
        if self.negotiation == Negotiation::Offered {
            let message = message::serialize(epoch, 0, &payload);
            return Ok(Sent { next: running(chains), message, key: None, skipped: Vec::new() });
        }
        let step = chains.send(session, epoch.saturating_sub(1))?;
        let message = message::serialize(epoch, step.index, &payload);
        Ok(Sent { next: running(step.next), message, key: Some(step.key), skipped: step.skipped })
    }

    /// What the version asks for.
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
                let chains = match &secret {
                    Some(secret) => self.chains.add(secret)?,
                    None => self.chains.clone(),
                };
                let negotiation = if has_key || known == Keyed { Keyed } else { Agreed };
                let running = Self { negotiation, chains, braid };
                running.with_key(keyed.chain_epoch(), keyed.index, terms, work)
            }
            // What a later version has to say is not known, but that its first keys are the same is.
            (Preamble::Later(keyed), open @ (Offered | Outpaced | Required)) => {
                let negotiation = if open == Offered { Outpaced } else { open };
                let running = Self { negotiation, ..self.clone() };
                running.with_key(0, keyed.index, terms, work)
            }
            (Preamble::Later(_), Agreed | Keyed) => Err(ReceiveError::VersionMismatch),
        }
    }

    /// This state after it gave the key of message `index` in the chain of `epoch`. Number 0 of epoch 0 is none: it is
    /// what those say who do not know yet whether their peer speaks SPQR.
    fn with_key(
        self,
        epoch: u64,
        index: u32,
        terms: &Terms<'_>,
        work: &mut Work,
    ) -> Result<Received, ReceiveError> {
        if (epoch, index) == NO_KEY {
            return Ok(Received::without_key(Spqr::On(self), Vec::new()));
        }
        let (chains, key, skipped) = self.chains.receive(epoch, index, terms, work)?;
        Ok(Received { next: Spqr::On(Self { chains, ..self }), key: Some(key), skipped })
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

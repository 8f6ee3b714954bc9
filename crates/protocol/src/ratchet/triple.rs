//! The Triple Ratchet (Double Ratchet, section 6): the Double Ratchet and SPQR side by side, a key of each for every
//! message.
//!
//! ```text
//!   Double Ratchet ─▶ MK ────────────┐
//!                                  HKDF ─▶ cipher key, MAC key, IV
//!   SPQR ───────────▶ key ── salt ───┘
//! ```
//!
//! Whoever wants to read a message has to break both. A session without SPQR has no salt, and is a Double Ratchet; so is a
//! message for which SPQR has no key yet, and [who holds the classical state can forge](pq) such a one.

use bytes::Bytes;
use rand_core::CryptoRng;

use super::double::{self, DoubleRatchet, NoKey};
use super::pq::{self, Spqr};
use super::skipped::{Pending, SkippedChange};
use super::terms::{Distance, Terms};
use super::walk::Work;
use crate::error::LowOrderPoint;
use crate::message::{Header, SignalMessage};
use crate::primitives::cipher::CipherKeys;
use crate::session_id::SessionId;

/// One state. Copies share everything that did not change.
#[derive(Debug, Clone)]
pub(crate) struct TripleRatchet {
    pub(crate) double: DoubleRatchet,
    pub(crate) spqr: Spqr,
}

/// A message of ours but for its text, and the state after it.
#[derive(Debug)]
#[must_use = "the keys were used, and this forgets it"]
pub(crate) struct Sent {
    pub(crate) next: TripleRatchet,
    pub(crate) header: Header,
    /// What SPQR says: empty when there is none.
    pub(crate) pq_ratchet: Bytes,
    pub(crate) keys: CipherKeys,
    pub(crate) skipped: Vec<SkippedChange>,
}

/// What becomes of a state once a message has proved authentic. Dropped otherwise: then nothing happened.
#[derive(Debug)]
#[must_use = "the keys were used, and this forgets it"]
pub(crate) struct Step<'a> {
    double: double::Step<'a>,
    spqr: Spqr,
    skipped: Pending<pq::Link>,
}

impl TripleRatchet {
    /// The sending half of a message: a step of both.
    pub(crate) fn send<R: CryptoRng + ?Sized>(
        &self,
        session: SessionId,
        rng: &mut R,
    ) -> Result<Sent, pq::SendError> {
        let (double, header, message_key) = self.double.send().ok_or(pq::SendError::ChainUsedUp)?;
        let pq::Sent { next: spqr, message: pq_ratchet, key, skipped } = self.spqr.send(session, rng)?;
        let keys = message_key.into_cipher_keys(key.as_ref());
        Ok(Sent { next: Self { double, spqr }, header, pq_ratchet, keys, skipped })
    }

    /// The receiving half: the keys, and the step to take when they have opened the message. That a message is a
    /// duplicate, the Double Ratchet tells; where it has a key and SPQR has none, the message is not of this session.
    pub(crate) fn receive(
        &self,
        message: &SignalMessage,
        terms: &Terms<'_>,
        work: &mut Work,
    ) -> Result<(CipherKeys, Step<'_>), NoKey> {
        let (message_key, double) = self.double.receive(message.header(), terms, work)?;
        let terms = Terms { limits: pq::limits(terms.limits), ..*terms };
        let received = self.spqr.receive(message.pq_ratchet(), &terms, work);
        let pq::Received { next: spqr, key, skipped } = received.map_err(|_| NoKey::Impossible)?;
        Ok((message_key.into_cipher_keys(key.as_ref()), Step { double, spqr, skipped }))
    }

    /// How far it is to a message. `None` when there is nothing to be found there: SPQR has no key for it.
    pub(crate) fn distance(&self, message: &SignalMessage, terms: &Terms<'_>) -> Option<Distance> {
        match self.double.distance(message.header()) {
            // A duplicate, or a key that was kept: either is worth knowing.
            0 => Some(Distance::new(0, 0)),
            steps => Some(Distance::new(steps, self.spqr.distance(message.pq_ratchet(), terms)?)),
        }
    }
}

impl Step<'_> {
    /// Whether others that we know of were sent after the message.
    pub(crate) fn is_late(&self) -> bool {
        self.double.is_late()
    }

    /// The next state, and what it changes about the skipped keys.
    pub(crate) fn take<R: CryptoRng + ?Sized>(
        self,
        rng: &mut R,
    ) -> Result<(TripleRatchet, Vec<SkippedChange>), LowOrderPoint> {
        let (double, mut skipped) = self.double.take(rng)?;
        skipped.extend(self.skipped.into_changes());
        Ok((TripleRatchet { double, spqr: self.spqr }, skipped))
    }
}

//! The Triple Ratchet (Double Ratchet, section 6): the Double Ratchet and SPQR side by side, a key of each for every
//! message.
//!
//! ```text
//!   Double Ratchet ─▶ MK ────────────┐
//!                                  HKDF ─▶ cipher key, MAC key, IV
//!   SPQR ───────────▶ key ── salt ───┘
//! ```
//!
//! An attacker has to break both ratchets to read a message. A session without SPQR has no salt, and is a Double
//! Ratchet. The same is true for a message for which SPQR has no key yet, which [an attacker with the classical state
//! can forge](pq).

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

/// One state.
#[derive(Debug, Clone)]
pub(crate) struct TripleRatchet {
    pub(crate) double: DoubleRatchet,
    pub(crate) spqr: Spqr,
}

/// An outgoing message except for its text, and the state after it.
#[derive(Debug)]
#[must_use = "the keys were used, and this forgets it"]
pub(crate) struct Sent {
    pub(crate) next: TripleRatchet,
    pub(crate) header: Header,
    /// The SPQR bytes; empty if there are none.
    pub(crate) pq_ratchet: Vec<u8>,
    pub(crate) keys: CipherKeys,
    pub(crate) skipped: Vec<SkippedChange>,
}

/// The change to a state if a message is authentic. It is dropped otherwise; then nothing has happened.
#[derive(Debug)]
#[must_use = "the keys were used, and this forgets it"]
pub(crate) struct Step<'a> {
    double: double::Step<'a>,
    spqr: Spqr,
    skipped: Pending<pq::Link>,
}

impl TripleRatchet {
    /// The sending half of a message: a step of both.
    #[inline]
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

    /// The receiving half: the keys, and the step to take if they decrypt the message. The Double Ratchet detects
    /// duplicates; if it has a key and SPQR has none, the message does not belong to this session.
    #[inline]
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

    /// The distance to a message. `None` if SPQR cannot have a key for it.
    pub(crate) fn distance(&self, message: &SignalMessage, terms: &Terms<'_>) -> Option<Distance> {
        match self.double.distance(message.header()) {
            // A duplicate, or a stored key; both are results.
            0 => Some(Distance::new(0, 0)),
            steps => Some(Distance::new(steps, self.spqr.distance(message.pq_ratchet(), terms)?)),
        }
    }
}

impl Step<'_> {
    /// Whether later messages than this one are known.
    pub(crate) fn is_late(&self) -> bool {
        self.double.is_late()
    }

    /// The next state, and the changes to the skipped keys.
    #[inline]
    pub(crate) fn take<R: CryptoRng + ?Sized>(
        self,
        rng: &mut R,
    ) -> Result<(TripleRatchet, Vec<SkippedChange>), LowOrderPoint> {
        let (double, mut skipped) = self.double.take(rng)?;
        skipped.extend(self.skipped.into_changes());
        Ok((TripleRatchet { double, spqr: self.spqr }, skipped))
    }
}

//! Which sessions may be started, and which may send.

use super::state::Session;
use crate::primitives::secret::Secret;
use crate::ratchet::pq::chain::Direction;
use crate::ratchet::pq::{Negotiation, Spqr};
use crate::session_id::SessionVersion;

/// Which sessions may be started, and which become active. Existing sessions can receive under every policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum SessionPolicy {
    /// Version 4 only, and only with SPQR. No message can be read with a quantum computer or with the classical half
    /// of a stolen state. Once the peer has sent a message with a key of SPQR, none can be forged with those either;
    /// before that, a message of a peer from before SPQR was required may have no key.
    #[default]
    TripleRatchet,
    /// Version 4 only. SPQR is offered, and used if the peer supports it. With a peer that does not, only the
    /// handshake is secure against a quantum computer. An attacker with the classical half of a state can forge
    /// messages of the peer, because they need not have a key of SPQR.
    Pqxdh,
    /// Version 3 too, with a peer whose bundle has no KEM pre-key. It is not secure against a quantum computer.
    X3dh,
}

/// The strength of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strength {
    /// Version 3.
    Classical,
    /// Version 4, without SPQR, or with SPQR still being negotiated.
    Handshake,
    /// Version 4 with SPQR.
    Ratchet,
}

impl SessionPolicy {
    /// Whether the session may be used for sending.
    pub(super) fn allows(self, session: &Session) -> bool {
        let least = match self {
            Self::TripleRatchet => Strength::Ratchet,
            Self::Pqxdh => Strength::Handshake,
            Self::X3dh => Strength::Classical,
        };
        session.strength() >= least
    }

    /// What a new session with a KEM secret begins with: both sides derive the key, and need not use it.
    pub(super) fn spqr(self, direction: Direction, auth_key: Option<&Secret<32>>) -> Spqr {
        let negotiation = if self.requires_spqr() { Negotiation::Required } else { Negotiation::Offered };
        auth_key.map_or(Spqr::Off, |auth_key| Spqr::new(direction, negotiation, auth_key))
    }

    pub(super) fn requires_spqr(self) -> bool {
        match self {
            Self::TripleRatchet => true,
            Self::Pqxdh | Self::X3dh => false,
        }
    }
}

impl Session {
    pub(super) fn strength(&self) -> Strength {
        match self.parties.id.version() {
            SessionVersion::V3 => Strength::Classical,
            SessionVersion::V4 if self.ratchet.spqr.is_required() => Strength::Ratchet,
            SessionVersion::V4 => Strength::Handshake,
        }
    }
}

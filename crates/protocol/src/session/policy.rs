//! Which sessions may begin, and which are sent with.

use super::state::Session;
use crate::primitives::secret::Secret;
use crate::ratchet::pq::chain::Direction;
use crate::ratchet::pq::{Negotiation, Spqr};
use crate::session_id::SessionVersion;

/// Which sessions may begin, and which become active. Sessions that exist go on receiving under every policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum SessionPolicy {
    /// Version 4 only, and only with SPQR. No message can be read with a quantum computer, nor with the classical half of a
    /// stolen state. From the first message of the peer on that has a key of SPQR, none can be forged with those either;
    /// before that, a message of a peer from before SPQR was required may have no key.
    #[default]
    TripleRatchet,
    /// Version 4 only. SPQR is offered, and goes on where the peer takes it up: with a peer from before it, only the
    /// handshake is safe against a quantum computer. Whoever holds the classical half of a state can forge messages of the
    /// peer, as they need not have a key of SPQR.
    Pqxdh,
    /// Also version 3, with a peer whose bundle has no KEM pre-key. Not safe against a quantum computer.
    X3dh,
}

/// How much a session withstands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strength {
    /// Version 3.
    Classical,
    /// Version 4, where SPQR is off or may yet be.
    Handshake,
    /// Version 4 with SPQR.
    Ratchet,
}

impl SessionPolicy {
    /// Whether a session may be sent with.
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

//! One session: a ratchet between two identities, and the handshake until the peer has answered.

use std::sync::Arc;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{DecryptError, EncryptError, Inbound, InitiateError, LocalDevice, SessionPolicy};
use crate::address::Address;
use crate::error::LowOrderPoint;
use crate::identity::IdentityKey;
use crate::message::{Associated, Ciphertext, Handshake, KemPart, PreKeySignalMessage, SignalMessage};
use crate::pqxdh;
use crate::prekey::{OurPreKeys, PreKeyKind, VerifiedBundle};
use crate::primitives::x25519::{KeyPair, PublicKey};
use crate::ratchet::double::{DoubleRatchet, NoKey};
use crate::ratchet::pq::SendError;
use crate::ratchet::pq::chain::Direction;
use crate::ratchet::skipped::SkippedChange;
use crate::ratchet::terms::{Distance, Terms};
use crate::ratchet::triple::{Sent, TripleRatchet};
use crate::ratchet::walk::{Jump, Limits, Work};
use crate::session_id::{SessionId, SessionVersion};
use crate::time::UnixSeconds;

/// One state of one session.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) parties: Parties,
    pub(super) ratchet: TripleRatchet,
    /// The handshake, which every message carries until the peer has answered.
    pub(super) unanswered: Option<Arc<Unanswered>>,
    /// Whether nothing may be sent with it any more, because a later state of it was used.
    pub(super) receives_only: bool,
}

/// The properties of a session that never change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parties {
    pub(super) id: SessionId,
    pub(super) base_key: PublicKey,
    pub(super) local_identity: IdentityKey,
    pub(super) remote_identity: IdentityKey,
    pub(super) remote_registration_id: u32,
}

#[derive(Debug)]
pub(super) struct Unanswered {
    pub(super) handshake: Handshake,
    pub(super) since: UnixSeconds,
}

/// A decrypted message, and the state after it.
pub(super) struct Opened {
    pub(super) next: Arc<Session>,
    pub(super) skipped: Vec<SkippedChange>,
    pub(super) plaintext: Zeroizing<Vec<u8>>,
    /// Whether the message arrived after messages that were sent later.
    pub(super) is_late: bool,
}

impl Session {
    /// Begins a session with the owner of `bundle`.
    pub(super) fn initiate<R: CryptoRng + ?Sized>(
        local: &LocalDevice<'_>,
        bundle: &VerifiedBundle,
        policy: SessionPolicy,
        now: UnixSeconds,
        rng: &mut R,
    ) -> Result<Self, InitiateError> {
        let low_order = |LowOrderPoint| InitiateError::Bug("a low-order point in a verified bundle");
        let (version, kem, kem_secret) = match (&bundle.kem, policy) {
            (Some(kem), _) => {
                let encapsulated = kem.key.encapsulate(rng);
                let (ciphertext, secret) = encapsulated
                    .map_err(|_| InitiateError::Bug("a verified bundle has an invalid KEM key"))?;
                (SessionVersion::V4, Some(KemPart { id: kem.id, ciphertext }), Some(secret))
            }
            (None, SessionPolicy::X3dh) => (SessionVersion::V3, None, None),
            (None, _) => return Err(InitiateError::NoKemPreKey),
        };
        let ephemeral = KeyPair::generate(rng);
        let secret =
            pqxdh::initiate(local.identity, &ephemeral, bundle, kem_secret.as_ref()).map_err(low_order)?;
        let spqr = policy.spqr(Direction::Initiator, secret.pq_key.as_ref());
        let double = DoubleRatchet::initiator(secret.root_key, secret.chain_key, bundle.signed.key, rng)
            .map_err(low_order)?;
        let one_time = bundle.one_time.map(|one_time| one_time.id);
        Ok(Self {
            parties: Parties {
                id: SessionId::new(version, ephemeral.public()),
                base_key: *ephemeral.public(),
                local_identity: *local.identity.public(),
                remote_identity: bundle.identity_key,
                remote_registration_id: bundle.registration_id,
            },
            ratchet: TripleRatchet { double, spqr },
            unanswered: Some(Arc::new(Unanswered {
                handshake: Handshake { one_time, signed: bundle.signed.id, kem },
                since: now,
            })),
            receives_only: false,
        })
    }

    /// Joins the session that `message` begins. The inner message proves the identity of the sender.
    pub(super) fn accept(
        local: &LocalDevice<'_>,
        message: &PreKeySignalMessage,
        keys: Option<OurPreKeys<'_>>,
        policy: SessionPolicy,
    ) -> Result<Self, DecryptError> {
        if message.version() == SessionVersion::V3 && policy != SessionPolicy::X3dh {
            return Err(DecryptError::UnsupportedVersion);
        }
        if policy.requires_spqr() && message.signal_message().pq_ratchet().is_empty() {
            return Err(DecryptError::UnsupportedVersion);
        }
        let keys = named_keys(message, keys)?;
        if !message.base_key().is_canonical() {
            return Err(DecryptError::BadBaseKey);
        }
        let kem_secret = match (&message.handshake().kem, keys.kem) {
            (Some(kem), Some(key)) => {
                let decapsulated = key.key_pair().decapsulate(&kem.ciphertext);
                Some(decapsulated.map_err(|_| DecryptError::BadKemCiphertext)?)
            }
            _ => None,
        };
        let secret = pqxdh::accept(
            local.identity,
            &keys,
            message.identity_key(),
            message.base_key(),
            kem_secret.as_ref(),
        )
        .map_err(|LowOrderPoint| DecryptError::BadIdentityKey)?;
        let spqr = policy.spqr(Direction::Responder, secret.pq_key.as_ref());
        let ratchet_key = keys.signed.key_pair().clone();
        let double = DoubleRatchet::responder(secret.root_key, secret.chain_key, ratchet_key);
        Ok(Self {
            parties: Parties {
                id: message.session_id(),
                base_key: *message.base_key(),
                local_identity: *local.identity.public(),
                remote_identity: *message.identity_key(),
                remote_registration_id: message.registration_id(),
            },
            ratchet: TripleRatchet { double, spqr },
            unanswered: None,
            receives_only: false,
        })
    }

    /// Whether the peer has not answered our handshake for too long.
    pub(super) fn is_stale(&self, now: UnixSeconds) -> bool {
        self.unanswered.as_ref().is_some_and(|unanswered| unanswered.since.is_long_before(now))
    }

    /// The same session without the handshake to be answered, in the form in which it is kept once another session is
    /// active.
    pub(super) fn retired(self: &Arc<Self>) -> Arc<Self> {
        match self.unanswered {
            None => self.clone(),
            Some(_) => Arc::new(Self { unanswered: None, ..(**self).clone() }),
        }
    }

    /// The same session, with which nothing may be sent any more.
    pub(super) fn receiving_only(&self) -> Arc<Self> {
        Arc::new(Self { unanswered: None, receives_only: true, ..self.clone() })
    }

    /// The message, the state after it, and the changes to the stored skipped keys.
    pub(super) fn encrypt<R: CryptoRng + ?Sized>(
        &self,
        local: &LocalDevice<'_>,
        remote: &Address,
        plaintext: &[u8],
        rng: &mut R,
    ) -> Result<(Arc<Self>, Ciphertext, Vec<SkippedChange>), EncryptError> {
        let parties = &self.parties;
        let Sent { next: ratchet, header, pq_ratchet, keys, skipped } = self.ratchet.send(parties.id, rng)?;
        let addresses = self.unanswered.as_ref().and_then(|_| Address::pair(local.address, remote));
        let associated =
            Associated { sender: &parties.local_identity, receiver: &parties.remote_identity, addresses };
        let message =
            SignalMessage::seal(parties.id.version(), header, &pq_ratchet, plaintext, keys, &associated);
        let unanswered = self.unanswered.clone();
        let next =
            Arc::new(Self { parties: *parties, ratchet, unanswered, receives_only: self.receives_only });
        let ciphertext = match &self.unanswered {
            None => Ciphertext::Signal(message),
            Some(unanswered) => Ciphertext::PreKey(PreKeySignalMessage::wrap(
                parties.base_key,
                parties.local_identity,
                local.registration_id,
                &unanswered.handshake,
                message,
            )),
        };
        Ok((next, ciphertext, skipped))
    }

    pub(super) fn decrypt<R: CryptoRng + ?Sized>(
        &self,
        inbound: &Inbound<'_>,
        message: &SignalMessage,
        work: &mut Work,
        rng: &mut R,
    ) -> Result<Opened, DecryptError> {
        let parties = &self.parties;
        if message.version() != parties.id.version() {
            return Err(DecryptError::NotDecryptable);
        }
        let (keys, step) = self.ratchet.receive(message, &self.terms(inbound), work)?;
        let associated = Associated {
            sender: &parties.remote_identity,
            receiver: &parties.local_identity,
            addresses: message
                .is_addressed()
                .then(|| Address::pair(inbound.remote, inbound.local.address))
                .flatten(),
        };
        let plaintext = message.open(keys, &associated).map_err(|_| DecryptError::NotDecryptable)?;
        let is_late = step.is_late();
        let (ratchet, skipped) = step.take(rng).map_err(|LowOrderPoint| DecryptError::NotDecryptable)?;
        let receives_only = self.receives_only;
        let next = Arc::new(Self { parties: *parties, ratchet, unanswered: None, receives_only });
        Ok(Opened { next, skipped, plaintext, is_late })
    }

    /// The distance to a message that may belong to this session. `None` if it does not.
    pub(super) fn distance(&self, inbound: &Inbound<'_>, message: &SignalMessage) -> Option<Distance> {
        self.ratchet.distance(message, &self.terms(inbound))
    }

    pub(super) fn jump(&self, inbound: &Inbound<'_>) -> Jump {
        let same_identity = self.parties.local_identity == self.parties.remote_identity;
        if same_identity && inbound.local.address.same_service(inbound.remote) {
            Jump::Far
        } else {
            Jump::Limited
        }
    }

    fn terms<'a>(&self, inbound: &Inbound<'a>) -> Terms<'a> {
        Terms {
            session: self.parties.id,
            limits: Limits::new(self.jump(inbound)),
            skipped: inbound.skipped,
            now: inbound.now,
            must_be_keyed: inbound.policy.requires_spqr(),
        }
    }
}

/// The pre-keys among `keys` that `message` names; all of them must be present.
fn named_keys<'a>(
    message: &PreKeySignalMessage,
    keys: Option<OurPreKeys<'a>>,
) -> Result<OurPreKeys<'a>, DecryptError> {
    let Handshake { one_time, signed, kem } = message.handshake();
    let missing = |kind| move || DecryptError::MissingPreKey(kind);
    let keys = keys.filter(|keys| keys.signed.id() == *signed).ok_or_else(missing(PreKeyKind::Signed))?;
    let kem = match kem {
        Some(kem) if message.version() == SessionVersion::V4 => {
            let key = keys.kem.filter(|key| key.id() == kem.id);
            Some(key.ok_or_else(missing(PreKeyKind::Kem))?)
        }
        _ => None,
    };
    let one_time = match one_time {
        Some(id) => {
            let key = keys.one_time.filter(|key| key.id() == *id);
            Some(key.ok_or_else(missing(PreKeyKind::OneTime))?)
        }
        None => None,
    };
    Ok(OurPreKeys { signed: keys.signed, one_time, kem })
}

impl From<SendError> for EncryptError {
    fn from(reason: SendError) -> Self {
        match reason {
            SendError::ChainUsedUp => Self::ChainUsedUp,
            SendError::OutOfStep => Self::Bug("braid and chains are in different epochs"),
        }
    }
}

impl From<NoKey> for DecryptError {
    fn from(reason: NoKey) -> Self {
        match reason {
            NoKey::Duplicate => Self::Duplicate,
            NoKey::Impossible => Self::NotDecryptable,
        }
    }
}

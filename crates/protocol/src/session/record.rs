//! All sessions with one address: the active one and the inactive ones (Sesame, section 3).
//!
//! ```text
//!   initiate, accept, a message on an inactive session: that session becomes active
//!                        │
//!                        ▼
//!   active ──────▶ inactive, newest first ──────▶ forgotten beyond 40
//!         archive
//! ```

use std::fmt;
use std::sync::Arc;

use rand_core::CryptoRng;

use super::state::{Opened, Session};
use super::{
    Accepted, Advanced, Consumed, DecryptError, EncryptError, InitiateError, LocalDevice, Plaintext,
    SessionPolicy, UnixSeconds,
};
use crate::address::Address;
use crate::identity::IdentityKey;
use crate::message::{Ciphertext, PreKeySignalMessage, SignalMessage};
use crate::prekey::{OurPreKeys, VerifiedBundle};
use crate::primitives::x25519::PUBLIC_KEY_LEN;
use crate::ratchet::skipped::{SkippedChange, SkippedKey};
use crate::session_id::{SessionId, SessionVersion};

/// Inactive sessions that are remembered.
pub(super) const MAX_INACTIVE: usize = 40;

/// The sessions with one address. Cheap to clone.
#[derive(Clone, Default)]
pub struct SessionRecord {
    pub(super) active: Option<Entry>,
    /// Newest first.
    pub(super) inactive: Arc<[Entry]>,
}

/// A session and its place: the one that became active last has the highest rank.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) rank: i64,
    pub(super) session: Arc<Session>,
}

impl SessionRecord {
    /// A record without sessions.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Whether there is no session at all.
    pub fn is_empty(&self) -> bool {
        self.active.is_none() && self.inactive.is_empty()
    }

    /// Whether there is a session to send with, stale or not.
    pub fn has_active(&self) -> bool {
        self.active.is_some()
    }

    /// Whether [`encrypt`](Self::encrypt) would find a session: active, and not stale.
    pub fn usable_for_sending(&self, now: UnixSeconds) -> bool {
        self.active.as_ref().is_some_and(|active| !active.session.is_stale(now))
    }

    /// Who the peer of the active session is.
    pub fn remote_identity(&self) -> Option<&IdentityKey> {
        self.active.as_ref().map(|active| &active.session.parties.remote_identity)
    }

    /// What the peer of the active session drew when it registered.
    pub fn remote_registration_id(&self) -> Option<u32> {
        self.active.as_ref().map(|active| active.session.parties.remote_registration_id)
    }

    /// Whether `ratchet_key`, serialized, is the one that the active session sends with now. A
    /// [`DecryptionErrorMessage`](crate::DecryptionErrorMessage) that names it is about this session, and no older one.
    pub fn sends_with(&self, ratchet_key: &[u8; PUBLIC_KEY_LEN]) -> bool {
        let current = |active: &Entry| *active.session.ratchet.double.sending.ratchet_key.public().as_bytes();
        self.active.as_ref().map(current) == Some(*ratchet_key)
    }

    /// Whether the session that `message` begins is here, so that decrypting it needs no pre-keys.
    pub fn knows(&self, message: &PreKeySignalMessage) -> bool {
        self.find(message.session_id()).is_some()
    }

    /// The record without an active session: it receives, and a new session must be begun to send. A 42nd session is
    /// forgotten: [`changes_since`](Self::changes_since) names it, and its skipped keys go with it.
    pub fn archive(&self) -> Self {
        let Some(active) = &self.active else { return self.clone() };
        Self { active: None, inactive: self.with_retired(active, None) }
    }

    /// Begins a session with the device at `remote`, to which `bundle` belongs, and makes it active. What is forgotten for
    /// it, [`changes_since`](Self::changes_since) names; the skipped keys of that go with it.
    ///
    /// # Errors
    /// [`InitiateError`].
    pub fn initiate<R: CryptoRng + ?Sized>(
        &self,
        local: &LocalDevice<'_>,
        remote: &Address,
        bundle: VerifiedBundle,
        policy: SessionPolicy,
        now: UnixSeconds,
        rng: &mut R,
    ) -> Result<Self, InitiateError> {
        if bundle.device() != remote.device() {
            return Err(InitiateError::WrongDevice);
        }
        let session = Session::initiate(local, &bundle, policy, now, rng)?;
        Ok(self.promote(session, None))
    }

    /// Encrypts with the active session. `rng` is for SPQR.
    ///
    /// # Errors
    /// [`EncryptError`]; each of them asks for a new session.
    pub fn encrypt<R: CryptoRng + ?Sized>(
        &self,
        local: &LocalDevice<'_>,
        remote: &Address,
        plaintext: &[u8],
        now: UnixSeconds,
        rng: &mut R,
    ) -> Result<Advanced<Ciphertext>, EncryptError> {
        let active = self.active.as_ref().ok_or(EncryptError::NoSession)?;
        if active.session.is_stale(now) {
            return Err(EncryptError::Stale);
        }
        let (session, output, skipped) = active.session.encrypt(local, remote, plaintext, rng)?;
        Ok(Advanced { next: self.replace_active(active.rank, session), skipped, output })
    }

    /// Decrypts a message of an established session: with the active one or an inactive one, which then becomes active.
    /// `skipped` are the kept keys for the message's ratchet key and number, of all sessions with this address.
    ///
    /// # Errors
    /// [`DecryptError`]: `NoSession`, `Duplicate`, `NotDecryptable`.
    pub fn decrypt<R: CryptoRng + ?Sized>(
        &self,
        local: &LocalDevice<'_>,
        remote: &Address,
        message: &SignalMessage,
        skipped: &[SkippedKey],
        rng: &mut R,
    ) -> Result<Advanced<Plaintext>, DecryptError> {
        if self.is_empty() {
            return Err(DecryptError::NoSession);
        }
        for (place, entry) in self.entries() {
            match entry.session.decrypt(local, remote, message, skipped, rng) {
                Ok(opened) => return Ok(self.advance(Some(place), opened)),
                // Another session's, perhaps.
                Err(DecryptError::NotDecryptable) => {}
                Err(reason) => return Err(reason),
            }
        }
        Err(DecryptError::NotDecryptable)
    }

    /// Decrypts a message that carries a handshake: joins its session, unless [`knows`](Self::knows) says it did, and
    /// makes that session active. `keys` are the pre-keys the message names; `skipped` as for [`decrypt`](Self::decrypt).
    ///
    /// # Errors
    /// [`DecryptError`], except `NoSession`.
    #[expect(clippy::too_many_arguments, reason = "one more than decrypt, and no two belong together")]
    pub fn decrypt_pre_key<R: CryptoRng + ?Sized>(
        &self,
        local: &LocalDevice<'_>,
        remote: &Address,
        message: &PreKeySignalMessage,
        keys: Option<OurPreKeys<'_>>,
        skipped: &[SkippedKey],
        policy: SessionPolicy,
        rng: &mut R,
    ) -> Result<Accepted, DecryptError> {
        let Some((place, entry)) = self.find(message.session_id()) else {
            let session = Session::accept(local, message, keys, policy)?;
            let opened = session.decrypt(local, remote, message.signal_message(), skipped, rng)?;
            let consumed = Consumed {
                one_time: message.one_time_pre_key_id(),
                // In version 3 the field means nothing, whatever the sender put there.
                kem: message.kem_pre_key_id().filter(|_| message.version() == SessionVersion::V4),
                signed: message.signed_pre_key_id(),
                base_key: *message.base_key().as_bytes(),
            };
            return Ok(Accepted { advanced: self.advance(None, opened), consumed: Some(consumed) });
        };
        // The message inside proves the identity of the session; the one around it must not claim another.
        if entry.session.parties.remote_identity != *message.identity_key() {
            return Err(DecryptError::NotDecryptable);
        }
        let opened = entry.session.decrypt(local, remote, message.signal_message(), skipped, rng)?;
        Ok(Accepted { advanced: self.advance(Some(place), opened), consumed: None })
    }

    /// All sessions, in the order in which they are tried.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Place, &Entry)> {
        let active = self.active.iter().map(|entry| (Place::Active, entry));
        let inactive = self.inactive.iter().enumerate();
        active.chain(inactive.map(|(position, entry)| (Place::Inactive(position), entry)))
    }

    pub(super) fn find(&self, id: SessionId) -> Option<(Place, &Entry)> {
        self.entries().find(|(_, entry)| entry.session.parties.id == id)
    }

    /// The record after a session, that of `place` or a new one, opened a message: it becomes active.
    fn advance(&self, place: Option<Place>, opened: Opened) -> Advanced<Plaintext> {
        let Opened { next: session, mut skipped, plaintext } = opened;
        let next = match (place, &self.active) {
            (Some(Place::Active), Some(active)) => self.replace_active(active.rank, session),
            (Some(Place::Inactive(position)), _) => self.promote(session, Some(position)),
            (Some(Place::Active), None) | (None, _) => self.promote(session, None),
        };
        let dropped = self.inactive.last().map(|oldest| oldest.session.parties.id);
        let dropped = dropped.filter(|id| next.find(*id).is_none());
        skipped.extend(dropped.map(SkippedChange::ForgetSession));
        Advanced { next, skipped, output: Plaintext(plaintext) }
    }

    fn replace_active(&self, rank: i64, session: Session) -> Self {
        let active = Some(Entry { rank, session: Arc::new(session) });
        Self { active, inactive: self.inactive.clone() }
    }

    /// Makes `session` active, which was the inactive one at `from`, or new.
    fn promote(&self, session: Session, from: Option<usize>) -> Self {
        let newest = self.active.as_ref().or_else(|| self.inactive.first());
        let rank = newest.map_or(0, |entry| entry.rank.saturating_add(1));
        let inactive = match (&self.active, from) {
            (Some(active), from) => self.with_retired(active, from),
            (None, Some(_)) => self.without(from).cloned().collect(),
            (None, None) => self.inactive.clone(),
        };
        Self { active: Some(Entry { rank, session: Arc::new(session) }), inactive }
    }

    /// The inactive sessions with `active` in front and without the one at `from`.
    fn with_retired(&self, active: &Entry, from: Option<usize>) -> Arc<[Entry]> {
        let retired = Entry { rank: active.rank, session: active.session.retired() };
        [retired].into_iter().chain(self.without(from).cloned()).take(MAX_INACTIVE).collect()
    }

    fn without(&self, position: Option<usize>) -> impl Iterator<Item = &Entry> {
        self.inactive.iter().enumerate().filter(move |(at, _)| Some(*at) != position).map(|(_, entry)| entry)
    }
}

/// How many sessions, and whether one is active.
impl fmt::Debug for SessionRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { active, inactive } = self;
        f.debug_struct("SessionRecord")
            .field("active", &active.as_ref().map(|active| active.session.parties.id))
            .field("inactive", &inactive.len())
            .finish()
    }
}

/// Where a session is in its record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Active,
    Inactive(usize),
}

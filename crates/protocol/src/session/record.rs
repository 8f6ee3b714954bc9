//! All sessions with one address: the active one and the inactive ones (Sesame, section 3.2).
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
use crate::ratchet::skipped::{SkippedChange, SkippedKey};
use crate::session_id::SessionId;

/// Inactive sessions that are remembered.
const MAX_INACTIVE: usize = 40;

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

    /// Whether the session that `message` begins is here, so that decrypting it needs no pre-keys.
    pub fn knows(&self, message: &PreKeySignalMessage) -> bool {
        self.find(message.session_id()).is_some()
    }

    /// The record without an active session: it receives, and a new session must be begun to send.
    pub fn archive(&self) -> Self {
        let Some(active) = &self.active else { return self.clone() };
        Self { active: None, inactive: self.with_retired(active, None) }
    }

    /// Begins a session with the device at `remote`, to which `bundle` belongs, and makes it active.
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
        Ok(self.promote(Arc::new(session), None))
    }

    /// Encrypts with the active session. `rng` is for the post-quantum ratchet of sessions that have one.
    ///
    /// # Errors
    /// [`EncryptError`]; each of them asks for a new session.
    pub fn encrypt<R: CryptoRng + ?Sized>(
        &self,
        local: &LocalDevice<'_>,
        remote: &Address,
        plaintext: &[u8],
        now: UnixSeconds,
        _rng: &mut R,
    ) -> Result<Advanced<Ciphertext>, EncryptError> {
        let active = self.active.as_ref().ok_or(EncryptError::NoSession)?;
        if active.session.is_stale(now) {
            return Err(EncryptError::Stale);
        }
        let (session, output) = active.session.encrypt(local, remote, plaintext)?;
        Ok(Advanced { next: self.replace_active(active.rank, session), skipped: Vec::new(), output })
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
        if let Some(active) = &self.active {
            match active.session.decrypt(local, remote, message, skipped, rng) {
                Err(DecryptError::NotDecryptable) => {}
                Err(reason) => return Err(reason),
                Ok(opened) => return Ok(self.advance_active(active.rank, opened)),
            }
        }
        for (position, entry) in self.inactive.iter().enumerate() {
            match entry.session.decrypt(local, remote, message, skipped, rng) {
                Err(DecryptError::NotDecryptable) => {}
                Err(reason) => return Err(reason),
                Ok(opened) => return Ok(self.advance_promoted(Some(position), opened)),
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
        let Some(place) = self.find(message.session_id()) else {
            let session = Session::accept(local, message, keys, policy)?;
            let opened = session.decrypt(local, remote, message.signal_message(), skipped, rng)?;
            let consumed = Consumed {
                one_time: message.one_time_pre_key_id(),
                kem: message.kem_pre_key_id(),
                signed: message.signed_pre_key_id(),
                base_key: *message.base_key().as_bytes(),
            };
            let advanced = self.advance_promoted(None, opened);
            return Ok(Accepted { advanced, consumed: Some(consumed) });
        };
        let entry = self.entry(place).ok_or(DecryptError::Bug("a session was found and is not there"))?;
        // The message inside proves the identity of the session; the one around it must not claim another.
        if entry.session.parties.remote_identity != *message.identity_key() {
            return Err(DecryptError::NotDecryptable);
        }
        let opened = entry.session.decrypt(local, remote, message.signal_message(), skipped, rng)?;
        let advanced = match place {
            Place::Active => self.advance_active(entry.rank, opened),
            Place::Inactive(position) => self.advance_promoted(Some(position), opened),
        };
        Ok(Accepted { advanced, consumed: None })
    }

    fn find(&self, id: SessionId) -> Option<Place> {
        if self.active.as_ref().is_some_and(|active| active.session.parties.id == id) {
            return Some(Place::Active);
        }
        self.inactive.iter().position(|entry| entry.session.parties.id == id).map(Place::Inactive)
    }

    fn entry(&self, place: Place) -> Option<&Entry> {
        match place {
            Place::Active => self.active.as_ref(),
            Place::Inactive(position) => self.inactive.get(position),
        }
    }

    fn replace_active(&self, rank: i64, session: Session) -> Self {
        let active = Some(Entry { rank, session: Arc::new(session) });
        Self { active, inactive: self.inactive.clone() }
    }

    fn advance_active(&self, rank: i64, opened: Opened) -> Advanced<Plaintext> {
        let Opened { next, skipped, plaintext } = opened;
        Advanced { next: self.replace_active(rank, next), skipped, output: Plaintext(plaintext) }
    }

    fn advance_promoted(&self, from: Option<usize>, opened: Opened) -> Advanced<Plaintext> {
        let Opened { next, mut skipped, plaintext } = opened;
        let next = self.promote(Arc::new(next), from);
        let kept = |entry: &&Entry| next.find(entry.session.parties.id).is_some();
        let dropped = self.inactive.last().filter(|entry| !kept(entry));
        skipped.extend(dropped.map(|entry| SkippedChange::ForgetSession(entry.session.parties.id)));
        Advanced { next, skipped, output: Plaintext(plaintext) }
    }

    /// Makes `session` active, which was the inactive one at `from`, or new.
    fn promote(&self, session: Arc<Session>, from: Option<usize>) -> Self {
        let newest = self.active.as_ref().or_else(|| self.inactive.first());
        let rank = newest.map_or(0, |entry| entry.rank.saturating_add(1));
        let inactive = match (&self.active, from) {
            (Some(active), from) => self.with_retired(active, from),
            (None, Some(_)) => self.without(from).cloned().collect(),
            (None, None) => self.inactive.clone(),
        };
        Self { active: Some(Entry { rank, session }), inactive }
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

#[derive(Clone, Copy)]
enum Place {
    Active,
    Inactive(usize),
}

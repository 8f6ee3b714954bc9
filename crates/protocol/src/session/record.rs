//! All sessions with one address: the active one and the inactive ones (Sesame, section 3).
//!
//! ```text
//!   initiate, accept, a message on an inactive session: that session becomes active
//!                        │
//!                        ▼
//!   active ──────▶ inactive, newest first ──────▶ forgotten beyond 40, and after 30 days
//!         archive
//! ```
//!
//! A delayed message must not reactivate an old session with weaker protection. A message therefore makes its session
//! active only if the policy allows sending with it, the message is not late, and the session is no weaker than the
//! active session with the same peer. Otherwise the session stays as it was; a new session is then inactive from the
//! beginning. A session of which a later state was used never becomes active again.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use rand_core::CryptoRng;

use super::inactive::{Entry, Inactive};
use super::state::{Opened, Session};
use super::{
    Accepted, Advanced, Consumed, DecryptError, Decrypted, EncryptError, Inbound, InitiateError, LocalDevice,
    Plaintext, SessionPolicy,
};
use crate::address::Address;
use crate::identity::IdentityKey;
use crate::message::{Ciphertext, PreKeySignalMessage, SignalMessage};
use crate::prekey::{OurPreKeys, VerifiedBundle};
use crate::primitives::x25519::PUBLIC_KEY_LEN;
use crate::ratchet::skipped::SkippedChange;
use crate::session_id::{SessionId, SessionVersion};
use crate::time::UnixSeconds;

/// How many inactive sessions are kept.
pub(super) const MAX_INACTIVE: usize = 40;

/// The sessions with one address. Cheap to clone.
#[derive(Clone, Default)]
pub struct SessionRecord {
    pub(super) active: Option<Entry>,
    /// Newest first.
    pub(super) inactive: Inactive,
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

    /// Whether there is an active session, stale or not.
    pub fn has_active(&self) -> bool {
        self.active.is_some()
    }

    /// Whether there is an active session that is not stale and that `policy` would allow to begin today. If not,
    /// begin a new one. [`encrypt`](Self::encrypt) itself continues a session that is older than the policy, because
    /// its peer may have no other.
    pub fn usable_for_sending(&self, policy: SessionPolicy, now: UnixSeconds) -> bool {
        let is_usable = |active: &Entry| policy.allows(&active.session) && !active.session.is_stale(now);
        self.active.as_ref().is_some_and(is_usable)
    }

    /// How many messages were sealed in the active session since its peer last answered, or since it began. A peer that receives
    /// none of them keeps the keys of at most 2,000, and skips at most 25,000.
    pub fn unanswered(&self) -> u32 {
        self.active.as_ref().map_or(0, |active| active.session.ratchet.double.sending.index)
    }

    /// Whether the next message that is sealed carries the handshake, because the peer has not answered yet.
    pub fn carries_handshake(&self) -> bool {
        self.active.as_ref().is_some_and(|active| active.session.unanswered.is_some())
    }

    /// The identity of the active session's peer.
    pub fn remote_identity(&self) -> Option<&IdentityKey> {
        self.active.as_ref().map(|active| &active.session.parties.remote_identity)
    }

    /// The registration ID of the active session's peer.
    pub fn remote_registration_id(&self) -> Option<u32> {
        self.active.as_ref().map(|active| active.session.parties.remote_registration_id)
    }

    /// Whether the active session currently sends with `ratchet_key` (serialized). A
    /// [`DecryptionErrorMessage`](crate::DecryptionErrorMessage) that contains it refers to this session and not to
    /// an older one.
    pub fn sends_with(&self, ratchet_key: &[u8; PUBLIC_KEY_LEN]) -> bool {
        let current = |active: &Entry| *active.session.ratchet.double.sending.ratchet_key.as_bytes();
        self.active.as_ref().map(current) == Some(*ratchet_key)
    }

    /// Whether the session that `message` begins is already in this record, so that decrypting the message needs no
    /// pre-keys.
    pub fn knows(&self, message: &PreKeySignalMessage) -> bool {
        self.find(message.session_id()).is_some()
    }

    /// The record without an active session: it can still receive, and a new session must be begun to send. A 42nd
    /// session is deleted; [`changes_since`](Self::changes_since) names it, and its skipped keys must be deleted with
    /// it.
    pub fn archive(&self, now: UnixSeconds) -> Self {
        let Some(active) = &self.active else { return self.clone() };
        Self { active: None, inactive: self.with_retired(active, None, now) }
    }

    /// [`archive`](Self::archive) for a record that was restored from an older copy, or may have been: none of its sessions
    /// becomes active again when a message arrives, because message keys that were used after the copy was made would be
    /// used a second time.
    #[must_use = "the record stays as it was"]
    pub fn archive_for_ever(&self, now: UnixSeconds) -> Self {
        let archived = self.archive(now);
        let ended = archived.inactive.iter().map(|entry| match entry.session.receives_only {
            true => entry.clone(),
            false => Entry { session: entry.session.receiving_only(), ..entry.clone() },
        });
        Self { active: None, inactive: ended.collect() }
    }

    /// The record in which these inactive sessions only receive, as after [`archive_for_ever`](Self::archive_for_ever). It is for sessions that
    /// could not be read when the others were archived.
    #[must_use = "the record stays as it was"]
    pub fn receive_only(&self, these: &[SessionId]) -> Self {
        let ended = self.inactive.iter().map(|entry| {
            let is_meant = these.contains(&entry.session.parties.id) && !entry.session.receives_only;
            match is_meant {
                true => Entry { session: entry.session.receiving_only(), ..entry.clone() },
                false => entry.clone(),
            }
        });
        Self { active: self.active.clone(), inactive: ended.collect() }
    }

    /// The record without the sessions whose peer has another identity key than this one, because it was replaced or removed;
    /// [`changes_since`](Self::changes_since) names them, and their skipped keys must be deleted with them.
    #[must_use = "the record stays as it was"]
    pub fn only_with(&self, identity: &IdentityKey) -> Self {
        let is_theirs = |entry: &&Entry| entry.session.parties.remote_identity == *identity;
        Self {
            active: self.active.as_ref().filter(is_theirs).cloned(),
            inactive: self.inactive.iter().filter(is_theirs).cloned().collect(),
        }
    }

    /// The record without the sessions that have been inactive for more than 30 days;
    /// [`changes_since`](Self::changes_since) names them. If it is not known since when a session has been inactive,
    /// its age counts from `now`. [`decrypt`](Self::decrypt) does the same. This method is for records that receive
    /// no more messages.
    #[must_use = "the record stays as it was"]
    pub fn expire(&self, now: UnixSeconds) -> Self {
        self.current(now).into_owned()
    }

    /// [`expire`](Self::expire) without a copy if nothing changes.
    fn current(&self, now: UnixSeconds) -> Cow<'_, Self> {
        let is_known = |entry: &Entry| entry.since.is_some_and(|since| !since.is_long_before(now));
        if self.inactive.iter().all(is_known) {
            return Cow::Borrowed(self);
        }
        let known =
            self.inactive.iter().map(|entry| Entry { since: entry.since.or(Some(now)), ..entry.clone() });
        Cow::Owned(Self { active: self.active.clone(), inactive: known.filter(is_known).collect() })
    }

    /// Begins a session with the device at `remote`, to which `bundle` belongs, and makes it active. If another
    /// session is deleted to make room, [`changes_since`](Self::changes_since) names it, and its skipped keys must be
    /// deleted with it.
    ///
    /// # Errors
    /// Returns an [`InitiateError`].
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
        Ok(self.promote(Arc::new(session), None, now))
    }

    /// Encrypts with the active session, whatever policy it began under. Check
    /// [`usable_for_sending`](Self::usable_for_sending) first, and begin another session if it returns `false`. `rng`
    /// is used by SPQR.
    ///
    /// # Errors
    /// Returns an [`EncryptError`]. Each of them requires a new session.
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

    /// Decrypts a message of an established session, with the active session or an inactive one. An inactive session
    /// becomes active unless the message is late or the session is weaker. A forged message causes at most one and a
    /// half times the work of the longest jump, however many sessions there are.
    ///
    /// # Errors
    /// Returns one of these [`DecryptError`]s: `NoSession`, `Duplicate`, `NotDecryptable`.
    pub fn decrypt<R: CryptoRng + ?Sized>(
        &self,
        inbound: &Inbound<'_>,
        message: &SignalMessage,
        rng: &mut R,
    ) -> Result<Advanced<Decrypted>, DecryptError> {
        let record = self.current(inbound.now);
        if record.is_empty() {
            return Err(DecryptError::NoSession);
        }
        let (place, opened) = record.open(inbound, message, &mut record.work(inbound), rng)?;
        Ok(self.advance(record.after(Some(place), opened, inbound)))
    }

    /// Decrypts a message that carries a handshake. Joins its session, unless [`knows`](Self::knows) says that this
    /// has already happened, and makes the session active under the same conditions as [`decrypt`](Self::decrypt).
    /// `keys` are the pre-keys that the message names.
    ///
    /// # Errors
    /// Returns any [`DecryptError`] except `NoSession`.
    pub fn decrypt_pre_key<R: CryptoRng + ?Sized>(
        &self,
        inbound: &Inbound<'_>,
        message: &PreKeySignalMessage,
        keys: Option<OurPreKeys<'_>>,
        rng: &mut R,
    ) -> Result<Accepted, DecryptError> {
        let record = self.current(inbound.now);
        let work = &mut record.work(inbound);
        let Some((place, entry)) = record.find(message.session_id()) else {
            let session = Session::accept(&inbound.local, message, keys, inbound.policy)?;
            let opened = session.decrypt(inbound, message.signal_message(), work, rng)?;
            let consumed = Consumed {
                one_time: message.one_time_pre_key_id(),
                // In version 3 this field has no meaning, whatever the sender put there.
                kem: message.kem_pre_key_id().filter(|_| message.version() == SessionVersion::V4),
                signed: message.signed_pre_key_id(),
                base_key: *message.base_key().as_bytes(),
            };
            let advanced = self.advance(record.after(None, opened, inbound));
            return Ok(Accepted { advanced, consumed: Some(consumed) });
        };
        // The inner message proves the identity of the session. The outer message must not claim another one.
        if entry.session.parties.remote_identity != *message.identity_key() {
            return Err(DecryptError::NotDecryptable);
        }
        let opened = entry.session.decrypt(inbound, message.signal_message(), work, rng)?;
        let advanced = self.advance(record.after(Some(place), opened, inbound));
        Ok(Accepted { advanced, consumed: None })
    }

    /// All sessions, the active one first.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Place, &Entry)> {
        let active = self.active.iter().map(|entry| (Place::Active, entry));
        let inactive = self.inactive.iter().enumerate();
        active.chain(inactive.map(|(position, entry)| (Place::Inactive(position), entry)))
    }

    pub(super) fn find(&self, id: SessionId) -> Option<(Place, &Entry)> {
        self.entries().find(|(_, entry)| entry.session.parties.id == id)
    }

    /// The record after a message was decrypted by a session: the one at `place`, or a new one.
    fn after(&self, place: Option<Place>, opened: Opened, inbound: &Inbound<'_>) -> Advanced<Decrypted> {
        let Opened { next: session, skipped, plaintext, is_late } = opened;
        let authenticated_by = session.parties.remote_identity;
        let takes_over = !is_late && self.may_take_over(&session, inbound.policy);
        let next = match (place, &self.active) {
            (Some(Place::Active), Some(active)) => self.replace_active(active.rank, session),
            (Some(Place::Inactive(position)), _) if takes_over => {
                self.promote(session, Some(position), inbound.now)
            }
            (Some(Place::Inactive(position)), _) => self.replace_inactive(position, session),
            (Some(Place::Active), None) | (None, _) if takes_over => self.promote(session, None, inbound.now),
            (Some(Place::Active), None) | (None, _) => self.put_aside(session, inbound.now),
        };
        Advanced { next, skipped, output: Decrypted { plaintext: Plaintext(plaintext), authenticated_by } }
    }

    /// Adds the sessions that this record loses.
    fn advance(&self, mut advanced: Advanced<Decrypted>) -> Advanced<Decrypted> {
        if !self.inactive.is_shared_with(&advanced.next.inactive) {
            let old = self.inactive.iter().map(|entry| entry.session.parties.id);
            let is_gone = |id: &SessionId| advanced.next.find(*id).is_none();
            let forgotten: Vec<_> = old.filter(is_gone).map(SkippedChange::ForgetSession).collect();
            advanced.skipped.extend(forgotten);
        }
        advanced
    }

    /// Whether a session that is not active may become active.
    fn may_take_over(&self, session: &Session, policy: SessionPolicy) -> bool {
        let with_same_peer =
            |active: &&Entry| active.session.parties.remote_identity == session.parties.remote_identity;
        let active = self.active.as_ref().filter(with_same_peer);
        !session.receives_only
            && policy.allows(session)
            && active.is_none_or(|active| session.strength() >= active.session.strength())
    }

    fn replace_active(&self, rank: i64, session: Arc<Session>) -> Self {
        let active = Some(Entry { rank, session, since: None });
        Self { active, inactive: self.inactive.clone() }
    }

    fn replace_inactive(&self, position: usize, session: Arc<Session>) -> Self {
        let mut inactive = self.inactive.to_vec();
        if let Some(entry) = inactive.get_mut(position) {
            entry.session = session;
        }
        Self { active: self.active.clone(), inactive: inactive.into_iter().collect() }
    }

    /// Makes `session` active. It was the inactive one at `from`, or is new.
    fn promote(&self, session: Arc<Session>, from: Option<usize>, now: UnixSeconds) -> Self {
        let inactive = match (&self.active, from) {
            (Some(active), from) => self.with_retired(active, from, now),
            (None, Some(_)) => self.without(from).cloned().collect(),
            (None, None) => self.inactive.clone(),
        };
        let active = Entry { rank: self.next_rank(), session, since: None };
        Self { active: Some(active), inactive }
    }

    /// Adds a new session as an inactive one.
    fn put_aside(&self, session: Arc<Session>, now: UnixSeconds) -> Self {
        let entry = Entry { rank: self.next_rank(), session, since: Some(now) };
        let inactive = [entry].into_iter().chain(self.without(None).cloned()).take(MAX_INACTIVE);
        Self { active: self.active.clone(), inactive: inactive.collect() }
    }

    /// The inactive sessions, including `active` and without the one at `from`.
    fn with_retired(&self, active: &Entry, from: Option<usize>, now: UnixSeconds) -> Inactive {
        let retired = Entry { rank: active.rank, session: active.session.retired(), since: Some(now) };
        let mut inactive: Vec<_> = [retired].into_iter().chain(self.without(from).cloned()).collect();
        // A session that was added as inactive may be newer.
        inactive.sort_by_key(|entry| std::cmp::Reverse(entry.rank));
        inactive.truncate(MAX_INACTIVE);
        inactive.into_iter().collect()
    }

    fn next_rank(&self) -> i64 {
        let newest = self.active.iter().chain(self.inactive.first()).map(|entry| entry.rank).max();
        newest.map_or(0, |rank| rank.saturating_add(1))
    }

    fn without(&self, position: Option<usize>) -> impl Iterator<Item = &Entry> {
        self.inactive.iter().enumerate().filter(move |(at, _)| Some(*at) != position).map(|(_, entry)| entry)
    }
}

/// Shows the number of sessions, and whether one is active.
impl fmt::Debug for SessionRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { active, inactive } = self;
        f.debug_struct("SessionRecord")
            .field("active", &active.as_ref().map(|active| active.session.parties.id))
            .field("inactive", &inactive.len())
            .finish()
    }
}

/// The place of a session in its record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Active,
    Inactive(usize),
}

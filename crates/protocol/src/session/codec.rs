//! The stored form of a record: one blob for each session, so that a message rewrites only one of them.
//!
//! Each blob begins with the version of the form. Everything is validated here, so that a [`Session`] contains no
//! options or raw bytes.
//!
//! ```text
//! record        1 form   2 sessions: 1 id  2 rank  3 active  4 session  5 inactive since, if that is known
//! session       1 form   2 id   3 local identity   4 remote identity   5 remote registration id   6 root key
//!               7 sending   8 receiving, oldest first   9 unanswered   10 SPQR in its own form, from version 2 on
//!               11 whether it only receives
//! sending       1 ratchet key   2 its private half   3 chain key   4 index   5 previous
//! receiving     1 ratchet key   2 chain key   3 index   4 kept
//! unanswered    1 since, in seconds   2 one-time   3 signed   4 KEM   5 KEM ciphertext
//! ```
//!
//! The number of a removed field is never reused. Fields are read in the order of their numbers; any other order is
//! malformed.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::inactive::Entry;
use super::record::{MAX_INACTIVE, Place, SessionRecord};
use super::state::{Parties, Session, Unanswered};
use crate::error::DecodeError;
use crate::form::{Ordered, Output, written_within};
use crate::identity::IdentityKey;
use crate::message::{Handshake, KemPart};
use crate::prekey::{KemPreKeyId, OneTimePreKeyId, SignedPreKeyId};
use crate::primitives::x25519::PublicKey;
use crate::ratchet::double::{
    DoubleRatchet, Keys, MAX_RECEIVING, ReceivingChains, ReceivingHead, SendingHead,
};
use crate::ratchet::pq::Spqr;
use crate::ratchet::triple::TripleRatchet;
use crate::session_id::SessionId;
use crate::stored::StoredBytes;
use crate::time::UnixSeconds;

/// The version of the form that is written. Older versions can always be read: version 1 had no SPQR.
const FORM: u32 = 2;

/// One session as a row.
pub struct StoredSession<B = StoredBytes> {
    /// The ID of the session.
    pub id: SessionId,
    /// The session that became active last has the highest rank.
    pub rank: i64,
    /// Whether it is the active session.
    pub standing: Standing,
    /// Its state.
    pub bytes: B,
}

/// Whether a session is active or inactive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The record sends with this session.
    Active,
    /// The session only receives, for no longer than 30 days.
    Inactive {
        /// Since when it has been inactive; unknown for a row from before this was recorded.
        since: Option<UnixSeconds>,
    },
}

/// A change to the stored rows.
pub enum SessionChange {
    /// Insert the row, or replace the one with the same ID.
    Put(StoredSession),
    /// Delete the row, and all skipped keys of the session.
    Remove(SessionId),
}

impl SessionRecord {
    /// All sessions as rows, the active one first.
    pub fn sessions(&self) -> impl Iterator<Item = StoredSession> {
        self.rows().map(|(entry, active)| entry.stored(active))
    }

    /// What to write if `old` is stored: only the sessions whose state, rank or standing differs.
    pub fn changes_since(&self, old: &Self) -> Vec<SessionChange> {
        // The usual case: only the active session has changed, and both records share the list of inactive sessions.
        let same_inactive = self.inactive.is_shared_with(&old.inactive);
        if let (true, Some(entry), Some(was)) = (same_inactive, &self.active, &old.active)
            && entry.session.parties.id == was.session.parties.id
        {
            let is_same = Arc::ptr_eq(&entry.session, &was.session) && entry.rank == was.rank;
            return if is_same { Vec::new() } else { vec![SessionChange::Put(entry.stored(true))] };
        }
        let may_differ = |(_, active): &(&Entry, bool)| *active || !same_inactive;
        let put = self.rows().filter(may_differ).filter(|(entry, active)| !old.has(entry, *active));
        let is_gone = |(entry, _): &(&Entry, bool)| self.find(entry.session.parties.id).is_none();
        let gone = old.rows().filter(may_differ).filter(is_gone);
        let put = put.map(|(entry, active)| SessionChange::Put(entry.stored(active)));
        let gone = gone.map(|(entry, _)| SessionChange::Remove(entry.session.parties.id));
        put.chain(gone).collect()
    }

    /// Reads a record from its rows, in any order.
    ///
    /// # Errors
    /// [`DecodeError`] if a row is not in the stored form, two rows are active, or there are more than a record can have.
    pub fn from_stored<B: AsRef<[u8]>>(
        rows: impl IntoIterator<Item = StoredSession<B>>,
    ) -> Result<Self, DecodeError> {
        Self::from_rows(rows.into_iter().map(Ok))
    }

    fn from_rows<B: AsRef<[u8]>>(
        rows: impl Iterator<Item = Result<StoredSession<B>, DecodeError>>,
    ) -> Result<Self, DecodeError> {
        let mut active = None;
        let mut inactive = Vec::new();
        for row in rows {
            let StoredSession { id, rank, standing, bytes } = row?;
            let session = Session::read(bytes.as_ref())?;
            let is_full = match standing {
                Standing::Active => active.is_some() || session.receives_only,
                Standing::Inactive { .. } => inactive.len() == MAX_INACTIVE,
            };
            if session.parties.id != id || is_full {
                return Err(DecodeError::Malformed);
            }
            match standing {
                Standing::Active => active = Some(Entry { rank, session, since: None }),
                Standing::Inactive { since } => inactive.push(Entry { rank, session, since }),
            }
        }
        inactive.sort_by_key(|entry| std::cmp::Reverse(entry.rank));
        Ok(Self { active, inactive: inactive.into_iter().collect() })
    }

    /// The whole record as one blob, for callers that do not store rows.
    pub fn to_bytes(&self) -> StoredBytes {
        let room = self.rows().map(|(entry, _)| ROW_ROOM.saturating_add(entry.session.room())).sum::<usize>();
        written_within(room.saturating_add(ROW_ROOM), |out| {
            out.uint(1, FORM);
            for (Entry { rank, session, since }, active) in self.rows() {
                out.message(2, |out| {
                    out.bytes(1, session.parties.id.as_bytes());
                    out.sint(2, *rank);
                    out.uint(3, active);
                    out.long_message(4, |out| session.write(out));
                    out.optional_uint(5, since.map(|since| since.0));
                });
            }
        })
    }

    /// Reads what [`to_bytes`](Self::to_bytes) returned.
    ///
    /// # Errors
    /// [`DecodeError`] if it is not in the stored form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut record = Ordered::new(bytes);
        check_form(record.uint32(1)?)?;
        let rows = record.rows(2, MAX_INACTIVE.saturating_add(1)).map(|row| {
            let mut row = Ordered::new(row?);
            let (id, rank, active) = (SessionId::from_bytes(row.bytes(1)?)?, row.sint64(2)?, row.bool(3)?);
            let bytes = row.bytes(4)?;
            let since = row.optional_uint64(5)?.map(UnixSeconds);
            row.finish()?;
            let standing = if active { Standing::Active } else { Standing::Inactive { since } };
            Ok(StoredSession { id, rank, standing, bytes })
        });
        let sessions = Self::from_rows(rows)?;
        record.finish()?;
        Ok(sessions)
    }

    fn rows(&self) -> impl Iterator<Item = (&Entry, bool)> {
        self.entries().map(|(place, entry)| (entry, place == Place::Active))
    }

    /// Whether this record contains the same state of the session, with the same rank and standing.
    fn has(&self, entry: &Entry, active: bool) -> bool {
        self.rows().any(|(own, own_active)| {
            Arc::ptr_eq(&own.session, &entry.session)
                && (own.rank, own.since, own_active) == (entry.rank, entry.since, active)
        })
    }
}

impl Entry {
    fn stored(&self, active: bool) -> StoredSession {
        let Self { rank, session, since } = self;
        StoredSession {
            id: session.parties.id,
            rank: *rank,
            standing: if active { Standing::Active } else { Standing::Inactive { since: *since } },
            bytes: written_within(session.room(), |out| session.write(out)),
        }
    }
}

impl<B> fmt::Debug for StoredSession<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, rank, standing, bytes: _ } = self;
        write!(f, "StoredSession({id:?}, rank {rank}, {standing:?})")
    }
}

impl fmt::Debug for SessionChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put(StoredSession { id, rank, standing, bytes: _ }) => {
                write!(f, "Put({id:?}, rank {rank}, {standing:?})")
            }
            Self::Remove(id) => write!(f, "Remove({id:?})"),
        }
    }
}

/// The maximum size of a row without its session.
const ROW_ROOM: usize = 96;
/// The maximum size of a session without its handshake, receiving chains and SPQR: the form, the ID, two identities, the
/// registration ID, the root key, the sending chain, the key and length of SPQR, and whether it only receives.
const SESSION_ROOM: usize = 2 + 36 + 2 * 35 + 6 + 34 + 118 + 4 + 2;
/// The maximum size of a receiving chain.
const RECEIVING_ROOM: usize = 2 + 35 + 34 + 2 * 6;
/// The maximum size of a handshake without its KEM ciphertext.
const UNANSWERED_ROOM: usize = 4 + 11 + 3 * 6 + 4;

impl Session {
    /// At least as many bytes as [`write`](Self::write) writes.
    fn room(&self) -> usize {
        let handshake = self.unanswered.as_ref().map_or(0, |unanswered| {
            let kem = unanswered.handshake.kem.as_ref().map_or(0, |kem| kem.ciphertext.len());
            UNANSWERED_ROOM.saturating_add(kem)
        });
        let chains = self.ratchet.double.receiving.len().saturating_mul(RECEIVING_ROOM);
        let spqr = match &self.ratchet.spqr {
            Spqr::Off => 0,
            Spqr::On(running) => running.room(),
        };
        [SESSION_ROOM, handshake, chains, spqr].into_iter().fold(0, usize::saturating_add)
    }

    fn write(&self, out: &mut Output) {
        let Self { parties, ratchet, unanswered, receives_only } = self;
        let Parties { id, base_key: _, local_identity, remote_identity, remote_registration_id } = parties;
        let TripleRatchet { double, spqr } = ratchet;
        let Keys { root, private, sending } = double.keys();
        out.uint(1, FORM);
        out.bytes(2, id.as_bytes());
        out.bytes(3, local_identity.as_bytes());
        out.bytes(4, remote_identity.as_bytes());
        out.uint(5, *remote_registration_id);
        out.bytes(6, root);
        out.message(7, |out| {
            let SendingHead { ratchet_key, index, previous } = double.sending;
            out.bytes(1, ratchet_key.as_bytes());
            out.bytes(2, private);
            out.bytes(3, sending);
            out.uint(4, index);
            out.uint(5, previous);
        });
        double.receiving.iter().for_each(|chain| out.message(8, |out| write_receiving(chain, out)));
        if let Some(unanswered) = unanswered {
            out.message(9, |out| unanswered.write(out));
        }
        if let Spqr::On(running) = spqr {
            out.long_message(10, |out| running.write(out));
        }
        out.uint(11, *receives_only);
    }

    fn read(bytes: &[u8]) -> Result<Arc<Self>, DecodeError> {
        let mut form = Ordered::new(bytes);
        check_form(form.uint32(1)?)?;
        let id = SessionId::from_bytes(form.bytes(2)?)?;
        let parties = Parties {
            id,
            base_key: PublicKey::parse(id.base_key())?,
            local_identity: IdentityKey::parse(form.bytes(3)?)?,
            remote_identity: IdentityKey::parse(form.bytes(4)?)?,
            remote_registration_id: form.uint32(5)?,
        };
        let root = key(form.bytes(6)?)?;
        let sending = form.optional_bytes(7)?.ok_or(DecodeError::MissingField)?;
        let (sending, private, chain_key) = read_sending(sending)?;
        let receiving = {
            let blank = ReceivingHead::first(sending.ratchet_key);
            let keys = [root, private, chain_key];
            ReceivingChains::read(keys, form.rows(8, MAX_RECEIVING), blank, read_receiving)?
        };
        let double = DoubleRatchet::from_parts(sending, receiving);
        let unanswered = form.optional_bytes(9)?.map(Unanswered::read).transpose()?.map(Arc::new);
        let spqr = Spqr::read(form.bytes(10)?)?;
        let receives_only = form.bool(11)?;
        form.finish()?;
        Ok(Arc::new(Self { parties, ratchet: TripleRatchet { double, spqr }, unanswered, receives_only }))
    }
}

/// The sending chain, the private half of our ratchet key, and the chain key.
fn read_sending(bytes: &[u8]) -> Result<(SendingHead, &[u8; 32], &[u8; 32]), DecodeError> {
    let mut form = Ordered::new(bytes);
    let ratchet_key = PublicKey::parse(form.bytes(1)?)?;
    let (private, chain_key) = (key(form.bytes(2)?)?, key(form.bytes(3)?)?);
    let sending = SendingHead { ratchet_key, index: form.uint32(4)?, previous: form.uint32(5)? };
    form.finish()?;
    Ok((sending, private, chain_key))
}

fn write_receiving((head, key): (ReceivingHead, &[u8; 32]), out: &mut Output) {
    let ReceivingHead { ratchet_key, index, kept } = head;
    out.bytes(1, ratchet_key.as_bytes());
    out.bytes(2, key);
    out.uint(3, index);
    out.uint(4, kept);
}

#[inline(always)]
fn read_receiving(row: &[u8], head: &mut ReceivingHead, chain_key: &mut [u8; 32]) -> Result<(), DecodeError> {
    let mut form = Ordered::new(row);
    head.ratchet_key = PublicKey::parse(form.bytes(1)?)?;
    *chain_key = *key(form.bytes(2)?)?;
    head.index = form.uint32(3)?;
    head.kept = form.uint32(4)?;
    form.finish()
}

impl Unanswered {
    fn write(&self, out: &mut Output) {
        let Self { handshake: Handshake { one_time, signed, kem }, since } = self;
        out.uint(1, since.0);
        out.optional_uint(2, one_time.map(|id| id.0));
        out.uint(3, signed.0);
        out.optional_uint(4, kem.as_ref().map(|kem| kem.id.0));
        out.optional_bytes(5, kem.as_ref().map(|kem| &*kem.ciphertext));
    }

    fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut form = Ordered::new(bytes);
        let since = UnixSeconds(form.uint64(1)?);
        let one_time = form.optional_uint32(2)?.map(OneTimePreKeyId);
        let signed = SignedPreKeyId(form.uint32(3)?);
        let kem = match (form.optional_uint32(4)?, form.optional_bytes(5)?) {
            (Some(id), Some(ciphertext)) => {
                Some(KemPart { id: KemPreKeyId(id), ciphertext: Bytes::copy_from_slice(ciphertext) })
            }
            (None, None) => None,
            _ => return Err(DecodeError::KemFields),
        };
        form.finish()?;
        Ok(Self { handshake: Handshake { one_time, signed, kem }, since })
    }
}

fn check_form(form: u32) -> Result<(), DecodeError> {
    match form {
        0 => Err(DecodeError::VersionTooOld),
        1..=FORM => Ok(()),
        _ => Err(DecodeError::UnknownVersion),
    }
}

/// The key in place. The caller copies it once, to where it is kept.
fn key(bytes: &[u8]) -> Result<&[u8; 32], DecodeError> {
    bytes.try_into().map_err(|_| DecodeError::Length)
}

//! The stored form of a record: one blob for each session, so that a message rewrites one of them.
//!
//! Every blob begins with the version of the form. Options and raw bytes end here: what leaves is a [`Session`].

mod form;

use std::fmt;
use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use zeroize::Zeroizing;

use form::{ReceivingForm, RecordForm, RowForm, SendingForm, SessionForm, UnansweredForm};

use super::UnixSeconds;
use super::record::{Entry, Place, SessionRecord};
use super::state::{Parties, Session, Unanswered};
use crate::error::DecodeError;
use crate::guarded;
use crate::identity::IdentityKey;
use crate::message::{Handshake, KemPart};
use crate::prekey::{KemPreKeyId, OneTimePreKeyId, SignedPreKeyId};
use crate::primitives::secret::Secret;
use crate::primitives::x25519::{KeyPair, PublicKey};
use crate::ratchet::chain_key::ChainKey;
use crate::ratchet::double::{DoubleRatchet, ReceivingChain, SendingChain};
use crate::ratchet::pq::Spqr;
use crate::ratchet::root_key::RootKey;
use crate::ratchet::triple::TripleRatchet;
use crate::session_id::SessionId;

/// The version of the form that is written. Older ones are read for ever: version 1 had no SPQR.
const FORM: u32 = 2;

/// One session as a row.
pub struct StoredSession {
    /// Which.
    pub id: SessionId,
    /// The session that became active last has the highest.
    pub rank: i64,
    /// Whether it is the one to send with.
    pub active: bool,
    /// Its state.
    pub bytes: Zeroizing<Vec<u8>>,
}

/// What to write.
pub enum SessionChange {
    /// Insert or replace the row of `id`.
    Put {
        /// Which session.
        id: SessionId,
        /// The session that became active last has the highest.
        rank: i64,
        /// Whether it is the one to send with.
        active: bool,
        /// Its state.
        bytes: Zeroizing<Vec<u8>>,
    },
    /// Delete the row, and every skipped key of the session.
    Remove(SessionId),
}

impl SessionRecord {
    /// All sessions as rows, the active one first.
    pub fn sessions(&self) -> impl Iterator<Item = StoredSession> {
        self.rows().map(|(entry, active)| StoredSession {
            id: entry.session.parties.id,
            rank: entry.rank,
            active,
            bytes: encode(&entry.session),
        })
    }

    /// What to write where `old` is stored: only the sessions whose state or place is another.
    pub fn changes_since(&self, old: &Self) -> Vec<SessionChange> {
        // Almost always only the active session moved on, and the list of the others is the very same.
        let same_inactive = Arc::ptr_eq(&self.inactive, &old.inactive);
        let may_differ = |(_, active): &(&Entry, bool)| *active || !same_inactive;
        let put = self.rows().filter(may_differ).filter(|(entry, active)| !old.has(entry, *active));
        let is_gone = |(entry, _): &(&Entry, bool)| self.find(entry.session.parties.id).is_none();
        let gone = old.rows().filter(may_differ).filter(is_gone);
        let put = put.map(|(entry, active)| SessionChange::Put {
            id: entry.session.parties.id,
            rank: entry.rank,
            active,
            bytes: encode(&entry.session),
        });
        let gone = gone.map(|(entry, _)| SessionChange::Remove(entry.session.parties.id));
        put.chain(gone).collect()
    }

    /// From rows: id, rank, whether active, bytes. In any order.
    ///
    /// # Errors
    /// [`DecodeError`] when a row is not what was written, or two of them are active.
    pub fn from_stored<B: AsRef<[u8]>>(
        rows: impl IntoIterator<Item = (SessionId, i64, bool, B)>,
    ) -> Result<Self, DecodeError> {
        let shared =
            |(id, rank, active, bytes): (_, _, _, B)| Ok((id, rank, active, guarded::shared(bytes.as_ref())));
        Self::from_shared(rows.into_iter().map(shared))
    }

    fn from_shared(
        rows: impl Iterator<Item = Result<(SessionId, i64, bool, Bytes), DecodeError>>,
    ) -> Result<Self, DecodeError> {
        let mut active = None;
        let mut inactive = Vec::new();
        for row in rows {
            let (id, rank, is_active, bytes) = row?;
            let session = decode(bytes)?;
            if session.parties.id != id || (is_active && active.is_some()) {
                return Err(DecodeError::Malformed);
            }
            let entry = Entry { rank, session: Arc::new(session) };
            if is_active { active = Some(entry) } else { inactive.push(entry) }
        }
        inactive.sort_by_key(|entry| std::cmp::Reverse(entry.rank));
        Ok(Self { active, inactive: inactive.into() })
    }

    /// The whole record as one blob, for those who do not keep rows.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let rows = self.sessions().map(|mut row| RowForm {
            id: row.id.as_bytes().to_vec().into(),
            rank: row.rank,
            active: row.active,
            bytes: guarded::wiped(mem::take(&mut *row.bytes)),
        });
        Zeroizing::new(RecordForm { form: FORM, rows: rows.collect() }.encode_to_vec())
    }

    /// From [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// [`DecodeError`] when it is not what was written.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let record = RecordForm::decode(guarded::shared(bytes)).map_err(|_| DecodeError::Malformed)?;
        check_form(record.form)?;
        let rows = record.rows.iter().map(|row| {
            let id = SessionId::from_bytes(&row.id)?;
            Ok((id, row.rank, row.active, row.bytes.clone()))
        });
        Self::from_shared(rows)
    }

    fn rows(&self) -> impl Iterator<Item = (&Entry, bool)> {
        self.entries().map(|(place, entry)| (entry, place == Place::Active))
    }

    /// Whether this very state is here, in the same place.
    fn has(&self, entry: &Entry, active: bool) -> bool {
        self.rows().any(|(own, own_active)| {
            Arc::ptr_eq(&own.session, &entry.session) && (own.rank, own_active) == (entry.rank, active)
        })
    }
}

impl fmt::Debug for StoredSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, rank, active, bytes: _ } = self;
        write!(f, "StoredSession({id:?}, rank {rank}, active {active})")
    }
}

impl fmt::Debug for SessionChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { id, rank, active, bytes: _ } => {
                write!(f, "Put({id:?}, rank {rank}, active {active})")
            }
            Self::Remove(id) => write!(f, "Remove({id:?})"),
        }
    }
}

fn encode(session: &Session) -> Zeroizing<Vec<u8>> {
    let Session { parties, ratchet, unanswered } = session;
    let TripleRatchet { double: DoubleRatchet { root_key, sending, receiving }, spqr } = ratchet;
    let ours = [root_key.expose(), sending.ratchet_key.private().expose(), sending.chain_key.expose()];
    let theirs = receiving.iter().map(|chain| chain.chain_key.expose());
    let mut copies = guarded::copies(ours.into_iter().chain(theirs));
    let mut next = || copies.next().unwrap_or_default();
    let [root_key, ratchet_private, sending_key] = ours.map(|_| next());
    let receiving = receiving.iter().map(|chain| ReceivingForm {
        ratchet_key: chain.ratchet_key.as_bytes().to_vec().into(),
        chain_key: next(),
        index: chain.chain_key.index(),
        kept: chain.kept,
    });
    let form = SessionForm {
        form: FORM,
        id: parties.id.as_bytes().to_vec().into(),
        local_identity: parties.local_identity.as_bytes().to_vec().into(),
        remote_identity: parties.remote_identity.as_bytes().to_vec().into(),
        remote_registration_id: parties.remote_registration_id,
        root_key,
        sending: Some(SendingForm {
            ratchet_key: sending.ratchet_key.public().as_bytes().to_vec().into(),
            ratchet_private,
            chain_key: sending_key,
            index: sending.chain_key.index(),
            previous: sending.previous,
        }),
        receiving: receiving.collect(),
        spqr: spqr.to_bytes(),
        unanswered: unanswered.as_ref().map(|unanswered| {
            let Unanswered { handshake: Handshake { one_time, signed, kem }, since } = &**unanswered;
            UnansweredForm {
                since: since.0,
                one_time: one_time.map(|id| id.0),
                signed: signed.0,
                kem: kem.as_ref().map(|kem| kem.id.0),
                kem_ciphertext: kem.as_ref().map(|kem| kem.ciphertext.clone()),
            }
        }),
    };
    Zeroizing::new(form.encode_to_vec())
}

fn decode(bytes: Bytes) -> Result<Session, DecodeError> {
    let form = SessionForm::decode(bytes).map_err(|_| DecodeError::Malformed)?;
    check_form(form.form)?;
    let id = SessionId::from_bytes(&form.id)?;
    let sending = form.sending.as_ref().ok_or(DecodeError::MissingField)?;
    let ratchet_key =
        KeyPair::from_parts(PublicKey::parse(&sending.ratchet_key)?, &secret(&sending.ratchet_private)?);
    let receiving = form.receiving.iter().map(|chain| {
        Ok(Arc::new(ReceivingChain {
            ratchet_key: PublicKey::parse(&chain.ratchet_key)?,
            chain_key: ChainKey::at(secret(&chain.chain_key)?, chain.index),
            kept: chain.kept,
        }))
    });
    let double = DoubleRatchet {
        root_key: Arc::new(RootKey::new(secret(&form.root_key)?)),
        sending: Arc::new(SendingChain {
            ratchet_key: Arc::new(ratchet_key),
            chain_key: ChainKey::at(secret(&sending.chain_key)?, sending.index),
            previous: sending.previous,
        }),
        receiving: receiving.collect::<Result<_, DecodeError>>()?,
    };
    Ok(Session {
        parties: Arc::new(Parties {
            id,
            base_key: PublicKey::parse(id.base_key())?,
            local_identity: IdentityKey::parse(&form.local_identity)?,
            remote_identity: IdentityKey::parse(&form.remote_identity)?,
            remote_registration_id: form.remote_registration_id,
        }),
        ratchet: TripleRatchet { double, spqr: Spqr::from_bytes(form.spqr.clone())? },
        unanswered: form.unanswered.as_ref().map(decode_unanswered).transpose()?.map(Arc::new),
    })
}

fn decode_unanswered(form: &UnansweredForm) -> Result<Unanswered, DecodeError> {
    let kem = match (form.kem, &form.kem_ciphertext) {
        (Some(id), Some(ciphertext)) => {
            // A copy: a share would keep the stored secrets around it in memory.
            Some(KemPart { id: KemPreKeyId(id), ciphertext: Bytes::copy_from_slice(ciphertext) })
        }
        (None, None) => None,
        _ => return Err(DecodeError::KemFields),
    };
    let (one_time, signed) = (form.one_time.map(OneTimePreKeyId), SignedPreKeyId(form.signed));
    Ok(Unanswered { handshake: Handshake { one_time, signed, kem }, since: UnixSeconds(form.since) })
}

fn check_form(form: u32) -> Result<(), DecodeError> {
    match form {
        0 => Err(DecodeError::VersionTooOld),
        1..=FORM => Ok(()),
        _ => Err(DecodeError::UnknownVersion),
    }
}

fn secret(bytes: &[u8]) -> Result<Secret<32>, DecodeError> {
    Secret::from_slice(bytes).ok_or(DecodeError::Length)
}

//! `MKSKIPPED`: keys of messages that have not arrived yet.
//!
//! They are not part of the session. The store keeps each as a separate row, reads at most two for a message, one for
//! each ratchet, and never rewrites the others. The session only counts them, and returns what has to be stored and
//! deleted.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use super::pq::message::Preamble;
use super::walk::{Chain, PassedOver};
use crate::error::DecodeError;
use crate::form::{Fields, written};
use crate::message::SignalMessage;
use crate::primitives::secret::Secret;
use crate::primitives::x25519::PUBLIC_KEY_LEN;
use crate::session_id::SessionId;
use crate::stored::StoredBytes;
use crate::time::UnixSeconds;

/// Identifies the message that a skipped key belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SkippedKeyId {
    /// The session.
    pub session: SessionId,
    /// The chain: the serialized ratchet key of the sender, or 25 zeros and the epoch of the post-quantum ratchet.
    pub ratchet_key: [u8; PUBLIC_KEY_LEN],
    /// The number in the chain.
    pub number: u32,
}

impl fmt::Debug for SkippedKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { session, ratchet_key, number } = self;
        let [_, a, b, ..] = ratchet_key;
        write!(f, "SkippedKeyId({session:?}, {a:02x}{b:02x}.., {number})")
    }
}

/// The part of the identity of a skipped key that a message determines. The session is not known yet.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SkippedKeyName {
    /// The chain, as in [`SkippedKeyId`].
    pub ratchet_key: [u8; PUBLIC_KEY_LEN],
    /// The number in the chain.
    pub number: u32,
}

impl SkippedKeyName {
    /// The names of the keys to look up before decrypting the message, one for each ratchet in it.
    pub fn of(message: &SignalMessage) -> impl Iterator<Item = Self> {
        let double = Self { ratchet_key: *message.ratchet_key(), number: message.counter() };
        [double].into_iter().chain(Self::of_pq(message.pq_ratchet()))
    }

    /// The name in the SPQR part. Later versions begin with the chain of epoch 0.
    pub(crate) fn of_pq(message: &[u8]) -> Option<Self> {
        let (epoch, number) = match Preamble::parse(message).ok()? {
            Preamble::Silent => return None,
            Preamble::Known(keyed) => (keyed.chain_epoch(), keyed.index),
            Preamble::Later(keyed) => (0, keyed.index),
        };
        Some(Self { ratchet_key: pq_chain(epoch), number })
    }
}

impl fmt::Debug for SkippedKeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ratchet_key: [_, a, b, ..], number } = self;
        write!(f, "SkippedKeyName({a:02x}{b:02x}.., {number})")
    }
}

/// What replaces the ratchet key for skipped keys of the post-quantum ratchet: the epoch. No ratchet key begins with
/// a zero.
pub(crate) fn pq_chain(epoch: u64) -> [u8; PUBLIC_KEY_LEN] {
    let mut chain = [0; PUBLIC_KEY_LEN];
    if let Some(end) = chain.last_chunk_mut() {
        *end = epoch.to_be_bytes();
    }
    chain
}

/// The key of a message that has not arrived yet. It cannot be used after 30 days.
#[derive(Debug)]
pub struct SkippedKey<Id = SkippedKeyId> {
    /// Which message.
    pub id: Id,
    /// The message key.
    pub seed: Secret<32>,
    /// Since when it has been stored; unknown for a row from before this was recorded.
    pub since: Option<UnixSeconds>,
}

impl<Id> SkippedKey<Id> {
    /// From a stored row.
    pub fn new(id: Id, seed: [u8; 32], since: Option<UnixSeconds>) -> Self {
        Self { id, seed: Secret::new(seed), since }
    }

    /// Whether its message may still arrive.
    pub(crate) fn is_good(&self, now: UnixSeconds) -> bool {
        self.since.is_none_or(|since| !since.is_long_before(now))
    }
}

/// A change to the skipped keys. Apply all of them, in order, in the transaction that stores the session.
pub enum SkippedChange {
    /// A message was skipped: store its key.
    Keep(SkippedKey),
    /// A late message has arrived: its key has been used.
    Forget(SkippedKeyId),
    /// More than 2,000 keys would be stored: delete all keys of a chain except those with the `count` highest
    /// numbers.
    KeepNewest {
        /// The session.
        session: SessionId,
        /// The chain.
        ratchet_key: [u8; PUBLIC_KEY_LEN],
        /// How many remain.
        count: u32,
    },
    /// The session dropped a chain: delete all its keys.
    ForgetChain {
        /// The session.
        session: SessionId,
        /// The chain.
        ratchet_key: [u8; PUBLIC_KEY_LEN],
    },
    /// The record dropped a session: delete all its keys.
    ForgetSession(SessionId),
}

/// The changes to the skipped keys of one ratchet, to be made if the message is authentic.
#[derive(Debug)]
pub(crate) enum Pending<C> {
    /// Only these.
    Changes(Vec<SkippedChange>),
    /// The chain of `ratchet_key` advances past `keys`.
    Walk { session: SessionId, ratchet_key: [u8; PUBLIC_KEY_LEN], now: UnixSeconds, keys: PassedOver<C> },
}

impl<C: Chain> Pending<C> {
    pub(crate) fn into_changes(self) -> Vec<SkippedChange> {
        match self {
            Self::Changes(changes) => changes,
            Self::Walk { session, ratchet_key, now, keys } => keys.into_changes(
                |count| SkippedChange::KeepNewest { session, ratchet_key, count },
                |(number, seed)| {
                    SkippedChange::Keep(SkippedKey {
                        id: SkippedKeyId { session, ratchet_key, number },
                        seed,
                        since: Some(now),
                    })
                },
            ),
        }
    }
}

impl fmt::Debug for SkippedChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keep(SkippedKey { id, seed: _, since: _ }) => write!(f, "Keep({id:?})"),
            Self::Forget(id) => write!(f, "Forget({id:?})"),
            Self::KeepNewest { session, ratchet_key: _, count } => {
                write!(f, "KeepNewest({session:?}, {count})")
            }
            Self::ForgetChain { session, ratchet_key: _ } => write!(f, "ForgetChain({session:?})"),
            Self::ForgetSession(session) => write!(f, "ForgetSession({session:?})"),
        }
    }
}

/// Skipped keys in memory, for tests and for callers that store a whole record as one value.
#[derive(Default)]
pub struct SkippedKeys {
    /// Ordered by chain and number first, because a message determines those.
    by_message: BTreeMap<([u8; PUBLIC_KEY_LEN], u32, SessionId), Kept>,
}

/// A message key, and since when it has been stored.
struct Kept {
    seed: Secret<32>,
    since: Option<UnixSeconds>,
}

impl SkippedKeys {
    /// The number of keys.
    pub fn len(&self) -> usize {
        self.by_message.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_message.is_empty()
    }

    /// The keys that may belong to this message, as [`decrypt`](crate::SessionRecord::decrypt) expects them.
    pub fn find(&self, message: &SignalMessage) -> Vec<SkippedKey> {
        SkippedKeyName::of(message).flat_map(|name| self.named(name)).collect()
    }

    pub(crate) fn named(&self, name: SkippedKeyName) -> impl Iterator<Item = SkippedKey> {
        let SkippedKeyName { ratchet_key, number } = name;
        self.chain(ratchet_key, number..=number).map(|(id, Kept { seed, since })| SkippedKey {
            id,
            seed: seed.copy(),
            since: *since,
        })
    }

    /// Deletes keys that were stored for more than 30 days. The age of those with an unknown age is counted from
    /// `now` on.
    pub fn expire(&mut self, now: UnixSeconds) {
        self.by_message.retain(|_, key| !key.since.get_or_insert(now).is_long_before(now));
    }

    /// Applies the changes of one step.
    pub fn apply(&mut self, changes: Vec<SkippedChange>) {
        for change in changes {
            match change {
                SkippedChange::Keep(SkippedKey { id, seed, since }) => {
                    self.by_message.insert(order(&id), Kept { seed, since });
                }
                SkippedChange::Forget(id) => {
                    self.by_message.remove(&order(&id));
                }
                SkippedChange::KeepNewest { session, ratchet_key, count } => {
                    let ids = self
                        .chain(ratchet_key, 0..=u32::MAX)
                        .map(|(id, _)| id)
                        .filter(|id| id.session == session);
                    let newest = usize::try_from(count).unwrap_or(usize::MAX);
                    let oldest: Vec<_> = ids.rev().skip(newest).collect();
                    for id in oldest {
                        self.by_message.remove(&order(&id));
                    }
                }
                SkippedChange::ForgetChain { session, ratchet_key } => {
                    self.by_message.retain(|(key, _, of), _| (*of, *key) != (session, ratchet_key));
                }
                SkippedChange::ForgetSession(session) => {
                    self.by_message.retain(|(_, _, of), _| *of != session);
                }
            }
        }
    }

    /// The stored form: 1 keys, and of each 1 session, 2 ratchet key, 3 number, 4 seed, 5 since when, if known.
    pub fn to_bytes(&self) -> StoredBytes {
        written(|out| {
            for ((ratchet_key, number, session), Kept { seed, since }) in &self.by_message {
                out.message(1, |out| {
                    out.bytes(1, session.as_bytes());
                    out.bytes(2, ratchet_key);
                    out.uint(3, *number);
                    out.bytes(4, seed.expose());
                    out.optional_uint(5, since.map(|since| since.0));
                });
            }
        })
    }

    /// Parses the stored form.
    ///
    /// # Errors
    /// [`DecodeError`] if it is not protobuf, or something in it has the wrong length.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let keys = Fields::<2>::parse(bytes)?.rows(1, usize::MAX)?.map(|row| {
            let key = Fields::<6>::parse(row?)?;
            let session = SessionId::from_bytes(key.bytes(1)?)?;
            let ratchet_key = key.bytes(2)?.try_into().map_err(|_| DecodeError::Length)?;
            let seed = Secret::from_slice(key.bytes(4)?).ok_or(DecodeError::Length)?;
            let since = key.optional_uint64(5)?.map(UnixSeconds);
            Ok(((ratchet_key, key.uint32(3)?, session), Kept { seed, since }))
        });
        Ok(Self { by_message: keys.collect::<Result<_, DecodeError>>()? })
    }

    fn chain(
        &self,
        ratchet_key: [u8; PUBLIC_KEY_LEN],
        numbers: RangeInclusive<u32>,
    ) -> impl DoubleEndedIterator<Item = (SkippedKeyId, &Kept)> {
        let (from, to) = (*numbers.start(), *numbers.end());
        self.by_message.range((ratchet_key, from, SessionId::MIN)..=(ratchet_key, to, SessionId::MAX)).map(
            |((ratchet_key, number, session), key)| {
                (SkippedKeyId { session: *session, ratchet_key: *ratchet_key, number: *number }, key)
            },
        )
    }
}

impl fmt::Debug for SkippedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SkippedKeys({})", self.len())
    }
}

fn order(id: &SkippedKeyId) -> ([u8; PUBLIC_KEY_LEN], u32, SessionId) {
    (id.ratchet_key, id.number, id.session)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAIN: [u8; PUBLIC_KEY_LEN] = [5; PUBLIC_KEY_LEN];

    fn session(version: u8) -> SessionId {
        SessionId::from_bytes(&[&[version][..], &[5; 33]].concat()).unwrap()
    }

    fn id(session: SessionId, number: u32) -> SkippedKeyId {
        SkippedKeyId { session, ratchet_key: CHAIN, number }
    }

    fn numbers(keys: &SkippedKeys) -> Vec<u32> {
        keys.by_message.keys().map(|(_, number, _)| *number).collect()
    }

    #[test]
    fn changes_are_applied_in_order_and_to_one_session() {
        let (old, new) = (session(3), session(4));
        let mut keys = SkippedKeys::default();
        let keep = |session, number| {
            SkippedChange::Keep(SkippedKey::new(id(session, number), [1; 32], Some(UnixSeconds(5))))
        };
        keys.apply((0..6).map(|number| keep(new, number)).chain([keep(old, 2)]).collect());
        assert_eq!(numbers(&keys), [0, 1, 2, 2, 3, 4, 5]);
        keys.apply(vec![
            SkippedChange::Forget(id(new, 1)),
            SkippedChange::KeepNewest { session: new, ratchet_key: CHAIN, count: 3 },
            keep(new, 7),
        ]);
        assert_eq!(numbers(&keys), [2, 3, 4, 5, 7]);
        let read = SkippedKeys::from_bytes(&keys.to_bytes()).unwrap();
        assert_eq!(*read.to_bytes(), *keys.to_bytes());
        keys.apply(vec![SkippedChange::ForgetSession(new)]);
        assert_eq!(numbers(&keys), [2]);
        keys.apply(vec![SkippedChange::ForgetChain { session: new, ratchet_key: CHAIN }]);
        assert!(keys.len() == 1 && !keys.is_empty());
        keys.apply(vec![SkippedChange::ForgetChain { session: old, ratchet_key: CHAIN }]);
        assert!(keys.is_empty());
    }

    #[test]
    fn keys_expire_after_thirty_days_counted_from_now_if_their_age_is_unknown() {
        let month = 30 * 24 * 3600;
        let mut keys = SkippedKeys::default();
        let keep =
            |number, since| SkippedChange::Keep(SkippedKey::new(id(session(4), number), [1; 32], since));
        keys.apply(vec![keep(1, Some(UnixSeconds(10))), keep(2, Some(UnixSeconds(20))), keep(3, None)]);
        let mut keys = SkippedKeys::from_bytes(&keys.to_bytes()).unwrap();
        keys.expire(UnixSeconds(10 + month));
        assert_eq!(numbers(&keys), [1, 2, 3]);
        keys.expire(UnixSeconds(11 + month));
        assert_eq!(numbers(&keys), [2, 3]);
        keys.expire(UnixSeconds(10 + 2 * month));
        assert_eq!(numbers(&keys), [3], "its age counts from when it was first asked for");
        keys.expire(UnixSeconds(11 + 2 * month));
        assert!(keys.is_empty());
    }
}

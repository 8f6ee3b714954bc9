//! The keys of messages: chains of SPQR, one for each epoch and direction (Double Ratchet, section 5).
//!
//! ```text
//! epoch 0:                root || A→B || B→A = HKDF(0, what the handshake gave, "..Start")
//! epoch e:                root || A→B || B→A = HKDF(root, secret of epoch e, "..Add Epoch")
//! message n of a chain:         link || key  = HKDF(0, link, n || "..Next")
//! ```
//!
//! A and B are the initiator and the responder of the session, whichever role they have in the braid. Skipped keys
//! are stored by the caller, like those of the Double Ratchet.

use std::borrow::Cow;

use super::{ReceiveError, SendError};
use crate::primitives::kdf;
use crate::primitives::secret::Secret;
use crate::ratchet::chain_list::ChainList;
use crate::ratchet::message_key::MessageKey;
use crate::ratchet::skipped::{Pending, SkippedChange, SkippedKeyId, pq_chain};
use crate::ratchet::terms::Terms;
use crate::ratchet::walk::{Chain, PQ_STEP_COST, Place, Walked, Work, distance, walk};
use crate::session_id::SessionId;

/// The maximum number of epochs that have chains at the same time. Between two messages of ours there are at most
/// three: the epoch before the one that we send in, that epoch, and the next. During a step there is one more.
pub(super) const MAX_EPOCHS: usize = 4;

/// Which side of the session we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// We began the session, so our messages go from A to B.
    Initiator,
    /// The peer began it.
    Responder,
}

/// The secret that the braid has agreed on for an epoch.
#[derive(Debug)]
pub(crate) struct EpochSecret {
    pub(crate) epoch: u64,
    pub(crate) secret: Secret<32>,
}

/// All chains that may still be needed.
#[derive(Debug, Clone)]
pub(crate) struct Chains {
    pub(super) direction: Direction,
    /// The newest epoch.
    pub(super) epoch: u64,
    /// Our chains, oldest first, from the epoch that we send in to the newest. Then the peer's chains, oldest first,
    /// from the epoch before the one that we send in to the newest. With them, the root.
    pub(super) links: Links,
}

/// The chains of both directions, and their root.
pub(super) type Links = ChainList<LinkHead, { 2 * MAX_EPOCHS }, 1>;

/// A chain without its key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinkHead {
    pub(super) side: Side,
    pub(super) epoch: u64,
    /// The number of the last key that it yielded.
    pub(super) index: u32,
    /// How many skipped keys are stored for it, if it is a chain of the peer.
    pub(super) kept: u32,
}

/// Which side's messages a chain is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Ours,
    Theirs,
}

/// The chains of SPQR. Their index is the number of the last message.
#[derive(Debug)]
pub(crate) struct Link;

/// A key for a message of ours, the chains after it, and the changes to the stored skipped keys.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) next: Chains,
    pub(crate) index: u32,
    pub(crate) key: Secret<32>,
    pub(crate) skipped: Vec<SkippedChange>,
}

impl Chains {
    /// The chains of epoch 0.
    pub(crate) fn start(direction: Direction, auth_key: &Secret<32>) -> Self {
        let [root, a_to_b, b_to_a] = kdf::hkdf_keys(None, &[auth_key.expose()], kdf::PQ_CHAIN_START);
        let (ours, theirs) = direction.order(a_to_b, b_to_a);
        let [our_head, their_head] = [Side::Ours, Side::Theirs].map(|side| LinkHead::first(side, 0));
        let chains = [(our_head, ours.expose()), (their_head, theirs.expose())];
        Self { direction, epoch: 0, links: Links::of([root.expose()], chains, LinkHead::BLANK) }
    }

    /// These chains, together with those of the next epoch.
    pub(crate) fn add(&self, EpochSecret { epoch, secret }: &EpochSecret) -> Result<Self, OutOfStep> {
        let is_full = [Side::Ours, Side::Theirs].iter().any(|side| self.of(*side).count() >= MAX_EPOCHS);
        if is_full || self.epoch.checked_add(1) != Some(*epoch) {
            return Err(OutOfStep);
        }
        let [root, a_to_b, b_to_a] = kdf::hkdf_keys(Some(self.root()), &[secret.expose()], kdf::PQ_CHAIN_ADD);
        let (ours, theirs) = self.direction.order(a_to_b, b_to_a);
        let with = |side, key| self.of(side).chain([(LinkHead::first(side, *epoch), key)]);
        let links = with(Side::Ours, ours.expose()).chain(with(Side::Theirs, theirs.expose()));
        let links = Links::of([root.expose()], links, LinkHead::BLANK);
        Ok(Self { direction: self.direction, epoch: *epoch, links })
    }

    /// The next key for a message of ours. Sending in an epoch removes the chains of earlier epochs: all of ours, and
    /// all of the peer's except the last.
    pub(crate) fn send(&self, session: SessionId, epoch: u64) -> Result<Step, SendError> {
        let oldest = |side| match side {
            Side::Ours => epoch,
            Side::Theirs => epoch.saturating_sub(1),
        };
        let is_over = |head: &LinkHead| head.epoch < oldest(head.side);
        let remaining;
        let (links, skipped) = if self.links.heads().any(is_over) {
            let gone = self.links.heads().filter(|head| is_over(head) && head.kept > 0);
            let others = self.links.iter().filter(|(head, _)| !is_over(head));
            remaining = Links::of([self.root()], others, LinkHead::BLANK);
            (&remaining, gone.map(|head| head.forget(session)).collect())
        } else {
            (&self.links, Vec::new())
        };
        let step = |head: &mut LinkHead, key: &mut [u8; 32]| {
            Some((Place { index: &mut head.index, key }.step::<Link>()?, head.index))
        };
        let at = links.heads().position(|head| head.is(Side::Ours, epoch)).ok_or(SendError::OutOfStep)?;
        let (links, key) = links.with_chain(at, step).ok_or(SendError::OutOfStep)?;
        let (key, index) = key.ok_or(SendError::ChainUsedUp)?;
        Ok(Step { next: self.with_links(links), index, key: key.into_seed(), skipped })
    }

    /// The chains after the step, and the key of the peer's message `index`, which these chains no longer contain.
    pub(crate) fn receive(
        &self,
        epoch: u64,
        index: u32,
        terms: &Terms<'_>,
        work: &mut Work,
    ) -> Result<(Self, Secret<32>, Pending<Link>), ReceiveError> {
        let at = self.links.heads().position(|head| head.is(Side::Theirs, epoch));
        let take = |head: &mut LinkHead, key: &mut [u8; 32]| head.take(key, index, terms, work);
        let changed = at.and_then(|at| self.links.with_chain(at, take));
        let (links, taken) = changed.ok_or(ReceiveError::Epoch)?;
        let (key, skipped) = taken?;
        Ok((self.with_links(links), key, skipped))
    }

    /// How many steps the chain must advance to reach the peer's message `index`; 0 if it has already passed it.
    /// Returns `None` if there is no key for it.
    pub(crate) fn distance(&self, epoch: u64, index: u32, terms: &Terms<'_>) -> Option<u32> {
        let head = self.links.heads().find(|head| head.is(Side::Theirs, epoch))?;
        match distance(Link::next_number(head.index), index) {
            Some(steps) => Some(steps),
            None => terms.kept(head.key_id(terms.session, index)).map(|_| 0),
        }
    }

    /// What to delete from storage when no chain is needed any more.
    pub(crate) fn forget(&self, session: SessionId) -> Vec<SkippedChange> {
        self.links.heads().filter(|head| head.kept > 0).map(|head| head.forget(session)).collect()
    }

    /// From which the chains of the next epoch are derived.
    pub(super) fn root(&self) -> &[u8; 32] {
        let [root] = self.links.others();
        root
    }

    /// The chains of one direction, oldest first.
    pub(super) fn of(&self, side: Side) -> impl Iterator<Item = (LinkHead, &[u8; 32])> {
        self.links.iter().filter(move |(head, _)| head.side == side)
    }

    /// These chains, or together with those of the next epoch if its secret is known.
    pub(crate) fn with(&self, secret: Option<&EpochSecret>) -> Result<Cow<'_, Self>, OutOfStep> {
        secret.map_or(Ok(Cow::Borrowed(self)), |secret| self.add(secret).map(Cow::Owned))
    }

    /// The same epochs with other chains.
    fn with_links(&self, links: Links) -> Self {
        Self { direction: self.direction, epoch: self.epoch, links }
    }
}

impl Direction {
    /// Orders a pair of keys as ours and the peer's.
    fn order<T>(self, a_to_b: T, b_to_a: T) -> (T, T) {
        match self {
            Self::Initiator => (a_to_b, b_to_a),
            Self::Responder => (b_to_a, a_to_b),
        }
    }
}

/// Our own state is inconsistent: an epoch is not the next one, or there are more epochs than there can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutOfStep;

impl LinkHead {
    /// For the unused places of a list.
    pub(super) const BLANK: Self = Self::first(Side::Ours, 0);

    /// A new chain that has not yielded a key yet.
    pub(super) const fn first(side: Side, epoch: u64) -> Self {
        Self { side, epoch, index: 0, kept: 0 }
    }

    fn is(&self, side: Side, epoch: u64) -> bool {
        (self.side, self.epoch) == (side, epoch)
    }

    fn forget(&self, session: SessionId) -> SkippedChange {
        SkippedChange::ForgetChain { session, ratchet_key: pq_chain(self.epoch) }
    }

    fn key_id(&self, session: SessionId, number: u32) -> SkippedKeyId {
        SkippedKeyId { session, ratchet_key: pq_chain(self.epoch), number }
    }

    /// The key of message `number`. If the key was stored, it is removed from the count. If the message is ahead, the
    /// chain, whose key is `key`, advances to it, and the keys on the way are to be stored. A key further back than
    /// the number of keys to keep is gone, even if fewer are stored.
    fn take(
        &mut self,
        key: &mut [u8; 32],
        number: u32,
        terms: &Terms<'_>,
        work: &mut Work,
    ) -> Result<(Secret<32>, Pending<Link>), ReceiveError> {
        let Terms { session, now, limits, .. } = *terms;
        if let Some(behind) = self.index.checked_sub(number) {
            if behind > limits.keep {
                return Err(ReceiveError::Trimmed);
            }
            let id = self.key_id(session, number);
            let kept = terms.kept(id).ok_or(ReceiveError::Duplicate)?;
            self.kept = self.kept.saturating_sub(1);
            return Ok((kept.seed.copy(), Pending::Changes(vec![SkippedChange::Forget(id)])));
        }
        let walked = walk(Place { index: &mut self.index, key }, number, self.kept, limits, work);
        let Walked { key, kept, passed } = walked.ok_or(ReceiveError::TooFarAhead)?;
        self.kept = kept;
        let ratchet_key = pq_chain(self.epoch);
        Ok((key.into_seed(), Pending::Walk { session, ratchet_key, now, keys: passed }))
    }
}

impl Chain for Link {
    const COST: u32 = PQ_STEP_COST;

    fn next_number(index: u32) -> u32 {
        index.saturating_add(1)
    }

    fn step(key: &mut [u8; 32], index: u32) -> MessageKey {
        MessageKey::new(kdf::hkdf_step(key, &[&index.to_be_bytes(), kdf::PQ_CHAIN_NEXT]))
    }

    fn skip(key: &mut [u8; 32], index: u32) {
        kdf::hkdf_skip(key, &[&index.to_be_bytes(), kdf::PQ_CHAIN_NEXT]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{self, bytes, secret};

    #[test]
    fn chains_agree_with_the_vectors() {
        let file = vectors::load_spqr("kat_components");
        let mut chains = Chains::start(Direction::Initiator, &secret(&file["auth_key"]));
        let start = &file["chain_start"];
        let newest = |chains: &Chains| {
            let newest = |side| *chains.of(side).last().unwrap().1;
            [*chains.root(), newest(Side::Ours), newest(Side::Theirs)]
        };
        let expected = ["next_root", "a2b", "b2a"].map(|name| secret::<32>(&start[name]));
        assert_eq!(newest(&chains), expected.map(|key| *key.expose()));
        for epoch in file["epochs"].as_array().unwrap() {
            let number = epoch["epoch"].as_u64().unwrap();
            assert_eq!(chains.root(), bytes(&epoch["chain_root_before"]).as_slice());
            let agreed = EpochSecret { epoch: number, secret: secret(&epoch["epoch_secret"]) };
            // Sending and receiving would remove the old ones.
            chains.links = Links::of([chains.root()], [], LinkHead::BLANK);
            chains = chains.add(&agreed).unwrap();
            assert_eq!(chains.add(&agreed).err(), Some(OutOfStep));
            let expected =
                ["chain_root_after", "chain_a2b", "chain_b2a"].map(|name| secret::<32>(&epoch[name]));
            assert_eq!(newest(&chains), expected.map(|key| *key.expose()));
        }
    }

    #[test]
    fn at_most_four_epochs_have_chains() {
        let secret = |epoch| EpochSecret { epoch, secret: Secret::new([2; 32]) };
        let mut chains = Chains::start(Direction::Initiator, &Secret::new([1; 32]));
        for epoch in 1..4 {
            chains = chains.add(&secret(epoch)).unwrap();
        }
        assert_eq!(chains.add(&secret(4)).err(), Some(OutOfStep));
    }

    #[test]
    fn message_keys_agree_with_the_vectors() {
        let file = vectors::load_spqr("kat_components");
        for (direction, name) in [(Direction::Initiator, "a2b"), (Direction::Responder, "b2a")] {
            let chains = Chains::start(direction, &secret(&file["auth_key"]));
            let (mut index, mut key) = (0, *chains.of(Side::Ours).next().unwrap().1);
            for expected in file["message_keys"][name].as_array().unwrap() {
                let (mut skipped_index, mut skipped) = (index, key);
                Place { index: &mut skipped_index, key: &mut skipped }.skip::<Link>().unwrap();
                let message_key = Place { index: &mut index, key: &mut key }.step::<Link>().unwrap();
                assert_eq!(message_key.into_seed().expose(), bytes(expected).as_slice());
                assert_eq!((skipped_index, skipped), (index, key));
            }
        }
    }

    #[test]
    fn a_chain_ends() {
        let (mut index, mut key) = (u32::MAX, [1; 32]);
        assert!(Place { index: &mut index, key: &mut key }.step::<Link>().is_none());
        assert!(Place { index: &mut index, key: &mut key }.skip::<Link>().is_none());
        assert_eq!((index, key), (u32::MAX, [1; 32]), "it stays where it is");
    }
}

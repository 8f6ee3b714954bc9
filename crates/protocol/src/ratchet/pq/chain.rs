//! The keys of messages: chains of SPQR, one for each epoch and direction (Double Ratchet, section 5).
//!
//! ```text
//! epoch 0:                root || A→B || B→A = HKDF(0, what the handshake gave, "..Start")
//! epoch e:                root || A→B || B→A = HKDF(root, secret of epoch e, "..Add Epoch")
//! message n of a chain:         link || key  = HKDF(0, link, n || "..Next")
//! ```
//!
//! A and B are the initiator and the responder of the session, whatever they are in the braid. Keys that were skipped
//! are kept by the caller, as those of the Double Ratchet are.

use super::{ReceiveError, SendError};
use crate::primitives::kdf;
use crate::primitives::secret::{Secret, Shared};
use crate::ratchet::chain_list::ChainList;
use crate::ratchet::message_key::MessageKey;
use crate::ratchet::skipped::{Pending, SkippedChange, SkippedKeyId, pq_chain};
use crate::ratchet::terms::Terms;
use crate::ratchet::walk::{Chain, PQ_STEP_COST, Walked, Work, distance, walk};
use crate::session_id::SessionId;

/// Most epochs that have chains at once. Between two messages of ours there are three at the most: the one before that we
/// send in, that one, and the next. Within a step there is one more.
pub(super) const MAX_EPOCHS: usize = 4;

/// Which of the two we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// We began the session: our messages go from A to B.
    Initiator,
    /// They began it.
    Responder,
}

/// What the braid has agreed upon.
#[derive(Debug)]
pub(crate) struct EpochSecret {
    pub(crate) epoch: u64,
    pub(crate) secret: Secret<32>,
}

/// All chains that are still of use. Copies share the keys.
#[derive(Debug, Clone)]
pub(crate) struct Chains {
    pub(super) direction: Direction,
    pub(super) root: Shared<32>,
    /// The newest epoch.
    pub(super) epoch: u64,
    /// Ours, oldest first: from the epoch we send in to the newest one.
    pub(super) sending: Links,
    /// Theirs, oldest first: from the epoch before the one we send in to the newest one.
    pub(super) receiving: Links,
}

/// The chains of one direction.
pub(super) type Links = ChainList<LinkHead, MAX_EPOCHS>;

/// A chain, but for its key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinkHead {
    pub(super) epoch: u64,
    /// The number of the last key it gave.
    pub(super) index: u32,
    /// How many skipped keys are kept for it, if it is one of theirs.
    pub(super) kept: u32,
}

/// A chain of theirs, taken out of the list to be walked.
#[derive(Debug)]
struct Receiving {
    epoch: u64,
    link: Link,
    kept: u32,
}

/// A place in a chain: the number of the last key it gave, and what gives the next.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(super) index: u32,
    pub(super) key: Shared<32>,
}

/// A key of ours, the chains after it, and what that changes about the skipped keys.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) next: Chains,
    pub(crate) index: u32,
    pub(crate) key: Secret<32>,
    pub(crate) skipped: Vec<SkippedChange>,
}

impl Chains {
    /// Those of epoch 0.
    pub(crate) fn start(direction: Direction, auth_key: &Secret<32>) -> Self {
        let [root, a_to_b, b_to_a] = kdf::hkdf_keys(None, &[auth_key.expose()], kdf::PQ_CHAIN_START);
        let (ours, theirs) = direction.order(a_to_b, b_to_a);
        let first = |key: &Secret<32>| Links::of([(LinkHead::first(0), key.expose())]);
        Self { direction, root: root.into(), epoch: 0, sending: first(&ours), receiving: first(&theirs) }
    }

    /// The chains with those of the next epoch.
    pub(crate) fn add(&self, EpochSecret { epoch, secret }: &EpochSecret) -> Result<Self, OutOfStep> {
        let is_full = self.sending.len().max(self.receiving.len()) >= MAX_EPOCHS;
        if is_full || self.epoch.checked_add(1) != Some(*epoch) {
            return Err(OutOfStep);
        }
        let [root, a_to_b, b_to_a] = kdf::hkdf_keys(Some(&self.root), &[secret.expose()], kdf::PQ_CHAIN_ADD);
        let (ours, theirs) = self.direction.order(a_to_b, b_to_a);
        let with = |links: &Links, key: &Secret<32>| {
            Links::of(links.iter().chain([(LinkHead::first(*epoch), key.expose())]))
        };
        Ok(Self {
            direction: self.direction,
            root: root.into(),
            epoch: *epoch,
            sending: with(&self.sending, &ours),
            receiving: with(&self.receiving, &theirs),
        })
    }

    /// The next key of ours. Sending in an epoch ends the ones before it: our chains at once, theirs but for the last.
    pub(crate) fn send(&self, session: SessionId, epoch: u64) -> Result<Step, SendError> {
        let chain = self.sending.iter().find(|(head, _)| head.epoch == epoch).ok_or(SendError::OutOfStep)?;
        let (link, key) = Link::of(chain).step().ok_or(SendError::ChainUsedUp)?;
        let index = link.index;
        let first = LinkHead { epoch, index, kept: 0 };
        let newer = self.sending.iter().filter(|(head, _)| head.epoch > epoch);
        let sending = Links::of([(first, link.key.expose())].into_iter().chain(newer));
        let oldest = epoch.saturating_sub(1);
        let dropped = self.receiving.heads().filter(|head| head.epoch < oldest && head.kept > 0);
        let skipped = dropped.map(|head| head.forget(session)).collect();
        let receiving = if self.receiving.heads().all(|head| head.epoch >= oldest) {
            self.receiving.clone()
        } else {
            Links::of(self.receiving.iter().filter(|(head, _)| head.epoch >= oldest))
        };
        let next = Self { sending, receiving, root: self.root.clone(), ..*self };
        Ok(Step { next, index, key: key.into_seed(), skipped })
    }

    /// The key of message `index` of theirs. It is gone from the chains that follow, which stand first.
    pub(crate) fn receive(
        &self,
        epoch: u64,
        index: u32,
        terms: &Terms<'_>,
        work: &mut Work,
    ) -> Result<(Self, Secret<32>, Pending<Link>), ReceiveError> {
        let mut chains = self.receiving.iter().enumerate();
        let found = chains.find(|(_, (head, _))| head.epoch == epoch);
        let (at, chain) = found.map(|(at, chain)| (at, Receiving::of(chain))).ok_or(ReceiveError::Epoch)?;
        let (chain, key, skipped) = if index > chain.link.index {
            chain.advance(index, terms, work)?
        } else {
            chain.take_kept(index, terms)?
        };
        let Receiving { epoch, link: Link { index, key: link_key }, kept } = chain;
        let receiving = self.receiving.replaced(at, LinkHead { epoch, index, kept }, link_key.expose());
        let next = Self { receiving, root: self.root.clone(), sending: self.sending.clone(), ..*self };
        Ok((next, key, skipped))
    }

    /// How many steps it is to message `index` of theirs; none to one that was passed. `None` when there is no key for it.
    pub(crate) fn distance(&self, epoch: u64, index: u32, terms: &Terms<'_>) -> Option<u32> {
        let head = self.receiving.heads().find(|head| head.epoch == epoch)?;
        match distance(head.index.saturating_add(1), index) {
            Some(steps) => Some(steps),
            None => terms.kept(head.key_id(terms.session, index)).map(|_| 0),
        }
    }

    /// What to forget when no chain is needed any more.
    pub(crate) fn forget(&self, session: SessionId) -> Vec<SkippedChange> {
        self.receiving.heads().filter(|head| head.kept > 0).map(|head| head.forget(session)).collect()
    }
}
impl Direction {
    /// The key of our chain, and that of theirs.
    fn order<T>(self, a_to_b: T, b_to_a: T) -> (T, T) {
        match self {
            Self::Initiator => (a_to_b, b_to_a),
            Self::Responder => (b_to_a, a_to_b),
        }
    }
}

/// Our own state is not what it should be: an epoch that is not the next, or more of them than there can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutOfStep;

impl LinkHead {
    /// That of a chain which has given no key.
    fn first(epoch: u64) -> Self {
        Self { epoch, index: 0, kept: 0 }
    }

    fn forget(&self, session: SessionId) -> SkippedChange {
        SkippedChange::ForgetChain { session, ratchet_key: pq_chain(self.epoch) }
    }

    fn key_id(&self, session: SessionId, number: u32) -> SkippedKeyId {
        SkippedKeyId { session, ratchet_key: pq_chain(self.epoch), number }
    }
}

impl Link {
    fn of((head, key): (LinkHead, &[u8; 32])) -> Self {
        Self { index: head.index, key: Secret::copied(key).into() }
    }
}

impl Receiving {
    fn of((head, key): (LinkHead, &[u8; 32])) -> Self {
        Self { epoch: head.epoch, link: Link::of((head, key)), kept: head.kept }
    }

    /// The chain after message `index`, which is ahead of it, and what becomes of those between.
    fn advance(
        &self,
        index: u32,
        terms: &Terms<'_>,
        work: &mut Work,
    ) -> Result<(Self, Secret<32>, Pending<Link>), ReceiveError> {
        let Terms { session, now, limits, .. } = *terms;
        let walked = walk(&self.link, index, self.kept, limits, work);
        let Walked { chain: link, key, kept, passed } = walked.ok_or(ReceiveError::TooFarAhead)?;
        let skipped = Pending::Walk { session, ratchet_key: pq_chain(self.epoch), now, keys: passed };
        Ok((Self { epoch: self.epoch, link, kept }, key.into_seed(), skipped))
    }

    /// The chain without the kept key of message `index`, and that key. What is further behind than keys are kept is
    /// gone, even where there is room.
    fn take_kept(
        &self,
        index: u32,
        terms: &Terms<'_>,
    ) -> Result<(Self, Secret<32>, Pending<Link>), ReceiveError> {
        if self.link.index.saturating_sub(index) > terms.limits.keep {
            return Err(ReceiveError::Trimmed);
        }
        let id = SkippedKeyId { session: terms.session, ratchet_key: pq_chain(self.epoch), number: index };
        let key = terms.kept(id).ok_or(ReceiveError::Duplicate)?;
        let kept = self.kept.saturating_sub(1);
        let chain = Self { epoch: self.epoch, link: self.link.clone(), kept };
        Ok((chain, key.seed.copy(), Pending::Changes(vec![SkippedChange::Forget(id)])))
    }
}

impl Chain for Link {
    const COST: u32 = PQ_STEP_COST;

    fn next_number(&self) -> u32 {
        self.index.saturating_add(1)
    }

    fn step(&self) -> Option<(Self, MessageKey)> {
        let index = self.index.checked_add(1)?;
        let info: [&[u8]; 2] = [&index.to_be_bytes(), kdf::PQ_CHAIN_NEXT];
        let [key, message_key] = kdf::hkdf_keys_about(None, &[self.key.expose()], &info);
        Some((Self { index, key: key.into() }, MessageKey::new(message_key)))
    }

    fn skip(&self) -> Option<Self> {
        let index = self.index.checked_add(1)?;
        let info: [&[u8]; 2] = [&index.to_be_bytes(), kdf::PQ_CHAIN_NEXT];
        let key: Secret<32> = kdf::hkdf_about(None, &[self.key.expose()], &info);
        Some(Self { index, key: key.into() })
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
            let newest = |links: &Links| *links.iter().last().unwrap().1;
            [*chains.root.expose(), newest(&chains.sending), newest(&chains.receiving)]
        };
        let expected = ["next_root", "a2b", "b2a"].map(|name| secret::<32>(&start[name]));
        assert_eq!(newest(&chains), expected.map(|key| *key.expose()));
        for epoch in file["epochs"].as_array().unwrap() {
            let number = epoch["epoch"].as_u64().unwrap();
            assert_eq!(chains.root.expose(), bytes(&epoch["chain_root_before"]).as_slice());
            let agreed = EpochSecret { epoch: number, secret: secret(&epoch["epoch_secret"]) };
            // Sending and receiving would drop the old ones.
            (chains.sending, chains.receiving) = (Links::empty(), Links::empty());
            chains = chains.add(&agreed).unwrap();
            assert_eq!(chains.add(&agreed).err(), Some(OutOfStep));
            let expected =
                ["chain_root_after", "chain_a2b", "chain_b2a"].map(|name| secret::<32>(&epoch[name]));
            assert_eq!(newest(&chains), expected.map(|key| *key.expose()));
        }
    }

    #[test]
    fn no_more_epochs_than_are_of_use_have_chains() {
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
            let mut link = Link::of(chains.sending.iter().next().unwrap());
            for expected in file["message_keys"][name].as_array().unwrap() {
                let (next, key) = link.step().unwrap();
                assert_eq!(key.into_seed().expose(), bytes(expected).as_slice());
                assert_eq!(link.skip().unwrap().key.expose(), next.key.expose());
                link = next;
            }
        }
    }

    #[test]
    fn a_chain_ends() {
        let last = || Link { index: u32::MAX, key: Secret::new([1; 32]).into() };
        assert!(last().step().is_none());
        assert!(last().skip().is_none());
    }
}

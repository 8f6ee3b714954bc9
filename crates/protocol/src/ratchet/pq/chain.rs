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
    pub(super) sending: Vec<Sending>,
    /// Theirs, oldest first: from the epoch before the one we send in to the newest one.
    pub(super) receiving: Vec<Receiving>,
}

#[derive(Debug, Clone)]
pub(crate) struct Sending {
    pub(super) epoch: u64,
    pub(super) link: Link,
}

#[derive(Debug, Clone)]
pub(crate) struct Receiving {
    pub(super) epoch: u64,
    pub(super) link: Link,
    /// How many skipped keys are kept for it.
    pub(super) kept: u32,
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
        let none =
            Self { direction, root: root.into(), epoch: 0, sending: Vec::new(), receiving: Vec::new() };
        none.with(0, a_to_b, b_to_a)
    }

    /// The chains with those of the next epoch.
    pub(crate) fn add(&self, EpochSecret { epoch, secret }: &EpochSecret) -> Result<Self, OutOfStep> {
        let is_full = self.sending.len().max(self.receiving.len()) >= MAX_EPOCHS;
        if is_full || self.epoch.checked_add(1) != Some(*epoch) {
            return Err(OutOfStep);
        }
        let [root, a_to_b, b_to_a] = kdf::hkdf_keys(Some(&self.root), &[secret.expose()], kdf::PQ_CHAIN_ADD);
        let next = Self { root: root.into(), epoch: *epoch, ..self.clone() };
        Ok(next.with(*epoch, a_to_b, b_to_a))
    }

    /// The next key of ours. Sending in an epoch ends the ones before it: our chains at once, theirs but for the last.
    pub(crate) fn send(&self, session: SessionId, epoch: u64) -> Result<Step, SendError> {
        let mut sending = self.sending.iter().skip_while(|chain| chain.epoch < epoch).cloned();
        let first = sending.next().filter(|chain| chain.epoch == epoch).ok_or(SendError::OutOfStep)?;
        let (link, key) = first.link.step().ok_or(SendError::ChainUsedUp)?;
        let index = link.index;
        let first = Sending { epoch, link };
        let sending = [first].into_iter().chain(sending).collect();
        let oldest = epoch.saturating_sub(1);
        let (receiving, dropped): (Vec<_>, Vec<_>) =
            self.receiving.iter().cloned().partition(|chain| chain.epoch >= oldest);
        let dropped = dropped.iter().filter(|chain| chain.kept > 0);
        let skipped = dropped.map(|chain| chain.forget(session)).collect();
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
        let at = self.receiving.iter().position(|chain| chain.epoch == epoch);
        let (at, chain) = at.and_then(|at| Some((at, self.receiving.get(at)?))).ok_or(ReceiveError::Epoch)?;
        let (chain, key, skipped) = if index > chain.link.index {
            chain.advance(index, terms, work)?
        } else {
            chain.take_kept(index, terms)?
        };
        let mut next = self.clone();
        if let Some(old) = next.receiving.get_mut(at) {
            *old = chain;
        }
        Ok((next, key, skipped))
    }

    /// How many steps it is to message `index` of theirs; none to one that was passed. `None` when there is no key for it.
    pub(crate) fn distance(&self, epoch: u64, index: u32, terms: &Terms<'_>) -> Option<u32> {
        let chain = self.receiving.iter().find(|chain| chain.epoch == epoch)?;
        match distance(chain.link.next_number(), index) {
            Some(steps) => Some(steps),
            None => terms.kept(chain.key_id(terms.session, index)).map(|_| 0),
        }
    }

    /// What to forget when no chain is needed any more.
    pub(crate) fn forget(&self, session: SessionId) -> Vec<SkippedChange> {
        self.receiving.iter().filter(|chain| chain.kept > 0).map(|chain| chain.forget(session)).collect()
    }

    fn with(mut self, epoch: u64, a_to_b: Secret<32>, b_to_a: Secret<32>) -> Self {
        let (ours, theirs) = match self.direction {
            Direction::Initiator => (a_to_b, b_to_a),
            Direction::Responder => (b_to_a, a_to_b),
        };
        let link = |key: Secret<32>| Link { index: 0, key: key.into() };
        self.sending.push(Sending { epoch, link: link(ours) });
        self.receiving.push(Receiving { epoch, link: link(theirs), kept: 0 });
        self
    }
}

/// Our own state is not what it should be: an epoch that is not the next, or more of them than there can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutOfStep;

impl Receiving {
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
        let id = self.key_id(terms.session, index);
        let key = terms.kept(id).ok_or(ReceiveError::Duplicate)?;
        let kept = self.kept.saturating_sub(1);
        let chain = Self { epoch: self.epoch, link: self.link.clone(), kept };
        Ok((chain, key.seed.copy(), Pending::Changes(vec![SkippedChange::Forget(id)])))
    }

    fn forget(&self, session: SessionId) -> SkippedChange {
        SkippedChange::ForgetChain { session, ratchet_key: pq_chain(self.epoch) }
    }

    fn key_id(&self, session: SessionId, number: u32) -> SkippedKeyId {
        SkippedKeyId { session, ratchet_key: pq_chain(self.epoch), number }
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
            let (ours, theirs) = (chains.sending.last().unwrap(), chains.receiving.last().unwrap());
            [*chains.root.expose(), *ours.link.key.expose(), *theirs.link.key.expose()]
        };
        let expected = ["next_root", "a2b", "b2a"].map(|name| secret::<32>(&start[name]));
        assert_eq!(newest(&chains), expected.map(|key| *key.expose()));
        for epoch in file["epochs"].as_array().unwrap() {
            let number = epoch["epoch"].as_u64().unwrap();
            assert_eq!(chains.root.expose(), bytes(&epoch["chain_root_before"]).as_slice());
            let agreed = EpochSecret { epoch: number, secret: secret(&epoch["epoch_secret"]) };
            // Sending and receiving would drop the old ones.
            (chains.sending, chains.receiving) = (Vec::new(), Vec::new());
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
            let mut link = chains.sending[0].link.clone();
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

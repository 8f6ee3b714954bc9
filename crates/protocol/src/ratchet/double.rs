//! The Double Ratchet: one state, and the steps to the next.

use std::sync::Arc;

use rand_core::CryptoRng;

use super::chain_key::ChainKey;
use super::chain_list::ChainList;
use super::message_key::MessageKey;
use super::root_key::RootKey;
use super::skipped::{Pending, SkippedChange, SkippedKeyId};
use super::terms::Terms;
use super::walk::{Chain as _, Walked, Work, distance, walk};
use crate::error::LowOrderPoint;
use crate::message::Header;
use crate::primitives::secret::Secret;
use crate::primitives::x25519::{KeyPair, PublicKey};
use crate::session_id::SessionId;

/// Receiving chains that are remembered.
pub(crate) const MAX_RECEIVING: usize = 5;

/// One state. Copies share everything that did not change.
#[derive(Debug, Clone)]
pub(crate) struct DoubleRatchet {
    pub(crate) root_key: RootKey,
    pub(crate) sending: SendingChain,
    /// Oldest first.
    pub(crate) receiving: ReceivingChains,
}

/// Our chain.
#[derive(Debug, Clone)]
pub(crate) struct SendingChain {
    pub(crate) ratchet_key: Arc<KeyPair>,
    pub(crate) chain_key: ChainKey,
    /// Number of the last message of the chain before, 0 if there was none.
    pub(crate) previous: u32,
}

/// The chains of theirs that are remembered.
pub(crate) type ReceivingChains = ChainList<ReceivingHead, MAX_RECEIVING>;

/// A chain of theirs, but for its key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReceivingHead {
    pub(crate) ratchet_key: PublicKey,
    /// Number of the next message.
    pub(crate) index: u32,
    /// How many skipped keys are kept for it.
    pub(crate) kept: u32,
}

/// A chain of theirs, taken out of the list to be walked.
#[derive(Debug)]
struct ReceivingChain {
    ratchet_key: PublicKey,
    chain_key: ChainKey,
    kept: u32,
}

/// Why there is no key for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoKey {
    /// It was used, or is too old to have been kept.
    Duplicate,
    /// The message cannot be of this session: too far ahead, or its ratchet key is no point to agree with.
    Impossible,
}

/// What becomes of a state once a message has proved authentic. Dropped otherwise: then nothing happened.
#[derive(Debug)]
#[must_use = "the message key was used, and this forgets it"]
pub(crate) struct Step<'a> {
    ratchet: &'a DoubleRatchet,
    session: SessionId,
    change: Change,
    skipped: Pending<ChainKey>,
}

#[derive(Debug)]
enum Change {
    /// A chain we know moves on; `late` when it is not the newest, or the message was skipped before.
    Symmetric { position: usize, chain: ReceivingChain, late: bool },
    /// Their new ratchet key began a chain, and asks for a new one of ours.
    Dh { root_key: RootKey, chain: ReceivingChain },
}

impl DoubleRatchet {
    /// The initiator sends first: `theirs` is the signed pre-key of the responder, whose first chain is `chain_key`.
    pub(crate) fn initiator<R: CryptoRng + ?Sized>(
        root_key: RootKey,
        chain_key: ChainKey,
        theirs: PublicKey,
        rng: &mut R,
    ) -> Result<Self, LowOrderPoint> {
        let ratchet_key = KeyPair::generate(rng);
        let (root_key, sending) = root_key.step(&ratchet_key, &theirs)?;
        let receiving = ReceivingChain { ratchet_key: theirs, chain_key, kept: 0 };
        let receiving = ReceivingChains::of([receiving.parts()]);
        Ok(Self {
            root_key,
            sending: SendingChain { ratchet_key: Arc::new(ratchet_key), chain_key: sending, previous: 0 },
            receiving,
        })
    }

    /// The responder's first ratchet key is its signed pre-key. The first message replaces it.
    pub(crate) fn responder(root_key: RootKey, chain_key: ChainKey, ours: Arc<KeyPair>) -> Self {
        Self {
            root_key,
            sending: SendingChain { ratchet_key: ours, chain_key, previous: 0 },
            receiving: ReceivingChains::empty(),
        }
    }

    /// The sending half of a message (section 3.4). `None` at the end of the sending chain.
    pub(crate) fn send(&self) -> Option<(Self, Header, MessageKey)> {
        let SendingChain { ratchet_key, chain_key, previous } = &self.sending;
        let header =
            Header { ratchet_key: *ratchet_key.public(), number: chain_key.index(), previous: *previous };
        let (chain_key, message_key) = chain_key.step()?;
        let sending = SendingChain { ratchet_key: ratchet_key.clone(), chain_key, previous: *previous };
        let (root_key, receiving) = (self.root_key.clone(), self.receiving.clone());
        Some((Self { root_key, sending, receiving }, header, message_key))
    }

    /// The receiving half (section 3.5): the message key, and the step to take when it has opened the message.
    pub(crate) fn receive(
        &self,
        header: &Header,
        terms: &Terms<'_>,
        work: &mut Work,
    ) -> Result<(MessageKey, Step<'_>), NoKey> {
        let mut chains = self.receiving.iter().enumerate();
        let known = chains.find(|(_, (head, _))| head.ratchet_key == header.ratchet_key);
        let known = known.map(|(position, (head, key))| (position, ReceivingChain::new(head, key)));
        let (message_key, change, skipped) = match known {
            None => self.begin_chain(header, terms, work)?,
            Some((position, chain)) if header.number < chain.chain_key.index() => {
                let (chain, message_key, skipped) = chain.take_kept(header.number, terms)?;
                (message_key, Change::Symmetric { position, chain, late: true }, skipped)
            }
            Some((position, chain)) => {
                let (chain, message_key, skipped) = chain.advance(header.number, terms, work)?;
                let late = position.saturating_add(1) < self.receiving.len();
                (message_key, Change::Symmetric { position, chain, late }, skipped)
            }
        };
        Ok((message_key, Step { ratchet: self, session: terms.session, change, skipped }))
    }

    /// Whether the ratchet key of a message is one of theirs that we know.
    pub(crate) fn knows(&self, header: &Header) -> bool {
        self.head_of(header).is_some()
    }

    /// How many steps it is to a message; none to one that was passed.
    pub(crate) fn distance(&self, header: &Header) -> u32 {
        let next = self.head_of(header).map_or(0, |head| head.index);
        distance(next, header.number).unwrap_or(0)
    }

    fn head_of(&self, header: &Header) -> Option<&ReceivingHead> {
        self.receiving.heads().find(|head| head.ratchet_key == header.ratchet_key)
    }

    /// The first half of a DH ratchet step; [`Step::take`] does the second.
    fn begin_chain(
        &self,
        header: &Header,
        terms: &Terms<'_>,
        work: &mut Work,
    ) -> Result<(MessageKey, Change, Pending<ChainKey>), NoKey> {
        let ours = &self.sending.ratchet_key;
        let (root_key, chain_key) =
            self.root_key.step(ours, &header.ratchet_key).map_err(|LowOrderPoint| NoKey::Impossible)?;
        let chain = ReceivingChain { ratchet_key: header.ratchet_key, chain_key, kept: 0 };
        let (chain, message_key, skipped) = chain.advance(header.number, terms, work)?;
        Ok((message_key, Change::Dh { root_key, chain }, skipped))
    }
}

impl Step<'_> {
    /// Whether others that we know of were sent after the message.
    pub(crate) fn is_late(&self) -> bool {
        matches!(self.change, Change::Symmetric { late: true, .. })
    }

    /// The next state, and what it changes about the skipped keys. The second half of a DH ratchet step is here, where
    /// only authentic messages come: a trial with the wrong session costs one agreement.
    pub(crate) fn take<R: CryptoRng + ?Sized>(
        self,
        rng: &mut R,
    ) -> Result<(DoubleRatchet, Vec<SkippedChange>), LowOrderPoint> {
        let Self { ratchet, session, change, skipped } = self;
        let mut skipped = skipped.into_changes();
        match change {
            Change::Symmetric { position, chain, late: _ } => {
                let (head, key) = chain.parts();
                let receiving = ratchet.receiving.replaced(position, head, key);
                let (root_key, sending) = (ratchet.root_key.clone(), ratchet.sending.clone());
                Ok((DoubleRatchet { root_key, sending, receiving }, skipped))
            }
            Change::Dh { root_key, chain } => {
                let ratchet_key = KeyPair::generate(rng);
                let (root_key, chain_key) = root_key.step(&ratchet_key, &chain.ratchet_key)?;
                let previous = ratchet.sending.chain_key.index().saturating_sub(1);
                let sending = SendingChain { ratchet_key: Arc::new(ratchet_key), chain_key, previous };
                let surplus = ratchet.receiving.len().saturating_add(1).saturating_sub(MAX_RECEIVING);
                for oldest in ratchet.receiving.heads().take(surplus) {
                    let ratchet_key = *oldest.ratchet_key.as_bytes();
                    skipped.push(SkippedChange::ForgetChain { session, ratchet_key });
                }
                let others = ratchet.receiving.iter().skip(surplus);
                let receiving = ReceivingChains::of(others.chain([chain.parts()]));
                Ok((DoubleRatchet { root_key, sending, receiving }, skipped))
            }
        }
    }
}

impl ReceivingChain {
    fn new(head: ReceivingHead, key: &[u8; 32]) -> Self {
        let ReceivingHead { ratchet_key, index, kept } = head;
        Self { ratchet_key, chain_key: ChainKey::at(Secret::copied(key), index), kept }
    }

    fn parts(&self) -> (ReceivingHead, &[u8; 32]) {
        let Self { ratchet_key, chain_key, kept } = self;
        let head = ReceivingHead { ratchet_key: *ratchet_key, index: chain_key.index(), kept: *kept };
        (head, chain_key.expose())
    }

    /// The chain after message `number`, which is not behind it, and what becomes of those between.
    fn advance(
        &self,
        number: u32,
        terms: &Terms<'_>,
        work: &mut Work,
    ) -> Result<(Self, MessageKey, Pending<ChainKey>), NoKey> {
        let Terms { session, now, limits, .. } = *terms;
        let walked = walk(&self.chain_key, number, self.kept, limits, work);
        let Walked { chain: chain_key, key, kept, passed } = walked.ok_or(NoKey::Impossible)?;
        let skipped = Pending::Walk { session, ratchet_key: *self.ratchet_key.as_bytes(), now, keys: passed };
        Ok((Self { ratchet_key: self.ratchet_key, chain_key, kept }, key, skipped))
    }

    /// The chain without the kept key of message `number`, and that key.
    fn take_kept(
        &self,
        number: u32,
        terms: &Terms<'_>,
    ) -> Result<(Self, MessageKey, Pending<ChainKey>), NoKey> {
        let id = self.key_id(terms.session, number);
        let key = terms.kept(id).ok_or(NoKey::Duplicate)?;
        let kept = self.kept.saturating_sub(1);
        let chain = Self { ratchet_key: self.ratchet_key, chain_key: self.chain_key.clone(), kept };
        let skipped = Pending::Changes(vec![SkippedChange::Forget(id)]);
        Ok((chain, MessageKey::new(key.seed.copy()), skipped))
    }

    fn key_id(&self, session: SessionId, number: u32) -> SkippedKeyId {
        SkippedKeyId { session, ratchet_key: *self.ratchet_key.as_bytes(), number }
    }
}

//! The Double Ratchet: one state, and the steps to the next.

use std::sync::{Arc, OnceLock};

use rand_core::CryptoRng;

use super::chain_key::ChainKey;
use super::chain_list::ChainList;
use super::message_key::MessageKey;
use super::root_key::RootKey;
use super::skipped::{Pending, SkippedChange, SkippedKeyId};
use super::terms::Terms;
use super::walk::{Place, Walked, Work, distance, walk};
use crate::error::LowOrderPoint;
use crate::message::Header;
use crate::primitives::secret::Secret;
use crate::primitives::x25519::{KeyPair, PublicKey};
use crate::session_id::SessionId;

/// How many receiving chains are kept.
pub(crate) const MAX_RECEIVING: usize = 5;

/// One state.
#[derive(Debug, Clone)]
pub(crate) struct DoubleRatchet {
    pub(crate) sending: SendingHead,
    /// Our ratchet key pair, built when it is first needed for an agreement.
    ratchet_key: OnceLock<Arc<KeyPair>>,
    /// The receiving chains, oldest first, and the [`Keys`] besides theirs. All keys are in one allocation, because
    /// reading a state for a message leaves little time for more.
    pub(crate) receiving: ReceivingChains,
}

/// Our sending chain without its key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SendingHead {
    pub(crate) ratchet_key: PublicKey,
    /// The number of the next message.
    pub(crate) index: u32,
    /// The number of the last message of the previous chain, or 0 if there was none.
    pub(crate) previous: u32,
}

/// The keys of a state, without those of the receiving chains.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'a> {
    pub(crate) root: &'a [u8; 32],
    /// The private half of our ratchet key.
    pub(crate) private: &'a [u8; 32],
    /// The key of our sending chain.
    pub(crate) sending: &'a [u8; 32],
}

/// The receiving chains that are kept, and our [`Keys`] in their order.
pub(crate) type ReceivingChains = ChainList<ReceivingHead, MAX_RECEIVING, 3>;

/// A receiving chain without its key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReceivingHead {
    pub(crate) ratchet_key: PublicKey,
    /// The number of the next message.
    pub(crate) index: u32,
    /// How many skipped keys are stored for this chain.
    pub(crate) kept: u32,
}

/// Why there is no key for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoKey {
    /// The key was already used, or is too old to have been kept.
    Duplicate,
    /// The message cannot belong to this session: it is too far ahead, or its ratchet key is a point of low order.
    Impossible,
}

/// The step to the next state, to be taken once the message has been authenticated. If it is dropped instead, nothing
/// changes.
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
    /// Advances a known chain. `late` is set if it is not the newest chain or the message was skipped before.
    Symmetric { receiving: ReceivingChains, late: bool },
    /// A new ratchet key of the peer begins a chain, and calls for a new ratchet key of ours.
    Dh { root_key: RootKey, head: ReceivingHead, chain_key: Secret<32> },
}

impl DoubleRatchet {
    /// The initiator sends first. `theirs` is the responder's signed pre-key, whose first chain is `chain_key`.
    pub(crate) fn initiator<R: CryptoRng + ?Sized>(
        root_key: RootKey,
        chain_key: ChainKey,
        theirs: PublicKey,
        rng: &mut R,
    ) -> Result<Self, LowOrderPoint> {
        let ours = Arc::new(KeyPair::generate(rng));
        let (root_key, sending) = RootKey::step(root_key.expose(), &ours, &theirs)?;
        let receiving = [(ReceivingHead::first(theirs), chain_key.expose())];
        Ok(Self::of(&root_key, ours, &sending, 0, receiving))
    }

    /// The responder's first ratchet key is its signed pre-key. It is replaced when the first message arrives.
    pub(crate) fn responder(root_key: RootKey, chain_key: ChainKey, ours: Arc<KeyPair>) -> Self {
        Self::of(&root_key, ours, &chain_key, 0, [])
    }

    fn of<'a>(
        root_key: &RootKey,
        ours: Arc<KeyPair>,
        chain_key: &ChainKey,
        previous: u32,
        receiving: impl IntoIterator<Item = (ReceivingHead, &'a [u8; 32])>,
    ) -> Self {
        let sending = SendingHead { ratchet_key: *ours.public(), index: chain_key.index(), previous };
        let keys = [root_key.expose(), ours.private().expose(), chain_key.expose()];
        let receiving = ReceivingChains::of(keys, receiving, ReceivingHead::first(sending.ratchet_key));
        Self { sending, ratchet_key: ours.into(), receiving }
    }

    /// Restores a state from storage. The two halves of our ratchet key are assumed to match.
    pub(crate) fn from_parts(sending: SendingHead, receiving: ReceivingChains) -> Self {
        Self { sending, ratchet_key: OnceLock::new(), receiving }
    }

    pub(crate) fn keys(&self) -> Keys<'_> {
        let [root, private, sending] = self.receiving.others();
        Keys { root, private, sending }
    }

    /// The sending half of a message (section 3.4). `None` at the end of the sending chain.
    pub(crate) fn send(&self) -> Option<(Self, Header, MessageKey)> {
        let SendingHead { ratchet_key, index: number, previous } = self.sending;
        let mut sending = self.sending;
        let step =
            |[_, _, key]: &mut [[u8; 32]; 3]| Place { index: &mut sending.index, key }.step::<ChainKey>();
        let (receiving, message_key) = self.receiving.with_others(step);
        let next = Self { sending, ratchet_key: self.ratchet_key.clone(), receiving };
        Some((next, Header { ratchet_key, number, previous }, message_key?))
    }

    /// The receiving half of a message (section 3.5): the message key, and the step to take once the message has been
    /// decrypted.
    pub(crate) fn receive(
        &self,
        header: &Header,
        terms: &Terms<'_>,
        work: &mut Work,
    ) -> Result<(MessageKey, Step<'_>), NoKey> {
        let known = self.receiving.heads().position(|head| head.ratchet_key == header.ratchet_key);
        let (message_key, change, skipped) = match known {
            None => self.begin_chain(header, terms, work)?,
            Some(at) => {
                let take = |head: &mut ReceivingHead, key: &mut [u8; 32]| {
                    (header.number < head.index, head.take(key, header.number, terms, work))
                };
                let (receiving, (is_kept, taken)) =
                    self.receiving.with_chain(at, take).ok_or(NoKey::Impossible)?;
                let (message_key, skipped) = taken?;
                let late = is_kept || at.saturating_add(1) < self.receiving.len();
                (message_key, Change::Symmetric { receiving, late }, skipped)
            }
        };
        Ok((message_key, Step { ratchet: self, session: terms.session, change, skipped }))
    }

    /// Whether the ratchet key of a message belongs to a chain that we keep.
    pub(crate) fn knows(&self, header: &Header) -> bool {
        self.head_of(header).is_some()
    }

    /// How many steps the chain must advance to reach a message; 0 if it has already passed it.
    pub(crate) fn distance(&self, header: &Header) -> u32 {
        let next = self.head_of(header).map_or(0, |head| head.index);
        distance(next, header.number).unwrap_or(0)
    }

    fn head_of(&self, header: &Header) -> Option<&ReceivingHead> {
        self.receiving.heads().find(|head| head.ratchet_key == header.ratchet_key)
    }

    /// The first half of a DH ratchet step; [`Step::take`] performs the second.
    fn begin_chain(
        &self,
        header: &Header,
        terms: &Terms<'_>,
        work: &mut Work,
    ) -> Result<(MessageKey, Change, Pending<ChainKey>), NoKey> {
        let (root_key, chain_key) = RootKey::step(self.keys().root, self.ours(), &header.ratchet_key)
            .map_err(|LowOrderPoint| NoKey::Impossible)?;
        let mut chain_key = chain_key.into_key();
        let mut head = ReceivingHead::first(header.ratchet_key);
        let (message_key, skipped) = head.take(chain_key.expose_mut(), header.number, terms, work)?;
        Ok((message_key, Change::Dh { root_key, head, chain_key }, skipped))
    }

    /// Our ratchet key pair.
    fn ours(&self) -> &KeyPair {
        self.ratchet_key.get_or_init(|| {
            Arc::new(KeyPair::from_parts(self.sending.ratchet_key, Secret::copied(self.keys().private)))
        })
    }
}

impl Step<'_> {
    /// Whether the message arrived after messages that were sent later.
    pub(crate) fn is_late(&self) -> bool {
        matches!(self.change, Change::Symmetric { late: true, .. })
    }

    /// The next state, and the changes to the stored skipped keys. The second half of a DH ratchet step is performed
    /// here, and only for authenticated messages, so that trying the wrong session costs only one agreement.
    pub(crate) fn take<R: CryptoRng + ?Sized>(
        self,
        rng: &mut R,
    ) -> Result<(DoubleRatchet, Vec<SkippedChange>), LowOrderPoint> {
        let Self { ratchet, session, change, skipped } = self;
        let mut skipped = skipped.into_changes();
        match change {
            Change::Symmetric { receiving, late: _ } => {
                let ratchet_key = ratchet.ratchet_key.clone();
                Ok((DoubleRatchet { sending: ratchet.sending, ratchet_key, receiving }, skipped))
            }
            Change::Dh { root_key, head, chain_key } => {
                let ours = Arc::new(KeyPair::generate(rng));
                let (root_key, sending) = RootKey::step(root_key.expose(), &ours, &head.ratchet_key)?;
                let previous = ratchet.sending.index.saturating_sub(1);
                let surplus = ratchet.receiving.len().saturating_add(1).saturating_sub(MAX_RECEIVING);
                for oldest in ratchet.receiving.heads().take(surplus) {
                    let ratchet_key = *oldest.ratchet_key.as_bytes();
                    skipped.push(SkippedChange::ForgetChain { session, ratchet_key });
                }
                let others = ratchet.receiving.iter().skip(surplus);
                let receiving = others.chain([(head, chain_key.expose())]);
                Ok((DoubleRatchet::of(&root_key, ours, &sending, previous, receiving), skipped))
            }
        }
    }
}

impl ReceivingHead {
    /// A new chain of which no message has arrived.
    pub(crate) fn first(ratchet_key: PublicKey) -> Self {
        Self { ratchet_key, index: 0, kept: 0 }
    }

    /// The key of message `number`. If the key was stored, it is removed from the count. If the message is ahead, the
    /// chain, whose key is `key`, advances past it, and the keys on the way are to be stored.
    fn take(
        &mut self,
        key: &mut [u8; 32],
        number: u32,
        terms: &Terms<'_>,
        work: &mut Work,
    ) -> Result<(MessageKey, Pending<ChainKey>), NoKey> {
        let Terms { session, now, limits, .. } = *terms;
        let ratchet_key = *self.ratchet_key.as_bytes();
        if number < self.index {
            let id = SkippedKeyId { session, ratchet_key, number };
            let kept = terms.kept(id).ok_or(NoKey::Duplicate)?;
            self.kept = self.kept.saturating_sub(1);
            let skipped = Pending::Changes(vec![SkippedChange::Forget(id)]);
            return Ok((MessageKey::new(kept.seed.copy()), skipped));
        }
        let walked = walk(Place { index: &mut self.index, key }, number, self.kept, limits, work);
        let Walked { key, kept, passed } = walked.ok_or(NoKey::Impossible)?;
        self.kept = kept;
        Ok((key, Pending::Walk { session, ratchet_key, now, keys: passed }))
    }
}

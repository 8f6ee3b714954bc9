//! All chains of one sender for one distribution.
//!
//! ```text
//!   create_distribution (ours), process (theirs): that chain becomes the newest
//!                        │
//!                        ▼
//!   newest, which sends when it is ours ──▶ older ones, which still receive ──▶ forgotten beyond 5
//! ```

use std::fmt;
use std::sync::Arc;

use rand_core::CryptoRng;

use super::Advanced;
use super::error::{DecryptError, EncryptError, WrongDistribution};
use super::sender_key::{NoKey, SenderKey, SigningKey};
use super::skipped::{SkippedChange, SkippedKey, SkippedKeyId};
use crate::distribution_id::DistributionId;
use crate::error::NotAuthentic;
use crate::message::{SenderKeyDistributionMessage, SenderKeyMessage};
use crate::plaintext::Plaintext;
use crate::primitives::known_keys::KnownKeys;
use crate::primitives::x25519::KeyPair;
use crate::time::UnixSeconds;

/// Maximum number of chains that are kept.
pub(super) const MAX_CHAINS: usize = 5;

/// The chains of one sending device for one distribution. Cloning is cheap.
#[derive(Clone)]
pub struct SenderKeyRecord {
    pub(super) distribution_id: DistributionId,
    /// Newest first.
    pub(super) chains: Vec<Arc<SenderKey>>,
}

impl SenderKeyRecord {
    /// A record without chains.
    pub fn empty(distribution_id: DistributionId) -> Self {
        Self { distribution_id, chains: Vec::new() }
    }

    /// Whether there is no chain.
    pub fn is_empty(&self) -> bool {
        self.chains.is_empty()
    }

    /// Which distribution of the sender.
    pub fn distribution_id(&self) -> DistributionId {
        self.distribution_id
    }

    /// The current state of our chain, to be sent to each device of the group through its session. Starts a chain if
    /// there is none.
    pub fn create_distribution<R: CryptoRng + ?Sized>(
        &self,
        rng: &mut R,
    ) -> Advanced<SenderKeyDistributionMessage> {
        match self.ours() {
            Some((chain, _)) => {
                let output = chain.distribution(self.distribution_id);
                Advanced { next: self.clone(), skipped: Vec::new(), output }
            }
            None => {
                let chain = SenderKey::generate(rng);
                let output = chain.distribution(self.distribution_id);
                let (next, skipped) = self.with_newest(Arc::new(chain));
                Advanced { next, skipped, output }
            }
        }
    }

    /// Adds a chain that the sender distributed. A chain that is already known keeps its position, and is not
    /// rewound.
    ///
    /// # Errors
    /// [`WrongDistribution`].
    pub fn process(&self, message: &SenderKeyDistributionMessage) -> Result<Advanced<()>, WrongDistribution> {
        if message.distribution_id() != self.distribution_id {
            return Err(WrongDistribution);
        }
        let known = self.find(message.chain_id());
        let known = known.filter(|chain| chain.signing.public() == message.signing_key());
        let chain = known.cloned().unwrap_or_else(|| Arc::new(SenderKey::of(message)));
        let (next, skipped) = self.with_newest(chain);
        Ok(Advanced { next, skipped, output: () })
    }

    /// Encrypts for everybody who received our chain.
    ///
    /// # Errors
    /// [`EncryptError`].
    pub fn encrypt<R: CryptoRng + ?Sized>(
        &self,
        plaintext: &[u8],
        rng: &mut R,
    ) -> Result<Advanced<SenderKeyMessage>, EncryptError> {
        let (chain, signing_key) = self.ours().ok_or(EncryptError::NoSenderKey)?;
        let (keys, next) = chain.send().ok_or(EncryptError::ChainUsedUp)?;
        let output = SenderKeyMessage::sign(
            self.distribution_id,
            chain.chain_id,
            chain.chain_key.index(),
            keys.encrypt(plaintext),
            signing_key,
            rng,
        );
        Ok(Advanced { next: self.with_chain(next), skipped: Vec::new(), output })
    }

    /// Decrypts a message of the sender. `skipped` is the stored key of [`SkippedKeyId::of`] the message, if there is
    /// one; `known` makes verifying the next message of the same sender cheaper.
    ///
    /// # Errors
    /// [`DecryptError`].
    pub fn decrypt(
        &self,
        message: &SenderKeyMessage,
        skipped: Option<&SkippedKey>,
        now: UnixSeconds,
        known: &mut KnownKeys,
    ) -> Result<Advanced<Plaintext>, DecryptError> {
        if message.distribution_id() != self.distribution_id {
            return Err(DecryptError::NoSenderKey);
        }
        let chain = self.find(message.chain_id()).ok_or(DecryptError::NoSenderKey)?;
        // Checked before the chain advances, so that others cannot make us compute 25,000 steps.
        if !message.is_signed_by(chain.signing.public(), known) {
            return Err(DecryptError::NotDecryptable);
        }
        let (keys, next, skipped) = chain.receive(SkippedKeyId::of(message), skipped, now)?;
        let plaintext = keys.decrypt(message.ciphertext())?;
        let skipped = skipped.into_changes();
        Ok(Advanced { next: self.with_chain(next), skipped, output: Plaintext(plaintext) })
    }

    /// The newest chain with its key pair, if it is ours.
    fn ours(&self) -> Option<(&SenderKey, &KeyPair)> {
        let chain = self.chains.first()?;
        match &chain.signing {
            SigningKey::Ours(pair) => Some((chain, pair)),
            SigningKey::Theirs(_) => None,
        }
    }

    fn find(&self, chain_id: u32) -> Option<&Arc<SenderKey>> {
        self.chains.iter().find(|chain| chain.chain_id == chain_id)
    }

    /// The record after a step of one of its chains.
    fn with_chain(&self, next: SenderKey) -> Self {
        let mut chains = self.chains.clone();
        if let Some(chain) = chains.iter_mut().find(|chain| chain.chain_id == next.chain_id) {
            *chain = Arc::new(next);
        }
        Self { distribution_id: self.distribution_id, chains }
    }

    /// The record with `newest` in front, replacing a chain with the same id, and without the sixth chain.
    fn with_newest(&self, newest: Arc<SenderKey>) -> (Self, Vec<SkippedChange>) {
        let others = self.chains.iter().filter(|chain| chain.chain_id != newest.chain_id);
        let chains: Vec<_> = [&newest].into_iter().chain(others).take(MAX_CHAINS).map(Arc::clone).collect();
        let is_gone = |old: &&Arc<SenderKey>| !chains.iter().any(|chain| Arc::ptr_eq(chain, old));
        let distribution_id = self.distribution_id;
        let forget =
            |old: &Arc<SenderKey>| SkippedChange::ForgetChain { distribution_id, chain_id: old.chain_id };
        let skipped = self.chains.iter().filter(is_gone).map(forget).collect();
        (Self { distribution_id, chains }, skipped)
    }
}

impl From<NoKey> for DecryptError {
    fn from(reason: NoKey) -> Self {
        match reason {
            NoKey::Duplicate => Self::Duplicate,
            NoKey::TooFarAhead => Self::TooFarAhead,
        }
    }
}

impl From<NotAuthentic> for DecryptError {
    fn from(_: NotAuthentic) -> Self {
        Self::NotDecryptable
    }
}

/// Shows the distribution and the number of chains.
impl fmt::Debug for SenderKeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { distribution_id, chains } = self;
        f.debug_struct("SenderKeyRecord")
            .field("distribution_id", distribution_id)
            .field("chains", &chains.len())
            .finish()
    }
}

//! The first message: the primary device offers the companion a place in its account.

use std::fmt;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{LINK_TOKEN_LEN, LinkCode, LinkError, LinkKeys, LinkNonce, NONCE_LEN, OFFER};
use crate::address::DeviceId;
use crate::device::{AccountId, AccountKey, SignedDeviceList, VerifiedDeviceList};
use crate::error::{DecodeError, LowOrderPoint, NotAuthentic};
use crate::primitives::hpke::{self, ENCAPSULATED_LEN, Psk};
use crate::primitives::secret::Secret;
use crate::primitives::x25519::PUBLIC_KEY_LEN;

/// HPKE in PSK mode with X25519, HKDF-SHA256 and AES-256-GCM.
const SUITE: u8 = 2;
const SEED_LEN: usize = 32;

/// What the primary device offers.
pub struct NewOffer<'a> {
    /// The account.
    pub user: &'a AccountId,
    /// The number that the relay has reserved for the companion.
    pub device: DeviceId,
    /// The token with which the relay registers it.
    pub token: &'a [u8; LINK_TOKEN_LEN],
    /// The present list of the account.
    pub list: &'a VerifiedDeviceList,
}

/// An offer that was sealed, with the secrets of it that the primary device keeps.
pub struct SealedOffer {
    /// What is sent.
    pub bytes: Vec<u8>,
    /// What is sent after the answer.
    pub nonce: LinkNonce,
    /// What the keys of the messages that follow are made of.
    pub seed: Secret<SEED_LEN>,
}

impl fmt::Debug for NewOffer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewOffer").field("device", &self.device).finish_non_exhaustive()
    }
}

impl fmt::Debug for SealedOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedOffer(..)")
    }
}

impl NewOffer<'_> {
    /// Seals the offer for the companion that shows this code. `None` if the code has a bad key, which a parsed one does not have.
    pub fn seal<R: CryptoRng + ?Sized>(&self, code: &LinkCode, rng: &mut R) -> Option<SealedOffer> {
        let mut nonce = LinkNonce([0; NONCE_LEN]);
        rng.fill_bytes(&mut nonce.0);
        let seed = Secret::random(rng);
        let (device, list, hash) = ([self.device.byte()], self.list.serialize(), nonce.hash());
        let parts: [&[u8]; 7] =
            [self.user, self.list.account_key().as_bytes(), &device, self.token, seed.expose(), &hash, &list];
        let plaintext = Zeroizing::new(parts.concat());
        let psk = Psk { key: code.secret.expose(), id: &code.link };
        let sealed =
            hpke::seal(code.sealing.public_key(), Some(psk), (OFFER, &code.public_part()), &plaintext, rng);
        let (encapsulated, ciphertext) = sealed.map_err(|LowOrderPoint| ()).ok()?;
        let bytes = [&[SUITE], encapsulated.as_slice(), &ciphertext].concat();
        Some(SealedOffer { bytes, nonce, seed })
    }
}

/// The offer as the companion has opened it: from whoever has read its code.
pub struct Offer {
    /// The account.
    pub user: AccountId,
    /// The number of the companion.
    pub device: DeviceId,
    /// The token with which the relay registers the companion.
    pub token: Secret<LINK_TOKEN_LEN>,
    /// The list of the account before the companion is on it.
    pub list: VerifiedDeviceList,
    pub(super) seed: Secret<SEED_LEN>,
    pub(super) nonce_hash: [u8; 32],
}

impl Offer {
    /// Opens an offer, and verifies the list in it.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn open(keys: &LinkKeys, sealed: &[u8]) -> Result<Self, LinkError> {
        let (suite, rest) = sealed.split_first().ok_or(DecodeError::TooShort)?;
        if *suite != SUITE {
            return Err(DecodeError::UnknownVersion.into());
        }
        let (encapsulated, ciphertext) =
            rest.split_first_chunk::<ENCAPSULATED_LEN>().ok_or(DecodeError::TooShort)?;
        let code = keys.code();
        let psk = Psk { key: code.secret.expose(), id: &code.link };
        let about = (&OFFER[..], &code.public_part()[..]);
        let opened = hpke::open(keys.sealing.key_pair(), Some(psk), about, encapsulated, ciphertext);
        Self::parse(code, &opened.map_err(|NotAuthentic| LinkError::NotAuthentic)?)
    }

    fn parse(code: &LinkCode, bytes: &[u8]) -> Result<Self, LinkError> {
        let (user, rest) = bytes.split_first_chunk().ok_or(DecodeError::TooShort)?;
        let (account, rest) = rest.split_first_chunk::<PUBLIC_KEY_LEN>().ok_or(DecodeError::TooShort)?;
        let ([device], rest) = rest.split_first_chunk().ok_or(DecodeError::TooShort)?;
        let (token, rest) = rest.split_first_chunk::<LINK_TOKEN_LEN>().ok_or(DecodeError::TooShort)?;
        let (seed, rest) = rest.split_first_chunk::<SEED_LEN>().ok_or(DecodeError::TooShort)?;
        let (nonce_hash, list) = rest.split_first_chunk().ok_or(DecodeError::TooShort)?;
        let list = SignedDeviceList::parse(list)?.verify(user)?;
        let device = DeviceId::new(u32::from(*device)).map_err(|_| DecodeError::OutOfRange)?;
        let is_taken = |entry: &crate::device::DeviceEntry| {
            entry.device == device || entry.identity == code.identity || entry.identity == code.sealing
        };
        if *list.account_key() != AccountKey::parse(account)? || list.devices().iter().any(is_taken) {
            return Err(LinkError::OtherList);
        }
        let (token, seed) = (Secret::copied(token), Secret::copied(seed));
        Ok(Self { user: *user, device, token, list, seed, nonce_hash: *nonce_hash })
    }

    /// Checks the nonce that the primary device has sent after the answer.
    ///
    /// # Errors
    /// [`LinkError::Nonce`].
    pub fn check(&self, nonce: &LinkNonce) -> Result<(), LinkError> {
        if nonce.hash() == self.nonce_hash { Ok(()) } else { Err(LinkError::Nonce) }
    }
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offer")
            .field("device", &self.device)
            .field("list", &self.list)
            .finish_non_exhaustive()
    }
}

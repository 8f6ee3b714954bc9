//! The second message: the companion states that it belongs to the account.

use std::fmt;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{ANSWER, LinkCode, LinkError, LinkKeys, Offer, message_key};
use crate::address::DeviceId;
use crate::device::{AccountId, AccountKey, DeviceBinding, DeviceEntry};
use crate::error::{DecodeError, NotAuthentic};
use crate::primitives::gcm_siv;
use crate::primitives::secret::Secret;
use crate::primitives::xeddsa::SIGNATURE_LEN;

const FRESH_LEN: usize = 16;

/// What the companion answers.
#[derive(Clone)]
pub struct Answer {
    /// Its statement that it belongs to the account.
    pub binding: DeviceBinding,
    /// By which peers notice that a device was set up again.
    pub registration_id: u32,
    /// Its name, which it suggests. Anything that the person at the companion has written.
    pub name: String,
    /// So that nobody can tell the short code before the answer is sent.
    fresh: [u8; FRESH_LEN],
}

/// Leaves out the name, which a person has written.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("binding", &self.binding).finish_non_exhaustive()
    }
}

impl Answer {
    /// The answer of the companion with these keys to this offer.
    pub fn new<R: CryptoRng + ?Sized>(
        keys: &LinkKeys,
        offer: &Offer,
        (registration_id, name): (u32, String),
        rng: &mut R,
    ) -> Self {
        let account = offer.list.account_key();
        let binding = DeviceBinding::sign(&offer.user, offer.device, &keys.identity, account, rng);
        let mut fresh = [0; FRESH_LEN];
        rng.fill_bytes(&mut fresh);
        Self { binding, registration_id, name, fresh }
    }

    /// Encrypts the answer to `offer`. `None` if it is too long for the cipher.
    pub fn seal(&self, keys: &LinkKeys, offer: &Offer) -> Option<Vec<u8>> {
        let number = self.registration_id.to_be_bytes();
        let parts: [&[u8]; 4] = [self.binding.as_bytes(), &number, &self.fresh, self.name.as_bytes()];
        gcm_siv::seal(message_key(&keys.code.secret, &offer.seed, ANSWER), &Zeroizing::new(parts.concat()))
    }

    /// Opens the answer to the offer that was made with `seed`, and checks that the companion with this code belongs to the account.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn open(
        code: &LinkCode,
        seed: &Secret<32>,
        (user, device, account): (&AccountId, DeviceId, &AccountKey),
        sealed: &[u8],
    ) -> Result<Self, LinkError> {
        let opened = gcm_siv::open(message_key(&code.secret, seed, ANSWER), sealed);
        let opened = opened.map_err(|NotAuthentic| LinkError::NotAuthentic)?;
        let (binding, rest) = opened.split_first_chunk::<SIGNATURE_LEN>().ok_or(DecodeError::TooShort)?;
        let (number, rest) = rest.split_first_chunk().ok_or(DecodeError::TooShort)?;
        let (fresh, name) = rest.split_first_chunk().ok_or(DecodeError::TooShort)?;
        let answer = Self {
            binding: DeviceBinding::parse(binding)?,
            registration_id: u32::from_be_bytes(*number),
            name: String::from_utf8(name.to_vec()).map_err(|_| DecodeError::Malformed)?,
            fresh: *fresh,
        };
        let entry = answer.entry(code, device, 0);
        if entry.is_bound(user, account) { Ok(answer) } else { Err(LinkError::Binding) }
    }

    /// The companion's entry in the list.
    pub fn entry(&self, code: &LinkCode, device: DeviceId, added_ms: u64) -> DeviceEntry {
        DeviceEntry { device, identity: code.identity, added_ms, is_primary: false, binding: self.binding }
    }
}

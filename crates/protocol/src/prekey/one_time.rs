//! `OPK`: used for one session, and then deleted.

use rand_core::CryptoRng;

use super::{Form, OneTimePreKeyId};
use crate::error::DecodeError;
use crate::primitives::x25519::{KeyPair, PUBLIC_KEY_LEN};
use crate::stored::StoredBytes;

/// One of our keys, with the secret half.
#[derive(Debug)]
pub struct OneTimePreKey {
    id: OneTimePreKeyId,
    pair: KeyPair,
}

impl OneTimePreKey {
    /// Generates a key.
    pub fn generate<R: CryptoRng + ?Sized>(id: OneTimePreKeyId, rng: &mut R) -> Self {
        Self { id, pair: KeyPair::generate(rng) }
    }

    /// Its id.
    pub fn id(&self) -> OneTimePreKeyId {
        self.id
    }

    /// The public half: type byte and 32 bytes.
    pub fn public_key(&self) -> [u8; PUBLIC_KEY_LEN] {
        *self.pair.public().as_bytes()
    }

    /// The stored form.
    pub fn to_bytes(&self) -> StoredBytes {
        let form = Form {
            id: self.id.0,
            public: self.pair.public().as_bytes(),
            secret: self.pair.private().expose(),
            ..Form::default()
        };
        form.to_bytes()
    }

    /// Parses the stored form.
    ///
    /// # Errors
    /// [`DecodeError`] if it is not protobuf, or contains an invalid key.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let form = Form::parse(bytes)?;
        Ok(Self { id: OneTimePreKeyId(form.id), pair: form.key_pair()? })
    }

    pub(crate) fn key_pair(&self) -> &KeyPair {
        &self.pair
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    #[test]
    fn a_pre_key_is_the_same_after_storing_it() {
        let key = OneTimePreKey::generate(OneTimePreKeyId(0), &mut StdRng::seed_from_u64(1));
        let read = OneTimePreKey::from_bytes(&key.to_bytes()).unwrap();
        assert_eq!(*read.to_bytes(), *key.to_bytes());
        assert_eq!((read.id(), read.public_key()), (OneTimePreKeyId(0), key.public_key()));
        assert_eq!(OneTimePreKey::from_bytes(&key.to_bytes()[..40]).err(), Some(DecodeError::Malformed));
    }
}

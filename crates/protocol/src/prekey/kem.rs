//! `PQOPK` and `PQSPK`: signed KEM pre-keys. A one-time key is deleted after use; the last-resort key is used when
//! those have run out. They differ only in how their owner treats them.

use rand_core::CryptoRng;

use super::{Form, KemPreKeyId};
use crate::error::DecodeError;
use crate::identity::IdentityKeyPair;
use crate::primitives::kem::KemKeyPair;
use crate::primitives::xeddsa::{SIGNATURE_LEN, Signature};
use crate::stored::StoredBytes;

/// One of our keys, with the secret half.
#[derive(Debug)]
pub struct KemPreKey {
    id: KemPreKeyId,
    pair: KemKeyPair,
    signature: Signature,
    created_ms: u64,
}

impl KemPreKey {
    /// Generates a key, signed by `me`. `created_ms` is the time, in milliseconds since 1970.
    pub fn generate<R: CryptoRng + ?Sized>(
        id: KemPreKeyId,
        me: &IdentityKeyPair,
        created_ms: u64,
        rng: &mut R,
    ) -> Self {
        let pair = KemKeyPair::generate(rng);
        let signature = me.sign(pair.public().as_bytes(), rng);
        Self { id, pair, signature, created_ms }
    }

    /// Its id.
    pub fn id(&self) -> KemPreKeyId {
        self.id
    }

    /// The public half: type byte and 1,568 bytes.
    pub fn public_key(&self) -> Vec<u8> {
        self.pair.public().as_bytes().to_vec()
    }

    /// The signature of the identity key over [`public_key`](Self::public_key).
    pub fn signature(&self) -> &[u8; SIGNATURE_LEN] {
        self.signature.as_bytes()
    }

    /// When it was created, in milliseconds since 1970.
    pub fn created_ms(&self) -> u64 {
        self.created_ms
    }

    /// The stored form.
    pub fn to_bytes(&self) -> StoredBytes {
        let form = Form {
            id: self.id.0,
            public: self.pair.public().as_bytes(),
            secret: &self.pair.secret_bytes(),
            signature: self.signature.as_bytes(),
            created_ms: self.created_ms,
        };
        form.to_bytes()
    }

    /// Parses the stored form.
    ///
    /// # Errors
    /// [`DecodeError`] if it is not protobuf, or contains an invalid key or signature.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let form = Form::parse(bytes)?;
        Ok(Self {
            id: KemPreKeyId(form.id),
            pair: KemKeyPair::parse(form.public, form.secret)?,
            signature: Signature::parse(form.signature)?,
            created_ms: form.created_ms,
        })
    }

    pub(crate) fn key_pair(&self) -> &KemKeyPair {
        &self.pair
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    #[test]
    fn a_pre_key_is_the_same_after_storing_it() {
        let mut rng = StdRng::seed_from_u64(1);
        let me = IdentityKeyPair::generate(&mut rng);
        let key = KemPreKey::generate(KemPreKeyId(7), &me, 1_700_000_000_123, &mut rng);
        let read = KemPreKey::from_bytes(&key.to_bytes()).unwrap();
        assert_eq!(*read.to_bytes(), *key.to_bytes());
        assert_eq!((read.id(), read.created_ms()), (KemPreKeyId(7), 1_700_000_000_123));
        assert!(me.public().verify(&read.public_key(), &read.signature));
    }
}

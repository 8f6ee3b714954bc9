//! Pre-key bundles, which are fetched to start a session: bytes, then [`PreKeyBundle`], then [`VerifiedBundle`].

use std::fmt;

use super::{KemPreKeyId, OneTimePreKeyId, PreKeyKind, SignedPreKeyId};
use crate::address::DeviceId;
use crate::error::DecodeError;
use crate::identity::IdentityKey;
use crate::primitives::kem::KemPublicKey;
use crate::primitives::known_keys::KnownKeys;
use crate::primitives::x25519::PublicKey;
use crate::primitives::xeddsa::{Signature, Verifier};

/// A bundle as the relay returns it.
#[derive(Clone, Copy)]
pub struct RawPreKeyBundle<'a> {
    /// The registration id of the device.
    pub registration_id: u32,
    /// The device id, 1 to 127.
    pub device_id: u32,
    /// Serialized identity key.
    pub identity_key: &'a [u8],
    /// The signed pre-key.
    pub signed_pre_key: RawSigned<'a>,
    /// The id and the serialized one-time pre-key, unless there are none left.
    pub one_time_pre_key: Option<(u32, &'a [u8])>,
    /// The KEM pre-key, one-time or last-resort. A device from before PQXDH has none.
    pub kem_pre_key: Option<RawSigned<'a>>,
}

/// A signed key as the relay returns it.
#[derive(Clone, Copy)]
pub struct RawSigned<'a> {
    /// Its id.
    pub id: u32,
    /// The serialized key, with its type byte.
    pub key: &'a [u8],
    /// The signature of the identity key over the serialized key, 64 bytes.
    pub signature: &'a [u8],
}

impl fmt::Debug for RawPreKeyBundle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            registration_id: _,
            device_id,
            identity_key: _,
            signed_pre_key,
            one_time_pre_key,
            kem_pre_key,
        } = self;
        f.debug_struct("RawPreKeyBundle")
            .field("device_id", device_id)
            .field("signed_pre_key", signed_pre_key)
            .field("one_time_pre_key", &one_time_pre_key.map(|(id, _)| id))
            .field("kem_pre_key", kem_pre_key)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RawSigned<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, key: _, signature: _ } = self;
        f.debug_struct("RawSigned").field("id", id).finish_non_exhaustive()
    }
}

/// A bundle whose keys are valid keys. Nobody has checked whose they are.
#[derive(Debug, Clone)]
pub struct PreKeyBundle {
    registration_id: u32,
    device: DeviceId,
    identity_key: IdentityKey,
    signed: TheirPreKey<SignedPreKeyId>,
    signature: Signature,
    one_time: Option<TheirPreKey<OneTimePreKeyId>>,
    kem: Option<(TheirKemPreKey, Signature)>,
}

/// Proof that both signatures of a bundle were made by the identity key in it. Whether that is the key of the right
/// person must be determined by people, with a [`SafetyNumber`](crate::SafetyNumber).
#[derive(Debug, Clone)]
pub struct VerifiedBundle {
    pub(crate) registration_id: u32,
    pub(crate) device: DeviceId,
    pub(crate) identity_key: IdentityKey,
    pub(crate) signed: TheirPreKey<SignedPreKeyId>,
    pub(crate) one_time: Option<TheirPreKey<OneTimePreKeyId>>,
    pub(crate) kem: Option<TheirKemPreKey>,
}

/// Why a bundle cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// The device id is outside 1 to 127.
    #[error("device id outside 1 to 127")]
    DeviceId,
    /// The identity key is invalid.
    #[error("bad identity key: {0}")]
    IdentityKey(DecodeError),
    /// A pre-key is invalid, or its signature does not have 64 bytes.
    #[error("bad {0:?} pre-key: {1}")]
    PreKey(PreKeyKind, DecodeError),
    /// A key that would make the agreement with it predictable.
    #[error("low-order point")]
    LowOrderPoint,
    /// The identity key did not sign this pre-key.
    #[error("bad signature of the {0:?} pre-key")]
    Signature(PreKeyKind),
}

/// A pre-key of the peer, without the secret half.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TheirPreKey<Id> {
    pub(crate) id: Id,
    pub(crate) key: PublicKey,
}

/// A KEM pre-key of the peer, without the secret half.
#[derive(Debug, Clone)]
pub(crate) struct TheirKemPreKey {
    pub(crate) id: KemPreKeyId,
    pub(crate) key: KemPublicKey,
}

impl PreKeyBundle {
    /// Checks, in this order, the device id, the identity key, and then the type, length and order of each pre-key.
    ///
    /// # Errors
    /// [`BundleError`], except [`BundleError::Signature`].
    pub fn parse(raw: RawPreKeyBundle<'_>) -> Result<Self, BundleError> {
        let device = DeviceId::new(raw.device_id).map_err(|_| BundleError::DeviceId)?;
        let identity_key = IdentityKey::parse(raw.identity_key).map_err(BundleError::IdentityKey)?;
        high_order(identity_key.public_key())?;
        let signed = parse_key(raw.signed_pre_key.key, PreKeyKind::Signed)?;
        let signature = parse_signature(raw.signed_pre_key.signature, PreKeyKind::Signed)?;
        let one_time = raw.one_time_pre_key.map(|(id, key)| {
            Ok(TheirPreKey { id: OneTimePreKeyId(id), key: parse_key(key, PreKeyKind::OneTime)? })
        });
        let kem = raw.kem_pre_key.map(|kem| {
            let key = KemPublicKey::parse(kem.key).map_err(|e| BundleError::PreKey(PreKeyKind::Kem, e))?;
            let signature = parse_signature(kem.signature, PreKeyKind::Kem)?;
            Ok((TheirKemPreKey { id: KemPreKeyId(kem.id), key }, signature))
        });
        Ok(Self {
            registration_id: raw.registration_id,
            device,
            identity_key,
            signed: TheirPreKey { id: SignedPreKeyId(raw.signed_pre_key.id), key: signed },
            signature,
            one_time: one_time.transpose()?,
            kem: kem.transpose()?,
        })
    }

    /// Checks the signatures (X3DH, section 3.3; PQXDH, section 3.3).
    ///
    /// # Errors
    /// [`BundleError::Signature`].
    pub fn verify(self) -> Result<VerifiedBundle, BundleError> {
        // The same key made both signatures.
        let verifier = Verifier::new(self.identity_key.public_key());
        let verifier = verifier.ok_or(BundleError::Signature(PreKeyKind::Signed))?;
        self.check(|message, signature| verifier.verify(message, signature))
    }

    /// Like [`verify`](Self::verify), but faster if the identity key is one of `known`; it is added if its signatures
    /// are valid.
    ///
    /// # Errors
    /// [`BundleError::Signature`].
    pub fn verify_known(self, known: &mut KnownKeys) -> Result<VerifiedBundle, BundleError> {
        let key = *self.identity_key.public_key();
        self.check(|message, signature| known.verify(&key, message, signature))
    }

    fn check(
        self,
        mut is_signed: impl FnMut(&[u8], &Signature) -> bool,
    ) -> Result<VerifiedBundle, BundleError> {
        if !is_signed(self.signed.key.as_bytes(), &self.signature) {
            return Err(BundleError::Signature(PreKeyKind::Signed));
        }
        let kem = match self.kem {
            Some((kem, signature)) if is_signed(kem.key.as_bytes(), &signature) => Some(kem),
            Some(_) => return Err(BundleError::Signature(PreKeyKind::Kem)),
            None => None,
        };
        Ok(VerifiedBundle {
            registration_id: self.registration_id,
            device: self.device,
            identity_key: self.identity_key,
            signed: self.signed,
            one_time: self.one_time,
            kem,
        })
    }
}

impl VerifiedBundle {
    /// The identity that the bundle claims.
    pub fn identity_key(&self) -> &IdentityKey {
        &self.identity_key
    }

    /// The registration id of the device.
    pub fn registration_id(&self) -> u32 {
        self.registration_id
    }

    /// The device.
    pub fn device(&self) -> DeviceId {
        self.device
    }
}

fn parse_key(bytes: &[u8], kind: PreKeyKind) -> Result<PublicKey, BundleError> {
    let key = PublicKey::parse(bytes).map_err(|e| BundleError::PreKey(kind, e))?;
    high_order(&key)?;
    Ok(key)
}

fn high_order(key: &PublicKey) -> Result<(), BundleError> {
    if key.is_low_order() { Err(BundleError::LowOrderPoint) } else { Ok(()) }
}

fn parse_signature(bytes: &[u8], kind: PreKeyKind) -> Result<Signature, BundleError> {
    Signature::parse(bytes).map_err(|e| BundleError::PreKey(kind, e))
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;
    use crate::{IdentityKeyPair, KemPreKey, SignedPreKey};

    /// The byte of a signature that is changed.
    type Wrong = Option<usize>;

    #[test]
    fn a_known_key_does_not_change_whether_a_bundle_is_valid() {
        let rng = &mut StdRng::seed_from_u64(1);
        let [us, other] = [(); 2].map(|()| IdentityKeyPair::generate(rng));
        let signed = SignedPreKey::generate(SignedPreKeyId(1), &us, 0, rng);
        let kem = KemPreKey::generate(KemPreKeyId(1), &us, 0, rng);
        let changed = |signature: &[u8], wrong: Wrong| {
            let mut signature = signature.to_vec();
            if let Some(at) = wrong {
                signature[at] ^= 1;
            }
            signature
        };
        let bundle = |identity: &IdentityKeyPair, of_signed, of_kem| {
            PreKeyBundle::parse(RawPreKeyBundle {
                registration_id: 1,
                device_id: 1,
                identity_key: &identity.public().serialize(),
                signed_pre_key: RawSigned {
                    id: 1,
                    key: &signed.public_key(),
                    signature: &changed(signed.signature(), of_signed),
                },
                one_time_pre_key: None,
                kem_pre_key: Some(RawSigned {
                    id: 1,
                    key: &kem.public_key(),
                    signature: &changed(kem.signature(), of_kem),
                }),
            })
            .unwrap()
        };
        let mut known = KnownKeys::default();
        let mut verdict = |bundle: PreKeyBundle| {
            let verified = bundle.clone().verify_known(&mut known).map(|verified| verified.identity_key);
            assert_eq!(verified, bundle.verify().map(|verified| verified.identity_key));
            (verified, known.len())
        };
        let bad = |kind| Err(BundleError::Signature(kind));
        // An unknown key, a known one, and one with a table of its multiples.
        for round in 0..20 {
            let before = usize::from(round > 0);
            assert_eq!(verdict(bundle(&us, Some(40), None)), (bad(PreKeyKind::Signed), before));
            assert_eq!(verdict(bundle(&other, None, None)), (bad(PreKeyKind::Signed), before));
            assert_eq!(verdict(bundle(&us, None, None)), (Ok(*us.public()), 1));
            assert_eq!(verdict(bundle(&us, None, Some(3))), (bad(PreKeyKind::Kem), 1));
        }
    }
}

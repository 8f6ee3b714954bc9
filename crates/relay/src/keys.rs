//! Checks of uploaded keys that need no cryptography.
//!
//! Signatures are verified by the devices that fetch a bundle; the relay links no protocol code. It checks counts,
//! lengths and type bytes, so that a damaged upload is refused while its owner can still react.

use std::collections::HashSet;

use sealpost_wire::limits::{LOGIN_KEY, MAX_REGISTRATION_ID, MAX_UPLOAD_KEYS};
use sealpost_wire::{KeyCounts, KeyUpload, OneTimeKey, SignedKey};

/// Type byte and u-coordinate of an X25519 public key (PQXDH, section 2.3).
const EC_PUBLIC: (u8, usize) = (0x05, 33);
/// Type byte and public key of Kyber1024, round 3 (PQXDH, section 2.3).
const KEM_PUBLIC: (u8, usize) = (0x08, 1569);
/// An XEdDSA signature.
const SIGNATURE: usize = 64;

/// Too many keys, a repeated id, or a key of the wrong length or type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("keys of the wrong number, length or type")]
pub struct BadKeys;

/// An upload in which all keys have the right length and type, and no id is repeated.
#[derive(Clone)]
pub struct CheckedKeys(KeyUpload);

impl CheckedKeys {
    /// Checks an upload that adds to the keys at the relay.
    ///
    /// # Errors
    /// [`BadKeys`]: more than 100 one-time keys of a kind, a repeated id, or a wrong length or type.
    pub fn parse(upload: KeyUpload) -> Result<Self, BadKeys> {
        let signed_pre_key = upload.signed_pre_key.iter().all(|key| is_signed(key, EC_PUBLIC));
        let last_resort = upload.last_resort_kem.iter().all(|key| is_signed(key, KEM_PUBLIC));
        let one_time = upload.one_time.iter().all(|key| is_public(&key.public_key, EC_PUBLIC));
        let one_time_kem = upload.one_time_kem.iter().all(|key| is_signed(key, KEM_PUBLIC));
        let ids = distinct(upload.one_time.iter().map(|key: &OneTimeKey| key.id))
            && distinct(upload.one_time_kem.iter().map(|key: &SignedKey| key.id));
        let few = upload.one_time.len().max(upload.one_time_kem.len()) <= MAX_UPLOAD_KEYS;
        let good = signed_pre_key && last_resort && one_time && one_time_kem && ids && few;
        good.then_some(Self(upload)).ok_or(BadKeys)
    }

    /// Checks the first upload of a device, which must contain both keys that are never used up.
    ///
    /// # Errors
    /// [`BadKeys`] as for [`Self::parse`], or if the signed pre-key or the last-resort key is missing.
    pub fn parse_first(upload: KeyUpload) -> Result<Self, BadKeys> {
        if upload.signed_pre_key.is_none() || upload.last_resort_kem.is_none() {
            return Err(BadKeys);
        }
        Self::parse(upload)
    }

    /// The keys.
    pub fn get(&self) -> &KeyUpload {
        &self.0
    }
}

impl std::fmt::Debug for CheckedKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CheckedKeys(..)")
    }
}

/// The public key with which a device signs in: Ed25519 (RFC 8032).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginKey(pub [u8; LOGIN_KEY]);

impl LoginKey {
    /// Reads a field that may be empty.
    ///
    /// # Errors
    /// Returns [`BadKeys`] for any other length.
    pub fn from_field(bytes: &[u8]) -> Result<Option<Self>, BadKeys> {
        if bytes.is_empty() {
            return Ok(None);
        }
        bytes.try_into().map(|key| Some(Self(key))).map_err(|_| BadKeys)
    }
}

/// Checks that these bytes have the form of an identity key.
///
/// # Errors
/// [`BadKeys`] if they do not.
pub fn check_identity(registration_id: u32, identity_key: &[u8]) -> Result<(), BadKeys> {
    let good = (1..=MAX_REGISTRATION_ID).contains(&registration_id) && is_public(identity_key, EC_PUBLIC);
    good.then_some(()).ok_or(BadKeys)
}

fn is_public(key: &[u8], (type_byte, len): (u8, usize)) -> bool {
    key.first() == Some(&type_byte) && key.len() == len
}

fn is_signed(key: &SignedKey, form: (u8, usize)) -> bool {
    is_public(&key.public_key, form) && key.signature.len() == SIGNATURE
}

fn distinct(ids: impl Iterator<Item = u32>) -> bool {
    let mut seen = HashSet::new();
    ids.into_iter().all(|id| seen.insert(id))
}

/// A device with fewer one-time keys of a kind than this is told to upload more.
const LOW_COUNT: u32 = 20;

/// Whether a device should upload keys.
pub(crate) fn are_low(counts: KeyCounts) -> bool {
    counts.ec.min(counts.kem) < LOW_COUNT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public((type_byte, len): (u8, usize)) -> bytes::Bytes {
        let mut key = vec![0x11; len];
        key[0] = type_byte;
        key.into()
    }

    fn signed(id: u32, form: (u8, usize)) -> SignedKey {
        SignedKey { id, public_key: public(form), signature: vec![0; SIGNATURE].into() }
    }

    fn full() -> KeyUpload {
        KeyUpload {
            signed_pre_key: Some(signed(1, EC_PUBLIC)),
            last_resort_kem: Some(signed(1, KEM_PUBLIC)),
            one_time: (0..100).map(|id| OneTimeKey { id, public_key: public(EC_PUBLIC) }).collect(),
            one_time_kem: (0..100).map(|id| signed(id, KEM_PUBLIC)).collect(),
            replaces_all: false,
        }
    }

    #[test]
    fn a_complete_first_upload_is_accepted() {
        assert!(CheckedKeys::parse_first(full()).is_ok());
    }

    #[test]
    fn each_single_defect_is_refused() {
        let defects: [fn(&mut KeyUpload); 8] = [
            |keys| keys.signed_pre_key = None,
            |keys| keys.last_resort_kem = None,
            |keys| keys.one_time.push(OneTimeKey { id: 100, public_key: public(EC_PUBLIC) }),
            |keys| keys.one_time_kem.push(signed(100, KEM_PUBLIC)),
            |keys| keys.one_time[1].id = 0,
            |keys| keys.one_time_kem[1].id = 0,
            |keys| keys.one_time[7].public_key = public((0x08, 33)),
            |keys| keys.one_time_kem[7].signature = vec![0; 63].into(),
        ];
        for (number, defect) in defects.into_iter().enumerate() {
            let mut keys = full();
            defect(&mut keys);
            assert!(CheckedKeys::parse_first(keys).is_err(), "defect {number} was accepted");
        }
    }

    #[test]
    fn an_identity_key_has_33_bytes_and_its_type() {
        assert!(check_identity(1, &public(EC_PUBLIC)).is_ok());
        assert!(check_identity(16_381, &public(EC_PUBLIC)).is_err());
        assert!(check_identity(0, &public(EC_PUBLIC)).is_err());
        assert!(check_identity(1, &public((0x05, 32))).is_err());
        assert!(check_identity(1, &[]).is_err());
    }
}

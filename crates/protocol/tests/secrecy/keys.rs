//! The keys of one message, derived a second time from the state that its sender had stored before it.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use prost::Message as _;
use sealpost_protocol::{IdentityKey, SignalMessage, SkippedKeyName};
use sha2::Sha256;

use super::support::records::OurSession;
use super::support::spqr::OurSpqr;

/// The keys that must be gone once the message has been sent, and decrypted.
pub(crate) struct Keys {
    /// The stored keys that the others are derived from: `CK` and, with SPQR, the link of its chain.
    pub(crate) stored: Vec<[u8; 32]>,
    /// `MK`, the key of SPQR, the cipher key and the MAC key.
    pub(crate) derived: Vec<[u8; 32]>,
}

impl Keys {
    /// Checks the keys by computing the MAC of the message with them.
    pub(crate) fn of(message: &SignalMessage, stored: &OurSession, receiver: &IdentityKey) -> Self {
        let sending = stored.sending.as_ref().unwrap();
        assert_eq!(
            (sending.index, &sending.ratchet_key[..]),
            (message.counter(), &message.ratchet_key()[..])
        );
        let chain_key = key(&sending.chain_key);
        let message_key = hmac(&chain_key, &[1]);
        let pq = SkippedKeyName::of(message).nth(1).map(|name| {
            let epoch = u64::from_be_bytes(*name.ratchet_key.last_chunk().unwrap());
            let spqr = OurSpqr::decode(&*stored.spqr).unwrap();
            let link = spqr.sending.into_iter().find(|link| link.epoch == epoch).unwrap();
            assert_eq!(link.index + 1, name.number);
            let info = [&name.number.to_be_bytes(), &b"Signal PQ Ratchet V1 Chain Next"[..]].concat();
            let [_, pq_key]: [[u8; 32]; 2] = hkdf(None, &link.key, &info);
            (key(&link.key), pq_key)
        });
        let salt = pq.as_ref().map(|(_, pq_key)| pq_key.as_slice());
        let [cipher_key, mac_key]: [[u8; 32]; 2] = hkdf(salt, &message_key, b"WhisperMessageKeys");

        let (body, mac) = message.serialize().split_last_chunk::<8>().unwrap();
        let signed = [&stored.local_identity[..], &receiver.serialize(), body].concat();
        assert_eq!(hmac(&mac_key, &signed)[..8], *mac);

        let (link, pq_key) = pq.unzip();
        Self {
            stored: [chain_key].into_iter().chain(link).collect(),
            derived: [message_key, cipher_key, mac_key].into_iter().chain(pq_key).collect(),
        }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &[u8; 32]> {
        self.stored.iter().chain(&self.derived)
    }
}

fn key(bytes: &[u8]) -> [u8; 32] {
    bytes.try_into().unwrap()
}

pub(crate) fn hmac(key: &[u8], input: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(input);
    mac.finalize().into_bytes().into()
}

fn hkdf<const K: usize>(salt: Option<&[u8]>, input: &[u8], info: &[u8]) -> [[u8; 32]; K] {
    let mut keys = [[0; 32]; K];
    Hkdf::<Sha256>::new(salt, input).expand(info, keys.as_flattened_mut()).unwrap();
    keys
}

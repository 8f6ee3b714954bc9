//! HMAC-SHA256, HKDF-SHA256 (RFC 5869) and every label of the protocol.

use std::array;

use sha2::{Digest as _, Sha256, Sha512};
use zeroize::Zeroizing;

use super::hmac::{Expansion, Key};
use super::secret::{Secret, wipe_remains};

/// The session secret of X3DH (session version 3).
pub(crate) const X3DH: &[u8] = b"WhisperText";
/// The session secret of PQXDH (session version 4).
pub(crate) const PQXDH: &[u8] = b"WhisperText_X25519_SHA-256_CRYSTALS-KYBER-1024";
/// `KDF_RK`: a DH ratchet step.
pub(crate) const ROOT: &[u8] = b"WhisperRatchet";
/// The keys of one message, derived from its message key.
pub(crate) const MESSAGE_KEYS: &[u8] = b"WhisperMessageKeys";
/// The keys of one sender-key message.
pub(crate) const SENDER_KEY_MESSAGE: &[u8] = b"WhisperGroup";

/// Sealed sender for one recipient: the beginning of the salt of the outer keys.
pub(crate) const SEALED_ONE: &[u8] = b"UnidentifiedDelivery";
/// Sealed sender for several recipients: the ephemeral key, derived from the seed of the message.
pub(crate) const SEALED_EPHEMERAL: &[u8] = b"Sealed Sender v2: r (2023-08)";
/// Sealed sender for several recipients: the cipher key, derived from the same seed.
pub(crate) const SEALED_CIPHER: &[u8] = b"Sealed Sender v2: K";
/// Sealed sender for several recipients: the mask that hides the seed from everyone but one recipient.
pub(crate) const SEALED_SEED: &[u8] = b"Sealed Sender v2: DH";
/// Sealed sender for several recipients: the tag that proves the sender to one recipient.
pub(crate) const SEALED_SENDER: &[u8] = b"Sealed Sender v2: DH-sender";

/// The epoch secret of SPQR, derived from the shared secret of its KEM. The epoch number follows the label, as in the
/// next three.
pub(crate) const PQ_EPOCH: &[u8] = b"Signal_PQCKA_V1_MLKEM768:SCKA Key";
/// The next authenticator of SPQR.
pub(crate) const PQ_AUTHENTICATOR: &[u8] = b"Signal_PQCKA_V1_MLKEM768:Authenticator Update";
/// The MAC of an SPQR header.
pub(crate) const PQ_HEADER_MAC: &[u8] = b"Signal_PQCKA_V1_MLKEM768:ekheader";
/// The MAC of an SPQR ciphertext.
pub(crate) const PQ_CIPHERTEXT_MAC: &[u8] = b"Signal_PQCKA_V1_MLKEM768:ciphertext";
/// The first chains of SPQR. The double space is intentional.
pub(crate) const PQ_CHAIN_START: &[u8] = b"Signal PQ Ratchet V1 Chain  Start";
/// The chains of SPQR for a new epoch.
pub(crate) const PQ_CHAIN_ADD: &[u8] = b"Signal PQ Ratchet V1 Chain Add Epoch";
/// A step of an SPQR chain. The message number precedes the label.
pub(crate) const PQ_CHAIN_NEXT: &[u8] = b"Signal PQ Ratchet V1 Chain Next";

/// The inputs of `KDF_CK` (Double Ratchet, section 7.2): for the message key, and for the next chain key.
const MESSAGE_KEY_INPUT: [u8; 1] = [1];
const CHAIN_KEY_INPUT: [u8; 1] = [2];

/// HKDF with `N` bytes of output. Without a salt, HKDF uses 32 zero bytes.
pub(crate) fn hkdf<const N: usize>(salt: Option<&Secret<32>>, input: &[&[u8]], label: &[u8]) -> Secret<N> {
    hkdf_about(salt, input, &[label])
}

/// [`hkdf`](fn@hkdf) with an info string that consists of several parts.
pub(crate) fn hkdf_about<const N: usize>(
    salt: Option<&Secret<32>>,
    input: &[&[u8]],
    info: &[&[u8]],
) -> Secret<N> {
    let mut expansion = Expansion::new(salt.map(|salt| salt.expose().as_slice()), input);
    let secret = Secret::fill(|out| out.chunks_mut(32).for_each(|out| expansion.next(info, out)));
    drop(expansion);
    wipe_remains();
    secret
}

/// HKDF whose output is split into `K` keys of 32 bytes.
pub(crate) fn hkdf_keys<const K: usize>(
    salt: Option<&[u8; 32]>,
    input: &[&[u8]],
    label: &[u8],
) -> [Secret<32>; K] {
    hkdf_keys_about(salt, input, &[label])
}

/// [`hkdf_keys`] with an info string that consists of several parts.
pub(crate) fn hkdf_keys_about<const K: usize>(
    salt: Option<&[u8; 32]>,
    input: &[&[u8]],
    info: &[&[u8]],
) -> [Secret<32>; K] {
    expand_keys(salt.map(<[u8; 32]>::as_slice), input, info)
}

/// HKDF of `key` without a salt: replaces the key with the first 32 bytes of the output, and returns the next 32.
pub(crate) fn hkdf_step(key: &mut [u8; 32], info: &[&[u8]]) -> Secret<32> {
    let mut expansion = Expansion::new(None, &[key]);
    expansion.next(info, key);
    let next = Secret::fill(|next| expansion.next(info, next));
    drop(expansion);
    wipe_remains();
    next
}

/// [`hkdf_step`] without the returned bytes.
pub(crate) fn hkdf_skip(key: &mut [u8; 32], info: &[&[u8]]) {
    let mut expansion = Expansion::new(None, &[key]);
    expansion.next(info, key);
    drop(expansion);
    wipe_remains();
}

/// HKDF without a label and with a salt that consists of several parts. The output is split into `K` keys of 32
/// bytes.
pub(crate) fn hkdf_keys_salted<const K: usize>(salt: &[&[u8]], input: &Secret<32>) -> [Secret<32>; K] {
    let salt = Zeroizing::new(salt.concat());
    expand_keys(Some(&salt), &[input.expose()], &[])
}

/// `KDF_CK`: replaces `chain_key` with the next chain key, and returns the message key of this step.
pub(crate) fn chain_step(chain_key: &mut [u8; 32]) -> Secret<32> {
    let key = Key::new(chain_key);
    let message_key = Secret::fill(|message_key| {
        key.mac_two([&CHAIN_KEY_INPUT, &MESSAGE_KEY_INPUT], [chain_key, message_key]);
    });
    drop(key);
    wipe_remains();
    message_key
}

/// `KDF_CK` without the message key, for skipping many steps.
pub(crate) fn chain_skip(chain_key: &mut [u8; 32]) {
    let key = Key::new(chain_key);
    key.mac(&[&CHAIN_KEY_INPUT], chain_key);
    drop(key);
    wipe_remains();
}

/// HMAC of the concatenated `parts`.
pub(crate) fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = [0; 32];
    Key::new(key).mac(parts, &mut mac);
    mac
}

/// SHA-256 of public data.
pub(crate) fn sha256(data: &[u8]) -> [u8; 32] {
    Sha256::digest(data).into()
}

/// SHA-512 of the concatenated `parts`.
pub(crate) fn sha512(parts: &[&[u8]]) -> [u8; 64] {
    let mut hash = Sha512::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// `h = SHA-512(h || suffix)`, repeated `rounds` times. Nothing here is secret, so one state is reused for all rounds
/// and is not wiped between them.
pub(crate) fn sha512_repeated(mut hash: [u8; 64], suffix: &[u8], rounds: u32) -> [u8; 64] {
    let mut state = Sha512::new();
    for _ in 0..rounds {
        state.update(hash);
        state.update(suffix);
        hash = state.finalize_reset().into();
    }
    hash
}

fn expand_keys<const K: usize>(salt: Option<&[u8]>, input: &[&[u8]], info: &[&[u8]]) -> [Secret<32>; K] {
    let mut expansion = Expansion::new(salt, input);
    let keys = array::from_fn(|_| Secret::fill(|out| expansion.next(info, out)));
    drop(expansion);
    wipe_remains();
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{self, bytes};

    #[test]
    fn hkdf_agrees_with_rfc_5869() {
        // RFC 5869, appendix A.3: no salt, no info.
        let out: Secret<42> = hkdf(None, &[&[0x0b; 11], &[0x0b; 11]], b"");
        assert_eq!(
            hex::encode(out.expose()),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
        );
    }

    #[test]
    fn hmac_agrees_with_rfc_4231() {
        // Test case 3. Its key of 20 bytes is padded with zeros to our length of 32.
        let mut key = [0; 32];
        key[..20].fill(0xaa);
        let mac = hmac(&key, &[&[0xdd; 25], &[0xdd; 25]]);
        assert_eq!(hex::encode(mac), "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    }

    /// Half of the cases truncate the MAC to 16 bytes, as some of our callers truncate it to 8 and 10.
    #[test]
    fn macs_match_wycheproof() {
        let (mut valid, mut invalid, mut long_keys) = (0, 0, 0);
        for case in vectors::load_wycheproof("hmac_sha256") {
            let [mut key, message, tag] = ["key", "msg", "tag"].map(|name| bytes(&case[name]));
            if key.len() > 32 {
                long_keys += 1;
                continue;
            }
            // HMAC pads a shorter key with zeros.
            key.resize(32, 0);
            let mac = hmac(&key.try_into().unwrap(), &[&message]);
            assert_eq!(mac[..tag.len()] == tag, case["result"] == "valid", "case {}", case["tcId"]);
            if case["result"] == "valid" { valid += 1 } else { invalid += 1 }
        }
        assert_eq!((valid, invalid, long_keys), (60, 108, 6));
    }

    #[test]
    fn derived_keys_match_wycheproof() {
        let (mut valid, mut too_long) = (0, 0);
        for case in vectors::load_wycheproof("hkdf_sha256") {
            let [input, salt, info, expected] = ["ikm", "salt", "info", "okm"].map(|name| bytes(&case[name]));
            if vectors::is_flagged(&case, "SizeTooLarge") {
                too_long += 1;
                continue;
            }
            let (first, second) = input.split_at(input.len() / 2);
            let mut out = vec![0; expected.len()];
            let mut expansion = Expansion::new((!salt.is_empty()).then_some(&salt), &[first, second]);
            out.chunks_mut(32).for_each(|out| expansion.next(&[&info], out));
            assert_eq!(out, expected, "case {}", case["tcId"]);
            valid += 1;
        }
        assert_eq!((valid, too_long), (83, 3));
    }

    #[test]
    fn a_skip_is_a_step_without_its_message_key() {
        let (mut stepped, mut skipped) = ([9; 32], [9; 32]);
        let message_key = chain_step(&mut stepped);
        chain_skip(&mut skipped);
        assert_eq!(stepped, skipped);
        assert_ne!(*message_key.expose(), stepped);
    }
}

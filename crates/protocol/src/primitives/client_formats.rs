//! Two formats of clients that consist of these primitives. We do not implement the formats, but their vectors are
//! good tests of the primitives in combination.

use super::cbc::IvAndKey;
use super::kdf;
use super::secret::Secret;
use super::x25519::KeyPair;
use crate::vectors::{self, bytes, secret};

/// A MAC of everything up to the end of each chunk, and of everything.
#[test]
fn the_macs_of_an_attachment_agree_with_the_vector() {
    let case = &vectors::load("misc-kats")["incremental_mac"];
    let (key, text) = (secret::<32>(&case["key"]), case["input_utf8"].as_str().unwrap().as_bytes());
    let chunk = usize::try_from(case["chunk"].as_u64().unwrap()).unwrap();
    let ends = (1..=text.len() / chunk).map(|count| count * chunk).chain([text.len()]);
    let macs: Vec<_> =
        ends.map(|end| kdf::hmac(key.expose(), &[&text[..chunk], &text[chunk..end]])).collect();
    assert_eq!(macs.as_flattened(), bytes(&case["digests"]));
}

/// What a phone sends to a computer that is to be linked: agreement, HKDF, AES-CBC and HMAC.
#[test]
fn the_encryption_for_device_linking_agrees_with_the_vector() {
    let case = &vectors::load("misc-kats")["provisioning_selfmade"];
    let phone = KeyPair::from_private(&secret(&case["primary_ephemeral_private"]));
    let computer = KeyPair::from_private(&secret(&case["secondary_private"]));
    let envelope = bytes(&case["envelope"]);
    let (head, body) = envelope.split_at(2 + 33 + 2);
    assert_eq!(head, [&[0x0a, 33], phone.public().as_bytes().as_slice(), &[0x12, 0x71]].concat());

    let shared = computer.agree(phone.public()).unwrap();
    let label = b"TextSecure Provisioning Message";
    let [cipher_key, mac_key]: [Secret<32>; 2] = kdf::hkdf_keys(None, &[shared.expose()], label);
    assert_eq!(cipher_key.expose(), bytes(&case["aes_key"]).as_slice());
    assert_eq!(mac_key.expose(), bytes(&case["mac_key"]).as_slice());

    let (sealed, mac) = body.split_last_chunk::<32>().unwrap();
    assert_eq!(kdf::hmac(mac_key.expose(), &[sealed]), *mac);
    let (iv, ciphertext) = sealed[1..].split_at(16);
    let keys = IvAndKey::new(Secret::from_slice(&[iv, cipher_key.expose()].concat()).unwrap());
    assert_eq!(*keys.decrypt(ciphertext).unwrap(), bytes(&case["provision_message"]));
}

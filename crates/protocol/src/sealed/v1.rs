//! Version 1: for one recipient.
//!
//! ```text
//!   chain, k, m = HKDF(salt = label || R || E, DH(e, R))        R: identity of the recipient, E: an ephemeral key
//!   static      = AES-CTR(k, S) || HMAC(m)                      S: identity of the sender
//!   _, k', m'   = HKDF(salt = chain || static, DH(s, R))
//!   message     = AES-CTR(k', content) || HMAC(m')
//! ```
//!
//! The second agreement proves that the owner of `S` sealed the envelope.

use bytes::Bytes;
use prost::Message as _;
use rand_core::CryptoRng;

use super::content::UnidentifiedContent;
use super::error::{OpenError, SealError};
use super::remembered::Remembered;
use crate::error::{DecodeError, LowOrderPoint};
use crate::identity::{IdentityKey, IdentityKeyPair};
use crate::primitives::kdf;
use crate::primitives::secret::Secret;
use crate::primitives::stream::StreamKeys;
use crate::primitives::x25519::{KeyPair, PublicKey};

/// First byte of an envelope: this version, and the newest version of it that the sender knows.
const VERSION_BYTE: u8 = 0x11;

/// Seals `content` for one device of the owner of `recipient`. `sender` is the identity that the certificate belongs
/// to.
///
/// # Errors
/// [`SealError::WrongCertificate`], [`SealError::BadIdentityKey`].
pub fn seal_v1<R: CryptoRng + ?Sized>(
    content: &UnidentifiedContent,
    sender: &IdentityKeyPair,
    recipient: &IdentityKey,
    remembered: &mut Remembered,
    rng: &mut R,
) -> Result<Vec<u8>, SealError> {
    if content.certificate.identity_key() != sender.public() {
        return Err(SealError::WrongCertificate);
    }
    let ephemeral = KeyPair::generate(rng);
    let shared = ephemeral.agree(recipient.public_key())?;
    let (chain, keys) = outer_keys(recipient, ephemeral.public(), &shared);
    let static_key = keys.seal(sender.public().as_bytes());
    let keys = inner_keys(&chain, &static_key, &remembered.agree(sender, recipient)?);
    let form = Form {
        ephemeral: Some(Bytes::copy_from_slice(ephemeral.public().as_bytes())),
        message: Some(keys.seal(content.serialize()).into()),
        static_key: Some(static_key.into()),
    };
    Ok([&[VERSION_BYTE], form.encode_to_vec().as_slice()].concat())
}

/// Opens the part after the version byte.
pub(super) fn open(
    body: &[u8],
    ours: &IdentityKeyPair,
    remembered: &mut Remembered,
) -> Result<UnidentifiedContent, OpenError> {
    let form = Form::decode(body).map_err(|_| DecodeError::Malformed)?;
    let ephemeral = PublicKey::parse(&form.ephemeral.ok_or(DecodeError::MissingField)?)?;
    let static_key = form.static_key.ok_or(DecodeError::MissingField)?;
    let message = form.message.ok_or(DecodeError::MissingField)?;

    let impossible = |LowOrderPoint| OpenError::NotDecryptable;
    let shared = ours.key_pair().agree(&ephemeral).map_err(impossible)?;
    let (chain, keys) = outer_keys(ours.public(), &ephemeral, &shared);
    let sender = IdentityKey::parse(&keys.open(&static_key)?).map_err(OpenError::Content)?;
    let keys = inner_keys(&chain, &static_key, &remembered.agree(ours, &sender).map_err(impossible)?);
    let content = Bytes::copy_from_slice(&keys.open(&message)?);
    let content = UnidentifiedContent::parse_shared(content).map_err(OpenError::Content)?;
    if *content.certificate.identity_key() != sender {
        return Err(OpenError::WrongSender);
    }
    Ok(content)
}

fn outer_keys(
    recipient: &IdentityKey,
    ephemeral: &PublicKey,
    shared: &Secret<32>,
) -> (Secret<32>, StreamKeys) {
    let salt = [kdf::SEALED_ONE, recipient.as_bytes(), ephemeral.as_bytes()];
    let [chain, cipher, mac] = kdf::hkdf_keys_salted(&salt, shared);
    (chain, StreamKeys { cipher, mac })
}

fn inner_keys(chain: &Secret<32>, static_key: &[u8], shared: &Secret<32>) -> StreamKeys {
    let [_, cipher, mac] = kdf::hkdf_keys_salted(&[chain.expose(), static_key], shared);
    StreamKeys { cipher, mac }
}

#[derive(Clone, PartialEq, prost::Message)]
struct Form {
    #[prost(bytes = "bytes", optional, tag = "1")]
    ephemeral: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    static_key: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "3")]
    message: Option<Bytes>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{self, bytes, secret};

    #[test]
    fn every_key_agrees_with_the_vector() {
        let file = vectors::load("sealed-sender");
        let case = &file["v1"];
        let recipient = KeyPair::from_private(&secret(&file["recipient_identity_private"]));
        let identity = IdentityKey::parse(recipient.public().as_bytes()).unwrap();
        let ephemeral = PublicKey::parse(&bytes(&case["ephemeral_public"])).unwrap();
        let salt = [kdf::SEALED_ONE, recipient.public().as_bytes(), ephemeral.as_bytes()].concat();
        assert_eq!(salt, bytes(&case["salt"]));
        let shared = recipient.agree(&ephemeral).unwrap();
        let (chain, keys) = outer_keys(&identity, &ephemeral, &shared);
        let exposed = [chain.expose(), keys.cipher.expose(), keys.mac.expose()].map(hex::encode);
        assert_eq!(exposed, ["e_chain", "e_cipher", "e_mac"].map(|name| case[name].as_str().unwrap()));

        let form = Form::decode(&bytes(&case["message"])[1..]).unwrap();
        let static_key = form.static_key.unwrap();
        let sender = KeyPair::from_private(&secret(&file["sender_identity_private"]));
        for (pair, public) in [(&recipient, "recipient_identity_public"), (&sender, "sender_identity_public")]
        {
            assert_eq!(pair.public().as_bytes(), bytes(&file[public]).as_slice());
        }
        assert_eq!(keys.seal(sender.public().as_bytes()), static_key, "nothing in it is random");
        let keys = inner_keys(&chain, &static_key, &sender.agree(recipient.public()).unwrap());
        let exposed = [keys.cipher.expose(), keys.mac.expose()].map(hex::encode);
        assert_eq!(exposed, ["s_cipher", "s_mac"].map(|name| case[name].as_str().unwrap()));
        assert_eq!(keys.seal(&bytes(&case["usmc"])), form.message.unwrap());
    }
}

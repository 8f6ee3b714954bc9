//! The handshake: PQXDH (revision 3, sections 3.3 and 3.4), and X3DH (revision 1) for peers that do not support
//! PQXDH.
//! ```text
//! DH1 = DH(IKA, SPKB)    DH2 = DH(EKA, IKB)    DH3 = DH(EKA, SPKB)    DH4 = DH(EKA, OPKB)
//! (CT, SS) = KEM-ENC(PQPKB)
//!
//! PQXDH:  RK || CK || pq = HKDF(F || DH1 || DH2 || DH3 [|| DH4] || SS)        version 4
//! X3DH:   RK || CK       = HKDF(F || DH1 || DH2 || DH3 [|| DH4])              version 3
//! ```
//!
//! `F` is 32 bytes of `0xFF`, there is no salt, and the part in `[..]` is omitted without a one-time pre-key. `A` is
//! the initiator, `B` the responder. Both versions use `AD = IKA || IKB`, which each message authenticates in its own
//! direction.

use crate::error::LowOrderPoint;
use crate::identity::{IdentityKey, IdentityKeyPair};
use crate::prekey::{OurPreKeys, VerifiedBundle};
use crate::primitives::kdf;
use crate::primitives::secret::Secret;
use crate::primitives::x25519::{KeyPair, PublicKey};
use crate::ratchet::chain_key::ChainKey;
use crate::ratchet::root_key::RootKey;

/// `F`. No X25519 public key begins with these bytes; see XEdDSA, section 2.5, on domain separation.
const DISCONTINUITY: [u8; 32] = [0xff; 32];

/// `SK`, split into the initial keys of the ratchets.
#[derive(Debug)]
pub(crate) struct SessionSecret {
    pub(crate) root_key: RootKey,
    pub(crate) chain_key: ChainKey,
    /// The initial key of SPQR. Version 4 only.
    pub(crate) pq_key: Option<Secret<32>>,
}

/// The initiator's side. `kem_secret` is the secret that was encapsulated to the bundle's KEM pre-key; `None` selects
/// X3DH.
pub(crate) fn initiate(
    ours: &IdentityKeyPair,
    ephemeral: &KeyPair,
    bundle: &VerifiedBundle,
    kem_secret: Option<&Secret<32>>,
) -> Result<SessionSecret, LowOrderPoint> {
    let dh1 = ours.key_pair().agree(&bundle.signed.key)?;
    let dh2 = ephemeral.agree(bundle.identity_key.public_key())?;
    let dh3 = ephemeral.agree(&bundle.signed.key)?;
    let dh4 = bundle.one_time.map(|one_time| ephemeral.agree(&one_time.key)).transpose()?;
    Ok(derive([&dh1, &dh2, &dh3], dh4.as_ref(), kem_secret))
}

/// The responder's side. `kem_secret` is the secret that was decapsulated from the message; `None` selects X3DH.
pub(crate) fn accept(
    ours: &IdentityKeyPair,
    keys: &OurPreKeys<'_>,
    theirs: &IdentityKey,
    ephemeral: &PublicKey,
    kem_secret: Option<&Secret<32>>,
) -> Result<SessionSecret, LowOrderPoint> {
    let signed = keys.signed.key_pair();
    let dh1 = signed.agree(theirs.public_key())?;
    let dh2 = ours.key_pair().agree(ephemeral)?;
    let dh3 = signed.agree(ephemeral)?;
    let dh4 = keys.one_time.map(|one_time| one_time.key_pair().agree(ephemeral)).transpose()?;
    Ok(derive([&dh1, &dh2, &dh3], dh4.as_ref(), kem_secret))
}

fn derive(
    [dh1, dh2, dh3]: [&Secret<32>; 3],
    dh4: Option<&Secret<32>>,
    kem_secret: Option<&Secret<32>>,
) -> SessionSecret {
    let input = [
        &DISCONTINUITY,
        dh1.expose().as_slice(),
        dh2.expose().as_slice(),
        dh3.expose().as_slice(),
        or_nothing(dh4),
        or_nothing(kem_secret),
    ];
    let (root_key, chain_key, pq_key) = if kem_secret.is_some() {
        let [root_key, chain_key, pq_key] = kdf::hkdf_keys(None, &input, kdf::PQXDH);
        (root_key, chain_key, Some(pq_key))
    } else {
        let [root_key, chain_key] = kdf::hkdf_keys(None, &input, kdf::X3DH);
        (root_key, chain_key, None)
    };
    SessionSecret { root_key: RootKey::new(root_key), chain_key: ChainKey::new(chain_key), pq_key }
}

fn or_nothing(secret: Option<&Secret<32>>) -> &[u8] {
    secret.map_or(&[], |secret| secret.expose())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::message::PreKeySignalMessage;
    use crate::prekey::{KemPreKey, OneTimePreKey, PreKeyBundle, RawPreKeyBundle, RawSigned, SignedPreKey};
    use crate::ratchet::message_key::MessageKey;
    use crate::ratchet::pq::chain::Direction;
    use crate::ratchet::pq::{Negotiation, Spqr};
    use crate::ratchet::terms::Terms;
    use crate::ratchet::walk::{Jump, Limits, Work};
    use crate::session_id::SessionVersion;
    use crate::time::UnixSeconds;
    use crate::vectors::{self, bytes, secret};

    const SESSIONS: [&str; 5] = [
        "session-v4-spqr",
        "session-v4-spqr-old-initiator",
        "session-v4-nospqr",
        "session-v3-x3dh",
        "session-v3-x3dh-0x33",
    ];

    fn identity(public: &Value, private: &Value) -> IdentityKeyPair {
        let (public, private) = (bytes(public), bytes(private));
        let stored = [&[0x0a, 33], &public[..], &[0x12, 32], &private[..]].concat();
        IdentityKeyPair::from_bytes(&stored).unwrap()
    }

    /// Checks the responder against a session vector: every agreement, what is derived from them, and the keys of the
    /// first message.
    #[test]
    fn the_responder_agrees_with_the_vectors() {
        for name in SESSIONS {
            let file = vectors::load(name);
            let (bob, bundle, expected) =
                (&file["bob"], &file["bob"]["bundle"], &file["handshake_recomputed"]);
            let private = &bob["prekey_private"];
            let ours = identity(&bob["identity_public"], &bob["identity_private"]);
            let stored =
                vectors::pre_key(&bundle["spkId"], &bundle["spk"], &private["spk"], &bundle["spkSig"]);
            let signed = SignedPreKey::from_bytes(&stored).unwrap();
            let stored = vectors::pre_key(&bundle["pkId"], &bundle["pk"], &private["pk"], &Value::Null);
            let one_time = OneTimePreKey::from_bytes(&stored).unwrap();
            let message = PreKeySignalMessage::parse(&bytes(&file["steps"][0]["message"])).unwrap();
            let (theirs, ephemeral) = (message.identity_key(), message.base_key());

            let kem_secret = (message.version() == SessionVersion::V4).then(|| {
                let stored = vectors::pre_key(&bundle["kId"], &bundle["k"], &private["k"], &bundle["kSig"]);
                let kem = KemPreKey::from_bytes(&stored).unwrap();
                kem.key_pair().decapsulate(&message.handshake().kem.as_ref().unwrap().ciphertext).unwrap()
            });
            let secrets = [
                ("dh1", signed.key_pair().agree(theirs.public_key()).unwrap()),
                ("dh2", ours.key_pair().agree(ephemeral).unwrap()),
                ("dh3", signed.key_pair().agree(ephemeral).unwrap()),
                ("dh4", one_time.key_pair().agree(ephemeral).unwrap()),
            ];
            for (name, secret) in &secrets {
                assert_eq!(secret.expose(), bytes(&expected[*name]).as_slice(), "{name}");
            }
            if let Some(kem_secret) = &kem_secret {
                assert_eq!(kem_secret.expose(), bytes(&expected["kem_shared_secret"]).as_slice());
            }

            let keys = OurPreKeys { signed: &signed, one_time: Some(&one_time), kem: None };
            let sk = accept(&ours, &keys, theirs, ephemeral, kem_secret.as_ref()).unwrap();
            assert_eq!(sk.root_key.expose(), bytes(&expected["root_key"]).as_slice());
            assert_eq!(sk.chain_key.expose(), bytes(&expected["chain_key"]).as_slice());
            let pq_key = sk.pq_key.as_ref().map(|key| hex::encode(key.expose()));
            assert_eq!(pq_key.as_deref(), expected["pqr_key"].as_str());

            let ratchet_key = PublicKey::parse(message.signal_message().ratchet_key()).unwrap();
            let (root_key, mut chain_key) =
                RootKey::step(sk.root_key.expose(), signed.key_pair(), &ratchet_key).unwrap();
            assert_eq!(root_key.expose(), bytes(&expected["alice_sending_root"]).as_slice());
            assert_eq!(chain_key.expose(), bytes(&expected["alice_sending_chain"]).as_slice());
            let message_key = chain_key.place().step::<ChainKey>().unwrap();
            let seed = message_key.into_seed();
            assert_eq!(seed.expose(), bytes(&expected["message_seed_0"]).as_slice());

            // SPQR contributes to the keys from the first message on if both sides support it and know that the other
            // does.
            let spqr_key = expected.get("spqr_message_key_0").map(|spqr_key| {
                let session = message.session_id();
                let spqr = Spqr::new(Direction::Responder, Negotiation::Required, &sk.pq_key.unwrap());
                let pq_ratchet = message.signal_message().pq_ratchet();
                let (limits, now) = (Limits::new(Jump::Limited), UnixSeconds(0));
                let terms = Terms { session, limits, skipped: &[], now, must_be_keyed: true };
                let work = &mut Work::new(Jump::Limited);
                let key = spqr.receive(pq_ratchet, &terms, work).unwrap().key.unwrap();
                assert_eq!(key.expose(), bytes(spqr_key).as_slice());
                key
            });
            let keys = MessageKey::new(seed).into_cipher_keys(spqr_key.as_ref());
            let expected = ["cipher_key_0", "mac_key_0", "iv_0"].map(|name| bytes(&expected[name]));
            assert_eq!(keys.expose(), expected.concat().as_slice());
        }
    }

    /// Agreements of the initiator's identity key and ephemeral key with the bundle give the values that the
    /// responder computes.
    #[test]
    fn the_initiator_agrees_with_the_vector() {
        let case = &vectors::load("misc-kats")["x3dh_v3_alice"];
        let alice = KeyPair::from_private(&secret(&case["alice_identity_private"]));
        let public = Value::from(hex::encode(alice.public().as_bytes()));
        let alice = identity(&public, &case["alice_identity_private"]);
        let ephemeral = KeyPair::from_private(&secret(&case["alice_base_private"]));
        let bundle = VerifiedBundle {
            registration_id: 0,
            device: crate::DeviceId::new(1).unwrap(),
            identity_key: IdentityKey::parse(&bytes(&case["bob_identity_public"])).unwrap(),
            signed: crate::prekey::TheirPreKey {
                id: crate::SignedPreKeyId(1),
                key: PublicKey::parse(&bytes(&case["bob_signed_prekey_public"])).unwrap(),
            },
            one_time: None,
            kem: None,
        };
        let sk = initiate(&alice, &ephemeral, &bundle, None).unwrap();
        assert_eq!(sk.chain_key.expose(), bytes(&case["expected_chain_key"]).as_slice());
        assert!(sk.pq_key.is_none());
    }

    #[test]
    fn the_responder_without_a_one_time_key_agrees_with_the_vector() {
        let case = &vectors::load("misc-kats")["x3dh_v3_bob"];
        let public = |private: &Value| {
            Value::from(hex::encode(KeyPair::from_private(&secret(private)).public().as_bytes()))
        };
        let private = &case["bob_identity_private"];
        let bob = identity(&public(private), private);
        let private = &case["bob_signed_prekey_private"];
        let signature = Value::from("00".repeat(64));
        let stored = vectors::pre_key(&json!(1), &public(private), private, &signature);
        let signed = SignedPreKey::from_bytes(&stored).unwrap();
        let keys = OurPreKeys { signed: &signed, one_time: None, kem: None };
        let alice = IdentityKey::parse(&bytes(&case["alice_identity_public"])).unwrap();
        let ephemeral = PublicKey::parse(&bytes(&case["alice_base_public"])).unwrap();
        let sk = accept(&bob, &keys, &alice, &ephemeral, None).unwrap();
        assert_eq!(sk.chain_key.expose(), bytes(&case["expected_chain_key"]).as_slice());
        assert_eq!(sk.root_key.expose(), bytes(&case["expected_root_key_recomputed"]).as_slice());
    }

    /// Generated bundles carry signatures that verify, and both sides of a handshake derive the same secret from the
    /// initiator's secrets.
    #[test]
    fn both_sides_derive_the_same_secret() {
        for name in SESSIONS {
            let file = vectors::load(name);
            let bundle = &file["bob"]["bundle"];
            let [identity_key, spk, spk_sig, pk] =
                ["identity", "spk", "spkSig", "pk"].map(|name| bytes(&bundle[name]));
            let id = |name: &str| u32::try_from(bundle[name].as_u64().unwrap()).unwrap();
            let kem = bundle.get("k").map(|k| (bytes(k), bytes(&bundle["kSig"])));
            let raw = RawPreKeyBundle {
                registration_id: id("reg"),
                device_id: id("dev"),
                identity_key: &identity_key,
                signed_pre_key: RawSigned { id: id("spkId"), key: &spk, signature: &spk_sig },
                one_time_pre_key: Some((id("pkId"), &pk)),
                kem_pre_key: kem.as_ref().map(|(key, signature)| RawSigned { id: id("kId"), key, signature }),
            };
            let bundle = PreKeyBundle::parse(raw).unwrap().verify().unwrap();

            let private = &file["bob"]["prekey_private"];
            let stored = vectors::pre_key(
                &json!(22),
                &file["bob"]["bundle"]["spk"],
                &private["spk"],
                &json!("00".repeat(64)),
            );
            let signed = SignedPreKey::from_bytes(&stored).unwrap();
            let stored =
                vectors::pre_key(&json!(1), &file["bob"]["bundle"]["pk"], &private["pk"], &Value::Null);
            let one_time = OneTimePreKey::from_bytes(&stored).unwrap();
            let [alice, bob] = ["alice", "bob"]
                .map(|who| identity(&file[who]["identity_public"], &file[who]["identity_private"]));
            let ephemeral = KeyPair::from_private(&Secret::new([0x55; 32]));
            let kem_secret = bundle.kem.is_some().then(|| Secret::new([0x66; 32]));
            let keys = OurPreKeys { signed: &signed, one_time: Some(&one_time), kem: None };
            let a = initiate(&alice, &ephemeral, &bundle, kem_secret.as_ref()).unwrap();
            let b = accept(&bob, &keys, alice.public(), ephemeral.public(), kem_secret.as_ref()).unwrap();
            assert_eq!(a.root_key.expose(), b.root_key.expose());
            assert_eq!(a.chain_key.expose(), b.chain_key.expose());
        }
    }
}

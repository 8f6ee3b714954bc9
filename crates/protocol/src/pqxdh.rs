//! The handshake: PQXDH (revision 3, section 3.3 and 3.4), and X3DH (revision 1) for peers from before it.
//!
//! ```text
//! DH1 = DH(IKA, SPKB)    DH2 = DH(EKA, IKB)    DH3 = DH(EKA, SPKB)    DH4 = DH(EKA, OPKB)
//! (CT, SS) = KEM-ENC(PQPKB)
//!
//! PQXDH:  RK || CK || pq = HKDF(F || DH1 || DH2 || DH3 [|| DH4] || SS)        version 4
//! X3DH:   RK || CK       = HKDF(F || DH1 || DH2 || DH3 [|| DH4])              version 3
//! ```
//!
//! `F` is 32 bytes of `0xFF`, the salt is none, `[..]` is left out without a one-time pre-key. `A` is the initiator, `B`
//! the responder. Both versions authenticate with `AD = IKA || IKB`, which each message binds in its own direction.

use crate::error::LowOrderPoint;
use crate::identity::{IdentityKey, IdentityKeyPair};
use crate::prekey::{OurPreKeys, VerifiedBundle};
use crate::primitives::kdf;
use crate::primitives::secret::Secret;
use crate::primitives::x25519::{KeyPair, PublicKey};
use crate::ratchet::chain_key::ChainKey;
use crate::ratchet::root_key::RootKey;

/// `F`, which no X25519 public key begins with: see XEdDSA, section 2.5, on telling inputs apart.
const DISCONTINUITY: [u8; 32] = [0xff; 32];

/// `SK`, cut into what the ratchets start from.
#[derive(Debug)]
pub(crate) struct SessionSecret {
    pub(crate) root_key: RootKey,
    pub(crate) chain_key: ChainKey,
    /// What a post-quantum ratchet of this session authenticates with. Version 4 only.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "seeds the post-quantum ratchet, which sessions lack so far")
    )]
    pub(crate) pq_key: Option<Secret<32>>,
}

/// The initiator's side. `kem_secret` is what was encapsulated to the bundle's KEM pre-key; none makes it X3DH.
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

/// The responder's side. `kem_secret` is what was decapsulated from the message; none makes it X3DH.
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

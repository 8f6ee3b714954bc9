//! HPKE (RFC 9180), base and PSK mode, in one suite: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256 as Kem;
use hpke::{
    Deserializable as _, Kem as KemTrait, OpModeR, OpModeS, PskBundle, Serializable as _, single_shot_open,
    single_shot_seal_with_rng,
};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::x25519::{KeyPair, PublicKey};
use crate::error::{LowOrderPoint, NotAuthentic};

/// Length of the encapsulated key, which has no type byte.
pub(crate) const ENCAPSULATED_LEN: usize = 32;

/// A key that both sides know, and its name.
pub(crate) struct Psk<'a> {
    pub(crate) key: &'a [u8; 32],
    pub(crate) id: &'a [u8],
}

impl<'a> Psk<'a> {
    /// `None` without a name.
    fn bundle(&self) -> Option<PskBundle<'a>> {
        PskBundle::new(self.key, self.id).ok()
    }
}

/// The encapsulated key, and `ciphertext || tag`.
pub(crate) fn seal<R: CryptoRng + ?Sized>(
    recipient: &PublicKey,
    psk: Option<Psk<'_>>,
    (info, associated): (&[u8], &[u8]),
    plaintext: &[u8],
    mut rng: &mut R,
) -> Result<([u8; ENCAPSULATED_LEN], Vec<u8>), LowOrderPoint> {
    let recipient = <Kem as KemTrait>::PublicKey::from_bytes(recipient.point().as_bytes());
    let recipient = recipient.map_err(|_| LowOrderPoint)?;
    let mode = match &psk {
        None => OpModeS::Base,
        Some(psk) => OpModeS::Psk(psk.bundle().ok_or(LowOrderPoint)?),
    };
    let (encapsulated, ciphertext) = single_shot_seal_with_rng::<AesGcm256, HkdfSha256, Kem>(
        &mode, &recipient, info, plaintext, associated, &mut rng,
    )
    .map_err(|_| LowOrderPoint)?;
    Ok((encapsulated.to_bytes().into(), ciphertext))
}

/// Returns the plaintext, if everything is as it was sealed.
pub(crate) fn open(
    ours: &KeyPair,
    psk: Option<Psk<'_>>,
    (info, associated): (&[u8], &[u8]),
    encapsulated: &[u8; ENCAPSULATED_LEN],
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, NotAuthentic> {
    let ours = <Kem as KemTrait>::PrivateKey::from_bytes(ours.private().expose());
    let encapsulated = <Kem as KemTrait>::EncappedKey::from_bytes(encapsulated);
    let (ours, encapsulated) = (ours.map_err(|_| NotAuthentic)?, encapsulated.map_err(|_| NotAuthentic)?);
    let mode = match &psk {
        None => OpModeR::Base,
        Some(psk) => OpModeR::Psk(psk.bundle().ok_or(NotAuthentic)?),
    };
    single_shot_open::<AesGcm256, HkdfSha256, Kem>(&mode, &ours, &encapsulated, info, ciphertext, associated)
        .map(Zeroizing::new)
        .map_err(|_| NotAuthentic)
}

//! The primitives, called as directly as their libraries allow, and for each operation the sum of those that it requires.

use std::hint::black_box;

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use aes_gcm_siv::aead::Aead as _;
use aws_lc_rs::agreement;
use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::VartimeEdwardsPrecomputation;
use curve25519_dalek::traits::VartimePrecomputedMultiscalarMul as _;
use curve25519_dalek::{EdwardsPoint, MontgomeryPoint, Scalar};
use hmac::{Hmac, KeyInit as _, Mac as _};
use libcrux_ml_kem::kyber1024;
use sha2::{Digest as _, Sha256, Sha512};

use super::people::TEXT;
use super::timing;

/// The duration of each primitive in nanoseconds.
pub(crate) struct Floor {
    pub(crate) agree: f64,
    pub(crate) key_pair: f64,
    pub(crate) verify: f64,
    /// A verification with a key whose point and encoding are cached.
    pub(crate) verify_again: f64,
    /// A verification with a key for which a table of its multiples is cached as well.
    pub(crate) verify_known: f64,
    pub(crate) sign: f64,
    /// A multiple of the base point in Edwards form, which a key computes when it first signs.
    pub(crate) base_multiple: f64,
    pub(crate) kem_key_pair: f64,
    pub(crate) encapsulate: f64,
    pub(crate) decapsulate: f64,
    /// HMAC of a byte: half of a chain step.
    pub(crate) hmac: f64,
    /// HMAC over a message and the data that it authenticates.
    pub(crate) mac: f64,
    /// HMAC over a header of SPQR.
    pub(crate) header_mac: f64,
    pub(crate) hkdf_64: f64,
    pub(crate) hkdf_80: f64,
    pub(crate) hkdf_96: f64,
    pub(crate) cipher: f64,
    pub(crate) decipher: f64,
    pub(crate) gcm_siv: f64,
    pub(crate) fingerprint_round: f64,
}

const KEY: [u8; 32] = [9; 32];

impl Floor {
    pub(crate) fn measure() -> Self {
        let private = agreement::PrivateKey::from_private_key(&agreement::X25519, &KEY).unwrap();
        let public = private.compute_public_key().unwrap();
        let scalar = Scalar::from_bytes_mod_order(KEY);
        let edwards = EdwardsPoint::mul_base(&scalar);
        let table = VartimeEdwardsPrecomputation::new([ED25519_BASEPOINT_POINT, edwards]);
        let montgomery = MontgomeryPoint(public.as_ref().try_into().unwrap());
        let pair = kyber1024::generate_key_pair([9; 64]);
        let (kem_ciphertext, _) = kyber1024::encapsulate(pair.public_key(), KEY);
        let (ciphertext, content) = (encrypt(&TEXT), [9; 600]);
        Self {
            agree: time(|| {
                let theirs =
                    agreement::UnparsedPublicKey::new(&agreement::X25519, black_box(public.as_ref()));
                agreement::agree(&private, theirs, (), |shared| {
                    shared.try_into().map(|key: [u8; 32]| key).map_err(|_| ())
                })
            }),
            key_pair: time(|| {
                let key =
                    agreement::PrivateKey::from_private_key(&agreement::X25519, black_box(&KEY)).unwrap();
                key.compute_public_key().unwrap();
                key
            }),
            verify: time(|| {
                let public = black_box(montgomery).to_edwards(0).unwrap().compress();
                let h = Sha512::digest([&public.as_bytes()[..], &[9; 65]].concat());
                let h = Scalar::from_bytes_mod_order_wide(&h.into());
                EdwardsPoint::vartime_double_scalar_mul_basepoint(&h, &edwards, &scalar).compress()
            }),
            verify_again: time(|| {
                let h = Sha512::digest([&KEY[..], &[9; 65]].concat());
                let h = Scalar::from_bytes_mod_order_wide(&h.into());
                EdwardsPoint::vartime_double_scalar_mul_basepoint(&h, &edwards, black_box(&scalar)).compress()
            }),
            verify_known: time(|| {
                let h = Sha512::digest([&KEY[..], &[9; 65]].concat());
                let h = Scalar::from_bytes_mod_order_wide(&h.into());
                table.vartime_multiscalar_mul([black_box(scalar), h]).compress()
            }),
            sign: time(|| {
                let r = Scalar::from_bytes_mod_order_wide(&Sha512::digest(black_box([9; 192])).into());
                let commitment = EdwardsPoint::mul_base(&r).compress();
                let h = Sha512::digest([&commitment.as_bytes()[..], &[9; 97]].concat());
                Scalar::from_bytes_mod_order_wide(&h.into()) * scalar + r
            }),
            base_multiple: time(|| EdwardsPoint::mul_base(black_box(&scalar)).compress()),
            kem_key_pair: time(|| kyber1024::generate_key_pair(black_box([9; 64]))),
            encapsulate: time(|| kyber1024::encapsulate(pair.public_key(), black_box(KEY))),
            decapsulate: time(|| kyber1024::decapsulate(pair.private_key(), &kem_ciphertext)),
            hmac: time(|| hmac(black_box(&[1]))),
            mac: time(|| hmac(black_box(&[9; 66 + 150]))),
            header_mac: time(|| hmac(black_box(&[9; 33 + 8 + 64]))),
            hkdf_64: time(|| hkdf(black_box(&[9; 32]), 64)),
            hkdf_80: time(|| hkdf(black_box(&[9; 32]), 80)),
            hkdf_96: time(|| hkdf(black_box(&[9; 192]), 96)),
            cipher: time(|| encrypt(black_box(&TEXT))),
            decipher: time(|| {
                cbc::Decryptor::<aes::Aes256>::new(black_box(&KEY.into()), &[9; 16].into())
                    .decrypt_padded_vec::<Pkcs7>(&ciphertext)
            }),
            gcm_siv: time(|| {
                aes_gcm_siv::Aes256GcmSiv::new(black_box(&KEY.into()))
                    .encrypt(&aes_gcm_siv::Nonce::default(), &content[..])
            }),
            fingerprint_round: time(|| Sha512::digest(black_box([9; 64 + 33]))),
        }
    }

    /// A step of each ratchet, the keys, the cipher and the MAC.
    pub(crate) fn seal(&self) -> f64 {
        2.0 * self.hmac + self.hkdf_64 + self.hkdf_80 + self.cipher + self.mac
    }

    pub(crate) fn open(&self) -> f64 {
        2.0 * self.hmac + self.hkdf_64 + self.hkdf_80 + self.decipher + self.mac
    }

    /// The same for the message that completes a header of SPQR, which is the third of a conversation.
    pub(crate) fn open_with_header(&self) -> f64 {
        self.open() + self.header_mac
    }

    /// The steps were taken when the message was skipped.
    pub(crate) fn open_late(&self) -> f64 {
        self.hkdf_80 + self.decipher + self.mac
    }

    /// Two steps of the root chain and a key pair.
    pub(crate) fn dh_ratchet(&self) -> f64 {
        2.0 * (self.agree + self.hkdf_64) + self.key_pair
    }

    /// The first chains and the first authenticator of SPQR.
    pub(crate) fn spqr_start(&self) -> f64 {
        self.hkdf_96 + self.hkdf_64
    }

    /// The agreement of the identity keys is cached.
    pub(crate) fn seal_v1(&self) -> f64 {
        self.key_pair + self.agree + 2.0 * self.hkdf_96 + 2.0 * (self.cipher + self.mac)
    }

    /// The same, and both certificates.
    pub(crate) fn open_v1(&self) -> f64 {
        self.agree + 2.0 * self.hkdf_96 + 2.0 * (self.decipher + self.mac)
    }

    pub(crate) fn open_v2(&self) -> f64 {
        self.agree + self.key_pair + 4.0 * self.hkdf_64 + self.gcm_siv
    }

    /// On one core. The agreements of the identity keys are cached.
    pub(crate) fn seal_v2(&self, recipients: u32) -> f64 {
        let each = self.agree + 2.0 * self.hkdf_64;
        self.key_pair + 2.0 * self.hkdf_64 + self.gcm_siv + f64::from(recipients) * each
    }
}

fn time<T>(mut work: impl FnMut() -> T) -> f64 {
    timing::best(&mut || {
        black_box(work());
    })
}

fn encrypt(text: &[u8]) -> Vec<u8> {
    let cipher = cbc::Encryptor::<aes::Aes256>::new(black_box(&KEY.into()), &[9; 16].into());
    cipher.encrypt_padded_vec::<Pkcs7>(text)
}

fn hmac(data: &[u8]) -> [u8; 32] {
    Hmac::<Sha256>::new_from_slice(&KEY).unwrap().chain_update(data).finalize().into_bytes().into()
}

fn hkdf(input: &[u8], length: usize) -> [u8; 96] {
    let mut out = [0; 96];
    hkdf::Hkdf::<Sha256>::new(Some(&KEY), input).expand(b"WhisperRatchet", &mut out[..length]).unwrap();
    out
}

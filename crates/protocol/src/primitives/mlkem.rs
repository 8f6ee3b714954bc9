//! The KEM of the braid: ML-KEM-768 (FIPS 203), with its encapsulation in two halves.
//!
//! The first half needs only a header of the encapsulation key `ek`, `rho || SHA3-256(ek)`, so that one side can send
//! the long part of its ciphertext while the other is still sending the long part of its key. Everything is divided
//! into blocks of 32 bytes, the unit in which it is transmitted.

use std::fmt;

use libcrux_ml_kem::mlkem768::incremental;
use zeroize::Zeroize as _;

use super::secret::Secret;

/// `rho || SHA3-256(ek)`.
pub(crate) type Header = [[u8; 32]; 2];
/// `ek` without `rho`: the encoded vector `t`.
pub(crate) type EkVector = [[u8; 32]; 36];
/// The first half of a ciphertext: the compressed vector `u`.
pub(crate) type Ct1 = [[u8; 32]; 30];
/// The second half: the compressed polynomial `v`.
pub(crate) type Ct2 = [[u8; 32]; 4];
/// `d || z`, from which a key pair is derived.
pub(crate) type KeySeed = [u8; 64];

const DECAPSULATION_KEY_LEN: usize = incremental::key_pair_compressed_len();
const STATE_LEN: usize = incremental::encaps_state_len();

/// The encapsulation key does not match its header, or is not in its canonical encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrongKey;

/// A key pair: `dk` of FIPS 203, which contains `ek` and its hash.
#[derive(Debug)]
pub(crate) struct KeyPair(Secret<DECAPSULATION_KEY_LEN>);

impl KeyPair {
    pub(crate) fn from_seed(seed: &KeySeed) -> Self {
        Self(Secret::fill(|pair| incremental::generate_key_pair_compressed(*seed, pair)))
    }

    pub(crate) fn header(&self) -> Header {
        self.blocks(72)
    }

    pub(crate) fn ek_vector(&self) -> EkVector {
        self.blocks(36)
    }

    /// The shared secret of a ciphertext. A ciphertext for another key results in a random secret.
    pub(crate) fn decapsulate(&self, ct1: &Ct1, ct2: &Ct2) -> Secret<32> {
        let ct1 = incremental::Ciphertext1 { value: flatten(ct1) };
        let ct2 = incremental::Ciphertext2 { value: flatten(ct2) };
        let mut shared = incremental::decapsulate_compressed_key(self.0.expose(), &ct1, &ct2);
        let secret = Secret::new(shared);
        shared.zeroize();
        secret
    }

    /// The blocks from number `first` on: `dk` is `dkPKE (36) || t (36) || rho || H(ek) || z`.
    fn blocks<const K: usize>(&self, first: usize) -> [[u8; 32]; K] {
        let mut blocks = [[0; 32]; K];
        let (all, _) = self.0.expose().as_chunks();
        for (block, own) in blocks.iter_mut().zip(all.iter().skip(first)) {
            *block = *own;
        }
        blocks
    }
}

/// An encapsulation whose second half is still to be computed.
pub(crate) struct Encapsulation(Secret<STATE_LEN>);

impl fmt::Debug for Encapsulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encapsulation(..)")
    }
}

impl Encapsulation {
    /// The first half, for the message `m`. It is the same again for the same header and message.
    pub(crate) fn begin(header: &Header, m: &[u8; 32]) -> (Self, Ct1, Secret<32>) {
        let mut ct1 = [[0; 32]; 30];
        let mut shared = [0; 32];
        let state = Secret::fill(|state: &mut [u8; STATE_LEN]| {
            let result = incremental::encapsulate1(header.as_flattened(), *m, state, &mut shared);
            #[expect(clippy::expect_used, reason = "fails only for wrong lengths, and these are right")]
            let first = result.expect("a header, a state and a secret");
            ct1.as_flattened_mut().copy_from_slice(&first.value);
        });
        let secret = Secret::new(shared);
        shared.zeroize();
        (Self(state), ct1, secret)
    }

    /// The second half.
    pub(crate) fn finish(self, ek: &VerifiedEk<'_>) -> Ct2 {
        let mut ct2 = [[0; 32]; 4];
        let second = incremental::encapsulate2(self.0.expose(), &flatten(ek.0));
        ct2.as_flattened_mut().copy_from_slice(&second.value);
        ct2
    }
}

/// Proof that an encapsulation key matches its header.
#[derive(Debug)]
pub(crate) struct VerifiedEk<'a>(&'a EkVector);

impl<'a> VerifiedEk<'a> {
    /// Compares the hash, and checks every coefficient.
    pub(crate) fn check(header: &Header, ek: &'a EkVector) -> Result<Self, WrongKey> {
        incremental::validate_pk_bytes(header.as_flattened(), ek.as_flattened())
            .map(|()| Self(ek))
            .map_err(|_| WrongKey)
    }
}

fn flatten<const K: usize, const N: usize>(blocks: &[[u8; 32]; K]) -> [u8; N] {
    const { assert!(32 * K == N) };
    let mut flat = [0; N];
    flat.copy_from_slice(blocks.as_flattened());
    flat
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::vectors::{self, bytes, secret};

    #[test]
    fn both_halves_agree_with_the_vectors() {
        for case in vectors::load_spqr("kat_components")["epochs"].as_array().unwrap() {
            let pair = KeyPair::from_seed(secret(&case["keygen_seed_d_z"]).expose());
            let (header, ek) = (pair.header(), pair.ek_vector());
            assert_eq!(header.as_flattened(), bytes(&case["hdr"]));
            assert_eq!(ek.as_flattened(), bytes(&case["ek_vector"]));
            assert_eq!(Sha256::digest(pair.0.expose()).as_slice(), bytes(&case["dk_sha256"]));

            let (encapsulation, ct1, shared) =
                Encapsulation::begin(&header, secret(&case["encaps_m"]).expose());
            assert_eq!(ct1.as_flattened(), bytes(&case["ct1"]));
            assert_eq!(shared.expose(), bytes(&case["kem_shared_secret"]).as_slice());
            let ct2 = encapsulation.finish(&VerifiedEk::check(&header, &ek).unwrap());
            assert_eq!(ct2.as_flattened(), bytes(&case["ct2"]));
            assert_eq!(pair.decapsulate(&ct1, &ct2).expose(), shared.expose());
        }
    }

    /// The two halves together are FIPS 203.
    #[test]
    fn both_halves_together_are_an_ordinary_ciphertext() {
        let seed = [7; 64];
        let pair = KeyPair::from_seed(&seed);
        let (encapsulation, ct1, shared) = Encapsulation::begin(&pair.header(), &[8; 32]);
        let ct2 = encapsulation.finish(&VerifiedEk(&pair.ek_vector()));

        let ordinary = libcrux_ml_kem::mlkem768::generate_key_pair(seed);
        let (ciphertext, secret) = libcrux_ml_kem::mlkem768::encapsulate(ordinary.public_key(), [8; 32]);
        assert_eq!([ct1.as_flattened(), ct2.as_flattened()].concat(), ciphertext.as_slice());
        assert_eq!(shared.expose(), &secret);
        assert_eq!(pair.0.expose(), ordinary.sk());
    }

    #[test]
    fn a_key_that_does_not_match_its_header_is_refused() {
        let pair = KeyPair::from_seed(&[7; 64]);
        let (header, ek) = (pair.header(), pair.ek_vector());
        assert!(VerifiedEk::check(&header, &ek).is_ok());
        let mut other = ek;
        other[35][31] ^= 1;
        assert_eq!(VerifiedEk::check(&header, &other).err(), Some(WrongKey));
        let [rho, mut hash] = header;
        hash[0] ^= 1;
        assert_eq!(VerifiedEk::check(&[rho, hash], &ek).err(), Some(WrongKey));
    }

    /// A coefficient of the prime or more is another encoding of a smaller one: here the first is 4,095, and the hash
    /// in the header fits.
    #[test]
    fn a_non_canonical_key_is_refused() {
        let case = &vectors::load_spqr("kat_components")["epochs"][0];
        let pair = KeyPair::from_seed(secret(&case["keygen_seed_d_z"]).expose());
        let ([rho, _], mut ek) = (pair.header(), pair.ek_vector());
        ek[0][0] = 0xff;
        ek[0][1] |= 0x0f;
        let hash = vectors::hex("d16364cca67869c9ef6061adf7a74c71d6645e75ea7fbd70e5031ed6d437cc82");
        assert_eq!(VerifiedEk::check(&[rho, hash.try_into().unwrap()], &ek).err(), Some(WrongKey));
    }
}

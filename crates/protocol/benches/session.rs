//! What each step costs, beside the sum of the primitives in it, measured in the same run: the floor that no
//! implementation on these primitives goes below.
//!
//! `cargo bench -p sealpost-protocol`

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a benchmark reads the clock, prints, and fails by panicking"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use curve25519_dalek::{EdwardsPoint, MontgomeryPoint, Scalar};
use hmac::{Hmac, KeyInit as _, Mac as _};
use libcrux_ml_kem::kyber1024;
use rand::{SeedableRng as _, rngs::StdRng};
use sealpost_protocol::{
    Address, Advanced, Ciphertext, DeviceId, IdentityKeyPair, KemPreKey, KemPreKeyId, LocalDevice,
    OneTimePreKey, OneTimePreKeyId, OurPreKeys, PreKeyBundle, RawPreKeyBundle, RawSigned, SessionPolicy,
    SessionRecord, SignedPreKey, SignedPreKeyId, UnixSeconds,
};
use sha2::{Digest as _, Sha256, Sha512};

const NOW: UnixSeconds = UnixSeconds(1_764_000_000);
/// A short text, padded as clients pad it.
const TEXT: [u8; 79] = [7; 79];
/// Many short rounds, since the best of them counts: one that nobody else disturbed.
const ROUNDS: usize = 150;
const ROUND: Duration = Duration::from_millis(2);

fn main() {
    let floor = Floor::measure();
    let [alice, bob] = two_devices();
    println!("{:<28}{:>10}{:>10}{:>8}", "operation", "ns", "floor ns", "ratio");
    let row =
        |name: &str, ns: f64, floor: f64| println!("{name:<28}{ns:>10.0}{floor:>10.0}{:>8.2}", ns / floor);

    row("verify a bundle", time(|| bob.bundle().verify().unwrap()), 2.0 * floor.verify);

    let rng = &mut StdRng::seed_from_u64(3);
    row(
        "initiate (PQXDH)",
        time(|| alice.meet(&bob, rng)) - time(|| bob.bundle().verify().unwrap()),
        floor.initiate(),
    );

    let met = alice.meet(&bob, rng);
    let first = met.encrypt(&alice.local(), &bob.address, &TEXT, NOW, rng).unwrap();
    let empty = SessionRecord::empty();
    row(
        "accept, with first message",
        time(|| bob.receive(&empty, &alice, &first.output, rng)),
        floor.accept() + floor.open(),
    );

    let at_bob = bob.receive(&empty, &alice, &first.output, rng).next;
    let answer = at_bob.encrypt(&bob.local(), &alice.address, &TEXT, NOW, rng).unwrap();
    let at_bob = answer.next;
    let at_alice = alice.receive(&first.next, &bob, &answer.output, rng).next;
    row(
        "encrypt, one way",
        time(|| at_alice.encrypt(&alice.local(), &bob.address, &TEXT, NOW, rng).unwrap()),
        floor.seal(),
    );

    let warm = at_alice.encrypt(&alice.local(), &bob.address, &TEXT, NOW, rng).unwrap();
    let second = warm.next.encrypt(&alice.local(), &bob.address, &TEXT, NOW, rng).unwrap();
    let listening = bob.receive(&at_bob, &alice, &warm.output, rng).next;
    row("decrypt, one way", time(|| bob.receive(&listening, &alice, &second.output, rng)), floor.open());
    row(
        "decrypt, change of direction",
        time(|| bob.receive(&at_bob, &alice, &warm.output, rng)),
        floor.dh_ratchet() + floor.open(),
    );

    let mut talk = (at_alice.clone(), at_bob.clone());
    let ping_pong = || {
        let ping = talk.0.encrypt(&alice.local(), &bob.address, &TEXT, NOW, rng).unwrap();
        let heard = bob.receive(&talk.1, &alice, &ping.output, rng);
        let pong = heard.next.encrypt(&bob.local(), &alice.address, &TEXT, NOW, rng).unwrap();
        let answered = alice.receive(&ping.next, &bob, &pong.output, rng);
        talk = (answered.next, pong.next);
    };
    row("ping-pong, each message", time(ping_pong) / 2.0, floor.seal() + floor.open() + floor.dh_ratchet());

    let stored = at_alice.changes_since(&met);
    assert_eq!(stored.len(), 1);
    println!("{:<28}{:>10.0}", "stored form after a message", time(|| at_alice.changes_since(&met)));
}

/// Nanoseconds of one call, in the best of several rounds.
fn time<T>(mut work: impl FnMut() -> T) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let (start, mut calls) = (Instant::now(), 0_u32);
        while start.elapsed() < ROUND {
            for _ in 0..8 {
                black_box(work());
            }
            calls += 8;
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(calls));
    }
    best
}

struct Device {
    identity: IdentityKeyPair,
    address: Address,
    signed: SignedPreKey,
    one_time: OneTimePreKey,
    kem: KemPreKey,
    kem_public: Vec<u8>,
}

fn two_devices() -> [Device; 2] {
    let rng = &mut StdRng::seed_from_u64(1);
    ["9d0652a3-dcc3-4d11-975f-74d61598733f", "796abedb-ca4e-4f18-8803-1fde5b921f9f"].map(|name| {
        let identity = IdentityKeyPair::generate(rng);
        let kem = KemPreKey::generate(KemPreKeyId(1), &identity, 0, rng);
        Device {
            address: Address::new(name, DeviceId::new(1).unwrap()),
            signed: SignedPreKey::generate(SignedPreKeyId(1), &identity, 0, rng),
            one_time: OneTimePreKey::generate(OneTimePreKeyId(1), rng),
            kem_public: kem.public_key(),
            kem,
            identity,
        }
    })
}

impl Device {
    fn local(&self) -> LocalDevice<'_> {
        LocalDevice { identity: &self.identity, address: &self.address, registration_id: 1 }
    }

    fn bundle(&self) -> PreKeyBundle {
        let signed = RawSigned { id: 1, key: &self.signed.public_key(), signature: self.signed.signature() };
        let raw = RawPreKeyBundle {
            registration_id: 1,
            device_id: 1,
            identity_key: &self.identity.public().serialize(),
            signed_pre_key: signed,
            one_time_pre_key: Some((1, &self.one_time.public_key())),
            kem_pre_key: Some(RawSigned { id: 1, key: &self.kem_public, signature: self.kem.signature() }),
        };
        PreKeyBundle::parse(raw).unwrap()
    }

    fn meet(&self, peer: &Self, rng: &mut StdRng) -> SessionRecord {
        let (bundle, policy) = (peer.bundle().verify().unwrap(), SessionPolicy::TripleRatchet);
        SessionRecord::empty().initiate(&self.local(), &peer.address, bundle, policy, NOW, rng).unwrap()
    }

    fn receive(
        &self,
        record: &SessionRecord,
        peer: &Self,
        ciphertext: &Ciphertext,
        rng: &mut StdRng,
    ) -> Advanced<impl Sized + use<>> {
        let (local, remote) = (self.local(), &peer.address);
        match ciphertext {
            Ciphertext::Signal(message) => record.decrypt(&local, remote, message, &[], rng).unwrap(),
            Ciphertext::PreKey(message) => {
                let keys =
                    OurPreKeys { signed: &self.signed, one_time: Some(&self.one_time), kem: Some(&self.kem) };
                let policy = SessionPolicy::TripleRatchet;
                let accepted = record.decrypt_pre_key(&local, remote, message, Some(keys), &[], policy, rng);
                accepted.unwrap().advanced
            }
        }
    }
}

/// Nanoseconds of each primitive.
struct Floor {
    agree: f64,
    key_pair: f64,
    verify: f64,
    canonical: f64,
    encapsulate: f64,
    decapsulate: f64,
    /// HMAC of a byte: half of a chain step.
    hmac: f64,
    /// HMAC over what a message is bound to.
    mac: f64,
    hkdf_64: f64,
    hkdf_80: f64,
    hkdf_96: f64,
    cipher: f64,
    decipher: f64,
}

impl Floor {
    fn measure() -> Self {
        let point = MontgomeryPoint::mul_base_clamped([9; 32]);
        let scalar = Scalar::from_bytes_mod_order([9; 32]);
        let edwards = EdwardsPoint::mul_base(&scalar);
        let pair = kyber1024::generate_key_pair([9; 64]);
        let (kem_ciphertext, _) = kyber1024::encapsulate(pair.public_key(), [9; 32]);
        let (key, bound) = ([9; 32], [9; 66 + 150]);
        let ciphertext = cbc::Encryptor::<aes::Aes256>::new(&key.into(), &[9; 16].into())
            .encrypt_padded_vec::<Pkcs7>(&TEXT);
        let hmac = |data: &[u8]| Hmac::<Sha256>::new_from_slice(&key).unwrap().chain_update(data).finalize();
        let hkdf = |input: &[u8], length: usize| {
            let mut out = [0; 96];
            hkdf::Hkdf::<Sha256>::new(Some(&key), input)
                .expand(b"WhisperRatchet", &mut out[..length])
                .unwrap();
            out
        };
        Self {
            agree: time(|| black_box(point).mul_clamped([9; 32])),
            key_pair: time(|| EdwardsPoint::mul_base_clamped(black_box([9; 32])).to_montgomery()),
            verify: time(|| {
                let public = black_box(point).to_edwards(0).unwrap().compress();
                let h = Sha512::digest([&public.as_bytes()[..], &[9; 65]].concat());
                let h = Scalar::from_bytes_mod_order_wide(&h.into());
                EdwardsPoint::vartime_double_scalar_mul_basepoint(&h, &edwards, &scalar).compress()
            }),
            canonical: time(|| black_box(point).to_edwards(0).unwrap().is_torsion_free()),
            encapsulate: time(|| kyber1024::encapsulate(pair.public_key(), [9; 32])),
            decapsulate: time(|| kyber1024::decapsulate(pair.private_key(), &kem_ciphertext)),
            hmac: time(|| hmac(black_box(&[1]))),
            mac: time(|| hmac(black_box(&bound))),
            hkdf_64: time(|| hkdf(black_box(&[9; 32]), 64)),
            hkdf_80: time(|| hkdf(black_box(&[9; 32]), 80)),
            hkdf_96: time(|| hkdf(black_box(&[9; 192]), 96)),
            cipher: time(|| {
                cbc::Encryptor::<aes::Aes256>::new(black_box(&key.into()), &[9; 16].into())
                    .encrypt_padded_vec::<Pkcs7>(&TEXT)
            }),
            decipher: time(|| {
                cbc::Decryptor::<aes::Aes256>::new(black_box(&key.into()), &[9; 16].into())
                    .decrypt_padded_vec::<Pkcs7>(&ciphertext)
            }),
        }
    }

    /// One encapsulation, two key pairs, four agreements and the first root step; SPQR begins.
    fn initiate(&self) -> f64 {
        self.encapsulate + 2.0 * self.key_pair + 5.0 * self.agree + self.hkdf_96 + self.hkdf_64 + self.spqr()
    }

    /// The check of the base key, one decapsulation, four agreements and the first DH ratchet step; SPQR begins.
    fn accept(&self) -> f64 {
        self.canonical + self.decapsulate + 4.0 * self.agree + self.hkdf_96 + self.dh_ratchet() + self.spqr()
    }

    /// The first chains and the first authenticator of SPQR.
    fn spqr(&self) -> f64 {
        self.hkdf_96 + self.hkdf_64
    }

    /// Two steps of the root chain and a key pair.
    fn dh_ratchet(&self) -> f64 {
        2.0 * (self.agree + self.hkdf_64) + self.key_pair
    }

    /// A step of each ratchet, the keys, the cipher and the MAC.
    fn seal(&self) -> f64 {
        2.0 * self.hmac + self.hkdf_64 + self.hkdf_80 + self.cipher + self.mac
    }

    fn open(&self) -> f64 {
        2.0 * self.hmac + self.hkdf_64 + self.hkdf_80 + self.decipher + self.mac
    }
}

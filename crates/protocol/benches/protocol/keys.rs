//! Generating and checking keys, outside of any session.

use std::hint::black_box;

use sealpost_protocol::{
    IdentityKeyPair, KemPreKey, KemPreKeyId, KnownKeys, OneTimePreKey, OneTimePreKeyId, Party, SafetyNumber,
};

use super::people::{rng, two_devices};
use super::{Call, Operation};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "identity, 100 + 100 pre-keys",
        per_call: 1,
        floor: Some(|floor| {
            101.0 * floor.key_pair + 100.0 * (floor.kem_key_pair + floor.sign) + floor.base_multiple
        }),
        prepare: generate,
    },
    Operation {
        name: "verify a bundle",
        per_call: 1,
        floor: Some(|floor| floor.verify + floor.verify_again),
        prepare: verify_bundle,
    },
    Operation {
        name: "verify a bundle, key known",
        per_call: 1,
        floor: Some(|floor| 2.0 * floor.verify_known),
        prepare: verify_known_bundle,
    },
    Operation {
        name: "safety number",
        per_call: 1,
        floor: Some(|floor| 2.0 * 5_200.0 * floor.fingerprint_round),
        prepare: safety_number,
    },
];

/// Generates an identity and as many one-time pre-keys and signed KEM pre-keys as a new device uploads.
fn generate() -> Call {
    let mut rng = rng(1);
    Box::new(move || {
        let rng = &mut rng;
        let identity = IdentityKeyPair::generate(rng);
        for number in 0..100 {
            black_box(OneTimePreKey::generate(OneTimePreKeyId(number), rng));
            black_box(KemPreKey::generate(KemPreKeyId(number), &identity, 0, rng));
        }
    })
}

fn verify_bundle() -> Call {
    let [_, bob] = two_devices();
    Box::new(move || {
        black_box(bob.bundle().verify().unwrap());
    })
}

/// The table of the key's multiples has been computed before.
fn verify_known_bundle() -> Call {
    let [_, bob] = two_devices();
    let mut known = KnownKeys::default();
    for _ in 0..32 {
        bob.bundle().verify_known(&mut known).unwrap();
    }
    Box::new(move || {
        black_box(bob.bundle().verify_known(&mut known).unwrap());
    })
}

fn safety_number() -> Call {
    let devices = two_devices();
    Box::new(move || {
        let [ours, theirs] = devices.each_ref().map(|device| Party {
            stable_id: device.address.name().as_bytes(),
            key: device.identity.public(),
        });
        black_box(SafetyNumber::new(ours, theirs));
    })
}

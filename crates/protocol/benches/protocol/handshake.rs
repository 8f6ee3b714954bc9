//! The handshake between two users.

use std::hint::black_box;

use sealpost_protocol::{Ciphertext, KemPreKey, OneTimePreKey, OurPreKeys, SessionRecord, SignedPreKey};

use super::people::{rng, two_devices};
use super::{Call, Operation};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "initiate (PQXDH), bundle verified",
        per_call: 1,
        floor: Some(|floor| {
            floor.verify
                + floor.verify_again
                + floor.encapsulate
                + 2.0 * floor.key_pair
                + 5.0 * floor.agree
                + floor.hkdf_96
                + floor.hkdf_64
                + floor.spqr_start()
        }),
        prepare: initiate,
    },
    Operation {
        name: "accept (PQXDH), with first message",
        per_call: 1,
        // The base key is checked by an agreement, and two private keys come from the store.
        floor: Some(|floor| {
            floor.decapsulate
                + 5.0 * floor.agree
                + 2.0 * floor.key_pair
                + floor.hkdf_96
                + floor.spqr_start()
                + floor.dh_ratchet()
                + floor.open()
        }),
        prepare: accept,
    },
];

fn initiate() -> Call {
    let ([alice, bob], mut rng) = (two_devices(), rng(2));
    Box::new(move || {
        black_box(alice.meet(&bob, &mut rng));
    })
}

/// The pre-keys are loaded first, because each can be used only once.
fn accept() -> Call {
    let ([alice, bob], mut rng) = (two_devices(), rng(2));
    let met = alice.meet(&bob, &mut rng);
    let (_, Ciphertext::PreKey(first)) = alice.send(&met, &bob, &mut rng) else { panic!() };
    let stored = (bob.signed.to_bytes(), bob.one_time.to_bytes(), bob.kem.to_bytes());
    Box::new(move || {
        let signed = SignedPreKey::from_bytes(&stored.0).unwrap();
        let one_time = OneTimePreKey::from_bytes(&stored.1).unwrap();
        let kem = KemPreKey::from_bytes(&stored.2).unwrap();
        let keys = OurPreKeys { signed: &signed, one_time: Some(&one_time), kem: Some(&kem) };
        let (empty, inbound) = (SessionRecord::empty(), bob.inbound(&alice, &[]));
        let accepted = empty.decrypt_pre_key(&inbound, &first, Some(keys), &mut rng);
        drop(black_box(accepted.unwrap()));
    })
}

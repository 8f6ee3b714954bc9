//! Sender keys.

use std::hint::black_box;

use sealpost_protocol::group::SenderKeyRecord;
use sealpost_protocol::{DistributionId, KnownKeys, SenderKeyMessage};

use super::people::{NOW, TEXT, rng};
use super::{Call, Operation};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "sender key, encrypt",
        per_call: 1,
        floor: Some(|floor| floor.sign + 2.0 * floor.hmac + floor.hkdf_64 + floor.cipher),
        prepare: encrypt,
    },
    Operation {
        name: "sender key, decrypt",
        per_call: 1,
        floor: Some(|floor| floor.verify + 2.0 * floor.hmac + floor.hkdf_64 + floor.decipher),
        prepare: || decrypt(false),
    },
    Operation {
        name: "sender key, decrypt, sender known",
        per_call: 1,
        floor: Some(|floor| floor.verify_known + 2.0 * floor.hmac + floor.hkdf_64 + floor.decipher),
        prepare: || decrypt(true),
    },
];

fn encrypt() -> Call {
    let mut rng = rng(1);
    let ours = SenderKeyRecord::empty(DistributionId::new([7; 16]));
    let ours = ours.create_distribution(&mut rng).next;
    Box::new(move || {
        drop(black_box(ours.encrypt(&TEXT, &mut rng).unwrap()));
    })
}

/// `known` says whether many messages of the sender have been decrypted before.
fn decrypt(known: bool) -> Call {
    let mut rng = rng(1);
    let nothing = SenderKeyRecord::empty(DistributionId::new([7; 16]));
    let made = nothing.create_distribution(&mut rng);
    let theirs = nothing.process(&made.output).unwrap().next;
    let message = made.next.encrypt(&TEXT, &mut rng).unwrap().output.serialize().to_vec();
    let mut keys = KnownKeys::default();
    Box::new(move || {
        let message = SenderKeyMessage::parse(&message).unwrap();
        if !known {
            keys = KnownKeys::default();
        }
        drop(black_box(theirs.decrypt(&message, None, NOW, &mut keys).unwrap()));
    })
}

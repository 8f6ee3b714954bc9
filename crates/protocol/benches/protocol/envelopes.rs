//! Sealed sender. Where the row says so, the values computed for an earlier message are cached. Elsewhere, the
//! message is the first of its sender, or the first to its recipients, since the program started.

use std::hint::black_box;

use sealpost_protocol::sealed::{
    self, ContentHint, Receiver, Recipient, Remembered, SenderCertificate, SenderClaims, ServerCertificate,
    ServerKeyPair, Signer, Trust, UnidentifiedContent, UnixMillis,
};
use sealpost_protocol::{Address, DeviceId, IdentityKeyPair, MessageType};

use super::floor::Floor;
use super::people::{Device, rng, two_devices};
use super::{Call, Operation};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "sealed v1, seal",
        per_call: 1,
        floor: Some(|floor| floor.seal_v1() + floor.agree),
        prepare: || seal_v1(false),
    },
    Operation {
        name: "sealed v1, seal, recipient known",
        per_call: 1,
        floor: Some(Floor::seal_v1),
        prepare: || seal_v1(true),
    },
    Operation {
        name: "sealed v1, open and verify",
        per_call: 1,
        floor: Some(|floor| floor.open_v1() + floor.agree + 2.0 * floor.verify),
        prepare: || open_v1(false),
    },
    Operation {
        name: "sealed v1, open and verify, sender known",
        per_call: 1,
        floor: Some(Floor::open_v1),
        prepare: || open_v1(true),
    },
    Operation {
        name: "sealed v2, to 1",
        per_call: 1,
        floor: Some(|floor| floor.seal_v2(1) + floor.agree),
        prepare: || seal_v2(1, false),
    },
    Operation {
        name: "sealed v2, to 1, recipients known",
        per_call: 1,
        floor: Some(|floor| floor.seal_v2(1)),
        prepare: || seal_v2(1, true),
    },
    Operation {
        name: "sealed v2, to 10, each",
        per_call: 10,
        floor: Some(|floor| floor.seal_v2(10) / 10.0 + floor.agree),
        prepare: || seal_v2(10, false),
    },
    Operation {
        name: "sealed v2, to 100, each",
        per_call: 100,
        floor: Some(|floor| floor.seal_v2(100) / 100.0 + floor.agree),
        prepare: || seal_v2(100, false),
    },
    Operation {
        name: "sealed v2, to 1,000, each",
        per_call: 1_000,
        floor: Some(|floor| floor.seal_v2(1_000) / 1_000.0 + floor.agree),
        prepare: || seal_v2(1_000, false),
    },
    Operation {
        name: "sealed v2, to 1,000, each, recipients known",
        per_call: 1_000,
        floor: Some(|floor| floor.seal_v2(1_000) / 1_000.0),
        prepare: || seal_v2(1_000, true),
    },
    Operation {
        name: "sealed v2, open and verify",
        per_call: 1,
        floor: Some(|floor| floor.open_v2() + floor.agree + 2.0 * floor.verify),
        prepare: || open_v2(false),
    },
    Operation {
        name: "sealed v2, open and verify, sender known",
        per_call: 1,
        floor: Some(Floor::open_v2),
        prepare: || open_v2(true),
    },
];

const NOW: UnixMillis = UnixMillis(1_764_000_000_000);

struct Scene {
    alice: Device,
    bob: Device,
    content: UnidentifiedContent,
    trust: Trust,
}

fn scene() -> Scene {
    let ([alice, bob], rng) = (two_devices(), &mut rng(3));
    let (root, server) = (ServerKeyPair::generate(rng), ServerKeyPair::generate(rng));
    let certificate = ServerCertificate::issue(1, &server.public(), &root, rng);
    let claims = SenderClaims {
        address: &alice.address,
        e164: Some("+15550100"),
        identity_key: alice.identity.public(),
        expires: NOW,
    };
    let certificate = SenderCertificate::issue(&claims, Signer::Embedded(certificate), &server, rng);
    // Roughly the size of a short message.
    let (kind, hint, message) = (MessageType::Signal, ContentHint::Resendable, [5; 160]);
    let content = UnidentifiedContent::new(kind, certificate, &message, hint, &[]);
    Scene { alice, bob, content, trust: Trust::new(vec![root.public()]) }
}

fn seal_v1(remember: bool) -> Call {
    let (Scene { alice, bob, content, .. }, mut rng) = (scene(), rng(4));
    let mut remembered = Remembered::default();
    Box::new(move || {
        if !remember {
            remembered = Remembered::default();
        }
        let recipient = bob.identity.public();
        black_box(sealed::seal_v1(&content, &alice.identity, recipient, &mut remembered, &mut rng).unwrap());
    })
}

fn open_v1(remember: bool) -> Call {
    let (scene, mut rng) = (scene(), rng(4));
    let Scene { alice, bob, content, .. } = &scene;
    let recipient = bob.identity.public();
    let envelope =
        sealed::seal_v1(content, &alice.identity, recipient, &mut Remembered::default(), &mut rng).unwrap();
    open_and_verify(scene, envelope, remember)
}

fn open_v2(remember: bool) -> Call {
    let (scene, mut rng) = (scene(), rng(4));
    let Scene { alice, bob, content, .. } = &scene;
    let recipient =
        Recipient { address: &bob.address, identity_key: bob.identity.public(), registration_id: 7 };
    let (ours, remembered) = (&alice.identity, &mut Remembered::default());
    let sent = sealed::seal_v2(content, ours, &[recipient], &[], remembered, &mut rng).unwrap();
    let envelope = sent.received_by(&sent.recipients()[0]);
    open_and_verify(scene, envelope, remember)
}

fn open_and_verify(scene: Scene, envelope: Vec<u8>, remember: bool) -> Call {
    let mut remembered = Remembered::default();
    Box::new(move || {
        if !remember {
            remembered = Remembered::default();
        }
        let Scene { bob, trust, .. } = &scene;
        let receiver = Receiver { address: &bob.address, e164: None, trust, now: NOW };
        let content = sealed::open(&envelope, &bob.identity, &mut remembered).unwrap();
        black_box(content.verify(&receiver, &mut remembered).unwrap());
    })
}

fn seal_v2(count: u32, remember: bool) -> Call {
    let (Scene { alice, content, .. }, mut rng) = (scene(), rng(4));
    let people: Vec<(Address, IdentityKeyPair)> = (0..count)
        .map(|number| {
            let name = format!("00000000-0000-4000-8000-{number:012x}");
            (Address::new(&name, DeviceId::new(1).unwrap()), IdentityKeyPair::generate(&mut rng))
        })
        .collect();
    let mut remembered = Remembered::default();
    Box::new(move || {
        if !remember {
            remembered = Remembered::default();
        }
        let recipients: Vec<_> = people
            .iter()
            .map(|(address, identity)| Recipient {
                address,
                identity_key: identity.public(),
                registration_id: 7,
            })
            .collect();
        let ours = &alice.identity;
        black_box(sealed::seal_v2(&content, ours, &recipients, &[], &mut remembered, &mut rng).unwrap());
    })
}

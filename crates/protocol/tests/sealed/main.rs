//! Sealed sender, using only the public API: known answers, failures, and round trips.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod support;

use std::collections::BTreeMap;

use proptest::prelude::*;
use rand::{SeedableRng as _, rngs::StdRng};
use sealpost_protocol::sealed::{
    self, ContentHint, EnvelopeVersion, OpenError, OpenedContent, Receiver, Recipient, Remembered, SealError,
    SenderCertificate, SenderClaims, SentMessage, ServerCertificate, ServerKeyPair, Signer, Trust,
    UnidentifiedContent, UnixMillis, VerifyError,
};
use sealpost_protocol::{Address, DeviceId, IdentityKey, IdentityKeyPair, MessageType, Secret};
use serde_json::Value;
use support::{bytes, load};

const ALICE: &str = "9d0652a3-dcc3-4d11-975f-74d61598733f";
const BOB: &str = "796abedb-ca4e-4f18-8803-1fde5b921f9f";
const NOW: UnixMillis = UnixMillis(1_764_000_000_000);

fn address(name: &str, device: u32) -> Address {
    Address::new(name, DeviceId::new(device).unwrap())
}

/// A service that issues certificates.
struct Service {
    root: ServerKeyPair,
    server: ServerKeyPair,
    certificate: ServerCertificate,
}

impl Service {
    fn new(rng: &mut StdRng) -> Self {
        let (root, server) = (ServerKeyPair::generate(rng), ServerKeyPair::generate(rng));
        let certificate = ServerCertificate::issue(1, &server.public(), &root, rng);
        Self { root, server, certificate }
    }

    fn of_vectors(file: &Value) -> Self {
        let key =
            |name: &str| ServerKeyPair::from_private(&Secret::new(bytes(&file[name]).try_into().unwrap()));
        let certificate = ServerCertificate::parse(&bytes(&file["server_certificate"])).unwrap();
        Self { root: key("trust_root_private"), server: key("server_private"), certificate }
    }

    fn trust(&self) -> Trust {
        Trust::new(vec![self.root.public()]).with_known_server(self.certificate.clone())
    }

    fn certify(&self, address: &Address, key: &IdentityKey, rng: &mut StdRng) -> SenderCertificate {
        let claims = SenderClaims { address, e164: Some("+15550100"), identity_key: key, expires: NOW };
        SenderCertificate::issue(&claims, Signer::Embedded(self.certificate.clone()), &self.server, rng)
    }
}

fn identity(private: &Value) -> IdentityKeyPair {
    let private = bytes(private);
    let public = ServerKeyPair::from_private(&Secret::new(private.clone().try_into().unwrap()));
    let public = public.public().serialize();
    IdentityKeyPair::from_bytes(&[&[0x0a, 33], &public[..], &[0x12, 32], &private].concat()).unwrap()
}

#[test]
fn envelopes_of_the_vectors_are_opened_and_verified() {
    let file = load("sealed-sender");
    let (service, bob) = (Service::of_vectors(&file), identity(&file["recipient_identity_private"]));
    let (trust, here) = (service.trust(), address(BOB, 3));
    let now = UnixMillis(file["expires_ms"].as_u64().unwrap());
    let receiver = Receiver { address: &here, e164: None, trust: &trust, now };
    let remembered = &mut Remembered::default();
    for (envelope, version, kind) in [
        (&file["v1"]["message"], EnvelopeVersion::V1, MessageType::PreKey),
        (&file["v2"]["received_for_first"], EnvelopeVersion::V2, MessageType::SenderKey),
    ] {
        for _ in 0..2 {
            let content = sealed::open(&bytes(envelope), &bob, remembered).unwrap();
            let verified = content.verify(&receiver, remembered).unwrap();
            assert_eq!((content.version(), verified.version()), (version, version));
            assert_eq!(*verified.sender(), address(ALICE, 1));
            assert_eq!(verified.e164(), Some("+14151111111"));
            assert_eq!(*verified.identity_key(), *identity(&file["sender_identity_private"]).public());
            assert_eq!(verified.kind(), kind);
        }
    }
    // A single sender: two signatures and one agreement in total.
    assert_eq!(format!("{remembered:?}"), "Remembered(2, 1)");
}

#[test]
fn an_issued_certificate_is_that_of_the_vectors() {
    let file = load("sealed-sender");
    let (service, rng) = (Service::of_vectors(&file), &mut StdRng::seed_from_u64(1));
    let unsigned = |certificate: &[u8]| certificate[..certificate.len() - 64].to_vec();
    let ours = ServerCertificate::issue(99, &service.server.public(), &service.root, rng);
    assert_eq!(unsigned(ours.serialize()), unsigned(&bytes(&file["server_certificate"])));
    let (alice, sender) = (address(ALICE, 1), identity(&file["sender_identity_private"]));
    let claims = SenderClaims {
        address: &alice,
        e164: Some("+14151111111"),
        identity_key: sender.public(),
        expires: UnixMillis(file["expires_ms"].as_u64().unwrap()),
    };
    let signer = Signer::Embedded(service.certificate.clone());
    let ours = SenderCertificate::issue(&claims, signer, &service.server, rng);
    assert_eq!(unsigned(ours.serialize()), unsigned(&bytes(&file["sender_certificate"])));
}

#[test]
fn every_envelope_has_the_expected_outcome() {
    let bob = identity(&load("sealed-sender")["recipient_identity_private"]);
    for case in load("sealed-sender-failures")["open"].as_array().unwrap() {
        let outcome = sealed::open(&bytes(&case["message"]), &bob, &mut Remembered::default());
        let outcome = outcome.map_or_else(|reason| format!("{reason:?}"), |_| "opened".to_owned());
        assert_eq!(outcome, case["outcome"].as_str().unwrap(), "{}", case["name"]);
    }
}

#[test]
fn every_certificate_has_the_expected_outcome() {
    let trust = Service::of_vectors(&load("sealed-sender")).trust();
    let remembered = &mut Remembered::default();
    for case in load("sealed-sender-failures")["certificates"].as_array().unwrap() {
        let input = bytes(&case["certificate"]);
        // Twice, because cached results must not change the outcome.
        for _ in 0..2 {
            let outcome = match SenderCertificate::parse(&input) {
                Err(reason) => format!("{reason:?}"),
                Ok(certificate) => {
                    assert_eq!(certificate.serialize(), input);
                    let now = UnixMillis(case["now"].as_u64().unwrap());
                    match trust.verify(&certificate, now, remembered) {
                        Ok(()) => "verified".to_owned(),
                        Err(reason) => format!("{reason:?}"),
                    }
                }
            };
            assert_eq!(outcome, case["outcome"].as_str().unwrap(), "{}", case["name"]);
        }
    }
}

#[test]
fn every_sent_message_has_the_expected_outcome() {
    for case in load("sealed-sender-failures")["sent"].as_array().unwrap() {
        let outcome = match SentMessage::parse(&bytes(&case["message"])) {
            Ok(message) => (message.recipients().len() + message.excluded().len()).to_string(),
            Err(reason) => format!("{reason:?}"),
        };
        assert_eq!(outcome, case["outcome"].as_str().unwrap(), "{}", case["name"]);
    }
}

#[test]
fn any_of_several_roots_is_accepted_and_an_empty_list_is_not() {
    let rng = &mut StdRng::seed_from_u64(1);
    let (ours, theirs) = (Service::new(rng), Service::new(rng));
    let key = IdentityKeyPair::generate(rng);
    let certificate = ours.certify(&address(ALICE, 1), key.public(), rng);
    let verify = |roots| Trust::new(roots).verify(&certificate, NOW, &mut Remembered::default());
    assert_eq!(verify(vec![theirs.root.public(), ours.root.public()]), Ok(()));
    assert_eq!(verify(vec![theirs.root.public()]), Err(VerifyError::UntrustedServer));
    assert_eq!(verify(vec![]), Err(VerifyError::UntrustedServer));
}

#[test]
fn a_known_server_still_needs_a_trusted_root() {
    let rng = &mut StdRng::seed_from_u64(1);
    let (ours, theirs) = (Service::new(rng), Service::new(rng));
    let (alice, key) = (address(ALICE, 1), IdentityKeyPair::generate(rng));
    let claims = SenderClaims { address: &alice, e164: None, identity_key: key.public(), expires: NOW };
    let certificate = SenderCertificate::issue(&claims, Signer::Known(1), &ours.server, rng);
    let verify = |roots, server: &ServerCertificate, remembered: &mut Remembered| {
        let trust = Trust::new(roots).with_known_server(server.clone());
        trust.verify(&certificate, NOW, remembered)
    };
    let remembered = &mut Remembered::default();
    let untrusted = Err(VerifyError::UntrustedServer);
    // Also once both signatures are cached as valid.
    for _ in 0..2 {
        assert_eq!(verify(vec![], &ours.certificate, remembered), untrusted);
        assert_eq!(verify(vec![theirs.root.public()], &ours.certificate, remembered), untrusted);
        assert_eq!(verify(vec![ours.root.public()], &ours.certificate, remembered), Ok(()));
    }
    let self_signed = ServerCertificate::issue(1, &ours.server.public(), &ours.server, rng);
    assert_eq!(verify(vec![ours.root.public()], &self_signed, remembered), untrusted);
    // The root has signed the other server, but that server has not signed the sender.
    let other = ServerCertificate::issue(1, &theirs.server.public(), &ours.root, rng);
    assert_eq!(verify(vec![ours.root.public()], &other, remembered), Err(VerifyError::BadSignature));
}

#[test]
fn a_message_from_this_device_itself_is_refused() {
    let rng = &mut StdRng::seed_from_u64(1);
    let (service, alice) = (Service::new(rng), IdentityKeyPair::generate(rng));
    let content_of = |name, e164, rng: &mut StdRng| {
        let (address, signer) = (address(name, 1), Signer::Embedded(service.certificate.clone()));
        let claims = SenderClaims { address: &address, e164, identity_key: alice.public(), expires: NOW };
        let certificate = SenderCertificate::issue(&claims, signer, &service.server, rng);
        let (kind, hint) = (MessageType::Signal, ContentHint::Default);
        let content = UnidentifiedContent::new(kind, certificate, b"message", hint, b"");
        let remembered = &mut Remembered::default();
        let sealed = sealed::seal_v1(&content, &alice, alice.public(), remembered, rng).unwrap();
        sealed::open(&sealed, &alice, remembered).unwrap()
    };
    let content = content_of(ALICE, Some("+15550100"), rng);
    let trust = service.trust();
    let verify_content = |content: &OpenedContent, name: &str, device, e164| {
        let address = address(name, device);
        let receiver = Receiver { address: &address, e164, trust: &trust, now: NOW };
        content.verify(&receiver, &mut Remembered::default()).map(drop)
    };
    let verify = |name: &str, device, e164| verify_content(&content, name, device, e164);
    let upper = ALICE.to_uppercase();
    assert_eq!(verify(ALICE, 1, None), Err(VerifyError::SelfSend));
    assert_eq!(verify(&upper, 1, None), Err(VerifyError::SelfSend));
    assert_eq!(verify(BOB, 1, Some("+15550100")), Err(VerifyError::SelfSend));
    assert_eq!(verify(ALICE, 2, Some("+15550100")), Ok(()));
    assert_eq!(verify(BOB, 1, Some("+15550101")), Ok(()));
    assert_eq!(verify(BOB, 1, None), Ok(()));
    // A name need not be a service ID, and two users without a phone number do not have the same one.
    let unnumbered = content_of("somebody", None, rng);
    assert_eq!(verify_content(&unnumbered, "somebody", 1, None), Err(VerifyError::SelfSend));
    assert_eq!(verify_content(&unnumbered, "somebody else", 1, None), Ok(()));
}

#[test]
fn invalid_recipients_and_contents_cannot_be_sealed() {
    let rng = &mut StdRng::seed_from_u64(1);
    let service = Service::new(rng);
    let [alice, bob, carol] = [(); 3].map(|()| IdentityKeyPair::generate(rng));
    let certificate = service.certify(&address(ALICE, 1), alice.public(), rng);
    let (kind, hint) = (MessageType::Signal, ContentHint::Default);
    let content = UnidentifiedContent::new(kind, certificate, b"message", hint, b"");
    let low_order = IdentityKey::parse(&[&[5], &[0; 32][..]].concat()).unwrap();
    let remembered = &mut Remembered::default();

    let mut seal = |sender: &IdentityKeyPair, key: &IdentityKey| {
        sealed::seal_v1(&content, sender, key, remembered, rng).map(drop)
    };
    assert_eq!(seal(&alice, bob.public()), Ok(()));
    assert_eq!(seal(&bob, bob.public()), Err(SealError::WrongCertificate));
    assert_eq!(seal(&alice, &low_order), Err(SealError::BadIdentityKey));

    let [first, second, nobody] = [address(BOB, 1), address(BOB, 2), address("bob", 1)];
    let to = |address, identity_key, registration_id| Recipient { address, identity_key, registration_id };
    let (bob, carol, id) = (bob.public(), carol.public(), *first.service_id().unwrap());
    let mut seal = |sender, recipients: &[Recipient<'_>], excluded: &[[u8; 17]]| {
        sealed::seal_v2(&content, sender, recipients, excluded, remembered, rng).map(drop)
    };
    assert_eq!(seal(&alice, &[to(&first, bob, 0x3fff), to(&second, bob, 0)], &[]), Ok(()));
    assert_eq!(seal(&alice, &[], &[id]), Ok(()));
    for (recipients, excluded, reason) in [
        (vec![to(&first, &low_order, 1)], vec![], SealError::BadIdentityKey),
        (vec![to(&nobody, bob, 1)], vec![], SealError::NotServiceId),
        (vec![to(&first, bob, 0x4000)], vec![], SealError::RegistrationId),
        (vec![to(&first, bob, 0x1_0001)], vec![], SealError::RegistrationId),
        (vec![to(&first, bob, 1), to(&second, carol, 1)], vec![], SealError::Contradiction),
        (vec![to(&first, bob, 1), to(&first, bob, 1)], vec![], SealError::Contradiction),
        (vec![to(&first, bob, 1)], vec![id], SealError::RedundantExclusion),
        (vec![], vec![id, id], SealError::RedundantExclusion),
        (vec![], vec![[2; 17]], SealError::NotServiceId),
    ] {
        assert_eq!(seal(&alice, &recipients, &excluded), Err(reason));
    }
    let stranger = IdentityKeyPair::generate(&mut StdRng::seed_from_u64(2));
    assert_eq!(seal(&stranger, &[], &[]), Err(SealError::WrongCertificate));
}

fn hints() -> impl Strategy<Value = ContentHint> {
    prop_oneof![
        Just(ContentHint::Default),
        Just(ContentHint::Resendable),
        Just(ContentHint::Implicit),
        (3..=u32::MAX).prop_map(ContentHint::Unknown),
    ]
}

fn kinds() -> impl Strategy<Value = MessageType> {
    use MessageType::{Plaintext, PreKey, SenderKey, Signal};
    prop::sample::select(vec![Signal, PreKey, SenderKey, Plaintext])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn only_the_named_recipients_can_decrypt_it(
        kind in kinds(),
        hint in hints(),
        message in prop::collection::vec(any::<u8>(), 0..100),
        group_id in prop::collection::vec(any::<u8>(), 0..40),
        // How many devices each of five users has; `None` excludes the user.
        devices in prop::array::uniform5(0..4_u32),
    ) {
        let rng = &mut StdRng::seed_from_u64(1);
        let service = Service::new(rng);
        let (alice, stranger) = (IdentityKeyPair::generate(rng), IdentityKeyPair::generate(rng));
        let certificate = service.certify(&address(ALICE, 1), alice.public(), rng);
        let content = UnidentifiedContent::new(kind, certificate, &message, hint, &group_id);
        let users = [(); 5].map(|()| IdentityKeyPair::generate(rng));
        let name = |user: usize| format!("{user}96abedb-ca4e-4f18-8803-1fde5b921f9f");
        let all: Vec<_> =
            (0..5).flat_map(|user| (1..=devices[user]).map(move |device| (user, device))).collect();
        let addresses: Vec<_> = all.iter().map(|(user, device)| address(&name(*user), *device)).collect();
        let recipients: Vec<_> = all.iter().zip(&addresses).map(|((user, device), address)| {
            Recipient { address, identity_key: users[*user].public(), registration_id: 100 + device }
        }).collect();
        let excluded: Vec<_> = (0..5).filter(|user| devices[*user] == 0)
            .map(|user| *address(&name(user), 1).service_id().unwrap()).collect();

        let remembered = &mut Remembered::default();
        let sent = sealed::seal_v2(&content, &alice, &recipients, &excluded, remembered, rng);
        if kind == MessageType::Plaintext {
            // Only version 1 authenticates the sender.
            prop_assert_eq!(sent.err(), Some(SealError::Unbound));
            let (here, trust) = (address(BOB, 1), service.trust());
            let receiver = Receiver { address: &here, e164: None, trust: &trust, now: NOW };
            let one = sealed::seal_v1(&content, &alice, users[0].public(), remembered, rng).unwrap();
            let opened = sealed::open(&one, &users[0], remembered).unwrap();
            let verified = opened.verify(&receiver, remembered).unwrap();
            prop_assert_eq!(verified.message(), &message[..]);
            return Ok(());
        }
        let sent = sent.unwrap();
        let parsed = SentMessage::parse(sent.serialize()).unwrap();
        prop_assert_eq!(parsed.excluded(), &excluded);
        let by_user: BTreeMap<_, _> =
            parsed.recipients().iter().map(|recipient| (*recipient.service_id(), recipient)).collect();
        prop_assert_eq!(by_user.len(), 5 - excluded.len());

        let trust = service.trust();
        for (user, key) in users.iter().enumerate().filter(|(user, _)| devices[*user] > 0) {
            let here = address(&name(user), 1);
            let receiver = Receiver { address: &here, e164: None, trust: &trust, now: NOW };
            let recipient = by_user[here.service_id().unwrap()];
            let expected: Vec<_> =
                (1..=devices[user]).map(|id| (DeviceId::new(id).unwrap(), 100 + id as u16)).collect();
            prop_assert_eq!(recipient.devices().collect::<Vec<_>>(), expected);
            let one = sealed::seal_v1(&content, &alice, key.public(), remembered, rng).unwrap();
            for envelope in [parsed.received_by(recipient), one] {
                let opened = sealed::open(&envelope, key, &mut Remembered::default()).unwrap();
                let verified = opened.verify(&receiver, remembered).unwrap();
                prop_assert_eq!(verified.sender(), &address(ALICE, 1));
                prop_assert_eq!((verified.kind(), verified.hint()), (kind, hint));
                prop_assert_eq!((verified.message(), verified.group_id()), (&message[..], &group_id[..]));
                let refused = sealed::open(&envelope, &stranger, remembered);
                prop_assert_eq!(refused.err(), Some(OpenError::NotDecryptable));
            }
        }
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(
        first in prop::sample::select(vec![0x11_u8, 0x22, 0x23]),
        rest in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let key = IdentityKeyPair::generate(&mut StdRng::seed_from_u64(1));
        let input = [&[first], &rest[..]].concat();
        prop_assert!(sealed::open(&input, &key, &mut Remembered::default()).is_err());
        if let Ok(certificate) = SenderCertificate::parse(&rest) {
            prop_assert_eq!(certificate.serialize(), &rest);
        }
        if let Ok(certificate) = ServerCertificate::parse(&rest) {
            prop_assert_eq!(certificate.serialize(), &rest);
        }
        if let Ok(message) = SentMessage::parse(&input) {
            prop_assert_eq!(message.serialize(), &input);
            for recipient in message.recipients() {
                prop_assert!(message.received_by(recipient).len() > 80);
            }
        }
    }

    #[test]
    fn a_changed_envelope_is_refused(
        version in 1..=2_u8,
        at in any::<prop::sample::Index>(),
        change in 1..=255_u8,
    ) {
        let file = load("sealed-sender");
        let bob = identity(&file["recipient_identity_private"]);
        let envelope = if version == 1 { &file["v1"]["message"] } else { &file["v2"]["received_for_first"] };
        let mut envelope = bytes(envelope);
        let at = 1 + at.index(envelope.len() - 1);
        envelope[at] ^= change;
        let changed = sealed::open(&envelope, &bob, &mut Remembered::default());
        // Only the framing of version 1 is outside its MACs, and protobuf ignores unknown fields.
        prop_assert!(changed.is_err() || version == 1);
        if let Ok(changed) = changed {
            let opened = sealed::open(&bytes(&file["v1"]["message"]), &bob, &mut Remembered::default());
            prop_assert_eq!(format!("{changed:?}"), format!("{:?}", opened.unwrap()));
        }
    }
}

//! Input from strangers: sealed envelopes and their certificates, scanned safety numbers, HPKE.

use std::sync::LazyLock;

use sealpost_protocol::sealed::{
    self, OpenedContent, Receiver, Remembered, SenderCertificate, SentMessage, ServerCertificate, ServerKey,
    ServerKeyPair, Trust, UnidentifiedContent, UnixMillis,
};
use sealpost_protocol::{
    Address, DeviceId, IdentityKeyPair, SafetyNumber, ScanError, Secret, StableIdKind, hpke,
};
use serde_json::Value;

use crate::allocation::{Limit, limited};
use crate::vectors::{bytes, load};

const LIMIT: Limit = Limit { factor: 8, constant: 1024 };

/// The receiver of the vectors.
struct Bob {
    identity: IdentityKeyPair,
    hpke_identity: IdentityKeyPair,
    address: Address,
    trust: Trust,
    now: UnixMillis,
}

static BOB: LazyLock<Bob> = LazyLock::new(|| {
    let file = load("vectors/sealed-sender");
    let secret = |value: &Value| Secret::new(bytes(value).try_into().unwrap());
    let root = ServerKeyPair::from_private(&secret(&file["trust_root_private"])).public();
    let server = ServerCertificate::parse(&bytes(&file["server_certificate"])).unwrap();
    Bob {
        identity: IdentityKeyPair::from_private(&secret(&file["recipient_identity_private"])),
        hpke_identity: IdentityKeyPair::from_private(&secret(&load("vectors/hpke")["recipient_private"])),
        address: Address::new("796abedb-ca4e-4f18-8803-1fde5b921f9f", DeviceId::new(3).unwrap()),
        trust: Trust::new(vec![root]).with_known_server(server),
        now: UnixMillis(file["expires_ms"].as_u64().unwrap()),
    }
});

pub(crate) fn run(input: &[u8]) {
    let bob = &*BOB;
    bob.certificates(input);
    bob.envelopes(input);
    sent_messages(input);
    safety_numbers(input);
    drop(limited(LIMIT, input, || hpke::open(&bob.hpke_identity, b"an info", b"", input)));
}

impl Bob {
    fn certificates(&self, input: &[u8]) {
        if let Ok(key) = ServerKey::parse(input) {
            assert_eq!(key.serialize(), input[..33]);
        }
        if let Ok(certificate) = limited(LIMIT, input, || ServerCertificate::parse(input)) {
            assert_eq!(certificate.serialize(), input);
        }
        if let Ok(certificate) = limited(LIMIT, input, || SenderCertificate::parse(input)) {
            assert_eq!(certificate.serialize(), input);
            self.twice(|remembered| self.trust.verify(&certificate, self.now, remembered));
        }
    }

    fn envelopes(&self, input: &[u8]) {
        if let Ok(content) = limited(LIMIT, input, || UnidentifiedContent::parse(input)) {
            assert_eq!(content.serialize(), input);
        }
        let open = |remembered: &mut Remembered| sealed::open(input, &self.identity, remembered);
        if let Ok(content) = limited(LIMIT, input, || open(&mut Remembered::default())) {
            self.verify(&content);
        }
    }

    fn verify(&self, content: &OpenedContent) {
        let receiver = Receiver { address: &self.address, e164: None, trust: &self.trust, now: self.now };
        self.twice(|remembered| content.verify(&receiver, remembered).map(drop));
    }

    /// A cached result does not change the outcome.
    fn twice<T: PartialEq + std::fmt::Debug>(&self, call: impl Fn(&mut Remembered) -> T) {
        let remembered = &mut Remembered::default();
        assert_eq!(call(remembered), call(remembered));
    }
}

fn sent_messages(input: &[u8]) {
    let Ok(message) = limited(LIMIT, input, || SentMessage::parse(input)) else { return };
    assert_eq!(message.serialize(), input);
    for recipient in message.recipients() {
        assert!(recipient.devices().count() > 0);
        // The service passes on envelopes of the second version only.
        let received = message.received_by(recipient);
        assert!(received.len() <= input.len() + 50);
        assert_eq!(received[0] >> 4, 2);
    }
}

fn safety_numbers(input: &[u8]) {
    for kind in [StableIdKind::PhoneNumber, StableIdKind::AccountId] {
        if let Ok(number) = limited(LIMIT, input, || SafetyNumber::scan(kind, input)) {
            let again = SafetyNumber::scan(kind, &number.scannable(kind)).unwrap();
            assert_eq!(again.scannable(kind), number.scannable(kind));
            assert!(again == number && number.to_string().len() == 60);
            assert!(matches!(
                number.matches(StableIdKind::AccountId, input),
                Ok(_) | Err(ScanError::OtherVersion)
            ));
        }
    }
}

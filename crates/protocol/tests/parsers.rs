//! Whatever bytes come: a parser answers, and what it accepts it gives back unchanged.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "the other tests use the rest")]
mod support;

use proptest::prelude::*;
use sealpost_protocol::group::SenderKeyRecord;
use sealpost_protocol::{
    DecryptionErrorMessage, IdentityKey, IdentityKeyPair, KemPreKey, OneTimePreKey, PlaintextContent,
    PreKeySignalMessage, SenderKeyDistributionMessage, SenderKeyMessage, SessionId, SessionRecord,
    SignalMessage, SignedPreKey, SkippedKeys,
};
use support::{bytes, load, records::TheirRecord};

/// One of each that parses; the first is a pre-key message.
fn valid() -> [Vec<u8>; 7] {
    let file = load("session-v3-x3dh");
    let record = TheirRecord::parse(&bytes(&file["steps"][9]["receiver_record_after"])).import();
    let group = load("sender-keys");
    let distribution = SenderKeyDistributionMessage::parse(&bytes(&group["skdm"])).unwrap();
    let chains = SenderKeyRecord::empty(distribution.distribution_id()).process(&distribution).unwrap().next;
    [
        bytes(&file["steps"][0]["message"]),
        bytes(&file["steps"][2]["message"]),
        record.to_bytes().to_vec(),
        bytes(&group["messages"][0]),
        distribution.serialize().to_vec(),
        chains.to_bytes().to_vec(),
        bytes(&load("misc-kats")["decryption_error"]["plaintext"]),
    ]
}

fn parse(input: &[u8]) {
    if let Ok(message) = SignalMessage::parse(input) {
        assert_eq!(message.serialize(), input);
    }
    if let Ok(message) = PreKeySignalMessage::parse(input) {
        assert_eq!(message.serialize(), input);
        assert_eq!(message.session_id().as_bytes()[0], message.version().number());
    }
    if let Ok(record) = SessionRecord::from_bytes(input) {
        let stored = record.to_bytes();
        assert_eq!(SessionRecord::from_bytes(&stored).unwrap().to_bytes(), stored);
    }
    if let Ok(keys) = SkippedKeys::from_bytes(input) {
        let stored = keys.to_bytes();
        assert_eq!(SkippedKeys::from_bytes(&stored).unwrap().to_bytes(), stored);
    }
    if let Ok(message) = SenderKeyMessage::parse(input) {
        assert_eq!(message.serialize(), input);
    }
    if let Ok(message) = SenderKeyDistributionMessage::parse(input) {
        assert_eq!(message.serialize(), input);
    }
    if let Ok(record) = SenderKeyRecord::from_bytes(input) {
        let stored = record.to_bytes();
        assert_eq!(SenderKeyRecord::from_bytes(&stored).unwrap().to_bytes(), stored);
    }
    if let Ok(content) = PlaintextContent::parse(input) {
        assert_eq!(content.serialize(), input);
        if let Ok(error) = content.decryption_error() {
            assert_eq!(PlaintextContent::new(&error).decryption_error(), Ok(error));
        }
    }
    if let Ok(error) = DecryptionErrorMessage::parse(input) {
        assert_eq!(DecryptionErrorMessage::parse(&error.serialize()), Ok(error));
    }
    if let Ok(key) = IdentityKey::parse(input) {
        assert_eq!(key.serialize(), input[..33]);
    }
    if let Ok(id) = SessionId::from_bytes(input) {
        assert_eq!(id.as_bytes().as_slice(), input);
    }
    drop(IdentityKeyPair::from_bytes(input));
    drop(SignedPreKey::from_bytes(input));
    drop(OneTimePreKey::from_bytes(input));
    drop(KemPreKey::from_bytes(input));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(input in prop::collection::vec(any::<u8>(), 0..200)) {
        parse(&input);
    }

    #[test]
    fn valid_bytes_with_a_few_changed(
        which in 0..7_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut input = valid()[which].clone();
        for (at, byte) in changes {
            let at = at.index(input.len());
            input[at] = byte;
        }
        if let Some(cut) = cut {
            input.truncate(cut.index(input.len()));
        }
        parse(&input);
    }
}

#[test]
fn what_is_valid_parses() {
    let [pre_key, signal, record, group, distribution, chains, plaintext] = valid();
    assert!(PreKeySignalMessage::parse(&pre_key).is_ok());
    assert!(SignalMessage::parse(&signal).is_ok());
    assert_eq!(SessionRecord::from_bytes(&record).unwrap().to_bytes().as_slice(), record);
    assert!(SenderKeyMessage::parse(&group).is_ok());
    assert!(SenderKeyDistributionMessage::parse(&distribution).is_ok());
    assert_eq!(SenderKeyRecord::from_bytes(&chains).unwrap().to_bytes().as_slice(), chains);
    assert!(PlaintextContent::parse(&plaintext).unwrap().decryption_error().is_ok());
}

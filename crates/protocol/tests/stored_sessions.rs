//! Data that earlier versions stored can still be read. There is one file for each version of the stored form, and none
//! is ever changed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use rand::{SeedableRng as _, rngs::StdRng};
use sealpost_protocol::{
    Address, DecryptError, DeviceId, IdentityKeyPair, Inbound, KemPreKey, LocalDevice, OneTimePreKey,
    OurPreKeys, PreKeySignalMessage, SessionPolicy, SessionRecord, SignalMessage, SignedPreKey, SkippedKeys,
    UnixSeconds,
};
use serde_json::Value;

const FORMS: [&str; 2] = [include_str!("fixtures/form-1.json"), include_str!("fixtures/form-2.json")];

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

#[test]
fn every_version_of_the_stored_form_can_be_read() {
    for form in FORMS {
        let file: Value = serde_json::from_str(form).unwrap();
        let rng = &mut StdRng::seed_from_u64(1);
        let address = |who: &str| Address::new(file[who].as_str().unwrap(), DeviceId::new(1).unwrap());
        let (remote, here) = (address("remote"), address("local"));
        let identity = IdentityKeyPair::from_bytes(&bytes(&file["identity"])).unwrap();
        let local = LocalDevice { identity: &identity, address: &here, registration_id: 1 };
        let mut record = SessionRecord::from_bytes(&bytes(&file["record"])).unwrap();
        let mut skipped = SkippedKeys::from_bytes(&bytes(&file["skipped"])).unwrap();

        let now = UnixSeconds(file["unanswered_since"].as_u64().unwrap());
        let inbound = Inbound { local, remote: &remote, skipped: &[], policy: SessionPolicy::Pqxdh, now };
        // A late message, whose key was stored, then the next message, then one of an inactive session.
        for case in file["messages"].as_array().unwrap() {
            let message = SignalMessage::parse(&bytes(&case["message"])).unwrap();
            let found = skipped.find(&message);
            let inbound = Inbound { skipped: &found, ..inbound };
            let opened = record.decrypt(&inbound, &message, rng).unwrap();
            assert_eq!(opened.output.plaintext.expose(), bytes(&case["plaintext"]));
            (record, _) = (opened.next, skipped.apply(opened.skipped));
            let found = skipped.find(&message);
            let again = record.decrypt(&Inbound { skipped: &found, ..inbound }, &message, rng);
            assert_eq!(again.err(), Some(DecryptError::Duplicate));
        }

        // Pre-keys, and a message that starts a session with them.
        let signed = SignedPreKey::from_bytes(&bytes(&file["signed_pre_key"])).unwrap();
        let one_time = OneTimePreKey::from_bytes(&bytes(&file["one_time_pre_key"])).unwrap();
        let kem = KemPreKey::from_bytes(&bytes(&file["kem_pre_key"])).unwrap();
        let keys = OurPreKeys { signed: &signed, one_time: Some(&one_time), kem: Some(&kem) };
        let message = PreKeySignalMessage::parse(&bytes(&file["pre_key_message"])).unwrap();
        let accepted = record.decrypt_pre_key(&inbound, &message, Some(keys), rng).unwrap();
        assert_eq!(accepted.advanced.output.plaintext.expose(), bytes(&file["pre_key_plaintext"]));

        // An unanswered session keeps its handshake and its age.
        let unanswered = SessionRecord::from_bytes(&bytes(&file["unanswered"])).unwrap();
        let after = |seconds| UnixSeconds(now.0 + seconds);
        let usable = |seconds| unanswered.usable_for_sending(SessionPolicy::X3dh, after(seconds));
        assert!(usable(30 * 24 * 3600) && !usable(30 * 24 * 3600 + 1));
        let sent = unanswered.encrypt(&local, &remote, b"?", now, rng).unwrap();
        let sent = PreKeySignalMessage::parse(sent.output.serialize()).unwrap();
        assert_eq!(sent.identity_key(), identity.public());
        assert!(sent.one_time_pre_key_id().is_some() && sent.kem_pre_key_id().is_some());
    }
}

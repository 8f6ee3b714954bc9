//! Every parser of messages and keys: accepted input is returned unchanged.

use sealpost_protocol::device::link::LinkCode;
use sealpost_protocol::device::{SignedDeviceList, Succession};
use sealpost_protocol::group::SenderKeyRecord;
use sealpost_protocol::{
    Address, DecryptionErrorMessage, DeviceId, IdentityKey, MessageType, PlaintextContent,
    PreKeySignalMessage, SenderKeyDistributionMessage, SenderKeyMessage, SessionId, SignalMessage,
    SkippedKeyName,
};

use crate::allocation::{Limit, limited};

const PARSE: Limit = Limit { factor: 2, constant: 512 };

pub(crate) fn run(input: &[u8]) {
    session_messages(input);
    group_messages(input);
    retry_messages(input);
    link_codes(input);
    names(input);
    device_lists(input);
}

fn session_messages(input: &[u8]) {
    if let Some(message) = parse(input, SignalMessage::parse) {
        assert_eq!(message.serialize(), input);
        assert!(SkippedKeyName::of(&message).count() <= 2);
    }
    if let Some(message) = parse(input, PreKeySignalMessage::parse) {
        assert_eq!(message.serialize(), input);
        assert_eq!(message.session_id().as_bytes()[0], message.version().number());
        let inner = message.signal_message().serialize();
        assert_eq!(SignalMessage::parse(inner).unwrap().serialize(), inner);
    }
}

fn group_messages(input: &[u8]) {
    if let Some(message) = parse(input, SenderKeyMessage::parse) {
        assert_eq!(message.serialize(), input);
    }
    if let Some(message) = parse(input, SenderKeyDistributionMessage::parse) {
        assert_eq!(message.serialize(), input);
        let record = SenderKeyRecord::empty(message.distribution_id());
        let stored = record.process(&message).unwrap().next.to_bytes();
        assert_eq!(*SenderKeyRecord::from_bytes(&stored).unwrap().to_bytes(), *stored);
    }
}

fn retry_messages(input: &[u8]) {
    if let Some(content) = parse(input, PlaintextContent::parse) {
        assert_eq!(content.serialize(), input);
        if let Ok(error) = limited(PARSE, input, || content.decryption_error()) {
            assert_eq!(PlaintextContent::new(&error).decryption_error(), Ok(error));
        }
    }
    if let Some(error) = parse(input, DecryptionErrorMessage::parse) {
        assert_eq!(DecryptionErrorMessage::parse(&error.serialize()), Ok(error));
    }
    for kind in [MessageType::Signal, MessageType::PreKey, MessageType::SenderKey, MessageType::Plaintext] {
        let about = DecryptionErrorMessage::about(input, kind, 7, DeviceId::new(1).unwrap());
        if let Ok(error) = about {
            assert_eq!(DecryptionErrorMessage::parse(&error.serialize()), Ok(error));
        }
    }
}

fn device_lists(input: &[u8]) {
    if let Some(list) = parse(input, SignedDeviceList::parse) {
        assert_eq!(list.serialize(), input);
        if let Ok(verified) = list.verify(&[7; 16]) {
            assert_eq!(verified.known().succession(&verified), Succession::Same);
            assert!(verified.primary().is_some());
        }
    }
}

fn link_codes(input: &[u8]) {
    if let Ok(code) = LinkCode::parse(input) {
        assert_eq!(*code.to_bytes(), *input);
        let text = code.to_text();
        let again = text.parse::<LinkCode>().map(|code| code.to_bytes().to_vec());
        assert_eq!(again, Ok(input.to_vec()));
    }
    if let Ok(code) = String::from_utf8_lossy(input).parse::<LinkCode>() {
        assert_eq!(code.to_text().to_ascii_uppercase(), *code.to_text());
    }
}

fn names(input: &[u8]) {
    if let Some(key) = parse(input, IdentityKey::parse) {
        assert_eq!(key.serialize(), input[..33]);
    }
    if let Some(id) = parse(input, SessionId::from_bytes) {
        assert_eq!(id.as_bytes().as_slice(), input);
    }
    if let Ok(name) = std::str::from_utf8(input) {
        let address = limited(PARSE, input, || Address::new(name, DeviceId::new(1).unwrap()));
        assert_eq!(address.name(), name);
        address.service_id();
    }
}

fn parse<T, E>(input: &[u8], parser: impl FnOnce(&[u8]) -> Result<T, E>) -> Option<T> {
    limited(PARSE, input, || parser(input)).ok()
}

//! Stored forms: accepted input is stored in the same way again, and no loaded state makes an operation panic.

use std::sync::LazyLock;

use rand::{SeedableRng as _, rngs::StdRng};
use sealpost_protocol::group::SenderKeyRecord;
use sealpost_protocol::{
    Address, Ciphertext, DecodeError, DeviceId, IdentityKeyPair, Inbound, KemPreKey, KnownKeys, LocalDevice,
    OneTimePreKey, OurPreKeys, PreKeySignalMessage, SenderKeyMessage, SessionPolicy, SessionRecord,
    SignalMessage, SignedPreKey, SkippedKey, SkippedKeys, StoredBytes, UnixSeconds,
};

use crate::allocation::{Limit, limited, limited_step};
use crate::vectors::{bytes, load};

/// Incomplete rows allocate nothing, and a parsed key is little longer than its bytes. The first skipped key allocates
/// a node of a map, with room for eleven.
const LOAD: Limit = Limit { factor: 4, constant: 1280 };
/// A refused message, and one that is decrypted or encrypted: it keeps skipped keys, 2,000 of each ratchet.
const STEP: (Limit, Limit) = (Limit { factor: 4, constant: 4 << 10 }, Limit { factor: 4, constant: 1 << 20 });

/// The device of the fixtures, what it stores, and the messages in transit to it.
struct Device {
    identity: IdentityKeyPair,
    local: Address,
    remote: Address,
    now: UnixSeconds,
    record: SessionRecord,
    skipped: SkippedKeys,
    signed: SignedPreKey,
    one_time: OneTimePreKey,
    kem: KemPreKey,
    messages: Vec<SignalMessage>,
    pre_key_message: PreKeySignalMessage,
    group_message: SenderKeyMessage,
}

static DEVICE: LazyLock<Device> = LazyLock::new(|| {
    let file = load("fixtures/form-2");
    let stored = |name: &str| bytes(&file[name]);
    let address = |name: &str| Address::new(file[name].as_str().unwrap(), DeviceId::new(1).unwrap());
    let messages = file["messages"].as_array().unwrap().iter();
    Device {
        identity: IdentityKeyPair::from_bytes(&stored("identity")).unwrap(),
        local: address("local"),
        remote: address("remote"),
        now: UnixSeconds(file["unanswered_since"].as_u64().unwrap()),
        record: SessionRecord::from_bytes(&stored("record")).unwrap(),
        skipped: SkippedKeys::from_bytes(&stored("skipped")).unwrap(),
        signed: SignedPreKey::from_bytes(&stored("signed_pre_key")).unwrap(),
        one_time: OneTimePreKey::from_bytes(&stored("one_time_pre_key")).unwrap(),
        kem: KemPreKey::from_bytes(&stored("kem_pre_key")).unwrap(),
        messages: messages.map(|case| SignalMessage::parse(&bytes(&case["message"])).unwrap()).collect(),
        pre_key_message: PreKeySignalMessage::parse(&stored("pre_key_message")).unwrap(),
        group_message: SenderKeyMessage::parse(&bytes(&load("fixtures/sender-key-form-1")["message"]))
            .unwrap(),
    }
});

pub(crate) fn run(input: &[u8]) {
    let device = &*DEVICE;
    if let Some(record) = reloaded(input, SessionRecord::from_bytes, SessionRecord::to_bytes) {
        device.talk_with(input, &record);
    }
    if let Some(skipped) = reloaded(input, SkippedKeys::from_bytes, SkippedKeys::to_bytes) {
        device.read(input, &device.record, &skipped);
    }
    if let Some(record) = reloaded(input, SenderKeyRecord::from_bytes, SenderKeyRecord::to_bytes) {
        device.talk_in_group(input, &record);
    }
    device.use_keys(input);
}

impl Device {
    fn local(&self) -> LocalDevice<'_> {
        LocalDevice { identity: &self.identity, address: &self.local, registration_id: 1 }
    }

    fn inbound<'a>(&'a self, local: LocalDevice<'a>, skipped: &'a [SkippedKey]) -> Inbound<'a> {
        Inbound { local, remote: &self.remote, skipped, policy: SessionPolicy::default(), now: self.now }
    }

    fn pre_keys(&self) -> OurPreKeys<'_> {
        OurPreKeys { signed: &self.signed, one_time: Some(&self.one_time), kem: Some(&self.kem) }
    }

    fn talk_with(&self, input: &[u8], record: &SessionRecord) {
        self.read(input, record, &self.skipped);
        self.write(input, record);
        self.meet(&self.local(), record, self.pre_keys());
        assert!(!record.archive(self.now).has_active());
        assert_eq!(record.changes_since(&SessionRecord::empty()).len(), record.sessions().count());
    }

    fn read(&self, input: &[u8], record: &SessionRecord, skipped: &SkippedKeys) {
        let (local, rng) = (self.local(), &mut rng());
        for message in &self.messages {
            let keys = skipped.find(message);
            let opened =
                limited_step(STEP, input, || record.decrypt(&self.inbound(local, &keys), message, rng));
            if let Ok(advanced) = opened {
                self.write(input, &advanced.next);
            }
        }
    }

    /// Checks that everything a state writes can be parsed and stored.
    fn write(&self, input: &[u8], record: &SessionRecord) {
        let (local, rng) = (self.local(), &mut rng());
        let sent = limited_step(STEP, input, || record.encrypt(&local, &self.remote, b"text", self.now, rng));
        let Ok(sent) = sent else { return };
        match &sent.output {
            Ciphertext::Signal(message) => drop(SignalMessage::parse(message.serialize()).unwrap()),
            Ciphertext::PreKey(message) => drop(PreKeySignalMessage::parse(message.serialize()).unwrap()),
        }
        assert_eq!(
            *SessionRecord::from_bytes(&sent.next.to_bytes()).unwrap().to_bytes(),
            *sent.next.to_bytes()
        );
    }

    fn meet(&self, local: &LocalDevice<'_>, record: &SessionRecord, keys: OurPreKeys<'_>) {
        let inbound = self.inbound(*local, &[]);
        drop(record.decrypt_pre_key(&inbound, &self.pre_key_message, Some(keys), &mut rng()));
    }

    fn talk_in_group(&self, input: &[u8], record: &SenderKeyRecord) {
        let known = &mut KnownKeys::default();
        drop(limited_step(STEP, input, || record.decrypt(&self.group_message, None, self.now, known)));
        if let Ok(sent) = record.encrypt(b"text", &mut rng()) {
            drop(SenderKeyMessage::parse(sent.output.serialize()).unwrap());
        }
        let handed = record.create_distribution(&mut rng());
        drop(record.process(&handed.output).unwrap());
    }

    fn use_keys(&self, input: &[u8]) {
        let record = SessionRecord::empty();
        if let Some(identity) = reloaded(input, IdentityKeyPair::from_bytes, IdentityKeyPair::to_bytes) {
            self.meet(&LocalDevice { identity: &identity, ..self.local() }, &record, self.pre_keys());
        }
        if let Some(signed) = reloaded(input, SignedPreKey::from_bytes, SignedPreKey::to_bytes) {
            self.meet(&self.local(), &record, OurPreKeys { signed: &signed, ..self.pre_keys() });
        }
        if let Some(one_time) = reloaded(input, OneTimePreKey::from_bytes, OneTimePreKey::to_bytes) {
            self.meet(&self.local(), &record, OurPreKeys { one_time: Some(&one_time), ..self.pre_keys() });
        }
        if let Some(kem) = reloaded(input, KemPreKey::from_bytes, KemPreKey::to_bytes) {
            self.meet(&self.local(), &record, OurPreKeys { kem: Some(&kem), ..self.pre_keys() });
        }
    }
}

fn rng() -> StdRng {
    StdRng::seed_from_u64(0)
}

/// Loads within the limit, and checks that there is only one encoding.
fn reloaded<T>(
    input: &[u8],
    load: fn(&[u8]) -> Result<T, DecodeError>,
    store: fn(&T) -> StoredBytes,
) -> Option<T> {
    let loaded = limited(LOAD, input, || load(input)).ok()?;
    let stored = store(&loaded);
    assert_eq!(*store(&load(&stored).unwrap()), *stored);
    Some(loaded)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field with this number that contains an empty row, inside the fields with the outer numbers.
    fn nested(around: &[u8], rows: Vec<u8>) -> Vec<u8> {
        around.iter().rev().fold(rows, |inner, number| {
            let mut field = vec![number << 3 | 2];
            prost::encode_length_delimiter(inner.len(), &mut field).unwrap();
            [field, inner].concat()
        })
    }

    /// Empty rows in any list of a record, a session or SPQR allocate nothing.
    #[test]
    fn empty_rows_allocate_nothing() {
        for number in 1..16 {
            for around in [&[][..], &[2], &[2, 4], &[2, 4, 10], &[3], &[1]] {
                let rows = [number << 3 | 2, 0].repeat(5000);
                run(&nested(around, [vec![0x08, 1], rows].concat()));
            }
        }
    }
}

//! Sender keys, whose chains only advance: a stolen state reveals no earlier messages, but the later ones until the next
//! chain.

use prost::Message;
use rand::{SeedableRng as _, rngs::StdRng};
use sealpost_protocol::group::{DecryptError, SenderKeyRecord, SkippedChange, SkippedKey, SkippedKeyId};
use sealpost_protocol::{DistributionId, KnownKeys, SenderKeyMessage, UnixSeconds};

use super::keys::hmac;

/// The parts of the stored form that are needed here.
#[derive(Clone, PartialEq, Message)]
struct RecordForm {
    #[prost(uint32, tag = "1")]
    form: u32,
    #[prost(bytes = "vec", tag = "2")]
    distribution_id: Vec<u8>,
    #[prost(message, repeated, tag = "3")]
    chains: Vec<ChainForm>,
}

#[derive(Clone, PartialEq, Message)]
struct ChainForm {
    #[prost(uint32, tag = "1")]
    chain_id: u32,
    #[prost(uint32, tag = "2")]
    iteration: u32,
    #[prost(bytes = "vec", tag = "3")]
    chain_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    signing_public: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    signing_private: Vec<u8>,
    #[prost(uint32, tag = "6")]
    kept: u32,
}

/// Everything that a receiver stores: the record, and one row for each skipped key.
#[derive(Clone)]
struct Stored {
    record: Vec<u8>,
    rows: Vec<(SkippedKeyId, [u8; 32])>,
}

impl Stored {
    fn open(&self, message: &SenderKeyMessage) -> Result<Self, DecryptError> {
        let wanted = SkippedKeyId::of(message);
        let kept = self.rows.iter().find(|(id, _)| *id == wanted);
        let kept = kept.map(|(id, seed)| SkippedKey::new(*id, *seed, None));
        let record = SenderKeyRecord::from_bytes(&self.record).unwrap();
        let opened = record.decrypt(message, kept.as_ref(), UnixSeconds(0), &mut KnownKeys::default())?;
        assert_eq!(opened.output.expose(), b"text");
        let mut rows = self.rows.clone();
        for change in opened.skipped {
            match change {
                SkippedChange::Keep(key) => rows.push((key.id, *key.seed.expose())),
                SkippedChange::Forget(id) => rows.retain(|(own, _)| *own != id),
                other => panic!("{other:?}"),
            }
        }
        Ok(Self { record: opened.next.to_bytes().to_vec(), rows })
    }

    /// The record with its chain index reset to the number of the message.
    fn rewound(&self, message: &SenderKeyMessage) -> Self {
        let mut form = RecordForm::decode(&*self.record).unwrap();
        form.chains[0].iteration = message.iteration();
        Self { record: form.encode_to_vec(), rows: self.rows.clone() }
    }

    fn holds(&self, key: &[u8; 32]) -> bool {
        holds(&self.record, key) || self.rows.iter().any(|(_, seed)| seed == key)
    }
}

fn holds(bytes: &[u8], key: &[u8; 32]) -> bool {
    bytes.array_windows().any(|at| at == key)
}

struct Sent {
    message: SenderKeyMessage,
    /// `CK` and `MK`.
    keys: [[u8; 32]; 2],
}

#[test]
fn no_key_of_a_group_message_remains() {
    let rng = &mut StdRng::seed_from_u64(1);
    let id = DistributionId::new([7; 16]);
    let made = SenderKeyRecord::empty(id).create_distribution(rng);
    let given = SenderKeyRecord::empty(id).process(&made.output).unwrap().next;
    let mut reader = Stored { record: given.to_bytes().to_vec(), rows: Vec::new() };

    let mut writer = made.next;
    let mut sent = Vec::new();
    for _ in 0..12 {
        let before = writer.to_bytes();
        let chain_key: [u8; 32] =
            RecordForm::decode(&*before).unwrap().chains.remove(0).chain_key.try_into().unwrap();
        let keys = [chain_key, hmac(&chain_key, &[1])];
        let next = writer.encrypt(b"text", rng).unwrap();
        assert!(holds(&before, &chain_key));
        assert!(!keys.iter().any(|key| holds(&next.next.to_bytes(), key)), "a key remains with the sender");
        writer = next.next;
        sent.push(Sent { message: next.output, keys });
    }

    // In order, then with gaps that are filled later on.
    for (at, position) in [0, 1, 2, 7, 3, 11, 10, 5, 4, 6, 8, 9].into_iter().enumerate() {
        let Sent { message, keys: [_, message_key] } = &sent[position];
        let was_kept = reader.rows.iter().any(|(_, seed)| seed == message_key);
        assert_eq!(was_kept, at > 3 && position < 11, "the key of a late message is stored until it arrives");
        reader = reader.open(message).unwrap();
        for &position in &[0, 1, 2, 7, 3, 11, 10, 5, 4, 6, 8, 9][..=at] {
            let Sent { message, keys } = &sent[position];
            assert!(!keys.iter().any(|key| reader.holds(key)), "message {position}");
            assert_eq!(reader.open(message).err(), Some(DecryptError::Duplicate));
            assert_eq!(reader.rewound(message).open(message).err(), Some(DecryptError::NotDecryptable));
        }
    }
    assert!(reader.rows.is_empty());
}

/// Sender keys do not heal: with a stolen chain, messages can be decrypted until the sender starts another chain.
#[test]
fn a_stolen_chain_decrypts_messages_until_the_next_chain() {
    let rng = &mut StdRng::seed_from_u64(1);
    let id = DistributionId::new([7; 16]);
    let made = SenderKeyRecord::empty(id).create_distribution(rng);
    let given = SenderKeyRecord::empty(id).process(&made.output).unwrap().next;
    let mut thief = Stored { record: given.to_bytes().to_vec(), rows: Vec::new() };
    let mut writer = made.next;
    for _ in 0..5 {
        let next = writer.encrypt(b"text", rng).unwrap();
        thief = thief.open(&next.output).unwrap();
        writer = next.next;
    }
    let next = SenderKeyRecord::empty(id).create_distribution(rng).next.encrypt(b"text", rng).unwrap();
    assert_eq!(thief.open(&next.output).err(), Some(DecryptError::NoSenderKey));
}

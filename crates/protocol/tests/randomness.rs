//! Every random value depends on the generator that is passed, and on every byte that is drawn from it.
//!
//! Each test states how many bytes are drawn and for what. It creates the value twice with the same generator, twice with
//! equal generators, and once for each byte drawn with one bit of that byte flipped. A constant, a value that is used twice,
//! or a value with a constant part would fail.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]

use prost::Message as _;
use rand::{SeedableRng as _, rngs::StdRng};
use rand_core::{Infallible, Rng as _, TryCryptoRng, TryRng};
use sealpost_protocol::device::{AccountKey, AccountKeyPair, DeviceBinding, DeviceEntry, DeviceList};
use sealpost_protocol::group::{EntrySignature, GroupSecret, Joiner, LinkSecret, SenderKeyRecord};
use sealpost_protocol::sealed::{
    self, ContentHint, Recipient, Remembered, SenderCertificate, SenderClaims, ServerCertificate,
    ServerKeyPair, Signer, UnidentifiedContent, UnixMillis,
};
use sealpost_protocol::{
    Address, Ciphertext, DeviceId, DistributionId, IdentityKeyPair, Inbound, KemPreKey, KemPreKeyId,
    LocalDevice, MessageType, OneTimePreKey, OneTimePreKeyId, OurPreKeys, PreKeyBundle, PreKeySignalMessage,
    RawPreKeyBundle, RawSigned, SessionPolicy, SessionRecord, SignalMessage, SignedPreKey, SignedPreKeyId,
    UnixSeconds, VerifiedBundle, hpke,
};

const NOW: UnixSeconds = UnixSeconds(1_764_000_000);
const POLICY: SessionPolicy = SessionPolicy::TripleRatchet;

/// A generator that counts the bytes drawn, and can flip one bit of one byte.
struct CountingRng {
    stream: StdRng,
    drawn: usize,
    flipped: Option<usize>,
}

impl CountingRng {
    fn new(seed: u64, flipped: Option<usize>) -> Self {
        Self { stream: StdRng::seed_from_u64(seed), drawn: 0, flipped }
    }
}

impl TryRng for CountingRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes).map(|()| u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes).map(|()| u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for byte in bytes {
            *byte = self.stream.next_u32() as u8;
            // A bit that neither clamping nor the version of a UUID overwrites.
            if self.flipped == Some(self.drawn) {
                *byte ^= 0x08;
            }
            self.drawn += 1;
        }
        Ok(())
    }
}

impl TryCryptoRng for CountingRng {}

/// Checks that `make` makes exactly these draws, in this order, and that each value in its result depends on the draw at the
/// same position and on no later one.
fn follows<const N: usize>(draws: [usize; N], make: impl Fn(&mut CountingRng) -> [Vec<u8>; N]) {
    let mut rng = CountingRng::new(1, None);
    let made = make(&mut rng);
    assert_eq!(rng.drawn, draws.iter().sum::<usize>(), "bytes drawn");
    assert_eq!(make(&mut CountingRng::new(1, None)), made, "an equal generator must yield the same value");

    let again = make(&mut rng);
    let other = make(&mut CountingRng::new(2, None));
    let mut all: Vec<_> = [&made, &again, &other].into_iter().flatten().collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 3 * N, "all values must differ");

    let mut position = 0;
    for (place, length) in draws.into_iter().enumerate() {
        for _ in 0..length {
            let flipped = make(&mut CountingRng::new(1, Some(position)));
            assert_ne!(flipped[place], made[place], "the value must depend on byte {position}");
            assert_eq!(
                flipped[..place],
                made[..place],
                "an earlier value must not depend on byte {position}"
            );
            position += 1;
        }
    }
}

/// A device whose bundle contains a key of each kind.
struct Device {
    identity: IdentityKeyPair,
    address: Address,
    signed: SignedPreKey,
    one_time: OneTimePreKey,
    kem: KemPreKey,
}

impl Device {
    fn new(name: &str, rng: &mut StdRng) -> Self {
        let identity = IdentityKeyPair::generate(rng);
        Self {
            address: Address::new(name, DeviceId::new(1).unwrap()),
            signed: SignedPreKey::generate(SignedPreKeyId(1), &identity, 0, rng),
            one_time: OneTimePreKey::generate(OneTimePreKeyId(1), rng),
            kem: KemPreKey::generate(KemPreKeyId(1), &identity, 0, rng),
            identity,
        }
    }

    fn local(&self) -> LocalDevice<'_> {
        LocalDevice { identity: &self.identity, address: &self.address, registration_id: 1 }
    }

    fn bundle(&self) -> VerifiedBundle {
        let raw = RawPreKeyBundle {
            registration_id: 1,
            device_id: 1,
            identity_key: &self.identity.public().serialize(),
            signed_pre_key: RawSigned {
                id: 1,
                key: &self.signed.public_key(),
                signature: self.signed.signature(),
            },
            one_time_pre_key: Some((1, &self.one_time.public_key())),
            kem_pre_key: Some(RawSigned {
                id: 1,
                key: &self.kem.public_key(),
                signature: self.kem.signature(),
            }),
        };
        PreKeyBundle::parse(raw).unwrap().verify().unwrap()
    }

    fn meet(&self, peer: &Self, rng: &mut impl rand_core::CryptoRng) -> SessionRecord {
        let local = self.local();
        SessionRecord::empty().initiate(&local, &peer.address, peer.bundle(), POLICY, NOW, rng).unwrap()
    }

    fn send(
        &self,
        record: &SessionRecord,
        peer: &Self,
        rng: &mut impl rand_core::CryptoRng,
    ) -> (SessionRecord, Vec<u8>) {
        let sent = record.encrypt(&self.local(), &peer.address, b"hello", NOW, rng).unwrap();
        (sent.next, sent.output.serialize().to_vec())
    }

    fn receive(
        &self,
        record: &SessionRecord,
        peer: &Self,
        message: &[u8],
        rng: &mut impl rand_core::CryptoRng,
    ) -> SessionRecord {
        let (local, remote) = (self.local(), &peer.address);
        let inbound = Inbound { local, remote, skipped: &[], policy: POLICY, now: NOW };
        if let Ok(message) = SignalMessage::parse(message) {
            return record.decrypt(&inbound, &message, rng).unwrap().next;
        }
        let message = PreKeySignalMessage::parse(message).unwrap();
        let keys =
            Some(OurPreKeys { signed: &self.signed, one_time: Some(&self.one_time), kem: Some(&self.kem) });
        record.decrypt_pre_key(&inbound, &message, keys, rng).unwrap().advanced.next
    }

    /// The ratchet key of the next message.
    fn ratchet_key(&self, record: &SessionRecord, peer: &Self) -> Vec<u8> {
        let sent = record.encrypt(&self.local(), &peer.address, b"", NOW, &mut rng()).unwrap();
        let key = match &sent.output {
            Ciphertext::Signal(message) => *message.ratchet_key(),
            Ciphertext::PreKey(message) => *message.signal_message().ratchet_key(),
        };
        assert!(sent.next.sends_with(&key));
        key.to_vec()
    }
}

fn rng() -> StdRng {
    StdRng::seed_from_u64(42)
}

fn two() -> [Device; 2] {
    let rng = &mut rng();
    ["9d0652a3-dcc3-4d11-975f-74d61598733f", "796abedb-ca4e-4f18-8803-1fde5b921f9f"]
        .map(|name| Device::new(name, rng))
}

#[test]
fn identity_keys_depend_on_every_byte_drawn() {
    follows([32], |rng| [IdentityKeyPair::generate(rng).public().serialize().to_vec()]);
}

/// The key of an account, and `Z` of two signatures: a device's, and that over the list.
#[test]
fn device_lists_depend_on_every_byte_drawn() {
    let (me, user, device) = (IdentityKeyPair::generate(&mut rng()), [7; 16], DeviceId::new(1).unwrap());
    follows([32, 64, 64], |rng| {
        let account = AccountKeyPair::generate(rng);
        let binding = DeviceBinding::sign(&user, device, &me, &account.public(), rng);
        let entry = DeviceEntry { device, identity: *me.public(), added_ms: 0, is_primary: true, binding };
        let list = DeviceList::new(1, vec![entry]).unwrap().sign(&user, &account, rng).serialize();
        let signature = list.last_chunk::<64>().unwrap().to_vec();
        [account.public().serialize().to_vec(), binding.as_bytes().to_vec(), signature]
    });
}

/// `Z` of the signatures under an entry and of a proof, the secret of a group, the salt of its details, and the secret of a link.
#[test]
fn entries_of_rosters_depend_on_every_byte_drawn() {
    let (me, user, group) = (IdentityKeyPair::generate(&mut rng()), [7; 16], [3; 16]);
    let account = AccountKey::from(*me.public());
    let joiner = Joiner { user: &user, device: DeviceId::new(1).unwrap(), account: &account };
    follows([64, 32, 16, 32, 64], |rng| {
        let signature = EntrySignature::sign(b"entry", &me, rng).as_bytes().to_vec();
        let secret = GroupSecret::generate(rng);
        let details = secret.seal_details(&group, 9, b"title", rng).unwrap();
        let link = LinkSecret::generate(rng);
        let proof = link.prove(&group, &joiner, rng).as_bytes().to_vec();
        [signature, secret.expose().to_vec(), details, link.expose().to_vec(), proof]
    });
}

/// A key pair, and `Z` of the XEdDSA signature over its public half.
#[test]
fn signed_pre_keys_depend_on_every_byte_drawn() {
    let me = IdentityKeyPair::generate(&mut rng());
    follows([32, 64], |rng| {
        let key = SignedPreKey::generate(SignedPreKeyId(1), &me, 0, rng);
        [key.public_key().to_vec(), key.signature().to_vec()]
    });
}

#[test]
fn one_time_pre_keys_depend_on_every_byte_drawn() {
    follows([32], |rng| [OneTimePreKey::generate(OneTimePreKeyId(1), rng).public_key().to_vec()]);
}

/// The seed of a KEM key pair, whose second half affects only the secret key, and `Z`.
#[test]
fn kem_pre_keys_depend_on_every_byte_drawn() {
    let me = IdentityKeyPair::generate(&mut rng());
    follows([64, 64], |rng| {
        let key = KemPreKey::generate(KemPreKeyId(1), &me, 0, rng);
        let stored = key.to_bytes();
        let pair = stored.strip_suffix(key.signature()).unwrap();
        [pair.to_vec(), key.signature().to_vec()]
    });
}

/// The encapsulated message, the base key, and the first ratchet key.
#[test]
fn initiated_sessions_depend_on_every_byte_drawn() {
    let [alice, bob] = two();
    follows([32, 32, 32], |rng| {
        let record = alice.meet(&bob, rng);
        let (_, first) = alice.send(&record, &bob, &mut self::rng());
        let first = PreKeySignalMessage::parse(&first).unwrap();
        let form = PreKeyForm::decode(&first.serialize()[1..]).unwrap();
        assert_eq!(form.base_key.len(), 33);
        [form.kem_ciphertext, form.base_key, first.signal_message().ratchet_key().to_vec()]
    });
}

/// The ratchet key that replaces the signed pre-key of the responder.
#[test]
fn accepted_sessions_depend_on_every_byte_drawn() {
    let [alice, bob] = two();
    let met = alice.meet(&bob, &mut rng());
    let (_, first) = alice.send(&met, &bob, &mut rng());
    follows([32], |rng| {
        let record = bob.receive(&SessionRecord::empty(), &alice, &first, rng);
        [bob.ratchet_key(&record, &alice)]
    });
}

/// Each change of direction draws a new ratchet key. SPQR draws the seed of a key pair or the message to encapsulate.
#[test]
fn ratchet_steps_depend_on_every_byte_drawn() {
    let ([mut alice, mut bob], rng) = (two(), &mut rng());
    let mut at_alice = alice.meet(&bob, rng);
    let mut at_bob = SessionRecord::empty();
    let (mut seeds, mut encapsulations, mut ratchet_keys) = (0, 0, 0);
    // Two epochs of SPQR, so that each side generates a key pair.
    for number in 0..200 {
        let mut drawing = CountingRng::new(number, None);
        let (next, message) = alice.send(&at_alice, &bob, &mut drawing);
        let sending = |rng: &mut CountingRng| {
            let (next, message) = alice.send(&at_alice, &bob, rng);
            [[&next.to_bytes()[..], &message].concat()]
        };
        match drawing.drawn {
            0 => {}
            64 => {
                seeds += 1;
                follows([64], sending);
            }
            32 => {
                encapsulations += 1;
                follows([32], sending);
            }
            other => panic!("{other} bytes drawn by a message"),
        }
        let mut drawing = CountingRng::new(number, None);
        let received = bob.receive(&at_bob, &alice, &message, &mut drawing);
        if number < 4 {
            ratchet_keys += 1;
            follows([32], |rng| {
                let received = bob.receive(&at_bob, &alice, &message, rng);
                [bob.ratchet_key(&received, &alice)]
            });
        }
        assert_eq!(drawing.drawn, 32, "every message here changes the direction");
        (at_alice, at_bob) = (received, next);
        std::mem::swap(&mut alice, &mut bob);
    }
    assert_eq!(ratchet_keys, 4);
    assert!(seeds >= 2 && encapsulations >= 2, "{seeds} seeds and {encapsulations} encapsulations");
}

/// Messages in one direction need no new ratchet key, so nothing is drawn.
#[test]
fn nothing_is_drawn_without_a_change_of_direction() {
    let ([alice, bob], rng) = (two(), &mut rng());
    let met = alice.meet(&bob, rng);
    let (met, first) = alice.send(&met, &bob, rng);
    let at_bob = bob.receive(&SessionRecord::empty(), &alice, &first, rng);
    let mut rng = CountingRng::new(1, None);
    let (_, second) = alice.send(&met, &bob, &mut rng);
    bob.receive(&at_bob, &alice, &second, &mut rng);
    assert_eq!(rng.drawn, 0);
}

#[test]
fn distribution_ids_depend_on_every_byte_drawn() {
    follows([16], |rng| [DistributionId::generate(rng).as_bytes().to_vec()]);
}

/// The ID of the chain, its first key, and the signing key.
#[test]
fn sender_keys_depend_on_every_byte_drawn() {
    follows([4, 32, 32], |rng| {
        let record = SenderKeyRecord::empty(DistributionId::new([7; 16]));
        let made = record.create_distribution(rng).output;
        let form = DistributionForm::decode(&made.serialize()[1..]).unwrap();
        assert_eq!((form.chain_key.len(), form.signing_key.len()), (32, 33));
        [form.chain_id.to_be_bytes().to_vec(), form.chain_key, form.signing_key]
    });
}

/// `Z` of the signature.
#[test]
fn group_messages_depend_on_every_byte_drawn() {
    let record = SenderKeyRecord::empty(DistributionId::new([7; 16])).create_distribution(&mut rng()).next;
    follows([64], |rng| [record.encrypt(b"hello", rng).unwrap().output.serialize().to_vec()]);
}

#[test]
fn server_keys_and_certificates_depend_on_every_byte_drawn() {
    follows([32], |rng| [ServerKeyPair::generate(rng).private().expose().to_vec()]);
    let ([alice, _], root) = (two(), ServerKeyPair::generate(&mut rng()));
    follows([64], |rng| [ServerCertificate::issue(1, &root.public(), &root, rng).serialize().to_vec()]);
    follows([64], |rng| [certificate(&alice, &root, rng).serialize().to_vec()]);
}

/// The ephemeral key for one recipient, the seed for several, and the ephemeral key of HPKE.
#[test]
fn envelopes_depend_on_every_byte_drawn() {
    let [alice, bob] = two();
    let certificate = certificate(&alice, &ServerKeyPair::generate(&mut rng()), &mut rng());
    let content =
        UnidentifiedContent::new(MessageType::Signal, certificate, b"hello", ContentHint::Default, &[]);
    let (ours, theirs) = (&alice.identity, bob.identity.public());
    follows([32], |rng| [sealed::seal_v1(&content, ours, theirs, &mut Remembered::default(), rng).unwrap()]);
    follows([32], |rng| {
        let recipient = Recipient { address: &bob.address, identity_key: theirs, registration_id: 1 };
        let sent =
            sealed::seal_v2(&content, ours, &[recipient], &[], &mut Remembered::default(), rng).unwrap();
        [sent.received_by(&sent.recipients()[0])]
    });
    follows([32], |rng| [hpke::seal(theirs, b"info", b"associated", b"hello", rng).unwrap()]);
}

fn certificate(
    device: &Device,
    server: &ServerKeyPair,
    rng: &mut impl rand_core::CryptoRng,
) -> SenderCertificate {
    let claims = SenderClaims {
        address: &device.address,
        e164: None,
        identity_key: device.identity.public(),
        expires: UnixMillis(1),
    };
    SenderCertificate::issue(&claims, Signer::Known(1), server, rng)
}

#[derive(Clone, PartialEq, prost::Message)]
struct PreKeyForm {
    #[prost(bytes = "vec", tag = "2")]
    base_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "8")]
    kem_ciphertext: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct DistributionForm {
    #[prost(uint32, tag = "2")]
    chain_id: u32,
    #[prost(bytes = "vec", tag = "4")]
    chain_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    signing_key: Vec<u8>,
}

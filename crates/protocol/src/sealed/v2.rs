//! Version 2: for many recipients and devices, with one ciphertext.
//!
//! ```text
//!   r, k = HKDF(M)                           M: the seed, random; E = r·G
//!   ciphertext = AES-GCM-SIV(k, content)
//!
//!   for each recipient R, from the sender S:
//!   C  = M xor HKDF(DH(E, R) || E || R)      who has R finds the seed, and from it that E is the right one
//!   AT = HKDF(DH(S, R) || E || C || S || R)  S or R sealed this seed, and R knows that it was not R
//! ```
//!
//! `AT` covers the seed, not the ciphertext, which every recipient can replace: see the [module](super).

use std::collections::BTreeMap;

use bytes::Bytes;
use rand_core::CryptoRng;
use subtle::ConstantTimeEq as _;

use super::content::UnidentifiedContent;
use super::error::{OpenError, SealError};
use super::remembered::Remembered;
use super::sent::{EPHEMERAL_LEN, SentMessage, SentRecipient, TAG_LEN};
use crate::address::{Address, DeviceId};
use crate::error::{DecodeError, LowOrderPoint};
use crate::identity::{IdentityKey, IdentityKeyPair};
use crate::message::MessageType;
use crate::primitives::secret::Secret;
use crate::primitives::x25519::{KeyPair, PublicKey};
use crate::primitives::{gcm_siv, kdf};
use crate::shared_work;

/// One device of a recipient.
#[derive(Debug, Clone, Copy)]
pub struct Recipient<'a> {
    /// The device. The name of the user must be a service id.
    pub address: &'a Address,
    /// The identity key of the user, from the session with that device.
    pub identity_key: &'a IdentityKey,
    /// The registration id of the device, from the session with it.
    pub registration_id: u32,
}

/// Seals `content` for all `recipients`. `excluded` are service ids of fixed width of members who do not receive the
/// message, so that the relay knows that they were not forgotten. Above 32 users, the work is distributed over all
/// cores.
///
/// # Errors
/// [`SealError`].
pub fn seal_v2<R: CryptoRng + ?Sized>(
    content: &UnidentifiedContent,
    sender: &IdentityKeyPair,
    recipients: &[Recipient<'_>],
    excluded: &[[u8; 17]],
    remembered: &mut Remembered,
    rng: &mut R,
) -> Result<SentMessage, SealError> {
    seal_with(Seed(Secret::random(rng)), content, sender, recipients, excluded, remembered)
}

fn seal_with(
    seed: Seed,
    content: &UnidentifiedContent,
    sender: &IdentityKeyPair,
    recipients: &[Recipient<'_>],
    excluded: &[[u8; 17]],
    remembered: &mut Remembered,
) -> Result<SentMessage, SealError> {
    if content.certificate.identity_key() != sender.public() {
        return Err(SealError::WrongCertificate);
    }
    if content.kind == MessageType::Plaintext {
        return Err(SealError::Unbound);
    }
    let ephemeral = seed.ephemeral();
    let users = users(recipients)?;
    let envelopes =
        shared_work::for_each(&users, |user| envelope(user, &seed, &ephemeral, sender, remembered));
    let mut sent = Vec::with_capacity(users.len());
    for (user, envelope) in users.iter().zip(envelopes) {
        let (recipient, agreed) = envelope?;
        if let Some(agreed) = agreed {
            remembered.remember(sender.public(), user.identity_key, agreed);
        }
        sent.push(recipient);
    }
    let ciphertext = gcm_siv::seal(seed.cipher_key(), content.serialize()).ok_or(SealError::TooLong)?;
    SentMessage::compose(sent, excluded, &coordinate(ephemeral.public()), &ciphertext)
}

/// A user, with the devices that receive the message.
struct User<'a> {
    service_id: &'a [u8; 17],
    identity_key: &'a IdentityKey,
    devices: Vec<(DeviceId, u16)>,
}

/// The users among `recipients`, each once, in the order of their first devices.
fn users<'a>(recipients: &[Recipient<'a>]) -> Result<Vec<User<'a>>, SealError> {
    let mut users: Vec<User<'a>> = Vec::new();
    let mut places = BTreeMap::new();
    for recipient in recipients {
        let Recipient { address, identity_key, .. } = *recipient;
        let service_id = address.service_id().ok_or(SealError::NotServiceId)?;
        let device = (address.device(), registration_id(recipient)?);
        match places.get(service_id).and_then(|place| users.get_mut(*place)) {
            Some(User { devices, identity_key: known, .. }) => {
                if *known != identity_key || devices.iter().any(|(known, _)| *known == device.0) {
                    return Err(SealError::Contradiction);
                }
                devices.push(device);
            }
            None => {
                places.insert(service_id, users.len());
                users.push(User { service_id, identity_key, devices: vec![device] });
            }
        }
    }
    Ok(users)
}

/// The part for a single user, and the agreement of the two identity keys, unless it was cached.
fn envelope(
    user: &User<'_>,
    seed: &Seed,
    ephemeral: &KeyPair,
    sender: &IdentityKeyPair,
    remembered: &Remembered,
) -> Result<(SentRecipient, Option<Secret<32>>), LowOrderPoint> {
    let User { service_id, identity_key, devices } = user;
    let shared = ephemeral.agree(identity_key.public_key())?;
    let wrapped = seed.masked(&shared, ephemeral.public(), identity_key);
    let agreed;
    let (shared, is_new) = match remembered.known(sender.public(), identity_key) {
        Some(known) => (known, false),
        None => {
            agreed = sender.key_pair().agree(identity_key.public_key())?;
            (&agreed, true)
        }
    };
    let tag = tag(shared, ephemeral.public(), wrapped.expose(), (sender.public(), identity_key));
    let recipient = SentRecipient::new(**service_id, devices.clone(), *wrapped.expose(), *tag.expose());
    Ok((recipient, is_new.then(|| shared.copy())))
}

/// Opens the part after the version byte of the received form.
pub(super) fn open(
    body: &[u8],
    ours: &IdentityKeyPair,
    remembered: &mut Remembered,
) -> Result<UnidentifiedContent, OpenError> {
    let (wrapped, rest) = body.split_first_chunk::<32>().ok_or(DecodeError::TooShort)?;
    let (their_tag, rest) = rest.split_first_chunk::<TAG_LEN>().ok_or(DecodeError::TooShort)?;
    let (coordinate, ciphertext) = rest.split_first_chunk::<EPHEMERAL_LEN>().ok_or(DecodeError::TooShort)?;
    let ephemeral = PublicKey::from_coordinate(*coordinate);

    let shared = ours.key_pair().agree(&ephemeral).map_err(|LowOrderPoint| OpenError::NotDecryptable)?;
    let seed = Seed(Seed(Secret::new(*wrapped)).masked(&shared, &ephemeral, ours.public()));
    if !bool::from(seed.ephemeral().public().as_bytes().ct_eq(ephemeral.as_bytes())) {
        return Err(OpenError::NotDecryptable);
    }
    let content = Bytes::copy_from_slice(&gcm_siv::open(seed.cipher_key(), ciphertext)?);
    let content = UnidentifiedContent::parse_shared(content).map_err(OpenError::Content)?;

    let sender = content.certificate.identity_key();
    let shared = remembered.agree(ours, sender).map_err(|LowOrderPoint| OpenError::WrongSender)?;
    let tag = tag(&shared, &ephemeral, wrapped, (sender, ours.public()));
    if !bool::from(tag.expose().ct_eq(their_tag)) {
        return Err(OpenError::WrongSender);
    }
    Ok(content)
}

/// `M`.
struct Seed(Secret<32>);

impl Seed {
    fn ephemeral(&self) -> KeyPair {
        KeyPair::from_private(&kdf::hkdf(None, &[self.0.expose()], kdf::SEALED_EPHEMERAL))
    }

    fn cipher_key(&self) -> Secret<32> {
        kdf::hkdf(None, &[self.0.expose()], kdf::SEALED_CIPHER)
    }

    /// Computes `C` from `M`, and vice versa.
    fn masked(&self, shared: &Secret<32>, ephemeral: &PublicKey, recipient: &IdentityKey) -> Secret<32> {
        let input: [&[u8]; 3] = [shared.expose(), ephemeral.as_bytes(), recipient.as_bytes()];
        let mask: Secret<32> = kdf::hkdf(None, &input, kdf::SEALED_SEED);
        Secret::fill(|out| {
            for (out, (seed, mask)) in out.iter_mut().zip(self.0.expose().iter().zip(mask.expose())) {
                *out = seed ^ mask;
            }
        })
    }
}

/// `AT`; `identities` are those of the sender and the recipient.
fn tag(
    shared: &Secret<32>,
    ephemeral: &PublicKey,
    wrapped: &[u8; 32],
    (sender, recipient): (&IdentityKey, &IdentityKey),
) -> Secret<TAG_LEN> {
    let input: [&[u8]; 5] =
        [shared.expose(), ephemeral.as_bytes(), wrapped, sender.as_bytes(), recipient.as_bytes()];
    kdf::hkdf(None, &input, kdf::SEALED_SENDER)
}

fn registration_id(recipient: &Recipient<'_>) -> Result<u16, SealError> {
    let id = u16::try_from(recipient.registration_id).map_err(|_| SealError::RegistrationId)?;
    if id > SentRecipient::MAX_REGISTRATION_ID {
        return Err(SealError::RegistrationId);
    }
    Ok(id)
}

/// Without the type byte.
fn coordinate(key: &PublicKey) -> [u8; EPHEMERAL_LEN] {
    let [_, coordinate @ ..] = *key.as_bytes();
    coordinate
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::DeviceId;
    use crate::sealed::{
        ContentHint, EnvelopeVersion, Receiver, SenderCertificate, ServerKeyPair, Trust, UnixMillis,
        VerifyError,
    };
    use crate::vectors::{self, bytes, secret};

    fn identity(private: &serde_json::Value) -> IdentityKeyPair {
        let pair = KeyPair::from_private(&secret(private));
        let stored =
            [&[0x0a, 33], &pair.public().as_bytes()[..], &[0x12, 32], pair.private().expose()].concat();
        IdentityKeyPair::from_bytes(&stored).unwrap()
    }

    #[test]
    fn a_sent_message_equals_the_vector() {
        let file = vectors::load("sealed-sender");
        let case = &file["v2"];
        let sender = identity(&file["sender_identity_private"]);
        let first = *identity(&file["recipient_identity_private"]).public();
        let second = *identity(&case["second_recipient_identity_private"]).public();
        let address = |name, device| Address::new(name, DeviceId::new(device).unwrap());
        let addresses = [
            address("796abedb-ca4e-4f18-8803-1fde5b921f9f", 3),
            address("e80f7bbe-5b94-471e-bd8c-2173654ea3d1", 1),
            address("e80f7bbe-5b94-471e-bd8c-2173654ea3d1", 2),
        ];
        let theirs = bytes(&case["sent_message"]);
        let parsed = SentMessage::parse(&theirs).unwrap();
        let numbers: Vec<_> = parsed.recipients().iter().flat_map(SentRecipient::devices).collect();
        let recipients: Vec<_> = addresses
            .iter()
            .zip([&first, &second, &second])
            .zip(numbers)
            .map(|((address, identity_key), (device, registration_id))| {
                assert_eq!(address.device(), device);
                Recipient { address, identity_key, registration_id: registration_id.into() }
            })
            .collect();
        let excluded = *address("PNI:22222222-2222-2222-2222-222222222222", 1).service_id().unwrap();

        let content = UnidentifiedContent::parse(&bytes(&case["usmc"])).unwrap();
        let seed = Seed(secret(&case["M"]));
        let remembered = &mut Remembered::default();
        let ours = seal_with(seed, &content, &sender, &recipients, &[excluded], remembered).unwrap();
        assert_eq!(ours.serialize(), theirs);
        let [for_first, for_second] = ours.recipients() else { panic!() };
        assert_eq!(ours.received_by(for_first), bytes(&case["received_for_first"]));

        for (recipient, private) in [
            (for_first, &file["recipient_identity_private"]),
            (for_second, &case["second_recipient_identity_private"]),
        ] {
            let received = ours.received_by(recipient);
            let opened = crate::sealed::open(&received, &identity(private), remembered).unwrap();
            assert_eq!(opened.serialize(), bytes(&case["usmc"]));
        }
    }

    #[test]
    fn contents_are_encoded_as_in_the_vectors() {
        let file = vectors::load("sealed-sender");
        for case in ["v1", "v2"] {
            let theirs = bytes(&file[case]["usmc"]);
            let parsed = UnidentifiedContent::parse(&theirs).unwrap();
            let UnidentifiedContent { kind, hint, .. } = parsed;
            let certificate = SenderCertificate::parse(&bytes(&file["sender_certificate"])).unwrap();
            let ours = UnidentifiedContent::new(kind, certificate, &parsed.message, hint, &parsed.group_id);
            assert_eq!(ours.serialize(), theirs);
            assert_ne!(hint, ContentHint::Unknown(0));
        }
    }

    #[test]
    fn an_ephemeral_key_that_does_not_match_the_seed_is_refused() {
        let file = vectors::load("sealed-sender");
        let case = &file["v2"];
        let [sender, recipient] =
            ["sender_identity_private", "recipient_identity_private"].map(|name| identity(&file[name]));
        let sealed_with = |ephemeral: KeyPair| {
            let seed = Seed(secret(&case["M"]));
            let shared = ephemeral.agree(recipient.public().public_key()).unwrap();
            let wrapped = seed.masked(&shared, ephemeral.public(), recipient.public());
            let shared = sender.key_pair().agree(recipient.public().public_key()).unwrap();
            let identities = (sender.public(), recipient.public());
            let tag = tag(&shared, ephemeral.public(), wrapped.expose(), identities);
            let ciphertext = gcm_siv::seal(seed.cipher_key(), &bytes(&case["usmc"])).unwrap();
            let body = [wrapped.expose(), &tag.expose()[..], &coordinate(ephemeral.public()), &ciphertext];
            open(&body.concat(), &recipient, &mut Remembered::default()).map(drop)
        };
        assert_eq!(sealed_with(Seed(secret(&case["M"])).ephemeral()), Ok(()));
        let other = KeyPair::from_private(&Secret::new([0x42; 32]));
        assert_eq!(sealed_with(other), Err(OpenError::NotDecryptable));
    }

    /// Enough recipients for several threads. The bytes depend neither on the threads nor on the cache.
    #[test]
    fn messages_to_many_recipients_are_the_same_as_to_few() {
        let file = vectors::load("sealed-sender");
        let sender = identity(&file["sender_identity_private"]);
        let content = UnidentifiedContent::parse(&bytes(&file["v2"]["usmc"])).unwrap();
        let people: Vec<_> = (1..=70_u8)
            .map(|number| {
                let identity = IdentityKeyPair::from_private(&Secret::new([number; 32]));
                let name = format!("00000000-0000-4000-8000-0000000000{number:02x}");
                (Address::new(&name, DeviceId::new(1).unwrap()), identity)
            })
            .collect();
        let mut recipients: Vec<_> = people
            .iter()
            .map(|(address, identity)| Recipient {
                address,
                identity_key: identity.public(),
                registration_id: 7,
            })
            .collect();
        let seal = |recipients: &[Recipient<'_>], remembered: &mut Remembered| {
            let seed = Seed(secret(&file["v2"]["M"]));
            seal_with(seed, &content, &sender, recipients, &[], remembered)
        };
        let remembered = &mut Remembered::default();
        let sent = seal(&recipients, remembered).unwrap();
        assert_eq!(seal(&recipients, remembered).unwrap().serialize(), sent.serialize());
        assert_eq!(sent.recipients().len(), people.len());
        for ((recipient, for_many), (_, identity)) in recipients.iter().zip(sent.recipients()).zip(&people) {
            let alone = seal(&[*recipient], &mut Remembered::default()).unwrap();
            let [for_one] = alone.recipients() else { panic!() };
            assert_eq!(sent.received_by(for_many), alone.received_by(for_one));
            let received = &sent.received_by(for_many)[1..];
            assert!(open(received, identity, &mut Remembered::default()).is_ok());
        }

        let low_order = IdentityKey::parse(&[&[5], &[0; 32][..]].concat()).unwrap();
        recipients[60].identity_key = &low_order;
        assert_eq!(seal(&recipients, remembered).err(), Some(SealError::BadIdentityKey));
    }

    /// What version 2 does not authenticate: any recipient can replace the content that was sealed, and the relay can
    /// deliver it to another recipient in the name of the sender.
    #[test]
    fn a_recipient_can_impersonate_the_sender_but_plaintext_content_is_refused() {
        let file = vectors::load("sealed-sender");
        let case = &file["v2"];
        let bob = identity(&file["recipient_identity_private"]);
        let carol = identity(&case["second_recipient_identity_private"]);
        let sent = SentMessage::parse(&bytes(&case["sent_message"])).unwrap();
        let [for_bob, for_carol] = sent.recipients() else { panic!() };
        let (to_bob, mut to_carol) = (sent.received_by(for_bob), sent.received_by(for_carol));

        // Bob derives the seed, like every recipient.
        let (wrapped, rest) = to_bob[1..].split_first_chunk::<32>().unwrap();
        let (coordinate, _) = rest[TAG_LEN..].split_first_chunk::<EPHEMERAL_LEN>().unwrap();
        let ephemeral = PublicKey::from_coordinate(*coordinate);
        let shared = bob.key_pair().agree(&ephemeral).unwrap();
        let seed = Seed(Seed(Secret::new(*wrapped)).masked(&shared, &ephemeral, bob.public()));

        let certificate = SenderCertificate::parse(&bytes(&file["sender_certificate"])).unwrap();
        let trust =
            Trust::new(vec![ServerKeyPair::from_private(&secret(&file["trust_root_private"])).public()]);
        let (here, now) = (Address::new("carol", DeviceId::new(1).unwrap()), UnixMillis(0));
        let receiver = Receiver { address: &here, e164: None, trust: &trust, now };
        for (kind, outcome) in
            [(MessageType::Plaintext, Err(VerifyError::Unbound)), (MessageType::Signal, Ok(()))]
        {
            let content =
                UnidentifiedContent::new(kind, certificate.clone(), b"of Bob", ContentHint::Default, b"");
            let ciphertext = gcm_siv::seal(seed.cipher_key(), content.serialize()).unwrap();
            to_carol.truncate(1 + 32 + TAG_LEN + EPHEMERAL_LEN);
            to_carol.extend_from_slice(&ciphertext);
            let opened = crate::sealed::open(&to_carol, &carol, &mut Remembered::default()).unwrap();
            assert_eq!(opened.serialize(), content.serialize());
            let verified = opened.verify(&receiver, &mut Remembered::default());
            assert_eq!(verified.map(|verified| assert_eq!(verified.version(), EnvelopeVersion::V2)), outcome);
        }
    }
}

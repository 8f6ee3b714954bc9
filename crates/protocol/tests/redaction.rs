//! The `Debug` output of every public type contains no secret, plaintext or name, and only two bytes of a public key.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::any::type_name;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::Path;

use rand::{SeedableRng as _, rngs::StdRng};
use sealpost_protocol::*;

const NOW: UnixSeconds = UnixSeconds(1_764_000_000);

/// The names of the types that were printed, including their modules.
#[derive(Default)]
struct Seen(BTreeSet<&'static str>);

impl Seen {
    #[track_caller]
    fn prints<T: Debug>(&mut self, value: &T, expected: &str) {
        assert_eq!(format!("{value:?}"), expected);
        let is_separator = |c: char| !c.is_alphanumeric() && c != '_' && c != ':';
        self.0.extend(type_name::<T>().split(is_separator));
    }
}

/// All public types, found in the source. A lint makes sure that whatever is `pub` is reachable.
fn public_types() -> BTreeSet<String> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut types = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let module = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().with_extension("");
            let module = module.to_str().unwrap().replacen("src", "sealpost_protocol", 1).replace('/', "::");
            let module = module.trim_end_matches("::mod");
            #[expect(clippy::disallowed_methods, reason = "sources are files")]
            let source = std::fs::read_to_string(&path).unwrap();
            let declared = source.lines().filter_map(|line| {
                let name = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum "))?;
                name.split(|c: char| !c.is_alphanumeric()).next()
            });
            types.extend(declared.map(|name| format!("{module}::{name}")));
        }
    }
    types
}

#[test]
fn debug_output_may_be_logged() {
    let mut seen = Seen::default();
    sessions(&mut seen);
    devices(&mut seen);
    groups(&mut seen);
    sealed_senders(&mut seen);
    errors(&mut seen);
    let missing: Vec<_> = public_types().into_iter().filter(|name| !seen.0.contains(name.as_str())).collect();
    assert_eq!(missing, [""; 0], "not printed here");
}

fn sessions(seen: &mut Seen) {
    let mut rng = StdRng::seed_from_u64(1);
    let (alice, bob) = (IdentityKeyPair::generate(&mut rng), IdentityKeyPair::generate(&mut rng));
    let address = Address::new("9d0652a3-dcc3-4d11-975f-74d61598733f", DeviceId::new(3).unwrap());
    let signed = SignedPreKey::generate(SignedPreKeyId(1), &bob, 9, &mut rng);
    let one_time = OneTimePreKey::generate(OneTimePreKeyId(2), &mut rng);
    let kem = KemPreKey::generate(KemPreKeyId(3), &bob, 9, &mut rng);
    let kem_public = kem.public_key();
    let raw = RawPreKeyBundle {
        registration_id: 4,
        device_id: 3,
        identity_key: &bob.public().serialize(),
        signed_pre_key: RawSigned { id: 1, key: &signed.public_key(), signature: signed.signature() },
        one_time_pre_key: Some((2, &one_time.public_key())),
        kem_pre_key: Some(RawSigned { id: 3, key: &kem_public, signature: kem.signature() }),
    };
    let local = LocalDevice { identity: &alice, address: &address, registration_id: 5 };
    let keys = OurPreKeys { signed: &signed, one_time: Some(&one_time), kem: Some(&kem) };
    let parsed = PreKeyBundle::parse(raw).unwrap();
    let verified = parsed.clone().verify().unwrap();
    let (policy, party) = (SessionPolicy::TripleRatchet, Party { stable_id: b"alice", key: alice.public() });

    seen.prints(&address, "Address(.., 3)");
    seen.prints(&address.device(), "DeviceId(3)");
    seen.prints(&alice, "IdentityKeyPair { public: IdentityKey(e496..), .. }");
    seen.prints(alice.public(), "IdentityKey(e496..)");
    seen.prints(&party, "Party { key: IdentityKey(e496..), .. }");
    seen.prints(
        &SafetyNumber::new(party, Party { stable_id: b"bob", key: bob.public() }),
        "SafetyNumber(..)",
    );
    seen.prints(
        &(signed.id(), one_time.id(), kem.id()),
        "(SignedPreKeyId(1), OneTimePreKeyId(2), KemPreKeyId(3))",
    );
    seen.prints(
        &signed,
        "SignedPreKey { id: SignedPreKeyId(1), pair: KeyPair { public: PublicKey(5f50..), private: Secret(..) }, signature: Signature(..), created_ms: 9 }",
    );
    seen.prints(
        &one_time,
        "OneTimePreKey { id: OneTimePreKeyId(2), pair: KeyPair { public: PublicKey(b2d5..), private: Secret(..) } }",
    );
    seen.prints(
        &kem,
        "KemPreKey { id: KemPreKeyId(3), pair: KemKeyPair { public: KemPublicKey(..), secret: Secret(..) }, signature: Signature(..), created_ms: 9 }",
    );
    seen.prints(
        &keys,
        "OurPreKeys { signed: SignedPreKey { id: SignedPreKeyId(1), pair: KeyPair { public: PublicKey(5f50..), private: Secret(..) }, signature: Signature(..), created_ms: 9 }, one_time: Some(OneTimePreKey { id: OneTimePreKeyId(2), pair: KeyPair { public: PublicKey(b2d5..), private: Secret(..) } }), kem: Some(KemPreKey { id: KemPreKeyId(3), pair: KemKeyPair { public: KemPublicKey(..), secret: Secret(..) }, signature: Signature(..), created_ms: 9 }) }",
    );
    seen.prints(&raw.signed_pre_key, "RawSigned { id: 1, .. }");
    seen.prints(
        &raw,
        "RawPreKeyBundle { device_id: 3, signed_pre_key: RawSigned { id: 1, .. }, one_time_pre_key: Some(2), kem_pre_key: Some(RawSigned { id: 3, .. }), .. }",
    );
    seen.prints(
        &parsed,
        "PreKeyBundle { registration_id: 4, device: DeviceId(3), identity_key: IdentityKey(86dd..), signed: TheirPreKey { id: SignedPreKeyId(1), key: PublicKey(5f50..) }, signature: Signature(..), one_time: Some(TheirPreKey { id: OneTimePreKeyId(2), key: PublicKey(b2d5..) }), kem: Some((TheirKemPreKey { id: KemPreKeyId(3), key: KemPublicKey(..) }, Signature(..))) }",
    );
    seen.prints(
        &verified,
        "VerifiedBundle { registration_id: 4, device: DeviceId(3), identity_key: IdentityKey(86dd..), signed: TheirPreKey { id: SignedPreKeyId(1), key: PublicKey(5f50..) }, one_time: Some(TheirPreKey { id: OneTimePreKeyId(2), key: PublicKey(b2d5..) }), kem: Some(TheirKemPreKey { id: KemPreKeyId(3), key: KemPublicKey(..) }) }",
    );
    seen.prints(
        &local,
        "LocalDevice { identity: IdentityKeyPair { public: IdentityKey(e496..), .. }, address: Address(.., 3), registration_id: 5 }",
    );

    let record = SessionRecord::empty().initiate(&local, &address, verified, policy, NOW, &mut rng).unwrap();
    let sent = record.encrypt(&local, &address, b"secret", NOW, &mut rng).unwrap();
    let Ciphertext::PreKey(message) = &sent.output else { panic!() };
    seen.prints(&record, "SessionRecord { active: Some(SessionId(v4, 5435..)), inactive: 0 }");
    seen.prints(
        message,
        "PreKeySignalMessage { version: V4, identity_key: IdentityKey(e496..), handshake: Handshake(Some(OneTimePreKeyId(2)), SignedPreKeyId(1), Some(KemPreKeyId(3))), message: SignalMessage { version: V4, header: Header { ratchet_key: PublicKey(4417..), number: 0, previous: 0 }, ciphertext_len: 16, .. }, .. }",
    );
    seen.prints(
        &sent,
        "Advanced { next: SessionRecord { active: Some(SessionId(v4, 5435..)), inactive: 0 }, skipped: [], output: PreKey(PreKeySignalMessage { version: V4, identity_key: IdentityKey(e496..), handshake: Handshake(Some(OneTimePreKeyId(2)), SignedPreKeyId(1), Some(KemPreKeyId(3))), message: SignalMessage { version: V4, header: Header { ratchet_key: PublicKey(4417..), number: 0, previous: 0 }, ciphertext_len: 16, .. }, .. }) }",
    );
    seen.prints(
        message.signal_message(),
        "SignalMessage { version: V4, header: Header { ratchet_key: PublicKey(4417..), number: 0, previous: 0 }, ciphertext_len: 16, .. }",
    );
    seen.prints(&message.session_id(), "SessionId(v4, 5435..)");
    seen.prints(&record.sessions().next().unwrap(), "StoredSession(SessionId(v4, 5435..), rank 0, Active)");
    seen.prints(&record.sessions().next().unwrap().standing, "Active");
    seen.prints(&record.to_bytes(), "StoredBytes(..)");
    seen.prints(
        &record.changes_since(&SessionRecord::empty()),
        "[Put(SessionId(v4, 5435..), rank 0, Active)]",
    );
    seen.prints(&SessionRecord::empty().changes_since(&record), "[Remove(SessionId(v4, 5435..))]");

    let to_bob = LocalDevice { identity: &bob, ..local };
    let empty = SessionRecord::empty();
    let inbound = Inbound { local: to_bob, remote: &address, skipped: &[], policy, now: NOW };
    seen.prints(
        &inbound,
        "Inbound { local: LocalDevice { identity: IdentityKeyPair { public: IdentityKey(86dd..), .. }, address: Address(.., 3), registration_id: 5 }, remote: Address(.., 3), skipped: [], policy: TripleRatchet, now: UnixSeconds(1764000000) }",
    );
    let accepted = empty.decrypt_pre_key(&inbound, message, Some(keys), &mut rng).unwrap();
    seen.prints(
        &accepted,
        "Accepted { advanced: Advanced { next: SessionRecord { active: Some(SessionId(v4, 5435..)), inactive: 0 }, skipped: [], output: Decrypted { plaintext: Plaintext(..), authenticated_by: IdentityKey(e496..) } }, consumed: Some(Consumed { one_time: Some(OneTimePreKeyId(2)), kem: Some(KemPreKeyId(3)), signed: SignedPreKeyId(1), .. }) }",
    );

    seen.prints(
        &accepted.consumed,
        "Some(Consumed { one_time: Some(OneTimePreKeyId(2)), kem: Some(KemPreKeyId(3)), signed: SignedPreKeyId(1), .. })",
    );
    seen.prints(&accepted.advanced.output.plaintext, "Plaintext(..)");
    seen.prints(
        &accepted.advanced.output,
        "Decrypted { plaintext: Plaintext(..), authenticated_by: IdentityKey(e496..) }",
    );
    seen.prints(&(message.version(), policy, NOW), "(V4, TripleRatchet, UnixSeconds(1764000000))");

    let id = SkippedKeyId { session: message.session_id(), ratchet_key: [5; 33], number: 6 };
    seen.prints(&Secret::new([7; 32]), "Secret(..)");
    seen.prints(&id, "SkippedKeyId(SessionId(v4, 5435..), 0505.., 6)");
    let name = SkippedKeyName { ratchet_key: [5; 33], number: 6 };
    seen.prints(&name, "SkippedKeyName(0505.., 6)");
    seen.prints(
        &SkippedKey::new(id, [7; 32], Some(NOW)),
        "SkippedKey { id: SkippedKeyId(SessionId(v4, 5435..), 0505.., 6), seed: Secret(..), since: Some(UnixSeconds(1764000000)) }",
    );
    seen.prints(
        &SkippedChange::Keep(SkippedKey::new(id, [7; 32], Some(NOW))),
        "Keep(SkippedKeyId(SessionId(v4, 5435..), 0505.., 6))",
    );
    seen.prints(&SkippedChange::Forget(id), "Forget(SkippedKeyId(SessionId(v4, 5435..), 0505.., 6))");
    let (session, ratchet_key) = (id.session, id.ratchet_key);
    seen.prints(
        &SkippedChange::KeepNewest { session, ratchet_key, count: 8 },
        "KeepNewest(SessionId(v4, 5435..), 8)",
    );
    seen.prints(&SkippedChange::ForgetChain { session, ratchet_key }, "ForgetChain(SessionId(v4, 5435..))");
    seen.prints(&SkippedChange::ForgetSession(session), "ForgetSession(SessionId(v4, 5435..))");
    seen.prints(&SkippedKeys::default(), "SkippedKeys(0)");
}

fn devices(seen: &mut Seen) {
    use sealpost_protocol::device::*;
    let rng = &mut StdRng::seed_from_u64(1);
    let (account, identity) = (AccountKeyPair::generate(rng), IdentityKeyPair::generate(rng));
    let (user, device) = ([7; 16], DeviceId::new(1).unwrap());
    let binding = DeviceBinding::sign(&user, device, &identity, &account.public(), rng);
    let entry = DeviceEntry { device, identity: *identity.public(), added_ms: 9, is_primary: true, binding };
    let list = DeviceList::new(3, vec![entry]).unwrap();
    seen.prints(&account, "AccountKeyPair(AccountKey(e496..), ..)");
    seen.prints(&account.public(), "AccountKey(e496..)");
    let of_entry = "DeviceEntry { device: DeviceId(1), identity: IdentityKey(86dd..), added_ms: 9, is_primary: true, binding: DeviceBinding(Signature(..)) }";
    seen.prints(&binding, "DeviceBinding(Signature(..))");
    seen.prints(&entry, of_entry);
    let of_list = format!("DeviceList {{ version: 3, devices: [{of_entry}], moves: [] }}");
    seen.prints(&list, &of_list);
    let signed = list.sign(&user, &account, rng);
    let of_signed = format!(
        "SignedDeviceList {{ account: AccountKey(e496..), list: {of_list}, signature: Signature(..) }}"
    );
    seen.prints(&signed, &of_signed);
    let verified = signed.verify(&user).unwrap();
    seen.prints(&verified, &format!("VerifiedDeviceList({of_signed})"));
    let known = KnownDeviceList { digest: [0xab; 32], ..verified.known() };
    seen.prints(&known, "KnownDeviceList { account: AccountKey(e496..), version: 3, digest: abab.. }");
    seen.prints(&(known.succession(&verified), ListError::Binding), "(Contradicts, Binding)");
    linking(seen, &user, &verified);
    moving(seen, &user, &account, &identity);
}

fn moving(seen: &mut Seen, user: &[u8; 16], account: &device::AccountKeyPair, identity: &IdentityKeyPair) {
    use sealpost_protocol::device::*;
    let rng = &mut StdRng::seed_from_u64(3);
    let (second, key) = (IdentityKeyPair::generate(rng), AccountKeyPair::generate(rng));
    let mut entry = |number, identity: &IdentityKeyPair, is_primary| {
        let device = DeviceId::new(number).unwrap();
        let binding = DeviceBinding::sign(user, device, identity, &account.public(), rng);
        DeviceEntry { device, identity: *identity.public(), added_ms: 9, is_primary, binding }
    };
    let entries = vec![entry(1, identity, true), entry(2, &second, false)];
    let rng = &mut StdRng::seed_from_u64(4);
    let list = DeviceList::new(3, entries).unwrap().sign(user, account, rng).verify(user).unwrap();
    let device = DeviceId::new(2).unwrap();
    let proposal = MoveProposal::sign(&list, user, (device, &second), &key, rng).unwrap();
    let printed = format!("{proposal:?}");
    assert!(printed.starts_with("MoveProposal(SignedDeviceList { account: AccountKey("), "{printed}");
    seen.prints(&proposal, &printed);
    let moved = proposal.accept(&list, user, device, account, rng).unwrap();
    let of_move = "AccountMove { from: AccountKey(e496..), version: 4, signature: Signature(..) }";
    seen.prints(moved.moves().first().unwrap(), of_move);
    assert!(printed.contains(&format!("moves: [{of_move}]")), "{printed}");
}

fn linking(seen: &mut Seen, user: &[u8; 16], list: &device::VerifiedDeviceList) {
    use sealpost_protocol::device::link::*;
    let rng = &mut StdRng::seed_from_u64(2);
    let keys = LinkKeys::generate([5; LINK_ID_LEN], rng);
    let code = keys.code();
    seen.prints(&keys, "LinkKeys(LinkCode(IdentityKey(8944..), ..), ..)");
    seen.prints(code, "LinkCode(IdentityKey(8944..), ..)");
    let new = NewOffer { user, device: DeviceId::new(2).unwrap(), token: &[9; LINK_TOKEN_LEN], list };
    seen.prints(&new, "NewOffer { device: DeviceId(2), .. }");
    let sealed = new.seal(code, rng).unwrap();
    seen.prints(&sealed, "SealedOffer(..)");
    seen.prints(&sealed.nonce, "LinkNonce(..)");
    let offer = Offer::open(&keys, &sealed.bytes).unwrap();
    seen.prints(&offer, &format!("Offer {{ device: DeviceId(2), list: {list:?}, .. }}"));
    let answer = Answer::new(&keys, &offer, (3, "my tablet".to_owned()), rng);
    seen.prints(&answer, "Answer { binding: DeviceBinding(Signature(..)), .. }");
    let sent = answer.seal(&keys, &offer).unwrap();
    seen.prints(&ShortCode::new(code, &sealed.bytes, &sent, &sealed.nonce), "ShortCode(..)");
    seen.prints(&Release::Linked(list.clone()), &format!("Linked({list:?})"));
    seen.prints(&(CodeError::Cut, LinkError::Nonce), "(Cut, Nonce)");
}

fn groups(seen: &mut Seen) {
    use sealpost_protocol::group::{
        DecryptError, EncryptError, SenderKeyRecord, SkippedChange, SkippedKey, SkippedKeyId,
        WrongDistribution,
    };
    let rng = &mut StdRng::seed_from_u64(1);
    let distribution_id = DistributionId::new([0xab; 16]);
    let made = SenderKeyRecord::empty(distribution_id).create_distribution(rng);
    seen.prints(&distribution_id, "DistributionId(abab..)");
    seen.prints(&made.next, "SenderKeyRecord { distribution_id: DistributionId(abab..), chains: 1 }");
    seen.prints(
        &made,
        "Advanced { next: SenderKeyRecord { distribution_id: DistributionId(abab..), chains: 1 }, skipped: [], output: SenderKeyDistributionMessage { distribution_id: DistributionId(abab..), chain_id: 1771572272, iteration: 0, signing_key: PublicKey(825b..), .. } }",
    );
    let sent = made.next.encrypt(b"secret", rng).unwrap();
    seen.prints(
        &sent,
        "Advanced { next: SenderKeyRecord { distribution_id: DistributionId(abab..), chains: 1 }, skipped: [], output: SenderKeyMessage { distribution_id: DistributionId(abab..), chain_id: 1771572272, iteration: 0, ciphertext_len: 16, .. } }",
    );
    let read = SenderKeyRecord::empty(distribution_id).process(&made.output).unwrap().next;
    let known = &mut KnownKeys::default();
    seen.prints(
        &read.decrypt(&sent.output, None, NOW, known).unwrap(),
        "Advanced { next: SenderKeyRecord { distribution_id: DistributionId(abab..), chains: 1 }, skipped: [], output: Plaintext(..) }",
    );
    seen.prints(known, "KnownKeys(1)");
    rosters(seen);
    let errors = (EncryptError::NoSenderKey, DecryptError::Duplicate, WrongDistribution);
    seen.prints(&errors, "(NoSenderKey, Duplicate, WrongDistribution)");

    let id = SkippedKeyId { distribution_id, chain_id: 7, iteration: 6 };
    seen.prints(
        &SkippedKey::new(id, [7; 32], Some(NOW)),
        "SkippedKey { id: SkippedKeyId { distribution_id: DistributionId(abab..), chain_id: 7, iteration: 6 }, seed: Secret(..), since: Some(UnixSeconds(1764000000)) }",
    );
    seen.prints(
        &SkippedChange::Keep(SkippedKey::new(id, [7; 32], Some(NOW))),
        "Keep(SkippedKeyId { distribution_id: DistributionId(abab..), chain_id: 7, iteration: 6 })",
    );
    seen.prints(
        &SkippedChange::Forget(id),
        "Forget(SkippedKeyId { distribution_id: DistributionId(abab..), chain_id: 7, iteration: 6 })",
    );
    seen.prints(
        &SkippedChange::KeepNewest { distribution_id, chain_id: 7, count: 8 },
        "KeepNewest(DistributionId(abab..), 7, 8)",
    );
    seen.prints(
        &SkippedChange::ForgetChain { distribution_id, chain_id: 7 },
        "ForgetChain(DistributionId(abab..), 7)",
    );
    let device = DeviceId::new(3).unwrap();
    let error =
        DecryptionErrorMessage::about(sent.output.serialize(), MessageType::SenderKey, 9, device).unwrap();
    seen.prints(&error, "DecryptionErrorMessage { ratchet_key: None, timestamp_ms: 9, device_id: 3 }");
    seen.prints(&PlaintextContent::new(&error), "PlaintextContent { serialized_len: 8 }");
}

fn rosters(seen: &mut Seen) {
    use sealpost_protocol::device::AccountKey;
    use sealpost_protocol::group::*;
    let rng = &mut StdRng::seed_from_u64(1);
    let alice = IdentityKeyPair::generate(rng);
    seen.prints(&EntrySignature::sign(b"entry", &alice, rng), "EntrySignature(Signature(..))");
    seen.prints(&(GroupSecret::generate(rng), OtherDetails), "(GroupSecret(..), OtherDetails)");
    let link = LinkSecret::generate(rng);
    let account = AccountKey::from(*alice.public());
    let joiner = Joiner { user: &[7; 16], device: DeviceId::new(3).unwrap(), account: &account };
    seen.prints(&link, "LinkSecret(..)");
    seen.prints(&joiner, "Joiner { device: DeviceId(3), account: AccountKey(e496..), .. }");
    seen.prints(&link.prove(&[3; 16], &joiner, rng), "JoinProof(Signature(..))");
    let link = GroupLink { group: [3; 16], secret: link, group_secret: Some(GroupSecret::generate(rng)) };
    seen.prints(&link, "GroupLink(..)");
    seen.prints(&GroupLinkError::Damaged, "Damaged");
}

fn sealed_senders(seen: &mut Seen) {
    use sealpost_protocol::sealed::*;
    let rng = &mut StdRng::seed_from_u64(1);
    let (alice, bob) = (IdentityKeyPair::generate(rng), IdentityKeyPair::generate(rng));
    let address = Address::new("9d0652a3-dcc3-4d11-975f-74d61598733f", DeviceId::new(3).unwrap());
    let here = Address::new("796abedb-ca4e-4f18-8803-1fde5b921f9f", DeviceId::new(2).unwrap());
    let (root, server) = (ServerKeyPair::generate(rng), ServerKeyPair::generate(rng));
    seen.prints(&root, "ServerKeyPair(ServerKey(5f50..), ..)");
    seen.prints(&root.public(), "ServerKey(5f50..)");
    let issued = ServerCertificate::issue(1, &server.public(), &root, rng);
    seen.prints(&issued, "ServerCertificate { id: 1, key: ServerKey(d527..), .. }");
    let claims = SenderClaims {
        address: &address,
        e164: Some("+15550100"),
        identity_key: alice.public(),
        expires: UnixMillis(9),
    };
    seen.prints(
        &claims,
        "SenderClaims { address: Address(.., 3), identity_key: IdentityKey(e496..), expires: UnixMillis(9), .. }",
    );
    seen.prints(&claims.expires, "UnixMillis(9)");
    seen.prints(
        &Signer::Embedded(issued.clone()),
        "Embedded(ServerCertificate { id: 1, key: ServerKey(d527..), .. })",
    );
    let certificate = SenderCertificate::issue(&claims, Signer::Embedded(issued), &server, rng);
    seen.prints(&certificate, "SenderCertificate { address: Address(.., 3), identity_key: IdentityKey(e496..), expires: UnixMillis(9), signer: Embedded(ServerCertificate { id: 1, key: ServerKey(d527..), .. }), .. }");
    let trust = Trust::new(vec![root.public()]);
    seen.prints(&trust, "Trust { roots: [ServerKey(5f50..)], servers: [] }");
    let receiver = Receiver { address: &here, e164: Some("+15550101"), trust: &trust, now: UnixMillis(9) };
    seen.prints(
        &receiver,
        "Receiver { address: Address(.., 2), trust: Trust { roots: [ServerKey(5f50..)], servers: [] }, now: UnixMillis(9), .. }",
    );

    let hint = ContentHint::Resendable;
    seen.prints(&hint, "Resendable");
    let content = UnidentifiedContent::new(MessageType::Signal, certificate, b"secret", hint, b"group");
    seen.prints(
        &content,
        "UnidentifiedContent { kind: Signal, certificate: SenderCertificate { address: Address(.., 3), identity_key: IdentityKey(e496..), expires: UnixMillis(9), signer: Embedded(ServerCertificate { id: 1, key: ServerKey(d527..), .. }), .. }, message_len: 6, hint: Resendable, .. }",
    );
    let recipient = Recipient { address: &here, identity_key: bob.public(), registration_id: 5 };
    let remembered = &mut Remembered::default();
    let sent = seal_v2(&content, &alice, &[recipient], &[[1; 17]], remembered, rng).unwrap();
    let received = sent.received_by(sent.recipients().first().unwrap());
    let opened = open(&received, &bob, &mut Remembered::default()).unwrap();
    seen.prints(&opened.version(), "V2");
    seen.prints(
        &opened,
        "OpenedContent { version: V2, content: UnidentifiedContent { kind: Signal, certificate: SenderCertificate { address: Address(.., 3), identity_key: IdentityKey(e496..), expires: UnixMillis(9), signer: Embedded(ServerCertificate { id: 1, key: ServerKey(d527..), .. }), .. }, message_len: 6, hint: Resendable, .. } }",
    );
    seen.prints(
        &opened.verify(&receiver, remembered).unwrap(),
        "VerifiedContent { version: V2, sender: Address(.., 3), identity_key: IdentityKey(e496..), kind: Signal, message_len: 6, hint: Resendable, .. }",
    );
    seen.prints(
        &recipient,
        "Recipient { address: Address(.., 2), identity_key: IdentityKey(86dd..), registration_id: 5 }",
    );
    seen.prints(&sent, "SentMessage { recipients: 1, excluded: 1, shared_len: 341, .. }");
    seen.prints(&sent.recipients(), "[SentRecipient { devices: [DeviceId(2)], .. }]");
    seen.prints(remembered, "Remembered(2, 1)");
}

/// Errors say what went wrong, and contain none of the input.
fn errors(seen: &mut Seen) {
    let malformed = DecodeError::Malformed;
    seen.prints(&malformed, "Malformed");
    seen.prints(&DeviceId::new(0).unwrap_err(), "InvalidDeviceId");
    seen.prints(
        &(StableIdKind::AccountId, ScanError::Malformed, InvalidIterations),
        "(AccountId, Malformed, InvalidIterations)",
    );
    seen.prints(
        &(
            BundleError::IdentityKey(malformed),
            PreKeyKind::Signed,
            MessageType::PreKey,
            RetryError::Failed(malformed),
        ),
        "(IdentityKey(Malformed), Signed, PreKey, Failed(Malformed))",
    );
    seen.prints(
        &(InitiateError::Bug("why"), EncryptError::Bug("why"), DecryptError::MissingPreKey(PreKeyKind::Kem)),
        "(Bug(\"why\"), Bug(\"why\"), MissingPreKey(Kem))",
    );
    let (shared, _) = SharedPartKey::seal(b"secret", &mut StdRng::seed_from_u64(1)).unwrap();
    seen.prints(&(shared, OtherPart), "(SharedPartKey(..), OtherPart)");
    seen.prints(
        &(hpke::OpenError::Malformed(malformed), hpke::BadIdentityKey),
        "(Malformed(Malformed), BadIdentityKey)",
    );
    let of_sealed = (
        sealed::SealError::TooLong,
        sealed::OpenError::Content(malformed),
        sealed::VerifyError::UnknownServer,
    );
    seen.prints(&of_sealed, "(TooLong, Content(Malformed), UnknownServer)");
}

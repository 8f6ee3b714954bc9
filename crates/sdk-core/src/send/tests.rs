//! Tests of a thread with three members, with a real store: whom a message is sealed for.

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sealpost_protocol::{
    IdentityKeyPair, Inbound, KemPreKey, KemPreKeyId, LocalDevice, OurPreKeys, PreKeyBundle,
    PreKeySignalMessage, RawPreKeyBundle, RawSigned, SessionPolicy, SessionRecord, SignedPreKey,
    SignedPreKeyId, UnixSeconds,
};
use sealpost_wire as wire;
use sealpost_wire::limits::MAX_COUNT;
use tempfile::TempDir;

use super::answer::{correct_devices, welcome};
use super::plan::{Addressed, Recipients, ToMeet, address as address_members, has_ready};
use super::seal::{Sealing, Sender, seal};
use crate::account::registration::{address, local_device};
use crate::config::DatabaseKey;
use crate::content::{
    Body, Content, Counts, Header, ListDigest, MAX_PLAINTEXT, MAX_SEEN_EXCEPTIONS, MAX_TEXT, MAX_TIMER_S,
    Mark, Markup, NamedLists, Number, Post, Quote, Run, SharedContent, Text, Timer, split_shared,
};
use crate::context::{Skipped, SkippedDevices};
use crate::event::EventBus;
use crate::id::{ClientMsgId, DeviceId, ThreadId, UserId};
use crate::message::FailReason;
use crate::store::{
    Device, Entry, Footprint, NewOutgoing, Registered, Rows, Settlement, Store, Thread, Tokens, TrustState,
    Tx,
};

const US: UserId = UserId::from_bytes([1; 16]);
const BEN: UserId = UserId::from_bytes([2; 16]);
const CAM: UserId = UserId::from_bytes([3; 16]);
const STRANGER: UserId = UserId::from_bytes([4; 16]);
const THREAD: ThreadId = ThreadId::from_bytes([9; 16]);
const NOW: UnixSeconds = UnixSeconds(1_795_000_000);
const POLICY: SessionPolicy = SessionPolicy::TripleRatchet;

/// The keys of a device of another user.
struct Keys {
    identity: IdentityKeyPair,
    signed: SignedPreKey,
    kem: KemPreKey,
}

impl Keys {
    fn new(rng: &mut StdRng) -> Self {
        let identity = IdentityKeyPair::generate(rng);
        let signed = SignedPreKey::generate(SignedPreKeyId(1), &identity, 0, rng);
        let kem = KemPreKey::generate(KemPreKeyId(2), &identity, 0, rng);
        Self { identity, signed, kem }
    }

    fn device(&self, user: UserId, device: u32) -> Device {
        let device = DeviceId::new(device).unwrap();
        Device { user, device, registration_id: 7, identity: *self.identity.public() }
    }

    /// Starts a session with this device, as a bundle does.
    fn meet(&self, tx: &mut Tx<'_>, user: UserId, number: u32) {
        let rng = &mut StdRng::seed_from_u64(number.into());
        let kem_key = self.kem.public_key();
        let bundle = PreKeyBundle::parse(RawPreKeyBundle {
            registration_id: 7,
            device_id: number,
            identity_key: &self.identity.public().serialize(),
            signed_pre_key: RawSigned {
                id: 1,
                key: &self.signed.public_key(),
                signature: self.signed.signature(),
            },
            one_time_pre_key: None,
            kem_pre_key: Some(RawSigned { id: 2, key: &kem_key, signature: self.kem.signature() }),
        });
        let bundle = bundle.unwrap().verify().unwrap();
        let device = self.device(user, number);
        tx.see_devices(user, &[device]).unwrap();
        let mut sessions = tx.sessions(user, device.device).unwrap();
        let (account, us) = tx.our_account().unwrap();
        let (ours, theirs) = (address(us.user, us.device).unwrap(), address(user, device.device).unwrap());
        let local = local_device(&account, &ours);
        sessions.record = sessions.record.initiate(&local, &theirs, bundle, POLICY, NOW, rng).unwrap();
        tx.store_sessions(&mut sessions).unwrap();
    }

    /// The plaintext of a first message to this device.
    fn open(&self, (user, number): (UserId, u32), ciphertext: &[u8]) -> Option<Vec<u8>> {
        let device = DeviceId::new(number).unwrap();
        let (ours, theirs) = (address(user, device).unwrap(), address(US, DeviceId::PRIMARY).unwrap());
        let local = LocalDevice { identity: &self.identity, address: &ours, registration_id: 7 };
        let inbound = Inbound { local, remote: &theirs, skipped: &[], policy: POLICY, now: NOW };
        let keys = OurPreKeys { signed: &self.signed, one_time: None, kem: Some(&self.kem) };
        let message = PreKeySignalMessage::parse(ciphertext).unwrap();
        let rng = &mut StdRng::seed_from_u64(5);
        let opened = SessionRecord::empty().decrypt_pre_key(&inbound, &message, Some(keys), rng).ok()?;
        Some(opened.advanced.output.plaintext.expose().to_vec())
    }
}

/// A store with a thread of three members: us, Ben and Cam.
async fn three() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store =
        Store::open(dir.path().join("a.db"), DatabaseKey::new([9; 32]), EventBus::new(), Footprint::Full)
            .unwrap();
    let work = store.write(|tx| {
        tx.insert_account(&IdentityKeyPair::generate(&mut rand::rng()), 7)?;
        let us = Registered { user: US, device: DeviceId::PRIMARY };
        tx.set_registered(us, &Tokens::new("access".into(), 1, "refresh".into()))?;
        tx.put_thread(Thread { id: THREAD, peer: Some(BEN), roster_version: 1 }, 1)?;
        tx.add_member(THREAD, CAM)
    });
    work.await.unwrap();
    (dir, store)
}

fn addressed(rows: &Rows<'_>, skipped: &SkippedDevices) -> Addressed {
    let us = Registered { user: US, device: DeviceId::PRIMARY };
    address_members(rows, (THREAD, us), skipped, POLICY, NOW).unwrap()
}

fn to_meet(user: UserId, devices: &[u32]) -> ToMeet {
    ToMeet { user, devices: devices.iter().map(|number| DeviceId::new(*number).unwrap()).collect() }
}

fn must_meet(addressed: Addressed) -> Vec<ToMeet> {
    match addressed {
        Addressed::Meet(to_meet) => to_meet,
        Addressed::Ready(_) => panic!("ready"),
        Addressed::Blocked(reason) => panic!("{reason:?}"),
        Addressed::Contradicted => panic!("contradicted"),
    }
}

fn recipients(addressed: Addressed) -> Recipients {
    match addressed {
        Addressed::Ready(recipients) => recipients,
        Addressed::Meet(to_meet) => panic!("{to_meet:?}"),
        Addressed::Blocked(reason) => panic!("{reason:?}"),
        Addressed::Contradicted => panic!("contradicted"),
    }
}

#[tokio::test]
async fn a_message_is_sealed_once_for_each_other_device_of_all_members() {
    let (_dir, store) = three().await;
    let work = store.write(|tx| {
        let rng = &mut StdRng::seed_from_u64(1);
        let none = SkippedDevices::default();
        assert_eq!(must_meet(addressed(tx, &none)), [to_meet(BEN, &[]), to_meet(CAM, &[])]);
        let keys = [Keys::new(rng), Keys::new(rng), Keys::new(rng), Keys::new(rng)];
        let devices = [(US, 2), (BEN, 1), (BEN, 2), (CAM, 1)];
        for ((user, device), keys) in devices.iter().zip(&keys).take(3) {
            keys.meet(tx, *user, *device);
        }
        assert_eq!(must_meet(addressed(tx, &none)), [to_meet(CAM, &[])]);
        keys[3].meet(tx, CAM, 1);
        // One of ours whose keys are invalid gets a copy that is not a message, and one that the relay does not know gets none.
        let of_ours = |number, is_absent| {
            let device = DeviceId::new(number).unwrap();
            Skipped { user: US, device, registration_id: 9, is_absent }
        };
        let not_ours = SkippedDevices::default();
        not_ours.add(of_ours(3, false), NOW);
        not_ours.add(of_ours(4, true), NOW);
        assert_eq!(recipients(addressed(tx, &not_ours)).skip, [of_ours(3, false)]);

        let mut recipients = recipients(addressed(tx, &none));
        let (account, us) = tx.our_account()?;
        let ours = address(us.user, us.device)?;
        let thread = tx.thread(THREAD)?.unwrap();
        let content = Content {
            timer: Timer::default(),
            thread: THREAD,
            id: ClientMsgId::new(1, &[1; 10]),
            sent_ms: 1,
            header: Header::default(),
            body: Body::text("hello".to_owned()),
        };
        let from = Sender::new(tx, (&account, us, &ours), &recipients.ready)?;
        let id = ClientMsgId::new(2, &[2; 10]);
        let sealed = seal(id, &content, &thread, &mut recipients, &from, NOW, rng)?;
        let Sealing::Sealed { send, skipped } = sealed else { panic!("not sealed") };
        let send: wire::Send = wire::decode(send).unwrap();
        assert_eq!(skipped.len(), 4);
        let copies: Vec<_> = send
            .copies
            .iter()
            .map(|copy| (UserId::from_slice(&copy.user_id).unwrap(), copy.device_id))
            .collect();
        assert_eq!(copies, devices);
        // Each device opens its own copy, and no other.
        for (opener, keys) in keys.iter().enumerate() {
            for (place, copy) in send.copies.iter().enumerate() {
                let ciphertext = &copy.envelope.as_ref().unwrap().ciphertext;
                let opened = keys.open(devices[opener], ciphertext);
                assert_eq!(opened.is_some(), opener == place);
                let Some(opened) = opened else { continue };
                let opened = Content::from_plaintext(&opened).unwrap();
                assert_eq!(opened.body, content.body);
                // Our own device is told whom the thread is with, because the relay could name somebody else.
                let is_ours = devices[opener].0 == US;
                assert_eq!(opened.header.peer, thread.peer.filter(|_| is_ours));
            }
        }
        Ok(())
    });
    work.await.unwrap();
}

#[tokio::test]
async fn the_longest_text_fits_with_the_longest_header() {
    let (_dir, store) = three().await;
    let work = store.write(|tx| {
        let rng = &mut StdRng::seed_from_u64(1);
        let keys = Keys::new(rng);
        // A first message is the longest.
        keys.meet(tx, BEN, 127);
        let (account, us) = tx.our_account()?;
        let ours = address(us.user, us.device)?;
        let thread = tx.thread(THREAD)?.unwrap();
        let exceptions = (1..=8).map(|n| (n * (MAX_COUNT / 10), n * (MAX_COUNT / 10) + MAX_COUNT / 20));
        let counts = Counts::up_to(MAX_COUNT).without(exceptions);
        assert_eq!(counts.exceptions().len(), MAX_SEEN_EXCEPTIONS);
        let run = Run([0xff; 8]);
        let most = ListDigest { version: i64::MAX.unsigned_abs(), digest: [0xff; 16] };
        let header = Header {
            number: Some(Number { run, count: MAX_COUNT }),
            after: Some(Post { epoch: MAX_COUNT, server_seq: MAX_COUNT }),
            seen: Some(Mark { device: DeviceId::new(127).unwrap(), run, counts }),
            devices: Some(vec![7; 641]),
            peer: None,
            lists: NamedLists { own: Some(most), yours: Some(most) },
            roster: None,
        };
        let quote = Quote::new(BEN, ClientMsgId::new(1, &[1; 10]), &"a".repeat(10_000));
        let text = Text {
            text: "a".repeat(MAX_TEXT),
            markup: Markup::default(),
            quote: Some(Box::new(quote)),
            is_forwarded: true,
        };
        let mut content = Content {
            timer: Timer::new(MAX_TIMER_S).unwrap(),
            thread: THREAD,
            id: ClientMsgId::new(1, &[1; 10]),
            sent_ms: MAX_COUNT,
            header,
            body: Body::Text(text),
        };
        let sealed =
            |tx: &mut Tx<'_>, content: &Content, rng: &mut StdRng| -> crate::Result<Option<wire::Send>> {
                let sessions = tx.sessions(BEN, DeviceId::new(127).unwrap())?;
                let ready = vec![(keys.device(BEN, 127), sessions)];
                let mut recipients = Recipients { ready, skip: Vec::new() };
                let from = Sender {
                    local: local_device(&account, &ours),
                    user: us.user,
                    devices: content.header.devices.clone(),
                };
                let id = ClientMsgId::new(2, &[2; 10]);
                Ok(match seal(id, content, &thread, &mut recipients, &from, NOW, rng)? {
                    Sealing::Sealed { send, .. } => Some(wire::decode(send).unwrap()),
                    Sealing::TooLarge => None,
                    Sealing::SpentSession(_) => panic!("a new session"),
                })
            };
        let send = sealed(tx, &content, rng)?.expect("it fits");
        let opened = keys.open((BEN, 127), &send.copies[0].envelope.as_ref().unwrap().ciphertext).unwrap();
        assert_eq!(Content::from_plaintext(&opened).unwrap(), content);
        // Something larger is refused here, before the relay does.
        content.body = Body::text("a".repeat(wire::limits::MAX_FRAME));
        assert!(sealed(tx, &content, rng)?.is_none());
        Ok(())
    });
    work.await.unwrap();
}

/// The greatest number of devices of two people, which all begin a session, and the largest content.
#[tokio::test]
async fn a_content_that_fits_for_one_device_fits_for_nine() {
    let (_dir, store) = three().await;
    let work = store.write(|tx| {
        let rng = &mut StdRng::seed_from_u64(1);
        let keys = Keys::new(rng);
        let devices: Vec<_> = (1..=5).map(|n| (BEN, 122 + n)).chain((2..=5).map(|n| (US, n))).collect();
        for (user, device) in &devices {
            keys.meet(tx, *user, *device);
        }
        let (account, us) = tx.our_account()?;
        let ours = address(us.user, us.device)?;
        let thread = tx.thread(THREAD)?.unwrap();
        let content = |length: usize| Content {
            timer: Timer::default(),
            thread: THREAD,
            id: ClientMsgId::new(1, &[1; 10]),
            sent_ms: MAX_COUNT,
            header: Header::default(),
            body: Body::text("a".repeat(length)),
        };
        let seal_for = |tx: &mut Tx<'_>, content: &Content, devices: &[(UserId, u32)], rng: &mut StdRng| {
            let ready = devices.iter().map(|(user, number)| {
                let sessions = tx.sessions(*user, DeviceId::new(*number).unwrap()).unwrap();
                (keys.device(*user, *number), sessions)
            });
            let mut recipients = Recipients { ready: ready.collect(), skip: Vec::new() };
            let local = local_device(&account, &ours);
            let from = Sender { local, user: us.user, devices: Some(vec![7; 641]) };
            let id = ClientMsgId::new(2, &[2; 10]);
            match seal(id, content, &thread, &mut recipients, &from, NOW, rng).unwrap() {
                Sealing::Sealed { send, .. } => Some(send),
                Sealing::TooLarge => None,
                Sealing::SpentSession(_) => panic!("a new session"),
            }
        };
        let padded = |length: usize| content(length).to_plaintext().len();
        let longest = (0..70_000).rev().find(|length| padded(*length) <= MAX_PLAINTEXT).unwrap();
        assert_eq!(padded(longest), MAX_PLAINTEXT, "the limit is a length that occurs");
        for devices in [&devices[..1], &devices[..]] {
            assert!(seal_for(tx, &content(longest + 1), devices, rng).is_none(), "{} devices", devices.len());
            let send = seal_for(tx, &content(longest), devices, rng).expect("it fits");
            let frame = send.len() + 64;
            assert!(frame <= wire::limits::MAX_FRAME, "{frame} for {} devices", devices.len());
            let send: wire::Send = wire::decode(send).unwrap();
            assert_eq!(send.shared.is_empty(), devices.len() == 1);
            for (copy, (user, number)) in send.copies.iter().zip(devices) {
                let envelope = copy.envelope.as_ref().unwrap();
                let whole = wire::Envelope {
                    ciphertext: [&envelope.ciphertext[..], &send.shared].concat().into(),
                    ..envelope.clone()
                };
                assert!(whole.ciphertext.len() <= wire::limits::MAX_CIPHERTEXT);
                if send.shared.is_empty() {
                    continue;
                }
                let (ciphertext, part) = split_shared(&whole.ciphertext).unwrap();
                let opened = keys.open((*user, *number), ciphertext).unwrap();
                let named = SharedContent::from_plaintext(&opened).unwrap().unwrap();
                assert_eq!((named.peer, named.devices.is_some()), ((*user == US).then_some(BEN), true));
                assert_eq!(named.key.open(part).unwrap().expose(), &content(longest).to_plaintext()[..]);
            }
        }
        Ok(())
    });
    work.await.unwrap();
}

#[tokio::test]
async fn invalid_keys_of_one_member_do_not_stop_a_message_to_the_others() {
    let (_dir, store) = three().await;
    let work = store.write(|tx| {
        let keys = Keys::new(&mut StdRng::seed_from_u64(1));
        let skipped = SkippedDevices::default();
        let bad = Skipped { user: CAM, device: DeviceId::PRIMARY, registration_id: 3, is_absent: false };
        skipped.add(bad, NOW);
        assert_eq!(must_meet(addressed(tx, &skipped)), [to_meet(BEN, &[])]);
        assert!(!has_ready(tx, THREAD, POLICY, NOW)?);
        keys.meet(tx, BEN, 1);
        assert!(has_ready(tx, THREAD, POLICY, NOW)?);
        let recipients = recipients(addressed(tx, &skipped));
        assert_eq!(recipients.ready.iter().map(|(device, _)| device.user).collect::<Vec<_>>(), [BEN]);
        assert_eq!(recipients.skip, [bad]);
        Ok(())
    });
    work.await.unwrap();
}

#[tokio::test]
async fn a_changed_identity_of_any_member_stops_a_message() {
    for changed in [BEN, CAM] {
        let (_dir, store) = three().await;
        let work = store.write(move |tx| {
            let rng = &mut StdRng::seed_from_u64(1);
            for user in [BEN, CAM] {
                Keys::new(rng).meet(tx, user, 1);
            }
            tx.set_trust(changed, TrustState::Verified)?;
            tx.see_devices(changed, &[Keys::new(rng).device(changed, 1)])?;
            let addressed = addressed(tx, &SkippedDevices::default());
            assert!(matches!(addressed, Addressed::Blocked(FailReason::IdentityChanged)));
            Ok(())
        });
        work.await.unwrap();
    }
}

#[tokio::test]
async fn the_relay_may_correct_the_devices_of_members_only() {
    let (_dir, store) = three().await;
    let work = store.write(|tx| {
        let rng = &mut StdRng::seed_from_u64(1);
        for user in [BEN, CAM, STRANGER] {
            let keys = Keys::new(rng);
            keys.meet(tx, user, 1);
            keys.meet(tx, user, 2);
        }
        let skipped = SkippedDevices::default();
        let mismatch = |user: UserId, missing: &[u32], extra: &[u32], stale: &[u32]| wire::DeviceMismatch {
            user_id: user.as_bytes().to_vec().into(),
            missing: missing.to_vec(),
            extra: extra.to_vec(),
            stale: stale.to_vec(),
        };
        let mismatches = [
            mismatch(CAM, &[3], &[], &[2]),
            mismatch(STRANGER, &[3], &[1], &[2]),
            mismatch(US, &[3], &[1], &[]),
            mismatch(BEN, &[], &[1], &[]),
        ];
        let corrected = correct_devices(tx, THREAD, &mismatches, &skipped, NOW)?;
        // Also those of ours, but not this one.
        assert_eq!(corrected, [to_meet(CAM, &[3, 2]), to_meet(US, &[3])]);
        let devices = |user| {
            let devices = tx.devices(user).unwrap();
            devices.iter().map(|device| device.device.get()).collect::<Vec<_>>()
        };
        assert_eq!((devices(BEN), devices(CAM), devices(STRANGER)), (vec![2], vec![1], vec![1, 2]));
        Ok(())
    });
    work.await.unwrap();
}

#[tokio::test]
async fn a_message_that_was_never_refused_does_not_say_that_a_thread_is_accepted() {
    let (_dir, store) = three().await;
    let work = store.write(|tx| {
        for n in 1..=2 {
            let content_id = ClientMsgId::new(NOW.0 * 1_000, &[n; 10]);
            let us = (US, DeviceId::PRIMARY);
            let new = NewOutgoing { thread: THREAD, us, content_id, sent_ms: 1, body: Body::text("text") };
            tx.enqueue(new)?;
        }
        let entries = tx.entries(THREAD, None, (9, 1 << 20))?;
        let [Entry::ToSeal(first), Entry::ToSeal(second)] = &entries[..] else { panic!("{entries:?}") };
        let (first, second) = (first.id, second.id);
        let accepted = |id| (id, None, Settlement::Accepted { epoch: 1, server_seq: 1, server_ms: 1 });
        let unwelcome = |id| (id, None, Settlement::Unwelcome { due_ms: 3_600_000 });
        assert_eq!(welcome(tx, &[accepted(first)])?, None);
        assert_eq!(welcome(tx, &[accepted(first), unwelcome(second)])?, Some(false));
        tx.settle_all(&[unwelcome(second)])?;
        assert_eq!(welcome(tx, &[accepted(first)])?, None);
        assert_eq!(welcome(tx, &[accepted(second)])?, Some(true));
        assert_eq!(welcome(tx, &[accepted(second), unwelcome(first)])?, Some(false));
        Ok(())
    });
    work.await.unwrap();
}

//! The parsers for data that client and relay receive from each other.

use prost::Message;
use prost::bytes::Bytes;
use sealpost_protocol::{PreKeyBundle, RawPreKeyBundle, RawSigned};
use sealpost_wire::frame::Body;
use sealpost_wire::id::ToWire as _;
use sealpost_wire::{
    Ack, AckMail, AckOk, Bundle, Bundles, Challenge, ChallengeRequest, CompanionBlobs, CreateThread, Credit,
    Decode, Deliver, DeliverMail, DeviceCopy, DeviceInfo, DeviceList, DeviceMismatch, Envelope, Error, Frame,
    Generation, Hello, InboxKey, InboxPage, KeyCounts, KeyUpload, KeysLow, Link, LinkBlobs,
    LinkDeviceRequest, LinkToken, LinkTokenRequest, LoginRequest, Mail, OneTimeKey, Ping, Pong, QueueEmpty,
    Reconnect, RefreshRequest, RegisterRequest, RegisterResponse, RestoreRequest, Send, SendAck,
    SignedChallenge, SignedDeviceList, SignedKey, Sync, Synced, Thread, ThreadCursor, TokenPair, Trimmed,
    Welcome, decode,
    id::{ClientMsgId, UserId},
};

use crate::allocation::{Limit, limited};
use crate::vectors::{bytes, empty_rows, load, row};

/// The shortest meaningful row becomes a struct of at most five times its length, and a growing list exists three
/// times for a moment: the old one, and a new one of twice the size. One row allocates space for four.
const DECODE: Limit = Limit { factor: 17, constant: 1024 };
/// A bundle contains keys that are no longer than what they were parsed from.
const BUNDLE: Limit = Limit { factor: 2, constant: 1024 };

pub(crate) fn run(input: &[u8]) {
    round_trip::<Frame>(input);
    for read in [
        round_trip::<SignedDeviceList>,
        round_trip::<RegisterRequest>,
        round_trip::<RegisterResponse>,
        round_trip::<TokenPair>,
        round_trip::<RefreshRequest>,
        round_trip::<ChallengeRequest>,
        round_trip::<Challenge>,
        round_trip::<LoginRequest>,
        round_trip::<RestoreRequest>,
        round_trip::<DeviceList>,
        round_trip::<Link>,
        round_trip::<LinkBlobs>,
        round_trip::<CompanionBlobs>,
        round_trip::<LinkTokenRequest>,
        round_trip::<LinkToken>,
        round_trip::<LinkDeviceRequest>,
        round_trip::<KeyUpload>,
        round_trip::<KeyCounts>,
        round_trip::<CreateThread>,
        round_trip::<Thread>,
        round_trip::<InboxPage>,
        round_trip::<Error>,
        round_trip::<Send>,
        round_trip::<SendAck>,
        round_trip::<Ack>,
        round_trip::<AckOk>,
    ] {
        read(input);
    }
    if let Ok(bundles) = decode::<Bundles>(Bytes::copy_from_slice(input)) {
        bundles.bundles.iter().take(4).for_each(|bundle| verify(input, bundle));
    }
    round_trip::<Bundles>(input);
    ids(input);
}

fn round_trip<M: Decode + PartialEq>(input: &[u8]) {
    let bytes = Bytes::copy_from_slice(input);
    if let Ok(message) = limited(DECODE, input, || decode::<M>(bytes)) {
        let encoded = message.encode_to_vec();
        assert_eq!(encoded.len(), message.encoded_len());
        // A row may have had the required length because of unknown fields, which are dropped.
        #[expect(clippy::disallowed_methods, reason = "without the rule on short rows")]
        let again = M::decode(encoded.as_slice());
        assert!(again.is_ok_and(|again| again == message));
    }
}

/// Verifies a bundle as a client does when a relay returns it.
fn verify(input: &[u8], bundle: &Bundle) {
    let signed = bundle.signed_pre_key.clone().unwrap_or_default();
    let raw = RawPreKeyBundle {
        registration_id: bundle.registration_id,
        device_id: bundle.device_id,
        identity_key: &bundle.identity_key,
        signed_pre_key: raw_signed(&signed),
        one_time_pre_key: bundle.one_time.as_ref().map(|key| (key.id, key.public_key.as_ref())),
        kem_pre_key: bundle.kem.as_ref().map(raw_signed),
    };
    let parsed = limited(BUNDLE, input, || PreKeyBundle::parse(raw));
    if let Ok(verified) = parsed.and_then(PreKeyBundle::verify) {
        assert_eq!(verified.identity_key().serialize(), bundle.identity_key[..33]);
        assert_eq!(verified.device().get(), bundle.device_id);
    }
}

fn raw_signed(key: &SignedKey) -> RawSigned<'_> {
    RawSigned { id: key.id, key: &key.public_key, signature: &key.signature }
}

fn ids(input: &[u8]) {
    if let Ok(id) = ClientMsgId::from_slice(input) {
        assert_eq!(id.as_bytes().as_slice(), input);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(
            id.time_ms().is_ok_and(|time| time >> 48 == 0)
                || id.as_bytes()[6] >> 4 != 7
                || id.as_bytes()[8] >> 6 != 2
        );
    }
    if let Some(id) = std::str::from_utf8(input).ok().and_then(|text| text.parse::<UserId>().ok()) {
        assert_eq!(id.to_string().parse(), Ok(id));
    }
}

/// One of each message, filled in; empty rows; and rows that have the required length but no meaning.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let frames = bodies().into_iter().map(|body| Frame { v: 1, id: 7, body: Some(body) }.encode_to_vec());
    frames.chain(rest_bodies()).chain(empty_rows()).chain(short_rows()).collect()
}

/// Lists of rows of every even length, by themselves and in the messages that contain lists.
fn short_rows() -> impl Iterator<Item = Vec<u8>> {
    let lists = (2..160).step_by(2).flat_map(|length| {
        // A text, or unknown fields.
        let unknown = vec![b'x'; length];
        (1..=6).map(move |number| row(number, &unknown).repeat(33))
    });
    let outer = [4, 10, 11, 12, 14, 42];
    // The devices of a user, in three lists.
    let mismatch = row(5, &[&[16, 1, 24, 1, 32, 1], [b'x'; 14].as_slice()].concat()).repeat(33);
    lists
        .chain([mismatch])
        .flat_map(move |list| outer.map(|number| row(number, &list)).into_iter().chain([list]))
}

fn bodies() -> [Body; 20] {
    let envelope =
        || Some(Envelope { kind: 1, ciphertext: text(), urgent: true, ephemeral: false, ttl_s: 60 });
    let copy = DeviceCopy { user_id: uuid(), device_id: 1, registration_id: 5, envelope: envelope() };
    let mail_copy = copy.clone();
    let (key, cursor) = (inbox_key(), ThreadCursor { thread_id: uuid(), after_seq: 3, limit: 100 });
    [
        Body::Hello(Hello {
            access_token: "token".to_owned(),
            device_id: 1,
            epoch_seen: 1,
            credit: 256,
            max_batch_bytes: 1 << 20,
            features: vec!["feature".to_owned()],
            store_version: text(),
            generation: Some(generation()),
        }),
        Body::Send(Send {
            client_msg_id: uuid(),
            thread_id: uuid(),
            roster_version: 1,
            copies: vec![copy.clone(), copy],
            resume: false,
            lookup: false,
            group: None,
            shared: text(),
        }),
        Body::Mail(Mail {
            client_msg_id: uuid(),
            thread_id: uuid(),
            copies: vec![mail_copy.clone(), mail_copy],
            shared: text(),
        }),
        Body::Ack(Ack { keys: vec![key.clone(), key], trimmed: 7 }),
        Body::AckMail(AckMail { mail_seqs: vec![1, 300] }),
        Body::Sync(Sync { inbox: true, threads: vec![cursor] }),
        Body::Ping(Ping { t: 1 }),
        Body::Credit(Credit { more: 64 }),
        Body::Welcome(Welcome {
            session_id: "session".to_owned(),
            epoch: 1,
            server_time_ms: 1_764_000_000_000,
            ping_interval_s: 30,
            max_frame: 65_536,
            access_expires_ms: 1_764_000_600_000,
            epoch_changed: true,
            needs_full_sync: true,
            trimmed: 7,
            store_version: text(),
            generation: Some(generation()),
        }),
        Body::SendAck(SendAck {
            client_msg_id: uuid(),
            thread_id: uuid(),
            server_seq: 1,
            hlc: 2,
            epoch: 1,
            status: 2,
            fanout: 2,
            job_id: uuid(),
        }),
        Body::Deliver(deliver()),
        Body::DeliverMail(DeliverMail {
            mail_seq: 1,
            thread_id: uuid(),
            server_time_ms: 1_764_000_000_000,
            epoch: 1,
            sender_user_id: uuid(),
            sender_device_id: 1,
            client_msg_id: uuid(),
            envelope: envelope(),
        }),
        Body::AckOk(AckOk { removed: 2 }),
        Body::QueueEmpty(QueueEmpty { drained: 9, hlc: 10 }),
        Body::Trimmed(Trimmed { total: 11 }),
        Body::Synced(Synced {}),
        Body::KeysLow(KeysLow { ec_left: 9, kem_left: 8 }),
        Body::Reconnect(Reconnect { jitter_ms: 500, reason: "draining".to_owned() }),
        Body::Error(refusal()),
        Body::Pong(Pong { t: 1, server_time_ms: 1_764_000_000_000, store_version: text() }),
    ]
}

fn rest_bodies() -> [Vec<u8>; 20] {
    let file = load("vectors/session-v4-spqr");
    let bundle = &file["bob"]["bundle"];
    let key = |name: &str| Bytes::from(bytes(&bundle[name]));
    let signed = || Some(SignedKey { id: 22, public_key: key("spk"), signature: key("spkSig") });
    let kem = || SignedKey { id: 777, public_key: key("k"), signature: key("kSig") };
    let one_time = || OneTimeKey { id: 31_337, public_key: key("pk") };
    let keys = KeyUpload {
        signed_pre_key: signed(),
        last_resort_kem: Some(kem()),
        one_time: vec![one_time()],
        one_time_kem: vec![kem()],
        replaces_all: true,
    };
    let tokens = TokenPair {
        access_token: "access".to_owned(),
        access_expires_ms: 1,
        refresh_token: "refresh".to_owned(),
        server_time_ms: 1,
        registration_tag: text(),
    };
    let challenge = Challenge { nonce: vec![7; 32].into(), epoch: 1, expires_ms: 2, server_time_ms: 1 };
    let signed_challenge = || {
        let challenge = Some(challenge.clone());
        Some(SignedChallenge { user_id: uuid(), device_id: 1, challenge, signature: vec![9; 64].into() })
    };
    let restore = RestoreRequest {
        signed: signed_challenge(),
        registration_id: 77,
        identity_key: key("identity"),
        login_key: key("identity"),
        registration_tag: text(),
        keys: Some(keys.clone()),
    };
    let (proof, identity_key) = (text(), key("identity"));
    let device = DeviceInfo { device_id: 3, registration_id: 77, identity_key: key("identity") };
    let bundle = Bundle {
        device_id: 3,
        registration_id: 77,
        identity_key: key("identity"),
        signed_pre_key: signed(),
        one_time: Some(one_time()),
        kem: Some(kem()),
    };
    let link_device = LinkDeviceRequest {
        link_token: text(),
        registration_id: 77,
        identity_key: key("identity"),
        keys: Some(keys.clone()),
        login_key: key("identity"),
        push_token: text(),
    };
    let devices = SignedDeviceList { version: 3, list: text() };
    [
        keys.encode_to_vec(),
        RegisterRequest {
            proof,
            registration_id: 77,
            identity_key,
            keys: Some(keys),
            login_key: key("identity"),
        }
        .encode_to_vec(),
        RefreshRequest { refresh_token: "refresh".to_owned(), ..RefreshRequest::default() }.encode_to_vec(),
        RegisterResponse { user_id: uuid(), device_id: 1, tokens: Some(tokens), registration_tag: text() }
            .encode_to_vec(),
        ChallengeRequest { user_id: uuid(), device_id: 1 }.encode_to_vec(),
        challenge.encode_to_vec(),
        LoginRequest { signed: signed_challenge() }.encode_to_vec(),
        restore.encode_to_vec(),
        DeviceList { devices: vec![device], revoked: vec![2, 4] }.encode_to_vec(),
        link_device.encode_to_vec(),
        Link { link_id: uuid(), secret: text() }.encode_to_vec(),
        LinkBlobs { blobs: vec![uuid(), text()] }.encode_to_vec(),
        CompanionBlobs { secret: uuid(), blobs: vec![uuid()] }.encode_to_vec(),
        LinkToken { token: text(), device_id: 2, expires_ms: 9 }.encode_to_vec(),
        devices.encode_to_vec(),
        Bundles { bundles: vec![bundle], devices: Some(devices) }.encode_to_vec(),
        KeyCounts { ec: 100, kem: 100, newest_id: 9 }.encode_to_vec(),
        Thread { thread_id: uuid(), roster_version: 1, member_user_ids: vec![uuid(), uuid()], last_seq: 4 }
            .encode_to_vec(),
        InboxPage {
            rows: vec![deliver(), deliver()],
            more: true,
            epoch: 1,
            server_time_ms: 1,
            needs_full_sync: true,
            trimmed: 7,
        }
        .encode_to_vec(),
        refusal().encode_to_vec(),
    ]
}

fn generation() -> Generation {
    Generation { number: 5, nonce: vec![3; 8].into() }
}

fn deliver() -> Deliver {
    let envelope = Envelope { kind: 2, ciphertext: text(), urgent: false, ephemeral: true, ttl_s: 1 };
    Deliver {
        key: Some(inbox_key()),
        hlc: 1,
        epoch: 1,
        sender_user_id: uuid(),
        sender_device_id: 1,
        client_msg_id: uuid(),
        roster_version: 1,
        envelope: Some(envelope),
        attempt: 1,
    }
}

fn refusal() -> Error {
    let mismatch =
        DeviceMismatch { user_id: uuid(), missing: vec![2], extra: vec![3, 300], stale: vec![70_000] };
    Error {
        code: 409,
        reason: "mismatched_devices".to_owned(),
        retry_after_ms: 1,
        current_roster_version: 1,
        mismatches: vec![mismatch],
        thread_id: uuid(),
        detail: "last_admin".to_owned(),
    }
}

fn inbox_key() -> InboxKey {
    InboxKey { thread_id: uuid(), server_seq: 300 }
}

fn uuid() -> Bytes {
    ClientMsgId::new(1_764_000_000_123, &[0x11; 10]).to_wire()
}

fn text() -> Bytes {
    Bytes::from_static(b"ciphertext")
}

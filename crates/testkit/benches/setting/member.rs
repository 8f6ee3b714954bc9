//! An account with real keys and a real list of its one device, so that clients seal for it, but without a client.

use rand::rngs::StdRng;
use sealpost_protocol::device::{AccountKeyPair, DeviceBinding, DeviceEntry, DeviceList};
use sealpost_protocol::group::EntrySignature;
use sealpost_protocol::{
    DeviceId as ProtocolDevice, IdentityKeyPair, KemPreKey, KemPreKeyId, OneTimePreKey, OneTimePreKeyId,
    SignedPreKey, SignedPreKeyId,
};
use sealpost_wire::id::{DeviceId, ThreadId, ToWire as _, UserId};
use sealpost_wire::roster::{Author, AuthorList, Change, Entry, UnsignedEntry};
use sealpost_wire::{
    CreateThread, Group, KeyUpload, MEDIA_TYPE, OneTimeKey, RegisterRequest, RegisterResponse, RosterPage,
    RosterRequest, SignedDeviceList, SignedKey, Thread,
};

use prost::Message as _;

use super::relay::Relay;

/// The registration id of all members.
pub(crate) const REGISTRATION: u32 = 77;
/// One-time keys of each kind: one for each client that meets the member.
const ONE_TIME: u32 = 16;

pub(crate) struct Member {
    pub(crate) user: UserId,
    pub(crate) access_token: String,
    identity: IdentityKeyPair,
    list: AuthorList,
}

/// Where the chain of a group ends.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    pub(crate) version: u64,
    hash: [u8; 32],
}

impl Member {
    pub(crate) async fn register(relay: &Relay) -> Self {
        let mut rng: StdRng = rand::make_rng();
        let (identity, account) = (IdentityKeyPair::generate(&mut rng), AccountKeyPair::generate(&mut rng));
        let request = RegisterRequest {
            registration_id: REGISTRATION,
            identity_key: identity.public().serialize().to_vec().into(),
            keys: Some(keys(&identity, &mut rng)),
            ..RegisterRequest::default()
        };
        let answer: RegisterResponse = relay.post("/v1/accounts", None, &request).await;
        let user = UserId::from_slice(&answer.user_id).unwrap();
        let access_token = answer.tokens.unwrap().access_token;
        let device = ProtocolDevice::new(1).unwrap();
        let key = account.public();
        let binding = DeviceBinding::sign(user.as_bytes(), device, &identity, &key, &mut rng);
        let entry =
            DeviceEntry { device, identity: *identity.public(), added_ms: 0, is_primary: true, binding };
        let list = DeviceList::new(1, vec![entry]).unwrap().sign(user.as_bytes(), &account, &mut rng);
        let list = list.serialize();
        let body = SignedDeviceList { version: 1, list: list.clone().into() };
        let put = relay.http.put(format!("{}/v1/device-list", relay.url)).bearer_auth(&access_token);
        let put = put.header("content-type", MEDIA_TYPE).body(body.encode_to_vec());
        put.send().await.unwrap().error_for_status().unwrap();
        Self { user, access_token, identity, list: AuthorList::parse(&list).unwrap() }
    }

    /// A direct thread with somebody else, which both have accepted.
    pub(crate) async fn thread_with(&self, other: &Self, relay: &Relay) -> ThreadId {
        let request = CreateThread { peer_user_id: other.user.to_wire(), ..CreateThread::default() };
        let answer: Thread = relay.post("/v1/threads", Some(&self.access_token), &request).await;
        let thread = ThreadId::from_slice(&answer.thread_id).unwrap();
        let accept = relay.http.post(format!("{}/v1/threads/{thread}/accept", relay.url));
        accept.bearer_auth(&other.access_token).send().await.unwrap().error_for_status().unwrap();
        thread
    }

    /// Where the chain of a group ends now.
    pub(crate) async fn head(&self, thread: ThreadId, relay: &Relay) -> Head {
        let mut version = 0;
        loop {
            let url = format!("{}/v1/threads/{thread}/roster?after={version}", relay.url);
            let answer = relay.http.get(url).bearer_auth(&self.access_token).send().await.unwrap();
            let bytes = answer.error_for_status().unwrap().bytes().await.unwrap();
            let page: RosterPage = sealpost_wire::decode(bytes).unwrap();
            let last = Entry::parse(&page.rows.last().unwrap().entry).unwrap();
            if !page.more {
                return Head { version: last.version(), hash: *last.hash() };
            }
            version = last.version();
        }
    }

    /// Accepts the invitation, and returns where the chain ends then.
    pub(crate) async fn accept(&self, thread: ThreadId, head: Head, relay: &Relay) -> Head {
        let unsigned = UnsignedEntry {
            thread,
            version: head.version + 1,
            previous: head.hash,
            author: Author { user: self.user, device: DeviceId::PRIMARY },
            list: Some(self.list.clone()),
            change: Change::Accept,
        };
        let signature = EntrySignature::sign(&unsigned.to_bytes(), &self.identity, &mut rand::rng());
        let entry = unsigned.with_signature(signature.as_bytes()).unwrap();
        let request = RosterRequest { entry: entry.as_bytes().to_vec().into() };
        let path = format!("/v1/threads/{thread}/roster");
        let _: Group = relay.post(&path, Some(&self.access_token), &request).await;
        Head { version: entry.version(), hash: *entry.hash() }
    }
}

fn keys(identity: &IdentityKeyPair, rng: &mut StdRng) -> KeyUpload {
    let signed = SignedPreKey::generate(SignedPreKeyId(1), identity, 0, rng);
    let kem = |key: KemPreKey| SignedKey {
        id: key.id().0,
        public_key: key.public_key().into(),
        signature: key.signature().to_vec().into(),
    };
    let one_time = |id, rng: &mut StdRng| {
        let key = OneTimePreKey::generate(OneTimePreKeyId(id), rng);
        OneTimeKey { id, public_key: key.public_key().to_vec().into() }
    };
    KeyUpload {
        signed_pre_key: Some(SignedKey {
            id: 1,
            public_key: signed.public_key().to_vec().into(),
            signature: signed.signature().to_vec().into(),
        }),
        last_resort_kem: Some(kem(KemPreKey::generate(KemPreKeyId(1), identity, 0, rng))),
        one_time: (2..2 + ONE_TIME).map(|id| one_time(id, rng)).collect(),
        one_time_kem: (2..2 + ONE_TIME)
            .map(|id| kem(KemPreKey::generate(KemPreKeyId(id), identity, 0, rng)))
            .collect(),
        ..KeyUpload::default()
    }
}

//! The state that all clients share, and their HTTP requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sealpost_relay_check::Recorder;
use sealpost_relay_check::event::{Call, Event, Reply};
use sealpost_wire::id::ToWire as _;
use sealpost_wire::id::{ThreadId, UserId};
use sealpost_wire::{CreateThread, RegisterRequest, RegisterResponse, Thread};
use tokio::sync::{Barrier, watch};

use super::ANSWER_TIMEOUT;
use super::convert::{device, hex};
use super::key_clients::KEYS;
use crate::common::{Answer, Party, http, keys, public, with_body};

/// The state that all clients share.
pub(super) struct World {
    pub(super) recorder: Arc<Recorder>,
    pub(super) parties: Vec<Party>,
    /// The threads of each pair of neighbours.
    pub(super) threads: Vec<ThreadId>,
    pub(super) http: reqwest::Client,
    url: watch::Sender<Option<String>>,
    answers: AtomicU64,
    finishing: AtomicBool,
    /// All clients wait here until no request is open.
    pub(super) answered: Barrier,
}

impl World {
    /// Registers all users, each with a thread with the next user that both accept.
    pub(super) async fn register(url: &str, recorder: Arc<Recorder>, clients: usize) -> Arc<Self> {
        let mut world = Self {
            recorder,
            parties: Vec::new(),
            threads: Vec::new(),
            http: http(),
            url: watch::Sender::new(Some(url.to_owned())),
            answers: AtomicU64::new(0),
            finishing: AtomicBool::new(false),
            answered: Barrier::new(clients),
        };
        for _ in 0..clients {
            let request = RegisterRequest {
                registration_id: 77,
                identity_key: public(0x05, 33, 1),
                keys: Some(keys(0, KEYS)),
                ..RegisterRequest::default()
            };
            let answer: RegisterResponse =
                world.post("/v1/accounts", None, &request).await.expect("the relay runs").body();
            let user = UserId::from_slice(&answer.user_id).unwrap();
            let party = Party::new(user, answer.tokens.unwrap());
            let secrets = [&party.tokens.access_token, &party.tokens.refresh_token, &user.to_string()];
            for text in secrets {
                world.recorder.write(Event::Secret { text: text.clone() });
            }
            let ids: Vec<u32> = (0..KEYS).collect();
            let call = Call::Upload { device: device(&party), ec: ids.clone(), kem: ids };
            let op = world.recorder.invoke(call);
            world.recorder.ok(op, Reply::Upload);
            world.parties.push(party);
        }
        world.recorder.write(Event::Secret { text: "CANARY".into() });
        for index in 0..clients {
            let (a, b) = (&world.parties[index], &world.parties[(index + 1) % clients]);
            let request = CreateThread { peer_user_id: b.user.to_wire(), ..CreateThread::default() };
            let thread: Thread = world.post("/v1/threads", Some(a), &request).await.unwrap().body();
            let thread = ThreadId::from_slice(&thread.thread_id).unwrap();
            let accept = format!("/v1/threads/{thread}/accept");
            assert_eq!(world.post(&accept, Some(b), &()).await.unwrap().status, 204);
            world.recorder.write(Event::Secret { text: thread.to_string() });
            world.recorder.write(Event::Thread {
                thread: hex(thread.as_bytes()),
                members: vec![hex(a.user.as_bytes()), hex(b.user.as_bytes())],
                roster_version: 1,
            });
            world.threads.push(thread);
        }
        Arc::new(world)
    }

    pub(super) fn reached_at(&self, url: &str) {
        self.url.send_replace(Some(url.to_owned()));
    }

    pub(super) fn gone(&self) {
        self.url.send_replace(None);
    }

    pub(super) fn answers(&self) -> u64 {
        self.answers.load(Ordering::SeqCst)
    }

    pub(super) fn finish(&self) {
        self.finishing.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_finishing(&self) -> bool {
        self.finishing.load(Ordering::SeqCst)
    }

    pub(super) fn answered(&self) {
        self.answers.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) async fn url(&self) -> String {
        self.url.subscribe().wait_for(Option::is_some).await.unwrap().clone().unwrap()
    }

    /// `None` if there was no complete answer.
    pub(super) async fn post(
        &self,
        path: &str,
        by: Option<&Party>,
        body: &impl prost::Message,
    ) -> Option<Answer> {
        let request = with_body(self.http.post(self.url().await + path), body);
        self.ask(request, by).await
    }

    pub(super) async fn ask(&self, request: reqwest::RequestBuilder, by: Option<&Party>) -> Option<Answer> {
        let request = match by {
            Some(party) => request.bearer_auth(&party.tokens.access_token),
            None => request,
        };
        Answer::of(request.timeout(ANSWER_TIMEOUT).send().await.ok()?).await
    }
}

/// The outcome of an HTTP request.
pub(super) enum Outcome {
    Done(Answer),
    /// It had no effect, for the reason that the relay gives.
    Refused(String),
    Unknown,
}

impl Outcome {
    pub(super) fn from(answer: Option<Answer>) -> Self {
        match answer {
            None => Self::Unknown,
            // The store does not answer, so the outcome is unknown.
            Some(answer) if answer.status == 503 => Self::Unknown,
            Some(answer) if answer.status >= 400 => Self::Refused(answer.error().reason),
            Some(answer) => Self::Done(answer),
        }
    }
}

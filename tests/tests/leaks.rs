//! Nothing secret or personal is written to the wrong place: not to logs at the highest level, not to the client's
//! files, and not to the relay's.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use sealpost_core::{Client, Config, DatabaseKey, Delivery};
use sealpost_testkit::{Interceptor, Party, Proxy, World, history, other};
use sealpost_wire::frame::Body;
use sealpost_wire::{Frame, RegisterResponse};
use tracing_subscriber::fmt::MakeWriter;

/// Words that occur nowhere else.
const HERS: &str = "periwinkle-armadillo-7731";
const HIS: &str = "tangerine-walrus-9052";

/// Everything that was logged. Clones share it.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Collects from the traffic what must not be revealed: tokens, keys, ciphertexts.
#[derive(Clone, Default)]
struct Secrets(Arc<Mutex<Vec<Secret>>>);

/// Its kind, and its bytes.
type Secret = (&'static str, Vec<u8>);

impl Secrets {
    fn learn(&self, what: &'static str, secret: &[u8]) {
        self.0.lock().unwrap().push((what, secret.to_vec()));
    }

    /// Panics if one of them occurs in these bytes: as it is, as hex, or as a list of numbers.
    fn are_absent_from(&self, place: &str, bytes: &[u8], skip: &[&str]) {
        for (what, secret) in self.0.lock().unwrap().iter().filter(|(what, _)| !skip.contains(what)) {
            let start = &secret[..secret.len().min(32)];
            let list: Vec<_> = start.iter().map(u8::to_string).collect();
            for form in [start.to_vec(), hex::encode(start).into_bytes(), list.join(", ").into_bytes()] {
                assert!(!contains(bytes, &form), "{what} occurs in {place}");
            }
        }
    }
}

impl Interceptor for Secrets {
    fn up(&self, frame: Frame) -> Vec<Frame> {
        match &frame.body {
            Some(Body::Hello(hello)) => self.learn("an access token", hello.access_token.as_bytes()),
            Some(Body::Send(send)) => {
                for envelope in send.copies.iter().filter_map(|copy| copy.envelope.as_ref()) {
                    self.learn("a ciphertext", &envelope.ciphertext);
                }
            }
            _ => {}
        }
        vec![frame]
    }

    fn answer(&self, request: &str, body: Vec<u8>) -> Vec<u8> {
        if request.starts_with("POST /v1/accounts") {
            let answer: RegisterResponse = sealpost_wire::decode(body.clone().into()).unwrap();
            let tokens = answer.tokens.unwrap();
            self.learn("a refresh token", tokens.refresh_token.as_bytes());
            self.learn("an access token", tokens.access_token.as_bytes());
        }
        body
    }
}

/// Ada and Ben exchange messages; then Ben's client disconnects, fails, and is opened with a wrong key, to produce
/// log lines.
async fn talk(world: &World, secrets: &Secrets) {
    let proxy = Proxy::start(world.addr(), secrets.clone()).await;
    let (ada, ben) = (come(world, &proxy, "ada").await, come(world, &proxy, "ben").await);
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    for (party, thread, words) in [(&ada, &hers, HERS), (&ben, &his, HIS), (&ada, &hers, HERS)] {
        let message = thread.send_text(&format!("I say {words} to you")).await.unwrap();
        party.message_reaches(thread, message.id, Delivery::Sent).await;
    }
    for party in [&ada, &ben] {
        secrets.learn("a user id", party.client.user_id().to_string().as_bytes());
        secrets.learn("a user id", party.client.user_id().as_bytes());
        secrets.learn("a thread id", hers.id().to_string().as_bytes());
    }
    secrets.learn("a safety number", other(&hers).await.safety_number().await.unwrap().as_bytes());
    secrets.learn("a database key", &[0xc7; 32]);
    secrets.learn("a text", HERS.as_bytes());
    secrets.learn("a text", HIS.as_bytes());
    proxy.inject_raw(sealpost_testkit::SocketMessage::text("no frame"));
    assert!(ada.client.direct_thread(sealpost_core::UserId::from_bytes([1; 16])).await.is_err());
    assert_eq!(history(&his).await.len(), 3);
    let disk = ben.close().await;
    assert!(
        Client::open(Config::new(disk.database(), DatabaseKey::new([0xc7; 32]), world.url())).await.is_err()
    );
    disk.open().await.close().await;
    ada.close().await;
}

async fn come(world: &World, proxy: &Proxy, name: &str) -> Party {
    world.disk(name).through(&proxy.url()).open_or_register().await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_or_personal_is_logged_or_stored_unencrypted() {
    let log = Log::default();
    let ours = "sealpost_core=trace,sealpost_protocol=trace,sealpost_relay=trace,sealpost_wire=trace";
    tracing_subscriber::fmt().with_env_filter(ours).with_writer(log.clone()).with_ansi(false).init();
    let mut world = World::start().await;
    let secrets = Secrets::default();
    talk(&world, &secrets).await;
    world.stop_relay().await;

    let logged = log.0.lock().unwrap().clone();
    // The log must contain lines, because otherwise the absence of secrets proves nothing.
    assert!(contains(&logged, b"sealpost_core") && contains(&logged, b"sealpost_relay"), "no log");
    secrets.are_absent_from("the log", &logged, &[]);

    let client: Vec<_> = files(world.dir());
    assert!(client.len() >= 2);
    for file in client {
        secrets.are_absent_from(&file.display().to_string(), &fs::read(&file).unwrap(), &[]);
    }
    // The relay must know who writes where, but cannot know the contents, and stores only hashes of tokens.
    let known = ["a user id", "a thread id", "a ciphertext"];
    let relay = files(&world.relay_dir());
    assert!(!relay.is_empty());
    for file in relay {
        let bytes = fs::read(&file).unwrap();
        // The reserve is large and empty, so one comparison is enough.
        if bytes != vec![0; bytes.len()] {
            secrets.are_absent_from(&file.display().to_string(), &bytes, &known);
        }
    }
}

#[test]
fn secrets_are_found_in_every_encoding() {
    let secrets = Secrets::default();
    secrets.learn("a key", &[7, 8, 9, 10]);
    for told in [b"..\x07\x08\x09\x0a..".to_vec(), b"key=0708090a".to_vec(), b"Key([7, 8, 9, 10])".to_vec()] {
        let check = std::panic::catch_unwind(|| secrets.clone().are_absent_from("a test", &told, &[]));
        assert!(check.is_err(), "{told:?}");
    }
}

/// The files of a folder, without its subfolders.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_file()).collect()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

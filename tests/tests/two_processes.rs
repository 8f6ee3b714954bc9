//! An app and its notification extension: two processes, one database.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt as _;
use sealpost_core::{
    Change, Client, ConnectionState, Delivery, Direction, Error, Event, Events, Message, MessageBody,
    Storage, Thread, Timeline, fetch_for_push,
};
use sealpost_e2e::KeyUse;
use sealpost_testkit::{ManualClock, Meddle, Party, PartyDisk, Proxy, World, eventually, history, texts};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::unconstrained;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

/// A `second-process`.
struct Second {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Second {
    /// Up to the moment when it is told to begin.
    async fn start(world: &World, relay: &str, name: &str, what: &str, count: usize) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_second-process"))
            .arg(world.dir())
            .args([name, relay, what, &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut second = Self { child, said };
        second.says("ready").await;
        second
    }

    async fn begin(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").await.unwrap();
    }

    /// Waits until it says this.
    async fn says(&mut self, wanted: &str) {
        let saying = async { while self.said.next_line().await.unwrap().expect("it has ended") != wanted {} };
        timeout(PATIENCE, saying).await.unwrap_or_else(|_| panic!("was not said: {wanted}"));
    }

    /// Everything that it says until it ends.
    async fn end(mut self) -> (Vec<String>, ExitStatus) {
        drop(self.child.stdin.take());
        let mut said = Vec::new();
        while let Some(line) = self.said.next_line().await.unwrap() {
            said.push(line);
        }
        (said, self.child.wait().await.unwrap())
    }

    /// As a system does with an app that nobody looks at. Done when every thread stands still.
    async fn freeze(&self) {
        self.signal("-STOP").await;
        let threads = PathBuf::from(format!("/proc/{}/task", self.child.id().unwrap()));
        eventually("a frozen process", async || {
            let mut states = fs::read_dir(&threads).unwrap().map(|thread| {
                let stat = fs::read_to_string(thread.unwrap().path().join("stat")).unwrap();
                // Behind the name, which stands in brackets (proc(5)).
                stat.rsplit(')').next().unwrap().trim_start().to_owned()
            });
            states.all(|state| state.starts_with('T')).then_some(())
        })
        .await;
    }

    async fn thaw(&self) {
        self.signal("-CONT").await;
    }

    async fn signal(&self, signal: &str) {
        // Every shell has it built in; not every system has the program.
        let kill = format!("kill {signal} {}", self.child.id().unwrap());
        assert!(Command::new("sh").args(["-c", &kill]).status().await.unwrap().success());
    }
}

/// Writes a text, and waits until the relay has it.
async fn write(party: &Party, thread: &Thread, text: &str) {
    let message = thread.send_text(text).await.unwrap();
    let left = |direction: &Direction| *direction != Direction::Outgoing(Delivery::Queued);
    party.message_reaches(thread, message.id, left).await;
}

/// Ada's and Ben's thread, in which each has said hello.
async fn talk(ada: &Party, ben: &Party) -> (Thread, Thread) {
    let (hers, his) = (ada.thread_with(ben).await, ben.thread_with(ada).await);
    write(ada, &hers, "ada: hello").await;
    ben.texts_when(&his, 1).await;
    write(ben, &his, "ben: hello").await;
    ada.texts_when(&hers, 2).await;
    (hers, his)
}

/// Both see the same, everything that was written, nothing twice; and each knows that the other has it.
async fn same_conversation(ada: (&Party, &Thread), ben: (&Party, &Thread), written: &[String]) {
    for (party, thread) in [ada, ben] {
        eventually(&format!("everything of {} arrives", party.name()), async || {
            let waits = |message: &Message| {
                matches!(message.direction, Direction::Outgoing(state) if state != Delivery::Delivered)
            };
            let all = history(thread).await;
            (all.len() >= written.len() && !all.iter().any(waits)).then_some(())
        })
        .await;
    }
    let (hers, his) = (texts(ada.1).await, texts(ben.1).await);
    assert_eq!(hers, his);
    assert_eq!(hers.len(), written.len(), "lost, or there twice");
    assert_eq!(hers.iter().collect::<HashSet<_>>(), written.iter().collect());
}

/// What an app was told since it began to listen: the texts that are new, and the states of its connection.
fn told(mut events: Events) -> (Vec<String>, Vec<ConnectionState>) {
    let (mut added, mut states) = (Vec::new(), Vec::new());
    while let Some(Some(event)) = unconstrained(events.next()).now_or_never() {
        match event {
            Ok(Event::MessageAdded(Message { body: MessageBody::Text(text), .. })) => added.push(text),
            Ok(Event::Connection(state)) => states.push(state),
            _ => {}
        }
    }
    (added, states)
}

/// Follows a view until it shows this text.
async fn is_shown(view: &mut Timeline, text: &str) {
    let body = MessageBody::Text(text.to_owned());
    let watching = async {
        loop {
            let shown = match view.next().await.unwrap().unwrap() {
                Change::Snapshot(page) => page.messages.iter().any(|message| message.body == body),
                Change::Added(message) | Change::Changed { message, .. } => message.body == body,
                _ => false,
            };
            if shown {
                return;
            }
        }
    };
    timeout(PATIENCE, watching).await.unwrap_or_else(|_| panic!("is not shown: {text}"));
}

/// The lock between processes.
fn lock_file(disk: &PartyDisk) -> File {
    let mut path = disk.database().as_os_str().to_owned();
    path.push(".lock");
    File::options().write(true).open(PathBuf::from(path)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_awake_and_its_extension_share_one_file() {
    const FETCHES: usize = 50;
    let world = World::start().await;
    let keys = KeyUse::default();
    let proxy = Proxy::start(world.addr(), keys.clone()).await;
    let ada = world.disk("ada").through(&proxy.url()).come().await;
    let ben = world.disk("ben").through(&proxy.url()).come().await;
    let (hers, his) = talk(&ada, &ben).await;
    ada.live().await;

    let events = ada.client.events();
    let (mut view, mut written) = (hers.subscribe(), vec!["ada: hello".to_owned(), "ben: hello".to_owned()]);
    let mut extension = Second::start(&world, &proxy.url(), "ada", "fetch", FETCHES).await;
    extension.begin().await;
    let mut fetching = tokio::spawn(extension.end());
    let mut announced = None;
    for line in 0.. {
        for (party, thread) in [(&ada, &hers), (&ben, &his)] {
            let text = format!("{}: {line}", party.name());
            write(party, thread, &text).await;
            written.push(text);
        }
        if fetching.is_finished() {
            announced = Some((&mut fetching).await.unwrap());
            break;
        }
    }
    let (fetched, status) = announced.unwrap();
    assert!(status.success(), "the extension failed");
    same_conversation((&ada, &hers), (&ben, &his), &written).await;
    is_shown(&mut view, written.last().unwrap()).await;

    // Each process announces a message at most once, and between them every one.
    let (mut added, states) = told(events);
    added.retain(|text| text.starts_with("ben: "));
    for announced in [&added, &fetched] {
        assert_eq!(announced.iter().collect::<HashSet<_>>().len(), announced.len(), "{announced:?}");
    }
    let fetched = fetched.iter().map(|line| line.strip_prefix("message ").unwrap().to_owned());
    let everywhere: HashSet<_> = added.into_iter().chain(fetched).collect();
    assert_eq!(everywhere.len(), written.len() / 2 - 1);
    // The extension's connection is beside the app's, not in its place.
    assert_eq!(states, []);
    assert_eq!(ada.client.connection_state(), ConnectionState::Live);
    keys.judge().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_extension_brought_is_shown_by_an_app_without_a_connection() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    talk(&ada, &ben).await;
    // The app is up, but what comes does not come to it.
    let ada = ada.close().await.through("http://127.0.0.1:1").open().await;
    let (hers, his) = (ada.client.threads().await.unwrap().pop().unwrap(), ben.thread_with(&ada).await);
    let mut view = hers.subscribe();
    assert!(matches!(view.next().await, Some(Ok(Change::Snapshot(_)))));
    write(&ben, &his, "ben: are you there?").await;
    let mut extension = Second::start(&world, &world.url(), "ada", "fetch", 1).await;
    extension.begin().await;
    assert_eq!(extension.end().await.0, ["message ben: are you there?"]);
    is_shown(&mut view, "ben: are you there?").await;
    // From then on it is not new.
    let mut arrivals = hers.arrivals();
    hers.send_text("ada: here I am").await.unwrap();
    let new = arrivals.next_batch(10).await.unwrap().unwrap();
    let bodies: Vec<_> = new.into_iter().map(|message| message.body).collect();
    assert_eq!(bodies, [MessageBody::Text("ada: here I am".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_holds_the_lock_between_transactions_or_while_suspended() {
    let world = World::start().await;
    let disk = world.disk("ada");
    let (ada, ben) = (disk.clone().come().await, world.party("ben").await);
    let (hers, his) = talk(&ada, &ben).await;
    let lock = lock_file(&disk);
    ada.client.suspend().await.unwrap();
    lock.try_lock().unwrap();
    lock.unlock().unwrap();
    ada.client.resume().await.unwrap();
    ada.live().await;
    eventually("a free lock", async || lock.try_lock().is_ok().then_some(())).await;

    // Now it is another process that is at work: nothing is written, and reading goes on.
    let refused = hers.send_text("in vain").await.unwrap_err();
    assert_eq!(refused, Error::Storage(Storage::InUse));
    assert!(refused.is_retryable());
    assert_eq!(texts(&hers).await.len(), 2);
    his.send_text("ben: is kept").await.unwrap();
    lock.unlock().unwrap();
    let written = ["ada: hello", "ben: hello", "ben: is kept", "ada: again"].map(str::to_owned);
    write(&ada, &hers, "ada: again").await;
    same_conversation((&ada, &hers), (&ben, &his), &written).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_frozen_is_in_nobodys_way() {
    let world = World::start().await;
    let disk = world.disk("ada");
    let (ada, ben) = (disk.clone().come().await, world.party("ben").await);
    let (_, his) = talk(&ada, &ben).await;
    ada.close().await;
    let mut app = Second::start(&world, &world.url(), "ada", "stay", 0).await;
    app.begin().await;
    app.says("live").await;
    // Frozen outside of a transaction: we have the lock.
    let lock = lock_file(&disk);
    eventually("a free lock", async || lock.try_lock().is_ok().then_some(())).await;
    app.freeze().await;
    lock.unlock().unwrap();
    for text in ["ben: one", "ben: two"] {
        write(&ben, &his, text).await;
        let fetched = fetch_for_push(disk.config(), std::future::pending()).await.unwrap();
        let bodies: Vec<_> = fetched.messages.into_iter().map(|message| message.body).collect();
        assert_eq!(bodies, [MessageBody::Text(text.to_owned())]);
    }
    app.thaw().await;
    app.says("shows 4").await;
    let (_, status) = app.end().await;
    assert!(status.success());
    let ada = disk.open().await;
    let hers = ada.client.threads().await.unwrap().pop().unwrap();
    assert_eq!(texts(&hers).await, ["ada: hello", "ben: hello", "ben: one", "ben: two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_there_yet_is_made_once() {
    const FILES: usize = 30;
    let world = World::start().await;
    let mut processes = Vec::new();
    for _ in 0..3 {
        processes.push(Second::start(&world, &world.url(), "new", "open", FILES).await);
    }
    for process in &mut processes {
        process.begin().await;
    }
    for process in processes {
        assert!(process.end().await.1.success());
    }
    for number in 0..FILES {
        drop(Client::open(world.disk(&format!("new {number}")).config()).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_both_exchange_at_once_sign_nobody_out() {
    let clock = ManualClock::at(
        u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap(),
    );
    let relay_clock = clock.clone();
    let world = World::start_with(move |config| sealpost_relay::Config {
        clock: Arc::new(relay_clock.clone()),
        ..config
    })
    .await;
    let exchanges = Exchanges::default();
    let proxy = Proxy::start(world.addr(), exchanges.clone()).await;
    let mut ada = world.disk("ada").through(&proxy.url()).come().await;
    let ben = world.disk("ben").with_clock(&clock).come().await;
    let (_, his) = talk(&ada, &ben).await;
    let mut written = vec!["ada: hello".to_owned(), "ben: hello".to_owned()];
    for round in 0..5 {
        let disk = ada.close().await;
        let mut extension = Second::start(&world, &proxy.url(), "ada", "fetch", 1).await;
        // By the relay's clock, every token has run out.
        clock.advance(Duration::from_secs(3600));
        exchanges.wait_for_each_other();
        extension.begin().await;
        ada = disk.open().await;
        ada.live().await;
        assert!(extension.end().await.1.success(), "round {round}");
        assert_eq!(exchanges.so_far(), 2, "they did not exchange at once in round {round}");
        let hers = ada.client.threads().await.unwrap().pop().unwrap();
        for (party, thread) in [(&ada, &hers), (&ben, &his)] {
            let text = format!("{}: {round}", party.name());
            write(party, thread, &text).await;
            written.push(text);
        }
    }
    let hers = ada.client.threads().await.unwrap().pop().unwrap();
    same_conversation((&ada, &hers), (&ben, &his), &written).await;
}

/// Holds the answer to an exchange of tokens back until there are two, as far as anybody can wait for that.
#[derive(Clone, Default)]
struct Exchanges(Arc<(Mutex<usize>, Condvar)>);

impl Exchanges {
    fn wait_for_each_other(&self) {
        *self.0.0.lock().unwrap() = 0;
    }

    fn so_far(&self) -> usize {
        *self.0.0.lock().unwrap()
    }
}

impl Meddle for Exchanges {
    fn answer(&self, request: &str, body: Vec<u8>) -> Vec<u8> {
        if request.starts_with("POST /v1/auth/refresh") {
            tokio::task::block_in_place(|| {
                let (count, both) = &*self.0;
                let mut count = count.lock().unwrap();
                *count += 1;
                both.notify_all();
                drop(both.wait_timeout_while(count, Duration::from_secs(5), |count| *count < 2).unwrap());
            });
        }
        body
    }
}

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
    Change, Client, ConnectionState, Delivery, Error, Event, Events, Message, MessageBody, Storage, Thread,
    Timeline, fetch_for_push,
};
use sealpost_e2e::KeyUse;
use sealpost_testkit::{
    Interceptor, ManualClock, Party, PartyDisk, Proxy, World, eventually, history, is_under_way, texts,
};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::unconstrained;
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(60);

/// A running `second-process`.
struct Second {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Second {
    /// Starts the process and waits until it is ready.
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

    /// Waits until it prints this line.
    async fn says(&mut self, wanted: &str) {
        let saying = async { while self.said.next_line().await.unwrap().expect("it has ended") != wanted {} };
        timeout(TIMEOUT, saying).await.unwrap_or_else(|_| panic!("was not printed: {wanted}"));
    }

    /// All lines that it prints until it ends.
    async fn end(mut self) -> (Vec<String>, ExitStatus) {
        drop(self.child.stdin.take());
        let mut said = Vec::new();
        while let Some(line) = self.said.next_line().await.unwrap() {
            said.push(line);
        }
        (said, self.child.wait().await.unwrap())
    }

    /// Stops the process, as mobile systems do with an app in the background, and waits until every thread is stopped.
    async fn freeze(&self) {
        self.signal("-STOP").await;
        let threads = PathBuf::from(format!("/proc/{}/task", self.child.id().unwrap()));
        eventually("a frozen process", async || {
            let mut states = fs::read_dir(&threads).unwrap().map(|thread| {
                let stat = fs::read_to_string(thread.unwrap().path().join("stat")).unwrap();
                // The state follows the name, which is in parentheses (proc(5)).
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
        // `kill` is built into every shell, but not every system has the program.
        let kill = format!("kill {signal} {}", self.child.id().unwrap());
        assert!(Command::new("sh").args(["-c", &kill]).status().await.unwrap().success());
    }
}

/// Sends a text, and waits until the relay has accepted it.
async fn write(party: &Party, thread: &Thread, text: &str) {
    let message = thread.send_text(text).await.unwrap();
    party.message_reaches(thread, message.id, Delivery::Sent).await;
}

/// The thread of Ada and Ben on both sides, after each has sent a text.
async fn talk(ada: &Party, ben: &Party) -> (Thread, Thread) {
    let (hers, his) = (ada.thread_with(ben).await, ben.thread_with(ada).await);
    write(ada, &hers, "ada: hello").await;
    ben.texts_when(&his, 1).await;
    write(ben, &his, "ben: hello").await;
    ada.texts_when(&hers, 2).await;
    (hers, his)
}

/// Waits until everything is confirmed as delivered, and checks that both sides show exactly the written texts in the
/// same order.
async fn same_conversation(ada: (&Party, &Thread), ben: (&Party, &Thread), written: &[String]) {
    for (party, thread) in [ada, ben] {
        eventually(&format!("everything of {} arrives", party.name()), async || {
            let all = history(thread).await;
            (all.len() >= written.len() && !all.iter().any(is_under_way)).then_some(())
        })
        .await;
    }
    let (hers, his) = (texts(ada.1).await, texts(ben.1).await);
    assert_eq!(hers, his);
    assert_eq!(hers.len(), written.len(), "a message is lost or shown twice");
    assert_eq!(hers.iter().collect::<HashSet<_>>(), written.iter().collect());
}

/// The events of an app since it subscribed: the texts of added messages, and the states of its connection.
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
    timeout(TIMEOUT, watching).await.unwrap_or_else(|_| panic!("is not shown: {text}"));
}

/// The lock between processes.
fn lock_file(disk: &PartyDisk) -> File {
    let mut path = disk.database().as_os_str().to_owned();
    path.push(".lock");
    File::options().write(true).open(PathBuf::from(path)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_app_and_its_extension_share_one_database() {
    const FETCHES: usize = 50;
    let world = World::start().await;
    let keys = KeyUse::default();
    let proxy = Proxy::start(world.addr(), keys.clone()).await;
    let ada = world.disk("ada").through(&proxy.url()).open_or_register().await;
    let ben = world.disk("ben").through(&proxy.url()).open_or_register().await;
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

    // Each process reports a message at most once, and together they report all of them.
    let (mut added, states) = told(events);
    added.retain(|text| text.starts_with("ben: "));
    for announced in [&added, &fetched] {
        assert_eq!(announced.iter().collect::<HashSet<_>>().len(), announced.len(), "{announced:?}");
    }
    let fetched = fetched.iter().map(|line| line.strip_prefix("message ").unwrap().to_owned());
    let mut everywhere: HashSet<_> = added.into_iter().chain(fetched).collect();
    // It was in the database before the first event that counts, but may have been reported later.
    everywhere.remove("ben: hello");
    assert_eq!(everywhere.len(), written.len() / 2 - 1);
    // The connections of the extension do not replace the app's, even if the relay notices late that some have ended.
    assert_eq!(states, []);
    assert_eq!(ada.client.connection_state(), ConnectionState::Live);
    keys.judge().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_fetched_by_an_extension_are_shown_by_an_offline_app() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    talk(&ada, &ben).await;
    // The app is running, but cannot reach the relay.
    let ada = ada.close().await.through("http://127.0.0.1:1").open().await;
    let (hers, his) = (ada.client.threads().await.unwrap().pop().unwrap(), ben.thread_with(&ada).await);
    let mut view = hers.subscribe();
    assert!(matches!(view.next().await, Some(Ok(Change::Snapshot(_)))));
    write(&ben, &his, "ben: are you there?").await;
    let mut extension = Second::start(&world, &world.url(), "ada", "fetch", 1).await;
    extension.begin().await;
    assert_eq!(extension.end().await.0, ["message ben: are you there?"]);
    is_shown(&mut view, "ben: are you there?").await;
    // The message is not reported again.
    let mut arrivals = hers.arrivals();
    hers.send_text("ada: here I am").await.unwrap();
    let new = arrivals.next_batch(10).await.unwrap().unwrap();
    let bodies: Vec<_> = new.into_iter().map(|message| message.body).collect();
    assert_eq!(bodies, [MessageBody::Text("ada: here I am".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lock_is_free_between_transactions_and_while_suspended() {
    let world = World::start().await;
    let disk = world.disk("ada");
    let (ada, ben) = (disk.clone().open_or_register().await, world.party("ben").await);
    let (hers, his) = talk(&ada, &ben).await;
    let lock = lock_file(&disk);
    ada.client.suspend().await.unwrap();
    lock.try_lock().unwrap();
    lock.unlock().unwrap();
    ada.client.resume().await.unwrap();
    ada.live().await;
    eventually("a free lock", async || lock.try_lock().is_ok().then_some(())).await;

    // While another process holds the lock, writes fail and reads continue.
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
async fn a_frozen_app_does_not_block_its_extension() {
    let world = World::start().await;
    let disk = world.disk("ada");
    let (ada, ben) = (disk.clone().open_or_register().await, world.party("ben").await);
    let (_, his) = talk(&ada, &ben).await;
    ada.close().await;
    let mut app = Second::start(&world, &world.url(), "ada", "stay", 0).await;
    app.begin().await;
    app.says("live").await;
    // The process was stopped outside a transaction, because the lock is free.
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
async fn a_new_database_is_created_once_by_concurrent_processes() {
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
async fn concurrent_token_exchanges_do_not_sign_out_the_device() {
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
    let mut ada = world.disk("ada").through(&proxy.url()).open_or_register().await;
    let ben = world.disk("ben").with_clock(&clock).open_or_register().await;
    let (_, his) = talk(&ada, &ben).await;
    let mut written = vec!["ada: hello".to_owned(), "ben: hello".to_owned()];
    for round in 0..5 {
        let disk = ada.close().await;
        let mut extension = Second::start(&world, &proxy.url(), "ada", "fetch", 1).await;
        // By the relay's clock, every token has expired.
        clock.advance(Duration::from_secs(3600));
        exchanges.wait_for_each_other();
        extension.begin().await;
        ada = disk.open().await;
        ada.live().await;
        assert!(extension.end().await.1.success(), "round {round}");
        assert_eq!(exchanges.so_far(), 2, "the exchanges were not concurrent in round {round}");
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

/// Delays the answer to a token exchange until there are two, up to a time limit.
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

impl Interceptor for Exchanges {
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

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_another_process_has_read_disappears() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let (hers, his) = talk(&ada, &ben).await;
    his.set_timer(3).await.unwrap();
    write(&ben, &his, "ben: forget this").await;
    ada.texts_when(&hers, 4).await;
    let mut other = Second::start(&world, &world.url(), "ada", "read", 1).await;
    other.begin().await;
    assert!(other.end().await.1.success());
    // The app notices that at its next transaction, whatever it is about.
    hers.set_draft("an answer").await.unwrap();
    let is_gone = async || (!texts(&hers).await.contains(&"ben: forget this".to_owned())).then_some(());
    eventually("it disappears", is_gone).await;
}

//! Processes are killed at every named station of the client and of the relay, and started again. Whatever the
//! station: no message is lost, none is doubled, both sides see the same order, and no message key is used twice.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

mod alone;
mod at_once;
mod together;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sealpost_core::fault::Station;
use sealpost_core::{Delivery, Thread, UserId};
use sealpost_e2e::{KeyUse, take_one_time_keys};
use sealpost_relay::fault::Station as RelayStation;
use sealpost_testkit::{
    Interceptor, ManualClock, Party, PartyDisk, Proxy, RelayProcess, World, eventually, history,
    is_under_way, own_address, relay_binary, texts,
};
use sealpost_wire::Frame;
use sealpost_wire::frame::Body;
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::task::{Id, JoinSet};
use tokio::time::timeout;

/// Cases that run at the same time.
const AT_ONCE: usize = 6;
/// Lines that each client writes while the relay is killed.
const LINES: usize = 12;
/// Lines that are written offline before the client is killed.
const OFFLINE_LINES: usize = 600;
const TIMEOUT: Duration = Duration::from_secs(60);
const SIGABRT: i32 = 6;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_can_be_killed_at_every_station() {
    let mut cases = Cases::new();
    for station in Station::ALL {
        for pass in 1..=passes(station) {
            cases.spawn(format!("{}:{pass}", station.name()), move |fault: String| async move {
                kill_client(station, &fault).await;
            });
        }
    }
    cases.all_pass().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_relay_can_be_killed_at_every_station() {
    let mut cases = Cases::new();
    // No account is deleted in a conversation, no device is linked, and there is no group; other tests cover these stations.
    for station in RelayStation::ALL.iter() {
        for pass in 1..=relay_passes(*station) {
            cases.spawn(format!("{}:{pass}", station.name()), |fault| async move {
                kill_relay(&fault).await;
            });
        }
    }
    cases.all_pass().await;
}

/// The same client aborts at one fault after another while it sends many messages that were written offline.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_can_be_killed_while_many_messages_are_in_flight() {
    let mut world = World::start().await;
    let keys = KeyUse::default();
    let proxy = Proxy::start(world.addr(), keys.clone()).await;
    let ada = world.disk("ada").through(&proxy.url()).open_or_register().await;
    let ben = world.disk("ben").through(&proxy.url()).open_or_register().await;
    let hers = thread(&ada, &ben).await;
    write(&ada, &hers, 0).await;
    world.stop_relay().await;
    for line in 1..=OFFLINE_LINES {
        hers.send_text(&format!("ada {line}")).await.unwrap();
    }
    let ada = ada.close().await;
    world.start_relay().await;
    let stations = [
        (Station::SealBeforeCommit, 1),
        (Station::SealAfterCommit, 1),
        (Station::SubmitAnswered, 1),
        (Station::SettleBeforeCommit, 1),
        (Station::SettleAfterCommit, 1),
        (Station::SubmitAnswered, 40),
        (Station::SettleBeforeCommit, 2),
        (Station::SealBeforeCommit, 2),
        (Station::SettleAfterCommit, 2),
        (Station::SealAfterCommit, 2),
    ];
    for (station, pass) in stations {
        let fault = format!("{}:{pass}", station.name());
        let dead = timeout(TIMEOUT, crash_client(world.dir(), &proxy.url(), None, &fault).wait()).await;
        let status = dead.unwrap_or_else(|_| panic!("not reached: {fault}")).unwrap();
        assert_eq!(status.signal(), Some(SIGABRT), "did not die at {fault}: {status}");
    }
    same_conversation(&ada.open_or_register().await, &ben, "dying while it sends").await;
    keys.judge().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_used_twice_is_detected() {
    let world = World::start().await;
    let (honest, forged) = (KeyUse::default(), KeyUse::default());
    let proxy = Proxy::start(world.addr(), TwoCiphertexts(honest.clone(), forged.clone())).await;
    let ada = world.disk("ada").through(&proxy.url()).open_or_register().await;
    let ben = world.party("ben").await;
    let hers = ada.thread_with(&ben).await;
    write(&ada, &hers, 0).await;
    assert_eq!(honest.judge(), Ok(1));
    assert_eq!(forged.judge(), Err("1 message keys used twice, 0 unreadable ciphertexts".to_owned()));
}

/// Records the sent messages in the first record, and other ciphertexts with the same keys in the second.
struct TwoCiphertexts(KeyUse, KeyUse);

impl Interceptor for TwoCiphertexts {
    fn up(&self, frame: Frame) -> Vec<Frame> {
        let mut again = frame.clone();
        if let Some(Body::Send(send)) = &mut again.body {
            for envelope in send.copies.iter_mut().filter_map(|copy| copy.envelope.as_mut()) {
                let mut ciphertext = envelope.ciphertext.to_vec();
                // Changes a byte of the ciphertext, after the header.
                let behind = ciphertext.len() - 20;
                ciphertext[behind] ^= 1;
                envelope.ciphertext = ciphertext.into();
            }
        }
        self.1.up(frame.clone());
        self.1.up(again);
        self.0.up(frame)
    }
}

/// How often a station is passed while a conversation starts and runs, as far as it is tested.
const fn passes(station: Station) -> u64 {
    match station {
        Station::MeetBeforeCommit
        | Station::MeetAfterCommit
        | Station::RegisterBeforeSubmit
        | Station::RegisterAnswered
        | Station::ListBeforeUpload
        | Station::ListUploaded
        | Station::PreKeysBeforeUpload
        | Station::PreKeysUploaded
        | Station::RefreshAnswered
        | Station::RefreshStored
        | Station::AcceptBeforeCall
        | Station::AcceptAnswered => 1,
        // Covered by `leaving.rs`, `deferred_messages.rs`, `linking.rs`, `moving.rs`, `bootstrap.rs` and `alone.rs`.
        Station::LeaveAfterCommit
        | Station::LeaveAnswered
        | Station::RetryBeforeOpen
        | Station::RetryBeforeCommit
        | Station::RetryAfterCommit
        | Station::CleanUpBeforeCommit
        | Station::CleanUpAfterCommit
        | Station::LinkOfferStored
        | Station::LinkAnswerStored
        | Station::LinkConfirmed
        | Station::LinkListTold
        | Station::LinkReleased
        | Station::LinkReleaseStored
        | Station::LinkRegistered
        | Station::DeviceRemoved
        | Station::DeviceRevoked
        | Station::BootstrapMakeBeforeCommit
        | Station::BootstrapMakeAfterCommit
        | Station::BootstrapApplyBeforeCommit
        | Station::BootstrapApplyAfterCommit
        | Station::MoveAsked
        | Station::MoveProposed
        | Station::MoveSigned
        | Station::MoveBeforeTold
        | Station::MoveTold
        | Station::MigrateBeforeCommit => 0,
        _ => 3,
    }
}

const fn relay_passes(station: RelayStation) -> u64 {
    match station {
        // Covered by `leaving.rs`, `linking.rs`, `moving.rs` and, like those of groups, by the crash and kill tests of the relay.
        RelayStation::DeleteBeforeCommit
        | RelayStation::DeleteAfterCommit
        | RelayStation::LinkBeforeCommit
        | RelayStation::LinkAfterCommit
        | RelayStation::MoveBeforeCommit
        | RelayStation::MoveAfterCommit
        | RelayStation::EntryBeforeCommit
        | RelayStation::EntryAfterCommit
        | RelayStation::FanoutBeforeCommit
        | RelayStation::FanoutAfterCommit => 0,
        RelayStation::PreKeyBeforeCommit | RelayStation::PreKeyAfterCommit => 1,
        RelayStation::RegisterBeforeCommit | RelayStation::RegisterAfterCommit => 2,
        _ => 3,
    }
}

/// Ada's client runs in a process that aborts. Ben's client, in this process, keeps writing to her.
async fn kill_client(station: Station, fault: &str) {
    let clock = ManualClock::at(now_ms());
    let about_tokens = matches!(station, Station::RefreshAnswered | Station::RefreshStored);
    let world = if about_tokens { world_at(&clock).await } else { World::start().await };
    let keys = KeyUse::default();
    let proxy = Proxy::start(world.addr(), keys.clone()).await;
    let ada = world.disk("ada").through(&proxy.url());
    let ben = world.disk("ben").through(&proxy.url()).open_or_register().await;
    let about_keys = matches!(station, Station::PreKeysBeforeUpload | Station::PreKeysUploaded);
    let about_registration = matches!(
        station,
        Station::RegisterBeforeSubmit
            | Station::RegisterAnswered
            | Station::ListBeforeUpload
            | Station::ListUploaded
    );
    if !about_registration {
        ada.clone().open_or_register().await.close().await;
    }
    if about_keys {
        take_keys(&world, usize::MAX);
    }
    if about_tokens {
        // By the relay's clock, every token has expired.
        clock.advance(Duration::from_secs(3600));
    }
    let about_acceptance = matches!(station, Station::AcceptBeforeCall | Station::AcceptAnswered);
    if about_acceptance {
        begin_a_thread(&world, &ben).await;
    }
    // A client that writes opens the thread, and thereby accepts it.
    let writes_to = (!about_acceptance).then(|| ben.client.user_id());
    let child = crash_client(world.dir(), &proxy.url(), writes_to, fault);
    let status = write_until_dead(&ben, child).await;
    assert_eq!(status.signal(), Some(SIGABRT), "did not die at {fault}: {status}");
    if about_keys {
        take_keys(&world, 1);
    }
    if about_acceptance {
        assert_eq!(waiting_to_be_accepted(&world), u32::from(station == Station::AcceptBeforeCall));
    }
    let ada = ada.open_or_register().await;
    if about_acceptance {
        eventually("the thread is accepted", async || (waiting_to_be_accepted(&world) == 0).then_some(()))
            .await;
    }
    same_conversation(&ada, &ben, fault).await;
    assert_eq!(accounts(&world.relay_dir()), 2, "after {fault}");
    if about_keys {
        keys_are_replenished(&world, ada).await;
    }
    keys.judge().unwrap_or_else(|wrong| panic!("{fault}: {wrong}"));
}

/// The relay runs in a process that aborts, while Ada and Ben keep writing to each other.
async fn kill_relay(fault: &str) {
    let dir = tempfile::tempdir().unwrap();
    let start = async |listen: SocketAddr, fault: Option<&str>| {
        let log = dir.path().join("relay.log");
        RelayProcess::start(&relay_binary(), &dir.path().join("relay"), listen, &log, fault).await.unwrap()
    };
    let mut relay = start(own_address(), Some(fault)).await;
    let addr = relay.addr();
    let keys = KeyUse::default();
    let proxy = Proxy::start(addr, keys.clone()).await;
    let disk = |name| PartyDisk::new(dir.path(), name, &proxy.url());
    let talk = tokio::spawn(talk_with_retries(disk("ada"), disk("ben")));
    let status = timeout(TIMEOUT, relay.wait()).await;
    let status = status.unwrap_or_else(|_| panic!("not reached: {fault}")).unwrap();
    assert_eq!(status.signal(), Some(SIGABRT), "did not die at {fault}: {status}");
    let _relay = start(addr, None).await;
    let (ada, ben) = talk.await.unwrap();
    same_conversation(&ada, &ben, fault).await;
    assert_eq!(accounts(&dir.path().join("relay")), 2, "after {fault}");
    keys.judge().unwrap_or_else(|wrong| panic!("{fault}: {wrong}"));
}

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// A relay on a clock that is set by hand.
async fn world_at(clock: &ManualClock) -> World {
    let clock = clock.clone();
    World::start_with(move |config| sealpost_relay::Config { clock: Arc::new(clock.clone()), ..config }).await
}

/// Opens a thread with Ada, who is offline.
async fn begin_a_thread(world: &World, ben: &Party) {
    let ada = "SELECT user_id FROM device WHERE user_id <> ?1";
    let ada = relay_db(world).query_row(ada, [ben.client.user_id().as_bytes()], |row| row.get(0)).unwrap();
    ben.client.direct_thread(UserId::from_bytes(ada)).await.unwrap();
}

/// The number of members at the relay who have not accepted their thread.
fn waiting_to_be_accepted(world: &World) -> u32 {
    let sql = "SELECT count(*) FROM thread_member WHERE accepted = 0";
    relay_db(world).query_row(sql, [], |row| row.get(0)).unwrap()
}

fn crash_client(folder: &Path, relay: &str, peer: Option<UserId>, fault: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_crash-client"))
        .arg(folder)
        .args(["ada", relay])
        .args(peer.map(|peer| peer.to_string()))
        .env("SEALPOST_FAULT", fault)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Writes lines into the thread with the child, as soon as it exists, until the child ends.
async fn write_until_dead(ben: &Party, mut child: Child) -> ExitStatus {
    let writing = async {
        for line in 0.. {
            let thread = eventually("a thread", async || ben.client.threads().await.unwrap().pop()).await;
            write(ben, &thread, line).await;
        }
    };
    tokio::select! {
        status = child.wait() => status.unwrap(),
        () = writing => unreachable!("there is always another line"),
    }
}

async fn talk_with_retries(ada: PartyDisk, ben: PartyDisk) -> (Party, Party) {
    let (ada, ben) = (ada.open_or_register().await, ben.open_or_register().await);
    let (hers, his) = (thread(&ada, &ben).await, thread(&ben, &ada).await);
    for line in 0..LINES {
        tokio::join!(write(&ada, &hers, line), write(&ben, &his, line));
    }
    (ada, ben)
}

/// Writes one line, and waits until the relay has accepted it.
async fn write(party: &Party, thread: &Thread, line: usize) {
    let message = thread.send_text(&format!("{} {line}", party.name())).await.unwrap();
    party.message_reaches(thread, message.id, Delivery::Sent).await;
}

/// The thread with another person, retrying until the relay answers.
async fn thread(party: &Party, other: &Party) -> Thread {
    let user = other.client.user_id();
    eventually("a thread", async || party.client.direct_thread(user).await.ok()).await
}

/// Both write one more line. Then both sides must show every line ever written, once and in the same order.
async fn same_conversation(ada: &Party, ben: &Party, fault: &str) {
    let (hers, his) = (thread(ada, ben).await, thread(ben, ada).await);
    for (party, thread) in [(ada, &hers), (ben, &his)] {
        let next = lines_of(party.name(), &texts(thread).await).len();
        write(party, thread, next).await;
    }
    for (party, thread) in [(ada, &hers), (ben, &his)] {
        all_delivered(party, thread).await;
    }
    let (here, there) = (texts(&hers).await, texts(&his).await);
    assert_eq!(here, there, "after {fault}");
    for party in [ada, ben] {
        let lines = lines_of(party.name(), &here);
        assert_eq!(lines, (0..lines.len()).collect::<Vec<_>>(), "of {} after {fault}", party.name());
    }
    let all = [ada, ben].map(|party| lines_of(party.name(), &here).len()).iter().sum::<usize>();
    assert_eq!(here.len(), all, "other messages after {fault}: {here:?}");
}

/// The numbers of the lines of one person, in the order of the thread.
fn lines_of(name: &str, texts: &[String]) -> Vec<usize> {
    let lines = texts.iter().filter_map(|text| text.strip_prefix(name)?.strip_prefix(' '));
    lines.map(|line| line.parse().unwrap()).collect()
}

async fn all_delivered(party: &Party, thread: &Thread) {
    eventually(&format!("everything of {} arrives", party.name()), async || {
        let messages = history(thread).await;
        (!messages.iter().any(is_under_way)).then_some(())
    })
    .await;
}

/// After a crash during an upload, one of whose keys was taken in the meantime, later uploads still succeed.
async fn keys_are_replenished(world: &World, ada: Party) {
    take_keys(world, usize::MAX);
    let user = ada.client.user_id();
    let _ada = ada.close().await.open_or_register().await;
    eventually("a full pool of keys", async || {
        let sql = "SELECT count(*) FROM one_time_pre_key WHERE user_id = ?1";
        let keys: i64 = relay_db(world).query_row(sql, [user.as_bytes()], |row| row.get(0)).unwrap();
        (keys == 200).then_some(())
    })
    .await;
}

/// Takes one-time keys of all users, as if requesters had fetched them without writing.
fn take_keys(world: &World, most: usize) {
    let oldest = "key_id IN (SELECT key_id FROM one_time_pre_key ORDER BY key_id LIMIT ?1)";
    take_one_time_keys(&relay_db(world), oldest, [i64::try_from(most).unwrap_or(i64::MAX)]);
}

/// The number of accounts at the relay.
fn accounts(relay: &Path) -> usize {
    open_db(relay).query_row("SELECT count(*) FROM account", [], |row| row.get(0)).unwrap()
}

fn relay_db(world: &World) -> rusqlite::Connection {
    open_db(&world.relay_dir())
}

fn open_db(relay: &Path) -> rusqlite::Connection {
    let db = rusqlite::Connection::open(relay.join("relay.db")).unwrap();
    db.busy_timeout(TIMEOUT).unwrap();
    db
}

/// Cases that run concurrently, each with its name.
struct Cases {
    running: JoinSet<()>,
    turns: Arc<Semaphore>,
    names: HashMap<Id, String>,
}

impl Cases {
    fn new() -> Self {
        Self { running: JoinSet::new(), turns: Arc::new(Semaphore::new(AT_ONCE)), names: HashMap::new() }
    }

    fn spawn<F>(&mut self, fault: String, case: impl FnOnce(String) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send,
    {
        let (turns, name) = (Arc::clone(&self.turns), fault.clone());
        let task = self.running.spawn(async move {
            let _turn = turns.acquire_owned().await.unwrap();
            case(fault).await;
        });
        self.names.insert(task.id(), name);
    }

    async fn all_pass(mut self) {
        let mut failed = Vec::new();
        while let Some(case) = self.running.join_next_with_id().await {
            if let Err(error) = case {
                failed.push(self.names[&error.id()].clone());
            }
        }
        assert!(failed.is_empty(), "failed: {failed:?}");
    }
}

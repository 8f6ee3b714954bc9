//! Damaged and unusable databases, and the errors that the app gets. An error never loses data.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sealpost_core::{
    Client, Config, DatabaseKey, Delivery, Error, Event, FailedPart, Failure, Lagged, Opened, Part, Storage,
    Thread,
};
use sealpost_e2e::open_database;
use sealpost_testkit::{Interceptor, Party, PartyDisk, Proxy, World, eventually, texts};
use sealpost_wire::Frame;
use sealpost_wire::frame::Body;

const PAGE: usize = 4096;

/// Ada's disk, after she has written to Ben.
async fn written(world: &World) -> PartyDisk {
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let thread = ada.thread_with(&ben).await;
    for line in 0..20 {
        thread.send_text(&format!("line {line}")).await.unwrap();
    }
    let his = ben.thread_with(&ada).await;
    ben.texts_when(&his, 20).await;
    ada.close().await
}

async fn refusal(config: Config) -> Error {
    match Client::open(config).await {
        Err(error) => error,
        Ok(opened) => panic!("opened: {opened:?}"),
    }
}

/// Checks that nothing has changed.
async fn is_whole(disk: &PartyDisk) {
    let ada = disk.clone().open().await;
    let thread = only_thread(&ada).await;
    assert_eq!(texts(&thread).await, (0..20).map(|line| format!("line {line}")).collect::<Vec<_>>());
    ada.close().await;
}

async fn only_thread(party: &Party) -> Thread {
    party.client.threads().await.unwrap().pop().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_reported_and_changes_nothing() {
    let world = World::start().await;
    let disk = written(&world).await;
    let wrong = Config::new(disk.database(), DatabaseKey::new([7; 32]), world.url());
    assert_eq!(refusal(wrong).await, Error::Storage(Storage::WrongKey));
    is_whole(&disk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_a_database_is_not_changed() {
    let world = World::start().await;
    let disk = world.disk("ada");
    for content in ["a".repeat(31), "shopping: milk, bread\n".repeat(1000)] {
        fs::write(disk.database(), &content).unwrap();
        assert_eq!(refusal(disk.config()).await, Error::Storage(Storage::Corrupt));
        assert_eq!(fs::read_to_string(disk.database()).unwrap(), content);
    }
    fs::remove_file(disk.database()).unwrap();
    fs::create_dir(disk.database()).unwrap();
    assert_eq!(refusal(disk.config()).await, Error::Storage(Storage::NotAFile));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unencrypted_database_is_not_opened() {
    let world = World::start().await;
    let disk = world.disk("ada");
    let plain = rusqlite::Connection::open(disk.database()).unwrap();
    plain.execute_batch("CREATE TABLE recipe (name TEXT); INSERT INTO recipe VALUES ('bread');").unwrap();
    drop(plain);
    assert_eq!(refusal(disk.config()).await, Error::Storage(Storage::Corrupt));
    let plain = rusqlite::Connection::open(disk.database()).unwrap();
    let name: String = plain.query_row("SELECT name FROM recipe", [], |row| row.get(0)).unwrap();
    assert_eq!(name, "bread");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_file_is_distinguished_from_a_wrong_key() {
    let world = World::start().await;
    let disk = written(&world).await;
    let whole = fs::read(disk.database()).unwrap();
    for length in [1, 31, 32, 100, PAGE, PAGE * 2 + 17, whole.len() - PAGE, whole.len() - 1] {
        fs::write(disk.database(), &whole[..length]).unwrap();
        assert_eq!(refusal(disk.config()).await, Error::Storage(Storage::Corrupt), "at {length} bytes");
    }
    fs::write(disk.database(), &whole).unwrap();
    is_whole(&disk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_to_any_page_is_detected() {
    let world = World::start().await;
    let disk = written(&world).await;
    let whole = fs::read(disk.database()).unwrap();
    let mut found = 0;
    for page in 0..whole.len() / PAGE {
        let mut damaged = whole.clone();
        damaged[page * PAGE + 1234] ^= 0x10;
        fs::write(disk.database(), &damaged).unwrap();
        let told = read_everything(&disk).await;
        match told {
            // A page that the test does not read: an index, the search index, or a free page.
            Ok(lines) => assert_eq!(lines, 20, "page {page}"),
            Err(Error::Storage(Storage::WrongKey)) => assert_eq!(page, 0),
            Err(error) => {
                assert_eq!(error, Error::Storage(Storage::Corrupt), "page {page}");
                found += 1;
            }
        }
    }
    assert!(found > 0, "no damage was found");
    fs::write(disk.database(), &whole).unwrap();
    for log in ["-wal", "-shm"] {
        fs::remove_file(beside(disk.database(), log)).ok();
    }
    is_whole(&disk).await;
}

async fn read_everything(disk: &PartyDisk) -> Result<usize, Error> {
    let Opened::Ready(client) = Client::open(disk.config()).await? else { return Ok(0) };
    let mut lines = 0;
    let read = async {
        for thread in client.threads().await? {
            lines += thread.history(None).await?.messages.len();
        }
        Ok(())
    };
    let read = read.await;
    client.suspend().await?;
    read.map(|()| lines)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_newer_version_is_not_changed() {
    let world = World::start().await;
    let key = [9; 32];
    let path = world.dir().join("ada.db");
    let config = || Config::new(&path, DatabaseKey::new(key), world.url());
    drop(Client::open(config()).await.unwrap());
    let set_version = |version: u32| {
        let db = open_database(&path, &key);
        let found: u32 = db.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        db.pragma_update(None, "user_version", version).unwrap();
        found
    };
    let known = set_version(99);
    assert_eq!(refusal(config()).await, Error::Storage(Storage::Newer { found: 99, known }));
    assert_eq!(set_version(known), 99);
    assert!(Client::open(config()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_a_newer_version_migrates_is_no_longer_written() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let hers = ada.thread_with(&ben).await;
    hers.send_text("before").await.unwrap();
    // An updated app in another process has the same file open.
    let disk = world.disk("ada");
    let db = open_database(disk.database(), &disk.key());
    db.busy_timeout(Duration::from_secs(10)).unwrap();
    let known: u32 = db.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    let refused = hers.send_text("in vain").await.unwrap_err();
    assert_eq!(refused, Error::Storage(Storage::Newer { found: 99, known }));
    assert_eq!(texts(&hers).await, ["before"]);
    db.pragma_update(None, "user_version", known).unwrap();
    hers.send_text("after").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_open_elsewhere_is_in_use_until_it_is_closed() {
    let world = World::start().await;
    let disk = written(&world).await;
    let first = disk.clone().open().await;
    assert_eq!(refusal(disk.config()).await, Error::Storage(Storage::InUse));
    assert!(Error::Storage(Storage::InUse).is_retryable());
    first.close().await;
    is_whole(&disk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_folder_is_reported() {
    let world = World::start().await;
    let disk = PartyDisk::new(&world.dir().join("no such folder"), "ada", &world.url());
    assert_eq!(refusal(disk.config()).await, Error::Storage(Storage::NoFolder));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_in_place_of_the_file_is_not_reported_as_damage() {
    let world = World::start().await;
    let disk = PartyDisk::new(world.dir(), "ada", &world.url());
    fs::create_dir(disk.database()).unwrap();
    assert_eq!(refusal(disk.config()).await, Error::Storage(Storage::NotAFile));
}

#[test]
fn a_read_only_folder_is_reported() {
    inside_a_namespace("a_read_only_folder_is_reported", async |mount| {
        let world = World::start().await;
        let disk = written(&world).await;
        let ro = mount.join("ro");
        fs::create_dir(&ro).unwrap();
        run("mount", &["--bind", &text(world.dir()), &text(&ro)]);
        run("mount", &["-o", "remount,bind,ro", &text(&ro)]);
        let unwritable = PartyDisk::new(&ro, "ada", &world.url());
        assert_eq!(refusal(unwritable.config()).await, Error::Storage(Storage::ReadOnly));
        let missing = PartyDisk::new(&ro, "cyd", &world.url());
        assert_eq!(refusal(missing.config()).await, Error::Storage(Storage::ReadOnly));
        is_whole(&disk).await;
    });
}

#[test]
fn a_full_disk_loses_nothing_and_work_resumes_when_there_is_space() {
    inside_a_namespace("a_full_disk_loses_nothing_and_work_resumes_when_there_is_space", async |mount| {
        run("mount", &["-t", "tmpfs", "-o", "size=8m", "tmpfs", &text(mount)]);
        let world = World::start().await;
        let ben = world.party("ben").await;
        let ada = PartyDisk::new(mount, "ada", &world.url()).open_or_register().await;
        let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
        let mut said = Vec::new();
        say(&hers, "before", &mut said).await.unwrap();
        ben.texts_when(&his, 1).await;
        let ballast = mount.join("ballast");
        fill(&ballast);
        // Messages that fit into the free space of the file are still accepted; then the app gets an error.
        let mut refused = None;
        for line in 0..2000 {
            let text = format!("{line} {}", "x".repeat(8000));
            if let Err(error) = say(&hers, &text, &mut said).await {
                refused = Some(error);
                break;
            }
        }
        assert_eq!(refused, Some(Error::Storage(Storage::Full)));
        // Reading continues, and incoming messages are not acknowledged, so they are not lost.
        assert_eq!(texts(&hers).await.len(), said.len());
        his.send_text("are you there?").await.unwrap();
        let full = |part| FailedPart { part, failure: Failure::Storage(Storage::Full) };
        failing_when(&ada, |failing| failing.contains(&full(Part::Receiving))).await;
        fs::remove_file(&ballast).unwrap();
        say(&hers, "after", &mut said).await.unwrap();
        ben.texts_when(&his, said.len() + 1).await;
        let all = ada.texts_when(&hers, said.len() + 1).await;
        let ours: Vec<_> = all.into_iter().filter(|text| text != "are you there?").collect();
        assert_eq!(ours, said);
        failing_when(&ada, <[_]>::is_empty).await;
    });
}

/// Waits until the client reports the expected health.
async fn failing_when(party: &Party, wanted: impl Fn(&[FailedPart]) -> bool) {
    let mut events = party.client.events();
    while !wanted(&party.client.failing()) {
        match events.next().await {
            Some(Ok(_) | Err(Lagged(_))) => {}
            None => panic!("the client was closed"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_part_is_reported_and_so_is_its_recovery() {
    let world = World::start().await;
    let disk = written(&world).await;
    let rename = |from: &str, to: &str| {
        let database = open_database(disk.database(), &disk.key());
        database.execute_batch(&format!("ALTER TABLE {from} RENAME TO {to}")).unwrap();
    };
    rename("search", "search_elsewhere");
    let ada = disk.clone().open().await;
    let mut events = ada.client.events();
    // A new message has to be indexed.
    only_thread(&ada).await.send_text("not to be found").await.unwrap();
    failing_when(&ada, |failing| !failing.is_empty()).await;
    let failing = ada.client.failing();
    assert_eq!(failing, [FailedPart { part: Part::Search, failure: Failure::Storage(Storage::Io) }]);
    assert_eq!(ada.client.subscribe().snapshot().await.unwrap().failing, failing);
    ada.client.suspend().await.unwrap();
    rename("search_elsewhere", "search");
    ada.client.resume().await.unwrap();
    failing_when(&ada, <[_]>::is_empty).await;
    let mut told = Vec::new();
    while told.len() < 2 {
        match events.next().await.unwrap().unwrap() {
            Event::PartFailed(failed) => told.push(Ok(failed)),
            Event::PartRecovered(part) => told.push(Err(part)),
            _ => {}
        }
    }
    assert_eq!(told, [Ok(failing[0]), Err(Part::Search)]);
}

async fn say(thread: &Thread, text: &str, said: &mut Vec<String>) -> Result<(), Error> {
    thread.send_text(text).await?;
    said.push(text.to_owned());
    Ok(())
}

/// Uses up all the space.
fn fill(path: &Path) {
    use std::io::Write as _;
    let mut file = File::create(path).unwrap();
    for chunk in [65_536, 4096, 1] {
        while file.write_all(&vec![0; chunk]).is_ok() {}
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// Set if the test runs in its own mount namespace, to the folder on which it may mount.
const INSIDE: &str = "SEALPOST_E2E_MOUNT";

/// Runs the named test again in a process with its own mount namespace. Needs root, as in CI.
fn inside_a_namespace(test: &str, work: impl AsyncFnOnce(&Path)) {
    if let Some(mount) = std::env::var_os(INSIDE) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(work(Path::new(&mount)));
        return;
    }
    if !Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|status| status.success()) {
        println!("skipped: {test} needs mount namespaces, which require root and unshare");
        return;
    }
    let mount = tempfile::tempdir().unwrap();
    let status = Command::new("unshare")
        .args(["-m", "--propagation", "private"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, mount.path())
        .status()
        .unwrap();
    assert!(status.success(), "failed in its namespace: {status}");
}

fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().unwrap();
    assert!(status.success(), "{program} {arguments:?}: {status}");
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_does_not_decode_affects_only_its_peer_and_is_replaced() {
    let world = World::start().await;
    let (ada, ben, cyd) = (world.party("ada").await, world.party("ben").await, world.party("cyd").await);
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    let (with_cyd, cyds) = (ada.thread_with(&cyd).await, cyd.thread_with(&ada).await);
    for (thread, text) in [(&hers, "hello ben"), (&with_cyd, "hello cyd")] {
        let message = thread.send_text(text).await.unwrap();
        ada.message_reaches(thread, message.id, Delivery::Delivered).await;
    }
    let disk = ada.close().await;
    let database = open_database(disk.database(), &disk.key());
    let damage = "UPDATE session SET state = x'ff00' WHERE user_id = ?1";
    assert!(database.execute(damage, [ben.client.user_id().as_bytes()]).unwrap() > 0);
    drop(database);
    let ada = disk.open().await;
    let hers = ada.thread_with(&ben).await;
    // Messages sealed in the lost session cannot be read and are reported; others are read.
    his.send_text("lost").await.unwrap();
    cyds.send_text("from cyd").await.unwrap();
    let with_cyd = ada.thread_with(&cyd).await;
    assert_eq!(ada.texts_when(&with_cyd, 2).await, ["hello cyd", "from cyd"]);
    assert_eq!(ada.texts_when(&hers, 2).await, ["hello ben", "Undecryptable(StorageDamaged)"]);
    // The next message starts a session, in both directions.
    hers.send_text("say it again").await.unwrap();
    ben.texts_when(&his, 3).await;
    his.send_text("found again").await.unwrap();
    assert_eq!(ada.texts_when(&hers, 4).await.pop().unwrap(), "found again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_with_a_reused_key_is_shown_to_the_recipient_who_ends_the_reuse() {
    const LOST: usize = 40;
    let world = World::start().await;
    // The relay does not report that her database is an old copy.
    let proxy = Proxy::start(world.addr(), WithoutGenerations).await;
    let (ada, ben) =
        (world.disk("ada").through(&proxy.url()).open_or_register().await, world.party("ben").await);
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await.id());
    let hello = hers.send_text("hello").await.unwrap();
    ada.message_reaches(&hers, hello.id, Delivery::Delivered).await;
    let disk = ada.close().await;
    let copy = fs::read(disk.database()).unwrap();
    // Ben does not answer in between, so that all messages belong to one chain.
    let bens = ben.close().await;
    let ada = disk.open().await;
    let mut last = hello;
    for line in 0..LOST {
        last = only_thread(&ada).await.send_text(&format!("lost {line}")).await.unwrap();
    }
    ada.message_reaches(&only_thread(&ada).await, last.id, Delivery::Sent).await;
    let ben = bens.open().await;
    let his = ben.client.thread(his).await.unwrap();
    ada.message_reaches(&only_thread(&ada).await, last.id, Delivery::Delivered).await;
    let disk = ada.close().await;
    // The copy is restored, which docs/mobile.md says must not be done.
    fs::write(disk.database(), copy).unwrap();
    let ada = disk.open().await;
    let hers = only_thread(&ada).await;
    hers.send_text("another, under the same key").await.unwrap();
    let reused = "Undecryptable(KeyUsedTwice)".to_owned();
    assert_eq!(ben.texts_when(&his, LOST + 2).await.pop(), Some(reused.clone()));
    // The recipient begins a new session by itself, so that the next messages can be read.
    eventually("a message under another key", async || {
        let again = hers.send_text("once more").await.unwrap();
        ada.message_reaches(&hers, again.id, Delivery::Sent).await;
        texts(&his).await.contains(&"once more".to_owned()).then_some(())
    })
    .await;
    let unreadable = texts(&his).await.into_iter().filter(|text| *text == reused).count();
    assert!(unreadable < LOST / 2, "{unreadable} messages under used keys");
}

/// Removes from each welcome the generation of the client's database that the relay knew.
struct WithoutGenerations;

impl Interceptor for WithoutGenerations {
    fn down(&self, mut frame: Frame) -> Vec<Frame> {
        if let Some(Body::Welcome(welcome)) = &mut frame.body {
            welcome.generation = None;
        }
        vec![frame]
    }
}

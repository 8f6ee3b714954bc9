//! The relay is killed repeatedly while clients send, receive, acknowledge and fetch keys. Two checkers examine what
//! the clients observed and what is in the store at the end: the invariants of `relay-check`, and a linearizability
//! tester.
//!
//! With more kills: `./dev soak [MINUTES] [SEED]`.

mod clients;
mod convert;
mod dump;
mod key_clients;
mod world;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sealpost_relay::fault::Station;
use sealpost_relay_check::event::{Event, Line};
use sealpost_relay_check::{History, Invariant, Recorder, check, linear};

use crate::process::Process;
use clients::Client;
use world::World;

/// The number of kills in one history, and the number of users.
const KILLS: u32 = 4;
const CLIENTS: usize = 4;
/// A relay that does not answer within this time is considered dead.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// No step takes this long; a test that waits this long has failed.
const TIMEOUT: Duration = Duration::from_secs(120);

#[tokio::test]
async fn guarantees_hold_when_the_relay_is_killed_repeatedly() {
    // Without minutes, one history with a fixed seed.
    let minutes: u64 = from_environment("SEALPOST_SOAK_MINUTES").unwrap_or(0);
    let first: u64 = from_environment("SEALPOST_SOAK_SEED").unwrap_or(1);
    let began = std::time::Instant::now();
    for seed in first.. {
        if minutes > 0 {
            eprintln!("seed {seed}");
        }
        let lines = Box::pin(one_history(seed)).await;
        if seed == first {
            both_checkers_reject_modified_histories(&lines);
        }
        if began.elapsed() >= Duration::from_secs(60 * minutes) {
            break;
        }
    }
}

fn from_environment<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

/// A relay with its users, from its first start to its last end.
async fn one_history(seed: u64) -> Vec<Line> {
    let mut random = StdRng::seed_from_u64(seed);
    let (data, recorder) = (tempfile::tempdir().unwrap(), Arc::new(Recorder::new()));
    let log = tempfile::NamedTempFile::new().unwrap();
    recorder.write(Event::Limits { rss_kib: 256 << 10, files: 256 });

    let process = start(data.path(), None, log.path());
    let world = World::register(process.url(), Arc::clone(&recorder), CLIENTS).await;
    let clients: Vec<_> =
        (0..CLIENTS).map(|index| tokio::spawn(Client::new(&world, index, random.random()).live())).collect();
    let fetchers: Vec<_> = (0..CLIENTS)
        .map(|index| tokio::spawn(key_clients::fetch_keys(Arc::clone(&world), index, random.random())))
        .collect();

    let mut process = process;
    for _ in 0..KILLS {
        until_killed(&world, process, random.random_range(30..120)).await;
        // The next process aborts at a station, or is killed from outside like this one.
        let station = match random.random_range(0..2) {
            0 => Some(random.random_range(0..Station::ALL.len())),
            _ => None,
        };
        let fault = station.map(|at| format!("{}:{}", Station::ALL[at].name(), random.random_range(1..20)));
        process = start(data.path(), fault.as_deref(), log.path());
        world.reached_at(process.url());
    }
    // The last process may abort at a station; it is ended too.
    until_killed(&world, process, 30).await;
    let process = start(data.path(), None, log.path());
    world.reached_at(process.url());

    // From now on, no client sends new messages, and every open request is repeated until it is answered. Then all
    // mailboxes are read to the end.
    world.finish();
    for task in fetchers.into_iter().chain(clients) {
        tokio::time::timeout(TIMEOUT, task).await.expect("a client does not finish").unwrap();
    }
    sample(&recorder, &process);
    process.terminate();
    assert_eq!(process.wait(), Some(0));
    recorder.write(Event::Dump(dump::read(data.path())));

    let lines = recorder.lines();
    let mut history = History::from_lines(lines.clone()).unwrap();
    history.log = std::fs::read_to_string(log.path()).unwrap();
    assert_accepted(&history, seed, &recorder);
    lines
}

fn start(data: &Path, fault: Option<&str>, log: &Path) -> Process {
    Process::start_with(data, fault, File::options().append(true).open(log).unwrap().into())
}

/// Waits until this many more answers have arrived, or the relay has ended by itself, and ends it.
async fn until_killed(world: &World, mut process: Process, answers: u64) {
    let enough = world.answers() + answers;
    let wait = async {
        while world.answers() < enough && !process.has_ended() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(TIMEOUT, wait).await.expect("the clients receive no answers");
    if !process.has_ended() {
        sample(&world.recorder, &process);
    }
    world.gone();
    process.kill();
    world.recorder.write(Event::Killed);
}

/// The memory and files of the process, if the system reports them.
fn sample(recorder: &Recorder, process: &Process) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap_or_default();
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
    let files = std::fs::read_dir(format!("/proc/{}/fd", process.id())).map(Iterator::count);
    if let (Some(Ok(rss_kib)), Ok(files)) = (rss.map(str::parse), files) {
        recorder.write(Event::Sample { rss_kib, files: files as u64 });
    }
}

/// Asserts that both checkers find nothing, and had something to check.
fn assert_accepted(history: &History, seed: u64, recorder: &Recorder) {
    let verdicts = check(history);
    let second = linear::check(history);
    let kept = || {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("history-{seed}.jsonl"));
        std::fs::write(&path, recorder.to_text().unwrap()).unwrap();
        format!("seed {seed}, {}: {verdicts:?}, {second:?}", path.display())
    };
    assert!(verdicts.iter().all(|(_, found)| found.is_ok()) && second.is_ok(), "{}", kept());
    let few = verdicts.iter().find(|(invariant, found)| {
        let everywhere = *invariant != Invariant::Bounded || cfg!(target_os = "linux");
        everywhere && *found == Ok(0)
    });
    assert!(few.is_none(), "an invariant had nothing to check ({few:?}): {}", kept());
    assert!(second.is_ok_and(|checked| checked > 100));
}

/// Both checkers must reject the history that they accepted once its end is modified.
fn both_checkers_reject_modified_histories(lines: &[Line]) {
    type Modification = fn(&mut History);
    let modification: [(&str, Modification); 4] = [
        ("a message is lost", |history| {
            let middle = history.dump.stored.len() / 2;
            history.dump.stored.remove(middle);
        }),
        ("a message is stored twice", |history| {
            let mut again = history.dump.stored[0].clone();
            let last = history.dump.last.get_mut(&again.place.thread).unwrap();
            *last += 1;
            again.place.seq = *last;
            history.dump.stored.push(again);
        }),
        ("a row is delivered with another id", |history| {
            let pushed = history.seen.iter_mut().rev().find(|seen| seen.pushed);
            pushed.unwrap().row.id = "another".into();
        }),
        ("a key that was handed out is still stored", |history| {
            for (ec, _) in history.dump.keys.values_mut() {
                ec.extend(0..10);
                ec.dedup();
            }
        }),
    ];
    for (name, modification) in modification {
        let mut history = History::from_lines(lines.to_vec()).unwrap();
        modification(&mut history);
        assert!(check(&history).iter().any(|(_, found)| found.is_err()), "{name}: no invariant is broken");
        assert!(linear::check(&history).is_err(), "{name}: the tester accepts it");
    }
}

//! A process may end as soon as its last client is dropped, and what was handed over before is on the disk.

#![cfg(test)]

use std::env;
use std::path::Path;
use std::process::{Command, ExitStatus};

use futures_util::FutureExt as _;
use sealpost_testkit::{PartyDisk, World, texts};
use tokio::runtime::{Builder, Runtime};

/// Set in the processes that end: the folder, the relay, the number of the round.
const FOLDER: &str = "SEALPOST_TEST_FOLDER";
const RELAY: &str = "SEALPOST_TEST_RELAY";
const ROUND: &str = "SEALPOST_TEST_ROUND";

const ROUNDS: usize = 60;
const LINES: usize = 10;

fn said_in(round: usize) -> Vec<String> {
    (0..LINES).map(|line| format!("{round} {line}")).collect()
}

/// Opens, writes, reads, drops, and ends the process at once.
async fn write_and_vanish(disk: PartyDisk, round: usize) -> ! {
    let ada = disk.open().await;
    let thread = ada.client.threads().await.unwrap().pop().unwrap();
    for text in said_in(round) {
        // Handed over, not waited for: the writer is at work when the client goes.
        let _ = thread.send_text(&text).now_or_never();
    }
    let _ = thread.history(None).now_or_never();
    drop((thread, ada));
    std::process::exit(0)
}

fn end_in_round(folder: &Path, relay: &str, round: usize) -> ! {
    let disk = PartyDisk::new(folder, "ada", relay);
    match round % 3 {
        // Tasks of the client run on other threads, and are not waited for.
        0 => Runtime::new().unwrap().block_on(write_and_vanish(disk, round)),
        // Tasks of the client can only end on the thread that drops it.
        1 => {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(write_and_vanish(disk, round))
        }
        // The runtime is gone before the client is.
        _ => {
            let runtime = Runtime::new().unwrap();
            let (ada, thread) = runtime.block_on(async {
                let ada = disk.open().await;
                let thread = ada.client.threads().await.unwrap().pop().unwrap();
                (ada, thread)
            });
            for text in said_in(round) {
                let _ = thread.send_text(&text).now_or_never();
            }
            drop(runtime);
            drop((ada, thread));
            std::process::exit(0)
        }
    }
}

fn run_round(world: &World, round: usize) -> ExitStatus {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "a_process_may_end_as_soon_as_its_client_is_dropped", "--nocapture"])
        .env(FOLDER, world.dir())
        .env(RELAY, world.url())
        .env(ROUND, round.to_string())
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap()
}

#[test]
fn a_process_may_end_as_soon_as_its_client_is_dropped() {
    if let (Some(folder), Ok(relay), Ok(round)) = (env::var_os(FOLDER), env::var(RELAY), env::var(ROUND)) {
        end_in_round(Path::new(&folder), &relay, round.parse().unwrap());
    }
    let runtime = Runtime::new().unwrap();
    let world = runtime.block_on(World::start());
    let disk = world.disk("ada");
    runtime.block_on(async {
        let (ada, ben) = (disk.clone().come().await, world.party("ben").await);
        ada.thread_with(&ben).await;
        ada.close().await;
        ben.close().await;
    });
    let failed: Vec<_> = (0..ROUNDS)
        .map(|round| (round, run_round(&world, round)))
        .filter(|(_, status)| !status.success())
        .collect();
    assert!(failed.is_empty(), "{} of {ROUNDS}: {failed:?}", failed.len());
    runtime.block_on(async {
        let ada = disk.open().await;
        let thread = ada.client.threads().await.unwrap().pop().unwrap();
        assert_eq!(texts(&thread).await, (0..ROUNDS).flat_map(said_in).collect::<Vec<_>>());
        ada.close().await;
    });
}

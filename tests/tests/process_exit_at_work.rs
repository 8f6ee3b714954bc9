//! A process may end while its clients are working: by `exit` on any thread, by a return from `main`, or by a panic. It
//! ends with the expected code and never crashes, and the database is intact.

#![cfg(test)]

use std::process::{Command, ExitStatus, Stdio};

use sealpost_testkit::{World, open_database};
use tokio::runtime::Runtime;

/// The number of processes for each way of ending; `SEALPOST_ROUNDS` overrides it.
const ROUNDS: u64 = 40;

fn rounds() -> u64 {
    std::env::var("SEALPOST_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap())
}

/// Ends processes in this way, and checks their exit codes and the database.
fn end_processes(way: &str, code: i32, delay_us: impl Fn(u64) -> u64) {
    let runtime = Runtime::new().unwrap();
    let world = runtime.block_on(World::start());
    let disk = world.disk("ada");
    runtime.block_on(async {
        let (ada, ben) = (disk.clone().open_or_register().await, world.party("ben").await);
        ada.thread_with(&ben).await;
        ada.close().await;
        ben.close().await;
    });
    let end_one = |round: u64| -> ExitStatus {
        let mut process = Command::new(env!("CARGO_BIN_EXE_ending-process"));
        process.arg(world.dir()).args(["ada", &world.url(), way, &delay_us(round).to_string()]);
        process.stderr(Stdio::null()).status().unwrap()
    };
    let rounds = rounds();
    let ends = (0..rounds).map(|round| (round, end_one(round)));
    let wrong: Vec<_> = ends.filter(|(_, status)| status.code() != Some(code)).collect();
    assert!(wrong.is_empty(), "{} of {rounds}: {wrong:?}", wrong.len());
    let database = open_database(disk.database(), &disk.key());
    let sound: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
}

/// A delay in microseconds, from the start of the work to some milliseconds later.
fn while_at_work(round: u64) -> u64 {
    (round % 20).saturating_mul(400)
}

#[test]
fn a_process_may_end_with_a_leaked_client() {
    end_processes("leaked-client", 0, while_at_work);
}

#[test]
fn a_process_may_end_while_another_thread_uses_a_client() {
    end_processes("client-of-another-thread", 0, while_at_work);
}

#[test]
fn a_process_may_end_after_a_cancelled_open() {
    // An open takes some milliseconds.
    end_processes("cancelled-open", 0, |round| (round % 40).saturating_mul(150));
}

#[test]
fn a_process_may_end_from_any_thread() {
    end_processes("exit-on-another-thread", 0, while_at_work);
}

#[test]
fn a_process_may_end_by_a_panic_while_a_client_is_at_work() {
    end_processes("panic", 101, while_at_work);
}

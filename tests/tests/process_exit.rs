//! A process may end while its clients are working: by `exit` on any thread, by a return from `main`, or by a panic. It
//! ends with the expected code and never crashes, and the database is intact. Messages that were queued before a client
//! was dropped are on disk.

#![cfg(test)]

use std::process::Command;

use sealpost_e2e::{Ending, ending_of};
use sealpost_testkit::{PartyDisk, World, open_database, texts};
use tokio::runtime::Runtime;

/// The number of processes for each way of ending; `SEALPOST_ROUNDS` overrides it.
const ROUNDS: u64 = 40;

/// Ends processes in this way, and checks their exit codes. Each gets the number of its round, and the database of a
/// person who has one thread.
fn end_processes(way: &str, code: i32) -> (Runtime, PartyDisk, u64, World) {
    let rounds = std::env::var("SEALPOST_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let runtime = Runtime::new().unwrap();
    let world = runtime.block_on(World::start());
    let disk = world.disk("ada");
    runtime.block_on(async {
        let (ada, ben) = (disk.clone().open_or_register().await, world.party("ben").await);
        ada.thread_with(&ben).await;
        ada.close().await;
        ben.close().await;
    });
    let end_one = |round: u64| {
        let mut process = Command::new(env!("CARGO_BIN_EXE_ending-process"));
        process.arg(world.dir()).args(["ada", &world.url(), way, &round.to_string()]);
        (round, ending_of(&mut process).unwrap())
    };
    let wrong: Vec<_> = (0..rounds).map(end_one).filter(|(_, end)| *end != Ending::Code(code)).collect();
    assert!(wrong.is_empty(), "{} of {rounds}: {wrong:?}", wrong.len());
    let database = open_database(disk.database(), &disk.key());
    let sound: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    (runtime, disk, rounds, world)
}

#[test]
fn a_process_may_end_with_a_leaked_client() {
    end_processes("leaked-client", 0);
}

#[test]
fn a_process_may_end_while_another_thread_uses_a_client() {
    end_processes("client-of-another-thread", 0);
}

#[test]
fn a_process_may_end_after_a_cancelled_open() {
    end_processes("cancelled-open", 0);
}

#[test]
fn a_process_may_end_from_any_thread() {
    end_processes("exit-on-another-thread", 0);
}

#[test]
fn a_process_may_end_by_a_panic_while_a_client_is_at_work() {
    end_processes("panic", 101);
}

#[test]
fn a_process_may_end_as_soon_as_its_client_is_dropped() {
    let (runtime, disk, rounds, _world) = end_processes("dropped-client", 0);
    runtime.block_on(async {
        let ada = disk.open().await;
        let thread = ada.client.threads().await.unwrap().pop().unwrap();
        let handed_over: Vec<_> =
            (0..rounds).flat_map(|round| (0..10).map(move |line| format!("{round} {line}"))).collect();
        assert_eq!(texts(&thread).await, handed_over);
        ada.close().await;
    });
}

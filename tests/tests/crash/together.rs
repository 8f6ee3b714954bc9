//! An app and its notification extension are two processes on one database, and one or both of them are killed. At any
//! moment, the other process continues, and so do later ones.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};

use sealpost_core::{ConnectionState, fetch_for_push};
use tokio::time::sleep;

use super::*;

/// Rounds in which both are killed.
const ROUNDS: u64 = 12;

#[tokio::test(flavor = "multi_thread")]
async fn an_extension_can_be_killed_at_every_station_while_its_app_runs() {
    let stations =
        [Station::Arrive, Station::ApplyBeforeCommit, Station::ApplyAfterCommit, Station::Acknowledged];
    each(&stations, |fault| async move { kill_extension(&fault).await }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_can_be_killed_at_every_station_while_its_extension_runs() {
    let stations = [
        Station::QueueBeforeCommit,
        Station::QueueAfterCommit,
        Station::SealBeforeCommit,
        Station::SealAfterCommit,
        Station::SubmitAnswered,
        Station::SettleBeforeCommit,
        Station::SettleAfterCommit,
        Station::Arrive,
        Station::ApplyBeforeCommit,
        Station::ApplyAfterCommit,
        Station::Acknowledged,
    ];
    each(&stations, |fault| async move { kill_app(&fault).await }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_can_be_killed_at_any_moment() {
    let world = World::start().await;
    let keys = KeyUse::default();
    let proxy = Proxy::start(world.addr(), keys.clone()).await;
    let (ada, ben) = people(&world, &proxy).await;
    let ada = ada.close().await;
    let (his, user) = (ben.client.threads().await.unwrap().pop().unwrap(), ben.client.user_id());
    let mut line = 0;
    for round in 0..ROUNDS {
        let mut app = crash_client(world.dir(), &proxy.url(), Some(user), "never");
        let mut fetching = extension(&world, &proxy, "10000", None);
        let writing = async {
            loop {
                // The message is written even if nobody waits for the answer.
                let text = format!("ben {line}");
                line += 1;
                his.send_text(&text).await.unwrap();
                sleep(Duration::from_millis(5)).await;
            }
        };
        let killing = async {
            // They are killed in varying order, with varying delays.
            sleep(Duration::from_millis(150 + round * 37)).await;
            let [first, second] =
                if round % 2 == 0 { [&mut app, &mut fetching] } else { [&mut fetching, &mut app] };
            first.kill().await.unwrap();
            sleep(Duration::from_millis(round * 5)).await;
            second.kill().await.unwrap();
        };
        tokio::select! {
            () = killing => {}
            () = writing => unreachable!("there is always another line"),
        }
    }
    same_conversation(&ada.open_or_register().await, &ben, "being killed").await;
    keys.judge().unwrap();
}

/// The extension aborts. The app runs in this process and keeps writing.
async fn kill_extension(fault: &str) {
    let world = World::start().await;
    let keys = KeyUse::default();
    let proxy = Proxy::start(world.addr(), keys.clone()).await;
    let (ada, ben) = people(&world, &proxy).await;
    let hers = thread(&ada, &ben).await;
    let dead = AtomicBool::new(false);
    let (status, ()) = tokio::join!(
        async {
            let status = write_until_dead(&ben, extension(&world, &proxy, "10000", Some(fault))).await;
            dead.store(true, Ordering::SeqCst);
            status
        },
        async {
            for line in 1.. {
                write(&ada, &hers, line).await;
                if dead.load(Ordering::SeqCst) {
                    break;
                }
            }
        }
    );
    assert_eq!(status.signal(), Some(SIGABRT), "did not die at {fault}: {status}");
    assert!(extension(&world, &proxy, "1", None).wait().await.unwrap().success(), "after {fault}");
    same_conversation(&ada, &ben, fault).await;
    assert_eq!(ada.client.connection_state(), ConnectionState::Live, "after {fault}");
    keys.judge().unwrap_or_else(|wrong| panic!("{fault}: {wrong}"));
}

/// The app aborts. This process runs the extension repeatedly.
async fn kill_app(fault: &str) {
    let world = World::start().await;
    let keys = KeyUse::default();
    let proxy = Proxy::start(world.addr(), keys.clone()).await;
    let (ada, ben) = people(&world, &proxy).await;
    let ada = ada.close().await;
    let user = ben.client.user_id();
    let dead = AtomicBool::new(false);
    let (status, ()) = tokio::join!(
        async {
            let status =
                write_until_dead(&ben, crash_client(world.dir(), &proxy.url(), Some(user), fault)).await;
            dead.store(true, Ordering::SeqCst);
            status
        },
        async {
            while !dead.load(Ordering::SeqCst) {
                fetch_for_push(ada.config(), pending()).await.unwrap();
            }
        }
    );
    assert_eq!(status.signal(), Some(SIGABRT), "did not die at {fault}: {status}");
    same_conversation(&ada.open_or_register().await, &ben, fault).await;
    keys.judge().unwrap_or_else(|wrong| panic!("{fault}: {wrong}"));
}

/// Two registered people, of whom Ada has written to the other.
async fn people(world: &World, proxy: &Proxy) -> (Party, Party) {
    let ada = world.disk("ada").through(&proxy.url()).open_or_register().await;
    let ben = world.disk("ben").through(&proxy.url()).open_or_register().await;
    let hers = thread(&ada, &ben).await;
    write(&ada, &hers, 0).await;
    let his = thread(&ben, &ada).await;
    ben.texts_when(&his, 1).await;
    (ada, ben)
}

fn extension(world: &World, proxy: &Proxy, times: &str, fault: Option<&str>) -> Child {
    Command::new(env!("CARGO_BIN_EXE_second-process"))
        .arg(world.dir())
        .args(["ada", &proxy.url(), "fetch", times])
        .env("SEALPOST_FAULT", fault.unwrap_or("never"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Runs a case for the first passes of each station.
async fn each<F>(stations: &[Station], case: impl Fn(String) -> F + Clone + Send + 'static)
where
    F: Future<Output = ()> + Send,
{
    let mut cases = Cases::new();
    for station in stations {
        for pass in 1..=2 {
            cases.spawn(format!("{}:{pass}", station.name()), case.clone());
        }
    }
    cases.all_pass().await;
}

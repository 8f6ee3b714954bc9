//! An app and its notification extension, two processes on one database, of which one dies or both do. Whatever the
//! moment: the other goes on, and so do those who come after them.

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
    each(&stations, |fault| async move { extension_dies(&fault).await }).await;
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
    each(&stations, |fault| async move { app_dies(&fault).await }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_may_be_killed_at_any_moment() {
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
                // Also when nobody waits for the answer, it is written.
                let text = format!("ben {line}");
                line += 1;
                his.send_text(&text).await.unwrap();
                sleep(Duration::from_millis(5)).await;
            }
        };
        let killing = async {
            // Now one first, now the other, after a time that differs.
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
    same_conversation(&ada.come().await, &ben, "being killed").await;
    keys.judge().unwrap();
}

/// The extension dies; the app is in this process, and writes on.
async fn extension_dies(fault: &str) {
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

/// The app dies; this process is the extension, again and again.
async fn app_dies(fault: &str) {
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
    same_conversation(&ada.come().await, &ben, fault).await;
    keys.judge().unwrap_or_else(|wrong| panic!("{fault}: {wrong}"));
}

/// Both registered, and Ada has begun to talk.
async fn people(world: &World, proxy: &Proxy) -> (Party, Party) {
    let ada = world.disk("ada").through(&proxy.url()).come().await;
    let ben = world.disk("ben").through(&proxy.url()).come().await;
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

/// Runs a case for each station, at its first passes.
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

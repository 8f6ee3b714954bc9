//! A disk that fills up, and is freed again.

use sealpost_relay::Relay;
use sealpost_wire::{InboxPage, SendAck, reason};

use crate::common::{TestClock, World, config};

/// Run it as root: `mount -t tmpfs -o size=4m tmpfs /mnt/small && SEALPOST_SMALL_DISK=/mnt/small cargo test
/// -p sealpost-relay full_disk -- --ignored`.
#[tokio::test]
#[ignore = "needs a small file system, named by SEALPOST_SMALL_DISK"]
async fn a_full_disk_refuses_honestly_and_recovers() {
    let disk = std::env::var("SEALPOST_SMALL_DISK").unwrap();
    let (folder, clock) = (tempfile::tempdir_in(&disk).unwrap(), TestClock::new());
    let ballast = folder.path().join("ballast");
    std::fs::write(&ballast, vec![1; 1 << 20]).unwrap();
    let relay = Relay::start(config(folder.path(), &clock)).await.unwrap();
    let world = World { folder, clock, relay, http: reqwest::Client::new() };
    let (alice, bob, thread) = world.pair().await;

    let mut stored = Vec::new();
    let refused = loop {
        assert!(stored.len() < 1_000, "the disk is not small");
        let send = world.message(thread, &bob, &[7; 50_000]);
        let answer = world.send(&alice, &send).await;
        if answer.status != 201 {
            answer.refused(507, reason::STORE_FULL);
            break send;
        }
        stored.push(answer.body::<SendAck>().server_seq);
    };
    world.get("/readyz", None).await.refused(507, reason::STORE_FULL);
    let page: InboxPage = world.get("/v1/inbox?limit=1", Some(&bob)).await.body();
    assert_eq!(page.rows.len(), 1, "reading goes on");

    std::fs::remove_file(ballast).unwrap();
    let ack: SendAck = world.send(&alice, &refused).await.body();
    stored.push(ack.server_seq);
    assert_eq!(stored, (1..=stored.len() as u64).collect::<Vec<_>>());
    assert_eq!(world.get("/readyz", None).await.status, 200);
    world.relay.shutdown().await;
}

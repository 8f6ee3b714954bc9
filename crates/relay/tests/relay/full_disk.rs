//! A disk that fills up and is freed again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sealpost_relay::Relay;
use sealpost_wire::{Ack, AckOk, InboxPage, RefreshRequest, SendAck, reason};

use crate::common::{TestClock, World, config, http, keys};

/// A small file system in memory.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` if this user may not mount one.
    fn mount(at: &Path, megabytes: u32) -> Option<Self> {
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        mounted.ok()?.status.success().then(|| Self(at.to_owned()))
    }

    fn grow(&self, megabytes: u32) {
        let size = format!("remount,size={megabytes}m");
        assert!(Command::new("mount").args(["-o", &size]).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

/// What SQLite and the reserve do without free space is tested on every system by unit tests.
#[tokio::test]
async fn the_relay_recovers_from_a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path(), 12) else {
        eprintln!("skipped: this user may not mount a small file system");
        return;
    };
    let clock = TestClock::new();
    let data = folder.path().join("data");
    let relay = Relay::start(config(&data, &clock)).await.unwrap();
    let world = World { folder, clock, relay, http: http() };
    let (alice, bob, thread) = world.pair().await;
    // Other files fill the disk, but they cannot use the reserve.
    std::fs::write(world.folder.path().join("ballast"), vec![1; 4 << 20]).unwrap();
    let (carol, dave) = (world.register().await, world.register().await);

    let mut stored = Vec::new();
    let refused = loop {
        assert!(stored.len() < 1_000, "the disk is not small");
        let send = world.message(thread, &bob, &[7; 60_000]);
        let answer = world.send(&alice, &send).await;
        if answer.status != 201 {
            answer.refused(507, reason::STORE_FULL);
            assert!(answer.headers.contains_key("retry-after"));
            break send;
        }
        stored.push(answer.body::<SendAck>().server_seq);
    };
    // Operations that need space are refused, and the relay reports the reason.
    world.get("/readyz", None).await.refused(507, reason::STORE_FULL);
    let more = world.put("/v1/keys", Some(&alice), &keys(100, 50)).await;
    more.refused(507, reason::STORE_FULL);
    // Requests that free space or change data in place still work.
    let request =
        RefreshRequest { refresh_token: carol.tokens.refresh_token.clone(), ..RefreshRequest::default() };
    assert_eq!(world.post("/v1/auth/refresh", None, &request).await.status, 200);
    assert_eq!(world.post("/v1/auth/logout", Some(&carol), &()).await.status, 204);
    assert_eq!(world.delete("/v1/devices/1", Some(&dave)).await.status, 204);
    let page: InboxPage = world.get("/v1/inbox", Some(&bob)).await.body();
    let mut rows: Vec<_> = page.rows.into_iter().map(|row| row.key.unwrap()).collect();
    let first = Ack { keys: vec![rows.remove(0)], ..Ack::default() };
    let ok: AckOk = world.post("/v1/inbox:ack", Some(&bob), &first).await.body();
    assert_eq!(ok.removed, 1);
    let rest = rows.len();
    let ok: AckOk =
        world.post("/v1/inbox:ack", Some(&bob), &Ack { keys: rows, ..Ack::default() }).await.body();
    assert_eq!(ok.removed as usize, rest);
    // Messages are accepted again into the room that this made inside the database, although the disk is as full as
    // before.
    let ack: SendAck = world.send(&alice, &refused).await.body();
    stored.push(ack.server_seq);
    assert_eq!(world.get("/readyz", None).await.status, 200);

    // The disk grows, and the relay resumes normal operation by itself.
    disk.grow(64);
    for _ in 0..100 {
        let send = world.message(thread, &bob, &[7; 60_000]);
        stored.push(world.send(&alice, &send).await.body::<SendAck>().server_seq);
    }
    assert!(data.join("reserve").exists());
    assert_eq!(stored, (1..=stored.len() as u64).collect::<Vec<_>>());
    assert_eq!(world.get("/readyz", None).await.status, 200);
    world.clock.advance(Duration::from_secs(1));
    world.relay.shutdown().await;
}

//! The relay is killed in the middle of jobs, again and again. In the end, each device has each post of the group exactly once, in their order.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rusqlite::Connection;
use sealpost_wire::id::{ClientMsgId, ToWire as _};
use sealpost_wire::roster::Change;
use sealpost_wire::{Ack, Envelope, InboxPage, Send};

use super::TIMEOUT;
use crate::common::Party;
use crate::common::groups::request;
use crate::entries::{Chain, by};
use crate::process::Process;

const KILLS: u32 = 20;
/// Seven steps for each post.
const DEVICES: u16 = 1_600;

#[tokio::test]
async fn each_device_gets_each_post_once_although_the_relay_is_killed_in_the_middle_of_jobs() {
    let data = tempfile::tempdir().unwrap();
    let process = start(data.path(), None);
    let (ada, ben) = (process.register().await.unwrap(), process.register().await.unwrap());
    let (mut chain, first) = Chain::create(by(ada.user), &[ben.user], 1);
    assert_eq!(process.post("/v1/groups", Some(&ada), &request(&first)).await.unwrap().status, 201);
    let accept = chain.next(by(ben.user), Change::Accept);
    let roster = format!("/v1/threads/{}/roster", chain.thread);
    assert_eq!(process.post(&roster, Some(&ben), &request(&accept)).await.unwrap().status, 201);
    chain.take(&accept);
    process.kill();
    add_devices(data.path(), &chain);

    let (mut got, mut interrupted) = (Vec::new(), 0);
    for round in 0..KILLS {
        // Without the feature, and in each third round, it is killed from outside.
        let fault = match round % 3 {
            0 => Some(format!("fanout-before-commit:{}", round % 7 + 1)),
            1 => Some(format!("fanout-after-commit:{}", round % 7 + 1)),
            _ => None,
        };
        let mut process = start(data.path(), fault.as_deref());
        let send = message(&chain, &ada, round);
        let path = format!("/v1/threads/{}/messages", chain.thread);
        let answer = process.post(&path, Some(&ada), &send).await;
        if let Some(answer) = &answer {
            assert_eq!(answer.status, 202, "round {round}");
        }
        if round % 2 == 0 {
            acknowledge(&process, &ben, &mut got).await;
        }
        tokio::time::sleep(Duration::from_millis(u64::from(round % 5) * 7)).await;
        if !process.has_ended() && answer.is_none() {
            panic!("round {round}: no answer from a relay that runs");
        }
        process.kill();
        interrupted += u32::from(jobs(&Connection::open(data.path().join("relay.db")).unwrap()) > 0);
        if answer.is_none() {
            let process = start(data.path(), None);
            let again = process.post(&path, Some(&ada), &send).await.unwrap().status;
            assert!([200, 202].contains(&again), "round {round}: {again}");
            process.kill();
        }
    }
    let process = start(data.path(), None);
    let db = Connection::open(data.path().join("relay.db")).unwrap();
    assert!(interrupted >= KILLS / 2, "{interrupted} jobs were interrupted");
    let done = async {
        while jobs(&db) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(TIMEOUT, done).await.expect("the jobs do not end");
    acknowledge(&process, &ben, &mut got).await;
    process.terminate();
    assert_eq!(process.wait(), Some(0));

    // Two entries, and then one message for each round.
    let posts: Vec<u64> = (3..u64::from(KILLS) + 3).collect();
    assert_eq!(got, [&[1], &posts[..]].concat(), "a device that acknowledges");
    let mut statement = db
        .prepare(
            "SELECT group_concat(server_seq) FROM
                (SELECT user_id, server_seq FROM inbox WHERE thread_id = ?1 AND user_id != ?2 ORDER BY arrival)
             GROUP BY user_id",
        )
        .unwrap();
    let in_order: Vec<String> = statement
        .query_map([&chain.thread.as_bytes()[..], ada.user.as_bytes()], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(in_order.len(), usize::from(DEVICES));
    let expected = posts.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    assert_eq!(BTreeSet::from_iter(in_order), BTreeSet::from([expected]));
    let wrong: u32 = db
        .query_row(
            "SELECT count(*) FROM payload
             WHERE holders != (SELECT count(*) FROM inbox WHERE inbox.payload_id = payload.payload_id)",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(wrong, 0);
}

fn jobs(db: &Connection) -> u32 {
    db.query_row("SELECT count(*) FROM job", [], |row| row.get(0)).unwrap()
}

/// A pipe for its log would have to be read.
fn start(data: &Path, fault: Option<&str>) -> Process {
    Process::start_with(data, fault, Stdio::null())
}

/// Devices of members who have no tokens. To register them would take longer than everything else.
fn add_devices(data: &Path, chain: &Chain) {
    let mut db = Connection::open(data.join("relay.db")).unwrap();
    let tx = db.transaction().unwrap();
    for number in 0..DEVICES {
        let mut user = [0x70; 16];
        user[..2].copy_from_slice(&number.wrapping_mul(41).to_be_bytes());
        for sql in [
            "INSERT INTO device (user_id, device_id, registration_id, identity_key, is_primary) VALUES (?1, 1, 77, x'05', 1)",
            "INSERT INTO mailbox (user_id, device_id, bytes, trimmed, pushed) VALUES (?1, 1, 0, 0, 0)",
        ] {
            tx.execute(sql, [&user[..]]).unwrap();
        }
        let stay = "INSERT INTO group_stay (user_id, thread_id, joined_seq) VALUES (?1, ?2, 1)";
        tx.execute(stay, [&user[..], chain.thread.as_bytes()]).unwrap();
    }
    tx.commit().unwrap();
}

fn message(chain: &Chain, from: &Party, number: u32) -> Send {
    let mut random = [9; 10];
    random[..4].copy_from_slice(&number.to_be_bytes());
    Send {
        client_msg_id: ClientMsgId::new(from.tokens.server_time_ms, &random).to_wire(),
        thread_id: chain.thread.to_wire(),
        roster_version: chain.version,
        group: Some(Envelope { kind: 3, ciphertext: vec![7; 500].into(), ..Envelope::default() }),
        ..Send::default()
    }
}

/// Reads and acknowledges the mailbox. What was acknowledged and is there again would be noticed at the end.
async fn acknowledge(process: &Process, by: &Party, got: &mut Vec<u64>) {
    let Some(answer) = process.get("/v1/inbox?limit=256", by).await else { return };
    let page: InboxPage = answer.body();
    let keys: Vec<_> = page.rows.into_iter().map(|row| row.key.unwrap()).collect();
    let seqs: Vec<u64> = keys.iter().map(|key| key.server_seq).collect();
    if let Some(answer) = process.post("/v1/inbox:ack", Some(by), &Ack { keys, trimmed: 0 }).await {
        assert_eq!(answer.status, 200);
        got.extend(seqs);
    } else if let Some(answer) = process.get("/v1/inbox?limit=256", by).await {
        panic!("no answer to an acknowledgement from a relay that runs: {}", answer.status);
    }
}

//! A device that was away while people wrote in many groups.

use std::time::{Duration, Instant};

use sealpost_core::{ConnectionState, GroupDetails, GroupPermissions, MessageBody, Thread, ThreadId};
use sealpost_testkit::{Party, PartyDisk, open_database};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::group::{members_at, until};
use super::relay::{Relay, UNLIMITED, folder};
use crate::{LINE, print};

const GROUPS: usize = 50;
const EACH: usize = 1_000;
/// How many people write in each group.
const WRITERS: usize = 2;

pub(crate) async fn backlog() {
    let (relay, folder) = (Relay::start(&[UNLIMITED]), folder());
    let party = async |name: &str| PartyDisk::new(folder.path(), name, &relay.url).register().await;
    let (ben, mut writers) = (party("ben").await, Vec::new());
    for n in 0..WRITERS {
        writers.push(party(&format!("writer-{n}")).await);
    }
    let mut groups = Vec::new();
    for _ in 0..GROUPS {
        groups.push(create(&writers, &ben).await);
    }
    // He has the sender keys.
    for (n, writer) in writers.iter().enumerate() {
        for group in &groups {
            writer.client.thread(*group).await.unwrap().send_text(LINE).await.unwrap();
        }
        for group in &groups {
            let thread = ben.client.thread(*group).await.unwrap();
            until(async || texts(&thread).await == n + 1).await;
        }
    }
    let disk = ben.close().await;
    let mut writing = JoinSet::new();
    for (writer, group) in writers.iter().flat_map(|writer| groups.iter().map(move |group| (writer, group))) {
        let (client, thread) = (writer.client.clone(), writer.client.thread(*group).await.unwrap());
        writing.spawn(async move {
            let mut last = None;
            for _ in 0..EACH / WRITERS {
                last = Some(thread.send_text(LINE).await.unwrap().id);
            }
            // It polls rarely, so that polling costs little.
            while client.message(last.unwrap()).await.unwrap().server_seq.is_none() {
                sleep(Duration::from_millis(50)).await;
            }
        });
    }
    writing.join_all().await;
    for writer in &writers {
        writer.client.suspend().await.unwrap();
    }
    sleep(Duration::from_secs(2)).await;

    let begun = Instant::now();
    let ben = disk.clone().open().await;
    until(async || ben.client.connection_state() == ConnectionState::Live).await;
    let took = begun.elapsed();
    ben.close().await;
    let database = open_database(disk.database(), &disk.key());
    let sql = "SELECT count(*) FROM message WHERE kind = 1";
    let here: usize = database.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(here, GROUPS * (EACH + WRITERS), "all messages are there");
    println!("\n{GROUPS} groups, {EACH} messages in each");
    let rate = (GROUPS * EACH) as f64 / took.as_secs_f64();
    print("a device that was away catches up", &format!("{:.1} s, {rate:.0} messages/s", took.as_secs_f64()));
}

async fn create(writers: &[Party], ben: &Party) -> ThreadId {
    let all: Vec<&Party> = writers.iter().chain([ben]).collect();
    let invited: Vec<_> = all[1..].iter().map(|party| party.client.user_id()).collect();
    let group = loop {
        let details = GroupDetails::default();
        match all[0].client.create_group(details, GroupPermissions::default(), &invited).await {
            Ok(group) => break group.id(),
            // The lists of devices are uploaded after the registration.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    };
    for (n, party) in all.iter().enumerate().skip(1) {
        until(async || party.client.group(group).await.is_ok()).await;
        party.client.group(group).await.unwrap().accept().await.unwrap();
        until(async || members_at(all[0], group).await == n + 1).await;
    }
    for party in &all {
        until(async || members_at(party, group).await == all.len()).await;
    }
    group
}

/// How many of the newest messages are texts.
async fn texts(thread: &Thread) -> usize {
    let page = thread.history_of(None, 9).await.unwrap();
    page.messages.iter().filter(|message| matches!(message.body, MessageBody::Text(_))).count()
}

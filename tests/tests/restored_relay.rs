//! A relay whose data folder was copied back to an earlier state, with `--new-epoch` and without it: conversations
//! continue, and no message is lost or shown twice.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sealpost_core::{ConnectionState, Delivery, Error, Event, Events, MessageId, Thread, fetch_for_push};
use sealpost_testkit::{Party, PartyDisk, RelayProcess, eventually, own_address, relay_binary, texts};
use sealpost_wire::id::ClientMsgId;
use tempfile::TempDir;

/// A relay in a separate process at a fixed address, and a backup of its folder.
struct Restorable {
    dir: TempDir,
    addr: SocketAddr,
    process: Option<RelayProcess>,
}

impl Restorable {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut relay = Self { dir, addr: own_address(), process: None };
        relay.run().await;
        relay
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("relay")
    }

    async fn run(&mut self) {
        let log = self.dir.path().join("relay.log");
        let process =
            RelayProcess::start(&relay_binary(), &self.data(), self.addr, &log, None).await.unwrap();
        self.addr = process.addr();
        self.process = Some(process);
    }

    async fn stop(&mut self) {
        self.process.take().unwrap().kill().await.unwrap();
    }

    /// Stops the relay while its folder is copied.
    async fn back_up(&mut self) {
        self.stop().await;
        copy(&self.data(), &self.dir.path().join("backup"));
        self.run().await;
    }

    /// Restores the backup.
    async fn restore(&mut self, new_epoch: bool) {
        self.stop().await;
        std::fs::remove_dir_all(self.data()).unwrap();
        copy(&self.dir.path().join("backup"), &self.data());
        if new_epoch {
            let begun =
                Command::new(relay_binary()).arg("--data").arg(self.data()).arg("--new-epoch").status();
            assert!(begun.unwrap().success());
        }
        self.run().await;
    }

    fn disk(&self, name: &str) -> PartyDisk {
        PartyDisk::new(self.dir.path(), name, &format!("http://{}", self.addr))
    }

    async fn party(&self, name: &str) -> Party {
        self.disk(name).open_or_register().await
    }

    fn database(&self) -> rusqlite::Connection {
        let db = rusqlite::Connection::open(self.data().join("relay.db")).unwrap();
        db.busy_timeout(Duration::from_secs(60)).unwrap();
        db
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

async fn live(party: &Party) {
    eventually("a live connection", async || {
        party.client.reconnect();
        (party.client.connection_state() == ConnectionState::Live).then_some(())
    })
    .await;
}

async fn reaches(party: &Party, thread: &Thread, id: MessageId, delivery: Delivery) {
    party.message_reaches(thread, id, delivery).await;
}

/// Sends a line in each direction, and waits until both are read.
async fn talk(ada: &Party, ben: &Party, line: &str) {
    for (from, to) in [(ada, ben), (ben, ada)] {
        let (here, there) = (from.thread_with(to).await, to.thread_with(from).await);
        let text = format!("{line} of {}", from.name());
        let message = here.send_text(&text).await.unwrap();
        reaches(from, &here, message.id, Delivery::Delivered).await;
        assert!(texts(&there).await.contains(&text));
    }
}

/// Waits until the client has stored a version of the relay's store that is later than `since`.
async fn has_seen(disk: &Path, key: [u8; 32], since: &[u8]) {
    let later = async || (seen(disk, key) != since).then_some(());
    eventually("a later version of the relay's store", later).await;
}

fn seen(disk: &Path, key: [u8; 32]) -> Vec<u8> {
    let db = sealpost_testkit::open_database(disk, &key);
    db.query_row("SELECT store_version FROM account", [], |row| row.get(0)).unwrap()
}

async fn told(events: &mut Events, what: impl Fn(&Event) -> bool) {
    let told = async {
        loop {
            if events.next().await.unwrap().is_ok_and(|event| what(&event)) {
                return;
            }
        }
    };
    sealpost_testkit::within("an event", told).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_newer_than_the_backup_do_not_sign_out_the_device() {
    for new_epoch in [true, false] {
        let mut relay = Restorable::start().await;
        let (ada, ben) = (relay.party("ada").await, relay.party("ben").await);
        talk(&ada, &ben, "before").await;
        relay.back_up().await;
        live(&ada).await;
        live(&ben).await;
        // The token in the backup was used: she has exchanged it twice since.
        let (disk, key) = (relay.disk("ada").database().to_owned(), relay.disk("ada").key());
        let ada = exchange_tokens(ada, &disk, key).await;
        let ada = exchange_tokens(ada, &disk, key).await;
        relay.restore(new_epoch).await;
        // The access token remains valid for ten minutes, unless the client needs a new one.
        let ada = expire_access(ada, &disk, key).await;
        live(&ada).await;
        live(&ben).await;
        talk(&ada, &ben, "after").await;
    }
}

/// Makes the access token expire, so that the next connection has to exchange the refresh token.
async fn expire_access(party: Party, disk: &Path, key: [u8; 32]) -> Party {
    let closed = party.close().await;
    let db = sealpost_testkit::open_database(disk, &key);
    db.execute("UPDATE account SET access_expires = 1", []).unwrap();
    drop(db);
    closed.open().await
}

async fn exchange_tokens(party: Party, disk: &Path, key: [u8; 32]) -> Party {
    let party = expire_access(party, disk, key).await;
    live(&party).await;
    party
}

fn device_list(relay: &Restorable, of: &Party) -> Option<Vec<u8>> {
    let sql = "SELECT list FROM device_list WHERE user_id = ?1";
    relay.database().query_row(sql, [of.client.user_id().as_bytes()], |row| row.get(0)).ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_newer_than_the_backup_keeps_its_account_and_threads() {
    for new_epoch in [true, false] {
        let mut relay = Restorable::start().await;
        let ben = relay.party("ben").await;
        relay.back_up().await;
        live(&ben).await;
        let (ada, cyd) = (relay.party("ada").await, relay.party("cyd").await);
        talk(&ada, &ben, "before").await;
        talk(&ada, &cyd, "before").await;
        let cyds_id = cyd.client.user_id();
        let cyds = cyd.close().await;
        let list = device_list(&relay, &ada).expect("the relay has Ada's device list");
        relay.restore(new_epoch).await;
        live(&ada).await;
        let returned = async || (device_list(&relay, &ada).as_ref() == Some(&list)).then_some(());
        eventually("her device list is there again", returned).await;
        live(&ben).await;
        talk(&ada, &ben, "after").await;
        // The restored relay does not know the other user.
        let hers = ada.client.direct_thread(cyds_id).await.unwrap();
        let waits = hers.send_text("for later").await.unwrap();
        let cyd = cyds.open().await;
        live(&cyd).await;
        reaches(&ada, &hers, waits.id, Delivery::Delivered).await;
        talk(&ada, &cyd, "after").await;
        let with_ben = ada.thread_with(&ben).await;
        assert_eq!(texts(&with_ben).await.len(), 4, "no message is shown twice");
        assert_eq!(texts(&hers).await.len(), 5, "no message is shown twice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_newer_than_the_backup_are_delivered_once() {
    for new_epoch in [true, false] {
        let mut relay = Restorable::start().await;
        let (ada, ben) = (relay.party("ada").await, relay.party("ben").await);
        talk(&ada, &ben, "before").await;
        let hers = ada.thread_with(&ben).await;
        let bens = ben.close().await;
        relay.back_up().await;
        live(&ada).await;
        let (disk, key) = (relay.disk("ada").database().to_owned(), relay.disk("ada").key());
        let before = seen(&disk, key);
        // Ben is offline, so only the relay has these messages, and it will lose them.
        for line in ["three", "four"] {
            let message = hers.send_text(line).await.unwrap();
            reaches(&ada, &hers, message.id, Delivery::Sent).await;
        }
        has_seen(&disk, key, &before).await;
        let mut events = ada.client.events();
        relay.restore(new_epoch).await;
        live(&ada).await;
        told(&mut events, |event| *event == Event::RelayRestored).await;
        let ben = bens.open().await;
        live(&ben).await;
        let his = ben.thread_with(&ada).await;
        let all = ben.texts_when(&his, 4).await;
        assert_eq!(all[2..], ["three", "four"], "with a new epoch: {new_epoch}");
        talk(&ada, &ben, "after").await;
        assert_eq!(texts(&his).await, texts(&hers).await);
        assert_eq!(texts(&his).await.len(), 6, "no message is shown twice");
        let epoch: u64 = relay
            .database()
            .query_row("SELECT v FROM store_meta WHERE k = 'epoch'", [], |row| row.get(0))
            .unwrap();
        assert_eq!(epoch, 2, "once");
    }
}

const DAY_MS: u64 = 24 * 3600 * 1000;

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_millis().try_into().unwrap()
}

/// Makes the id of each parcel eight days older, as if the lane had waited for so long before they were submitted again.
fn age_parcels(disk: &PartyDisk) {
    let db = sealpost_testkit::open_database(disk.database(), &disk.key());
    let mut statement =
        db.prepare("SELECT id, client_msg_id, bytes FROM outgoing WHERE bytes > x''").unwrap();
    let parcels: Vec<(i64, [u8; 16], Vec<u8>)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert!(!parcels.is_empty());
    for (row, id, mut bytes) in parcels {
        let made_ms = ClientMsgId::from_bytes(id).time_ms().unwrap() - 8 * DAY_MS;
        let mut older = id;
        older[..6].copy_from_slice(&made_ms.to_be_bytes()[2..]);
        let at = bytes.windows(16).position(|window| *window == id).unwrap();
        bytes[at..at + 16].copy_from_slice(&older);
        let sql = "UPDATE outgoing SET client_msg_id = ?2, bytes = ?3 WHERE id = ?1";
        db.execute(sql, (row, older, bytes)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_the_relay_has_lost_arrives_although_its_parcel_is_too_old_now() {
    let mut relay = Restorable::start().await;
    let (ada, ben) = (relay.party("ada").await, relay.party("ben").await);
    talk(&ada, &ben, "before").await;
    let hers = ada.thread_with(&ben).await;
    let bens = ben.close().await;
    // The relay has been running for weeks, and may have stored and forgotten what is older.
    let forgotten_ms = now_ms() - 7 * DAY_MS;
    let sql = "UPDATE store_meta SET v = ?1 WHERE k = 'forgotten_ms'";
    assert_eq!(relay.database().execute(sql, [forgotten_ms]).unwrap(), 1);
    relay.back_up().await;
    live(&ada).await;
    let message = hers.send_text("three").await.unwrap();
    reaches(&ada, &hers, message.id, Delivery::Sent).await;
    drop(hers);
    let adas = ada.close().await;
    age_parcels(&adas);
    relay.restore(true).await;
    let ada = adas.open().await;
    let ben = bens.open().await;
    let his = ben.thread_with(&ada).await;
    assert_eq!(ben.texts_when(&his, 3).await[2], "three");
    let hers = ada.thread_with(&ben).await;
    reaches(&ada, &hers, message.id, Delivery::Delivered).await;
    talk(&ada, &ben, "after").await;
    assert_eq!(texts(&his).await, texts(&hers).await);
    assert_eq!(texts(&his).await.len(), 5, "no message is shown twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_device_keeps_its_history_and_works_again_when_the_relay_accepts_it() {
    let mut relay = Restorable::start().await;
    let (ada, ben) = (relay.party("ada").await, relay.party("ben").await);
    talk(&ada, &ben, "before").await;
    let cyd = relay.party("cyd").await;
    relay.back_up().await;
    live(&ada).await;
    let (user, hers) = (ada.client.user_id(), ada.thread_with(&ben).await.id());
    let remove = "INSERT INTO revoked_device VALUES (?1, 1)";
    relay.database().execute(remove, [user.as_bytes()]).unwrap();
    relay.database().execute("DELETE FROM device WHERE user_id = ?1", [user.as_bytes()]).unwrap();
    relay.database().execute("DELETE FROM token_family WHERE user_id = ?1", [user.as_bytes()]).unwrap();
    let ada = ada.close().await.open().await;
    let signed_out = async || (ada.client.connection_state() == ConnectionState::SignedOut).then_some(());
    eventually("signed out", signed_out).await;
    let refused = ada.client.direct_thread(cyd.client.user_id()).await.unwrap_err();
    assert_eq!(refused, Error::Unauthorized);
    let thread = ada.client.thread(hers).await.unwrap();
    assert_eq!(texts(&thread).await.len(), 2);
    let kept = thread.send_text("kept for later").await.unwrap();
    let ada = ada.close().await.open().await;
    eventually("signed out again", async || {
        (ada.client.connection_state() == ConnectionState::SignedOut).then_some(())
    })
    .await;
    // The operator restores the device with the backup.
    relay.restore(true).await;
    live(&ada).await;
    live(&ben).await;
    let thread = ada.client.thread(hers).await.unwrap();
    reaches(&ada, &thread, kept.id, Delivery::Delivered).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_a_restored_relay_cannot_recognise_learns_that_and_is_let_in_by_a_better_backup() {
    let mut relay = Restorable::start().await;
    let ben = relay.party("ben").await;
    let ben = ben.close().await;
    relay.back_up().await;
    let ada = relay.party("ada").await;
    let ben = ben.open().await;
    talk(&ada, &ben, "before").await;
    let hers = ada.thread_with(&ben).await.id();
    let (ada, ben) = (ada.close().await, ben.close().await);
    relay.stop().await;
    copy(&relay.data(), &relay.dir.path().join("better"));
    relay.run().await;
    relay.restore(true).await;
    // The operator has lost the key that recognises what the relay has registered.
    relay.stop().await;
    std::fs::remove_file(relay.data().join("signing.key")).unwrap();
    relay.run().await;
    let ada = ada.open().await;
    let signed_out = async || (ada.client.connection_state() == ConnectionState::SignedOut).then_some(());
    eventually("signed out", signed_out).await;
    let ben = ben.open().await;
    let stranger = sealpost_core::UserId::from_bytes([7; 16]);
    assert_eq!(ada.client.direct_thread(stranger).await.unwrap_err(), Error::UnknownDevice);
    // A push notification gives the same reason.
    let ada = ada.close().await;
    let fetched = fetch_for_push(ada.config(), std::future::pending()).await;
    assert_eq!(fetched, Err(Error::UnknownDevice));
    let ada = ada.open().await;
    let thread = ada.client.thread(hers).await.unwrap();
    assert_eq!(texts(&thread).await.len(), 2);
    let kept = thread.send_text("kept for later").await.unwrap();
    relay.stop().await;
    std::fs::remove_dir_all(relay.data()).unwrap();
    std::fs::rename(relay.dir.path().join("better"), relay.data()).unwrap();
    relay.run().await;
    live(&ada).await;
    live(&ben).await;
    reaches(&ada, &thread, kept.id, Delivery::Delivered).await;
}

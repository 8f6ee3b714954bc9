//! Mail that cannot be sent: it stops and delays no other. Clients and a real relay.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use sealpost_core::{Delivery, MessageId, Thread, UserId};
use sealpost_testkit::{
    Interceptor, Loss, Party, PartyDisk, Proxy, World, eventually, newest, open_database,
};

/// What becomes of requests for the keys of one user.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    Returned,
    /// The relay takes its time.
    Held,
    Lost,
}

#[derive(Clone)]
struct OneUser {
    user: Arc<Mutex<Option<UserId>>>,
    keys: Arc<(Mutex<Keys>, Condvar)>,
    requests: Arc<Mutex<usize>>,
}

impl OneUser {
    fn new() -> Self {
        let keys = Arc::new((Mutex::new(Keys::Returned), Condvar::new()));
        Self { user: Arc::default(), keys, requests: Arc::default() }
    }

    fn set(&self, keys: Keys) {
        *self.keys.0.lock().unwrap() = keys;
        self.keys.1.notify_all();
    }

    fn requests(&self) -> usize {
        *self.requests.lock().unwrap()
    }

    fn is_meant(&self, request: &str) -> bool {
        let user = self.user.lock().unwrap().map(|user| user.to_string());
        user.is_some_and(|user| request.contains(&format!("/users/{user}/devices/")))
    }
}

impl Interceptor for OneUser {
    fn loses(&self, request: &str) -> Option<Loss> {
        if !self.is_meant(request) {
            return None;
        }
        *self.requests.lock().unwrap() += 1;
        (*self.keys.0.lock().unwrap() == Keys::Lost).then_some(Loss::Request)
    }

    fn answer(&self, request: &str, body: Vec<u8>) -> Vec<u8> {
        if self.is_meant(request) {
            // What else this thread has to do is done by another one.
            tokio::task::block_in_place(|| {
                let keys = self.keys.0.lock().unwrap();
                let is_held = |keys: &mut Keys| *keys == Keys::Held;
                drop(self.keys.1.wait_timeout_while(keys, Duration::from_secs(90), is_held).unwrap());
            });
        }
        body
    }
}

/// Somebody who has written to Ada.
struct Writer {
    party: Party,
    thread: Thread,
    hers: Thread,
    sent: MessageId,
}

impl Writer {
    async fn new(world: &World, ada: &Party, name: &str) -> Self {
        let party = world.party(name).await;
        let (thread, hers) = (party.thread_with(ada).await, ada.thread_with(&party).await);
        let hello = hers.send_text("hello").await.unwrap();
        ada.message_reaches(&hers, hello.id, Delivery::Delivered).await;
        let sent = thread.send_text("read this").await.unwrap().id;
        party.message_reaches(&thread, sent, Delivery::Delivered).await;
        Self { party, thread, hers, sent }
    }

    fn id(&self) -> Vec<u8> {
        self.party.client.user_id().as_bytes().to_vec()
    }

    async fn learns_that_it_was_read(&self) {
        self.party.message_reaches(&self.thread, self.sent, Delivery::Read).await;
    }
}

/// Ada reads what these people have written, without a connection. Then her client is closed, and her database changed by `change`.
async fn read_offline<const N: usize>(
    world: &mut World,
    ada: Party,
    writers: [&Writer; N],
    change: impl FnOnce(&rusqlite::Connection),
) -> PartyDisk {
    let disk = world.disk("ada");
    let database = || open_database(disk.database(), &disk.key());
    let waiting =
        || database().query_row("SELECT count(*) FROM mail", [], |row| row.get::<_, usize>(0)).unwrap();
    eventually("nothing waits", async || (waiting() == 0).then_some(())).await;
    world.stop_relay().await;
    for writer in writers {
        writer.hers.mark_read(newest(&writer.hers).await.id).await.unwrap();
    }
    assert_eq!(waiting(), N);
    let disk = ada.close().await;
    change(&open_database(disk.database(), &disk.key()));
    world.start_relay().await;
    disk
}

/// Makes much mail of the mail to a user, and lets it be due before that to others.
fn multiply_mail_to(database: &rusqlite::Connection, user: &[u8]) {
    let more = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 99)
        INSERT INTO mail (thread_id, recipient, content_id, sent, body, due)
            SELECT thread_id, recipient, randomblob(16), sent, body, due FROM mail, n WHERE recipient = ?1";
    assert_eq!(database.execute(more, [user]).unwrap(), 99);
    database.execute("UPDATE mail SET due = 0 WHERE recipient = ?1", [user]).unwrap();
    database.execute("UPDATE mail SET due = 1 WHERE recipient <> ?1", [user]).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn mail_to_somebody_without_a_session_delays_no_other_and_fetches_their_keys_once() {
    let mut world = World::start().await;
    let slow = OneUser::new();
    let proxy = Proxy::start(world.addr(), slow.clone()).await;
    let ada = world.disk("ada").through(&proxy.url()).register().await;
    let (ben, cyd) = (Writer::new(&world, &ada, "ben").await, Writer::new(&world, &ada, "cyd").await);
    let without_session = |database: &rusqlite::Connection| {
        multiply_mail_to(database, &ben.id());
        database.execute("DELETE FROM session WHERE user_id = ?1", [ben.id()]).unwrap();
    };
    let disk = read_offline(&mut world, ada, [&ben, &cyd], without_session).await;
    *slow.user.lock().unwrap() = Some(ben.party.client.user_id());
    slow.set(Keys::Held);
    let ada = disk.open().await;
    cyd.learns_that_it_was_read().await;
    // Nor does what is queued later wait.
    let second = cyd.thread.send_text("and this").await.unwrap();
    cyd.party.message_reaches(&cyd.thread, second.id, Delivery::Delivered).await;
    let hers = ada.thread_with(&cyd.party).await;
    hers.mark_read(newest(&hers).await.id).await.unwrap();
    cyd.party.message_reaches(&cyd.thread, second.id, Delivery::Read).await;
    slow.set(Keys::Returned);
    ben.learns_that_it_was_read().await;
    let database = || open_database(world.disk("ada").database(), &world.disk("ada").key());
    let left =
        || database().query_row("SELECT count(*) FROM mail", [], |row| row.get::<_, usize>(0)).unwrap();
    eventually("all of it leaves", async || (left() == 0).then_some(())).await;
    assert_eq!(slow.requests(), 1, "once for a hundred receipts");
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_waits_longer_each_time_that_the_keys_cannot_be_fetched() {
    let mut world = World::start().await;
    let unreachable = OneUser::new();
    let proxy = Proxy::start(world.addr(), unreachable.clone()).await;
    let ada = world.disk("ada").through(&proxy.url()).register().await;
    let ben = Writer::new(&world, &ada, "ben").await;
    let without_session = |database: &rusqlite::Connection| {
        multiply_mail_to(database, &ben.id());
        database.execute("DELETE FROM session WHERE user_id = ?1", [ben.id()]).unwrap();
    };
    let disk = read_offline(&mut world, ada, [&ben], without_session).await;
    *unreachable.user.lock().unwrap() = Some(ben.party.client.user_id());
    unreachable.set(Keys::Lost);
    let _ada = disk.open().await;
    let database = || open_database(world.disk("ada").database(), &world.disk("ada").key());
    let attempts = || {
        let sql = "SELECT min(attempts), max(attempts) FROM mail";
        database().query_row(sql, [], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?))).unwrap()
    };
    let tried =
        eventually("three attempts", async || Some(attempts()).filter(|(least, _)| *least >= 3)).await;
    assert_eq!(tried.0, tried.1, "all of it waits together");
    unreachable.set(Keys::Returned);
    ben.learns_that_it_was_read().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_row_stops_no_other_mail() {
    let mut world = World::start().await;
    let ada = world.party("ada").await;
    let names = ["ben", "cyd", "dan", "eve", "fay"];
    let mut writers = Vec::new();
    for name in names {
        writers.push(Writer::new(&world, &ada, name).await);
    }
    let [ben, cyd, dan, eve, fay] = &writers[..] else { panic!("five") };
    let damage = |database: &rusqlite::Connection| {
        let all = [
            // A session that cannot be read: another one is started.
            ("UPDATE session SET state = x'00' WHERE user_id = ?1", ben),
            // Mail that cannot be read: it is dropped.
            ("UPDATE mail SET body = x'ff' WHERE recipient = ?1", cyd),
            // A device that cannot be read: the mail is tried again.
            ("UPDATE device SET identity = zeroblob(33) WHERE user_id = ?1", dan),
            ("UPDATE mail SET due = 1 WHERE recipient = ?1", fay),
        ];
        for (sql, writer) in all {
            assert_eq!(database.execute(sql, [writer.id()]).unwrap(), 1, "{sql}");
        }
        // Mail that cannot be changed into its sealed form: it is tried again.
        let fails = format!(
            "CREATE TRIGGER fails BEFORE UPDATE OF bytes ON mail WHEN old.recipient = x'{}'
             BEGIN SELECT raise(ABORT, 'a damaged page'); END",
            hex::encode(eve.id())
        );
        database.execute_batch(&fails).unwrap();
    };
    let disk = read_offline(&mut world, ada, [ben, cyd, dan, eve, fay], damage).await;
    let _ada = disk.open().await;
    fay.learns_that_it_was_read().await;
    ben.learns_that_it_was_read().await;
    let database = || open_database(world.disk("ada").database(), &world.disk("ada").key());
    let left = || {
        let database = database();
        let mut statement =
            database.prepare("SELECT recipient FROM mail WHERE attempts > 0 ORDER BY id").unwrap();
        let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
        rows.map(Result::unwrap).collect::<Vec<_>>()
    };
    eventually("the others wait", async || (left() == [dan.id(), eve.id()]).then_some(())).await;
    // What could not be changed leaves once it can be.
    database().execute_batch("DROP TRIGGER fails").unwrap();
    eve.learns_that_it_was_read().await;
}

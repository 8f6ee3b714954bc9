//! Operations that are committed together have the same effect as if they were committed one after another.

use proptest::prelude::*;
use rusqlite::types::Value;
use sealpost_wire::Envelope;
use sealpost_wire::id::ClientMsgId;

use super::cost::{FrozenClock, NOW_MS, account, address};
use super::*;
use crate::store::{Accounts as _, Copy};

/// Events among three users and two threads: one of users 1 and 2, and one of users 1 and 3 that 3 has not accepted.
#[derive(Debug, Clone)]
enum Event {
    /// A message with one of a few ids.
    Send {
        from: u8,
        thread: u8,
        name: u8,
        bytes: usize,
    },
    /// Acknowledges rows with these numbers, whether they exist or not.
    Ack {
        who: u8,
        thread: u8,
        seqs: std::ops::Range<u64>,
    },
    Accept {
        who: u8,
        thread: u8,
    },
    /// Revokes the device of a user, with its mailbox.
    Revoke {
        who: u8,
    },
    /// Changes something, and then fails.
    Fail,
}

fn event() -> impl Strategy<Value = Event> {
    let (user, thread) = (|| 1..=3_u8, || prop_oneof![1 => Just(2_u8), 2 => Just(3)]);
    let from = prop_oneof![4 => Just(1_u8), 1 => user()];
    let bytes = prop_oneof![9 => Just(300_usize), 1 => Just(20_000)];
    prop_oneof![
        20 => (from, thread(), any::<u8>(), bytes)
            .prop_map(|(from, thread, name, bytes)| Event::Send { from, thread, name, bytes }),
        4 => (user(), thread(), 1..20_u64)
            .prop_map(|(who, thread, from)| Event::Ack { who, thread, seqs: from..from.saturating_add(3) }),
        1 => (2..=3_u8, thread()).prop_map(|(who, thread)| Event::Accept { who, thread }),
    ]
}

/// One group in four contains a revocation, and one in four a failure, which makes the group run in another way.
fn events() -> impl Strategy<Value = Vec<Event>> {
    let now_and_then = || prop::option::weighted(0.25, any::<prop::sample::Index>());
    let rare = (now_and_then(), now_and_then());
    (prop::collection::vec(event(), 20..60), rare).prop_map(|(mut events, (revoked, failed))| {
        for (at, event) in [(revoked, Event::Revoke { who: 3 }), (failed, Event::Fail)] {
            if let Some(at) = at {
                events.insert(at.index(events.len()), event);
            }
        }
        events
    })
}

const fn thread(peer: u8) -> ThreadId {
    ThreadId::from_bytes([peer; 16])
}

async fn store() -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let (lock, db) = open_files(folder.path()).unwrap();
    let store =
        SqliteStore::from_parts(folder.path(), lock, db, Arc::new(FrozenClock), Default::default()).unwrap();
    for user in 1..=3 {
        store.create_account(account(user)).await.unwrap();
    }
    for peer in 2..=3 {
        let (creator, peer_user) = (address(1).user, address(peer).user);
        let new = NewThread { id: thread(peer), creator, peer: peer_user, now_ms: NOW_MS };
        assert_eq!(store.create_thread(new).await, Ok(Created::New));
    }
    assert_eq!(store.accept_thread(thread(2), address(2).user).await, Ok(true));
    (folder, store)
}

/// Queues the operation, and returns its result later.
fn call(store: &SqliteStore, event: &Event) -> Answer<String> {
    fn shown<T: std::fmt::Debug + Send + 'static>(answer: Answer<T>) -> Answer<String> {
        Box::pin(async move { Ok(format!("{:?}", answer.await)) })
    }
    match event {
        Event::Send { from, thread: peer, name, bytes } => {
            let to = if from == peer { 1 } else { *peer };
            shown(store.append(send(*from, to, thread(*peer), (*name).into(), *bytes)))
        }
        Event::Ack { who, thread: peer, seqs } => {
            let key = |server_seq| InboxKey { thread: thread(*peer), server_seq };
            shown(store.inbox_ack(address(*who), seqs.clone().map(key).collect()))
        }
        Event::Accept { who, thread: peer } => shown(store.accept_thread(thread(*peer), address(*who).user)),
        Event::Revoke { who } => shown(store.revoke_device(address(*who))),
        Event::Fail => {
            let work = |tx: &Connection, deferred: &mut Deferred| {
                deferred.mailboxes.grow(tx, address(1), thread(2), (1_000, false))?;
                tx.execute("UPDATE thread SET last_seq = last_seq + 1", [])?;
                tx.execute("INSERT INTO thread (thread_id) VALUES (NULL)", [])
            };
            shown(store.writer.write_deferring(Payer::Relay, Need::Grows, work, |rows| rows))
        }
    }
}

fn send(from: u8, to: u8, thread: ThreadId, name: u64, bytes: usize) -> Append {
    Append {
        sender: address(from),
        client_msg_id: ClientMsgId::new(NOW_MS.saturating_add(name), &[from; 10]),
        thread,
        roster_version: 1,
        body_hash: [1; 32],
        copies: vec![Copy {
            to: address(to),
            registration_id: 77,
            envelope: Envelope { kind: 1, ciphertext: vec![7; bytes].into(), ..Envelope::default() },
            shared: bytes::Bytes::new(),
            expires_ms: NOW_MS + 1_000_000,
        }],
        now_ms: NOW_MS,
    }
}

/// Queues all operations while the writer is blocked, so that they form one group.
async fn together(store: &SqliteStore, events: &[Event]) -> Vec<String> {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let gate = store.writer.write(Payer::Relay, Need::Grows, move |_| Ok(wait.recv().is_ok()));
    let answers: Vec<_> = events.iter().map(|event| call(store, event)).collect();
    drop(go);
    assert_eq!(gate.await, Ok(false));
    futures_util::future::try_join_all(answers).await.unwrap()
}

/// All rows that contain counts or are counted, without the arrival numbers, some of which a group that was rolled
/// back skips.
async fn rows(store: &SqliteStore) -> Vec<Vec<Vec<Value>>> {
    let read = |tx: &Connection, sql: &str| -> rusqlite::Result<Vec<Vec<Value>>> {
        let mut statement = tx.prepare(sql)?;
        let columns = statement.column_count();
        statement.query_map([], |row| (0..columns).map(|column| row.get(column)).collect())?.collect()
    };
    let read = store.writer.write(Payer::Relay, Need::Frees, move |tx| {
        [
            "SELECT * FROM thread ORDER BY thread_id",
            "SELECT * FROM thread_member ORDER BY thread_id, user_id",
            "SELECT * FROM mailbox ORDER BY user_id",
            "SELECT * FROM mailbox_thread ORDER BY user_id, thread_id",
            "SELECT * FROM dedupe ORDER BY client_msg_id, sender",
            "SELECT user_id, thread_id, server_seq, hlc, client_msg_id, length(ciphertext) FROM inbox
             ORDER BY arrival",
        ]
        .iter()
        .map(|sql| read(tx, sql))
        .collect()
    });
    read.await.unwrap()
}

/// The number of mailboxes whose sum differs from the sum of their rows or of their threads.
async fn wrong_sums(store: &SqliteStore) -> u64 {
    let count = store.writer.write(Payer::Relay, Need::Frees, |tx| {
        tx.query_row(
            "SELECT count(*) FROM mailbox AS m WHERE bytes !=
                (SELECT coalesce(sum(length(ciphertext) + 256), 0) FROM inbox AS i
                 WHERE i.user_id = m.user_id AND i.device_id = m.device_id)
             OR bytes != (SELECT coalesce(sum(bytes), 0) FROM mailbox_thread AS t
                 WHERE t.user_id = m.user_id AND t.device_id = m.device_id)",
            [],
            |row| row.get(0),
        )
    });
    count.await.unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn a_group_has_the_same_effect_as_its_operations_one_by_one(events in events()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let ((_a, grouped), (_b, single)) = (store().await, store().await);
            let answers = together(&grouped, &events).await;
            let mut one_by_one = Vec::new();
            for event in &events {
                one_by_one.push(call(&single, event).await.unwrap());
            }
            prop_assert_eq!(answers, one_by_one);
            prop_assert_eq!(rows(&grouped).await, rows(&single).await);
            prop_assert_eq!(wrong_sums(&grouped).await, 0);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_group_trims_enough_for_all_rows_that_it_adds() {
    let (_folder, store) = store().await;
    // Almost a whole mailbox, from the thread of user 3.
    let fill = store.writer.write(Payer::Relay, Need::Grows, |tx| {
        let (user, thread, rows, bytes) = (address(1).user, thread(3), 1_016_u64, 66_048_u64);
        tx.execute(
            "WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < ?3)
             INSERT INTO inbox SELECT id, ?1, 1, ?2, id, 1, ?1, 1, x'01', 1, 1, 0, 0, ?4, zeroblob(?5 - 256),
                NULL, 0
             FROM n",
            rusqlite::params![user.as_bytes(), thread.as_bytes(), rows, NOW_MS, bytes],
        )?;
        tx.execute(
            "INSERT INTO mailbox_thread VALUES (?1, 1, ?2, ?3, 0)",
            rusqlite::params![user.as_bytes(), thread.as_bytes(), rows * bytes],
        )?;
        tx.execute(
            "UPDATE mailbox SET bytes = ?2 WHERE user_id = ?1",
            rusqlite::params![user.as_bytes(), rows * bytes],
        )
    });
    fill.await.unwrap();
    assert_eq!(wrong_sums(&store).await, 0);
    let events: Vec<_> = (0..200).map(|name| Event::Send { from: 2, thread: 2, name, bytes: 300 }).collect();
    assert!(together(&store, &events).await.iter().all(|answer| answer.contains("Stored")));
    let left = store.writer.write(Payer::Relay, Need::Frees, |tx| {
        tx.query_row(
            "SELECT bytes, trimmed, (SELECT count(*) FROM inbox WHERE sender_user = ?1) FROM mailbox
             WHERE user_id = ?1",
            [address(1).user.as_bytes()],
            |row| Ok((row.get::<_, u64>(0)?, row.get::<_, u64>(1)?, row.get::<_, u64>(2)?)),
        )
    });
    let (bytes, trimmed, of_the_full_thread) = left.await.unwrap();
    assert!(bytes <= sealpost_wire::limits::MAX_MAILBOX_BYTES, "{bytes}");
    assert!((1..=2).contains(&trimmed), "{trimmed}");
    assert_eq!(of_the_full_thread, 1_016 - trimmed);
    assert_eq!(wrong_sums(&store).await, 0);
}

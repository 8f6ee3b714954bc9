//! Counts what a message costs: statements prepared and run, and files opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::hooks::Authorization;
use rusqlite::trace::TraceEventCodes;
use sealpost_wire::id::{ClientMsgId, DeviceId};
use sealpost_wire::{Envelope, KeyUpload, SignedKey};

use super::*;
use crate::store::{Accounts as _, Copy, FamilyId, NewAccount, NewFamily, Stored, TokenHash};

pub(super) const NOW_MS: u64 = 1_795_305_600_000;
const THREAD: ThreadId = ThreadId::from_bytes([9; 16]);

/// A clock that stands still, so that no group is ended because of its duration.
#[derive(Debug)]
pub(super) struct FrozenClock;

impl Clock for FrozenClock {
    fn unix_ms(&self) -> u64 {
        NOW_MS
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

/// The statements of the writing connection.
#[derive(Clone, Default)]
struct Counts {
    /// Incremented whenever a statement is prepared, even if SQLite does so by itself.
    prepared: Arc<AtomicU64>,
    /// Incremented whenever a statement starts to run.
    run: Arc<AtomicU64>,
}

impl Counts {
    fn prepared(&self) -> u64 {
        self.prepared.load(Ordering::SeqCst)
    }

    fn run(&self) -> u64 {
        self.run.load(Ordering::SeqCst)
    }
}

struct Fixture {
    counts: Counts,
    store: SqliteStore,
    sent: u64,
    _folder: tempfile::TempDir,
}

impl Fixture {
    /// A store with two users and their thread.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (counts, (lock, mut db)) = (Counts::default(), open_files(folder.path()).unwrap());
        let Counts { prepared, run } = counts.clone();
        db.authorizer(Some(move |_: rusqlite::hooks::AuthContext<'_>| {
            prepared.fetch_add(1, Ordering::SeqCst);
            Authorization::Allow
        }))
        .unwrap();
        let count = move |_: rusqlite::trace::TraceEvent<'_>| {
            run.fetch_add(1, Ordering::SeqCst);
        };
        db.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(count)).unwrap();
        let clock = Arc::new(FrozenClock);
        let store = SqliteStore::from_parts(folder.path(), lock, db, clock, Default::default()).unwrap();
        for user in [1, 2] {
            store.create_account(account(user)).await.unwrap();
        }
        let (creator, peer) = (address(1).user, address(2).user);
        let new = NewThread { id: THREAD, creator, peer, now_ms: NOW_MS };
        assert_eq!(store.create_thread(new).await, Ok(Created::New));
        assert_eq!(store.accept_thread(THREAD, peer).await, Ok(true));
        Self { counts, store, sent: 0, _folder: folder }
    }

    /// Sends a new message to the other user.
    fn send(&mut self) -> Answer<Appended> {
        self.sent = self.sent.saturating_add(1);
        let id_ms = NOW_MS.saturating_add(self.sent);
        self.store.append(Append {
            sender: address(1),
            client_msg_id: ClientMsgId::new(id_ms, &[1; 10]),
            thread: THREAD,
            roster_version: 1,
            body_hash: [1; 32],
            copies: vec![Copy {
                to: address(2),
                registration_id: 77,
                envelope: Envelope { kind: 1, ciphertext: vec![7; 500].into(), ..Envelope::default() },
                shared: bytes::Bytes::new(),
                expires_ms: NOW_MS + 1_000_000,
            }],
            now_ms: NOW_MS,
        })
    }

    /// A message, from sending it to acknowledging it.
    async fn talk(&mut self) {
        let Appended::Stored(Stored { server_seq, .. }) = self.send().await.unwrap() else {
            panic!("not stored")
        };
        let limit = PageLimit { rows: 1, bytes: 1, now_ms: NOW_MS };
        assert_eq!(self.store.inbox_arrivals(address(2), 0, limit).await.unwrap().rows.len(), 1);
        let key = InboxKey { thread: THREAD, server_seq };
        assert_eq!(self.store.inbox_ack(address(2), vec![key]).await, Ok(1));
    }
}

pub(super) fn address(user: u8) -> Address {
    Address { user: UserId::from_bytes([user; 16]), device: DeviceId::PRIMARY }
}

pub(super) fn account(user: u8) -> NewAccount {
    let key = |type_byte, len| {
        let mut public_key = vec![0; len];
        public_key[0] = type_byte;
        Some(SignedKey { id: 1, public_key: public_key.into(), signature: vec![7; 64].into() })
    };
    let keys =
        KeyUpload { signed_pre_key: key(0x05, 33), last_resort_kem: key(0x08, 1569), ..KeyUpload::default() };
    NewAccount {
        address: address(user),
        registration_id: 77,
        identity_key: vec![5; 33].into(),
        login_key: None,
        keys: CheckedKeys::parse_first(keys).unwrap(),
        family: NewFamily {
            id: FamilyId([user; 16]),
            refresh: TokenHash([user; 32]),
            expires_ms: NOW_MS + 1_000_000,
        },
        idempotency: None,
        now_ms: NOW_MS,
    }
}

#[tokio::test]
async fn a_statement_is_prepared_once() {
    let mut fixture = Fixture::new().await;
    fixture.talk().await;
    let before = fixture.counts.prepared();
    assert!(before > 0, "nothing was counted");
    for _ in 0..20 {
        fixture.talk().await;
    }
    assert_eq!(fixture.counts.prepared() - before, 0);
}

#[tokio::test]
async fn the_statements_for_a_message_are_few() {
    let mut fixture = Fixture::new().await;
    fixture.talk().await;
    let before = fixture.counts.run();
    // Operations that wait for this one are in a group with it.
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let gate = fixture.store.writer.write(Payer::Relay, Need::Grows, move |_| Ok(wait.recv().is_ok()));
    let answers: Vec<_> = (0..100).map(|_| fixture.send()).collect();
    go.send(()).unwrap();
    assert_eq!(gate.await, Ok(true));
    for answer in futures_util::future::join_all(answers).await {
        assert!(matches!(answer, Ok(Appended::Stored(_))));
    }
    // Two statements for each message: one stores its id, and one its row. The thread is read and written once for
    // all of them. The two sums of the mailbox are written once for every 22 rows, which are 16 KiB. One begin, one
    // count of transactions and one commit.
    assert_eq!(fixture.counts.run() - before, 200 + 2 + 2 * 5 + 3);
}

#[tokio::test]
async fn consecutive_rows_are_acknowledged_in_one_statement() {
    let mut fixture = Fixture::new().await;
    let sent: Vec<_> = (0..60).map(|_| fixture.send()).collect();
    futures_util::future::join_all(sent).await;
    let before = fixture.counts.run();
    let keys = (1..=60).map(|server_seq| InboxKey { thread: THREAD, server_seq }).collect();
    assert_eq!(fixture.store.inbox_ack(address(2), keys).await, Ok(60));
    // The begin, the rows, the sums of the thread and the mailbox, the count of transactions, and the commit.
    assert_eq!(fixture.counts.run() - before, 6);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn nothing_is_written_outside_the_data_folder() {
    let mut fixture = Fixture::new().await;
    let sent: Vec<_> = (0..200).map(|_| fixture.send()).collect();
    futures_util::future::join_all(sent).await;
    let files = fixture.store.writer.write(Payer::Relay, Need::Grows, |tx| {
        tx.execute_batch("UPDATE inbox SET ciphertext = randomblob(20000)")?;
        // Undoing this needs many pages, and its result set is held until it is done.
        tx.execute_batch("SAVEPOINT wide")?;
        let mut update = tx.prepare("UPDATE inbox SET ciphertext = zeroblob(20000) RETURNING ciphertext")?;
        let mut rows = update.query([])?;
        assert!(rows.next()?.is_some());
        let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let paths = open.filter_map(|file| std::fs::read_link(file.path()).ok());
        let paths: Vec<_> = paths.collect();
        drop(rows);
        tx.execute_batch("RELEASE wide")?;
        Ok(paths)
    });
    let files = files.await.unwrap();
    assert!(files.iter().any(|file| file.ends_with("relay.db-wal")), "{files:?}");
    // SQLite's temporary files are in these folders and have been unlinked, unlike a file that the output goes to.
    let places = [std::env::temp_dir(), "/var/tmp".into(), "/usr/tmp".into(), "/tmp".into()];
    let is_temporary = |file: &&std::path::PathBuf| {
        places.iter().any(|place| file.parent() == Some(place))
            && file.to_string_lossy().ends_with(" (deleted)")
    };
    assert_eq!(files.iter().find(is_temporary), None);
}

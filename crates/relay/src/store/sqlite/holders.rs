//! Whatever happens to the rows of a group, a payload exists exactly as long as something refers to it, and mailboxes count what is in them.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use proptest::prelude::*;
use sealpost_wire::Envelope;
use sealpost_wire::id::ClientMsgId;
use sealpost_wire::roster::Change;

use super::cost::{FrozenClock, NOW_MS, account, address};
use super::*;
use crate::store::{Accounts as _, Entered, GroupAppend, Groups as _, Jobs as _, NewEntry};

#[path = "../../../tests/entries/mod.rs"]
mod entries;
use entries::{Chain, by, invitation, remove};

const USERS: u8 = 5;
const LARGE: usize = 60_000;

/// Events in a group of five people.
#[derive(Debug, Clone)]
enum Event {
    /// A message of this size, which may expire early. As a job, if `in_background`.
    Post {
        from: u8,
        bytes: usize,
        ttl_s: u32,
        in_background: bool,
    },
    /// So many large messages that mailboxes are trimmed.
    Flood {
        from: u8,
    },
    /// A device acknowledges some of its rows.
    Ack {
        who: u8,
        every: usize,
    },
    /// Somebody is removed, and invited again.
    Remove {
        who: u8,
    },
    Invite {
        who: u8,
    },
    Accept {
        who: u8,
    },
    Revoke {
        who: u8,
    },
    DeleteAccount {
        who: u8,
    },
    /// Some rows of all jobs.
    Jobs {
        rows: u32,
    },
    Sweep {
        seconds: u64,
        budget: u32,
    },
    /// Changes something, and then fails, so that its group is run again in another way.
    Fail,
}

fn event() -> impl Strategy<Value = Event> {
    let user = || 1..=USERS;
    prop_oneof![
        8 => (user(), prop_oneof![Just(40_usize), Just(LARGE)], prop_oneof![Just(0), 1..20_u32], any::<bool>())
            .prop_map(|(from, bytes, ttl_s, in_background)| Event::Post { from, bytes, ttl_s, in_background }),
        4 => (user(), 1..4_usize).prop_map(|(who, every)| Event::Ack { who, every }),
        2 => (2..=USERS).prop_map(|who| Event::Remove { who }),
        2 => (2..=USERS).prop_map(|who| Event::Invite { who }),
        2 => (2..=USERS).prop_map(|who| Event::Accept { who }),
        1 => (2..=USERS).prop_map(|who| Event::Revoke { who }),
        1 => (2..=USERS).prop_map(|who| Event::DeleteAccount { who }),
        4 => (1..4_u32).prop_map(|rows| Event::Jobs { rows }),
        2 => (1..20_u64, 1..8_u32).prop_map(|(seconds, budget)| Event::Sweep { seconds, budget }),
        1 => Just(Event::Fail),
    ]
}

/// Rarely, mailboxes are filled, because this takes long.
fn events() -> impl Strategy<Value = Vec<Event>> {
    let flood = prop::option::weighted(0.05, (any::<prop::sample::Index>(), 1..=USERS));
    (prop::collection::vec(event(), 15..50), flood).prop_map(|(mut events, flood)| {
        if let Some((at, from)) = flood {
            events.insert(at.index(events.len()), Event::Flood { from });
        }
        events
    })
}

struct Fixture {
    store: SqliteStore,
    chain: Chain,
    sent: u64,
    now_ms: u64,
    _folder: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        // In memory, if that is possible: everything is checked after each event.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let (lock, db) = open_files(folder.path()).unwrap();
        let store =
            SqliteStore::from_parts(folder.path(), lock, db, Arc::new(FrozenClock), Default::default())
                .unwrap();
        for user in 1..=USERS {
            store.create_account(account(user)).await.unwrap();
        }
        let others: Vec<UserId> = (2..=USERS).map(|user| address(user).user).collect();
        let (chain, entry) = Chain::create(by(address(1).user), &others, 1);
        let mut fixture = Self { store, chain, sent: 0, now_ms: NOW_MS, _folder: folder };
        assert!(fixture.enter(entry).await);
        for user in 2..=USERS {
            fixture.change(user, Change::Accept).await;
        }
        fixture
    }

    async fn enter(&mut self, entry: sealpost_wire::roster::Entry) -> bool {
        let author = entry.content().author;
        let new = NewEntry {
            author: Address { user: author.user, device: author.device },
            entry,
            link: None,
            job: [1; 16],
            expires_ms: self.now_ms + 1_000_000,
            now_ms: self.now_ms,
        };
        matches!(self.store.enter(new).await.unwrap(), Entered::Stored(..))
    }

    async fn change(&mut self, author: u8, change: Change) {
        let entry = self.chain.next(by(address(author).user), change);
        if self.enter(entry.clone()).await {
            self.chain.take(&entry);
        }
    }

    fn post(&mut self, from: u8, bytes: usize, ttl_s: u32) -> Answer<Appended> {
        self.sent += 1;
        let life_ms = if ttl_s == 0 { 1_000_000 } else { u64::from(ttl_s) * 1_000 };
        self.store.append_to_group(GroupAppend {
            sender: address(from),
            client_msg_id: ClientMsgId::new(NOW_MS + self.sent, &[1; 10]),
            thread: self.chain.thread,
            roster_version: self.chain.version,
            body_hash: [1; 32],
            envelope: Envelope { kind: 3, ttl_s, ciphertext: vec![7; bytes].into(), ..Envelope::default() },
            expires_ms: self.now_ms + life_ms,
            job: [2; 16],
            now_ms: self.now_ms,
        })
    }

    /// From now on, posts of the group are jobs, until there is none left.
    async fn begin_jobs(&self) {
        let thread = self.chain.thread;
        let work = move |tx: &Connection, deferred: &mut Deferred| {
            deferred.write(tx)?;
            if let Some(group) = deferred.groups.get(tx, thread)? {
                group.has_jobs = true;
            }
            Ok(())
        };
        drop(self.store.writer.write_deferring(Payer::Relay, Need::Grows, work, |()| ()));
    }

    async fn run(&mut self, event: Event) {
        let at = |now_ms| PageLimit { rows: 100_000, bytes: usize::MAX, now_ms };
        match event {
            Event::Post { from, bytes, ttl_s, in_background } => {
                // Both are in one transaction.
                let (go, wait) = std::sync::mpsc::channel::<()>();
                let gate =
                    self.store.writer.write(Payer::Relay, Need::Grows, move |_| Ok(wait.recv().is_ok()));
                if in_background {
                    self.begin_jobs().await;
                }
                let posted = self.post(from, bytes, ttl_s);
                go.send(()).unwrap();
                gate.await.unwrap();
                posted.await.unwrap();
            }
            Event::Flood { from } => {
                let posts: Vec<_> = (0..1_200).map(|_| self.post(from, LARGE, 0)).collect();
                for post in posts {
                    post.await.unwrap();
                }
            }
            Event::Ack { who, every } => {
                let page = self.store.inbox_arrivals(address(who), 0, at(0)).await.unwrap();
                let keys = page.rows.iter().step_by(every).map(|row| row.key).collect();
                self.store.inbox_ack(address(who), keys).await.unwrap();
            }
            Event::Remove { who } => self.change(1, remove(&[address(who).user])).await,
            Event::Invite { who } => {
                self.change(1, Change::Invite(vec![invitation(address(who).user)])).await
            }
            Event::Accept { who } => self.change(who, Change::Accept).await,
            Event::Revoke { who } => drop(self.store.revoke_device(address(who)).await.unwrap()),
            Event::DeleteAccount { who } => {
                self.store.delete_account(address(who).user, self.now_ms).await.unwrap();
            }
            Event::Jobs { rows } => {
                let claims = self.store.claim_jobs(9, self.now_ms, self.now_ms).await.unwrap();
                for claim in claims {
                    self.store.run_job(claim, rows, self.now_ms).await.unwrap();
                }
            }
            Event::Sweep { seconds, budget } => {
                self.now_ms += seconds * 1_000;
                self.store.sweep(self.now_ms, budget).await.unwrap();
            }
            Event::Fail => {
                let work = |tx: &Connection, _: &mut Deferred| {
                    tx.execute("DELETE FROM payload", [])?;
                    tx.execute("INSERT INTO thread (thread_id) VALUES (NULL)", [])
                };
                let failed = self.store.writer.write_deferring(Payer::Relay, Need::Grows, work, |rows| rows);
                assert!(failed.await.is_err());
            }
        }
    }

    async fn check(&self) {
        let wrong = self.store.writer.write(Payer::Relay, Need::Frees, |tx| {
            let count = |sql: &str| tx.query_row(sql, [], |row| row.get::<_, u64>(0));
            Ok([
                count(
                    "SELECT count(*) FROM payload WHERE holders <=
                        0 OR holders != (SELECT count(*) FROM inbox WHERE inbox.payload_id = payload.payload_id)
                            + (SELECT count(*) FROM job WHERE job.payload_id = payload.payload_id)",
                )?,
                count(
                    "SELECT count(*) FROM inbox WHERE payload_id IS NOT NULL AND payload_bytes IS NOT
                        (SELECT length(ciphertext) FROM payload WHERE payload.payload_id = inbox.payload_id)",
                )?,
                count(
                    "SELECT count(*) FROM job WHERE NOT EXISTS
                        (SELECT 1 FROM payload WHERE payload.payload_id = job.payload_id)",
                )?,
                count(
                    "SELECT count(*) FROM mailbox WHERE bytes !=
                        (SELECT coalesce(sum(length(ciphertext) + payload_bytes + 256), 0) FROM inbox
                         WHERE inbox.user_id = mailbox.user_id AND inbox.device_id = mailbox.device_id)",
                )?,
                count(
                    "SELECT count(*) FROM mailbox WHERE bytes !=
                        (SELECT coalesce(sum(bytes), 0) FROM mailbox_thread
                         WHERE mailbox_thread.user_id = mailbox.user_id AND mailbox_thread.device_id = mailbox.device_id)",
                )?,
            ])
        });
        assert_eq!(wrong.await, Ok([0; 5]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn no_payload_is_left_over_or_lost(events in events()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut fixture = Fixture::new().await;
            for event in events {
                fixture.run(event).await;
                fixture.check().await;
            }
            // In the end, nothing is left of what everybody has acknowledged, and of those who are gone.
            while let [_, ..] = &fixture.store.claim_jobs(9, fixture.now_ms, fixture.now_ms).await.unwrap()[..] {
                fixture.run(Event::Jobs { rows: 9 }).await;
            }
            for who in 1..=USERS {
                fixture.run(Event::Ack { who, every: 1 }).await;
            }
            fixture.run(Event::Sweep { seconds: 1, budget: 100_000 }).await;
            fixture.check().await;
            let left = fixture.store.writer.write(Payer::Relay, Need::Frees, |tx| {
                tx.query_row("SELECT count(*) FROM payload", [], |row| row.get::<_, u64>(0))
            });
            assert_eq!(left.await, Ok(0));
        });
    }
}

#[tokio::test]
async fn the_payload_of_a_trimmed_message_goes_with_its_last_row() {
    let mut fixture = Fixture::new().await;
    fixture.run(Event::Flood { from: 1 }).await;
    fixture.check().await;
    let trimmed = fixture.store.mailbox(address(2)).await.unwrap().trimmed;
    assert!(trimmed > 0);
    for who in 2..=USERS {
        fixture.run(Event::Ack { who, every: 1 }).await;
    }
    fixture.check().await;
    let left = fixture.store.writer.write(Payer::Relay, Need::Frees, |tx| {
        tx.query_row("SELECT count(*) FROM payload", [], |row| row.get::<_, u64>(0))
    });
    // The first user has the entries by which the others came.
    assert_eq!(left.await, Ok(4));
}

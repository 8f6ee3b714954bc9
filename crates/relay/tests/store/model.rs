//! A model-based test: after any sequence of events, the store must answer like a model that consists of a few maps.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use sealpost_relay::keys::CheckedKeys;
use sealpost_relay::store::{
    Append, Appended, IdempotencyKey, InboxKey, KeysRefused, Selector, Store, Stored, Take,
};
use sealpost_wire::KeyCounts;
use sealpost_wire::id::{ClientMsgId, ThreadId};

use crate::world::*;

const USERS: u8 = 3;

/// The events. Users are numbered from 0.
#[derive(Debug, Clone)]
enum Event {
    /// A message with one of a few ids and one of two bodies; the roster version may be wrong.
    Send {
        from: u8,
        to: u8,
        name: u8,
        body: u8,
        roster: u64,
    },
    /// Acknowledges the n-th waiting row, and a row that never existed.
    Ack {
        who: u8,
        nth: usize,
    },
    Take {
        by: u8,
        of: u8,
        idempotency: Option<u8>,
    },
    Put {
        who: u8,
        first: u32,
        count: u32,
    },
    /// Time passes, and the sweep runs.
    Sweep {
        minutes: u64,
    },
    /// The store is closed and opened again.
    Reopen,
}

fn event() -> impl Strategy<Value = Event> {
    let user = || 0..USERS;
    prop_oneof![
        6 => (user(), user(), 0..12_u8, 0..2_u8, prop_oneof![9 => Just(1_u64), 1 => Just(2)])
            .prop_map(|(from, to, name, body, roster)| Event::Send { from, to, name, body, roster }),
        3 => (user(), 0..6_usize).prop_map(|(who, nth)| Event::Ack { who, nth }),
        3 => (user(), user(), proptest::option::of(0..3_u8))
            .prop_map(|(by, of, idempotency)| Event::Take { by, of, idempotency }),
        1 => (user(), 0..30_u32, 1..4_u32).prop_map(|(who, first, count)| Event::Put { who, first, count }),
        1 => (0..3_u64).prop_map(|minutes| Event::Sweep { minutes }),
        1 => Just(Event::Reopen),
    ]
}

/// The expected state of the store.
#[derive(Default)]
struct Model {
    now_ms: u64,
    /// By pair of users.
    last: HashMap<(u8, u8), Stored>,
    /// By sender and id: the body and its position.
    sent: HashMap<(u8, u8), (u8, Stored)>,
    mailboxes: HashMap<u8, Vec<InboxKey>>,
    keys: HashMap<u8, BTreeSet<u32>>,
    /// The highest id ever seen, and all of them.
    marks: HashMap<u8, (u32, BTreeSet<u32>)>,
    /// By requester, target and idempotency key: until when it is remembered, and which key was taken.
    taken: BTreeMap<(u8, u8, u8), (u64, Option<u32>)>,
}

fn sorted(a: u8, b: u8) -> (u8, u8) {
    (a.min(b), a.max(b))
}

fn thread_of(pair: (u8, u8)) -> ThreadId {
    ThreadId::from_bytes([0x10 + pair.0 * USERS + pair.1; 16])
}

impl Model {
    fn send(&mut self, (from, to): (u8, u8), name: u8, body: u8, roster: u64) -> Appended {
        let lane = sorted(from, to);
        if let Some((earlier, stored)) = self.sent.get(&(from, name)) {
            return if *earlier == body { Appended::Duplicate(*stored) } else { Appended::MsgIdReuse };
        }
        if roster != 1 {
            return Appended::StaleRoster { current: 1 };
        }
        let last = self.last.entry(lane).or_insert(Stored { server_seq: 0, hlc: 0 });
        *last = Stored { server_seq: last.server_seq + 1, hlc: (last.hlc + 1).max(self.now_ms << 16) };
        self.sent.insert((from, name), (body, *last));
        let key = InboxKey { thread: thread_of(lane), server_seq: last.server_seq };
        self.mailboxes.entry(to).or_default().push(key);
        Appended::Stored(*last)
    }

    /// The id of the one-time key that is given out.
    fn take(&mut self, by: u8, of: u8, idempotency: Option<u8>) -> Option<u32> {
        let remembered = idempotency.and_then(|key| self.taken.get(&(by, of, key)));
        if let Some((until_ms, id)) = remembered
            && self.now_ms < *until_ms
        {
            return *id;
        }
        let id = self.keys.entry(of).or_default().pop_first();
        if let Some(key) = idempotency {
            self.taken.insert((by, of, key), (self.now_ms + 60_000, id));
        }
        id
    }

    fn put(&mut self, who: u8, ids: std::ops::Range<u32>) -> Result<KeyCounts, KeysRefused> {
        let keys = self.keys.entry(who).or_default();
        let (mark, seen) = self.marks.entry(who).or_default();
        if ids.clone().any(|id| id <= *mark && !seen.contains(&id)) {
            return Err(KeysRefused::IdUsed);
        }
        let new = ids.clone().filter(|id| id > mark).count();
        if new > 0 && keys.len() + new > 200 {
            return Err(KeysRefused::TooMany);
        }
        keys.extend(ids.clone().filter(|id| id > mark));
        *mark = (*mark).max(ids.end - 1);
        seen.extend(ids);
        let left = u32::try_from(keys.len()).unwrap();
        Ok(KeyCounts { ec: left, kem: left, newest_id: *mark })
    }
}

async fn run(folder: &Path, events: Vec<Event>) {
    let mut store = crate::open(folder);
    let mut model = Model { now_ms: NOW_MS, ..Model::default() };
    for user in 0..USERS {
        register(store.as_ref(), user, 0..5).await;
        model.keys.insert(user, (0..5).collect());
        model.marks.insert(user, (4, (0..5).collect()));
    }
    for a in 0..USERS {
        for b in a + 1..USERS {
            let id = 0x10 + a * USERS + b;
            thread(store.as_ref(), address(a), address(b), id).await;
        }
    }
    for event in events {
        store = step(store, folder, &mut model, event).await;
        for user in 0..USERS {
            let rows = store.inbox_arrivals(address(user), 0, ALL).await.unwrap().rows;
            let keys: Vec<_> = rows.into_iter().map(|row| row.key).collect();
            assert_eq!(&keys, model.mailboxes.entry(user).or_default());
        }
    }
    check_sums(folder);
}

/// Checks that the stored sums of a mailbox, in total and by thread, match its rows.
fn check_sums(folder: &Path) {
    let db = rusqlite::Connection::open(folder.join("relay.db")).unwrap();
    let wrong = |sql: &str| -> u32 { db.query_row(sql, [], |row| row.get(0)).unwrap() };
    let by_thread = "SELECT count(*) FROM mailbox_thread AS t WHERE bytes <> (
        SELECT coalesce(sum(length(ciphertext) + 256), 0) FROM inbox AS i
        WHERE i.user_id = t.user_id AND i.device_id = t.device_id AND i.thread_id = t.thread_id)";
    let in_all = "SELECT count(*) FROM mailbox AS m WHERE bytes <> (
        SELECT coalesce(sum(length(ciphertext) + 256), 0) FROM inbox AS i
        WHERE i.user_id = m.user_id AND i.device_id = m.device_id)";
    assert_eq!((wrong(by_thread), wrong(in_all)), (0, 0));
}

async fn step(mut store: Arc<dyn Store>, folder: &Path, model: &mut Model, event: Event) -> Arc<dyn Store> {
    match event {
        Event::Send { from, to, .. } if from == to => {}
        Event::Send { from, to, name, body, roster } => {
            // The body hash covers the thread, so another thread means another body.
            let expected = model.send((from, to), name, body.wrapping_add(to * 2), roster);
            let append = Append {
                sender: address(from),
                client_msg_id: ClientMsgId::new(NOW_MS, &[name; 10]),
                thread: thread_of(sorted(from, to)),
                roster_version: roster,
                body_hash: [body.wrapping_add(to * 2); 32],
                copies: vec![copy(address(to), &[body])],
                now_ms: model.now_ms,
            };
            assert_eq!(store.append(append).await, Ok(expected));
        }
        Event::Ack { who, nth } => {
            let mailbox = model.mailboxes.entry(who).or_default();
            let key = (nth < mailbox.len()).then(|| mailbox.remove(nth));
            let never = InboxKey { thread: thread_of((0, 1)), server_seq: 1_000_000 };
            let removed = store.inbox_ack(address(who), key.into_iter().chain([never]).collect()).await;
            assert_eq!(removed, Ok(u32::from(key.is_some())));
        }
        Event::Take { by, of, idempotency } => {
            let expected = model.take(by, of, idempotency);
            let take = Take {
                requester: address(by),
                target: address(of).user,
                selector: Selector::All,
                idempotency: idempotency.map(|key| IdempotencyKey([key; 32])),
                last_resort_only: false,
                now_ms: model.now_ms,
            };
            let bundle = store.take_bundles(take).await.unwrap().bundles.remove(0);
            assert_eq!(bundle.one_time.map(|key| key.id), expected);
            assert_eq!(bundle.kem.unwrap().id, expected.unwrap_or(u32::MAX));
        }
        Event::Put { who, first, count } => {
            let expected = model.put(who, first..first + count);
            let keys = CheckedKeys::parse(one_time(first..first + count)).unwrap();
            assert_eq!(store.put_keys(address(who), keys).await, Ok(expected));
        }
        Event::Sweep { minutes } => {
            model.now_ms += minutes * 60_000;
            let swept = store.sweep(model.now_ms, 100).await.unwrap();
            assert_eq!((swept.inbox, swept.dedupe), (0, 0));
        }
        Event::Reopen => {
            drop(store);
            store = crate::open(folder);
        }
    }
    store
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_store_matches_the_model(events in proptest::collection::vec(event(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        runtime.block_on(run(folder.path(), events));
    }
}

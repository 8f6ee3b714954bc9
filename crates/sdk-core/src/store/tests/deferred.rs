//! Envelopes that could not be processed: how many are kept, when they are tried again, and what becomes of them.

use prost::Message as _;
use sealpost_wire as wire;
use sealpost_wire::id::ToWire as _;

use super::messages::incoming;
use super::*;
use crate::id::MessageId;
use crate::message::Undecryptable;
use crate::store::deferred::{
    MAX_ATTEMPTS, MAX_BYTES, MAX_ENVELOPES, MAX_SENDER_BYTES, MAX_SENDER_ENVELOPES,
};
use crate::store::{Arrived, CiphertextId, Deferred, EnvelopeName, Gap, NewDeferred, NewIncoming, Tx};

const HOUR_MS: u64 = 3_600_000;

fn user(number: u32) -> UserId {
    let mut id = [9; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    UserId::from_bytes(id)
}

/// Defers an envelope of this size. Its bytes begin with its name.
fn defer(
    tx: &mut Tx<'_>,
    sender: UserId,
    name: u32,
    size: usize,
    message: Option<MessageId>,
) -> crate::Result<()> {
    let mut bytes = name.to_be_bytes().to_vec();
    bytes.resize(size.max(4), 7);
    let ciphertext = CiphertextId::of(&bytes);
    let (epoch, server_seq) = (1, u64::from(name));
    tx.defer(
        &NewDeferred {
            sender,
            thread: THREAD,
            place: Some((epoch, server_seq)),
            ciphertext,
            bytes: &bytes,
            message,
            is_unseen: false,
        },
        50,
    )
}

/// Stores the message that represents an envelope.
fn represent(tx: &mut Tx<'_>, server_seq: u64) -> crate::Result<MessageId> {
    let what = Arrived::Undecryptable(Undecryptable::StorageDamaged);
    let name = EnvelopeName { thread: THREAD, sender: PEER, id: fresh_id() };
    let ciphertext = CiphertextId::of(&server_seq.to_be_bytes());
    tx.park(name, ciphertext, &NewIncoming { what, ..incoming("", server_seq) }, 50)
}

/// The senders and the names of the envelopes that are kept, oldest first.
async fn kept(fixture: &Fixture) -> Vec<(UserId, u32)> {
    let read = fixture.store.read(|rows| {
        let mut statement =
            rows.connection.prepare("SELECT sender, substr(envelope, 1, 4) FROM deferred ORDER BY id")?;
        let rows =
            statement.query_map([], |row| Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, [u8; 4]>(1)?)))?;
        let rows =
            rows.map(|row| row.map(|(sender, name)| (UserId::from_bytes(sender), u32::from_be_bytes(name))));
        Ok(rows.collect::<Result<Vec<_>, _>>()?)
    });
    read.await.unwrap()
}

#[tokio::test]
async fn a_sender_who_exceeds_the_limit_loses_their_own_oldest_envelope() {
    let fixture = Fixture::new().await;
    let work = fixture.store.write(|tx| {
        defer(tx, user(1), 0, 4, None)?;
        (1..=MAX_SENDER_ENVELOPES + 2).try_for_each(|name| defer(tx, PEER, name, 4, None))
    });
    work.await.unwrap();
    let kept = kept(&fixture).await;
    let expected = (3..=MAX_SENDER_ENVELOPES + 2).map(|name| (PEER, name));
    assert_eq!(kept, [(user(1), 0)].into_iter().chain(expected).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_bytes_of_a_sender_and_of_all_are_bounded_too() {
    let fixture = Fixture::new().await;
    let quarter = usize::try_from(MAX_SENDER_BYTES / 4).unwrap();
    let work =
        fixture.store.write(move |tx| (0..6).try_for_each(|name| defer(tx, PEER, name, quarter, None)));
    work.await.unwrap();
    assert_eq!(kept(&fixture).await, [2, 3, 4, 5].map(|name| (PEER, name)));
    // The others fill the table and slightly exceed it, so the sender with the most bytes loses an envelope.
    let senders = u32::try_from(MAX_BYTES / MAX_SENDER_BYTES).unwrap();
    let work = fixture.store.write(move |tx| {
        for sender in 1..=senders {
            (0..3).try_for_each(|name| defer(tx, user(sender), name, quarter, None))?;
        }
        Ok(())
    });
    work.await.unwrap();
    let of = async |sender| kept(&fixture).await.into_iter().filter(|(of, _)| *of == sender).count();
    assert_eq!(of(PEER).await, 4, "there was room for all");
    let work =
        fixture.store.write(move |tx| (0..6).try_for_each(|name| defer(tx, user(0), name, quarter, None)));
    work.await.unwrap();
    assert_eq!(of(user(1)).await, 3, "others lose nothing");
    assert_eq!((of(PEER).await, of(user(0)).await), (4, 4));
    for extra in 100..104 {
        let work = fixture.store.write(move |tx| defer(tx, user(extra), 0, quarter, None));
        work.await.unwrap();
    }
    assert!(of(PEER).await + of(user(0)).await <= 6, "those with most give way");
    assert_eq!(of(user(1)).await, 3);
}

#[tokio::test]
async fn all_senders_together_have_a_bounded_number() {
    let fixture = Fixture::new().await;
    let work = fixture.store.write(|tx| {
        // One sender has two envelopes, and then each of the others sends one.
        (0..2).try_for_each(|name| defer(tx, PEER, name, 8, None))?;
        (1..MAX_ENVELOPES).try_for_each(|sender| defer(tx, user(sender), 0, 4, None))
    });
    work.await.unwrap();
    let kept = kept(&fixture).await;
    assert_eq!(u32::try_from(kept.len()).unwrap(), MAX_ENVELOPES);
    assert_eq!(kept[..2], [(PEER, 1), (user(1), 0)]);
}

#[tokio::test]
async fn an_envelope_that_is_given_up_is_reported_once_with_its_final_cause() {
    let fixture = Fixture::new().await;
    let work = fixture.store.write(|tx| {
        for name in 1..=3 {
            let message = represent(tx, u64::from(name))?;
            defer(tx, PEER, name, 4, Some(message))?;
        }
        tx.retry_deferred("1", 100)
    });
    work.await.unwrap();
    let mut events = fixture.events.subscribe();
    let work = fixture.store.write(|tx| {
        let Deferred { id, .. } = tx.claim_deferred(100)?.unwrap();
        tx.give_up_deferred(id, Undecryptable::NoSession)?;
        tx.give_up_deferred(id, Undecryptable::Malformed)
    });
    work.await.unwrap();
    let damaged = "Undecryptable(StorageDamaged)";
    assert_eq!(fixture.texts().await, [damaged, damaged, "Undecryptable(NoSession)"]);
    assert!(matches!(drain(&mut events).as_slice(), [Event::MessageChanged { .. }]));
    // Later, the other envelopes are too old.
    fixture.store.write(|tx| tx.forget_opened(51)).await.unwrap();
    assert_eq!(kept(&fixture).await, []);
    assert_eq!(fixture.texts().await[..2], ["Undecryptable(NotDecryptable)"; 2]);
    assert_eq!(drain(&mut events).len(), 2);
}

/// Defers an envelope with this place, which no message represents.
fn defer_unrepresented(tx: &mut Tx<'_>, thread: ThreadId, server_seq: u64) -> crate::Result<()> {
    let key = wire::InboxKey { thread_id: thread.to_wire(), server_seq };
    let deliver = wire::Deliver { key: Some(key), epoch: 1, ..wire::Deliver::default() };
    let body = Some(wire::frame::Body::Deliver(deliver));
    let bytes = wire::Frame { v: wire::FRAME_VERSION, id: 0, body }.encode_to_vec();
    let ciphertext = CiphertextId::of(&bytes);
    let new = NewDeferred {
        sender: PEER,
        thread,
        place: Some((1, server_seq)),
        ciphertext,
        bytes: &bytes,
        message: None,
        is_unseen: false,
    };
    tx.defer(&new, 50)
}

#[tokio::test]
async fn a_displaced_envelope_that_no_message_represents_is_reported_as_missing_once() {
    const ELSEWHERE: ThreadId = ThreadId::from_bytes([4; 16]);
    let fixture = Fixture::new().await;
    let mut events = fixture.events.subscribe();
    let work = fixture.store.write(|tx| {
        tx.account_for(THREAD, 1, 1)?;
        defer_unrepresented(tx, THREAD, 2)?;
        defer_unrepresented(tx, ELSEWHERE, 7)?;
        // The relay was asked for this one in the meantime, and it was reported as missing then.
        defer_unrepresented(tx, THREAD, 4)?;
        tx.account_for(THREAD, 1, 4)?;
        (5..MAX_SENDER_ENVELOPES + 2).try_for_each(|seq| defer_unrepresented(tx, THREAD, u64::from(seq)))
    });
    work.await.unwrap();
    assert_eq!(kept(&fixture).await.len(), usize::try_from(MAX_SENDER_ENVELOPES).unwrap());
    assert_eq!(drain(&mut events), []);
    for seq in [100, 101, 102] {
        fixture.store.write(move |tx| defer_unrepresented(tx, THREAD, seq)).await.unwrap();
    }
    let missing = |thread, seq| Event::MessagesMissing { thread, first: seq, last: seq };
    assert_eq!(drain(&mut events), [missing(THREAD, 2), missing(ELSEWHERE, 7)]);
    // The search for gaps continues behind it.
    let gaps = fixture.store.read(|rows| rows.gaps()).await.unwrap();
    assert_eq!(gaps, [Gap { thread: THREAD, first: 3, last: 3 }]);
}

#[tokio::test]
async fn an_envelope_whose_row_is_damaged_is_reported_as_missing_once() {
    // The columns name its place, or its bytes do if an earlier version wrote the row.
    for damage in ["envelope = x'ff'", "epoch = NULL, server_seq = NULL"] {
        let fixture = Fixture::new().await;
        let mut events = fixture.events.subscribe();
        let work = fixture.store.write(move |tx| {
            tx.account_for(THREAD, 1, 1)?;
            defer_unrepresented(tx, THREAD, 2)?;
            tx.change_one(&format!("UPDATE deferred SET {damage}"), [])?;
            tx.retry_deferred("1", 100)?;
            let Deferred { id, .. } = tx.claim_deferred(100)?.unwrap();
            tx.give_up_deferred(id, Undecryptable::Malformed)?;
            tx.give_up_deferred(id, Undecryptable::Malformed)
        });
        work.await.unwrap();
        assert_eq!(drain(&mut events), [Event::MessagesMissing { thread: THREAD, first: 2, last: 2 }]);
        assert_eq!(kept(&fixture).await, []);
        // A later message reveals no gap.
        fixture.store.write(|tx| tx.account_for(THREAD, 1, 3)).await.unwrap();
        assert_eq!(fixture.store.read(|rows| rows.gaps()).await.unwrap(), []);
    }
}

#[tokio::test]
async fn an_envelope_is_tried_a_bounded_number_of_times_by_each_version() {
    let fixture = Fixture::new().await;
    fixture.store.write(|tx| defer(tx, PEER, 1, 4, None)).await.unwrap();
    let mut now_ms = 1_000 * HOUR_MS;
    // Starts the client, and returns how often the envelope is tried.
    let start = async |version: &'static str, now_ms| {
        let work = fixture.store.write(move |tx| {
            tx.retry_deferred(version, now_ms)?;
            let mut tried = 0;
            while let Some(deferred) = tx.claim_deferred(now_ms)? {
                tx.defer_again(deferred.id)?;
                tried += 1;
            }
            Ok(tried)
        });
        work.await.unwrap()
    };
    let mut tries = 0;
    for version in ["1", "2"] {
        for hour in 0..200 {
            let tried: u32 = start(version, now_ms).await;
            assert_eq!((tried, start(version, now_ms).await), (tried, 0), "not twice in a moment");
            assert!(hour > 0 || tried == 1, "another version tries at once");
            tries += tried;
            now_ms += HOUR_MS;
        }
    }
    assert_eq!(tries, 2 * MAX_ATTEMPTS);
}

#[tokio::test]
async fn an_attempt_that_is_interrupted_counts_and_is_repeated() {
    let fixture = Fixture::new().await;
    let work = fixture.store.write(|tx| {
        defer(tx, PEER, 1, 4, None)?;
        tx.retry_deferred("1", 100)
    });
    work.await.unwrap();
    for tries in 1..=MAX_ATTEMPTS {
        let claimed = fixture.store.write(|tx| tx.claim_deferred(100)).await.unwrap();
        assert_eq!(claimed.map(|deferred| deferred.tries), Some(tries));
    }
    assert!(fixture.store.write(|tx| tx.claim_deferred(100)).await.unwrap().is_none());
}

#[tokio::test]
async fn an_opened_envelope_is_not_tried_again() {
    let fixture = Fixture::new().await;
    let work = fixture.store.write(|tx| {
        defer(tx, PEER, 1, 4, None)?;
        tx.set_opened(CiphertextId::of(&1_u32.to_be_bytes()), 60)
    });
    work.await.unwrap();
    assert_eq!(kept(&fixture).await, []);
    let deferred = fixture.store.read(|rows| rows.has_deferred()).await.unwrap();
    assert!(!deferred);
}

//! Tests for databases that turn out to be older copies.

use super::*;
use crate::store::Generation;

fn generation(number: u64, nonce: u8) -> Generation {
    Generation { number, nonce: [nonce; 8] }
}

#[tokio::test]
async fn a_generation_that_was_not_drawn_here_belongs_to_a_later_state() {
    let fixture = Fixture::new().await;
    let work = fixture.store.write(|tx| {
        assert!(!tx.is_older_than(generation(0, 0))?, "the relay knows nothing");
        assert!(tx.is_older_than(generation(1, 1))?);
        assert_eq!(tx.begin_generation([1; 8])?, generation(1, 1));
        assert_eq!(tx.begin_generation([2; 8])?, generation(2, 2));
        // Another process may have drawn the newest one.
        for known in [generation(1, 1), generation(2, 2)] {
            assert!(!tx.is_older_than(known)?);
        }
        for known in [generation(1, 9), generation(2, 9), generation(3, 3)] {
            assert!(tx.is_older_than(known)?);
        }
        for number in 3..200 {
            assert_eq!(tx.begin_generation([3; 8])?.number, number);
        }
        assert!(!tx.is_older_than(generation(1, 9))?, "it is not remembered");
        assert!(tx.is_older_than(generation(199, 9))?);
        Ok(())
    });
    work.await.unwrap();
}

#[tokio::test]
async fn a_copy_is_noticed_only_once() {
    let fixture = Fixture::new().await;
    let work = fixture.store.write(|tx| {
        tx.begin_generation([1; 8])?;
        let known = generation(50, 7);
        assert!(tx.is_older_than(known)?);
        tx.recover_as_copy(known, 1_000, || ClientMsgId::new(1, &[1; 10]))?;
        assert!(!tx.is_older_than(known)?, "told once");
        assert!(tx.has_lost_pre_keys()?);
        assert_eq!(tx.begin_generation([2; 8])?.number, 51);
        tx.skip_key_ids(900)?;
        assert_eq!(tx.take_key_ids(1)?, 901);
        tx.skip_key_ids(10)?;
        assert_eq!(tx.take_key_ids(1)?, 902);
        Ok(())
    });
    work.await.unwrap();
}

#[tokio::test]
async fn a_copy_is_noticed_once_even_if_the_first_answer_of_the_relay_was_lost() {
    let fixture = Fixture::new().await;
    let work = fixture.store.write(|tx| {
        tx.begin_generation([1; 8])?;
        // The client has presented both. The relay has seen a later state with the number of the first, and has stored the second.
        assert_eq!(tx.begin_generation([2; 8])?, generation(2, 2));
        assert_eq!(tx.begin_generation([3; 8])?, generation(3, 3));
        let known = generation(2, 9);
        assert!(tx.is_older_than(known)?);
        tx.recover_as_copy(known, 1_000, || ClientMsgId::new(1, &[1; 10]))?;
        for known in [known, generation(3, 3)] {
            assert!(!tx.is_older_than(known)?, "noticed twice: {known:?}");
        }
        assert_eq!(tx.begin_generation([4; 8])?.number, 4);
        Ok(())
    });
    work.await.unwrap();
}

#[tokio::test]
async fn every_thread_is_renewed_once_in_small_batches_that_a_later_process_continues() {
    const THREADS: u16 = 450;
    let fixture = Fixture::new().await;
    let id = |number: u16| {
        let mut id = [5; 16];
        id[..2].copy_from_slice(&(number + 1).to_be_bytes());
        id
    };
    let begin = fixture.store.write(move |tx| {
        for number in 0..THREADS {
            let (thread, peer) = (ThreadId::from_bytes(id(number)), UserId::from_bytes(id(number)));
            tx.put_thread(Thread { id: thread, peer: Some(peer), roster_version: 1 }, u64::from(number))?;
            let sql = "INSERT INTO session VALUES (?1, 1, zeroblob(34), 0, 1, x'00', NULL, 0)";
            tx.change_one(sql, [peer.as_bytes()])?;
        }
        let mut fresh = 0;
        tx.recover_as_copy(generation(50, 7), 1_000, || {
            fresh += 1;
            ClientMsgId::new(fresh, &[1; 10])
        })
    });
    begin.await.unwrap();
    let lanes = async || fixture.store.read(|rows| rows.lanes()).await.unwrap();
    assert_eq!(lanes().await, 200);
    // What is held for somebody who is blocked does not delay the others.
    let held = ThreadId::from_bytes(id(THREADS - 1));
    fixture.store.write(move |tx| tx.hold_lane(held)).await.unwrap();
    assert_eq!(lanes().await, 199);
    let due = "UPDATE lane SET due = 0";
    fixture.store.write(move |tx| tx.change(due, []).map(drop)).await.unwrap();
    // With one of the peers, there is an active session again.
    let met = "UPDATE session SET active = 1 WHERE user_id = ?1";
    fixture.store.write(move |tx| tx.change_one(met, [id(0)])).await.unwrap();
    let (mut before, mut batches) = (200, 0);
    loop {
        let more = fixture.store.write(move |tx| {
            let mut fresh = 0;
            tx.renew_some(2_000, || {
                fresh += 1;
                ClientMsgId::new(1_000 + before * 100 + fresh, &[2; 10])
            })
        });
        let more = more.await.unwrap();
        let now = u64::from(lanes().await);
        assert!(now - before <= u64::from(crate::store::generation::RENEWED_AT_A_TIME));
        (before, batches) = (now, batches + 1);
        if !more {
            break;
        }
        // The process ends, and another one continues.
        if batches % 5 == 0 {
            fixture.store.close().await;
            fixture.store.reopen().unwrap();
        }
    }
    assert_eq!((before, batches), (u64::from(THREADS) - 1, 23));
    let once = fixture.store.read(|rows| {
        let sql = "SELECT count(*), count(DISTINCT lane) FROM outgoing";
        let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
        Ok(rows.connection.query_row(sql, [], row)?)
    });
    assert_eq!(once.await.unwrap(), (449, 449));
    assert_eq!(fixture.store.read(|rows| rows.renewed_up_to()).await.unwrap(), None);
}

//! Copies of a database.

use super::*;
use crate::store::Generation;

fn generation(number: u64, nonce: u8) -> Generation {
    Generation { number, nonce: [nonce; 8] }
}

#[tokio::test]
async fn a_generation_that_was_never_drawn_here_is_of_a_later_state() {
    let fixture = Fixture::new().await;
    let work = fixture.store.write(|tx| {
        assert!(!tx.is_older_than(generation(0, 0))?, "the relay knows nothing");
        assert!(tx.is_older_than(generation(1, 1))?);
        assert_eq!(tx.begin_generation([1; 8])?, generation(1, 1));
        assert_eq!(tx.begin_generation([2; 8])?, generation(2, 2));
        // Another process may have drawn the newest.
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
async fn what_the_relay_knew_is_known_here_after_it_was_noticed() {
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

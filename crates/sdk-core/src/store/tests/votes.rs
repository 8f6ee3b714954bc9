//! Tests of polls and votes.

use proptest::prelude::*;

use super::messages::incoming;
use super::reactions::{origin, person};
use super::*;
use crate::content::{Choices, Poll, Target};
use crate::id::MessageId;
use crate::message::MessageBody;
use crate::store::{Arrived, Found};

impl Fixture {
    /// Receives a poll with three options.
    async fn poll(&self, is_multiple: bool) -> (MessageId, Target) {
        let options = ["a", "b", "c"].map(str::to_owned).to_vec();
        let poll = Poll::new("where?".to_owned(), options, is_multiple).unwrap();
        let mut new = incoming("", 1);
        let id = fresh_id();
        new.what = Arrived::Content(id, Body::Poll(poll));
        let inserted = self.store.write(move |tx| tx.insert_incoming(&new)).await.unwrap();
        (inserted, Target { author: PEER, id })
    }

    async fn vote(&self, poll: MessageId, author: UserId, order: i64, choices: &[u32]) -> bool {
        let choices = Choices::new(choices.to_vec()).unwrap();
        let work = self.store.write(move |tx| tx.vote(poll, &origin(author, order), &choices));
        work.await.unwrap()
    }

    /// The number of voters, and for each option the number of votes, and whether we have chosen it.
    async fn tally(&self, id: MessageId) -> (u32, Vec<(u32, bool)>) {
        match self.store.read(move |rows| rows.message(id)).await.unwrap().unwrap().body {
            MessageBody::Poll(poll) => {
                (poll.voters, poll.options.iter().map(|option| (option.votes, option.is_ours)).collect())
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_person_has_one_vote_and_can_replace_or_withdraw_it() {
    let fixture = Fixture::new().await;
    let (id, target) = fixture.poll(true).await;
    let mut events = fixture.events.subscribe();
    assert!(fixture.vote(id, PEER, 2, &[0, 2]).await);
    assert!(fixture.vote(id, US, 3, &[2]).await);
    assert_eq!(fixture.tally(id).await, (2, vec![(1, false), (0, false), (2, true)]));
    assert!(fixture.vote(id, PEER, 4, &[1]).await);
    assert!(fixture.vote(id, US, 5, &[]).await);
    assert_eq!(fixture.tally(id).await, (1, vec![(0, false), (1, false), (0, false)]));
    assert_eq!(drain(&mut events).len(), 4);
    // The same vote again changes nothing.
    assert!(fixture.vote(id, US, 6, &[]).await);
    assert!(drain(&mut events).is_empty());
    fixture.vote(id, person(9), 7, &[0]).await;
    let votes = fixture.store.read(move |rows| rows.votes((THREAD, id), None, 10)).await.unwrap();
    let votes: Vec<_> = votes.into_iter().map(|vote| (vote.author, vote.choices)).collect();
    assert_eq!(votes, [(person(9), vec![0]), (PEER, vec![1])]);
    let after = fixture.store.read(move |rows| rows.votes((THREAD, id), Some(person(9)), 10)).await.unwrap();
    assert_eq!(after.len(), 1);
    let elsewhere = ThreadId::from_bytes([9; 16]);
    let none = fixture.store.read(move |rows| rows.votes((elsewhere, id), None, 1)).await.unwrap();
    assert!(none.is_empty());

    // The votes go with the poll.
    let by_author = origin(PEER, 8);
    let limits = crate::config::ChangeLimits::default();
    assert!(fixture.store.write(move |tx| tx.delete_for_everyone(id, &by_author, limits)).await.unwrap());
    assert_eq!(fixture.store.read(move |rows| rows.find(THREAD, target)).await.unwrap(), Found::Gone);
    let left = fixture.store.read(|rows| {
        Ok(rows.connection.query_row("SELECT count(*) FROM vote", [], |row| row.get::<_, i64>(0))?)
    });
    assert_eq!(left.await.unwrap(), 0);
    assert!(!fixture.vote(id, PEER, 9, &[1]).await);
}

#[tokio::test]
async fn a_vote_that_the_poll_does_not_allow_has_no_effect() {
    let fixture = Fixture::new().await;
    let (id, _) = fixture.poll(false).await;
    assert!(fixture.vote(id, PEER, 2, &[1]).await);
    assert!(!fixture.vote(id, PEER, 3, &[3]).await);
    assert!(!fixture.vote(id, PEER, 4, &[0, 1]).await);
    assert_eq!(fixture.tally(id).await, (1, vec![(0, false), (1, false), (0, false)]));
    let (text, _) = fixture.received("not a poll", 2).await;
    assert!(!fixture.vote(text, PEER, 5, &[0]).await);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    /// In whatever order they arrive, the vote counts that is last in the thread.
    #[test]
    fn the_last_vote_of_each_person_counts_in_any_order(
        contents in proptest::collection::vec((0_u32..4, proptest::collection::btree_set(0_u32..3, 0..4)), 1..30)
            .prop_flat_map(|list| Just(list.into_iter().enumerate().collect::<Vec<_>>()).prop_shuffle()),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::new().await;
            let (id, _) = fixture.poll(true).await;
            let mut last = std::collections::BTreeMap::new();
            for (place, (author, choices)) in contents {
                let order = i64::try_from(place).unwrap().saturating_add(10);
                let numbers: Vec<u32> = choices.iter().copied().collect();
                fixture.vote(id, person(author), order, &numbers).await;
                let known = last.entry(author).or_insert((order, choices.clone()));
                if known.0 < order {
                    *known = (order, choices);
                }
            }
            let voters = last.values().filter(|(_, choices)| !choices.is_empty()).count();
            let votes = [0, 1, 2].map(|option| last.values().filter(|(_, choices)| choices.contains(&option)).count());
            let (shown, options) = fixture.tally(id).await;
            assert_eq!(usize::try_from(shown).unwrap(), voters);
            let options: Vec<_> = options.iter().map(|(votes, _)| usize::try_from(*votes).unwrap()).collect();
            assert_eq!(options, votes);
        });
    }
}

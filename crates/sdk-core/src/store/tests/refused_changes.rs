//! Tests of changes that the relay refuses for good: what is shown returns to what it was.

use super::messages::incoming;
use super::reactions::origin;
use super::*;
use crate::config::ChangeLimits;
use crate::content::{Choices, Edit, EmojiSequence, Markup, Pin, Poll, Reaction, Target, Vote};
use crate::event::ChangeKind;
use crate::id::MessageId;
use crate::message::{FailReason, Message, MessageBody};
use crate::store::{Arrived, Origin, POSITION_PENDING, Settlement, Tx};

/// A change of ours.
#[derive(Clone)]
enum Change {
    React(&'static str),
    Edit(&'static str),
    Delete,
    Vote(&'static [u32]),
    Pin(bool),
}

impl Fixture {
    /// One of our texts, which the relay has accepted.
    async fn accepted(&self, text: &str) -> MessageId {
        let id = self.enqueue(text).await;
        let entry = self.entry(id).await;
        let accepted = Settlement::Accepted { epoch: 1, server_seq: 1, server_ms: 2_000 };
        self.store.write(move |tx| tx.settle(entry, None, accepted)).await.unwrap();
        id
    }

    /// Applies a change to a message and queues it, as the send path does.
    async fn make(&self, message: MessageId, target: Target, change: Change) -> OutgoingId {
        let new = outgoing(Body::Null);
        let ours = Origin {
            thread: THREAD,
            author: US,
            content_id: new.content_id,
            sent_ms: 3_000,
            order: POSITION_PENDING,
        };
        let work = self.store.write(move |tx| {
            let body = apply(tx, message, target, &ours, change)?;
            tx.enqueue(NewOutgoing { body, ..new })?;
            let sql = "SELECT max(id) FROM outgoing";
            Ok(tx.connection.query_row(sql, [], |row| row.get(0).map(OutgoingId))?)
        });
        work.await.unwrap()
    }

    async fn accept_change(&self, entry: OutgoingId, server_seq: u64) {
        let accepted = Settlement::Accepted { epoch: 1, server_seq, server_ms: 2_000 };
        self.store.write(move |tx| tx.settle(entry, None, accepted)).await.unwrap();
    }

    async fn refuse_change(&self, entry: OutgoingId) {
        let failed = Settlement::Failed(FailReason::Refused);
        self.store.write(move |tx| tx.settle(entry, None, failed)).await.unwrap();
    }

    async fn seen(&self, id: MessageId) -> Message {
        self.store.read(move |rows| rows.message(id)).await.unwrap().unwrap()
    }

    async fn target_of(&self, id: MessageId) -> Target {
        let work = self.store.read(move |rows| rows.content_of(THREAD, id));
        let (author, id, _) = work.await.unwrap().unwrap();
        Target { author, id }
    }

    /// The emoji that we have chosen.
    async fn emoji(&self, id: MessageId) -> Option<String> {
        self.seen(id).await.reactions.into_iter().find(|count| count.is_ours).map(|count| count.emoji)
    }
}

fn apply(
    tx: &mut Tx<'_>,
    id: MessageId,
    target: Target,
    ours: &Origin,
    change: Change,
) -> crate::Result<Body> {
    let limits = ChangeLimits::default();
    Ok(match change {
        Change::React(emoji) => {
            tx.react(id, ours, emoji)?;
            Body::Reaction(Reaction { target, emoji: EmojiSequence::new(emoji.to_owned()) })
        }
        Change::Edit(text) => {
            assert!(tx.edit(id, ours, (text, &Markup::default()), limits)?);
            Body::Edit(Edit { message: target.id, text: text.to_owned(), markup: Markup::default() })
        }
        Change::Delete => {
            assert!(tx.delete_for_everyone(id, ours, limits)?);
            Body::Delete(target.id)
        }
        Change::Vote(choices) => {
            let choices = Choices::new(choices.to_vec()).unwrap();
            assert!(tx.vote(id, ours, &choices)?);
            Body::Vote(Vote { target, choices })
        }
        Change::Pin(is_pinned) => {
            tx.pin(id, ours, is_pinned)?;
            Body::Pin(Pin { target, is_pinned })
        }
    })
}

#[tokio::test]
async fn a_refused_reaction_gives_way_to_the_one_before() {
    let fixture = Fixture::new().await;
    let (id, target) = fixture.received("hello", 1).await;
    let mut events = fixture.events.subscribe();
    let first = fixture.make(id, target, Change::React("👍")).await;
    assert_eq!(fixture.emoji(id).await.as_deref(), Some("👍"));
    fixture.refuse_change(first).await;
    assert_eq!(fixture.emoji(id).await, None);
    assert!(fixture.seen(id).await.reactions.is_empty());
    let reason = FailReason::Refused;
    let told =
        Event::ChangeFailed { thread: THREAD, message: Some(id), change: ChangeKind::Reaction, reason };
    let events = drain(&mut events);
    assert!(
        matches!(&events[..], [Event::MessageChanged { .. }, Event::MessageChanged { .. }, last] if *last == told)
    );

    // One that was accepted returns, also after several that were not.
    let first = fixture.make(id, target, Change::React("👍")).await;
    let second = fixture.make(id, target, Change::React("🎈")).await;
    let third = fixture.make(id, target, Change::React("")).await;
    assert_eq!(fixture.emoji(id).await, None);
    fixture.accept_change(first, 2).await;
    assert_eq!(fixture.emoji(id).await, None, "the newest one is shown");
    fixture.refuse_change(second).await;
    fixture.refuse_change(third).await;
    assert_eq!(fixture.emoji(id).await.as_deref(), Some("👍"));
    let count = fixture.store.read(move |rows| {
        let sql = "SELECT reactions FROM message WHERE id = ?1";
        Ok(rows.connection.query_row(sql, [id.0], |row| row.get::<_, i64>(0))?)
    });
    assert_eq!(count.await.unwrap(), 1);
}

#[tokio::test]
async fn a_refused_edit_leaves_no_version() {
    let fixture = Fixture::new().await;
    let id = fixture.accepted("one").await;
    let target = fixture.target_of(id).await;
    let versions = async || {
        let versions = fixture.store.read(move |rows| rows.versions(THREAD, id)).await.unwrap().unwrap();
        versions.into_iter().map(|version| version.text).collect::<Vec<_>>()
    };
    let second = fixture.make(id, target, Change::Edit("two")).await;
    let third = fixture.make(id, target, Change::Edit("three")).await;
    fixture.refuse_change(second).await;
    assert_eq!(fixture.seen(id).await.text(), Some("three"));
    assert_eq!(versions().await, ["one", "three"]);
    fixture.accept_change(third, 2).await;
    let fourth = fixture.make(id, target, Change::Edit("four")).await;
    fixture.refuse_change(fourth).await;
    assert_eq!(fixture.seen(id).await.text(), Some("three"));

    let other = fixture.accepted("alone").await;
    let target = fixture.target_of(other).await;
    let edit = fixture.make(other, target, Change::Edit("changed")).await;
    fixture.store.write(|tx| tx.feed_index(100)).await.unwrap();
    fixture.refuse_change(edit).await;
    let shown = fixture.seen(other).await;
    assert_eq!((shown.text(), shown.edited_ms), (Some("alone"), None));
    let found =
        async |word: &'static str| fixture.store.read(move |rows| rows.search(word, 5)).await.unwrap().len();
    assert_eq!((found("changed").await, found("alone").await), (0, 1));
}

#[tokio::test]
async fn accepted_edits_are_before_those_that_wait_whatever_their_ids() {
    let fixture = Fixture::new().await;
    let id = fixture.accepted("one").await;
    let target = fixture.target_of(id).await;
    // The clock was set back in between, so the later edit has the lower id.
    let (high, low) = (ClientMsgId::new(9_000, &[9; 10]), ClientMsgId::new(8_000, &[8; 10]));
    for (seq, (content_id, text)) in [(high, "two"), (low, "three")].into_iter().enumerate() {
        let ours = Origin { thread: THREAD, author: US, content_id, sent_ms: 3_000, order: POSITION_PENDING };
        let new = NewOutgoing { content_id, ..outgoing(Body::Null) };
        let work = fixture.store.write(move |tx| {
            let body = apply(tx, id, target, &ours, Change::Edit(text))?;
            tx.enqueue(NewOutgoing { body, ..new })?;
            let sql = "SELECT max(id) FROM outgoing";
            Ok(tx.connection.query_row(sql, [], |row| row.get(0).map(OutgoingId))?)
        });
        let entry = work.await.unwrap();
        assert_eq!(fixture.seen(id).await.text(), Some(text));
        fixture.accept_change(entry, 2 + u64::try_from(seq).unwrap()).await;
    }
    assert_eq!(fixture.seen(id).await.text(), Some("three"));
}

#[tokio::test]
async fn a_refused_deletion_brings_back_the_message_with_what_belongs_to_it() {
    let fixture = Fixture::new().await;
    let id = fixture.accepted("see https://example.org").await;
    let target = fixture.target_of(id).await;
    let edit = fixture.make(id, target, Change::Edit("look at https://example.org")).await;
    fixture.accept_change(edit, 2).await;
    let pin = fixture.make(id, target, Change::Pin(true)).await;
    fixture.accept_change(pin, 3).await;
    let thumb = origin(PEER, 4);
    fixture.store.write(move |tx| tx.react(id, &thumb, "👍")).await.unwrap();
    let before = fixture.seen(id).await;
    let deletion = fixture.make(id, target, Change::Delete).await;
    let shown = fixture.seen(id).await;
    assert_eq!((shown.body, shown.edited_ms), (MessageBody::Deleted, None));
    let surroundings = async || {
        let read = fixture.store.read(|rows| {
            let links = rows.links(THREAD, None, 9)?.messages.len();
            Ok((rows.pinned(THREAD)?.len(), links, rows.search("look", 9)?.len()))
        });
        read.await.unwrap()
    };
    assert_eq!(surroundings().await, (0, 0, 0));
    fixture.refuse_change(deletion).await;
    assert_eq!(fixture.seen(id).await, before);
    fixture.store.write(|tx| tx.feed_index(100)).await.unwrap();
    assert_eq!(surroundings().await, (1, 1, 1));

    // An accepted one leaves nothing.
    let deletion = fixture.make(id, target, Change::Delete).await;
    fixture.accept_change(deletion, 5).await;
    assert_eq!(fixture.seen(id).await.body, MessageBody::Deleted);
    assert_eq!(fixture.remains().await, (0, 0, 0, 0));
    // Neither does one that is not asked about any more, because the account is left.
    let id = fixture.accepted("another").await;
    let target = fixture.target_of(id).await;
    fixture.make(id, target, Change::Delete).await;
    assert_ne!(fixture.remains().await.0, 0);
    fixture.store.write(|tx| tx.leave(crate::store::LeaveRequest::LogOut, true).map(drop)).await.unwrap();
    assert_eq!(fixture.seen(id).await.body, MessageBody::Deleted);
    assert_eq!(fixture.remains().await, (0, 0, 0, 0));
}

impl Fixture {
    /// The bytes of deleted messages, and the rows of edits, reactions and pins.
    async fn remains(&self) -> (i64, i64, i64, i64) {
        let read = self.store.read(|rows| {
            let sql = "SELECT (SELECT coalesce(sum(length(body)), 0) FROM message WHERE kind = 4),
                (SELECT count(*) FROM edit), (SELECT count(*) FROM reaction), (SELECT count(*) FROM pin)";
            Ok(rows
                .connection
                .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?)
        });
        read.await.unwrap()
    }
}

#[tokio::test]
async fn refused_votes_and_pins_give_way_to_those_before() {
    let fixture = Fixture::new().await;
    let options = ["a", "b"].map(str::to_owned).to_vec();
    let (content_id, mut new) = (fresh_id(), incoming("", 1));
    let poll = Poll::new("which?".to_owned(), options, false).unwrap();
    new.what = Arrived::Content(content_id, Body::Poll(poll));
    let id = fixture.store.write(move |tx| tx.insert_incoming(&new)).await.unwrap();
    let target = Target { author: PEER, id: content_id };
    let tally = async || match fixture.seen(id).await.body {
        MessageBody::Poll(poll) => (poll.voters, poll.options[0].votes, poll.options[1].votes),
        other => panic!("{other:?}"),
    };
    let first = fixture.make(id, target, Change::Vote(&[0])).await;
    let second = fixture.make(id, target, Change::Vote(&[1])).await;
    assert_eq!(tally().await, (1, 0, 1));
    fixture.accept_change(first, 2).await;
    assert_eq!(tally().await, (1, 0, 1));
    fixture.refuse_change(second).await;
    assert_eq!(tally().await, (1, 1, 0));
    let votes = fixture.store.read(move |rows| rows.votes((THREAD, id), None, 9)).await.unwrap();
    assert_eq!(votes.iter().map(|vote| vote.choices.clone()).collect::<Vec<_>>(), [[0]]);

    let pin = fixture.make(id, target, Change::Pin(true)).await;
    fixture.refuse_change(pin).await;
    assert!(fixture.store.read(|rows| rows.pinned(THREAD)).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_edit_is_settled_while_the_deletion_of_its_message_waits() {
    let fixture = Fixture::new().await;
    for is_accepted in [false, true] {
        let id = fixture.accepted("one").await;
        let target = fixture.target_of(id).await;
        let edit = fixture.make(id, target, Change::Edit("two")).await;
        let deletion = fixture.make(id, target, Change::Delete).await;
        let mut events = fixture.events.subscribe();
        if is_accepted {
            fixture.accept_change(edit, 2).await;
        } else {
            fixture.refuse_change(edit).await;
            let (change, reason) = (ChangeKind::Edit, FailReason::Refused);
            let told = Event::ChangeFailed { thread: THREAD, message: Some(id), change, reason };
            assert_eq!(drain(&mut events), [told]);
        }
        assert_eq!(fixture.seen(id).await.body, MessageBody::Deleted);
        fixture.refuse_change(deletion).await;
        let shown = fixture.seen(id).await;
        let expected = if is_accepted { ("two", Some(3_000)) } else { ("one", None) };
        assert_eq!((shown.text().unwrap(), shown.edited_ms), expected);
        // A later one counts.
        let last = fixture.make(id, target, Change::Edit("three")).await;
        fixture.accept_change(last, 3).await;
        assert_eq!(fixture.seen(id).await.text(), Some("three"));
    }
}

#[tokio::test]
async fn other_changes_are_settled_while_the_deletion_of_their_message_waits() {
    let fixture = Fixture::new().await;
    let content_id = fresh_id();
    let options = ["a", "b"].map(str::to_owned).to_vec();
    let poll = Body::Poll(Poll::new("which?".to_owned(), options, false).unwrap());
    let new = NewOutgoing { content_id, ..outgoing(poll) };
    let id = fixture.store.write(|tx| tx.enqueue(new)).await.unwrap().unwrap().id;
    let entry = fixture.entry(id).await;
    fixture.accept_change(entry, 1).await;
    let target = Target { author: US, id: content_id };
    let (emoji, vote, pin) = (Change::React("👍"), Change::Vote(&[0]), Change::Pin(true));
    let mut accepted = Vec::new();
    for change in [emoji, vote, pin] {
        accepted.push(fixture.make(id, target, change).await);
    }
    let (emoji, vote, pin) = (Change::React(""), Change::Vote(&[1]), Change::Pin(false));
    let mut refused = Vec::new();
    for change in [emoji, vote, pin] {
        refused.push(fixture.make(id, target, change).await);
    }
    let deletion = fixture.make(id, target, Change::Delete).await;
    for entry in accepted {
        fixture.accept_change(entry, 2).await;
    }
    for entry in refused {
        fixture.refuse_change(entry).await;
    }
    // One of the peer comes meanwhile.
    let balloon = origin(PEER, 4);
    fixture.store.write(move |tx| tx.react(id, &balloon, "🎈")).await.unwrap();
    let shown = fixture.seen(id).await;
    assert_eq!((shown.body, shown.reactions), (MessageBody::Deleted, Vec::new()));
    let pending = fixture.store.read(|rows| {
        let sql = "SELECT (SELECT count(pending_by) FROM reaction) + (SELECT count(pending_by) FROM vote)
            + (SELECT count(pending_by) FROM pin)";
        Ok(rows.connection.query_row(sql, [], |row| row.get::<_, i64>(0))?)
    });
    assert_eq!(pending.await.unwrap(), 0);
    fixture.refuse_change(deletion).await;
    let shown = fixture.seen(id).await;
    assert_eq!(fixture.emoji(id).await.as_deref(), Some("👍"));
    assert_eq!(shown.reactions.len(), 2);
    let MessageBody::Poll(poll) = shown.body else { panic!("a poll was deleted") };
    assert_eq!((poll.options[0].is_ours, poll.options[1].is_ours), (true, false));
    assert_eq!(fixture.store.read(|rows| rows.pinned(THREAD)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_deletion_of_another_device_remains_although_ours_is_refused() {
    let body_of = async |fixture: &Fixture, id: MessageId| -> Vec<u8> {
        let read = fixture.store.read(move |rows| {
            let sql = "SELECT body FROM message WHERE id = ?1";
            Ok(rows.connection.query_row(sql, [id.0], |row| row.get(0))?)
        });
        read.await.unwrap()
    };
    let arrives = async |fixture: &Fixture, id, author, sent_ms| {
        let origin = Origin { author, sent_ms, ..origin(author, 5) };
        let work =
            fixture.store.write(move |tx| tx.delete_for_everyone(id, &origin, ChangeLimits::default()));
        work.await.unwrap()
    };
    let fixture = Fixture::new().await;
    let id = fixture.accepted("secret").await;
    let target = fixture.target_of(id).await;
    let reaction = fixture.make(id, target, Change::React("👍")).await;
    fixture.accept_change(reaction, 2).await;
    let deletion = fixture.make(id, target, Change::Delete).await;
    // Not of somebody else, nor one that comes too late.
    assert!(!arrives(&fixture, id, PEER, 3_000).await);
    assert!(!arrives(&fixture, id, US, 1 << 40).await);
    assert!(!body_of(&fixture, id).await.is_empty(), "ours may still be refused");
    assert!(arrives(&fixture, id, US, 3_000).await);
    assert!(body_of(&fixture, id).await.is_empty());
    assert!(!arrives(&fixture, id, US, 3_000).await, "once");
    let mut events = fixture.events.subscribe();
    fixture.refuse_change(deletion).await;
    assert_eq!(fixture.seen(id).await.body, MessageBody::Deleted);
    assert!(fixture.seen(id).await.reactions.is_empty());
    assert_eq!(drain(&mut events), [], "it has not returned");

    // If ours is accepted afterwards, nothing changes.
    let id = fixture.accepted("another").await;
    let target = fixture.target_of(id).await;
    let deletion = fixture.make(id, target, Change::Delete).await;
    assert!(arrives(&fixture, id, US, 3_000).await);
    fixture.accept_change(deletion, 9).await;
    assert_eq!(fixture.seen(id).await.body, MessageBody::Deleted);
}

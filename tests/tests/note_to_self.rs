//! The note to self, with a real relay, without one, and with one that is not honest.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use sealpost_core::{
    ContactCard, Delivery, Direction, Error, Folder, Location, MessageBody, NoticeAction, Search, Thread,
    ThreadId, ThreadKind,
};
use sealpost_testkit::{
    Interceptor, ManualClock, Proxy, World, eventually, history, newest, texts, when, within,
};
use sealpost_wire::Frame;
use sealpost_wire::frame::Body;
use sealpost_wire::id::ToWire as _;

/// Changes two notes in every way in which a message can be changed.
async fn write_and_change(note: &Thread) {
    // In other threads, a poll cannot be the first message.
    let poll = note.send_poll("which?", vec!["this".to_owned(), "that".to_owned()], false).await.unwrap();
    note.vote(poll.id, vec![1]).await.unwrap();
    let milk = note.send_text("buy milk").await.unwrap();
    assert_eq!(milk.direction, Direction::Outgoing(Delivery::Sent), "without any answer");
    note.edit(milk.id, "buy oat milk").await.unwrap();
    note.edit(milk.id, "buy almond milk").await.unwrap();
    note.react(milk.id, "👍").await.unwrap();
    note.react(milk.id, "🎈").await.unwrap();
    note.pin(milk.id).await.unwrap();
    note.reply(milk.id, "two litres").await.unwrap();
    note.forward(milk.id).await.unwrap();
    let card = ContactCard { name: "Ben".to_owned(), ..ContactCard::default() };
    note.send_contact(card).await.unwrap();
    let place = Location { name: "the shop".to_owned(), ..Location::default() };
    note.send_location(place).await.unwrap();
    let wrong = note.send_text("wrong").await.unwrap();
    note.delete_for_everyone(wrong.id).await.unwrap();
    let hidden = note.send_text("hidden").await.unwrap();
    note.delete_for_me(hidden.id).await.unwrap();
    note.set_timer(3600).await.unwrap();
    note.send_text("soon gone").await.unwrap();
}

/// Checks what [`write_and_change`] has left.
async fn check(note: &Thread) {
    let all = history(note).await;
    let shown: Vec<_> = all.iter().map(|message| format!("{:?}", message.body)).collect();
    assert_eq!(
        shown,
        [
            "Poll(..)",
            "Text(..)",
            "Text(..)",
            "Text(..)",
            "Contact(..)",
            "Location(..)",
            "Deleted",
            "TimerChanged(3600)",
            "Text(..)"
        ]
    );
    assert!(all.iter().all(|message| message.direction == Direction::Outgoing(Delivery::Sent)));
    let [poll, milk, reply, forwarded, .., gone] = all.as_slice() else { panic!("{shown:?}") };
    let MessageBody::Poll(poll) = &poll.body else { panic!("{poll:?}") };
    assert_eq!([poll.options[0].votes, poll.options[1].votes], [0, 1]);
    assert_eq!(milk.text(), Some("buy almond milk"));
    let versions = note.versions(milk.id).await.unwrap();
    assert_eq!(
        versions.iter().map(|version| version.text.as_str()).collect::<Vec<_>>(),
        ["buy milk", "buy oat milk", "buy almond milk"]
    );
    assert_eq!((milk.reactions.len(), milk.reactions[0].emoji.as_str()), (1, "🎈"));
    assert_eq!(note.pinned().await.unwrap().first().map(|message| message.id), Some(milk.id));
    assert_eq!(reply.quote.as_ref().unwrap().message, Some(milk.id));
    assert!(forwarded.is_forwarded && forwarded.text() == Some("buy almond milk"));
    assert_eq!((gone.timer_s, gone.expires_ms), (3600, Some(gone.sent_ms.saturating_add(3_600_000))));
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_works_in_the_note_to_self_without_a_connection_and_survives_a_restart() {
    let mut world = World::start().await;
    let ada = world.party("ada").await;
    world.stop_relay().await;
    let mut list = ada.client.follow_threads(Folder::Chats, 10);
    let note = ada.client.note_to_self().await.unwrap();
    assert_eq!(note.kind().await.unwrap(), ThreadKind::NoteToSelf);
    assert!(note.others().await.unwrap().is_empty());
    write_and_change(&note).await;
    check(&note).await;
    within("the list", async { list.next().await.unwrap().unwrap() }).await;

    let id = note.id();
    drop((note, list));
    let ada = ada.close().await.open().await;
    let note = ada.client.note_to_self().await.unwrap();
    assert_eq!((note.id(), ada.client.thread(id).await.unwrap().id()), (id, id));
    check(&note).await;

    // It is found, and is in the list, and nothing of it is unread.
    let found = async || {
        let mut in_note = Search::new("almond");
        in_note.thread = Some(id);
        (ada.client.find(in_note, 9).await.unwrap().hits.len() == 2).then_some(())
    };
    eventually("the words", found).await;
    let listed = ada.client.folder_page(Folder::Chats, None, 9).await.unwrap().threads;
    assert_eq!((listed.len(), listed[0].kind, listed[0].unread), (1, ThreadKind::NoteToSelf, 0));
    assert!(listed[0].newest.as_ref().is_some_and(|newest| newest.text() == Some("soon gone")));
    assert_eq!(ada.client.unread_totals().await.unwrap().messages, 0);

    // There is nobody to block, to report, to call or to tell anything.
    let us = ada.client.contact(ada.client.user_id());
    assert!(matches!(us.block().await, Err(Error::Misuse(_))));
    assert!(matches!(us.report().await, Err(Error::Misuse(_))));
    assert!(matches!(note.call(b"offer", false).await, Err(Error::Misuse(_))));
    assert!(matches!(ada.client.direct_thread(ada.client.user_id()).await, Err(Error::Misuse(_))));
    note.set_typing(true).await.unwrap();
    note.mark_read(newest(&note).await.id).await.unwrap();

    // Nothing waits for the relay, and what follows is the same with one.
    world.start_relay().await;
    ada.live().await;
    note.send_text("online").await.unwrap();
    assert_eq!(newest(&note).await.text(), Some("online"));
    let mut notices = ada.client.notices();
    let ben = world.party("ben").await;
    ben.thread_with(&ada).await.send_text("hello").await.unwrap();
    let first = within("a notice", notices.next_batch(9)).await.unwrap().unwrap();
    assert!(matches!(&first[..], [one] if one.thread != id && matches!(one.action, NoticeAction::Show(_))));
    note.delete().await.unwrap();
    assert_eq!(texts(&note).await, [""; 0]);
    note.send_text("once more").await.unwrap();
    assert_eq!(texts(&note).await, ["once more"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_disappears_after_it_was_written() {
    let world = World::start().await;
    let ada = world.party("ada").await;
    let note = ada.client.note_to_self().await.unwrap();
    note.send_text("stays").await.unwrap();
    note.set_timer(1).await.unwrap();
    note.send_text("soon gone").await.unwrap();
    let is_gone = async || (texts(&note).await == ["stays", "TimerChanged(1)"]).then_some(());
    eventually("the note disappears", is_gone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_note_can_be_edited_and_deleted() {
    let mut world = World::start().await;
    let start_ms = UNIX_EPOCH.elapsed().unwrap().as_millis().try_into().unwrap();
    let clock = ManualClock::at(start_ms);
    let ada = world.disk("ada").with_clock(&clock).open_or_register().await;
    let note = ada.client.note_to_self().await.unwrap();
    let old = note.send_text("an old note").await.unwrap();
    // The relay would correct the clock.
    world.stop_relay().await;
    clock.advance(Duration::from_secs(30 * 24 * 3600));
    for n in 0..20 {
        note.edit(old.id, &format!("correction {n}")).await.unwrap();
    }
    assert_eq!(texts(&note).await, ["correction 19"]);
    note.delete_for_everyone(old.id).await.unwrap();
    assert_eq!(texts(&note).await, ["Deleted"]);
}

/// Delivers a copy of every envelope also in another thread.
#[derive(Clone, Default)]
struct CopiesTo(Arc<Mutex<Option<ThreadId>>>);

impl Interceptor for CopiesTo {
    fn down(&self, frame: Frame) -> Vec<Frame> {
        let mut frames = vec![frame.clone()];
        if let Some(thread) = *self.0.lock().unwrap()
            && let Some(Body::Deliver(mut copy)) = frame.body.clone()
        {
            copy.key.as_mut().unwrap().thread_id = thread.to_wire();
            frames.insert(0, Frame { body: Some(Body::Deliver(copy)), ..frame });
        }
        frames
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_can_write_into_the_note_to_self() {
    let world = World::start().await;
    let copies = CopiesTo::default();
    let proxy = Proxy::start(world.addr(), copies.clone()).await;
    let ada = world.party("ada").await;
    let ben = world.disk("ben").through(&proxy.url()).open_or_register().await;
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    hers.send_text("before").await.unwrap();
    when("the text", &his, |message| message.text() == Some("before")).await;
    let note = ben.client.note_to_self().await.unwrap();
    *copies.0.lock().unwrap() = Some(note.id());
    for text in ["one", "two"] {
        hers.send_text(text).await.unwrap();
        when("the text", &his, |message| message.text() == Some(text)).await;
    }
    assert_eq!(texts(&note).await, [""; 0]);
    assert_eq!(note.summary().await.unwrap().unread, 0);
    note.send_text("mine").await.unwrap();
    assert_eq!(texts(&note).await, ["mine"]);
}

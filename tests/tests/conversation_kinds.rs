//! What people do with messages besides writing texts: two clients and a real relay.

#![cfg(test)]

use std::sync::{Arc, Mutex};

use sealpost_core::{Client, Delivery, Error, Message, MessageBody, MessageId, MessageList};
use sealpost_testkit::{
    Interceptor, Pair, Party, PartyDisk, Proxy, World, eventually, history, newest, open_database, when,
};
use sealpost_wire::Frame;
use sealpost_wire::frame::Body;

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_contains_its_quote_and_leads_to_the_quoted_message() {
    let pair = Pair::new().await;
    let (_, question) = pair.say("how are you?").await;
    for n in 0..30 {
        pair.hers.send_text(&format!("line {n}")).await.unwrap();
    }
    when("all lines", &pair.his, |message| message.text() == Some("line 29")).await;
    let answer = pair.his.reply(question, "fine").await.unwrap();
    assert_eq!(answer.quote.as_ref().unwrap().message, Some(question));

    let received = when("the answer", &pair.hers, |message| message.text() == Some("fine")).await;
    let quote = received.quote.unwrap();
    assert_eq!((quote.text.as_str(), quote.author), ("how are you?", pair.ada.client.user_id()));
    let page = pair.hers.history_around(quote.message.unwrap(), 5).await.unwrap();
    assert!(page.messages.iter().any(|message| message.text() == Some("how are you?")), "{page:?}");

    // A reply can be replied to, and only its own text is quoted.
    let again = pair.hers.reply(received.id, "good").await.unwrap();
    assert_eq!(again.quote.unwrap().text, "fine");
    let received = when("the second answer", &pair.his, |message| message.text() == Some("good")).await;
    assert_eq!(received.quote.unwrap().message, Some(answer.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_quote_is_cut_between_characters() {
    let pair = Pair::new().await;
    let (_, long) = pair.say(&"é🎈".repeat(500)).await;
    let answer = pair.his.reply(long, "too long").await.unwrap();
    let quote =
        when("the answer", &pair.hers, |message| message.text() == Some("too long")).await.quote.unwrap();
    assert_eq!(quote.text, "é🎈".repeat(66) + "é");
    assert_eq!(answer.quote.unwrap().text, quote.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forwarded_message_has_a_mark_and_no_quote() {
    let pair = Pair::new().await;
    let (question, at_ben) = pair.say("how are you?").await;
    let answer = pair.his.reply(at_ben, "fine").await.unwrap();
    let received = when("the answer", &pair.hers, |message| message.text() == Some("fine")).await;
    assert!(!received.is_forwarded && !answer.is_forwarded);

    let cyd = pair.world.party("cyd").await;
    let to_cyd = pair.ada.thread_with(&cyd).await;
    let forwarded = to_cyd.forward(received.id).await.unwrap();
    assert!(forwarded.is_forwarded && forwarded.quote.is_none());
    let from_ada = cyd.thread_with(&pair.ada).await;
    let received = when("the forwarded message", &from_ada, |_| true).await;
    assert_eq!(received.body, MessageBody::Text("fine".into()));
    assert!(received.is_forwarded && received.quote.is_none());

    // A message of another thread can be forwarded, but not replied to.
    assert_eq!(to_cyd.reply(question, "what?").await.unwrap_err(), Error::NotFound);
    assert_eq!(to_cyd.reply(MessageId(99_999), "what?").await.unwrap_err(), Error::NotFound);
    assert_eq!(to_cyd.forward(MessageId(99_999)).await.unwrap_err(), Error::NotFound);
    assert_eq!(to_cyd.reply(forwarded.id, " ").await.unwrap_err(), Error::EmptyText);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaction_is_shown_replaced_and_removed_on_both_sides() {
    let pair = Pair::new().await;
    let (hers, his) = pair.say("it works").await;
    let shown = |message: &Message| -> Vec<(String, u32, bool)> {
        let reactions = message.reactions.iter();
        reactions.map(|reaction| (reaction.emoji.clone(), reaction.count, reaction.is_ours)).collect()
    };
    let both = async |at_ada: &[(&str, u32, bool)], at_ben: &[(&str, u32, bool)]| {
        let expected = |list: &[(&str, u32, bool)]| -> Vec<_> {
            list.iter().map(|(emoji, count, ours)| ((*emoji).to_owned(), *count, *ours)).collect()
        };
        when("her side", &pair.hers, |message| message.id == hers && shown(message) == expected(at_ada))
            .await;
        when("his side", &pair.his, |message| message.id == his && shown(message) == expected(at_ben)).await;
    };
    pair.his.react(his, "👍").await.unwrap();
    both(&[("👍", 1, false)], &[("👍", 1, true)]).await;
    pair.hers.react(hers, "👍").await.unwrap();
    both(&[("👍", 2, true)], &[("👍", 2, true)]).await;
    pair.his.react(his, "👩‍❤️‍💋‍👨").await.unwrap();
    both(&[("👍", 1, true), ("👩‍❤️‍💋‍👨", 1, false)], &[("👍", 1, false), ("👩‍❤️‍💋‍👨", 1, true)]).await;
    let who = pair.hers.reactions(hers, None, 10).await.unwrap();
    assert_eq!(who.len(), 2);
    assert!(who.iter().any(|one| one.author == pair.ben.client.user_id() && one.emoji == "👩‍❤️‍💋‍👨"));
    pair.his.remove_reaction(his).await.unwrap();
    pair.hers.remove_reaction(hers).await.unwrap();
    both(&[], &[]).await;
    // Nothing but the text counts as a message, on either side.
    let unread = pair.ben.client.thread_page(None, 1).await.unwrap().threads.remove(0).unread;
    assert_eq!((history(&pair.his).await.len(), history(&pair.hers).await.len(), unread), (1, 1, 1));

    for bad in ["", "hello", "👍👍👍👍👍👍👍👍👍", "👍 ", "\u{202e}"] {
        assert!(matches!(pair.his.react(his, bad).await, Err(Error::Misuse(_))), "{bad}");
    }
    assert_eq!(pair.his.react(MessageId(77_777), "👍").await.unwrap_err(), Error::NotFound);
}

/// Delivers the first of two envelopes behind the second, once it is armed.
#[derive(Clone, Default)]
struct Swap(Arc<Mutex<Option<Vec<Frame>>>>);

impl Interceptor for Swap {
    fn down(&self, frame: Frame) -> Vec<Frame> {
        let mut held = self.0.lock().unwrap();
        match (&frame.body, held.take()) {
            (Some(Body::Deliver(_)), Some(first)) if first.is_empty() => {
                *held = Some(vec![frame]);
                Vec::new()
            }
            (Some(Body::Deliver(_)), Some(first)) => [vec![frame], first].concat(),
            (_, before) => {
                *held = before;
                vec![frame]
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaction_that_arrives_before_its_message_waits_for_it() {
    let world = World::start().await;
    let swap = Swap::default();
    let proxy = Proxy::start(world.addr(), swap.clone()).await;
    let ada = world.party("ada").await;
    let ben = world.disk("ben").through(&proxy.url()).open_or_register().await;
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    let first = hers.send_text("first").await.unwrap();
    ada.message_reaches(&hers, first.id, Delivery::Delivered).await;
    *swap.0.lock().unwrap() = Some(Vec::new());
    let second = hers.send_text("second").await.unwrap();
    hers.react(second.id, "🎈").await.unwrap();
    let received = when("the second message", &his, |message| message.text() == Some("second")).await;
    assert!(swap.0.lock().unwrap().is_none(), "the two were swapped");
    assert_eq!(received.reactions.len(), 1);
    assert_eq!((received.reactions[0].emoji.as_str(), received.reactions[0].is_ours), ("🎈", false));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_or_a_deletion_that_arrives_before_its_message_waits_for_it() {
    let world = World::start().await;
    let swap = Swap::default();
    let proxy = Proxy::start(world.addr(), swap.clone()).await;
    let ada = world.party("ada").await;
    let ben = world.disk("ben").through(&proxy.url()).open_or_register().await;
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    let first = hers.send_text("first").await.unwrap();
    ada.message_reaches(&hers, first.id, Delivery::Delivered).await;
    for is_edit in [true, false] {
        *swap.0.lock().unwrap() = Some(Vec::new());
        let second = hers.send_text("second").await.unwrap();
        // The proxy holds it.
        ada.message_reaches(&hers, second.id, Delivery::Sent).await;
        let expected = if is_edit {
            hers.edit(second.id, "changed").await.unwrap();
            MessageBody::Text("changed".to_owned())
        } else {
            hers.delete_for_everyone(second.id).await.unwrap();
            MessageBody::Deleted
        };
        let received = when("the message, changed", &his, |message| message.body == expected).await;
        assert!(swap.0.lock().unwrap().is_none(), "the two were swapped");
        assert_eq!(
            (received.edited_ms.is_some(), history(&his).await.len()),
            (is_edit, 3 - usize::from(is_edit))
        );
    }
}

/// Queues a content with this body in the database of a client that is closed.
fn queue_bytes(disk: &PartyDisk, number: u8, body: &[u8]) {
    let database = open_database(disk.database(), &disk.key());
    let id = [number; 16];
    database
        .execute(
            "INSERT INTO outgoing (lane, content_id, sent, class, body, state)
             SELECT thread_id, ?1, 1, 1, ?2, 1 FROM thread",
            rusqlite::params![id, body],
        )
        .unwrap();
    database
        .execute("INSERT INTO lane SELECT thread_id, 0 FROM thread WHERE true ON CONFLICT DO NOTHING", [])
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_of_a_later_version_are_kept_and_shown_if_they_would_be_seen() {
    let pair = Pair::new().await;
    pair.say("first").await;
    let (hers, his) = (pair.hers, pair.his);
    drop(hers);
    let disk = pair.ada.close().await;
    // Field 39 is a kind that no version knows yet, 30 is for view once, 21 typing, 25 a transcript, which only our own devices send.
    queue_bytes(&disk, 1, &[0xba, 0x02, 0x01, 0x2a]);
    queue_bytes(&disk, 2, &[0xf2, 0x01, 0x00]);
    queue_bytes(&disk, 3, &[0xaa, 0x01, 0x00]);
    queue_bytes(&disk, 4, &[0xca, 0x01, 0x00]);
    // A reaction to a message that does not exist.
    let reaction = [&[0x62, 0x2c, 0x0a, 0x24, 0x0a, 0x10][..], &[7; 16], &[0x12, 0x10], &[8; 16]].concat();
    queue_bytes(&disk, 5, &[&reaction[..], &[0x12, 0x04], "👍".as_bytes()].concat());
    let ada = disk.open().await;
    let hers = ada.thread_with(&pair.ben).await;
    let last = hers.send_text("last").await.unwrap();
    ada.message_reaches(&hers, last.id, Delivery::Delivered).await;
    let bodies: Vec<_> = history(&his).await.into_iter().map(|message| message.body).collect();
    let text = |text: &str| MessageBody::Text(text.to_owned());
    assert_eq!(
        bodies,
        [text("first"), MessageBody::NotUnderstood, MessageBody::NotUnderstood, text("last"),]
    );
    let unknown = history(&his).await.remove(1);
    assert_eq!(his.reply(unknown.id, "what?").await.unwrap_err(), Error::WrongState);
    assert_eq!(his.react(unknown.id, "👍").await.unwrap_err(), Error::WrongState);
    // After a restart, it is still there.
    let ben = pair.ben.close().await.open().await;
    let his = ben.thread_with(&ada).await;
    assert_eq!(history(&his).await[1].body, MessageBody::NotUnderstood);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_later_version_has_sent_is_read_when_the_upgraded_app_starts() {
    let pair = Pair::new().await;
    pair.say("first").await;
    drop(pair.hers);
    let disk = pair.ada.close().await;
    queue_bytes(&disk, 1, &[0xba, 0x02, 0x01, 0x2a]);
    let ada = disk.open().await;
    when("a message", &pair.his, |message| message.body == MessageBody::NotUnderstood).await;
    drop((pair.his, ada));
    let disk = pair.ben.close().await;
    // As if an earlier version had kept what this one understands.
    let database = open_database(disk.database(), &disk.key());
    let sql = "UPDATE message SET version = '0.0.1', body = ?1 WHERE kind = 3";
    assert_eq!(database.execute(sql, [b"\x52\x05hello"]).unwrap(), 1);
    drop(database);
    let mut world = pair.world;
    world.stop_relay().await;
    let ben = disk.open().await;
    eventually("the text", async || ben.client.search("hello", 5).await.unwrap().pop()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_message_shows_its_new_text_and_keeps_the_earlier_ones() {
    let pair = Pair::new().await;
    let (hers, his) = pair.say("meet at noon").await;
    let question = pair.his.reply(his, "where?").await.unwrap();
    let received = when("the reply", &pair.hers, |message| message.text() == Some("where?")).await;
    pair.hers.edit(hers, "meet at one").await.unwrap();
    pair.hers.edit(hers, "meet at two").await.unwrap();
    let edited = when("the edit", &pair.his, |message| message.text() == Some("meet at two")).await;
    assert!(edited.id == his && edited.edited_ms.is_some());
    for (thread, id) in [(&pair.hers, hers), (&pair.his, his)] {
        let versions = thread.versions(id).await.unwrap();
        let texts: Vec<_> = versions.iter().map(|version| version.text.as_str()).collect();
        assert_eq!(texts, ["meet at noon", "meet at one", "meet at two"]);
        assert!(versions.is_sorted_by_key(|version| version.sent_ms));
    }
    // The reply keeps its quote when it is edited.
    pair.his.edit(question.id, "where exactly?").await.unwrap();
    let reply = when("the edit", &pair.hers, |message| message.text() == Some("where exactly?")).await;
    assert_eq!((reply.id, reply.quote.unwrap().text.as_str()), (received.id, "meet at noon"));

    // The new words are found, and the old ones are not.
    let found = async |client: &Client, words: &str| client.search(words, 10).await.unwrap().len();
    for client in [&pair.ada.client, &pair.ben.client] {
        eventually("the new word", async || (found(client, "two").await == 1).then_some(())).await;
        assert_eq!((found(client, "noon").await, found(client, "one").await), (0, 0));
    }
    // Only the author edits a message, and only texts can be edited.
    assert_eq!(pair.his.edit(his, "no").await.unwrap_err(), Error::WrongState);
    assert_eq!(pair.hers.edit(hers, "  ").await.unwrap_err(), Error::EmptyText);
    assert_eq!(pair.hers.edit(MessageId(55_555), "no").await.unwrap_err(), Error::NotFound);
    for n in 0..8 {
        pair.hers.edit(hers, &format!("again {n}")).await.unwrap();
    }
    assert_eq!(pair.hers.edit(hers, "once too often").await.unwrap_err(), Error::WrongState);
    when("the tenth edit", &pair.his, |message| message.text() == Some("again 7")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_deleted_for_everyone_leaves_only_its_place() {
    let pair = Pair::new().await;
    let (hers, his) = pair.say("a secret word").await;
    pair.hers.edit(hers, "a secret sentence").await.unwrap();
    pair.his.react(his, "👍").await.unwrap();
    pair.his.reply(his, "really?").await.unwrap();
    let reply = when("the reply", &pair.hers, |message| message.text() == Some("really?")).await;
    when("the reaction", &pair.hers, |message| !message.reactions.is_empty()).await;
    eventually("it can be found", async || {
        (pair.ben.client.search("secret", 10).await.unwrap().len() == 1).then_some(())
    })
    .await;
    assert_eq!(pair.his.delete_for_everyone(his).await.unwrap_err(), Error::WrongState);
    pair.hers.delete_for_everyone(hers).await.unwrap();
    let gone = when("the deletion", &pair.his, |message| message.body == MessageBody::Deleted).await;
    assert_eq!(gone.id, his);
    for (thread, id, client) in [(&pair.hers, hers, &pair.ada.client), (&pair.his, his, &pair.ben.client)] {
        let all = history(thread).await;
        let shown = all.iter().find(|message| message.id == id).unwrap();
        assert!(
            shown.body == MessageBody::Deleted && shown.reactions.is_empty() && shown.edited_ms.is_none()
        );
        assert_eq!(thread.versions(id).await.unwrap_err(), Error::NotFound);
        assert_eq!(client.search("secret", 10).await.unwrap().len(), 0);
        assert!(all.iter().all(|message| message.quote.as_ref().is_none_or(|quote| quote.text.is_empty())));
        assert_eq!(thread.react(id, "👍").await.unwrap_err(), Error::WrongState);
        assert_eq!(thread.reply(id, "what?").await.unwrap_err(), Error::WrongState);
    }
    assert_eq!(pair.hers.delete_for_everyone(hers).await.unwrap_err(), Error::WrongState);
    // Others can still be deleted, and the one who deletes need not be online.
    pair.his.delete_for_everyone(history(&pair.his).await.last().unwrap().id).await.unwrap();
    when("the second deletion", &pair.hers, |message| {
        message.id == reply.id && message.body == MessageBody::Deleted
    })
    .await;
    let unread = pair.ben.client.thread_page(None, 1).await.unwrap().threads.remove(0).unread;
    assert_eq!(unread, 0, "what is deleted is not unread");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_has_not_been_sent_is_deleted_without_a_trace() {
    let mut world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    let first = hers.send_text("first").await.unwrap();
    ada.message_reaches(&hers, first.id, Delivery::Delivered).await;
    world.stop_relay().await;
    eventually("no connection", async || {
        (ada.client.connection_state() != sealpost_core::ConnectionState::Live).then_some(())
    })
    .await;
    let rash = hers.send_text("rash words").await.unwrap();
    hers.delete_for_everyone(rash.id).await.unwrap();
    hers.edit(first.id, "first, edited").await.unwrap();
    assert_eq!(history(&hers).await.len(), 1);
    world.start_relay().await;
    when("the edit", &his, |message| message.text() == Some("first, edited")).await;
    assert_eq!(history(&his).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_cannot_be_changed_after_its_time() {
    const HOUR_MS: u64 = 3_600_000;
    let pair = Pair::new().await;
    let (hers, _) = pair.say("carved in stone").await;
    let disk = pair.ada.close().await;
    {
        // It was written 25 hours ago, then 49.
        let database = open_database(disk.database(), &disk.key());
        let age = i64::try_from(25 * HOUR_MS).unwrap();
        database.execute("UPDATE message SET sent = sent - ?1", [age]).unwrap();
    }
    let ada = disk.open().await;
    let thread = ada.thread_with(&pair.ben).await;
    assert_eq!(thread.edit(hers, "too late").await.unwrap_err(), Error::WrongState);
    let disk = ada.close().await;
    {
        let database = open_database(disk.database(), &disk.key());
        let age = i64::try_from(24 * HOUR_MS).unwrap();
        database.execute("UPDATE message SET sent = sent - ?1", [age]).unwrap();
    }
    let ada = disk.open().await;
    let thread = ada.thread_with(&pair.ben).await;
    assert_eq!(thread.delete_for_everyone(hers).await.unwrap_err(), Error::WrongState);
    assert_eq!(history(&thread).await[0].text(), Some("carved in stone"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_deleted_for_me_can_be_restored_for_a_while() {
    let pair = Pair::new().await;
    let (_, first) = pair.say("first").await;
    let (_, second) = pair.say("second").await;
    let unread = async || pair.ben.client.thread_page(None, 1).await.unwrap().threads.remove(0).unread;
    assert_eq!(unread().await, 2);
    let mut view = pair.his.subscribe();
    let mut list = MessageList::new(view.snapshot().await.unwrap());
    pair.his.delete_for_me(second).await.unwrap();
    assert_eq!((history(&pair.his).await.len(), unread().await), (1, 1));
    assert_eq!(pair.ben.client.message(second).await.unwrap_err(), Error::NotFound);
    list.apply(view.next().await.unwrap().unwrap());
    assert_eq!(list.messages().len(), 1);
    assert_eq!(newest(&pair.his).await.id, first);
    pair.his.restore(second).await.unwrap();
    list.apply(view.next().await.unwrap().unwrap());
    assert_eq!(list.messages().len(), 2);
    assert_eq!(newest(&pair.his).await.text(), Some("second"));
    assert_eq!(pair.his.restore(second).await.unwrap_err(), Error::NotFound);
    assert_eq!(pair.his.restore(first).await.unwrap_err(), Error::NotFound);

    // 31 seconds later, it is gone for good, from the file as well.
    pair.his.delete_for_me(second).await.unwrap();
    let disk = pair.ben.close().await;
    {
        let database = open_database(disk.database(), &disk.key());
        database.execute("UPDATE message SET hidden = hidden - 31000 WHERE hidden IS NOT NULL", []).unwrap();
    }
    let ben = disk.open().await;
    let his = ben.thread_with(&pair.ada).await;
    assert_eq!(his.restore(second).await.unwrap_err(), Error::NotFound);
    let disk = eventually_gone(ben, second).await;
    // She still has it, and a change of it has no effect on his side.
    assert_eq!(history(&pair.hers).await.len(), 2);
    let hers = newest(&pair.hers).await;
    pair.hers.edit(hers.id, "second, edited").await.unwrap();
    let last = pair.hers.send_text("last").await.unwrap();
    let ben = disk.open().await;
    pair.ada.message_reaches(&pair.hers, last.id, Delivery::Delivered).await;
    let his = ben.thread_with(&pair.ada).await;
    let texts: Vec<_> =
        history(&his).await.into_iter().map(|message| message.text().unwrap().to_owned()).collect();
    assert_eq!(texts, ["first", "last"]);
}

/// Waits until a message is no longer in the database of a client, and closes it.
async fn eventually_gone(party: Party, id: MessageId) -> PartyDisk {
    let mut disk = party.close().await;
    loop {
        {
            let database = open_database(disk.database(), &disk.key());
            let sql = "SELECT count(*) FROM message WHERE id = ?1";
            if database.query_row(sql, [id.0], |row| row.get::<_, i64>(0)).unwrap() == 0 {
                return disk;
            }
        }
        let party = disk.open().await;
        party.live().await;
        disk = party.close().await;
    }
}

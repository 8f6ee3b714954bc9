//! What people do with messages besides writing texts: two clients and a real relay.

#![cfg(test)]

use std::sync::{Arc, Mutex};

use sealpost_core::{Delivery, Error, Message, MessageBody, MessageId, Thread};
use sealpost_testkit::{Interceptor, Party, PartyDisk, Proxy, World, eventually, history, open_database};
use sealpost_wire::Frame;
use sealpost_wire::frame::Body;

/// Two people who have exchanged a message: the clients and their threads.
struct Pair {
    world: World,
    ada: Party,
    ben: Party,
    hers: Thread,
    his: Thread,
}

impl Pair {
    async fn new() -> Self {
        let world = World::start().await;
        let (ada, ben) = (world.party("ada").await, world.party("ben").await);
        let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
        Self { world, ada, ben, hers, his }
    }

    /// Sends a text from her to him, and returns the ids of the message for both.
    async fn say(&self, text: &str) -> (MessageId, MessageId) {
        let sent = self.hers.send_text(text).await.unwrap();
        self.ada.message_reaches(&self.hers, sent.id, Delivery::Delivered).await;
        (sent.id, newest(&self.his).await.id)
    }
}

async fn newest(thread: &Thread) -> Message {
    thread.history_of(None, 1).await.unwrap().messages.remove(0)
}

/// Waits until a message of a thread fulfils a condition.
async fn when(what: &str, thread: &Thread, found: impl Fn(&Message) -> bool) -> Message {
    eventually(what, async || history(thread).await.into_iter().find(|message| found(message))).await
}

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
    // Field 39 is a kind that no version knows yet, 18 a poll, 21 typing, 25 a transcript, which only our own devices send.
    queue_bytes(&disk, 1, &[0xba, 0x02, 0x01, 0x2a]);
    queue_bytes(&disk, 2, &[0x92, 0x01, 0x00]);
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

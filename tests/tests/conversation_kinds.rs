//! What people do with messages besides writing texts: two clients and a real relay.

#![cfg(test)]

use sealpost_core::{Delivery, Error, Message, MessageBody, MessageId, Thread};
use sealpost_testkit::{Party, World, eventually, history};

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

//! Messages that disappear: two clients and a real relay.

#![cfg(test)]

use std::time::Duration;

use sealpost_core::{Delivery, Direction, Error, InvalidContent, MAX_TIMER_S, MessageBody, Thread};
use sealpost_testkit::{ManualClock, Pair, World, eventually, history, newest, open_database, when};

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn bodies(thread: &Thread) -> Vec<MessageBody> {
    history(thread).await.into_iter().map(|message| message.body).collect()
}

fn text(text: &str) -> MessageBody {
    MessageBody::Text(text.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_disappear_on_both_sides_once_they_were_read() {
    let pair = Pair::new().await;
    pair.say("stays").await;
    pair.hers.set_timer(1).await.unwrap();
    assert_eq!(pair.hers.timer().await.unwrap(), 1);
    when("the change", &pair.his, |message| message.body == MessageBody::TimerChanged { seconds: 1 }).await;
    assert_eq!(pair.his.timer().await.unwrap(), 1);
    let sent = pair.hers.send_text("secret").await.unwrap();
    assert_eq!(sent.timer_s, 1);
    let received = when("the message", &pair.his, |message| message.text() == Some("secret")).await;
    // The reply disappears as well, and its quote does not keep the text.
    pair.his.reply(received.id, "really?").await.unwrap();
    let left = [text("stays"), MessageBody::TimerChanged { seconds: 1 }];
    // For the author, the time runs from when the relay accepted it; for him, from when he has read it.
    eventually("hers is gone", async || (!bodies(&pair.hers).await.contains(&text("secret"))).then_some(()))
        .await;
    let unread = history(&pair.his).await.into_iter().find(|message| message.id == received.id).unwrap();
    assert_eq!((unread.expires_ms, unread.direction), (None, Direction::Incoming { read: false }));
    pair.his.mark_read(received.id).await.unwrap();
    eventually("his is gone", async || (bodies(&pair.his).await == left).then_some(())).await;
    let reply = when("the reply", &pair.hers, |message| message.text() == Some("really?")).await;
    assert_eq!(reply.quote.unwrap().text, "");
    pair.hers.mark_read(reply.id).await.unwrap();
    eventually("the reply is gone", async || (bodies(&pair.hers).await == left).then_some(())).await;
    assert!(pair.ben.client.search("secret", 10).await.unwrap().is_empty());

    pair.his.set_timer(0).await.unwrap();
    when("the change", &pair.hers, |message| message.body == MessageBody::TimerChanged { seconds: 0 }).await;
    assert_eq!(pair.hers.send_text("stays, too").await.unwrap().timer_s, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_shows_a_message_that_disappears_as_long_as_it_is_there() {
    let pair = Pair::new().await;
    pair.hers.set_timer(MAX_TIMER_S).await.unwrap();
    let (_, his) = pair.say("here for a year").await;
    // Nothing was announced, as the thread was empty; the first message tells the timer.
    assert_eq!(bodies(&pair.his).await, [text("here for a year")]);
    assert_eq!(pair.his.timer().await.unwrap(), MAX_TIMER_S);
    let reply = pair.his.reply(his, "good").await.unwrap();
    assert_eq!(reply.quote.unwrap().text, "here for a year");
    let reply = when("the reply", &pair.hers, |message| message.text() == Some("good")).await;
    assert_eq!(reply.quote.unwrap().text, "here for a year");
    pair.his.delete_for_me(his).await.unwrap();
    assert_eq!(newest(&pair.his).await.quote.unwrap().text, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_has_at_most_one_year() {
    let pair = Pair::new().await;
    for seconds in [MAX_TIMER_S + 1, 100 * MAX_TIMER_S, u32::MAX] {
        let refused = Error::InvalidContent(InvalidContent::Timer);
        assert_eq!(pair.hers.set_timer(seconds).await.unwrap_err(), refused);
    }
    pair.say("hello").await;
    // It is 0 already.
    pair.hers.set_timer(0).await.unwrap();
    assert_eq!(bodies(&pair.hers).await, [text("hello")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_that_ends_while_the_client_is_closed_is_noticed_when_it_is_opened() {
    let pair = Pair::new().await;
    pair.hers.set_timer(3600).await.unwrap();
    let (_, his) = pair.say("secret").await;
    pair.his.mark_read(his).await.unwrap();
    when("the timer", &pair.his, |message| message.expires_ms.is_some()).await;
    let disk = pair.ben.close().await;
    {
        // An hour passes.
        let database = open_database(disk.database(), &disk.key());
        database.execute("UPDATE message SET expires = expires - 3600000", []).unwrap();
    }
    let ben = disk.open().await;
    let his = ben.thread_with(&pair.ada).await;
    eventually("it is gone", async || history(&his).await.is_empty().then_some(())).await;
    // A change of it that arrives later has no effect.
    pair.hers.delete_for_everyone(newest(&pair.hers).await.id).await.unwrap();
    pair.hers.set_timer(0).await.unwrap();
    when("the change", &his, |_| true).await;
    assert_eq!(bodies(&his).await, [MessageBody::TimerChanged { seconds: 0 }]);
}

#[tokio::test(flavor = "multi_thread")]
async fn setting_the_clock_neither_deletes_a_message_early_nor_keeps_it() {
    let world = World::start().await;
    let ada = world.party("ada").await;
    let clock = ManualClock::at(real_ms());
    let ben = world.disk("ben").with_clock(&clock).open_or_register().await;
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    hers.set_timer(3600).await.unwrap();
    let first = hers.send_text("an hour").await.unwrap();
    ada.message_reaches(&hers, first.id, Delivery::Delivered).await;
    his.mark_read(newest(&his).await.id).await.unwrap();
    let started = when("the timer", &his, |message| message.expires_ms.is_some()).await;

    // His clock is set forward by a day, and then back by two.
    clock.advance(DAY);
    hers.set_timer(1).await.unwrap();
    hers.send_text("a second").await.unwrap();
    let second = when("the message", &his, |message| message.text() == Some("a second")).await;
    his.mark_read(second.id).await.unwrap();
    clock.set(real_ms() - 24 * 3_600_000);
    eventually("the short one is gone", async || {
        (!bodies(&his).await.contains(&text("a second"))).then_some(())
    })
    .await;
    // The long one is still there, also after a restart with a clock that is a day ahead.
    let ben = ben.close().await.with_clock(&ManualClock::at(real_ms() + 24 * 3_600_000)).open().await;
    ben.live().await;
    let his = ben.thread_with(&ada).await;
    // Hers is gone a second after the relay has it, which can be before a receipt arrives.
    hers.send_text("a second, again").await.unwrap();
    let third = when("the message", &his, |message| message.text() == Some("a second, again")).await;
    his.mark_read(third.id).await.unwrap();
    eventually("the short one is gone", async || {
        (!bodies(&his).await.contains(&text("a second, again"))).then_some(())
    })
    .await;
    let left = history(&his).await.remove(0);
    assert_eq!((left.text(), left.expires_ms), (Some("an hour"), started.expires_ms));
}

fn real_ms() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

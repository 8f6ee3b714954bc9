//! Typing and presence: two clients and a real relay, which stores nothing of either.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sealpost_core::{Event, Events, Folder, PrivacySetting};
use sealpost_e2e::KeyUse;
use sealpost_testkit::{
    Interceptor, ManualClock, Pair, PartyDisk, Proxy, World, eventually, history, when, within,
};
use sealpost_wire::Frame;
use sealpost_wire::frame::Body;

/// The next change of who is writing, or of who is there.
async fn change(what: &str, events: &mut Events) -> bool {
    within(what, async {
        loop {
            match events.next().await.unwrap() {
                Ok(Event::TypingChanged { is_typing, .. }) => return is_typing,
                Ok(Event::PresenceChanged { is_present, .. }) => return is_present,
                _ => {}
            }
        }
    })
    .await
}

/// The changes that have been reported by now.
fn changes(events: &mut Events) -> Vec<bool> {
    let mut all = Vec::new();
    while let Some(Some(event)) = futures_util::FutureExt::now_or_never(events.next()) {
        match event {
            Ok(Event::TypingChanged { is_typing, .. }) => all.push(is_typing),
            Ok(Event::PresenceChanged { is_present, .. }) => all.push(is_present),
            _ => {}
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn writing_is_seen_until_the_message_arrives_and_nothing_of_it_is_stored() {
    let pair = Pair::new().await;
    pair.say("hello").await;
    eventually("nothing waits", async || (pair.world.rows_in_mailboxes() == 0).then_some(())).await;
    let mut events = pair.ben.client.events();
    pair.hers.set_typing(true).await.unwrap();
    assert!(change("she is writing", &mut events).await);
    assert_eq!(pair.his.typing(), [pair.ada.client.user_id()]);
    assert_eq!(pair.world.rows_in_mailboxes(), 0, "the relay stores nothing");
    pair.hers.set_typing(false).await.unwrap();
    assert!(!change("she has stopped", &mut events).await);
    // Each key is told, but only the first one leaves within three seconds.
    for _ in 0..50 {
        pair.hers.set_typing(true).await.unwrap();
    }
    assert!(change("she is writing again", &mut events).await);
    let sent = pair.hers.send_text("a message").await.unwrap();
    let received = when("the message", &pair.his, |message| message.text() == Some("a message")).await;
    assert!(!change("the message ends it", &mut events).await);
    assert!(pair.his.typing().is_empty() && changes(&mut events).is_empty());
    // It took no place in the thread, and left no row at either.
    assert_eq!((received.server_seq, history(&pair.his).await.len()), (Some(2), 2));
    pair.ada.message_reaches(&pair.hers, sent.id, sealpost_core::Delivery::Delivered).await;
    assert_eq!(history(&pair.hers).await.len(), 2);
    // It can be switched off.
    pair.ada.client.set_privacy(PrivacySetting::Typing, false).await.unwrap();
    pair.hers.set_typing(true).await.unwrap();
    pair.say("unseen").await;
    assert!(pair.his.typing().is_empty() && changes(&mut events).is_empty());
    pair.ada.client.set_privacy(PrivacySetting::Typing, true).await.unwrap();
    pair.hers.set_typing(true).await.unwrap();
    assert!(change("she is writing once more", &mut events).await);
    eventually("nothing waits", async || (pair.world.rows_in_mailboxes() == 0).then_some(())).await;
}

/// Remembers the ephemeral mail that a client sends and receives. It can keep that which is sent from the relay.
#[derive(Clone, Default)]
struct Watches {
    keys: KeyUse,
    sent: Arc<Mutex<u32>>,
    /// What the relay is told of each: for how many seconds it may hold it, and whether it wakes the recipient for it.
    forms: Arc<Mutex<Vec<(u32, bool)>>>,
    received: Arc<Mutex<Vec<Frame>>>,
    /// A database that is copied when ephemeral mail leaves, and its copy.
    copies: Arc<Mutex<Option<(PathBuf, PathBuf)>>>,
}

impl Watches {
    fn sent(&self) -> u32 {
        *self.sent.lock().unwrap()
    }
}

impl Interceptor for Watches {
    #[expect(clippy::arithmetic_side_effects, reason = "a count of frames")]
    fn up(&self, frame: Frame) -> Vec<Frame> {
        if let Some(Body::Mail(mail)) = &frame.body
            && mail.copies.iter().any(|copy| copy.envelope.as_ref().unwrap().ephemeral)
        {
            *self.sent.lock().unwrap() += 1;
            let envelope = mail.copies[0].envelope.as_ref().unwrap();
            self.forms.lock().unwrap().push((envelope.ttl_s, envelope.urgent));
            if let Some((from, to)) = self.copies.lock().unwrap().take() {
                copy(&from, &to);
            }
        }
        self.keys.up(frame)
    }

    fn down(&self, frame: Frame) -> Vec<Frame> {
        if let Some(Body::DeliverMail(mail)) = &frame.body
            && mail.mail_seq == 0
        {
            self.received.lock().unwrap().push(frame.clone());
        }
        vec![frame]
    }
}

fn now_ms() -> u64 {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(since_1970.as_millis()).unwrap()
}

/// Copies a database and its log.
fn copy(from: &Path, to: &Path) {
    for end in ["", "-wal"] {
        let with_end = |path: &Path| PathBuf::from(format!("{}{end}", path.display()));
        std::fs::copy(with_end(from), with_end(to)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_of_writing_who_is_not_to_know_it() {
    let world = World::start().await;
    let watches = Watches::default();
    let proxy = Proxy::start(world.addr(), watches.clone()).await;
    let ada = world.disk("ada").through(&proxy.url()).asking().register().await;
    let ben = world.party("ben").await;
    let (his, written) = (ben.thread_with(&ada).await, "hello");
    his.send_text(written).await.unwrap();
    let id = eventually("the request", async || {
        let page = ada.client.folder_page(Folder::Requests, None, 1).await.unwrap();
        page.threads.into_iter().next().map(|listed| listed.id)
    });
    let hers = ada.client.thread(id.await).await.unwrap();
    when("the message", &hers, |message| message.text() == Some(written)).await;
    let writes = async |expected: u32| {
        hers.set_typing(true).await.unwrap();
        hers.set_typing(false).await.unwrap();
        // What was sent before this passes the proxy before it.
        ada.client.thread_page(None, 1).await.unwrap();
        eventually("it leaves", async || (watches.sent() >= expected).then_some(())).await;
        assert_eq!(watches.sent(), expected);
    };
    // Nobody who was not accepted.
    writes(0).await;
    hers.accept_request().await.unwrap();
    writes(2).await;
    let (all, off) = (&ada.client, PrivacySetting::Typing);
    all.set_privacy(off, false).await.unwrap();
    writes(2).await;
    all.set_privacy(off, true).await.unwrap();
    hers.set_privacy(off, false).await.unwrap();
    writes(2).await;
    hers.set_privacy(off, true).await.unwrap();
    writes(4).await;
    let contact = ada.client.contact(ben.client.user_id());
    contact.block().await.unwrap();
    writes(4).await;
    contact.unblock().await.unwrap();
    writes(6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_old_or_repeated_is_not_shown() {
    let world = World::start().await;
    let watches = Watches::default();
    let proxy = Proxy::start(world.addr(), watches.clone()).await;
    let clock = ManualClock::at(now_ms());
    let ada = world.disk("ada").with_clock(&clock).register().await;
    let ben = world.disk("ben").through(&proxy.url()).register().await;
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    let first = hers.send_text("hello").await.unwrap();
    ada.message_reaches(&hers, first.id, sealpost_core::Delivery::Delivered).await;
    let mut events = ben.client.events();
    clock.set(clock.now_ms() + 1_000);
    hers.set_typing(true).await.unwrap();
    assert!(change("she is writing", &mut events).await);
    hers.set_typing(false).await.unwrap();
    assert!(!change("she has stopped", &mut events).await);
    // The relay delivers the same again, which opens nothing.
    for frame in watches.received.lock().unwrap().clone() {
        proxy.inject(&frame);
    }
    // What is older than ten seconds shows nothing.
    clock.set(clock.now_ms() - 20_000);
    hers.set_typing(true).await.unwrap();
    clock.set(clock.now_ms() + 20_000);
    eventually("it was delivered", async || (watches.received.lock().unwrap().len() == 3).then_some(()))
        .await;
    hers.send_text("over").await.unwrap();
    when("the message", &his, |message| message.text() == Some("over")).await;
    assert_eq!(changes(&mut events), Vec::<bool>::new());
    assert_eq!(history(&his).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_lasts_5_seconds_presence_60_and_a_call_30_and_what_is_older_has_no_effect() {
    let world = World::start().await;
    let (sending, receiving) = (Watches::default(), Watches::default());
    let up = Proxy::start(world.addr(), sending.clone()).await;
    let down = Proxy::start(world.addr(), receiving.clone()).await;
    let clock = ManualClock::at(now_ms());
    let ada = world.disk("ada").through(&up.url()).with_clock(&clock).register().await;
    let ben = world.disk("ben").through(&down.url()).register().await;
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    let first = hers.send_text("hello").await.unwrap();
    ada.message_reaches(&hers, first.id, sealpost_core::Delivery::Delivered).await;
    // He does not remember when she wrote: typing from before that would have no effect.
    let thread = his.id();
    drop(his);
    let ben = ben.close().await.open().await;
    ben.live().await;
    let his = ben.client.thread(thread).await.unwrap();
    let (mut events, mut calls) = (ben.client.events(), ben.client.calls());
    let contact = ada.client.contact(ben.client.user_id());
    let seconds_ago = |seconds: u64| clock.set(now_ms() - seconds * 1_000);
    // Waits until so many signals with this life have left, and what has left has come.
    let come = async |ttl_s: u32, signals: usize| {
        eventually("the signal", async || {
            let forms = sending.forms.lock().unwrap();
            let left = forms.iter().filter(|(other, _)| *other == ttl_s).count();
            (left >= signals && receiving.received.lock().unwrap().len() == forms.len()).then_some(())
        })
        .await;
        // What came before this was processed before it.
        seconds_ago(0);
        let text = format!("after {signals} of {ttl_s}");
        hers.send_text(&text).await.unwrap();
        when("the message", &his, |message| message.text() == Some(&text)).await;
    };

    // Each signal leaves once too late, and once in time.
    seconds_ago(5 + 6);
    hers.set_typing(true).await.unwrap();
    hers.set_typing(false).await.unwrap();
    seconds_ago(1);
    hers.set_typing(true).await.unwrap();
    assert!(change("she is writing", &mut events).await);
    come(5, 3).await;
    assert_eq!(changes(&mut events), [false], "the message ends it");

    seconds_ago(60 + 6);
    contact.share_presence(true).await.unwrap();
    come(60, 1).await;
    assert_eq!(changes(&mut events), Vec::<bool>::new());
    ada.client.set_foreground(false);
    come(60, 2).await;
    seconds_ago(45);
    ada.client.set_foreground(true);
    assert!(change("she is there", &mut events).await);
    come(60, 3).await;

    seconds_ago(30 + 6);
    let call = hers.call(b"offer", false).await.unwrap();
    come(30, 1).await;
    assert_eq!(futures_util::FutureExt::now_or_never(calls.next()), None);
    hers.hang_up(call).await.unwrap();
    come(30, 2).await;
    seconds_ago(20);
    let call = hers.call(b"offer", false).await.unwrap();
    assert_eq!(within("a call", calls.next()).await.unwrap().call, call);
    come(30, 3).await;
    let mut forms = sending.forms.lock().unwrap().clone();
    forms.dedup();
    assert_eq!(forms, [(5, false), (60, false), (30, true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_when_ephemeral_mail_leaves_uses_its_message_key_for_nothing_else() {
    let world = World::start().await;
    let watches = Watches::default();
    let proxy = Proxy::start(world.addr(), watches.clone()).await;
    let ada = world.disk("ada").through(&proxy.url()).register().await;
    let ben = world.party("ben").await;
    let hers = ada.thread_with(&ben).await;
    let first = hers.send_text("hello").await.unwrap();
    ada.message_reaches(&hers, first.id, sealpost_core::Delivery::Delivered).await;
    let before = watches.keys.judge().unwrap();
    let copy = PartyDisk::new(world.dir(), "ada", &proxy.url());
    let to = world.dir().join("copied.db");
    *watches.copies.lock().unwrap() = Some((copy.database().to_owned(), to.clone()));
    hers.set_typing(true).await.unwrap();
    eventually("it leaves", async || (watches.sent() == 1).then_some(())).await;
    ada.close().await;
    // What the process had on disk when the bytes left.
    self::copy(&to, copy.database());
    let ada = copy.open().await;
    ada.live().await;
    let hers = ada.thread_with(&ben).await;
    hers.set_typing(true).await.unwrap();
    eventually("it leaves", async || (watches.sent() == 2).then_some(())).await;
    assert_eq!(watches.keys.judge(), Ok(before + 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_chosen_contacts_see_that_somebody_is_there_and_when_they_were_last_seen() {
    let pair = Pair::new().await;
    pair.say("hello").await;
    let (mut events, mut hers) = (pair.ben.client.events(), pair.ada.client.events());
    let (ada, ben) = (
        pair.ben.client.contact(pair.ada.client.user_id()),
        pair.ada.client.contact(pair.ben.client.user_id()),
    );
    let unknown = ada.presence().await.unwrap();
    assert_eq!((unknown.is_present, unknown.last_seen_ms), (false, None));
    ben.share_presence(true).await.unwrap();
    assert!(change("she is there", &mut events).await);
    let seen = ada.presence().await.unwrap();
    assert!(seen.is_present && seen.last_seen_ms.is_some());
    // The other direction is chosen by him.
    assert!(!ben.presence().await.unwrap().is_present);
    assert_eq!(changes(&mut hers), Vec::<bool>::new());
    // An app in the background says that it has gone, and so does somebody who stops sharing.
    pair.ada.client.set_foreground(false);
    assert!(!change("she has gone", &mut events).await);
    pair.ada.client.set_foreground(true);
    assert!(change("she is there again", &mut events).await);
    pair.ada.client.set_privacy(PrivacySetting::Presence, false).await.unwrap();
    assert!(!change("she does not tell it", &mut events).await);
    let last = ada.presence().await.unwrap();
    assert!(!last.is_present && last.last_seen_ms >= seen.last_seen_ms);
    assert_eq!(pair.world.rows_in_mailboxes(), 0);
    assert_eq!(history(&pair.his).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_answers_nothing_gets_at_most_500_ephemeral_messages() {
    let world = World::start().await;
    let watches = Watches::default();
    let proxy = Proxy::start(world.addr(), watches.clone()).await;
    let ada = world.disk("ada").through(&proxy.url()).register().await;
    let ben = world.party("ben").await;
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    let first = hers.send_text("hello").await.unwrap();
    ada.message_reaches(&hers, first.id, sealpost_core::Delivery::Delivered).await;
    his.send_text("I am off").await.unwrap();
    when("his message", &hers, |message| message.text() == Some("I am off")).await;
    drop(his);
    let ben = ben.close().await;
    for _ in 0..260 {
        hers.set_typing(true).await.unwrap();
        hers.set_typing(false).await.unwrap();
    }
    // What was sent before this passes the proxy before it.
    let last = hers.send_text("are you there?").await.unwrap();
    ada.message_reaches(&hers, last.id, sealpost_core::Delivery::Sent).await;
    let sent = watches.sent();
    // Her receipt for his message may have been sealed in the session, too.
    assert!((498..=500).contains(&sent), "{sent}");
    // He answers, and learns of it again.
    let ben = ben.open().await;
    ada.message_reaches(&hers, last.id, sealpost_core::Delivery::Delivered).await;
    hers.set_typing(true).await.unwrap();
    eventually("it leaves", async || (watches.sent() == sent + 1).then_some(())).await;
    drop(ben);
}

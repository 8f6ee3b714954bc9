//! What a person decides on one device, on the other devices of the account.

#![cfg(test)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sealpost_core::{
    Delivery, Event, Folder, Message, Notice, NoticeAction, Notices, PrivacySetting, Thread, ThreadId,
    ThreadSummary, TrustState, UserId,
};
use sealpost_testkit::{
    Interceptor, Party, Proxy, World, eventually, history, newest, open_database, texts, within,
};
use sealpost_wire as wire;

/// A person with a phone and a tablet, and somebody with whom both devices have a thread.
struct Linked {
    world: World,
    phone: Party,
    tablet: Party,
    ben: Party,
    /// The thread of the two as the phone, the tablet and he see it.
    hers: Thread,
    theirs: Thread,
    his: Thread,
}

impl Linked {
    async fn new() -> Self {
        let world = World::start().await;
        let (phone, ben) = (world.party("ada").await, world.party("ben").await);
        let tablet = world.companion(&phone, "tablet").await;
        let (hers, his) = (phone.thread_with(&ben).await, ben.thread_with(&phone).await);
        hers.send_text("hello").await.unwrap();
        ben.texts_when(&his, 1).await;
        let theirs = with_text(&tablet, hers.id(), "hello").await;
        Self { world, phone, tablet, ben, hers, theirs, his }
    }
}

/// The thread on this device once it contains this text.
async fn with_text(device: &Party, id: ThreadId, text: &str) -> Thread {
    eventually(text, async || {
        let thread = device.client.thread(id).await.ok()?;
        texts(&thread).await.contains(&text.to_owned()).then_some(thread)
    })
    .await
}

/// The message with this text.
async fn message(thread: &Thread, text: &str) -> Option<Message> {
    history(thread).await.into_iter().find(|message| message.text() == Some(text))
}

async fn summary_when(
    what: &str,
    thread: &Thread,
    is_right: impl Fn(&ThreadSummary) -> bool,
) -> ThreadSummary {
    eventually(what, async || Some(thread.summary().await.unwrap()).filter(&is_right)).await
}

async fn next_notice(notices: &mut Notices) -> Notice {
    let notice = within("a notice", notices.next_batch(1)).await.unwrap().unwrap().remove(0);
    notices.confirm().await.unwrap();
    notice
}

/// The devices of one user whose mail for another one waits at the relay.
fn senders_of_mail(world: &World, from: UserId, to: UserId) -> Vec<u32> {
    let db = rusqlite::Connection::open(world.relay_dir().join("relay.db")).unwrap();
    db.busy_timeout(std::time::Duration::from_secs(60)).unwrap();
    let sql = "SELECT sender_device FROM mail WHERE sender_user = ?1 AND user_id = ?2";
    let mut statement = db.prepare(sql).unwrap();
    let rows = statement.query_map([from.as_bytes(), to.as_bytes()], |row| row.get(0)).unwrap();
    rows.collect::<rusqlite::Result<_>>().unwrap()
}

/// How much mail waits on a device; perhaps only what is sealed.
fn queued(world: &World, name: &str, is_sealed: bool) -> u32 {
    let disk = world.disk(name);
    let sql = "SELECT count(*) FROM mail WHERE bytes IS NOT NULL OR NOT ?1";
    open_database(disk.database(), &disk.key()).query_row(sql, [is_sealed], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_on_one_device_is_read_on_the_other_and_confirmed_once() {
    let Linked { world, phone, tablet, ben, hers, theirs, his } = Linked::new().await;
    let mut notices = tablet.client.notices();
    let sent = his.send_text("are you there?").await.unwrap();
    for (device, thread) in [(&phone, &hers), (&tablet, &theirs)] {
        with_text(device, thread.id(), "are you there?").await;
        assert_eq!(thread.summary().await.unwrap().unread, 1);
    }
    let shown = next_notice(&mut notices).await;
    assert!(matches!(&shown.action, NoticeAction::Show(message) if message.text() == Some("are you there?")));
    ben.message_reaches(&his, sent.id, Delivery::Delivered).await;
    // Both devices have confirmed that they have it. A receipt is queued together with its message.
    for name in ["ada", "tablet"] {
        eventually("nothing is queued", async || (queued(&world, name, false) == 0).then_some(())).await;
    }
    eventually("no mail waits", async || (world.rows_in_mailboxes() == 0).then_some(())).await;
    let (us, them) = (phone.client.user_id(), ben.client.user_id());
    drop(his);
    let ben = ben.close().await;
    hers.mark_read(newest(&hers).await.id).await.unwrap();
    summary_when("it is read", &theirs, |summary| summary.unread == 0).await;
    let taken_back = next_notice(&mut notices).await;
    assert_eq!((taken_back.message, taken_back.action), (shown.message, NoticeAction::Withdraw));
    let is_confirmed = async || (senders_of_mail(&world, us, them) == [1]).then_some(());
    eventually("the phone confirms it", is_confirmed).await;
    // A receipt of the tablet would be at the relay before what it sends now.
    theirs.send_text("yes").await.unwrap();
    with_text(&phone, hers.id(), "yes").await;
    assert_eq!(senders_of_mail(&world, us, them), [1]);
    let ben = ben.open().await;
    let his = with_text(&ben, hers.id(), "yes").await;
    ben.message_reaches(&his, sent.id, Delivery::Read).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_decided_on_one_device_is_so_on_the_other() {
    let Linked { world, phone, tablet, ben, hers, theirs, his } = Linked::new().await;
    let cyd = world.party("cyd").await;
    let of_cyd = cyd.thread_with(&phone).await;
    of_cyd.send_text("buy now").await.unwrap();
    let spam = with_text(&phone, of_cyd.id(), "buy now").await;
    let same_spam = with_text(&tablet, of_cyd.id(), "buy now").await;

    // The timer of a message runs from when it was read on any device.
    his.set_timer(3_600).await.unwrap();
    his.send_text("for an hour").await.unwrap();
    for (device, thread) in [(&phone, &hers), (&tablet, &theirs)] {
        with_text(device, thread.id(), "for an hour").await;
        assert_eq!(message(thread, "for an hour").await.unwrap().expires_ms, None);
    }
    theirs.mark_read(newest(&theirs).await.id).await.unwrap();
    let started = async || message(&hers, "for an hour").await.unwrap().expires_ms;
    let expires_ms = eventually("the timer runs", started).await;
    assert_eq!(message(&theirs, "for an hour").await.unwrap().expires_ms, Some(expires_ms));

    hers.set_muted_until(Some(4_000_000_000_000)).await.unwrap();
    hers.set_pinned(true).await.unwrap();
    hers.set_marked_unread(true).await.unwrap();
    hers.set_draft("perhaps").await.unwrap();
    spam.set_archived(true).await.unwrap();
    let contact = phone.client.contact(ben.client.user_id());
    assert!(contact.verify(&contact.safety_number().await.unwrap()).await.unwrap());
    phone.client.contact(cyd.client.user_id()).block().await.unwrap();
    phone.client.set_privacy(PrivacySetting::ReadReceipts, false).await.unwrap();
    let all = |summary: &ThreadSummary| {
        summary.muted_until_ms == Some(4_000_000_000_000)
            && summary.is_pinned
            && summary.is_marked_unread
            && summary.draft.as_deref() == Some("perhaps")
            && summary.trust == TrustState::Verified
    };
    summary_when("muted, pinned, marked, verified, with a draft", &theirs, all).await;
    let all = |summary: &ThreadSummary| summary.folder == Some(Folder::Archive) && summary.is_blocked;
    summary_when("archived and blocked", &same_spam, all).await;
    let is_off = async || {
        let is_on = tablet.client.privacy(PrivacySetting::ReadReceipts).await.unwrap();
        (!is_on).then_some(())
    };
    eventually("read receipts are off", is_off).await;

    // All of it can be taken back, on the other device.
    theirs.set_muted_until(None).await.unwrap();
    theirs.set_pinned(false).await.unwrap();
    theirs.set_marked_unread(false).await.unwrap();
    theirs.set_draft("").await.unwrap();
    same_spam.set_archived(false).await.unwrap();
    tablet.client.contact(cyd.client.user_id()).unblock().await.unwrap();
    let none = |summary: &ThreadSummary| {
        let is_kept = summary.is_pinned || summary.is_marked_unread || summary.draft.is_some();
        summary.muted_until_ms.is_none() && !is_kept
    };
    summary_when("nothing is set", &hers, none).await;
    let none = |summary: &ThreadSummary| summary.folder == Some(Folder::Chats) && !summary.is_blocked;
    summary_when("in the list and not blocked", &spam, none).await;
}

/// A relay that takes no mail, while it is told not to.
#[derive(Clone, Default)]
struct TakesNoMail(Arc<AtomicBool>);

impl Interceptor for TakesNoMail {
    fn up(&self, frame: wire::Frame) -> Vec<wire::Frame> {
        let is_lost = matches!(frame.body, Some(wire::frame::Body::Mail(_))) && self.0.load(Ordering::SeqCst);
        if is_lost { Vec::new() } else { vec![frame] }
    }
}

/// The tablet has sealed it for the phone alone, and submits that after the laptop has got its bootstrap.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_sealed_before_a_companion_was_linked_reaches_it_although_it_is_sent_later() {
    const UNTIL_MS: u64 = 4_000_000_000_000;
    let (world, relay) = (World::start().await, TakesNoMail::default());
    let proxy = Proxy::start(world.addr(), relay.clone()).await;
    let (phone, ben) = (world.party("ada").await, world.party("ben").await);
    let tablet = world.disk("tablet").through(&proxy.url()).link_to(&phone).await;
    let hers = phone.thread_with(&ben).await;
    hers.send_text("hello").await.unwrap();
    let theirs = with_text(&tablet, hers.id(), "hello").await;
    let is_passed_on = async || {
        let disk = world.disk("ada");
        let sql = "SELECT count(*) FROM bootstrap_out";
        let database = open_database(disk.database(), &disk.key());
        (database.query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap() == 0).then_some(())
    };
    eventually("the tablet has all", is_passed_on).await;
    eventually("nothing is queued", async || (queued(&world, "tablet", false) == 0).then_some(())).await;
    relay.0.store(true, Ordering::SeqCst);
    theirs.set_muted_until(Some(UNTIL_MS)).await.unwrap();
    eventually("it is sealed", async || (queued(&world, "tablet", true) > 0).then_some(())).await;
    drop(theirs);
    let tablet = tablet.close().await;
    let laptop = world.companion(&phone, "laptop").await;
    eventually("the laptop has all", is_passed_on).await;
    let of_laptop = laptop.thread_with(&ben).await;
    assert_eq!(of_laptop.summary().await.unwrap().muted_until_ms, None);
    relay.0.store(false, Ordering::SeqCst);
    let _tablet = tablet.open().await;
    for thread in [&hers, &of_laptop] {
        summary_when("it is muted", thread, |summary| summary.muted_until_ms == Some(UNTIL_MS)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_deleted_for_me_is_deleted_on_the_other_device_too() {
    let Linked { world: _world, phone, tablet: _tablet, ben: _ben, hers, theirs, his } = Linked::new().await;
    let hello = message(&hers, "hello").await.unwrap();
    hers.delete_for_me(hello.id).await.unwrap();
    drop(hers);
    let phone = phone.close().await;
    // 31 seconds later, it cannot be restored. Only then is the other device told.
    {
        let database = open_database(phone.database(), &phone.key());
        let sql = "UPDATE message SET hidden = hidden - 31000 WHERE hidden IS NOT NULL";
        assert_eq!(database.execute(sql, []).unwrap(), 1);
    }
    assert!(message(&theirs, "hello").await.is_some());
    let _phone = phone.open().await;
    let is_gone = async || message(&theirs, "hello").await.is_none().then_some(());
    eventually("the message is deleted", is_gone).await;
    // He still has it.
    assert!(message(&his, "hello").await.is_some());
}

/// What both devices must agree on.
async fn state(thread: &Thread) -> impl PartialEq + std::fmt::Debug + use<> {
    let summary = thread.summary().await.unwrap();
    let is_set = (summary.is_pinned, summary.is_marked_unread, summary.trust, summary.is_blocked);
    (summary.folder, summary.unread, is_set, summary.muted_until_ms, summary.draft)
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_that_change_the_same_while_they_are_offline_agree_in_the_end() {
    let Linked { mut world, phone, tablet, ben, hers, theirs, his } = Linked::new().await;
    for n in 1..=4 {
        his.send_text(&format!("line {n}")).await.unwrap();
    }
    for (device, thread) in [(&phone, &hers), (&tablet, &theirs)] {
        with_text(device, thread.id(), "line 4").await;
    }
    world.stop_relay().await;
    for (thread, until, draft, read) in [(&hers, 1, "phone", "line 3"), (&theirs, 2, "tablet", "line 2")] {
        thread.mark_read(message(thread, read).await.unwrap().id).await.unwrap();
        thread.set_muted_until(Some(4_000_000_000_000 + until)).await.unwrap();
        thread.set_draft(draft).await.unwrap();
        thread.set_pinned(until == 1).await.unwrap();
        thread.set_marked_unread(until == 2).await.unwrap();
        thread.set_archived(until == 1).await.unwrap();
    }
    let other = tablet.client.contact(ben.client.user_id());
    other.block().await.unwrap();
    phone.client.contact(ben.client.user_id()).unblock().await.unwrap();
    world.start_relay().await;
    phone.live().await;
    tablet.live().await;
    // The history that the companion was sent when it was linked may tell it the same before.
    let is_same = async || (state(&hers).await == state(&theirs).await).then_some(());
    eventually("both devices agree", is_same).await;
    for (setting, from, to) in
        [(PrivacySetting::Typing, &phone, &tablet), (PrivacySetting::ReadReceipts, &tablet, &phone)]
    {
        from.client.set_privacy(setting, false).await.unwrap();
        let is_told = async || (!to.client.privacy(setting).await.unwrap()).then_some(());
        eventually("the other device has been told", is_told).await;
    }
    // What is told later changes nothing of it.
    eventually("both devices still agree", is_same).await;
    let summary = hers.summary().await.unwrap();
    // What one of them has read is read.
    assert_eq!(summary.unread, 1);
    assert!(["phone", "tablet"].contains(&summary.draft.unwrap().as_str()));
}

/// The names of the devices of an account on this device, in the order of their numbers.
async fn names(device: &Party) -> Vec<String> {
    let devices = device.client.devices().await.unwrap();
    devices.into_iter().map(|device| device.name.unwrap_or_default()).collect()
}

async fn have_names(devices: &[&Party], expected: &[&str]) {
    for device in devices {
        eventually(&format!("{expected:?}"), async || (names(device).await == expected).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_have_the_same_names_on_all_devices() {
    let world = World::start().await;
    let phone = world.party("ada").await;
    let first = phone.client.device_id();
    // Before there is anybody to tell.
    phone.client.rename_device(first, "phone").await.unwrap();
    let tablet = world.companion(&phone, "tablet").await;
    have_names(&[&phone, &tablet], &["phone", "tablet"]).await;
    let mut events = phone.client.events();
    tablet.client.rename_device(first, "the old phone").await.unwrap();
    tablet.client.rename_device(tablet.client.device_id(), "kitchen").await.unwrap();
    have_names(&[&phone, &tablet], &["the old phone", "kitchen"]).await;
    let renamed = Event::DeviceRenamed { device: first, name: "the old phone".to_owned() };
    within("it is told", async { while events.next().await != Some(Ok(renamed.clone())) {} }).await;
    // One that was off, and one that is new.
    let tablet = tablet.close().await;
    phone.client.rename_device(first, "phone").await.unwrap();
    let laptop = world.companion(&phone, "laptop").await;
    let tablet = tablet.open().await;
    have_names(&[&phone, &tablet, &laptop], &["phone", "kitchen", "laptop"]).await;
    laptop.client.rename_device(laptop.client.device_id(), "work").await.unwrap();
    phone.client.remove_device(tablet.client.device_id()).await.unwrap();
    have_names(&[&phone, &laptop], &["phone", "work"]).await;
}

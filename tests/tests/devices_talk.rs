//! People with several devices who talk: every device has every message once, and what one device does shows on the others.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sealpost_core::{
    Client, Delivery, Direction, MAX_TEXT, Message, MessageBody, Opened, SharedHistory, Thread, ThreadId,
    Undecryptable,
};
use sealpost_testkit::{Interceptor, Party, PartyDisk, Proxy, World, eventually, history};
use sealpost_wire::frame::Body;
use sealpost_wire::{Frame, envelope};

/// Two people with two devices each.
async fn four(world: &World) -> [Party; 4] {
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let (ada2, ben2) = (world.companion(&ada, "ada2").await, world.companion(&ben, "ben2").await);
    [ada, ada2, ben, ben2]
}

/// The thread with this id on a device, once it is there.
async fn thread_on(device: &Party, id: ThreadId) -> Thread {
    eventually("the thread is there", async || device.client.thread(id).await.ok()).await
}

/// The message with this text on a device, once it is there and satisfies a condition.
async fn message_on(
    device: &Party,
    thread: ThreadId,
    text: &str,
    is_right: impl Fn(&Message) -> bool,
) -> Message {
    let thread = thread_on(device, thread).await;
    eventually("the message is there", async || {
        let all = history(&thread).await;
        let mut found = all.into_iter().filter(|message| message.body == MessageBody::Text(text.to_owned()));
        let message = found.next().filter(&is_right)?;
        assert_eq!(found.next(), None, "{text} is there once");
        Some(message)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_device_sends_is_on_all_devices_of_both_and_is_ours_on_our_own() {
    let world = World::start().await;
    let [ada, ada2, ben, ben2] = four(&world).await;
    let (thread, all) = (ada.thread_with(&ben).await, [&ada, &ada2, &ben, &ben2]);
    let id = thread.id();
    let is_from = |device: &Party, sender: &Party, message: &Message| {
        let is_ours = matches!(message.direction, Direction::Outgoing(_));
        message.sender == sender.client.user_id() && is_ours == (device.client.user_id() == message.sender)
    };
    thread.send_text("from ada's first").await.unwrap();
    for device in all {
        message_on(device, id, "from ada's first", |message| is_from(device, &ada, message)).await;
    }
    thread_on(&ada2, id).await.send_text("from ada's second").await.unwrap();
    thread_on(&ben2, id).await.send_text("from ben's second").await.unwrap();
    thread_on(&ben, id).await.send_text("from ben's first").await.unwrap();
    for device in all {
        for (text, sender) in
            [("from ada's second", &ada), ("from ben's second", &ben), ("from ben's first", &ben)]
        {
            message_on(device, id, text, |message| is_from(device, sender, message)).await;
        }
    }
    // What is ours is not unread, and is no request.
    for device in [&ada, &ada2] {
        let summary = thread_on(device, id).await.summary().await.unwrap();
        assert_eq!((summary.unread, summary.is_request), (2, false));
        assert_eq!(summary.others[0], ben.client.user_id());
    }
    // One of Ben's devices has them, then he reads them there; both of Ada's devices show it for what either has sent.
    let has = |state: Delivery| move |message: &Message| message.direction == Direction::Outgoing(state);
    for (device, text) in [(&ada, "from ada's second"), (&ada2, "from ada's first")] {
        message_on(device, id, text, has(Delivery::Delivered)).await;
    }
    let last = message_on(&ben2, id, "from ada's second", |_| true).await;
    thread_on(&ben2, id).await.mark_read(last.id).await.unwrap();
    for device in [&ada, &ada2] {
        for text in ["from ada's first", "from ada's second"] {
            message_on(device, id, text, has(Delivery::Read)).await;
        }
    }
}

/// A person with a primary device and four companions.
async fn five(world: &World, name: &str) -> Vec<Party> {
    let mut devices = vec![world.party(name).await];
    for n in 2..=5 {
        let companion = world.companion(&devices[0], &format!("{name}{n}")).await;
        devices.push(companion);
    }
    devices
}

/// The copies for nine devices would need ten times as much space as one frame has.
#[tokio::test(flavor = "multi_thread")]
async fn the_longest_text_reaches_ten_devices() {
    let world = World::start().await;
    let (adas, bens) = tokio::join!(five(&world, "ada"), five(&world, "ben"));
    let thread = adas[0].thread_with(&bens[0]).await;
    let longest = |letter: &str| letter.repeat(MAX_TEXT);
    // At first, each device begins a session with the others; then there are sessions.
    thread.send_text(&longest("a")).await.unwrap();
    for device in adas.iter().chain(&bens) {
        message_on(device, thread.id(), &longest("a"), |_| true).await;
    }
    for (sender, letter) in [(&bens[4], "b"), (&adas[0], "c")] {
        thread_on(sender, thread.id()).await.send_text(&longest(letter)).await.unwrap();
        for device in adas.iter().chain(&bens) {
            let user = sender.client.user_id();
            message_on(device, thread.id(), &longest(letter), |message| message.sender == user).await;
        }
    }
}

/// A relay that changes the part of messages that several devices share.
#[derive(Clone, Default)]
struct Damages(Arc<Mutex<Vec<Frame>>>);

impl Interceptor for Damages {
    fn down(&self, mut frame: Frame) -> Vec<Frame> {
        let mut held = self.0.lock().unwrap();
        let intact = frame.clone();
        if let Some(Body::Deliver(deliver)) = &mut frame.body
            && let Some(envelope) = &mut deliver.envelope
            && matches!(envelope.kind, envelope::SIGNAL_WITH_SHARED | envelope::PRE_KEY_WITH_SHARED)
            && held.is_empty()
        {
            let mut bytes = envelope.ciphertext.to_vec();
            *bytes.last_mut().unwrap() ^= 1;
            envelope.ciphertext = bytes.into();
            held.push(intact);
        }
        vec![frame]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_shared_part_opens_nothing_and_the_intact_one_is_still_opened() {
    let (world, damages) = (World::start().await, Damages::default());
    let proxy = Proxy::start(world.addr(), damages.clone()).await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let tablet = world.disk("tablet").through(&proxy.url()).link_to(&ben).await;
    let thread = ada.thread_with(&ben).await;
    let long = "long".repeat(5_000);
    thread.send_text(&long).await.unwrap();
    message_on(&ben, thread.id(), &long, |_| true).await;
    let on_tablet = thread_on(&tablet, thread.id()).await;
    let refused = MessageBody::Undecryptable(Undecryptable::NotDecryptable);
    eventually("it is refused", async || {
        history(&on_tablet).await.iter().any(|message| message.body == refused).then_some(())
    })
    .await;
    let intact = damages.0.lock().unwrap().remove(0);
    // Nothing else is damaged.
    damages.0.lock().unwrap().push(intact.clone());
    proxy.inject(&intact);
    message_on(&tablet, thread.id(), &long, |_| true).await;
    assert_eq!(history(&on_tablet).await.len(), 1);
    thread.send_text(&long.to_uppercase()).await.unwrap();
    message_on(&tablet, thread.id(), &long.to_uppercase(), |_| true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_made_on_one_device_show_on_the_others() {
    let world = World::start().await;
    let [ada, ada2, ben, ben2] = four(&world).await;
    let id = ada.thread_with(&ben).await.id();
    let (first, second) = (thread_on(&ada, id).await, {
        thread_on(&ada, id).await.send_text("hello").await.unwrap();
        thread_on(&ada2, id).await
    });
    thread_on(&ben, id).await.send_text("answer").await.unwrap();
    // Her second device edits what her first has sent, and reacts and pins.
    let hello = message_on(&ada2, id, "hello", |_| true).await;
    second.edit(hello.id, "hello, edited").await.unwrap();
    let answer = message_on(&ada2, id, "answer", |_| true).await;
    second.react(answer.id, "👍").await.unwrap();
    second.pin(answer.id).await.unwrap();
    second.set_timer(3_600).await.unwrap();
    for device in [&ada, &ada2, &ben, &ben2] {
        message_on(device, id, "hello, edited", |message| message.edited_ms.is_some()).await;
        let is_ours = device.client.user_id() == ada.client.user_id();
        let reacted = |message: &Message| message.reactions.iter().any(|count| count.is_ours == is_ours);
        message_on(device, id, "answer", reacted).await;
        let thread = thread_on(device, id).await;
        eventually("it is pinned", async || (thread.pinned().await.unwrap().len() == 1).then_some(())).await;
        eventually("the timer is set", async || (thread.timer().await.unwrap() == 3_600).then_some(())).await;
    }
    let edited = message_on(&ada, id, "hello, edited", |_| true).await;
    first.delete_for_everyone(edited.id).await.unwrap();
    for device in [&ada, &ada2, &ben, &ben2] {
        let thread = thread_on(device, id).await;
        let is_deleted = |message: &Message| message.body == MessageBody::Deleted;
        eventually("it is deleted", async || history(&thread).await.iter().any(is_deleted).then_some(()))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_to_self_reach_our_other_devices_and_nobody_else() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let note = ada.client.note_to_self().await.unwrap();
    note.send_text("before there was a companion").await.unwrap();
    let id = note.id();
    let ada2 = world.companion(&ada, "ada2").await;
    thread_on(&ada, id).await.send_text("one").await.unwrap();
    let one = message_on(&ada2, id, "one", |_| true).await;
    assert_eq!(one.direction, Direction::Outgoing(Delivery::Sent));
    thread_on(&ada2, id).await.send_text("two").await.unwrap();
    message_on(&ada, id, "two", |message| message.direction == Direction::Outgoing(Delivery::Sent)).await;
    let texts: Vec<_> =
        history(&thread_on(&ada, id).await).await.into_iter().map(|message| message.body).collect();
    let expected =
        ["before there was a companion", "one", "two"].map(|text| MessageBody::Text(text.to_owned()));
    assert!(texts == expected || texts.iter().rev().eq(expected.iter()), "{texts:?}");
    assert!(ben.client.threads().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_offline_gets_what_was_sent_meanwhile_by_all_others() {
    let world = World::start().await;
    let [ada, ada2, ben, ben2] = four(&world).await;
    let id = ada.thread_with(&ben).await.id();
    thread_on(&ada, id).await.send_text("0").await.unwrap();
    message_on(&ada2, id, "0", |_| true).await;
    message_on(&ben2, id, "0", |_| true).await;
    let (ada2, ben2) = (ada2.close().await, ben2.close().await);
    for round in 0..20 {
        let device = if round % 2 == 0 { &ada } else { &ben };
        thread_on(device, id).await.send_text(&format!("round {round}")).await.unwrap();
    }
    let (ada2, ben2) = (ada2.open().await, ben2.open().await);
    let mut orders = Vec::new();
    for device in [&ada, &ada2, &ben, &ben2] {
        for round in 0..20 {
            message_on(device, id, &format!("round {round}"), |_| true).await;
        }
        let all = history(&thread_on(device, id).await).await;
        orders.push(all.into_iter().map(|message| message.body).collect::<Vec<_>>());
    }
    assert_eq!(orders[0].len(), 21);
    assert!(orders.windows(2).all(|two| two[0] == two[1]), "all devices show the same order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_companion_that_is_not_registered_yet_delays_nothing() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let Opened::Unregistered(new) = Client::open(world.disk("ada2").config()).await.unwrap() else {
        panic!("it is new")
    };
    let linking = new.link("ada2").await.unwrap();
    let (pending, digits) = tokio::join!(ada.client.link(linking.code()), linking.digits());
    digits.unwrap();
    let pending = pending.unwrap();
    // From here on, it is on her list.
    pending.confirm("ada2", SharedHistory::Nothing).await.unwrap();
    let thread = ada.thread_with(&ben).await;
    let sent = thread.send_text("to ben").await.unwrap();
    ada.message_reaches(&thread, sent.id, Delivery::Delivered).await;
    let note = ada.client.note_to_self().await.unwrap();
    let kept = note.send_text("to myself").await.unwrap();
    ada.message_reaches(&note, kept.id, Delivery::Sent).await;
    // Then it is there.
    let client = linking.finish().await.unwrap();
    thread.send_text("to both").await.unwrap();
    let thread = eventually("it has the thread", async || client.thread(thread.id()).await.ok()).await;
    let is_there = async || (sealpost_testkit::texts(&thread).await == ["to both"]).then_some(());
    eventually("it has what was sent since then", is_there).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_on_one_device_accepts_a_request_on_all() {
    let world = World::start().await;
    let ada = world.party("ada").await;
    let ben = world.disk("ben").asking().register().await;
    let ben2 = world.disk("ben2").asking().link_to(&ben).await;
    let hers = ada.thread_with(&ben).await;
    hers.send_text("hello").await.unwrap();
    for device in [&ben, &ben2] {
        message_on(device, hers.id(), "hello", |_| true).await;
        assert!(thread_on(device, hers.id()).await.summary().await.unwrap().is_request);
    }
    thread_on(&ben2, hers.id()).await.send_text("who are you?").await.unwrap();
    for device in [&ben, &ben2] {
        message_on(device, hers.id(), "who are you?", |_| true).await;
        assert!(!thread_on(device, hers.id()).await.summary().await.unwrap().is_request);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_begins_no_thread_on_a_new_companion_keeps_nothing_else_from_it() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let thread = ada.thread_with(&ben).await;
    let id = thread.id();
    thread.send_text("before").await.unwrap();
    message_on(&ben, id, "before", |_| true).await;
    let ada2 = world.companion(&ada, "ada2").await;
    // The first that it gets of either is about a message that it does not have.
    for device in [&ada, &ben] {
        let before = message_on(device, id, "before", |_| true).await;
        thread_on(device, id).await.react(before.id, "👍").await.unwrap();
    }
    for device in [&ada, &ben] {
        message_on(device, id, "before", |message| message.reactions.iter().any(|count| count.count == 2))
            .await;
    }
    for (device, text) in [(&ada, "from ada"), (&ben, "from ben")] {
        thread_on(device, id).await.send_text(text).await.unwrap();
        message_on(&ada2, id, text, |_| true).await;
    }
}

/// A device of one of two people.
struct Slot {
    person: usize,
    /// It was not removed.
    is_there: bool,
    /// It is open, or closed.
    device: Option<Party>,
    disk: Option<PartyDisk>,
    /// What it must have in the end.
    expected: Vec<String>,
}

impl Slot {
    async fn open(&mut self) {
        if let Some(disk) = self.disk.take() {
            self.device = Some(disk.open().await);
        }
    }

    /// It has what was sent while it was there, each once, and nothing else.
    async fn has_all(&self, id: ThreadId, seed: u64) {
        if self.expected.is_empty() {
            return;
        }
        let thread = thread_on(self.device.as_ref().unwrap(), id).await;
        let mut texts = eventually(&format!("all has come, seed {seed}"), async || {
            let texts = sealpost_testkit::texts(&thread).await;
            (texts.len() >= self.expected.len()).then_some(texts)
        })
        .await;
        let mut expected = self.expected.clone();
        texts.sort();
        expected.sort();
        assert_eq!(texts, expected, "seed {seed}");
    }
}

/// Waits until the relay has what these have sent.
async fn are_sent(
    slots: &[Slot],
    pending: &mut Vec<(usize, String)>,
    id: ThreadId,
    is_one: impl Fn(usize) -> bool,
) {
    for (sender, text) in pending.extract_if(.., |(sender, _)| is_one(*sender)) {
        let device = slots[sender].device.as_ref().unwrap();
        message_on(device, id, &text, |message| message.server_seq.is_some()).await;
    }
}

/// Devices come and go while two people talk. In the end, every device has exactly what was sent since it was there, once.
#[tokio::test(flavor = "multi_thread")]
async fn every_device_has_once_what_was_sent_while_it_was_a_device() {
    for seed in 1..=2_u64 {
        come_and_go(seed).await;
    }
}

async fn come_and_go(seed: u64) {
    let rng = &mut StdRng::seed_from_u64(seed);
    let world = World::start().await;
    let slot = |person, device| Slot {
        person,
        is_there: true,
        device: Some(device),
        disk: None,
        expected: Vec::new(),
    };
    let mut slots = vec![slot(0, world.party("ada").await), slot(1, world.party("ben").await)];
    let (ada, ben) = (slots[0].device.as_ref().unwrap(), slots[1].device.as_ref().unwrap());
    let users = [ada.client.user_id(), ben.client.user_id()];
    let id = ada.thread_with(ben).await.id();
    let mut pending = Vec::new();
    for step in 0..30 {
        let at = rng.random_range(0..slots.len());
        match rng.random_range(0..10) {
            // A further device of this person.
            0 | 1
                if slots.iter().filter(|slot| slot.person == slots[at].person && slot.is_there).count()
                    < 5 =>
            {
                are_sent(&slots, &mut pending, id, |_| true).await;
                let person = slots[at].person;
                let primary = slots.iter().position(|slot| slot.person == person).unwrap();
                slots[primary].open().await;
                let name = format!("{person}-{}", slots.len());
                let companion = world.companion(slots[primary].device.as_ref().unwrap(), &name).await;
                slots.push(slot(person, companion));
            }
            // A companion is removed.
            4 if at > 1 && slots[at].is_there => {
                are_sent(&slots, &mut pending, id, |_| true).await;
                let primary = slots.iter().position(|slot| slot.person == slots[at].person).unwrap();
                slots[primary].open().await;
                slots[at].open().await;
                // It has all that was sent before, so that nothing is on its way to it.
                slots[at].has_all(id, seed).await;
                let number = slots[at].device.as_ref().unwrap().client.device_id();
                slots[primary].device.as_ref().unwrap().client.remove_device(number).await.unwrap();
                slots[at].is_there = false;
            }
            2 if slots[at].is_there && slots[at].device.is_some() => {
                are_sent(&slots, &mut pending, id, |sender| sender == at).await;
                let device = slots[at].device.take().unwrap();
                slots[at].disk = Some(device.close().await);
            }
            3 => slots[at].open().await,
            _ => {
                let Some(device) = slots[at].device.as_ref().filter(|_| slots[at].is_there) else { continue };
                let text = format!("{step} of {at}");
                let thread = device.client.direct_thread(users[1 - slots[at].person]).await.unwrap();
                assert_eq!(thread.id(), id);
                thread.send_text(&text).await.unwrap();
                let there = slots.iter_mut().filter(|slot| slot.is_there);
                there.for_each(|slot| slot.expected.push(text.clone()));
                pending.push((at, text));
            }
        }
    }
    for slot in &mut slots {
        slot.open().await;
    }
    for slot in &slots {
        slot.has_all(id, seed).await;
    }
}

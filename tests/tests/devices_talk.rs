//! People with several devices who talk: every device has every message once, and what one device does shows on the others.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rusqlite::params;
use sealpost_core::{Delivery, Direction, Message, MessageBody, Thread, ThreadId};
use sealpost_e2e::open_database;
use sealpost_protocol::device::{
    AccountKeyPair, DeviceBinding, DeviceEntry, DeviceList, SignedDeviceList, VerifiedDeviceList,
};
use sealpost_protocol::{DeviceId, IdentityKeyPair};
use sealpost_testkit::{Party, PartyDisk, World, eventually, history};

/// Signs the next list of an account, on which a further device is, and stores it on both devices.
fn list_with(primary: &PartyDisk, companion: &PartyDisk, number: u32) -> VerifiedDeviceList {
    let rng = &mut rand::rng();
    let database = open_database(primary.database(), &primary.key());
    let sql = "SELECT account.account_key, list, user_id FROM account JOIN device_list USING (user_id)";
    let (key, list, user): (Vec<u8>, Vec<u8>, [u8; 16]) =
        database.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    let key = AccountKeyPair::from_bytes(&key).unwrap();
    let known = SignedDeviceList::parse(&list).unwrap().verify(&user).unwrap();
    let theirs = open_database(companion.database(), &companion.key());
    let identity: Vec<u8> = theirs.query_row("SELECT identity FROM account", [], |row| row.get(0)).unwrap();
    let identity = IdentityKeyPair::from_bytes(&identity).unwrap();
    let device = DeviceId::new(number).unwrap();
    let binding = DeviceBinding::sign(&user, device, &identity, &key.public(), rng);
    let entry = DeviceEntry { device, identity: *identity.public(), added_ms: 1, is_primary: false, binding };
    let entries = known.devices().iter().cloned().chain([entry]).collect();
    let list = DeviceList::new(known.version() + 1, entries).unwrap().sign(&user, &key, rng);
    let list = list.verify(&user).unwrap();
    let account = "UPDATE account SET user_id = ?1, device_id = ?2, access_token = '', access_expires = 0";
    theirs.execute(account, params![user, number]).unwrap();
    database.execute("UPDATE account SET list_told = ?1", [list.version()]).unwrap();
    for database in [database, theirs] {
        database.execute("DELETE FROM device_list WHERE user_id <> ?1", [user]).unwrap();
        database
            .execute(
                "INSERT OR REPLACE INTO device_list (user_id, account_key, version, digest, list)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    user,
                    list.account_key().serialize(),
                    list.version(),
                    list.digest(),
                    list.serialize()
                ],
            )
            .unwrap();
    }
    list
}

/// A companion of an account, as linking makes one: it is registered as an account of its own, which becomes a device of the other.
async fn with_companion(world: &World, primary: Party, name: &str, number: u32) -> (Party, Party) {
    let user = primary.client.user_id();
    let companion = world.party(name).await;
    let before = companion.client.user_id();
    let (primary, companion) = (primary.close().await, companion.close().await);
    let list = list_with(&primary, &companion, number);
    let relay = rusqlite::Connection::open(world.relay_dir().join("relay.db")).unwrap();
    relay.busy_timeout(std::time::Duration::from_secs(60)).unwrap();
    for table in ["device", "mailbox", "token_family", "signed_pre_key", "one_time_pre_key", "pre_key_mark"] {
        let sql = format!("UPDATE {table} SET user_id = ?1, device_id = ?2 WHERE user_id = ?3");
        relay.execute(&sql, params![user.as_bytes(), number, before.as_bytes()]).unwrap();
    }
    for table in ["account", "device_list"] {
        relay.execute(&format!("DELETE FROM {table} WHERE user_id = ?1"), [before.as_bytes()]).unwrap();
    }
    // The list is at the relay before the companion is.
    let newer = "UPDATE device_list SET version = ?2, list = ?3 WHERE user_id = ?1";
    relay.execute(newer, params![user.as_bytes(), list.version(), list.serialize()]).unwrap();
    (primary.open().await, companion.open().await)
}

/// Two people with two devices each.
async fn four(world: &World) -> [Party; 4] {
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let (ada, ada2) = with_companion(world, ada, "ada2", 2).await;
    let (ben, ben2) = with_companion(world, ben, "ben2", 2).await;
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
    let (ada, ada2) = with_companion(&world, ada, "ada2", 2).await;
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

/// A device of one of two people.
struct Slot {
    person: usize,
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
    let slot = |person, device| Slot { person, device: Some(device), disk: None, expected: Vec::new() };
    let mut slots = vec![slot(0, world.party("ada").await), slot(1, world.party("ben").await)];
    let (ada, ben) = (slots[0].device.as_ref().unwrap(), slots[1].device.as_ref().unwrap());
    let users = [ada.client.user_id(), ben.client.user_id()];
    let id = ada.thread_with(ben).await.id();
    let mut pending = Vec::new();
    for step in 0..30 {
        let at = rng.random_range(0..slots.len());
        match rng.random_range(0..10) {
            // A further device of this person.
            0 | 1 if slots.iter().filter(|slot| slot.person == slots[at].person).count() < 5 => {
                are_sent(&slots, &mut pending, id, |_| true).await;
                let person = slots[at].person;
                let number = slots.iter().filter(|slot| slot.person == person).count() + 1;
                let primary = slots.iter().position(|slot| slot.person == person).unwrap();
                slots[primary].open().await;
                let open = slots[primary].device.take().unwrap();
                let name = format!("{person}-{number}");
                let (open, companion) =
                    with_companion(&world, open, &name, u32::try_from(number).unwrap()).await;
                slots[primary].device = Some(open);
                slots.push(slot(person, companion));
            }
            2 if slots[at].device.is_some() => {
                are_sent(&slots, &mut pending, id, |sender| sender == at).await;
                let device = slots[at].device.take().unwrap();
                slots[at].disk = Some(device.close().await);
            }
            3 => slots[at].open().await,
            _ => {
                let Some(device) = &slots[at].device else { continue };
                let text = format!("{step} of {at}");
                let thread = device.client.direct_thread(users[1 - slots[at].person]).await.unwrap();
                assert_eq!(thread.id(), id);
                thread.send_text(&text).await.unwrap();
                slots.iter_mut().for_each(|slot| slot.expected.push(text.clone()));
                pending.push((at, text));
            }
        }
    }
    for slot in &mut slots {
        slot.open().await;
    }
    for (at, slot) in slots.iter().enumerate() {
        let device = slot.device.as_ref().unwrap();
        if slot.expected.is_empty() {
            continue;
        }
        let thread = thread_on(device, id).await;
        let texts = eventually(&format!("all has come to {at}, seed {seed}"), async || {
            let texts = sealpost_testkit::texts(&thread).await;
            (texts.len() >= slot.expected.len()).then_some(texts)
        })
        .await;
        let mut sorted = (texts.clone(), slot.expected.clone());
        sorted.0.sort();
        sorted.1.sort();
        assert_eq!(sorted.0, sorted.1, "device {at}, seed {seed}");
    }
}

//! Devices of two people come and go while they talk. At the end, every device that was linked when a message was written has it once, no
//! device has one from before it was linked, and all devices show what they have in the same order.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sealpost_core::{Delivery, DeviceId, History, MessageBody, MessageId, Thread, Undecryptable, UserId};
use sealpost_testkit::{Party, PartyDisk, World, eventually, history, within};

const STEPS: usize = 40;
/// More would only make it slower.
const MAX_DEVICES: usize = 3;

/// A device, which is open or closed.
struct Device {
    /// The person, 0 or 1.
    of: usize,
    number: DeviceId,
    disk: PartyDisk,
    party: Option<Party>,
    /// The moments at which it began to be linked, and at which it was.
    linked: (usize, usize),
}

/// A text that was written.
struct Said {
    text: String,
    by: (usize, DeviceId),
    id: MessageId,
    written: usize,
    /// When it was seen that the relay had stored it.
    stored: Option<usize>,
    /// Its author was removed before it was certain that everybody had it.
    is_uncertain: bool,
}

struct Talk {
    world: World,
    random: StdRng,
    users: [UserId; 2],
    devices: Vec<Device>,
    said: Vec<Said>,
    /// Counts what has happened.
    now: usize,
    /// Whether a device was removed while what it had written was on its way.
    has_uncertain: bool,
}

impl Talk {
    async fn begin(seed: u64) -> Self {
        let world = World::start().await;
        let (mut users, mut devices) = (Vec::new(), Vec::new());
        for (of, name) in ["ada 1", "ben 1"].into_iter().enumerate() {
            let party = world.party(name).await;
            users.push(party.client.user_id());
            let (number, disk) = (party.client.device_id(), world.disk(name));
            devices.push(Device { of, number, disk, party: Some(party), linked: (0, 0) });
        }
        let (random, users) = (StdRng::seed_from_u64(seed), users.try_into().unwrap());
        let mut talk = Self { world, random, users, devices, said: Vec::new(), now: 0, has_uncertain: false };
        // The relay stores few messages before both have written.
        for at in 0..2 {
            talk.say(at).await;
            talk.until_stored(at).await;
            let other = talk.devices[1 - at].party.as_ref().unwrap();
            other.texts_when(&talk.thread(1 - at).await, 1 + at).await;
        }
        talk
    }

    fn tick(&mut self) -> usize {
        self.now += 1;
        self.now
    }

    /// Any of the devices for which this holds.
    fn any(&mut self, holds: impl Fn(&Device) -> bool) -> Option<usize> {
        let all: Vec<_> = (0..self.devices.len()).filter(|at| holds(&self.devices[*at])).collect();
        (!all.is_empty()).then(|| all[self.random.random_range(0..all.len())])
    }

    async fn thread(&self, at: usize) -> Thread {
        let device = &self.devices[at];
        device.party.as_ref().unwrap().thread_with_user(self.users[1 - device.of]).await
    }

    async fn step(&mut self) {
        match self.random.random_range(0..12) {
            0..=5 => {
                let Some(at) = self.any(|device| device.party.is_some()) else { return };
                within("a device writes", self.say(at)).await;
                if self.random.random() {
                    self.until_stored(at).await;
                }
            }
            6..=7 => within("a device is linked", self.link()).await,
            8 => within("a device is removed", self.remove()).await,
            9 => within("a device leaves", self.leave()).await,
            _ => within("a device is opened or closed", self.open_or_close()).await,
        }
    }

    async fn say(&mut self, at: usize) {
        let (text, written) = (format!("message {}", self.said.len()), self.tick());
        let id = self.thread(at).await.send_text(&text).await.unwrap().id;
        let by = (self.devices[at].of, self.devices[at].number);
        self.said.push(Said { text, by, id, written, stored: None, is_uncertain: false });
    }

    /// Waits until the relay has all that a device has written.
    async fn until_stored(&mut self, at: usize) {
        let thread = self.thread(at).await;
        let device = &self.devices[at];
        let party = device.party.as_ref().unwrap();
        let now = self.now + 1;
        for said in self.said.iter_mut().filter(|said| said.by == (device.of, device.number)) {
            if said.stored.is_none() {
                party.message_reaches(&thread, said.id, Delivery::Sent).await;
                said.stored = Some(now);
            }
        }
        self.tick();
    }

    /// Links a device while another one writes.
    async fn link(&mut self) {
        let of = self.random.random_range(0..2);
        let count = self.devices.iter().filter(|device| device.of == of).count();
        let is_primary = |device: &Device| device.of == of && device.number == DeviceId::PRIMARY;
        let primary = self.any(|device| is_primary(device) && device.party.is_some());
        let (Some(primary), true) = (primary, count < MAX_DEVICES) else { return };
        let began = self.tick();
        let disk = self.world.disk(&format!("{} linked at {began}", ["ada", "ben"][of]));
        let writer = self.any(|device| device.party.is_some()).unwrap();
        let linking = disk.clone().link_to(self.devices[primary].party.as_ref().unwrap());
        // The borrow of the devices ends before the next statement.
        let thread = self.thread(writer).await;
        let by = (self.devices[writer].of, self.devices[writer].number);
        let pauses: Vec<u64> = (0..3).map(|_| self.random.random_range(0..700)).collect();
        let first = self.said.len();
        let writing = async {
            let mut written = Vec::new();
            for (n, pause) in pauses.into_iter().enumerate() {
                tokio::time::sleep(Duration::from_millis(pause)).await;
                let text = format!("message {}", first + n);
                let id = thread.send_text(&text).await.unwrap().id;
                written.push((text, id));
            }
            written
        };
        let (party, written) = tokio::join!(linking, writing);
        for (text, id) in written {
            let written = began + 1;
            self.said.push(Said { text, by, id, written, stored: None, is_uncertain: false });
        }
        self.tick();
        let linked = (began, self.tick());
        let number = party.client.device_id();
        self.devices.push(Device { of, number, disk, party: Some(party), linked });
    }

    /// What this device has written may be lost, or may come to some only.
    async fn goes(&mut self, at: usize) {
        if self.devices[at].party.is_some() && self.random.random() {
            self.until_stored(at).await;
            // The others have it.
            let (world, others) = (&self.world, self.devices.iter().filter(|device| device.party.is_none()));
            if others.count() == 0 {
                eventually("all have received", async || (world.rows_in_mailboxes() == 0).then_some(()))
                    .await;
                return;
            }
        }
        let by = (self.devices[at].of, self.devices[at].number);
        for said in self.said.iter_mut().filter(|said| said.by == by) {
            (said.is_uncertain, self.has_uncertain) = (true, true);
        }
    }

    async fn remove(&mut self) {
        let Some(at) = self.any(|device| device.number != DeviceId::PRIMARY) else { return };
        let of = self.devices[at].of;
        let is_primary = |device: &Device| device.of == of && device.number == DeviceId::PRIMARY;
        let Some(primary) = self.any(|device| is_primary(device) && device.party.is_some()) else { return };
        self.goes(at).await;
        let gone = self.devices[at].number;
        self.devices[primary].party.as_ref().unwrap().client.remove_device(gone).await.unwrap();
        self.devices.remove(at);
        self.tick();
    }

    async fn leave(&mut self) {
        let is_open = |device: &Device| device.number != DeviceId::PRIMARY && device.party.is_some();
        let Some(at) = self.any(is_open) else { return };
        self.goes(at).await;
        let gone = self.devices.remove(at);
        gone.party.unwrap().client.log_out(History::Delete).await.unwrap();
        self.tick();
    }

    async fn open_or_close(&mut self) {
        let at = self.random.random_range(0..self.devices.len());
        let device = &mut self.devices[at];
        match device.party.take() {
            Some(party) => drop(party.close().await),
            None => device.party = Some(device.disk.clone().open().await),
        }
        self.tick();
    }

    /// Whether a device must have a message.
    fn must_have(device: &Device, said: &Said) -> bool {
        device.linked.1 < said.written && !said.is_uncertain
    }

    /// Whether a device cannot have a message.
    fn must_lack(device: &Device, said: &Said) -> bool {
        said.stored.is_some_and(|stored| stored < device.linked.0)
    }

    async fn end(mut self) {
        for device in &mut self.devices {
            if device.party.is_none() {
                device.party = Some(device.disk.clone().open().await);
            }
        }
        // The answer for what a device had written when it was closed comes when it is open again; until then, it is shown last there.
        for at in 0..self.devices.len() {
            self.until_stored(at).await;
        }
        let mut all = Vec::new();
        for (at, device) in self.devices.iter().enumerate() {
            let thread = self.thread(at).await;
            let expected: BTreeSet<_> = self
                .said
                .iter()
                .filter(|said| Self::must_have(device, said))
                .map(|said| &said.text)
                .collect();
            let what = format!("device {} of {} has everything", device.number, device.of);
            eventually(&what, async || {
                let (shown, _) = shown(&thread).await;
                let shown: BTreeSet<_> = shown.iter().collect();
                expected.iter().all(|text| shown.contains(text)).then_some(())
            })
            .await;
            all.push((device, thread));
        }
        let world = &self.world;
        eventually("all have received", async || (world.rows_in_mailboxes() == 0).then_some(())).await;
        let mut orders: Vec<Vec<String>> = Vec::new();
        for (device, thread) in &all {
            let (shown, others) = shown(thread).await;
            let who = format!("device {} of {}: {shown:?}, {others:?}", device.number, device.of);
            let mut counts = BTreeMap::<&String, u32>::new();
            shown.iter().for_each(|text| *counts.entry(text).or_default() += 1);
            assert!(counts.values().all(|count| *count == 1), "{who}");
            for said in self.said.iter().filter(|said| Self::must_lack(device, said)) {
                assert!(!counts.contains_key(&said.text), "{} on {who}", said.text);
            }
            assert!(others.is_empty() || self.has_uncertain, "{who}");
            for order in &orders {
                let common = |one: &[String], other: &[String]| -> Vec<String> {
                    one.iter().filter(|text| other.contains(text)).cloned().collect()
                };
                assert_eq!(common(order, &shown), common(&shown, order), "{who}");
            }
            orders.push(shown);
        }
    }
}

/// The texts of a thread, oldest first, and what cannot be shown because its author was removed.
async fn shown(thread: &Thread) -> (Vec<String>, Vec<Undecryptable>) {
    use Undecryptable::{SenderKeyReplaced, UnlistedDevice};
    let (mut texts, mut others) = (Vec::new(), Vec::new());
    for message in history(thread).await {
        match message.body {
            MessageBody::Text(text) => texts.push(text),
            MessageBody::Undecryptable(cause @ (SenderKeyReplaced | UnlistedDevice)) => others.push(cause),
            other => panic!("{other:?}"),
        }
    }
    (texts, others)
}

fn from_environment<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_device_has_what_was_written_while_it_was_linked_once() {
    // Without minutes, one talk with a fixed seed.
    let minutes: u64 = from_environment("SEALPOST_SOAK_MINUTES").unwrap_or(0);
    let first: u64 = from_environment("SEALPOST_SOAK_SEED").unwrap_or(1);
    let began = Instant::now();
    for seed in first.. {
        eprint!("seed {seed}: ");
        let mut talk = Talk::begin(seed).await;
        for _ in 0..STEPS {
            talk.step().await;
        }
        let Talk { devices, said, now, .. } = &talk;
        eprintln!("{} messages, {} devices in the end, {now} events", said.len(), devices.len());
        talk.end().await;
        if began.elapsed() >= Duration::from_secs(60 * minutes) {
            break;
        }
    }
}

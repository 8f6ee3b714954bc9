//! A relay that lies about the devices of an account: each row about devices of the table in `docs/threat-model.md`.

#![cfg(test)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use prost::Message as _;
use sealpost_core::{
    ConnectionState, Delivery, Error, Event, Events, FailReason, FailedPart, Failure, Message, MessageBody,
    MessageId, Part, Profile, Thread, Undecryptable, UserId, WaitReason,
};
use sealpost_e2e::{Signer, open_database, set_list, swap_keys};
use sealpost_protocol::IdentityKeyPair;
use sealpost_protocol::device::{
    AccountKeyPair, DeviceBinding, DeviceEntry, DeviceList, SignedDeviceList, VerifiedDeviceList,
};
use sealpost_testkit::{
    Interceptor, Loss, ManualClock, Party, PartyDisk, Proxy, World, eventually, history, other,
};
use sealpost_wire as wire;

/// A relay that shows another list of a user than it has, while one is set.
#[derive(Clone, Default)]
struct Shows(Arc<Mutex<Option<Shown>>>);

/// A user, and the list that is shown of them.
type Shown = (UserId, Vec<u8>);

impl Shows {
    fn set(&self, user: UserId, list: &VerifiedDeviceList) {
        *self.0.lock().unwrap() = Some((user, list.serialize()));
    }

    fn is_honest_again(&self) {
        *self.0.lock().unwrap() = None;
    }
}

impl Interceptor for Shows {
    fn answer(&self, request: &str, body: Vec<u8>) -> Vec<u8> {
        let Some((user, shown)) = self.0.lock().unwrap().clone() else { return body };
        if !request.contains(&user.to_string()) {
            return body;
        }
        if request.contains("/prekeys") {
            let Ok(mut bundles) = wire::decode::<wire::Bundles>(body.clone().into()) else { return body };
            bundles.devices.as_mut().unwrap().list = shown.into();
            return bundles.encode_to_vec();
        }
        if request.contains("/device-list") && request.starts_with("GET") {
            let Ok(mut list) = wire::decode::<wire::SignedDeviceList>(body.clone().into()) else {
                return body;
            };
            list.list = shown.into();
            return list.encode_to_vec();
        }
        body
    }
}

/// Ada, whose relay lies, and Ben, who have talked: both have answered in their session.
struct Talked {
    world: World,
    shows: Shows,
    _proxy: Proxy,
    ada: Party,
    ben: Party,
    hers: Thread,
    his: Thread,
}

async fn talked(clock: Option<&ManualClock>) -> Talked {
    let (world, shows) = (World::start().await, Shows::default());
    let proxy = Proxy::start(world.addr(), shows.clone()).await;
    let disk = world.disk("ada").through(&proxy.url());
    let disk = match clock {
        Some(clock) => disk.with_clock(clock),
        None => disk,
    };
    let (ada, ben) = (disk.open_or_register().await, world.party("ben").await);
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    hers.send_text("hello").await.unwrap();
    ben.texts_when(&his, 1).await;
    his.send_text("hello to you").await.unwrap();
    ada.texts_when(&hers, 2).await;
    Talked { world, shows, _proxy: proxy, ada, ben, hers, his }
}

fn companion() -> IdentityKeyPair {
    IdentityKeyPair::generate(&mut rand::rng())
}

/// Ben's primary device signs this list, and starts.
async fn with_list(ben: PartyDisk, user: UserId, list: &VerifiedDeviceList) -> Party {
    set_list(&ben, user, list);
    open_database(ben.database(), &ben.key()).execute("UPDATE account SET list_told = 0", []).unwrap();
    ben.open().await
}

async fn is_told(events: &mut Events, event: Event) {
    let told = async {
        loop {
            match events.next().await.unwrap() {
                Ok(next) if next == event => return,
                _ => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), told).await.expect("it is reported");
}

/// The version of the list of a user that a client knows, once it is this one.
async fn knows(disk: &PartyDisk, user: UserId, version: u64) {
    let (database, key) = (disk.database().to_owned(), disk.key());
    let known = async || {
        let sql = "SELECT version FROM device_list WHERE user_id = ?1";
        let known: i64 =
            open_database(&database, &key).query_row(sql, [user.as_bytes()], |row| row.get(0)).unwrap();
        (known == i64::try_from(version).unwrap()).then_some(())
    };
    eventually("the list is known", known).await;
}

/// The list that the relay has of a user, once it has this version.
async fn at_relay(world: &World, user: UserId, version: u64) -> VerifiedDeviceList {
    let newest = async || {
        let relay = rusqlite::Connection::open(world.relay_dir().join("relay.db")).unwrap();
        let sql = "SELECT list FROM device_list WHERE user_id = ?1";
        let list: Vec<u8> = relay.query_row(sql, [user.as_bytes()], |row| row.get(0)).ok()?;
        let list = SignedDeviceList::parse(&list).unwrap().verify(user.as_bytes()).unwrap();
        (list.version() == version).then_some(list)
    };
    eventually("the relay has this list", newest).await
}

async fn waits_for_list(thread: &Thread, message: MessageId) {
    let waits = async || {
        let waiting = thread.waiting(message).await.unwrap()?;
        (waiting.reason == WaitReason::DeviceListRefused).then_some(())
    };
    eventually("the message waits for a list", waits).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_list_is_fetched_when_a_content_names_it() {
    let Talked { world, _proxy, ada, ben, his, .. } = talked(None).await;
    let (user, mut events) = (ben.client.user_id(), ada.client.events());
    drop(his);
    let disk = ben.close().await;
    let list = Signer::of(&disk).sign(2, &[(2, &companion())], 1);
    let ben = with_list(disk, user, &list).await;
    at_relay(&world, user, 2).await;
    ben.thread_with(&ada).await.send_text("I have another device").await.unwrap();
    is_told(&mut events, Event::DevicesChanged(user)).await;
    knows(&world.disk("ada"), user, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_hides_a_later_list_is_noticed_and_reported() {
    let clock = ManualClock::at(now_ms());
    let Talked { world, shows, _proxy, ada, ben, .. } = talked(Some(&clock)).await;
    let user = ben.client.user_id();
    let disk = ben.close().await;
    let signer = Signer::of(&disk);
    shows.set(user, signer.list());
    let ben = with_list(disk, user, &signer.sign(2, &[(2, &companion())], 1)).await;
    let his = ben.thread_with(&ada).await;
    his.send_text("I have another device").await.unwrap();
    let database = || open_database(world.disk("ada").database(), &world.disk("ada").key());
    let tries = |least: u32| {
        let tries = database().query_row("SELECT tries FROM device_list_due", [], |row| row.get(0));
        tries.is_ok_and(|tries: u32| tries >= least)
    };
    eventually("the relay was asked", async || tries(1).then_some(())).await;
    // It was asked for some minutes, and is asked once more.
    let ada = ada.close().await;
    let due = i64::try_from(clock.now_ms()).unwrap() + 20_000;
    database().execute("UPDATE device_list_due SET tries = 7, due = ?1", [due]).unwrap();
    let ada = ada.open().await;
    let mut events = ada.client.events();
    clock.advance(Duration::from_secs(30));
    his.send_text("the relay hides it").await.unwrap();
    is_told(&mut events, Event::DeviceListHidden(user)).await;
    // What is known is used until then.
    knows(&world.disk("ada"), user, 1).await;
    // Once the relay shows it, it is taken.
    let ada = ada.close().await;
    shows.is_honest_again();
    database().execute("UPDATE device_list_due SET due = 0", []).unwrap();
    let _ada = ada.open().await;
    knows(&world.disk("ada"), user, 2).await;
    eventually("nothing is due", async || (!tries(0)).then_some(())).await;
}

fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_who_are_shown_different_lists_notice_and_go_on_with_the_next_one() {
    let Talked { world, shows, _proxy, ada, ben, hers, .. } = talked(None).await;
    let (user, mut events) = (ben.client.user_id(), ada.client.events());
    let disk = ben.close().await;
    let signer = Signer::of(&disk);
    // Somebody with Ben's account key has signed another version 2, which only Ada is shown.
    shows.set(user, &signer.sign(2, &[(3, &companion())], 1));
    let ben = with_list(disk, user, &signer.sign(2, &[(2, &companion())], 1)).await;
    let his = ben.thread_with(&ada).await;
    his.send_text("I have another device").await.unwrap();
    is_told(&mut events, Event::DeviceListRefused(user)).await;
    let secret = hers.send_text("a secret").await.unwrap();
    waits_for_list(&hers, secret.id).await;
    // Nothing else waits.
    let cleo = world.party("cleo").await;
    let others = ada.thread_with(&cleo).await;
    let hello = others.send_text("hello").await.unwrap();
    ada.message_reaches(&others, hello.id, Delivery::Delivered).await;
    // Her receipt tells Ben, whose next list settles it.
    let mut his_events = ben.client.events();
    shows.is_honest_again();
    his.send_text("are you there?").await.unwrap();
    is_told(&mut his_events, Event::DeviceListRefused(user)).await;
    let list = at_relay(&world, user, 3).await;
    let numbers: Vec<_> = list.devices().iter().map(|entry| entry.device.get()).collect();
    assert_eq!(numbers, [1, 2]);
    ada.message_reaches(&hers, secret.id, Delivery::Delivered).await;
    knows(&world.disk("ada"), user, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_device_signs_a_later_list_than_any_that_somebody_names() {
    let Talked { world, _proxy, ada, ben, .. } = talked(None).await;
    let user = ben.client.user_id();
    // Ben's database was restored from a copy, and so was the relay: Ada alone has his list.
    let (ben, ada) = (ben.close().await, ada.close().await);
    set_list(&ada, user, &Signer::of(&ben).sign(7, &[], 1));
    let (ada, ben) = (ada.open().await, ben.open().await);
    ada.thread_with(&ben).await.send_text("how many devices do you have?").await.unwrap();
    at_relay(&world, user, 8).await;
    ben.thread_with(&ada).await.send_text("one").await.unwrap();
    knows(&world.disk("ada"), user, 8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_message_of_a_device_that_is_not_on_the_known_list_opens_once_the_list_is_there() {
    let Talked { world, shows, _proxy, ada, ben, hers, .. } = talked(None).await;
    let user = ben.client.user_id();
    let old = ben.close().await;
    let signer = Signer::of(&old);
    let new = sealpost_e2e::start_over(&world, user, &old, world.party("ben again").await).await;
    // The account has signed a list with the new phone, but the phone itself has the old one.
    let database = open_database(new.database(), &new.key());
    let identity: Vec<u8> = database.query_row("SELECT identity FROM account", [], |row| row.get(0)).unwrap();
    let (key, list) = (signer.list().account_key().serialize(), signer.list());
    let row = rusqlite::params![user.as_bytes(), key, list.digest(), list.serialize()];
    database.execute("INSERT INTO device_list VALUES (?1, ?2, 1, ?3, ?4)", row).unwrap();
    database.execute("UPDATE account SET list_told = 1", []).unwrap();
    drop(database);
    let next = signer.sign_for(2, &IdentityKeyPair::from_bytes(&identity).unwrap());
    let relay = rusqlite::Connection::open(world.relay_dir().join("relay.db")).unwrap();
    relay.busy_timeout(Duration::from_secs(60)).unwrap();
    let sql = "UPDATE device_list SET version = 2, list = ?2 WHERE user_id = ?1";
    relay.execute(sql, rusqlite::params![user.as_bytes(), next.serialize()]).unwrap();
    shows.set(user, list);
    let ben = new.open().await;
    ben.thread_with(&ada).await.send_text("a new phone").await.unwrap();
    let is_kept = async || {
        let database = open_database(world.disk("ada").database(), &world.disk("ada").key());
        let kept: u32 = database.query_row("SELECT count(*) FROM deferred", [], |row| row.get(0)).unwrap();
        (kept == 1).then_some(())
    };
    eventually("it waits", is_kept).await;
    assert_eq!(history(&hers).await.len(), 2);
    shows.is_honest_again();
    assert_eq!(ada.texts_when(&hers, 3).await[2], "a new phone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_companion_that_is_told_an_old_list_of_its_own_account_asks_for_the_newest() {
    let (world, shows) = (World::start().await, Shows::default());
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let user = ben.client.user_id();
    let tablet = world.companion(&ben, "tablet").await;
    let hers = ada.thread_with(&ben).await;
    let hello = hers.send_text("hello").await.unwrap();
    ada.message_reaches(&hers, hello.id, Delivery::Delivered).await;
    // Ben's devices have a session in which both have answered.
    let (his, of_tablet) = (ben.thread_with(&ada).await, tablet.thread_with(&ada).await);
    of_tablet.send_text("from the tablet").await.unwrap();
    ben.texts_when(&his, 2).await;
    his.send_text("from the phone").await.unwrap();
    tablet.texts_when(&of_tablet, 3).await;
    drop((his, of_tablet));
    // Another device is added while the relay shows the tablet the old list.
    let (disk, tablet) = (ben.close().await, tablet.close().await);
    let signer = Signer::of(&disk);
    let proxy = Proxy::start(world.addr(), shows.clone()).await;
    shows.set(user, signer.list());
    let ben = with_list(disk, user, &signer.sign(3, &[(3, &companion())], 1)).await;
    at_relay(&world, user, 3).await;
    let tablet = tablet.through(&proxy.url()).open().await;
    let asked = || open_database(world.disk("tablet").database(), &world.disk("tablet").key());
    ben.thread_with(&ada).await.send_text("I have another device").await.unwrap();
    eventually("the relay was asked for our list", async || {
        let sql = "SELECT user_id FROM device_list_due WHERE tries > 0";
        let due = asked().query_row(sql, [], |row| row.get::<_, Vec<u8>>(0));
        due.is_ok_and(|due| due == user.as_bytes()).then_some(())
    })
    .await;
    shows.is_honest_again();
    knows(&world.disk("tablet"), user, 3).await;
    drop(tablet);
}

/// A relay that holds back what second devices send, while it is told to.
#[derive(Clone, Default)]
struct Holds(Arc<Mutex<Option<Vec<wire::Frame>>>>);

impl Interceptor for Holds {
    fn down(&self, frame: wire::Frame) -> Vec<wire::Frame> {
        let is_of_second =
            matches!(&frame.body, Some(wire::frame::Body::Deliver(deliver)) if deliver.sender_device_id == 2);
        match &mut *self.0.lock().unwrap() {
            Some(held) if is_of_second => {
                held.push(frame);
                Vec::new()
            }
            _ => vec![frame],
        }
    }
}

/// Ada and Ben, who has a tablet that has written to her. Its last message has reached the relay, and is held on its way to her.
struct HeldMessage {
    world: World,
    holds: Holds,
    proxy: Proxy,
    ada: Party,
    ben: Party,
    tablet: Party,
    hers: Thread,
}

impl HeldMessage {
    async fn of_a_tablet() -> Self {
        let (world, holds) = (World::start().await, Holds::default());
        let proxy = Proxy::start(world.addr(), holds.clone()).await;
        let ada = world.disk("ada").through(&proxy.url()).open_or_register().await;
        let ben = world.party("ben").await;
        let tablet = world.companion(&ben, "tablet").await;
        let hers = ada.thread_with(&ben).await;
        hers.send_text("hello").await.unwrap();
        let of_tablet = tablet.thread_with(&ada).await;
        tablet.texts_when(&of_tablet, 1).await;
        of_tablet.send_text("from the tablet").await.unwrap();
        ada.texts_when(&hers, 2).await;
        assert_eq!(sessions_with_tablet(&world), 1);
        *holds.0.lock().unwrap() = Some(Vec::new());
        let held = of_tablet.send_text("lend me money").await.unwrap();
        tablet.message_reaches(&of_tablet, held.id, Delivery::Sent).await;
        drop(of_tablet);
        Self { world, holds, proxy, ada, ben, tablet, hers }
    }
}

/// How many sessions with the device 2 of somebody Ada has.
fn sessions_with_tablet(world: &World) -> u32 {
    let disk = world.disk("ada");
    let database = open_database(disk.database(), &disk.key());
    let sql = "SELECT count(*) FROM session WHERE device_id = 2";
    database.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// The first frame that was held; those that follow are not.
async fn release(holds: &Holds) -> wire::Frame {
    let first = async || holds.0.lock().unwrap().as_ref().and_then(|held| held.first().cloned());
    let frame = eventually("the relay has it", first).await;
    *holds.0.lock().unwrap() = None;
    frame
}

async fn is_refused(thread: &Thread) {
    let refused = MessageBody::Undecryptable(Undecryptable::SenderKeyReplaced);
    eventually("it is refused", async || {
        history(thread).await.iter().any(|message| message.body == refused).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_removed_device_has_sealed_with_its_old_session_is_not_opened() {
    let HeldMessage { world, holds, proxy, ada, ben, tablet, hers } = HeldMessage::of_a_tablet().await;
    ben.client.remove_device(tablet.client.device_id()).await.unwrap();
    ben.thread_with(&ada).await.send_text("I have lost my tablet").await.unwrap();
    knows(&world.disk("ada"), ben.client.user_id(), 3).await;
    assert_eq!(sessions_with_tablet(&world), 0);
    let frame = release(&holds).await;
    proxy.inject(&frame);
    is_refused(&hers).await;
}

/// Ada and Ben, who has a tablet that has written to her. Her relay will go on showing her the list with the tablet.
struct WithTablet {
    world: World,
    _proxy: Proxy,
    ada: Party,
    ben: Party,
    tablet: Party,
    hers: Thread,
}

async fn with_tablet() -> WithTablet {
    let (world, shows) = (World::start().await, Shows::default());
    let proxy = Proxy::start(world.addr(), shows.clone()).await;
    let ada = world.disk("ada").through(&proxy.url()).open_or_register().await;
    let ben = world.party("ben").await;
    let tablet = world.companion(&ben, "tablet").await;
    let hers = ada.thread_with(&ben).await;
    let hello = hers.send_text("hello").await.unwrap();
    ada.message_reaches(&hers, hello.id, Delivery::Delivered).await;
    let of_tablet = tablet.thread_with(&ada).await;
    tablet.texts_when(&of_tablet, 1).await;
    of_tablet.send_text("from the tablet").await.unwrap();
    ada.texts_when(&hers, 2).await;
    ben.thread_with(&ada).await.send_text("from the phone").await.unwrap();
    ada.texts_when(&hers, 3).await;
    let user = ben.client.user_id();
    shows.set(user, &at_relay(&world, user, 2).await);
    WithTablet { world, _proxy: proxy, ada, ben, tablet, hers }
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_and_companions_are_told_of_a_removed_device_although_the_relay_hides_the_list() {
    let WithTablet { world, _proxy, ada, ben, tablet, hers } = with_tablet().await;
    let user = ben.client.user_id();
    let laptop = world.companion(&ben, "laptop").await;
    // The laptop's relay shows it the list with the tablet, too.
    let shows = Shows::default();
    let proxy = Proxy::start(world.addr(), shows.clone()).await;
    shows.set(user, &at_relay(&world, user, 3).await);
    let laptop = laptop.close().await.through(&proxy.url()).open().await;
    laptop.live().await;
    let mut events = ada.client.events();
    // Nobody writes anything.
    ben.client.remove_device(tablet.client.device_id()).await.unwrap();
    is_told(&mut events, Event::DevicesChanged(user)).await;
    knows(&world.disk("ada"), user, 4).await;
    knows(&world.disk("laptop"), user, 4).await;
    let known = |disk: PartyDisk, user: UserId, device: u32| {
        let database = open_database(disk.database(), &disk.key());
        let sql = "SELECT count(*) FROM session WHERE user_id = ?1 AND device_id = ?2";
        database.query_row(sql, (user.as_bytes(), device), |row| row.get::<_, u32>(0)).unwrap()
    };
    for disk in [world.disk("ada"), world.disk("laptop")] {
        assert_eq!(known(disk, user, 2), 0, "nothing is sealed for the tablet or opened from it");
    }
    assert_eq!(known(world.disk("ada"), user, 1), 1);
    // Both go on.
    let seen = hers.send_text("I see").await.unwrap();
    ada.message_reaches(&hers, seen.id, Delivery::Delivered).await;
}

/// Neither was there when the others were told, and the relay shows both an older list.
#[tokio::test(flavor = "multi_thread")]
async fn who_begins_a_session_and_names_an_older_list_is_shown_the_newest() {
    let WithTablet { world, _proxy, ada, ben, tablet, hers } = with_tablet().await;
    let user = ben.client.user_id();
    let laptop = world.companion(&ben, "laptop").await;
    let (shows, old) = (Shows::default(), at_relay(&world, user, 3).await);
    let proxy = Proxy::start(world.addr(), shows.clone()).await;
    shows.set(user, &old);
    ben.client.remove_device(tablet.client.device_id()).await.unwrap();
    knows(&world.disk("ada"), user, 4).await;
    knows(&world.disk("laptop"), user, 4).await;
    drop(hers);
    let (ada, laptop) = (ada.close().await, laptop.close().await);
    for disk in [&ada, &laptop] {
        set_list(disk, user, &old);
        let database = open_database(disk.database(), &disk.key());
        for table in ["session", "device"] {
            let sql = format!("DELETE FROM {table} WHERE user_id = ?1");
            assert_ne!(database.execute(&sql, [user.as_bytes()]).unwrap(), 0, "it knows a device");
        }
    }
    let laptop = laptop.through(&proxy.url()).open().await;
    laptop.client.set_profile(Profile { name: "Ben".into(), ..Profile::default() }).await.unwrap();
    knows(&world.disk("laptop"), user, 4).await;
    let ada = ada.through(&proxy.url()).open().await;
    ada.thread_with(&ben).await.send_text("from a new phone").await.unwrap();
    knows(&world.disk("ada"), user, 4).await;
}

#[cfg(feature = "faults")]
#[tokio::test(flavor = "multi_thread")]
async fn contacts_are_told_of_a_removed_device_after_the_primary_device_was_killed() {
    use sealpost_core::fault::Station;
    use sealpost_e2e::{Ending, ending_of};

    let WithTablet { world, _proxy, ada, ben, tablet, hers } = with_tablet().await;
    let user = ben.client.user_id();
    drop(tablet);
    let disk = ben.close().await;
    // Removed, but nobody was told; mail that was not sealed; mail that was sealed, and not sent.
    for (arguments, station) in [
        (&["remove", "2"][..], Station::DeviceRemoved),
        (&[], Station::MailBeforeCommit),
        (&[], Station::MailAfterCommit),
    ] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_crash-client"));
        command.arg(world.dir()).args(["ben", &world.url()]).args(arguments);
        command.env("SEALPOST_FAULT", station.name());
        let ending = tokio::task::spawn_blocking(move || ending_of(&mut command).unwrap()).await.unwrap();
        assert_eq!(ending, Ending::Signal, "{}", station.name());
        knows(&world.disk("ada"), user, 2).await;
    }
    let ben = disk.open().await;
    knows(&world.disk("ada"), user, 3).await;
    // Both go on.
    hers.send_text("I see").await.unwrap();
    ben.texts_when(&ben.thread_with(&ada).await, 4).await;
}

/// Ada learns of the new phone from the phone itself, while the relay names the old companion, and delivers what it has sealed before.
#[tokio::test(flavor = "multi_thread")]
async fn old_companions_end_with_the_commit_that_sees_a_new_account_key() {
    let HeldMessage { world, holds, proxy, ada, ben, tablet, hers } = HeldMessage::of_a_tablet().await;
    let (user, mut events) = (ben.client.user_id(), ada.client.events());
    let frame = release(&holds).await;
    tablet.close().await;
    // The phone knows nothing of the tablet, which the relay would name to it.
    let relay = rusqlite::Connection::open(world.relay_dir().join("relay.db")).unwrap();
    relay.busy_timeout(Duration::from_secs(60)).unwrap();
    let old = ben.close().await;
    relay.execute("DELETE FROM device WHERE user_id = ?1 AND device_id = 2", [user.as_bytes()]).unwrap();
    let new = sealpost_e2e::start_over(&world, user, &old, world.party("ben again").await).await;
    let ben = new.open().await;
    ben.thread_with(&ada).await.send_text("a new phone").await.unwrap();
    is_told(&mut events, Event::IdentityChanged(user)).await;
    assert_eq!(sessions_with_tablet(&world), 0);
    proxy.inject(&frame);
    is_refused(&hers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_never_takes_our_list_is_reported() {
    let world = World::start().await;
    let ben = world.party("ben").await;
    let user = ben.client.user_id();
    let disk = ben.close().await;
    let relay = rusqlite::Connection::open(world.relay_dir().join("relay.db")).unwrap();
    relay.busy_timeout(Duration::from_secs(60)).unwrap();
    let sql = "UPDATE device_list SET version = 1 << 62 WHERE user_id = ?1";
    relay.execute(sql, [user.as_bytes()]).unwrap();
    open_database(disk.database(), &disk.key()).execute("UPDATE account SET list_told = 0", []).unwrap();
    let ben = disk.open().await;
    let failed = FailedPart { part: Part::DeviceLists, failure: Failure::Refused(409) };
    let is_failing = async || ben.client.failing().contains(&failed).then_some(());
    eventually("it is reported", is_failing).await;
}

/// A relay that revokes no device.
#[derive(Clone)]
struct NeverRevokes;

impl Interceptor for NeverRevokes {
    fn loses(&self, request: &str) -> Option<Loss> {
        request.starts_with("DELETE /v1/devices/").then_some(Loss::Request)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_companion_ends_with_the_list_although_the_relay_does_not_revoke_it() {
    let world = World::start().await;
    let proxy = Proxy::start(world.addr(), NeverRevokes).await;
    let (ada, ben) = (world.party("ada").await, world.disk("ben").through(&proxy.url()).register().await);
    let tablet = world.companion(&ben, "tablet").await;
    let (user, second) = (ben.client.user_id(), tablet.client.device_id());
    ben.client.remove_device(second).await.unwrap();
    at_relay(&world, user, 3).await;
    let tablet = tablet.close().await.open().await;
    ended(&tablet).await;
    // The relay still has it, and it does not come back.
    let hers = ada.thread_with(&ben).await;
    let hello = hers.send_text("hello").await.unwrap();
    ada.message_reaches(&hers, hello.id, Delivery::Delivered).await;
    let relay = rusqlite::Connection::open(world.relay_dir().join("relay.db")).unwrap();
    let sql = "SELECT count(*) FROM device WHERE user_id = ?1 AND device_id = 2";
    let live: u32 = relay.query_row(sql, [user.as_bytes()], |row| row.get(0)).unwrap();
    assert_eq!(live, 1);
    let tablet = tablet.close().await.open().await;
    ended(&tablet).await;
}

/// This device was unlinked.
async fn ended(party: &Party) {
    let signed_out = async || (party.client.connection_state() == ConnectionState::SignedOut).then_some(());
    eventually("the companion is signed out", signed_out).await;
    let refused = party.client.direct_thread(UserId::from_bytes([9; 16])).await;
    assert_eq!(refused.map(drop), Err(Error::Unlinked));
}

/// A relay whose link tokens never expire, as it says.
#[derive(Clone)]
struct NeverExpires;

impl Interceptor for NeverExpires {
    fn answer(&self, request: &str, body: Vec<u8>) -> Vec<u8> {
        match wire::decode::<wire::LinkToken>(body.clone().into()) {
            Ok(token) if request.contains("link-tokens") => {
                wire::LinkToken { expires_ms: u64::MAX, ..token }.encode_to_vec()
            }
            _ => body,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_companion_is_awaited_for_ever_because_the_relay_says_so() {
    let world = World::start().await;
    let proxy = Proxy::start(world.addr(), NeverExpires).await;
    let ada = world.disk("ada").through(&proxy.url()).open_or_register().await;
    let _tablet = world.companion(&ada, "tablet").await;
    let database = open_database(world.disk("ada").database(), &world.disk("ada").key());
    let until: i64 = database.query_row("SELECT until FROM own_link", [], |row| row.get(0)).unwrap();
    let hour_ms = 3_600_000;
    assert!(u64::try_from(until).unwrap() < now_ms() + hour_ms);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_waits_while_the_relay_shows_a_list_that_does_not_verify() {
    let (world, shows) = (World::start().await, Shows::default());
    let proxy = Proxy::start(world.addr(), shows.clone()).await;
    let ada = world.disk("ada").through(&proxy.url()).open_or_register().await;
    let (ben, mallory) = (world.party("ben").await, world.party("mallory").await);
    let mut events = ada.client.events();
    let (hers, others) = (ada.thread_with(&ben).await, ada.thread_with(&mallory).await);
    let hello = others.send_text("hello").await.unwrap();
    ada.message_reaches(&others, hello.id, Delivery::Delivered).await;
    shows.set(ben.client.user_id(), Signer::of(&mallory.close().await).list());
    let secret = hers.send_text("a secret").await.unwrap();
    is_told(&mut events, Event::DeviceListRefused(ben.client.user_id())).await;
    waits_for_list(&hers, secret.id).await;
    eventually("nothing is sealed for him", async || (world.rows_in_mailboxes() == 0).then_some(())).await;
    // Another thread goes on.
    let more = others.send_text("are you there?").await.unwrap();
    ada.message_reaches(&others, more.id, Delivery::Sent).await;
    // It goes on by itself once the relay shows a list that verifies.
    shows.is_honest_again();
    ada.message_reaches(&hers, secret.id, Delivery::Delivered).await;
}

/// The contact lies, and the device that could settle it is away.
#[tokio::test(flavor = "multi_thread")]
async fn a_contact_that_names_a_wrong_list_of_ours_stops_nothing_on_a_companion() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let tablet = world.companion(&ben, "tablet").await;
    let hers = ada.thread_with(&ben).await;
    let hello = hers.send_text("hello").await.unwrap();
    ada.message_reaches(&hers, hello.id, Delivery::Delivered).await;
    let of_tablet = tablet.thread_with(&ada).await;
    tablet.texts_when(&of_tablet, 1).await;
    of_tablet.send_text("from the tablet").await.unwrap();
    ada.texts_when(&hers, 2).await;
    let (user, thread) = (ben.client.user_id(), hers.id());
    drop(hers);
    let (phone, ada) = (ben.close().await, ada.close().await);
    // A later one that does not exist, and then another one with the version that the tablet knows.
    let signer = Signer::of(&phone);
    let mut events = tablet.client.events();
    let mut ada = Some(ada);
    for (version, text) in [(3, "one"), (2, "two")] {
        let disk = ada.take().unwrap();
        set_list(&disk, user, &signer.sign(version, &[(3, &companion())], 1));
        let open = disk.open().await;
        let hers = open.client.thread(thread).await.unwrap();
        hers.send_text(text).await.unwrap();
        eventually(text, async || {
            history(&of_tablet).await.iter().any(|message| message.text() == Some(text)).then_some(())
        })
        .await;
        let sent = of_tablet.send_text("I go on").await.unwrap();
        tablet.message_reaches(&of_tablet, sent.id, Delivery::Delivered).await;
        drop(hers);
        ada = Some(open.close().await);
    }
    let told: Vec<_> =
        std::iter::from_fn(|| events.next().now_or_never()).map(|event| event.unwrap()).collect();
    assert!(!told.contains(&Ok(Event::DeviceListRefused(user))), "{told:?}");
    knows(&world.disk("tablet"), user, 2).await;
}

/// The relay gives the keys of one account to a device with the number 2 of another one.
fn add_device(relay: &rusqlite::Connection, (from, to): (UserId, UserId)) {
    for table in ["device", "mailbox", "signed_pre_key", "one_time_pre_key", "pre_key_mark"] {
        let sql = format!("UPDATE {table} SET user_id = ?1, device_id = 2 WHERE user_id = ?2");
        assert!(relay.execute(&sql, [to.as_bytes(), from.as_bytes()]).unwrap() > 0, "{table}");
    }
    relay.execute("UPDATE device SET is_primary = 0 WHERE device_id = 2", []).unwrap();
}

/// The device has valid keys, with which a session could be started, and our account has not signed it.
#[tokio::test(flavor = "multi_thread")]
async fn one_more_device_of_ours_with_valid_keys_gets_nothing_and_is_revoked() {
    let world = World::start().await;
    let (ada, ben, mallory) =
        (world.party("ada").await, world.party("ben").await, world.party("mallory").await);
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    let hello = hers.send_text("hello").await.unwrap();
    ada.message_reaches(&hers, hello.id, Delivery::Delivered).await;
    let (us, theirs) = (ada.client.user_id(), mallory.client.user_id());
    mallory.close().await;
    let relay = rusqlite::Connection::open(world.relay_dir().join("relay.db")).unwrap();
    relay.busy_timeout(Duration::from_secs(60)).unwrap();
    add_device(&relay, (theirs, us));
    // The relay refuses it first, because the copy for that device is missing.
    let secret = hers.send_text("a secret").await.unwrap();
    ada.message_reaches(&hers, secret.id, Delivery::Delivered).await;
    assert_eq!(ben.texts_when(&his, 2).await[1], "a secret");
    // Ben's devices do not know it either.
    let answer = his.send_text("an answer").await.unwrap();
    ben.message_reaches(&his, answer.id, Delivery::Delivered).await;
    for name in ["ada", "ben"] {
        let database = open_database(world.disk(name).database(), &world.disk(name).key());
        let sql = "SELECT count(*) FROM session WHERE user_id = ?1 AND device_id = 2";
        let sessions: u32 = database.query_row(sql, [us.as_bytes()], |row| row.get(0)).unwrap();
        assert_eq!(sessions, 0, "{name} has started no session with it");
    }
    assert_eq!(ada.client.devices().await.unwrap().len(), 1);
    let gone = async || {
        let sql = "SELECT count(*) FROM device WHERE user_id = ?1 AND device_id = 2";
        let there: u32 = relay.query_row(sql, [us.as_bytes()], |row| row.get(0)).unwrap();
        (there == 0).then_some(())
    };
    eventually("it is revoked", gone).await;
    assert_eq!(ada.client.devices().await.unwrap().len(), 1);
}

/// At the very first contact there is nothing to compare the keys with. If the relay leaves the list, they are refused; if it replaces
/// that, too, they are trusted on first use, and the safety numbers of the two are not the same.
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_the_relay_swaps_at_the_first_contact_are_refused_or_show_another_safety_number() {
    for swaps_list in [false, true] {
        let world = World::start().await;
        let (ada, ben, mallory) =
            (world.party("ada").await, world.party("ben").await, world.party("mallory").await);
        let (user, theirs) = (ben.client.user_id(), mallory.client.user_id());
        let (of_ben, of_mallory) = (ben.close().await, mallory.close().await);
        swap_keys(&world.relay_dir(), user, theirs);
        if swaps_list {
            // Whoever has Mallory's keys signs a list of Ben's account with them.
            let forged = forged_list(&of_mallory, user);
            let relay = rusqlite::Connection::open(world.relay_dir().join("relay.db")).unwrap();
            relay.busy_timeout(Duration::from_secs(60)).unwrap();
            let sql = "UPDATE device_list SET list = ?2 WHERE user_id = ?1";
            let row = rusqlite::params![user.as_bytes(), forged.serialize()];
            assert_eq!(relay.execute(sql, row).unwrap(), 1);
        }
        let hers = ada.thread_with_user(user).await;
        let secret = hers.send_text("a secret").await.unwrap();
        let outcome = if swaps_list { Delivery::Sent } else { Delivery::Failed(FailReason::BadKeys) };
        ada.message_reaches(&hers, secret.id, outcome).await;
        let database = open_database(world.disk("ada").database(), &world.disk("ada").key());
        let count =
            |sql: &str| database.query_row(sql, [user.as_bytes()], |row| row.get::<_, u32>(0)).unwrap();
        let sessions = count("SELECT count(*) FROM session WHERE user_id = ?1");
        assert_eq!(sessions, u32::from(swaps_list), "nothing is stored about keys that were refused");
        if !swaps_list {
            continue;
        }
        // People who compare see it, and Ben cannot read it.
        let shown = other(&hers).await.safety_number().await.unwrap();
        let ben = of_ben.open().await;
        let his = ben.thread_with(&ada).await;
        let who = his.send_text("who are you?").await.unwrap();
        ben.message_reaches(&his, who.id, Delivery::Sent).await;
        assert_ne!(other(&his).await.safety_number().await.unwrap(), shown);
        let unread = async || {
            let undecryptable = |message: &Message| matches!(message.body, MessageBody::Undecryptable(_));
            history(&his).await.iter().any(undecryptable).then_some(())
        };
        eventually("it is not for him", unread).await;
    }
}

/// A list of an account that a device of another one has signed with its own keys, as its first device.
fn forged_list(of: &PartyDisk, user: UserId) -> VerifiedDeviceList {
    let database = open_database(of.database(), &of.key());
    let sql = "SELECT identity, account_key FROM account";
    let (identity, key): (Vec<u8>, Vec<u8>) =
        database.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let identity = IdentityKeyPair::from_bytes(&identity).unwrap();
    let key = AccountKeyPair::from_bytes(&key).unwrap();
    let (rng, device) = (&mut rand::rng(), sealpost_protocol::DeviceId::new(1).unwrap());
    let binding = DeviceBinding::sign(user.as_bytes(), device, &identity, &key.public(), rng);
    let entry = DeviceEntry { device, identity: *identity.public(), added_ms: 1, is_primary: true, binding };
    let list = DeviceList::new(1, vec![entry]).unwrap().sign(user.as_bytes(), &key, rng);
    list.verify(user.as_bytes()).unwrap()
}

//! Moving an account to another of its devices, which becomes the primary one.

#![cfg(test)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prost::Message as _;
use rusqlite::params;
use sealpost_core::{
    ConnectionState, Delivery, DeviceId, Error, Event, Events, FailReason, History, LinkFailure, TrustState,
    UserId,
};
use sealpost_e2e::{Signer, open_database};
use sealpost_protocol::device::{SignedDeviceList, VerifiedDeviceList};
use sealpost_testkit::{Interceptor, Party, PartyDisk, Proxy, World, eventually, other, texts, within};
use sealpost_wire as wire;

fn device(number: u32) -> DeviceId {
    DeviceId::new(number).unwrap()
}

fn failed<T>(failure: LinkFailure) -> Result<T, Error> {
    Err(Error::Link(failure))
}

/// The number of the primary device, as this device knows it.
async fn primary(party: &Party) -> u32 {
    let devices = party.client.devices().await.unwrap();
    devices.iter().find(|own| own.is_primary).unwrap().id.get()
}

async fn until_primary(party: &Party, expected: u32) {
    eventually("the primary device", async || (primary(party).await == expected).then_some(())).await;
}

async fn numbers(party: &Party) -> Vec<u32> {
    party.client.devices().await.unwrap().iter().map(|own| own.id.get()).collect()
}

async fn is_told(events: &mut Events, expected: Event) {
    let told = async {
        while let Some(event) = events.next().await {
            if event == Ok(expected.clone()) {
                return;
            }
        }
    };
    within("the event", told).await;
}

fn relay(world: &World) -> rusqlite::Connection {
    let db = rusqlite::Connection::open(world.relay_dir().join("relay.db")).unwrap();
    db.busy_timeout(Duration::from_secs(60)).unwrap();
    db
}

/// The list that the relay has of a user.
fn list_at_relay(world: &World, user: UserId) -> VerifiedDeviceList {
    let sql = "SELECT list FROM device_list WHERE user_id = ?1";
    let list: Vec<u8> = relay(world).query_row(sql, [user.as_bytes()], |row| row.get(0)).unwrap();
    SignedDeviceList::parse(&list).unwrap().verify(user.as_bytes()).unwrap()
}

/// The devices that the relay has as primary ones.
fn primaries_at_relay(world: &World, user: UserId) -> Vec<u32> {
    let db = relay(world);
    let sql = "SELECT device_id FROM device WHERE user_id = ?1 AND is_primary = 1";
    let mut statement = db.prepare(sql).unwrap();
    statement.query_map([user.as_bytes()], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// The companions have got what they have missed, so that the account can be moved.
async fn is_settled(disk: &PartyDisk) {
    let left = async || {
        let sql = "SELECT count(*) FROM bootstrap_out";
        let database = open_database(disk.database(), &disk.key());
        (database.query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap() == 0).then_some(())
    };
    eventually("nothing is passed on", left).await;
}

/// Ben with a phone, a tablet and a desktop, of which the phone is the primary device.
struct Ben {
    phone: Party,
    tablet: Party,
    desktop: Party,
}

async fn ben(world: &World) -> Ben {
    let phone = world.party("phone").await;
    let tablet = world.companion(&phone, "tablet").await;
    let desktop = world.companion(&phone, "desktop").await;
    is_settled(&world.disk("phone")).await;
    Ben { phone, tablet, desktop }
}

/// Moves the account to the second device.
async fn moved(ben: &Ben) {
    ben.phone.client.move_account(device(2)).await.unwrap();
    for party in [&ben.phone, &ben.tablet] {
        until_primary(party, 2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_moved_to_a_companion_and_contacts_decide_whether_they_trust_it() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, ben(&world).await);
    let user = ben.phone.client.user_id();
    let hers = ada.thread_with(&ben.phone).await;
    let hello = hers.send_text("hello").await.unwrap();
    ada.message_reaches(&hers, hello.id, Delivery::Delivered).await;
    let number = other(&hers).await.safety_number().await.unwrap();
    assert!(other(&hers).await.verify(&number).await.unwrap());
    let (mut hers_events, mut of_phone) = (ada.client.events(), ben.phone.client.events());
    let mut of_tablet = ben.tablet.client.events();

    moved(&ben).await;
    for events in [&mut of_phone, &mut of_tablet] {
        is_told(events, Event::AccountMoved(user)).await;
    }
    eventually("the relay knows it", async || (primaries_at_relay(&world, user) == [2]).then_some(())).await;
    let list = list_at_relay(&world, user);
    assert_eq!(list.devices().iter().map(|entry| entry.device.get()).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(list.moves().len(), 1);
    assert_eq!(ben.phone.client.pending_move().await, Ok(None));
    assert_eq!(ben.tablet.client.pending_move().await, Ok(None));

    // Ada is told with the next message, whoever of them writes it, and sends nothing before she has accepted the change.
    let his = ben.desktop.thread_with(&ada).await;
    ben.tablet.thread_with(&ada).await.send_text("I have moved").await.unwrap();
    is_told(&mut hers_events, Event::AccountMoved(user)).await;
    assert_ne!(other(&hers).await.safety_number().await.unwrap(), number);
    assert_eq!(other(&hers).await.trust().await.unwrap(), TrustState::ChangedSinceVerified);
    let secret = hers.send_text("a secret").await.unwrap();
    ada.message_reaches(&hers, secret.id, Delivery::Failed(FailReason::IdentityChanged)).await;
    other(&hers).await.accept().await.unwrap();
    hers.retry(secret.id).await.unwrap();
    ada.message_reaches(&hers, secret.id, Delivery::Delivered).await;
    let of_desktop = async || texts(&his).await.contains(&"a secret".to_owned()).then_some(());
    eventually("all devices go on", of_desktop).await;
    until_primary(&ben.desktop, 2).await;
    let same = ben.desktop.client.contact(ada.client.user_id()).safety_number().await.unwrap();
    assert_eq!(other(&hers).await.safety_number().await.unwrap(), same);

    // The roles have changed.
    let Ben { phone, tablet, desktop } = &ben;
    assert_eq!(phone.client.remove_device(device(3)).await, failed(LinkFailure::NotPrimary));
    assert_eq!(phone.client.move_account(device(3)).await, failed(LinkFailure::NotPrimary));
    assert_eq!(phone.client.cancel_move().await, failed(LinkFailure::NotPrimary));
    assert_eq!(phone.client.delete_account(History::Keep).await, failed(LinkFailure::NotPrimary));
    let laptop = world.companion(tablet, "laptop").await;
    assert_eq!(numbers(tablet).await, [1, 2, 3, 4]);
    tablet.client.remove_device(device(1)).await.unwrap();
    let signed_out = async || (phone.client.connection_state() == ConnectionState::SignedOut).then_some(());
    eventually("the phone is unlinked", signed_out).await;
    let refused = phone.client.direct_thread(UserId::from_bytes([9; 16])).await;
    assert_eq!(refused.map(drop), Err(Error::Unlinked));
    assert_eq!(tablet.client.remove_device(device(2)).await, failed(LinkFailure::NotPrimary));
    // Both know the list of the new key only.
    let known = async |party: &Party| (numbers(party).await == [2, 3, 4]).then_some(());
    eventually("the laptop", async || known(&laptop).await).await;
    tablet.thread_with(&ada).await.send_text("without the phone").await.unwrap();
    eventually("the desktop", async || known(desktop).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_can_be_moved_on_and_back() {
    let world = World::start().await;
    let ben = ben(&world).await;
    let user = ben.phone.client.user_id();
    moved(&ben).await;
    let Ben { phone, tablet, desktop } = &ben;
    until_primary(desktop, 2).await;
    for (from, to, number) in [(tablet, desktop, 3), (desktop, phone, 1), (phone, tablet, 2)] {
        eventually("it holds the account", async || from.client.move_account(device(number)).await.ok())
            .await;
        for party in [from, to] {
            until_primary(party, number).await;
        }
        eventually("the relay", async || (primaries_at_relay(&world, user) == [number]).then_some(())).await;
        for party in [phone, tablet, desktop] {
            until_primary(party, number).await;
        }
    }
    assert_eq!(list_at_relay(&world, user).moves().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_has_not_taken_place_is_called_off() {
    let world = World::start().await;
    let Ben { phone, tablet, desktop } = ben(&world).await;
    let tablet = tablet.close().await;
    assert_eq!(phone.client.move_account(device(1)).await, Err(Error::NotFound));
    assert_eq!(phone.client.move_account(device(9)).await, Err(Error::NotFound));
    assert_eq!(desktop.client.move_account(device(2)).await, failed(LinkFailure::NotPrimary));
    phone.client.move_account(device(2)).await.unwrap();
    phone.client.move_account(device(2)).await.unwrap();
    assert_eq!(phone.client.pending_move().await, Ok(Some(device(2))));
    assert_eq!(desktop.client.pending_move().await, Ok(None));
    // One at a time, and nothing is linked meanwhile.
    assert_eq!(phone.client.move_account(device(3)).await, failed(LinkFailure::Busy));
    let new = match sealpost_core::Client::open(world.disk("laptop").config()).await.unwrap() {
        sealpost_core::Opened::Unregistered(new) => new,
        sealpost_core::Opened::Ready(_) => panic!("registered already"),
    };
    let linking = new.link("laptop").await.unwrap();
    assert_eq!(phone.client.link(linking.code()).await.map(drop), failed(LinkFailure::Busy));
    phone.client.cancel_move().await.unwrap();
    phone.client.cancel_move().await.unwrap();
    assert_eq!(phone.client.pending_move().await, Ok(None));
    // While something is being linked, nothing is moved.
    let (pending, digits) = tokio::join!(phone.client.link(linking.code()), linking.digits());
    let pending = pending.unwrap();
    assert_eq!(digits.unwrap(), pending.digits());
    assert_eq!(phone.client.move_account(device(3)).await, failed(LinkFailure::Busy));
    pending.cancel().await.unwrap();
    // The tablet answers what was called off, and another one is asked.
    let tablet = tablet.open().await;
    tablet.live().await;
    phone.client.move_account(device(3)).await.unwrap();
    for party in [&phone, &tablet, &desktop] {
        until_primary(party, 3).await;
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_not_moved_while_a_companion_gets_its_history() {
    let (world, relay) = (World::start().await, TakesNoMail::default());
    let proxy = Proxy::start(world.addr(), relay.clone()).await;
    let phone = world.party("phone").await;
    // The tablet asks for its history, and the relay does not pass it on.
    relay.0.store(true, Ordering::SeqCst);
    let tablet = world.disk("tablet").through(&proxy.url()).link_to(&phone).await;
    assert_eq!(phone.client.move_account(device(2)).await, failed(LinkFailure::Busy));
    assert_eq!(phone.client.pending_move().await, Ok(None));
    relay.0.store(false, Ordering::SeqCst);
    let tablet = tablet.close().await.open().await;
    is_settled(&world.disk("phone")).await;
    phone.client.move_account(device(2)).await.unwrap();
    for party in [&phone, &tablet] {
        until_primary(party, 2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_removed_is_not_asked_any_more_and_another_list_is_proposed() {
    let world = World::start().await;
    let Ben { phone, tablet, desktop } = ben(&world).await;
    let (tablet_disk, desktop_disk) = (tablet.close().await, desktop.close().await);
    phone.client.move_account(device(3)).await.unwrap();
    phone.client.remove_device(device(3)).await.unwrap();
    assert_eq!(phone.client.pending_move().await, Ok(None));
    drop(desktop_disk);
    // The list changes after the tablet was asked.
    let laptop = world.companion(&phone, "laptop").await;
    is_settled(&world.disk("phone")).await;
    phone.client.move_account(device(2)).await.unwrap();
    phone.client.remove_device(laptop.client.device_id()).await.unwrap();
    let tablet = tablet_disk.open().await;
    for party in [&phone, &tablet] {
        until_primary(party, 2).await;
        assert_eq!(numbers(party).await, [1, 2]);
    }
}

/// A relay that shows another list of a user than it has, while one is set.
#[derive(Clone, Default)]
struct Shows(Arc<Mutex<Option<Vec<u8>>>>);

impl Interceptor for Shows {
    fn answer(&self, request: &str, body: Vec<u8>) -> Vec<u8> {
        let Some(shown) = self.0.lock().unwrap().clone() else { return body };
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

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_withholds_a_move_or_shows_the_old_key_again_is_noticed() {
    let (world, shows) = (World::start().await, Shows::default());
    let proxy = Proxy::start(world.addr(), shows.clone()).await;
    let ada = world.disk("ada").through(&proxy.url()).open_or_register().await;
    let ben = ben(&world).await;
    let user = ben.phone.client.user_id();
    let hers = ada.thread_with(&ben.phone).await;
    let hello = hers.send_text("hello").await.unwrap();
    ada.message_reaches(&hers, hello.id, Delivery::Delivered).await;
    let his = ben.phone.thread_with(&ada).await;
    his.send_text("hello to you").await.unwrap();
    ada.texts_when(&hers, 2).await;
    let Ben { phone, tablet, desktop } = ben;
    let phone = phone.close().await;
    let signer = Signer::of(&phone);
    let old = signer.list().serialize();
    let phone = phone.open().await;
    *shows.0.lock().unwrap() = Some(old.clone());
    let ben = Ben { phone, tablet, desktop };
    let mut events = ada.client.events();
    moved(&ben).await;
    // The list that the relay withholds comes from Ben himself.
    is_told(&mut events, Event::AccountMoved(user)).await;
    let database = || open_database(world.disk("ada").database(), &world.disk("ada").key());
    let was_asked = async || {
        let sql = "SELECT tries FROM device_list_due WHERE user_id = ?1";
        let tries = database().query_row(sql, [user.as_bytes()], |row| row.get(0));
        tries.is_ok_and(|tries: u32| tries > 0).then_some(())
    };
    // The list from before is shown again: nothing happens. Somebody signs a later one with the old key: it is refused.
    let forged = signer.sign(99, &[(4, &sealpost_protocol::IdentityKeyPair::generate(&mut rand::rng()))], 1);
    let number = other(&hers).await.safety_number().await.unwrap();
    let mut disk = ada.close().await;
    for (list, is_refused) in [(old, false), (forged.serialize(), true)] {
        *shows.0.lock().unwrap() = Some(list);
        let insert = "INSERT INTO device_list_due (user_id, version, contradicts) VALUES (?1, 0, 0)
                      ON CONFLICT DO UPDATE SET tries = 0, due = 0";
        database().execute(insert, [user.as_bytes()]).unwrap();
        let ada = disk.open().await;
        let mut events = ada.client.events();
        match is_refused {
            true => is_told(&mut events, Event::DeviceListRefused(user)).await,
            false => eventually("the relay was asked", was_asked).await,
        }
        let theirs = ada.client.contact(user);
        assert_eq!(theirs.safety_number().await.unwrap(), number);
        disk = ada.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_relay_is_told_again_who_the_primary_device_is() {
    let world = World::start().await;
    let ben = ben(&world).await;
    let user = ben.phone.client.user_id();
    let before = list_at_relay(&world, user);
    moved(&ben).await;
    eventually("the relay knows it", async || (primaries_at_relay(&world, user) == [2]).then_some(())).await;
    let Ben { phone, tablet, desktop: _ } = ben;
    let (phone, tablet) = (phone.close().await, tablet.close().await);
    // The relay is restored to before the move. Its clients notice the epoch, and tell it their lists again.
    let db = relay(&world);
    db.execute("UPDATE device SET is_primary = (device_id = 1) WHERE user_id = ?1", [user.as_bytes()])
        .unwrap();
    let sql = "UPDATE device_list SET version = ?2, list = ?3 WHERE user_id = ?1";
    let version = i64::try_from(before.version()).unwrap();
    db.execute(sql, params![user.as_bytes(), version, before.serialize()]).unwrap();
    for disk in [&phone, &tablet] {
        open_database(disk.database(), &disk.key()).execute("UPDATE account SET list_told = 0", []).unwrap();
    }
    // The new primary device cannot tell it, and tries again until the old one has.
    let tablet = tablet.open().await;
    tablet.live().await;
    assert_eq!(primaries_at_relay(&world, user), [1]);
    let _phone = phone.open().await;
    eventually("the relay knows it", async || (primaries_at_relay(&world, user) == [2]).then_some(())).await;
    let again = async || (list_at_relay(&world, user).moves().len() == 1).then_some(());
    eventually("the relay has the list", again).await;
    assert_eq!(primary(&tablet).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_device_that_was_restored_to_before_the_move_learns_of_it() {
    let world = World::start().await;
    let Ben { phone, tablet, desktop } = ben(&world).await;
    let disk = phone.close().await;
    let copy = std::fs::read(disk.database()).unwrap();
    let phone = disk.open().await;
    let ben = Ben { phone, tablet, desktop };
    moved(&ben).await;
    let user = ben.phone.client.user_id();
    eventually("the relay knows it", async || (primaries_at_relay(&world, user) == [2]).then_some(())).await;
    let disk = ben.phone.close().await;
    for suffix in ["-wal", "-shm"] {
        let mut name = disk.database().as_os_str().to_owned();
        name.push(suffix);
        let _ = std::fs::remove_file(name);
    }
    std::fs::write(disk.database(), copy).unwrap();
    let phone = disk.open().await;
    until_primary(&phone, 2).await;
    assert_eq!(phone.client.remove_device(device(3)).await, failed(LinkFailure::NotPrimary));
    assert_eq!(list_at_relay(&world, user).primary().unwrap().device.get(), 2);
}

#[cfg(feature = "faults")]
mod kills {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Stdio;

    use sealpost_core::fault::Station;
    use tokio::process::{Child, Command};

    use super::*;

    fn child(world: &World, name: &str, arguments: &[&str], station: Station) -> Child {
        Command::new(env!("CARGO_BIN_EXE_crash-client"))
            .arg(world.dir())
            .args([name, &world.url()])
            .args(arguments)
            .env("SEALPOST_FAULT", station.name())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    async fn dies(child: &mut Child, station: Station) {
        let status = within(station.name(), child.wait()).await.unwrap();
        assert_eq!(status.signal(), Some(6), "did not die at {}: {status}", station.name());
    }

    async fn is_moved(world: &World, phone: &Party, tablet: &Party) {
        for party in [phone, tablet] {
            until_primary(party, 2).await;
        }
        let user = tablet.client.user_id();
        eventually("the relay", async || (primaries_at_relay(world, user) == [2]).then_some(())).await;
        assert_eq!(list_at_relay(world, user).primary().unwrap().device.get(), 2);
        // It can sign.
        tablet.client.remove_device(device(3)).await.unwrap();
        let signed = async || (list_at_relay(world, user).devices().len() == 2).then_some(());
        eventually("the relay has its list", signed).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_old_primary_device_can_be_killed_at_every_station_of_a_move() {
        for station in [Station::MoveAsked, Station::MoveSigned, Station::MoveBeforeTold, Station::MoveTold] {
            let world = World::start().await;
            let Ben { phone, tablet, desktop: _ } = ben(&world).await;
            let disk = phone.close().await;
            dies(&mut child(&world, "phone", &["move", "2"], station), station).await;
            is_moved(&world, &disk.open().await, &tablet).await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_new_primary_device_can_be_killed_when_it_has_proposed() {
        let world = World::start().await;
        let Ben { phone, tablet, desktop: _ } = ben(&world).await;
        let disk = tablet.close().await;
        phone.client.move_account(device(2)).await.unwrap();
        dies(&mut child(&world, "tablet", &[], Station::MoveProposed), Station::MoveProposed).await;
        is_moved(&world, &phone, &disk.open().await).await;
    }
}

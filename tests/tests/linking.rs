//! Linking companions, and removing them.

#![cfg(test)]

use std::sync::Arc;
use std::time::Duration;

use sealpost_core::{
    Client, CodeError, ConnectionState, Delivery, Departure, DeviceId, Error, Event, Events, History,
    LinkCode, LinkFailure, Linking, Opened, PendingLink, SharedHistory,
};
use sealpost_e2e::open_database;
use sealpost_protocol::device::SignedDeviceList;
use sealpost_testkit::{Interceptor, ManualClock, Party, PartyDisk, Proxy, World, eventually, texts, within};
use tokio::sync::Notify;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn device(number: u32) -> DeviceId {
    DeviceId::new(number).unwrap()
}

/// A database without an account that shows a code.
async fn linking(disk: &PartyDisk) -> Linking {
    match Client::open(disk.config()).await.unwrap() {
        Opened::Unregistered(new) => new.link("tablet").await.unwrap(),
        Opened::Ready(_) => panic!("registered already"),
    }
}

/// Reads the code of a companion that waits for it. Both show the same digits.
async fn read(primary: &Party, shown: &Linking) -> Result<PendingLink, Error> {
    let reading = primary.client.link(shown.code());
    tokio::pin!(reading);
    let mut digits = None;
    let pending = loop {
        tokio::select! {
            pending = &mut reading => break pending?,
            came = shown.digits(), if digits.is_none() => digits = Some(came),
        }
    };
    let digits = match digits {
        Some(digits) => digits,
        None => shown.digits().await,
    };
    assert_eq!(digits?, pending.digits());
    Ok(pending)
}

async fn numbers(party: &Party) -> Vec<u32> {
    party.client.devices().await.unwrap().iter().map(|device| device.id.get()).collect()
}

async fn until_numbers(party: &Party, expected: &[u32]) {
    eventually("the devices", async || (numbers(party).await == expected).then_some(())).await;
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

/// The numbers of the devices that the relay has of an account.
fn at_relay(world: &World, party: &Party) -> Vec<u32> {
    let db = relay(world);
    let mut statement = db.prepare("SELECT device_id FROM device WHERE user_id = ?1 ORDER BY 1").unwrap();
    let rows = statement.query_map([party.client.user_id().as_bytes()], |row| row.get(0)).unwrap();
    rows.collect::<rusqlite::Result<_>>().unwrap()
}

/// The numbers of the devices on the list that the relay has of an account.
fn list_at_relay(world: &World, party: &Party) -> Vec<u32> {
    let user = party.client.user_id();
    let sql = "SELECT list FROM device_list WHERE user_id = ?1";
    let list: Vec<u8> = relay(world).query_row(sql, [user.as_bytes()], |row| row.get(0)).unwrap();
    let list = SignedDeviceList::parse(&list).unwrap().verify(user.as_bytes()).unwrap();
    list.devices().iter().map(|entry| entry.device.get()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_companion_is_linked_with_a_code_and_a_confirmation() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let hers = ada.thread_with(&ben).await;
    let hello = hers.send_text("hello").await.unwrap();
    ada.message_reaches(&hers, hello.id, Delivery::Sent).await;
    let number = ada.client.contact(ben.client.user_id()).safety_number().await.unwrap();
    let mut events = ada.client.events();
    let disk = world.disk("tablet");
    let linking = linking(&disk).await;
    let code: LinkCode = linking.code().to_text().parse().unwrap();
    assert_eq!(code.link(), linking.code().link());
    let pending = read(&ada, &linking).await.unwrap();
    assert_eq!(pending.name(), "tablet");
    assert_eq!((numbers(&ada).await, list_at_relay(&world, &ada)), (vec![1], vec![1]), "not confirmed");
    assert_eq!(pending.confirm("kitchen", SharedHistory::Nothing).await, Ok(device(2)));
    is_told(&mut events, Event::DeviceLinked { device: device(2), name: Some("kitchen".to_owned()) }).await;
    let client = linking.finish().await.unwrap();
    assert_eq!((client.user_id(), client.device_id()), (ada.client.user_id(), device(2)));
    eventually("live", async || (client.connection_state() == ConnectionState::Live).then_some(())).await;
    assert_eq!((at_relay(&world, &ada), list_at_relay(&world, &ada)), (vec![1, 2], vec![1, 2]));

    let devices = ada.client.devices().await.unwrap();
    let told: Vec<_> = devices.iter().map(|own| (own.name.as_deref(), own.is_primary, own.is_this)).collect();
    assert_eq!(told, [(None, true, true), (Some("kitchen"), false, false)]);
    ada.client.rename_device(device(1), " phone\u{202e} ").await.unwrap();
    assert_eq!(ada.client.devices().await.unwrap()[0].name.as_deref(), Some("phone"));
    assert_eq!(ada.client.rename_device(device(2), " ").await, Err(Error::Link(LinkFailure::Name)));
    assert_eq!(ada.client.rename_device(device(3), "x").await, Err(Error::NotFound));

    assert_eq!(ada.client.contact(ben.client.user_id()).safety_number().await.unwrap(), number);

    // It remains a companion when it is opened again.
    client.suspend().await.unwrap();
    drop((client, linking));
    let tablet = disk.open().await;
    assert_eq!(numbers(&tablet).await, [1, 2]);
    let own = tablet.client.devices().await.unwrap();
    assert_eq!((own[1].name.as_deref(), own[1].is_this, own[1].is_primary), (Some("tablet"), true, false));
    tablet.live().await;
}

/// Reads the code of `linking` with `primary` and confirms.
async fn confirmed(primary: &Party, linking: &Linking, name: &str) -> Result<DeviceId, Error> {
    read(primary, linking).await?.confirm(name, SharedHistory::Nothing).await
}

fn failed<T>(failure: LinkFailure) -> Result<T, Error> {
    Err(Error::Link(failure))
}

/// The thread of this device once it has these texts.
async fn until_texts(party: &Party, expected: &[&str]) {
    eventually("all texts", async || {
        let thread = party.client.threads().await.unwrap().pop()?;
        (texts(&thread).await == expected).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_companion_takes_part_in_conversations_from_then_on() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    hers.send_text("before").await.unwrap();
    ben.texts_when(&his, 1).await;
    let tablet = world.companion(&ada, "tablet").await;
    tablet.live().await;
    hers.send_text("from the phone").await.unwrap();
    until_texts(&tablet, &["from the phone"]).await;
    his.send_text("to both").await.unwrap();
    until_texts(&tablet, &["from the phone", "to both"]).await;
    let theirs = tablet.client.threads().await.unwrap().remove(0);
    theirs.send_text("from the tablet").await.unwrap();
    for party in [&ada, &ben] {
        until_texts(party, &["before", "from the phone", "to both", "from the tablet"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_can_be_read_by_one_account_only_and_again_by_the_same_device() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let disk = world.disk("tablet");
    let linking = linking(&disk).await;
    let first = read(&ada, &linking).await.unwrap();
    assert_eq!(ben.client.link(linking.code()).await.map(drop), failed(LinkFailure::Taken));
    let again = ada.client.link(linking.code()).await.unwrap();
    assert_eq!(first.digits(), again.digits());
    again.confirm("tablet", SharedHistory::Nothing).await.unwrap();
    assert_eq!(
        first.confirm("tablet", SharedHistory::Nothing).await,
        Ok(device(2)),
        "a repetition changes nothing"
    );
    assert_eq!(first.cancel().await, Err(Error::WrongState));
    let tablet = linking.finish().await.unwrap();
    assert_eq!((numbers(&ada).await, at_relay(&world, &ada)), (vec![1, 2], vec![1, 2]));
    assert_eq!(ada.client.link(linking.code()).await.map(drop), failed(LinkFailure::AlreadyLinked));

    // A companion links and removes nobody, and does not delete the account.
    let third = world.disk("desktop");
    let code = self::linking(&third).await;
    assert_eq!(tablet.link(code.code()).await.map(drop), failed(LinkFailure::NotPrimary));
    assert_eq!(tablet.remove_device(device(1)).await, failed(LinkFailure::NotPrimary));
    assert_eq!(ada.client.remove_device(device(1)).await, failed(LinkFailure::NotPrimary));
    assert_eq!(ada.client.remove_device(device(3)).await, Err(Error::NotFound));
    assert_eq!(tablet.delete_account(History::Keep).await, failed(LinkFailure::NotPrimary));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_or_cancelled_link_changes_nothing_and_another_one_works() {
    let world = World::start().await;
    let ada = world.party("ada").await;
    let disk = world.disk("tablet");
    let Opened::Unregistered(new) = Client::open(disk.config()).await.unwrap() else { panic!() };
    assert_eq!(new.link(" \u{200b}").await.map(drop), failed(LinkFailure::Name));
    let first = new.link("tablet").await.unwrap();
    let pending = read(&ada, &first).await.unwrap();
    pending.cancel().await.unwrap();
    assert_eq!(first.finish().await.map(drop), failed(LinkFailure::Refused));
    assert_eq!(pending.confirm("tablet", SharedHistory::Nothing).await, failed(LinkFailure::Expired));

    let second = new.link("tablet").await.unwrap();
    assert_ne!(second.code().to_text(), first.code().to_text());
    second.cancel().await.unwrap();
    assert_eq!(second.digits().await, failed(LinkFailure::Expired));
    assert!(new.register(&[]).await.is_ok(), "an account can be registered instead");
    assert_eq!((numbers(&ada).await, list_at_relay(&world, &ada)), (vec![1], vec![1]));
    // The number of the refused companion is not used again.
    let third = world.companion(&ada, "desktop").await;
    assert_eq!(third.client.device_id(), device(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_has_ended_does_not_disturb_the_one_that_follows() {
    let world = World::start().await;
    let ada = world.party("ada").await;
    let disk = world.disk("tablet");
    let Opened::Unregistered(new) = Client::open(disk.config()).await.unwrap() else { panic!() };
    let first = new.link("tablet").await.unwrap();
    first.cancel().await.unwrap();
    let second = new.link("tablet").await.unwrap();
    // A screen that shows the first code is closed late.
    assert_eq!(within("it has ended", first.digits()).await, failed(LinkFailure::Expired));
    assert_eq!(within("it has ended", first.finish()).await.map(drop), failed(LinkFailure::Expired));
    assert_eq!(first.cancel().await, Ok(()));
    confirmed(&ada, &second, "tablet").await.unwrap();
    assert_eq!(second.finish().await.unwrap().device_id(), device(2));
    assert_eq!(first.cancel().await, Err(Error::WrongState));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_is_read_twice_at_the_same_time_is_one_link() {
    let world = World::start().await;
    let ada = world.party("ada").await;
    let disk = world.disk("tablet");
    let shown = linking(&disk).await;
    let (one, two, digits) =
        tokio::join!(ada.client.link(shown.code()), ada.client.link(shown.code()), shown.digits());
    let (one, two, digits) = (one.unwrap(), two.unwrap(), digits.unwrap());
    assert_eq!([one.digits(), two.digits()], [digits; 2]);
    let (first, second) = tokio::join!(
        one.confirm("tablet", SharedHistory::Nothing),
        two.confirm("tablet", SharedHistory::Nothing)
    );
    assert_eq!(first, second);
    let companion = shown.finish().await.unwrap();
    assert_eq!(Ok(companion.device_id()), first);
    // The number that was reserved for the other one is given up, and the link is forgotten once the companion is there.
    let ada = ada.close().await.open().await;
    let database = open_database(world.disk("ada").database(), &world.disk("ada").key());
    let rest = async || {
        let sql = "SELECT (SELECT count(*) FROM own_link) + (SELECT count(*) FROM revocation)";
        let rest: u32 = database.query_row(sql, [], |row| row.get(0)).unwrap();
        (rest == 0).then_some(())
    };
    eventually("nothing is left to be done", rest).await;
    assert_eq!(numbers(&ada).await, at_relay(&world, &ada));
    assert_eq!(numbers(&ada).await, [1, companion.device_id().get()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_can_be_repeated_after_the_companion_is_there() {
    let world = World::start().await;
    let ada = world.party("ada").await;
    let disk = world.disk("tablet");
    let shown = linking(&disk).await;
    let pending = read(&ada, &shown).await.unwrap();
    assert_eq!(pending.confirm("tablet", SharedHistory::Nothing).await, Ok(device(2)));
    let _companion = shown.finish().await.unwrap();
    // What is left is looked after when something else was cancelled.
    let other = world.disk("other");
    let other = linking(&other).await;
    read(&ada, &other).await.unwrap().cancel().await.unwrap();
    let database = open_database(world.disk("ada").database(), &world.disk("ada").key());
    let is_forgotten = async || {
        let links: u32 = database.query_row("SELECT count(*) FROM own_link", [], |row| row.get(0)).unwrap();
        (links == 0).then_some(())
    };
    eventually("the link is forgotten", is_forgotten).await;
    assert_eq!(pending.confirm("again", SharedHistory::Everything).await, Ok(device(2)));
    assert_eq!(ada.client.devices().await.unwrap()[1].name.as_deref(), Some("tablet"));
    ada.client.remove_device(device(2)).await.unwrap();
    assert_eq!(pending.confirm("again", SharedHistory::Nothing).await, failed(LinkFailure::Expired));
}

/// Holds back the relay's answer to the registration of a companion until the test goes on.
struct Holds {
    came: Notify,
    go_on: std::sync::Mutex<std::sync::mpsc::Receiver<()>>,
}

#[derive(Clone)]
struct HoldsRegistration(Arc<Holds>);

impl Interceptor for HoldsRegistration {
    fn answer(&self, request: &str, body: Vec<u8>) -> Vec<u8> {
        if request.contains("devices:link") {
            self.0.came.notify_one();
            tokio::task::block_in_place(|| self.0.go_on.lock().unwrap().recv()).unwrap();
        }
        body
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_link_that_is_cancelled_while_the_relay_registers_the_device_leaves_no_device() {
    let world = World::start().await;
    let ada = world.party("ada").await;
    let (go_on, waits) = std::sync::mpsc::channel();
    let holds = HoldsRegistration(Arc::new(Holds { came: Notify::new(), go_on: waits.into() }));
    let proxy = Proxy::start(world.addr(), holds.clone()).await;
    let disk = world.disk("tablet").through(&proxy.url());
    let Opened::Unregistered(new) = Client::open(disk.config()).await.unwrap() else { panic!() };
    let first = new.link("tablet").await.unwrap();
    confirmed(&ada, &first, "tablet").await.unwrap();
    let cancelled = async {
        within("the relay has registered it", holds.0.came.notified()).await;
        first.cancel().await.unwrap();
        let second = new.link("tablet").await.unwrap();
        go_on.send(()).unwrap();
        second
    };
    let (finished, second) = tokio::join!(first.finish(), cancelled);
    assert_eq!(finished.map(drop), failed(LinkFailure::Expired));
    let gone = async || (at_relay(&world, &ada) == [1]).then_some(());
    eventually("the relay has forgotten the device", gone).await;
    go_on.send(()).unwrap();
    confirmed(&ada, &second, "tablet").await.unwrap();
    let tablet = second.finish().await.unwrap();
    assert_eq!(tablet.device_id(), device(3));
    eventually("live", async || (tablet.connection_state() == ConnectionState::Live).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_can_be_opened_again_as_soon_as_a_link_is_not_waited_for_any_more() {
    let world = World::start().await;
    let disk = world.disk("tablet");
    let code = linking(&disk).await.code().to_text();
    for micros in (0..200).map(|step| step * 50) {
        let again = linking(&disk).await;
        assert_eq!(again.code().to_text(), code);
        let waiting = tokio::time::timeout(Duration::from_micros(micros), again.digits()).await;
        assert!(waiting.is_err(), "nobody has read the code");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_stops_waiting_at_any_moment_gets_the_client_later() {
    let world = World::start().await;
    let ada = world.party("ada").await;
    let disk = world.disk("tablet");
    let linking = linking(&disk).await;
    confirmed(&ada, &linking, "tablet").await.unwrap();
    let mut patience = Duration::ZERO;
    let client = loop {
        match tokio::time::timeout(patience, linking.finish()).await {
            Ok(finished) => break finished.unwrap(),
            Err(_) => patience += Duration::from_millis(1),
        }
    };
    assert_eq!((client.device_id(), at_relay(&world, &ada)), (device(2), vec![1, 2]));
    eventually("live", async || (client.connection_state() == ConnectionState::Live).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_is_cut_of_another_version_or_old_is_refused() {
    let mut world = World::start().await;
    let ada = world.party("ada").await;
    let disk = world.disk("tablet");
    let shown = linking(&disk).await;
    let text = shown.code().to_text();
    assert_eq!(text[..100].parse::<LinkCode>().unwrap_err(), CodeError::Cut);
    assert_eq!("https://example.org/".parse::<LinkCode>().unwrap_err(), CodeError::NotACode);
    let mut later = shown.code().to_bytes().to_vec();
    later[3] = 2;
    assert_eq!(LinkCode::parse(&later).unwrap_err(), CodeError::OtherVersion);

    // The relay forgets links when they are too old, and when it is restarted.
    world.stop_relay().await;
    world.start_relay().await;
    ada.live().await;
    assert_eq!(ada.client.link(shown.code()).await.map(drop), failed(LinkFailure::Expired));
    assert_eq!(shown.digits().await, failed(LinkFailure::Expired));
    assert_eq!(shown.finish().await.map(drop), failed(LinkFailure::Expired));
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_are_a_day_off_do_not_matter() {
    let world = World::start().await;
    let day_ms = 24 * 3_600_000;
    let (ahead, behind) = (ManualClock::at(real_now_ms() + day_ms), ManualClock::at(real_now_ms() - day_ms));
    let ada = world.disk("ada").with_clock(&ahead).register().await;
    let tablet = world.disk("tablet").with_clock(&behind).link_to(&ada).await;
    tablet.live().await;
    assert_eq!((numbers(&ada).await, numbers(&tablet).await), (vec![1, 2], vec![1, 2]));
}

fn real_now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_companions_can_be_linked_at_once_until_there_are_five_devices() {
    let world = World::start().await;
    let ada = world.party("ada").await;
    let disks = ["two", "three", "four", "five", "six"].map(|name| world.disk(name));
    let mut shown = Vec::new();
    for disk in &disks {
        shown.push(linking(disk).await);
    }
    // All are read before the first is confirmed.
    let mut waiting = Vec::new();
    for linking in &shown {
        waiting.push(read(&ada, linking).await.unwrap());
    }
    let (one, two) = tokio::join!(
        waiting[0].confirm("two", SharedHistory::Nothing),
        waiting[1].confirm("three", SharedHistory::Nothing)
    );
    assert_eq!((one, two), (Ok(device(2)), Ok(device(3))));
    let (one, two) = tokio::join!(shown[0].finish(), shown[1].finish());
    let companion = (one.unwrap(), two.unwrap());
    for at in [2, 3] {
        waiting[at].confirm("another", SharedHistory::Nothing).await.unwrap();
        shown[at].finish().await.unwrap();
    }
    assert_eq!(waiting[4].confirm("six", SharedHistory::Nothing).await, failed(LinkFailure::TooManyDevices));
    waiting[4].cancel().await.unwrap();
    assert_eq!(shown[4].finish().await.map(drop), failed(LinkFailure::Refused));
    let all = vec![1, 2, 3, 4, 5];
    assert_eq!(
        (numbers(&ada).await, at_relay(&world, &ada), list_at_relay(&world, &ada)),
        (all.clone(), all.clone(), all)
    );
    drop(companion);

    // One leaves, and there is room at once.
    let gone = shown[3].finish().await.unwrap();
    assert_eq!(gone.log_out(History::Delete).await, Ok(Departure::Complete));
    let next = world.companion(&ada, "seven").await;
    assert_eq!(numbers(&ada).await, [1, 2, 3, 4, 7]);
    assert_eq!(next.client.device_id(), device(7));
    // The numbers are used up.
    ada.client.remove_device(device(7)).await.unwrap();
    let relay = relay(&world);
    relay.execute("UPDATE device_mark SET device_id = 127", []).unwrap();
    let last = world.disk("last");
    let shown = linking(&last).await;
    assert_eq!(ada.client.link(shown.code()).await.map(drop), failed(LinkFailure::DeviceIdsUsedUp));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_companion_is_disconnected_at_once_and_learns_why() {
    let world = World::start().await;
    let ada = world.party("ada").await;
    let tablet = world.companion(&ada, "tablet").await;
    let desktop = world.companion(&ada, "desktop").await;
    tablet.live().await;
    // It learns of the other companion together with its name.
    until_numbers(&tablet, &[1, 2, 3]).await;
    let mut events = ada.client.events();
    ada.client.remove_device(device(2)).await.unwrap();
    is_told(&mut events, Event::DeviceUnlinked(device(2))).await;
    assert_eq!((at_relay(&world, &ada), list_at_relay(&world, &ada)), (vec![1, 3], vec![1, 3]));
    let signed_out = async || (tablet.client.connection_state() == ConnectionState::SignedOut).then_some(());
    eventually("the companion is signed out", signed_out).await;
    let refused = tablet.client.direct_thread(sealpost_core::UserId::from_bytes([9; 16])).await;
    assert_eq!(refused.map(drop), Err(Error::Unlinked));
    assert_eq!(numbers(&tablet).await, [1, 2, 3], "what it has can be read");

    // The other companion learns it with its next connection.
    let desktop = desktop.close().await.open().await;
    until_numbers(&desktop, &[1, 3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_is_told_when_there_is_a_connection_again() {
    let mut world = World::start().await;
    let ada = world.party("ada").await;
    let tablet = world.companion(&ada, "tablet").await;
    world.stop_relay().await;
    ada.client.remove_device(device(2)).await.unwrap();
    assert_eq!(numbers(&ada).await, [1]);
    let ada = ada.close().await;
    world.start_relay().await;
    let ada = ada.open().await;
    let revoked = async || (at_relay(&world, &ada) == [1]).then_some(());
    eventually("the relay has revoked it", revoked).await;
    let signed_out = async || (tablet.client.connection_state() == ConnectionState::SignedOut).then_some(());
    eventually("the companion is signed out", signed_out).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_companion_leaves_or_is_unlinked_after_45_days_and_the_primary_device_signs_a_list_without_it() {
    let clock = ManualClock::at(1_800_000_000_000);
    let relay_clock = clock.clone();
    let world = World::start_with(move |config| {
        let timing = sealpost_relay::Timing { sweep: Duration::from_millis(50), ..config.timing };
        sealpost_relay::Config { clock: Arc::new(relay_clock.clone()), timing, ..config }
    })
    .await;
    let ada = world.disk("ada").with_clock(&clock).register().await;
    let tablet = world.disk("tablet").with_clock(&clock).link_to(&ada).await;
    let desktop = world.disk("desktop").with_clock(&clock).link_to(&ada).await;
    assert_eq!(tablet.client.log_out(History::Delete).await, Ok(Departure::Complete));
    assert_eq!(at_relay(&world, &ada), [1, 3]);
    let ada = ada.close().await.open().await;
    until_numbers(&ada, &[1, 3]).await;

    let (ada, desktop) = (ada.close().await, desktop.close().await);
    clock.advance(DAY * 46);
    let gone = async || {
        let left: u32 = relay(&world).query_row("SELECT count(*) FROM device", [], |row| row.get(0)).unwrap();
        (left == 1).then_some(())
    };
    eventually("the relay has unlinked it", gone).await;
    let ada = ada.open().await;
    until_numbers(&ada, &[1]).await;
    let desktop = desktop.open().await;
    let signed_out = async || (desktop.client.connection_state() == ConnectionState::SignedOut).then_some(());
    eventually("the companion is signed out", signed_out).await;
    let refused = desktop.client.direct_thread(sealpost_core::UserId::from_bytes([9; 16])).await;
    assert_eq!(refused.map(drop), Err(Error::Unlinked));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_devices_notice_that_a_companion_has_left_when_they_write() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let (tablet, desktop) = (world.companion(&ada, "tablet").await, world.companion(&ada, "desktop").await);
    let hers = ada.thread_with(&ben).await;
    hers.send_text("one").await.unwrap();
    let on_desktop = desktop.thread_with(&ben).await;
    desktop.texts_when(&on_desktop, 1).await;
    assert_eq!(tablet.client.log_out(History::Delete).await, Ok(Departure::Complete));
    hers.send_text("two").await.unwrap();
    until_numbers(&ada, &[1, 3]).await;
    until_texts(&desktop, &["one", "two"]).await;
    on_desktop.send_text("three").await.unwrap();
    until_texts(&ada, &["one", "two", "three"]).await;
    until_numbers(&desktop, &[1, 3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_on_no_list_is_revoked() {
    let world = World::start().await;
    let ada = world.party("ada").await;
    let tablet = world.companion(&ada, "tablet").await;
    let disk = ada.close().await;
    let user = tablet.client.user_id();
    let sql = "INSERT INTO device (user_id, device_id, registration_id, identity_key, seen_ms)
               SELECT user_id, 9, registration_id, identity_key, seen_ms FROM device WHERE user_id = ?1 AND device_id = 2";
    assert_eq!(relay(&world).execute(sql, [user.as_bytes()]).unwrap(), 1);
    let ada = disk.open().await;
    eventually("it is revoked", async || (at_relay(&world, &ada) == [1, 2]).then_some(())).await;
    assert_eq!(numbers(&ada).await, [1, 2]);
}

/// On the primary device, the companion is on the list and was never registered; on the companion, the link has ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_companion_that_does_not_come_back_in_time_is_removed_from_the_list() {
    let clock = ManualClock::at(1_800_000_000_000);
    let relay_clock = clock.clone();
    let world = World::start_with(move |config| sealpost_relay::Config {
        clock: Arc::new(relay_clock.clone()),
        ..config
    })
    .await;
    let ada = world.disk("ada").with_clock(&clock).register().await;
    let disk = world.disk("tablet").with_clock(&clock);
    let shown = linking(&disk).await;
    confirmed(&ada, &shown, "tablet").await.unwrap();
    assert_eq!((numbers(&ada).await, at_relay(&world, &ada)), (vec![1, 2], vec![1]));
    drop(shown);
    let ada = ada.close().await.open().await;
    ada.live().await;
    assert_eq!(numbers(&ada).await, [1, 2], "it may come back");
    let ada = ada.close().await;
    clock.advance(Duration::from_secs(11 * 60 + 1));
    let ada = ada.open().await;
    until_numbers(&ada, &[1]).await;
    eventually("the relay has the list", async || (list_at_relay(&world, &ada) == [1]).then_some(())).await;
    assert_eq!(linking(&disk).await.finish().await.map(drop), failed(LinkFailure::Expired));
    assert_eq!(at_relay(&world, &ada), [1]);
}

#[cfg(feature = "faults")]
mod kills {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Stdio;

    use sealpost_core::fault::Station;
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    use tokio::process::{Child, Command};

    use super::*;

    fn child(world: &World, name: &str, arguments: &[&str], station: Station) -> Child {
        Command::new(env!("CARGO_BIN_EXE_crash-client"))
            .arg(world.dir())
            .args([name, &world.url()])
            .args(arguments)
            .env("SEALPOST_FAULT", station.name())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    async fn dies(child: &mut Child, station: Station) {
        let status = within(station.name(), child.wait()).await.unwrap();
        assert_eq!(status.signal(), Some(6), "did not die at {}: {status}", station.name());
    }

    /// Both have linked.
    async fn are_linked(world: &World, ada: &Party, tablet: Client) {
        assert_eq!(tablet.device_id(), device(2));
        let all =
            async || (at_relay(world, ada) == [1, 2] && list_at_relay(world, ada) == [1, 2]).then_some(());
        eventually("the relay has both", all).await;
        assert_eq!(numbers(ada).await, [1, 2]);
        eventually("live", async || (tablet.connection_state() == ConnectionState::Live).then_some(())).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_primary_device_can_be_killed_at_every_station_of_a_link() {
        let stations =
            [Station::LinkOfferStored, Station::LinkConfirmed, Station::LinkListTold, Station::LinkReleased];
        for station in stations {
            let world = World::start().await;
            let disk = world.party("ada").await.close().await;
            let tablet = world.disk("tablet");
            let shown = linking(&tablet).await;
            let (code, finished) =
                (shown.code().to_text(), tokio::spawn(async move { shown.finish().await }));
            dies(&mut child(&world, "ada", &["link", code.as_str()], station), station).await;
            let ada = disk.open().await;
            if station == Station::LinkOfferStored {
                assert_eq!(numbers(&ada).await, [1]);
                let pending = ada.client.link(&code.parse().unwrap()).await.unwrap();
                pending.confirm("tablet", SharedHistory::Nothing).await.unwrap();
            }
            let tablet = within("the companion is linked", finished).await.unwrap().unwrap();
            are_linked(&world, &ada, tablet).await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_companion_can_be_killed_at_every_station_of_a_link() {
        for station in [Station::LinkAnswerStored, Station::LinkReleaseStored, Station::LinkRegistered] {
            let world = World::start().await;
            let ada = world.party("ada").await;
            let mut child = child(&world, "tablet", &["companion"], station);
            let mut line = String::new();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
            let primary = ada.client.clone();
            let code = line.clone();
            let confirmed = tokio::spawn(async move {
                primary
                    .link(&code.parse().unwrap())
                    .await
                    .unwrap()
                    .confirm("tablet", SharedHistory::Nothing)
                    .await
                    .unwrap()
            });
            dies(&mut child, station).await;
            let disk = world.disk("tablet");
            let again = linking(&disk).await;
            assert_eq!(again.code().to_text().as_str(), line.trim(), "the same link goes on");
            let tablet = within("the companion is linked", again.finish()).await.unwrap();
            assert_eq!(confirmed.await.unwrap(), device(2));
            are_linked(&world, &ada, tablet).await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_removal_goes_on_after_the_primary_device_was_killed() {
        let stations = [
            Station::DeviceRemoved,
            Station::ListBeforeUpload,
            Station::ListUploaded,
            Station::DeviceRevoked,
        ];
        for station in stations {
            let world = World::start().await;
            let ada = world.party("ada").await;
            drop(world.companion(&ada, "tablet").await);
            let disk = ada.close().await;
            dies(&mut child(&world, "ada", &["remove", "2"], station), station).await;
            let ada = disk.open().await;
            assert_eq!(numbers(&ada).await, [1]);
            let gone =
                async || (at_relay(&world, &ada) == [1] && list_at_relay(&world, &ada) == [1]).then_some(());
            eventually("the relay has revoked it", gone).await;
        }
    }
}

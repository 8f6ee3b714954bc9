//! The lists of devices: how ours comes to the relay, and what others accept of it.

#![cfg(test)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use prost::Message as _;
use rusqlite::{OptionalExtension as _, params};
use sealpost_core::{Delivery, UserId};
use sealpost_e2e::open_database;
use sealpost_protocol::device::{SignedDeviceList, VerifiedDeviceList};
use sealpost_testkit::{Interceptor, Loss, Party, PartyDisk, Proxy, World, eventually, other};
use sealpost_wire as wire;

/// The list that the relay has of a user.
fn at_relay(world: &World, user: UserId) -> Option<Vec<u8>> {
    let relay = rusqlite::Connection::open(world.relay_dir().join("relay.db")).unwrap();
    let sql = "SELECT list FROM device_list WHERE user_id = ?1";
    relay.query_row(sql, [user.as_bytes()], |row| row.get(0)).optional().unwrap()
}

/// The list that the relay has of a user, once it has this version.
async fn at_relay_when(world: &World, user: UserId, version: u64) -> VerifiedDeviceList {
    let newest = async || {
        let list = SignedDeviceList::parse(&at_relay(world, user)?).unwrap().verify(user.as_bytes()).ok()?;
        (list.version() == version).then_some(list)
    };
    eventually("the relay has this version", newest).await
}

fn verified(list: &[u8], user: UserId) -> VerifiedDeviceList {
    SignedDeviceList::parse(list).unwrap().verify(user.as_bytes()).unwrap()
}

/// Our own list and our identity key in the database of a closed client.
fn stored(disk: &PartyDisk) -> (Vec<u8>, Vec<u8>) {
    let sql = "SELECT list, identity FROM account JOIN device_list USING (user_id)";
    let database = open_database(disk.database(), &disk.key());
    database.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

fn execute(disk: &PartyDisk, sql: &str) {
    open_database(disk.database(), &disk.key()).execute_batch(sql).unwrap();
}

fn at_relay_is(world: &World, user: UserId, set: &str, value: &[u8]) {
    let relay = rusqlite::Connection::open(world.relay_dir().join("relay.db")).unwrap();
    relay.busy_timeout(std::time::Duration::from_secs(60)).unwrap();
    let sql = format!("UPDATE device_list SET {set} WHERE user_id = ?1");
    assert_eq!(relay.execute(&sql, params![user.as_bytes(), value]).unwrap(), 1);
}

/// The key pair is stored with its public half.
fn contains(pair: &[u8], public: &[u8]) -> bool {
    pair.windows(public.len()).any(|window| window == public)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_account_has_an_account_key_and_its_list_is_at_the_relay_when_it_is_registered() {
    let world = World::start().await;
    let ada = world.party("ada").await;
    let user = ada.client.user_id();
    let list = at_relay(&world, user).expect("the list was uploaded before the registration returned");
    let (signed, identity) = stored(&ada.close().await);
    assert_eq!(list, signed);
    let list = verified(&list, user);
    assert_eq!((list.version(), list.devices().len()), (1, 1));
    let primary = list.primary().unwrap();
    assert!(primary.device.get() == 1 && contains(&identity, &primary.identity.serialize()));
    assert_ne!(list.account_key().as_identity(), &primary.identity, "the account key is a key of its own");
}

/// Turns an account into one from before device lists, which the relay has never heard of one of.
async fn make_old(world: &World, party: Party) -> PartyDisk {
    let user = party.client.user_id();
    let disk = party.close().await;
    execute(&disk, "DELETE FROM device_list; UPDATE account SET account_key = NULL, list_told = 0");
    let relay = rusqlite::Connection::open(world.relay_dir().join("relay.db")).unwrap();
    relay.execute("DELETE FROM device_list WHERE user_id = ?1", [user.as_bytes()]).unwrap();
    disk
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_from_before_signs_its_first_list_with_its_identity_key() {
    let world = World::start().await;
    let ada = world.party("ada").await;
    let user = ada.client.user_id();
    let ada = make_old(&world, ada).await.open().await;
    let list = at_relay_when(&world, user, 1).await;
    assert_eq!(list.account_key().as_identity(), &list.primary().unwrap().identity);
    let (signed, identity) = stored(&ada.close().await);
    assert_eq!(signed, list.serialize());
    assert!(contains(&identity, &list.account_key().serialize()));
}

/// Loses requests with this method and path, or their answers, while it is told to.
struct Loses(&'static str, Loss, Arc<AtomicBool>);

impl Interceptor for Loses {
    fn loses(&self, request: &str) -> Option<Loss> {
        (request.starts_with(self.0) && self.2.load(Ordering::SeqCst)).then_some(self.1)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_not_confirmed_is_sent_again_with_the_same_bytes() {
    for loss in [Loss::Request, Loss::Answer] {
        let (world, loses) = (World::start().await, Arc::new(AtomicBool::new(true)));
        let proxy = Loses("PUT /v1/device-list", loss, Arc::clone(&loses));
        let proxy = Proxy::start(world.addr(), proxy).await;
        // A registration does not fail because of it.
        let ada = world.disk("ada").through(&proxy.url()).open_or_register().await;
        let user = ada.client.user_id();
        assert_eq!(at_relay(&world, user).is_some(), loss == Loss::Answer);
        let disk = ada.close().await;
        let (signed, _) = stored(&disk);
        assert_eq!(told(&disk), 0);
        loses.store(false, Ordering::SeqCst);
        let ada = disk.clone().open().await;
        at_relay_when(&world, user, 1).await;
        eventually("it is recorded", async || (told(&disk) == 1).then_some(())).await;
        assert_eq!(at_relay(&world, user).unwrap(), signed);
        ada.close().await;
    }
}

fn told(disk: &PartyDisk) -> i64 {
    let database = open_database(disk.database(), &disk.key());
    database.query_row("SELECT list_told FROM account", [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_from_before_a_list_takes_the_later_one_that_it_has_signed_itself() {
    let world = World::start().await;
    let ada = world.party("ada").await;
    let user = ada.client.user_id();
    let disk = ada.close().await;
    let first = stored(&disk).0;
    // The list is signed again, as another one: the relay has version 1, so it gets the next version.
    execute(&disk, "DELETE FROM device_list; UPDATE account SET list_told = 0");
    let ada = disk.open().await;
    let second = at_relay_when(&world, user, 2).await;
    let disk = ada.close().await;
    assert_eq!(stored(&disk).0, second.serialize());
    // The database is restored from a copy with the first list.
    let database = open_database(disk.database(), &disk.key());
    database.execute("UPDATE device_list SET list = ?1, version = 1", [&first]).unwrap();
    database.execute("UPDATE account SET list_told = 0", []).unwrap();
    drop(database);
    let ada = disk.clone().open().await;
    eventually("it is taken", async || (told(&disk) == 2).then_some(())).await;
    assert_eq!(stored(&ada.close().await).0, second.serialize());
    assert_eq!(at_relay(&world, user).unwrap(), second.serialize());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_at_the_relay_that_we_have_not_signed_is_replaced() {
    let world = World::start().await;
    let (ada, mallory) = (world.party("ada").await, world.party("mallory").await);
    let (user, other) = (ada.client.user_id(), mallory.client.user_id());
    let foreign = at_relay(&world, other).unwrap();
    let mut disk = ada.close().await;
    // Somebody with a stolen token can upload any number of lists.
    for version in [7, 2 * 65_536 + 1, (1 << 62) - 1 - (1 << 33)] {
        at_relay_is(&world, user, &format!("version = {version}, list = ?2"), &foreign);
        execute(&disk, "UPDATE account SET list_told = 0");
        let ada = disk.clone().open().await;
        let list = at_relay_when(&world, user, version + 1).await;
        disk = ada.close().await;
        assert_eq!(stored(&disk).0, list.serialize());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_was_restored_from_before_a_list_takes_it_again() {
    let world = World::start().await;
    let (ada, mallory) = (world.party("ada").await, world.party("mallory").await);
    let (user, foreign) = (ada.client.user_id(), at_relay(&world, mallory.client.user_id()).unwrap());
    let first = at_relay(&world, user).unwrap();
    let disk = ada.close().await;
    at_relay_is(&world, user, "version = 1 << 20, list = ?2", &foreign);
    execute(&disk, "UPDATE account SET list_told = 0");
    let ada = disk.open().await;
    let list = at_relay_when(&world, user, (1 << 20) + 1).await;
    let disk = ada.close().await;
    at_relay_is(&world, user, "version = 1, list = ?2", &first);
    execute(&disk, "UPDATE account SET list_told = 0");
    let _ada = disk.open().await;
    assert_eq!(at_relay_when(&world, user, (1 << 20) + 1).await.serialize(), list.serialize());
}

/// A relay that changes the answers to a request for bundles.
struct Bundles<F>(F);

impl<F: Fn(&mut wire::Bundles) + Send + Sync + 'static> Interceptor for Bundles<F> {
    fn answer(&self, request: &str, body: Vec<u8>) -> Vec<u8> {
        if !request.contains("/prekeys") {
            return body;
        }
        let mut bundles: wire::Bundles = wire::decode(body.into()).unwrap();
        (self.0)(&mut bundles);
        bundles.encode_to_vec()
    }
}

/// Ada, whose relay changes the bundles that she fetches.
async fn ada_behind(
    world: &World,
    change: impl Fn(&mut wire::Bundles) + Send + Sync + 'static,
) -> (Proxy, Party) {
    let proxy = Proxy::start(world.addr(), Bundles(change)).await;
    let ada = world.disk("ada").through(&proxy.url()).open_or_register().await;
    (proxy, ada)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sealed_for_a_device_that_the_relay_has_added() {
    let world = World::start().await;
    let (ben, mallory) = (world.party("ben").await, world.party("mallory").await);
    // Valid keys, with valid signatures, of a device that Ben's account has not signed.
    let stolen = Arc::new(std::sync::Mutex::new(None));
    let keep = Arc::clone(&stolen);
    let fetched = move |bundles: &mut wire::Bundles| *keep.lock().unwrap() = bundles.bundles.first().cloned();
    let proxy = Proxy::start(world.addr(), Bundles(fetched)).await;
    let cyd = world.disk("cyd").through(&proxy.url()).open_or_register().await;
    let to_mallory = cyd.thread_with(&mallory).await;
    let hello = to_mallory.send_text("hello").await.unwrap();
    cyd.message_reaches(&to_mallory, hello.id, Delivery::Delivered).await;
    let added = stolen.lock().unwrap().take().unwrap();
    let (_proxy, ada) = ada_behind(&world, move |bundles| {
        bundles.bundles.push(wire::Bundle { device_id: 2, ..added.clone() });
    })
    .await;
    let hers = ada.thread_with(&ben).await;
    let hello = hers.send_text("hello").await.unwrap();
    ada.message_reaches(&hers, hello.id, Delivery::Delivered).await;
    let database = open_database(world.disk("ada").database(), &world.disk("ada").key());
    let sql = "SELECT group_concat(device_id) FROM session WHERE user_id = ?1";
    let sessions: String =
        database.query_row(sql, [ben.client.user_id().as_bytes()], |row| row.get(0)).unwrap();
    assert_eq!(sessions, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_show_the_same_safety_number_from_their_account_keys() {
    let world = World::start().await;
    let (ada, ben, old) = (world.party("ada").await, world.party("ben").await, world.party("old").await);
    let old = make_old(&world, old).await.open().await;
    for (one, two) in [(&ada, &ben), (&ada, &old), (&old, &ben)] {
        // The second one learns the account key of the first with the first message, before it fetches anything.
        let (to, from) = (one.thread_with(two).await, two.thread_with(one).await);
        let hello = to.send_text("hello").await.unwrap();
        one.message_reaches(&to, hello.id, Delivery::Delivered).await;
        let number = other(&to).await.safety_number().await.unwrap();
        assert_eq!(other(&from).await.safety_number().await.unwrap(), number);
        assert!(other(&from).await.verify(&number).await.unwrap());
    }
}

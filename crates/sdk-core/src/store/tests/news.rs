//! Tests of what is sent to everybody with whom we talk.

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sealpost_protocol::device::{AccountKeyPair, DeviceBinding, DeviceEntry, DeviceList, VerifiedDeviceList};

use super::*;
use crate::store::{Device, News, TrustState, Tx};

type Change = fn(&mut Tx<'_>) -> crate::Result<()>;

/// Our list with this version and these devices, of which the first one is the primary device.
fn list(version: u64, devices: &[u32]) -> VerifiedDeviceList {
    let key = AccountKeyPair::generate(&mut StdRng::seed_from_u64(1));
    let entry = |device: &u32| {
        let rng = &mut StdRng::seed_from_u64(u64::from(*device).saturating_add(10));
        let identity = IdentityKeyPair::generate(rng);
        let (device, is_primary) = (sealpost_protocol::DeviceId::new(*device).unwrap(), *device == 1);
        let binding = DeviceBinding::sign(US.as_bytes(), device, &identity, &key.public(), rng);
        DeviceEntry { device, identity: *identity.public(), added_ms: 1, is_primary, binding }
    };
    let list = DeviceList::new(version, devices.iter().map(entry).collect()).unwrap();
    let list = list.sign(US.as_bytes(), &key, &mut StdRng::seed_from_u64(version));
    list.verify(US.as_bytes()).unwrap()
}

fn see(tx: &mut Tx<'_>, user: UserId) -> crate::Result<()> {
    let identity = *IdentityKeyPair::generate(&mut rand::rng()).public();
    let device = Device { user, device: DeviceId::PRIMARY, registration_id: 7, identity };
    tx.see_devices(user, &[device]).map(drop)
}

impl Fixture {
    /// This becomes our list.
    async fn take_list(&self, version: u64, devices: &[u32]) {
        let list = list(version, devices);
        let work = self.store.write(move |tx| {
            let us = tx.our_account()?.1;
            tx.set_account_key(&AccountKeyPair::generate(&mut StdRng::seed_from_u64(1)))?;
            tx.replace_own_list(us, &list)
        });
        work.await.unwrap();
    }

    async fn news_due(&self, news: News, limit: u32) -> Vec<ThreadId> {
        self.store.read(move |rows| rows.threads_for_news(news, limit)).await.unwrap()
    }

    /// There is a message in the thread, the relay knows that we accept it, and a device of the other person is known.
    async fn have_talked(&self) {
        self.enqueue("hello").await;
        let work = self.store.write(|tx| {
            tx.set_accepted(THREAD)?;
            see(tx, PEER)
        });
        work.await.unwrap();
        self.store.write(|tx| tx.set_news_queued(THREAD, News::Profile)).await.unwrap();
    }
}

#[tokio::test]
async fn our_list_is_due_where_a_device_is_missed_that_was_on_it() {
    let fixture = Fixture::new().await;
    fixture.have_talked().await;
    fixture.take_list(1, &[1]).await;
    fixture.take_list(2, &[1, 2, 3]).await;
    assert_eq!(fixture.news_due(News::DeviceList, 9).await, [], "nothing was removed");
    fixture.take_list(3, &[1, 3]).await;
    assert_eq!(fixture.news_due(News::DeviceList, 9).await, [THREAD]);
    fixture.store.write(|tx| tx.set_news_queued(THREAD, News::DeviceList)).await.unwrap();
    assert_eq!(fixture.news_due(News::DeviceList, 9).await, []);
    fixture.take_list(4, &[1]).await;
    assert_eq!(fixture.news_due(News::DeviceList, 9).await, [THREAD], "a later one");
    // A companion takes a list that the primary device sends to others.
    let companion = Fixture::new().await;
    companion.have_talked().await;
    companion.store.write(|tx| tx.change_one("UPDATE account SET device_id = 3", [])).await.unwrap();
    companion.take_list(2, &[1, 2, 3]).await;
    companion.take_list(3, &[1, 3]).await;
    assert_eq!(companion.news_due(News::DeviceList, 9).await, []);
}

#[tokio::test]
async fn our_list_is_for_those_whose_devices_are_known_and_at_first_for_the_latest() {
    let fixture = Fixture::new().await;
    fixture.store.write(|tx| tx.set_accepted(THREAD)).await.unwrap();
    fixture.take_list(1, &[1, 2]).await;
    fixture.take_list(2, &[1]).await;
    assert_eq!(fixture.news_due(News::DeviceList, 9).await, [], "nobody there can seal for us");
    let work = fixture.store.write(|tx| {
        see(tx, PEER)?;
        for n in 4..=8 {
            let (id, peer) = (ThreadId::from_bytes([n; 16]), UserId::from_bytes([n; 16]));
            tx.put_thread(Thread { id, peer: Some(peer), roster_version: 1 }, u64::from(n))?;
            see(tx, peer)?;
            tx.set_accepted(id)?;
        }
        tx.set_news_due(News::DeviceList)
    });
    work.await.unwrap();
    let latest = [8, 7].map(|n| ThreadId::from_bytes([n; 16]));
    assert_eq!(fixture.news_due(News::DeviceList, 2).await, latest, "no more than is asked for");
    for thread in latest {
        fixture.store.write(move |tx| tx.set_news_queued(thread, News::DeviceList)).await.unwrap();
    }
    assert_eq!(fixture.news_due(News::DeviceList, 9).await.len(), 4);
}

#[tokio::test]
async fn news_stay_due_while_they_may_not_be_sent() {
    let fixture = Fixture::new().await;
    fixture.have_talked().await;
    let obstacles: [(&str, Change, Change); 3] = [
        (
            "blocked",
            |tx| tx.set_blocked(PEER, true, 5).map(drop),
            |tx| tx.set_blocked(PEER, false, 6).map(drop),
        ),
        ("a request", |tx| tx.set_request(THREAD), |tx| tx.accept_request(THREAD).map(drop)),
        (
            "changed",
            |tx| tx.set_trust(PEER, TrustState::ChangedSinceVerified),
            |tx| tx.set_trust(PEER, TrustState::Verified),
        ),
    ];
    for news in News::ALL {
        for (what, begin, end) in obstacles {
            fixture.store.write(begin).await.unwrap();
            fixture.store.write(move |tx| tx.set_news_due(news)).await.unwrap();
            assert_eq!(fixture.news_due(news, 9).await, [], "{what}");
            fixture.store.write(end).await.unwrap();
            assert_eq!(fixture.news_due(news, 9).await, [THREAD], "no longer {what}");
            fixture.store.write(move |tx| tx.set_news_queued(THREAD, news)).await.unwrap();
        }
    }
}

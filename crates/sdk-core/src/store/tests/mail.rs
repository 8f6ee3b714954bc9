//! Tests of mail on its way out.

use std::collections::HashSet;

use super::*;
use crate::content::{Profile, Revised};
use crate::store::{
    Device, DueMail, MailDropped, MailId, MailOutcome, NewMail, News, Parcel, QueuedMail, Settlement,
    TrustState, Tx,
};

const OTHER: UserId = UserId::from_bytes([4; 16]);

pub(super) fn mail(to: UserId, slot: Option<u8>, n: u8, due_ms: u64) -> NewMail {
    let profile = Profile { name: "Ada".to_owned(), ..Profile::default() };
    let body = Body::Profile(Revised { profile, revision: n.into() });
    NewMail { thread: THREAD, to, slot, content_id: fresh_id(), sent_ms: 5, body, due_ms }
}

impl Fixture {
    pub(super) async fn queue_mail(&self, new: NewMail) {
        self.store.write(move |tx| tx.queue_mail(&new)).await.unwrap();
    }

    pub(super) async fn due_mail(&self, now_ms: u64) -> Vec<QueuedMail> {
        let due =
            self.store.read(move |rows| rows.due_mail(now_ms, &HashSet::new(), (10, 1 << 20))).await.unwrap();
        let readable = due.into_iter().map(|mail| match mail {
            DueMail::Readable(mail) => *mail,
            DueMail::Damaged(id) => panic!("{id:?} is damaged"),
        });
        readable.collect()
    }

    pub(super) async fn seal_mail(&self, mail: &QueuedMail) -> ClientMsgId {
        let (id, client_msg_id) = (mail.id, fresh_id());
        let parcel = Parcel { client_msg_id, bytes: vec![7; 40].into() };
        self.store.write(move |tx| tx.set_mail_sealed(id, parcel, 9).map(drop)).await.unwrap();
        client_msg_id
    }

    async fn settle_mail(&self, mail: &QueuedMail, parcel: Option<ClientMsgId>, outcome: MailOutcome) {
        let settled = (mail.id, parcel, outcome);
        self.store.write(move |tx| tx.settle_mail(settled)).await.unwrap();
    }
}

/// The revision of the profile in the mail; none if it is sealed.
fn shown(due: &[QueuedMail]) -> Vec<Option<u64>> {
    let body = |mail: &QueuedMail| match (&mail.sealed, &mail.body) {
        (Some(_), _) => None,
        (None, Body::Profile(profile)) => Some(profile.revision),
        other => panic!("{other:?}"),
    };
    due.iter().map(body).collect()
}

#[tokio::test]
async fn mail_is_due_at_its_time_whatever_else_waits() {
    let fixture = Fixture::new().await;
    fixture.queue_mail(mail(PEER, None, 1, 0)).await;
    fixture.queue_mail(mail(PEER, None, 2, 100)).await;
    fixture.queue_mail(mail(OTHER, None, 3, 0)).await;
    assert_eq!(shown(&fixture.due_mail(99).await), [Some(1), Some(3)]);
    assert_eq!(fixture.store.read(|rows| rows.next_mail_due(99)).await.unwrap(), Some(100));
    let due = fixture.due_mail(99).await;
    fixture.settle_mail(&due[0], None, MailOutcome::Later { due_ms: 50 }).await;
    assert_eq!(shown(&fixture.due_mail(49).await), [Some(3)]);
    assert_eq!(fixture.due_mail(50).await[1].attempts, 1);
    // A connection again: what was put off is due, and what is not due yet is not.
    fixture.store.write(|tx| tx.hurry_lanes()).await.unwrap();
    assert_eq!(shown(&fixture.due_mail(49).await), [Some(1), Some(3)]);
    assert!(!fixture.store.read(|rows| rows.is_lane_busy(THREAD)).await.unwrap(), "mail is in no lane");
}

#[tokio::test]
async fn sealed_mail_keeps_its_bytes_until_it_is_answered() {
    let fixture = Fixture::new().await;
    fixture.queue_mail(mail(PEER, None, 1, 0)).await;
    let first = fixture.due_mail(0).await.remove(0);
    let parcel = fixture.seal_mail(&first).await;
    fixture.settle_mail(&first, Some(parcel), MailOutcome::Later { due_ms: 0 }).await;
    let sealed = |due: &[QueuedMail]| due[0].sealed.as_ref().unwrap().get().client_msg_id;
    assert_eq!(sealed(&fixture.due_mail(0).await), parcel);
    // A refusal of another parcel has no effect.
    let anew = MailOutcome::Anew { due_ms: 0, is_refusal: true };
    fixture.settle_mail(&first, Some(fresh_id()), anew).await;
    assert_eq!(sealed(&fixture.due_mail(0).await), parcel);
    fixture.settle_mail(&first, Some(parcel), anew).await;
    let again = fixture.due_mail(0).await.remove(0);
    assert_eq!((shown(std::slice::from_ref(&again)), again.refusals), (vec![Some(1)], 1));
    fixture.settle_mail(&again, None, MailOutcome::Done).await;
    assert!(fixture.due_mail(u64::MAX >> 2).await.is_empty());
}

#[tokio::test]
async fn newer_mail_replaces_what_is_not_sealed_in_its_slot() {
    let fixture = Fixture::new().await;
    fixture.queue_mail(mail(PEER, Some(1), 1, 0)).await;
    fixture.queue_mail(mail(PEER, Some(2), 2, 0)).await;
    fixture.queue_mail(mail(OTHER, Some(1), 3, 0)).await;
    fixture.queue_mail(mail(PEER, Some(1), 4, 1_000)).await;
    assert_eq!(
        shown(&fixture.due_mail(0).await),
        [Some(4), Some(2), Some(3)],
        "it is sent when the first would be"
    );
    let first = fixture.due_mail(0).await.remove(0);
    let parcel = fixture.seal_mail(&first).await;
    // What is sealed may be stored already.
    fixture.queue_mail(mail(PEER, Some(1), 5, 0)).await;
    assert_eq!(shown(&fixture.due_mail(0).await), [None, Some(2), Some(3), Some(5)]);
    // It is not, and the newer one says all that it said.
    let anew = MailOutcome::Anew { due_ms: 0, is_refusal: false };
    fixture.settle_mail(&first, Some(parcel), anew).await;
    assert_eq!(shown(&fixture.due_mail(0).await), [Some(2), Some(3), Some(5)]);
}

#[tokio::test]
async fn a_copy_of_a_database_seals_all_mail_anew() {
    let fixture = Fixture::new().await;
    for n in [1, 2] {
        fixture.queue_mail(mail(PEER, Some(1), n, 0)).await;
        let newest = fixture.due_mail(0).await.pop().unwrap();
        fixture.seal_mail(&newest).await;
    }
    fixture.queue_mail(mail(PEER, None, 3, 0)).await;
    fixture.seal_mail(&fixture.due_mail(0).await[2]).await;
    fixture.queue_mail(mail(OTHER, Some(1), 4, 0)).await;
    fixture.store.write(|tx| tx.unseal_all()).await.unwrap();
    assert_eq!(shown(&fixture.due_mail(0).await), [Some(2), Some(3), Some(4)]);
}

#[tokio::test]
async fn damaged_mail_is_told_from_the_others_and_stops_none() {
    let fixture = Fixture::new().await;
    for n in [1, 2, 3] {
        fixture.queue_mail(mail(PEER, None, n, 0)).await;
    }
    let damaged = fixture.due_mail(0).await[1].id;
    let damage = "UPDATE mail SET body = x'ff' WHERE id = (SELECT id FROM mail ORDER BY id LIMIT 1 OFFSET 1)";
    fixture.store.write(move |tx| tx.change_one(damage, [])).await.unwrap();
    let due = fixture.store.read(|rows| rows.due_mail(0, &HashSet::new(), (10, 1 << 20))).await.unwrap();
    assert!(matches!(due[1], DueMail::Damaged(id) if id == damaged), "{due:?}");
    fixture.store.write(move |tx| tx.drop_mail(damaged, MailDropped::Damaged)).await.unwrap();
    assert_eq!(shown(&fixture.due_mail(0).await), [Some(1), Some(3)]);
}

#[tokio::test]
async fn news_that_could_not_be_sent_are_due_again() {
    for news in News::ALL {
        let fixture = Fixture::new().await;
        let is_due = async || fixture.store.read(move |rows| rows.is_news_due(THREAD, news)).await.unwrap();
        fixture.store.write(move |tx| tx.set_news_queued(THREAD, news)).await.unwrap();
        fixture.queue_mail(mail(PEER, Some(news.slot()), 1, 0)).await;
        fixture.queue_mail(mail(PEER, Some(1), 2, 0)).await;
        let due = fixture.due_mail(0).await;
        let (sent, other) = (due[0].id, due[1].id);
        fixture.store.write(move |tx| tx.drop_mail(other, MailDropped::Unsealable)).await.unwrap();
        assert!(!is_due().await);
        fixture.store.write(move |tx| tx.drop_mail(sent, MailDropped::Expired)).await.unwrap();
        assert!(is_due().await);
        assert!(fixture.due_mail(0).await.is_empty());
    }
}

#[tokio::test]
async fn news_that_are_refused_for_good_are_not_queued_again_until_something_changes() {
    type Change = fn(&mut Tx<'_>) -> crate::Result<()>;
    let refusals: [(&str, Change); 3] = [
        ("by the relay", |tx| tx.settle_mail((only_mail(tx)?, None, MailOutcome::GivenUp))),
        ("unsealable", |tx| tx.drop_mail(only_mail(tx)?, MailDropped::Unsealable)),
        ("without devices", |tx| tx.drop_unsealed_mail_to(PEER, false)),
    ];
    let changes: [(&str, Change); 4] = [
        ("newer ones", |tx| {
            let profile = Profile { name: "new".to_owned(), ..Profile::default() };
            tx.set_our_profile(US, profile, 1_000)?;
            tx.set_news_due(News::DeviceList)
        }),
        ("a device", |tx| {
            let identity = *IdentityKeyPair::generate(&mut rand::rng()).public();
            let device = DeviceId::PRIMARY;
            assert!(tx.see_devices(PEER, &[Device { user: PEER, device, registration_id: 7, identity }])?);
            Ok(())
        }),
        ("the thread is known", |tx| tx.set_accepted(THREAD)),
        ("the identity was accepted", |tx| tx.set_trust(PEER, TrustState::FirstUse)),
    ];
    let all = News::ALL.into_iter().flat_map(|news| refusals.map(|refusal| (news, refusal)));
    for (news, (refusal, refuse)) in all {
        for (change, make) in changes {
            let fixture = Fixture::new().await;
            let due =
                async || fixture.store.read(move |rows| rows.threads_for_news(news, 9)).await.unwrap().len();
            fixture.enqueue("hello").await;
            fixture.store.write(|tx| tx.set_accepted(THREAD)).await.unwrap();
            let work = fixture.store.write(move |tx| {
                let identity = *IdentityKeyPair::generate(&mut rand::rng()).public();
                let device = DeviceId::new(2)?;
                tx.see_devices(PEER, &[Device { user: PEER, device, registration_id: 8, identity }])?;
                tx.set_news_due(news)
            });
            work.await.unwrap();
            assert_eq!(due().await, 1);
            fixture.store.write(move |tx| tx.set_news_queued(THREAD, news)).await.unwrap();
            fixture.queue_mail(mail(PEER, Some(news.slot()), 3, 0)).await;
            fixture.store.write(refuse).await.unwrap();
            assert!(fixture.due_mail(0).await.is_empty());
            let is_due = fixture.store.read(move |rows| rows.is_news_due(THREAD, news)).await.unwrap();
            assert_eq!((due().await, is_due), (0, false), "refused {refusal}");
            fixture.store.write(make).await.unwrap();
            assert_eq!(due().await, 1, "refused {refusal}, then {change}");
        }
    }
    // Nothing can be sealed until the person accepts the changed identity.
    let fixture = Fixture::new().await;
    fixture.queue_mail(mail(PEER, Some(News::Profile.slot()), 3, 0)).await;
    let work = fixture.store.write(|tx| {
        tx.set_news_queued(THREAD, News::Profile)?;
        tx.set_trust(PEER, TrustState::ChangedSinceVerified)?;
        tx.drop_mail(only_mail(tx)?, MailDropped::Unsealable)?;
        tx.is_news_due(THREAD, News::Profile)
    });
    assert!(work.await.unwrap());
    // The recipient has deleted the account.
    fixture.queue_mail(mail(PEER, Some(News::Profile.slot()), 4, 0)).await;
    let work = fixture.store.write(|tx| {
        tx.set_news_queued(THREAD, News::Profile)?;
        tx.drop_unsealed_mail_to(PEER, true)?;
        tx.see_devices(PEER, &[])?;
        tx.is_news_due(THREAD, News::Profile)
    });
    assert!(!work.await.unwrap());
}

#[tokio::test]
async fn a_device_that_has_come_back_makes_a_refused_profile_due() {
    let fixture = Fixture::new().await;
    fixture.enqueue("hello").await;
    let identity = *IdentityKeyPair::generate(&mut rand::rng()).public();
    let device = Device { user: PEER, device: DeviceId::PRIMARY, registration_id: 7, identity };
    let see = async || fixture.store.write(move |tx| tx.see_devices(PEER, &[device])).await.unwrap();
    assert!(!see().await, "it is due in any case");
    fixture
        .store
        .write(|tx| tx.forget_device(PEER, DeviceId::PRIMARY, sealpost_protocol::UnixSeconds(1)))
        .await
        .unwrap();
    fixture.store.write(|tx| tx.set_news_queued(THREAD, News::Profile)).await.unwrap();
    fixture.queue_mail(mail(PEER, Some(News::Profile.slot()), 3, 0)).await;
    fixture.store.write(|tx| tx.drop_unsealed_mail_to(PEER, false)).await.unwrap();
    let mut events = fixture.events.subscribe();
    assert!(see().await);
    assert!(!drain(&mut events).iter().any(|event| matches!(event, Event::IdentityChanged(_))));
    assert!(!see().await, "nothing has changed");
}

fn only_mail(tx: &Tx<'_>) -> crate::Result<MailId> {
    match tx.due_mail(0, &HashSet::new(), (10, 1 << 20))?.as_slice() {
        [DueMail::Readable(mail)] => Ok(mail.id),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_was_unwelcome_is_due_at_once_when_the_others_are_heard() {
    let fixture = Fixture::new().await;
    fixture.queue_mail(mail(PEER, Some(1), 1, 0)).await;
    let refused = fixture.due_mail(0).await.remove(0);
    let parcel = fixture.seal_mail(&refused).await;
    let unwelcome = MailOutcome::Unwelcome { due_ms: 3_600_000 };
    fixture.settle_mail(&refused, Some(parcel), unwelcome).await;
    let id = fixture.enqueue("refused").await;
    fixture.settle(id, Settlement::Later { due_ms: 3_600_000 }).await;
    // Neither mail elsewhere, nor what waits although nothing has failed.
    let elsewhere = NewMail { thread: ThreadId::from_bytes([9; 16]), ..mail(PEER, Some(1), 2, 3_600_000) };
    fixture.queue_mail(elsewhere).await;
    fixture.queue_mail(mail(PEER, Some(2), 3, 3_600_000)).await;
    let due = async || {
        let lanes = fixture.store.read(|rows| rows.due_lanes(0, 9)).await.unwrap().len();
        (shown(&fixture.due_mail(0).await), lanes)
    };
    assert_eq!(due().await, (vec![], 0));
    fixture.store.write(|tx| tx.hurry_thread(THREAD)).await.unwrap();
    assert_eq!(due().await, (vec![Some(1)], 1));
    // Our own block holds the lane.
    fixture.store.write(|tx| tx.hold_lane(THREAD)).await.unwrap();
    fixture.store.write(|tx| tx.hurry_thread(THREAD)).await.unwrap();
    assert_eq!(due().await.1, 0);
}

#[tokio::test]
async fn mail_to_a_user_without_a_session_waits_together_and_is_passed_over() {
    let fixture = Fixture::new().await;
    for n in 1..=3 {
        fixture.queue_mail(mail(PEER, None, n, 0)).await;
    }
    fixture.queue_mail(mail(OTHER, None, 4, 0)).await;
    fixture.seal_mail(&fixture.due_mail(0).await[0]).await;
    let peer = HashSet::from([PEER]);
    let read = fixture.store.read(move |rows| {
        let both = HashSet::from([PEER, OTHER]);
        let due = rows.due_mail(0, &peer, (1, 1 << 20))?;
        Ok((due.len(), rows.is_mail_due(0, &peer)?, rows.is_mail_due(0, &both)?))
    });
    assert_eq!(read.await.unwrap(), (1, true, false));
    let to_peer =
        async |now_ms| fixture.store.read(move |rows| rows.unsealed_mail_to(PEER, now_ms)).await.unwrap();
    assert_eq!(to_peer(0).await, (0, None));
    fixture.store.write(|tx| tx.put_off_mail_to(PEER, 500)).await.unwrap();
    assert_eq!(shown(&fixture.due_mail(0).await), [None, Some(4)], "what is sealed needs no session");
    // What is queued later waits as long.
    fixture.queue_mail(mail(PEER, None, 5, 0)).await;
    assert_eq!(to_peer(499).await, (1, Some(500)));
    assert_eq!(to_peer(500).await, (1, None));
    fixture.store.write(|tx| tx.put_off_mail_to(PEER, 400)).await.unwrap();
    assert_eq!(to_peer(0).await, (2, Some(500)), "never earlier than before");
    fixture.store.write(|tx| tx.drop_unsealed_mail_to(PEER, false)).await.unwrap();
    assert_eq!(shown(&fixture.due_mail(u64::MAX >> 2).await), [None, Some(4)]);
}

#[tokio::test]
async fn what_is_put_off_after_a_failure_is_not_hurried_by_what_happens_in_its_slot() {
    let fixture = Fixture::new().await;
    let slot = (THREAD, PEER, 1);
    fixture.queue_mail(mail(PEER, Some(1), 1, 900)).await;
    let held = async |now_ms| fixture.store.read(move |rows| rows.is_mail_held(slot, now_ms)).await.unwrap();
    let hurry = async |due_ms| fixture.store.write(move |tx| tx.hurry_mail_in(slot, due_ms)).await.unwrap();
    let set = async |due_ms| fixture.store.write(move |tx| tx.set_mail_due(slot, due_ms)).await.unwrap();
    let next = async || fixture.store.read(|rows| rows.next_mail_due(0)).await.unwrap();
    assert!(hurry(800).await && held(799).await && !held(800).await);
    set(850).await;
    assert_eq!(next().await, Some(850));
    fixture.store.write(|tx| tx.put_off_mail_to(PEER, 5_000)).await.unwrap();
    assert!(!hurry(900).await && !held(900).await);
    set(900).await;
    let newest = async || fixture.store.read(|rows| rows.newest_mail()).await.unwrap().unwrap();
    let failed = newest().await;
    fixture.store.write(move |tx| tx.release_mail(failed)).await.unwrap();
    assert_eq!(next().await, Some(5_000));
    // Nothing has failed for this one, and the next one was queued later.
    fixture.queue_mail(mail(OTHER, Some(1), 2, 900)).await;
    let newest = newest().await;
    fixture.queue_mail(mail(OTHER, Some(2), 3, 900)).await;
    fixture.store.write(move |tx| tx.release_mail(newest)).await.unwrap();
    assert_eq!(shown(&fixture.due_mail(0).await), [Some(2)]);
}

#[tokio::test]
async fn mail_that_is_refused_for_now_waits_once_in_each_slot() {
    let fixture = Fixture::new().await;
    fixture.queue_mail(mail(PEER, None, 9, 0)).await;
    let other = fixture.due_mail(0).await.remove(0);
    let bytes = fixture.seal_mail(&other).await;
    for n in 1..=5 {
        fixture.queue_mail(mail(PEER, Some(1), n, 0)).await;
        let refused = fixture.due_mail(u64::MAX >> 2).await.pop().unwrap();
        let parcel = fixture.seal_mail(&refused).await;
        // Every other time, the next one is queued before the answer.
        if n % 2 == 0 {
            fixture.queue_mail(mail(PEER, Some(1), n + 10, 0)).await;
        }
        let due_ms = 1_000 * u64::from(n);
        fixture.settle_mail(&refused, Some(parcel), MailOutcome::Unwelcome { due_ms }).await;
        assert!(fixture.due_mail(due_ms - 1).await.iter().all(|mail| mail.id == other.id));
        let left = fixture.due_mail(due_ms).await;
        assert_eq!(left.len(), 2);
        assert_eq!((left[1].attempts, left[1].refusals, left[1].sealed.is_none()), (n.into(), 0, true));
    }
    // What has no slot keeps its bytes.
    fixture.settle_mail(&other, Some(bytes), MailOutcome::Unwelcome { due_ms: 7 }).await;
    assert!(fixture.due_mail(6).await.is_empty());
    let again = fixture.due_mail(7).await.remove(0);
    assert_eq!((again.id, again.attempts, again.sealed.is_some()), (other.id, 1, true));
}

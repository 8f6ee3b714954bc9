//! Tests of threads with several members.

use sealpost_protocol::group::GroupSecret;

use super::messages::incoming;
use super::*;
use crate::config::ChangeLimits;
use crate::content::{Counts, EVERYBODY, Mention, Number, Run, TextRange};
use crate::id::MessageId;
use crate::message::{Delivery, Direction, MessageBody};
use crate::store::message::Arrived;
use crate::store::{GroupHead, MarkKind, MarkOf, NewIncoming, News, Origin, ThreadKind};

const GROUP: ThreadId = ThreadId::from_bytes([30; 16]);
const CAM: UserId = UserId::from_bytes([4; 16]);
const RUN: Run = Run([8; 8]);

/// A store with a group of these people and us.
async fn group_of(others: &[UserId]) -> Fixture {
    let fixture = Fixture::new().await;
    let members = [&[US], others].concat();
    let work = fixture.store.write(move |tx| {
        tx.put_thread(Thread { id: GROUP, peer: None, roster_version: 1 }, 5)?;
        members.into_iter().try_for_each(|member| tx.add_member(GROUP, member))
    });
    work.await.unwrap();
    fixture
}

impl Fixture {
    /// A message of another device of ours, which has this number.
    async fn ours_in_group(&self, count: u64) -> MessageId {
        self.ours_sealed_for(count, 0).await
    }

    /// One that names the roster with this version; 0: none.
    async fn ours_sealed_for(&self, count: u64, version: u64) -> MessageId {
        let device = DeviceId::new(2).unwrap();
        let number = Some(Number { run: RUN, count });
        let message = NewIncoming {
            thread: GROUP,
            author: US,
            device,
            is_ours: true,
            number,
            roster: (version > 0).then_some(version),
            ..incoming("ours", count)
        };
        self.store.write(move |tx| tx.insert_incoming(&message)).await.unwrap()
    }

    /// A device of a member says how far it has what we have sent there.
    async fn member_has(&self, user: UserId, device: u32, kind: MarkKind, up_to: u64) {
        let device = DeviceId::new(device).unwrap();
        let of = MarkOf { thread: GROUP, user, device, kind, run: RUN };
        self.store.write(move |tx| tx.confirm((of, true), &Counts::up_to(up_to), (1, 1))).await.unwrap();
    }

    async fn delivery_of(&self, id: MessageId) -> Delivery {
        match self.store.read(move |rows| rows.message(id)).await.unwrap().unwrap().direction {
            Direction::Outgoing(delivery) => delivery,
            Direction::Incoming { .. } => panic!("not ours"),
        }
    }

    /// Who has a message of ours, and how many.
    async fn who_has(&self, id: MessageId) -> (usize, usize, Vec<(UserId, bool, bool)>) {
        let receipts = self.store.read(move |rows| rows.receipts_of(GROUP, id)).await.unwrap().unwrap();
        let by_name =
            receipts.members.iter().map(|member| (member.user, member.is_delivered, member.is_read));
        (receipts.delivered(), receipts.read(), by_name.collect())
    }
}

#[tokio::test]
async fn a_group_is_one_thread_without_a_peer_and_is_listed_by_its_size() {
    let fixture = group_of(&[PEER, CAM]).await;
    let read = fixture.store.read(|rows| {
        let listed = rows.listed_thread(GROUP)?.unwrap();
        Ok((rows.thread(GROUP)?.unwrap(), listed, rows.threads_with_others()?, rows.others(GROUP)?))
    });
    let (thread, listed, mut all, others) = read.await.unwrap();
    all.sort();
    assert_eq!((thread.peer, all, others), (None, vec![THREAD, GROUP], vec![PEER, CAM]));
    assert_eq!((listed.kind, listed.members, listed.others), (ThreadKind::Group, 3, vec![]));
    let alone = group_of(&[]).await;
    let read = alone.store.read(|rows| Ok((rows.thread(GROUP)?.unwrap(), rows.thread_with(PEER)?.unwrap())));
    let (thread, direct) = read.await.unwrap();
    assert_eq!((thread.id, thread.peer), (GROUP, None), "also if nobody else is left");
    assert_eq!((direct.id, direct.peer), (THREAD, Some(PEER)), "a group is nobody's direct thread");
}

#[tokio::test]
async fn a_message_is_delivered_or_read_in_a_group_when_every_member_has_it() {
    let fixture = group_of(&[PEER, CAM]).await;
    let (first, second) = (fixture.ours_in_group(1).await, fixture.ours_in_group(2).await);
    assert_eq!(fixture.who_has(first).await, (0, 0, vec![(PEER, false, false), (CAM, false, false)]));
    fixture.member_has(PEER, 1, MarkKind::Delivered, 2).await;
    // A second device of the same person makes no difference.
    fixture.member_has(PEER, 2, MarkKind::Delivered, 2).await;
    assert_eq!(fixture.delivery_of(first).await, Delivery::Sent);
    assert_eq!(fixture.who_has(first).await, (1, 0, vec![(PEER, true, false), (CAM, false, false)]));
    fixture.member_has(CAM, 1, MarkKind::Delivered, 1).await;
    assert_eq!(fixture.delivery_of(first).await, Delivery::Delivered);
    assert_eq!(fixture.delivery_of(second).await, Delivery::Sent);
    // Somebody who confirms only what they have read has it, too.
    fixture.member_has(CAM, 1, MarkKind::Read, 2).await;
    assert_eq!(fixture.delivery_of(second).await, Delivery::Delivered);
    assert_eq!(fixture.who_has(second).await, (2, 1, vec![(PEER, true, false), (CAM, true, true)]));
    fixture.member_has(PEER, 2, MarkKind::Read, 1).await;
    assert_eq!(fixture.delivery_of(first).await, Delivery::Read);
    assert_eq!(fixture.delivery_of(second).await, Delivery::Delivered);
    // What is told of a post of another device of ours may come before the post.
    fixture.member_has(PEER, 1, MarkKind::Read, 3).await;
    assert_eq!(fixture.who_has(first).await.2, [(PEER, true, true), (CAM, true, true)]);
    let theirs = fixture.store.read(move |rows| rows.receipts_of(THREAD, first)).await.unwrap();
    assert_eq!(theirs, None, "it is in another thread");
}

#[tokio::test]
async fn nothing_waits_for_who_joined_later_or_has_left() {
    let fixture = group_of(&[PEER, CAM]).await;
    let (first, second) = (fixture.ours_in_group(1).await, fixture.ours_in_group(2).await);
    let work = fixture.store.write(move |tx| {
        let sql = "UPDATE message SET roster = 1 WHERE id = ?1";
        tx.change_one(sql, [first.0])?;
        let sql = "UPDATE member SET since = 2 WHERE thread_id = ?1 AND user_id = ?2";
        tx.change_one(sql, [GROUP.as_bytes(), CAM.as_bytes()])
    });
    work.await.unwrap();
    fixture.member_has(PEER, 1, MarkKind::Delivered, 2).await;
    assert_eq!(fixture.delivery_of(first).await, Delivery::Delivered, "Cam was not there");
    assert_eq!(fixture.who_has(first).await.2, [(PEER, true, false)]);
    assert_eq!(fixture.delivery_of(second).await, Delivery::Sent);
    let mut events = fixture.events.subscribe();
    let work = fixture.store.write(|tx| {
        tx.remove_member(GROUP, CAM)?;
        tx.roster_changed(GROUP, 7)
    });
    work.await.unwrap();
    assert_eq!(fixture.delivery_of(second).await, Delivery::Delivered, "Cam has left");
    assert!(
        matches!(&drain(&mut events)[..], [Event::MessageChanged { message, .. }] if message.id == second)
    );
}

#[tokio::test]
async fn a_message_of_another_device_of_ours_begins_where_the_members_are() {
    let fixture = group_of(&[PEER, CAM]).await;
    fixture.ours_in_group(3).await;
    fixture.member_has(PEER, 1, MarkKind::Read, 3).await;
    let half = fixture.ours_in_group(2).await;
    assert_eq!(fixture.delivery_of(half).await, Delivery::Sent, "one of two has it");
    fixture.member_has(CAM, 1, MarkKind::Delivered, 3).await;
    let late = fixture.ours_in_group(1).await;
    assert_eq!(fixture.delivery_of(late).await, Delivery::Delivered);
    fixture.member_has(CAM, 1, MarkKind::Read, 3).await;
    assert_eq!(fixture.delivery_of(late).await, Delivery::Read);
}

#[tokio::test]
async fn a_message_of_another_device_waits_for_those_who_were_there_when_it_was_sealed() {
    let fixture = group_of(&[PEER, CAM]).await;
    let work = fixture.store.write(|tx| {
        let sql = "UPDATE member SET since = 2 WHERE thread_id = ?1 AND user_id = ?2";
        tx.change_one(sql, [GROUP.as_bytes(), CAM.as_bytes()])
    });
    work.await.unwrap();
    fixture.ours_in_group(4).await;
    fixture.member_has(PEER, 1, MarkKind::Read, 2).await;
    // What is told came before the messages.
    let before = fixture.ours_sealed_for(1, 1).await;
    let after = fixture.ours_sealed_for(2, 2).await;
    assert_eq!(fixture.delivery_of(before).await, Delivery::Read, "Cam was not there");
    assert_eq!(fixture.delivery_of(after).await, Delivery::Sent);
    assert_eq!(fixture.who_has(before).await.2, [(PEER, true, true)]);
    assert_eq!(fixture.who_has(after).await.2, [(PEER, true, true), (CAM, false, false)]);
    // And after them.
    let later = fixture.ours_sealed_for(3, 1).await;
    fixture.member_has(PEER, 1, MarkKind::Read, 4).await;
    assert_eq!(fixture.delivery_of(later).await, Delivery::Read);
}

#[tokio::test]
async fn in_a_large_group_a_sample_says_who_has_a_message() {
    let others: Vec<_> =
        (1_000_u128..1_300).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)).collect();
    let others: Vec<_> = others.into_iter().map(|n| UserId::from_bytes(n.to_be_bytes())).collect();
    let fixture = group_of(&others).await;
    let message = fixture.ours_in_group(1).await;
    let receipts =
        async || fixture.store.read(move |rows| rows.receipts_of(GROUP, message)).await.unwrap().unwrap();
    let sample = receipts().await;
    assert_eq!((sample.recipients, sample.delivered()), (300, 0));
    assert!((80..220).contains(&sample.members.len()), "{}", sample.members.len());
    for member in &sample.members {
        assert_eq!(fixture.delivery_of(message).await, Delivery::Sent);
        fixture.member_has(member.user, 1, MarkKind::Delivered, 1).await;
    }
    assert_eq!(receipts().await.delivered(), sample.members.len());
    assert_eq!(fixture.delivery_of(message).await, Delivery::Delivered, "nobody else says anything");
}

#[tokio::test]
async fn a_blocked_member_is_read_in_a_group_and_told_nothing() {
    let fixture = group_of(&[PEER, CAM]).await;
    let work = fixture.store.write(|tx| {
        tx.set_request(GROUP)?;
        tx.set_blocked(PEER, true, 5)
    });
    work.await.unwrap();
    let listed = fixture.store.read(|rows| rows.folder(GROUP)).await.unwrap();
    assert_eq!(listed, Some(Folder::Requests), "somebody else may have invited us");
    fixture.store.write(|tx| tx.accept_request(GROUP)).await.unwrap();
    let read = fixture.store.read(|rows| {
        let group = rows.thread(GROUP)?.unwrap();
        let mail = |to| rows.may_mail(GROUP, to, &receipt());
        Ok((rows.is_discarded(GROUP, PEER)?, rows.is_peer_blocked(&group)?, mail(PEER)?, mail(CAM)?))
    });
    assert_eq!(read.await.unwrap(), (false, false, false, true));
}

#[tokio::test]
async fn a_message_waits_for_no_receipt_of_somebody_who_is_blocked() {
    let fixture = group_of(&[PEER, CAM]).await;
    let message = fixture.ours_in_group(1).await;
    fixture.member_has(PEER, 1, MarkKind::Read, 1).await;
    assert_eq!(fixture.delivery_of(message).await, Delivery::Sent);
    fixture.store.write(|tx| tx.set_blocked(CAM, true, 5)).await.unwrap();
    assert_eq!(fixture.delivery_of(message).await, Delivery::Read);
    let next = fixture.ours_in_group(2).await;
    fixture.member_has(PEER, 1, MarkKind::Delivered, 2).await;
    assert_eq!(fixture.delivery_of(next).await, Delivery::Delivered);
    assert_eq!(fixture.who_has(next).await.2, [(PEER, true, false), (CAM, false, false)], "by name, both");
}

#[tokio::test]
async fn nothing_of_a_group_is_accepted_or_told_as_in_a_direct_thread() {
    let fixture = group_of(&[PEER, CAM]).await;
    let work = fixture.store.write(|tx| {
        tx.insert_incoming(&NewIncoming { thread: GROUP, ..incoming("hello", 1) })?;
        tx.set_accepted(THREAD)?;
        tx.accept_again()?;
        tx.set_news_due(News::Profile)
    });
    work.await.unwrap();
    let read = fixture
        .store
        .read(|rows| Ok((rows.threads_to_accept(None, 9)?, rows.threads_for_news(News::Profile, 9)?)));
    assert_eq!(read.await.unwrap(), (vec![THREAD], vec![]));
}

#[tokio::test]
async fn admins_delete_what_others_have_written() {
    let fixture = group_of(&[PEER, CAM]).await;
    fixture.receive(NewIncoming { thread: GROUP, ..incoming("rude", 1) }).await;
    let delete = async |author: UserId, order: i64| {
        let work = fixture.store.write(move |tx| {
            let page = tx.page(GROUP, None, 9)?.messages;
            let origin = Origin { thread: GROUP, author, content_id: fresh_id(), sent_ms: 1_001, order };
            tx.delete_for_everyone(page[0].id, &origin, ChangeLimits::default())
        });
        work.await.unwrap()
    };
    assert!(!delete(CAM, 5).await, "Cam is no admin");
    let work = fixture.store.write(|tx| {
        let values = [GROUP.as_bytes(), CAM.as_bytes()];
        tx.change_one("UPDATE member SET role = 2 WHERE thread_id = ?1 AND user_id = ?2", values)
    });
    work.await.unwrap();
    assert!(delete(CAM, 6).await);
    let left = fixture.store.read(|rows| rows.page(GROUP, None, 9)).await.unwrap().messages;
    assert!(matches!(left[0].body, MessageBody::Deleted));
}

fn mentioning(user: UserId) -> Arrived {
    let mut body = Body::text("@you look");
    let Body::Text(text) = &mut body else { panic!() };
    text.markup.mentions = vec![Mention { range: TextRange { start: 0, length: 4 }, user }];
    Arrived::Content(fresh_id(), body)
}

#[tokio::test]
async fn everybody_can_be_mentioned_in_a_small_group_and_by_admins_in_a_large_one() {
    let mentions = async |fixture: &Fixture, thread| {
        let listed = fixture.store.read(move |rows| rows.listed_thread(thread)).await.unwrap();
        listed.unwrap().mentions
    };
    let fixture = group_of(&[PEER, CAM]).await;
    for (thread, seq) in [(GROUP, 1), (THREAD, 2)] {
        fixture.receive(NewIncoming { thread, what: mentioning(EVERYBODY), ..incoming("", seq) }).await;
    }
    fixture.receive(NewIncoming { thread: GROUP, what: mentioning(CAM), ..incoming("", 3) }).await;
    assert_eq!((mentions(&fixture, GROUP).await, mentions(&fixture, THREAD).await), (1, 0));
    // Forty people.
    let many: Vec<_> = (40..79).map(|n| UserId::from_bytes([n; 16])).collect();
    let fixture = group_of(&[&[PEER], &many[1..]].concat()).await;
    fixture.receive(NewIncoming { thread: GROUP, what: mentioning(EVERYBODY), ..incoming("", 1) }).await;
    assert_eq!(mentions(&fixture, GROUP).await, 0);
    let work = fixture.store.write(|tx| {
        let values = [GROUP.as_bytes(), PEER.as_bytes()];
        tx.change_one("UPDATE member SET role = 2 WHERE thread_id = ?1 AND user_id = ?2", values)
    });
    work.await.unwrap();
    fixture.receive(NewIncoming { thread: GROUP, what: mentioning(EVERYBODY), ..incoming("", 2) }).await;
    assert_eq!(mentions(&fixture, GROUP).await, 1);
}

/// After an admin has taken another account key, the roster knows no list of it; of a key that is not ours, we sign none.
#[tokio::test]
async fn a_roster_with_an_older_list_of_ours_or_none_of_our_key_is_to_get_the_list() {
    let fixture = group_of(&[CAM]).await;
    let rows = "INSERT INTO roster (thread_id, permissions, timer, commitment, secret_version, floor, details_version, dissolved, unknown_since)
            SELECT thread_id, x'010101', 0, zeroblob(32), 1, 0, 1, 0, 0 FROM thread WHERE kind = 3;
        INSERT INTO device_list SELECT user_id, zeroblob(33), 4, zeroblob(32), x'' FROM account;";
    fixture.store.write(move |tx| Ok(tx.connection.execute_batch(rows)?)).await.unwrap();
    for (list_version, key, is_old) in
        [(3, 0_u8, true), (4, 0, false), (0, 0, true), (0, 7, false), (3, 7, true)]
    {
        let old = fixture.store.write(move |tx| {
            let sql = "UPDATE member SET list_version = ?1, account_key = ?2 WHERE user_id = ?3";
            tx.change(sql, rusqlite::params![list_version, [key; 33], US.as_bytes()])?;
            tx.groups_with_old_list()
        });
        let expected = if is_old { vec![GROUP] } else { Vec::new() };
        assert_eq!(old.await.unwrap(), expected, "{list_version} {key}");
    }
}

/// Whoever tells another secret than the roster means changes nothing.
#[tokio::test]
async fn the_secret_of_a_group_is_the_one_that_its_roster_means() {
    let fixture = group_of(&[CAM]).await;
    let rng = &mut rand::rng();
    let [first, second, wrong] = std::array::from_fn(|_| GroupSecret::generate(rng));
    let means = async |version: u64, commitment: [u8; 32]| {
        let work = fixture.store.write(move |tx| {
            let head = GroupHead { version, hash: [1; 32], removal_version: 0 };
            tx.set_group_head(GROUP, &head)?;
            let sql = "UPDATE roster SET commitment = ?2, secret_version = ?3 WHERE thread_id = ?1";
            tx.change(sql, rusqlite::params![GROUP.as_bytes(), commitment, i64::try_from(version).unwrap()])
        });
        assert_eq!(work.await.unwrap(), 1);
    };
    let told = async |secret: &GroupSecret, version| {
        let secret = GroupSecret::parse(secret.expose()).unwrap();
        fixture.store.write(move |tx| tx.learn_group_secret(GROUP, (&secret, version))).await.unwrap()
    };
    let known = async || {
        let secret = fixture.store.read(|rows| rows.present_group_secret(GROUP)).await.unwrap();
        secret.map(|(secret, version)| (*secret, version))
    };
    means(4, first.commitment()).await;
    assert!(!told(&wrong, 4).await && !told(&first, 3).await);
    assert_eq!(known().await, None);
    assert!(told(&first, 4).await && !told(&first, 4).await && !told(&wrong, 4).await);
    assert_eq!(known().await, Some((*first.expose(), 4)));
    // Those of a later roster, which comes afterwards. Only one is kept.
    assert!(!told(&wrong, 9).await && !told(&second, 6).await);
    assert_eq!(known().await, Some((*first.expose(), 4)));
    means(6, second.commitment()).await;
    assert_eq!(known().await, Some((*second.expose(), 6)));
    assert!(!told(&wrong, 7).await);
    means(7, first.commitment()).await;
    assert_eq!(known().await, None, "what was told too early is not the one");
    assert!(told(&first, 7).await);
    assert_eq!(known().await, Some((*first.expose(), 7)));
}

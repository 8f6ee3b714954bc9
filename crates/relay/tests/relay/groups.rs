//! Groups: rosters, messages that are stored once, jobs, mail and limits.

use std::time::Duration;

use sealpost_relay::limits::{Limits, Name, Rate};
use sealpost_wire::frame::Body;
use sealpost_wire::id::{ThreadId, ToWire as _};
use sealpost_wire::roster::{Change, Entry, Permissions, Who};
use sealpost_wire::send_ack::{Fanout, Status};
use sealpost_wire::{
    Envelope, Group, InboxPage, Mail, RosterPage, RosterRequest, Send, SendAck, Thread, reason,
};
use sha2::{Digest as _, Sha256};

use crate::common::groups::request;
use crate::common::socket::{Read, Socket};
use crate::common::{Party, World, copy};
use crate::entries::{Chain, by, invitation, link, remove};

async fn people(world: &World, count: usize) -> Vec<Party> {
    let mut parties = Vec::new();
    for _ in 0..count {
        parties.push(world.register().await);
    }
    parties
}

#[tokio::test]
async fn members_get_a_message_once_over_socket_and_http() {
    let world = World::start().await;
    let parties = people(&world, 3).await;
    let [ada, ben, eve] = &parties[..] else { panic!() };
    let chain = world.group(&[ada, ben, eve]).await;
    let mut bens = Socket::connect(&world, ben).await;
    for (seq, kind) in [(1, 5), (3, 5)] {
        let got = bens.deliver().await;
        assert_eq!((got.key.unwrap().server_seq, got.envelope.unwrap().kind), (seq, kind));
    }
    let mut adas = Socket::connect(&world, ada).await;
    for _ in 0..2 {
        adas.deliver().await;
    }
    let send = world.group_message(&chain, b"to all");
    let Body::SendAck(ack) = adas.ask(Body::Send(send.clone())).await else { panic!() };
    assert_eq!((ack.server_seq, ack.status(), ack.fanout()), (4, Status::Stored, Fanout::Inline));
    let got = bens.deliver().await;
    let envelope = got.envelope.unwrap();
    assert_eq!((envelope.kind, &envelope.ciphertext[..]), (3, &b"to all"[..]));
    assert_eq!((got.sender_user_id, got.roster_version), (ada.user.to_wire(), 3));
    let page: InboxPage = world.get("/v1/inbox", Some(eve)).await.body();
    assert_eq!(page.rows.last().unwrap().envelope.as_ref().unwrap().ciphertext, "to all");
    let Body::SendAck(ack) = adas.ask(Body::Send(send.clone())).await else { panic!() };
    assert_eq!((ack.server_seq, ack.status(), ack.fanout()), (4, Status::Duplicate, Fanout::Unspecified));
    assert_eq!(bens.acknowledge(vec![page.rows.last().unwrap().key.clone().unwrap()]).await, 1);
    // Only looked up.
    let lookup = Send { lookup: true, ..world.group_message(&chain, b"x") };
    let Body::Error(error) = adas.ask(Body::Send(lookup)).await else { panic!() };
    assert_eq!(error.reason, reason::LANE_STOPPED);
    world.end((adas, bens)).await;
}

#[tokio::test]
async fn malformed_messages_of_groups_are_refused() {
    let world = World::start().await;
    let parties = people(&world, 2).await;
    let [ada, ben] = &parties[..] else { panic!() };
    let chain = world.group(&[ada, ben]).await;
    let good = || world.group_message(&chain, b"x");
    let with = |envelope: Envelope| Send { group: Some(envelope), ..good() };
    let envelope = good().group.unwrap();
    for (send, status, reason) in [
        (Send { copies: vec![copy(ben.user, 77, b"x")], ..good() }, 400, reason::MALFORMED),
        (Send { shared: vec![1].into(), ..good() }, 400, reason::MALFORMED),
        (with(Envelope { kind: 1, ..envelope.clone() }), 400, reason::MALFORMED),
        (with(Envelope { kind: 5, ..envelope.clone() }), 400, reason::MALFORMED),
        (with(Envelope { ciphertext: Vec::new().into(), ..envelope.clone() }), 400, reason::MALFORMED),
        (with(Envelope { ttl_s: 2_592_001, ..envelope.clone() }), 400, reason::MALFORMED),
        (with(Envelope { ephemeral: true, ..envelope.clone() }), 400, reason::EPHEMERAL_REFUSED),
        (with(Envelope { ciphertext: vec![1; 69_633].into(), ..envelope }), 413, reason::TOO_LARGE),
        (Send { roster_version: 9, ..good() }, 409, reason::STALE_ROSTER),
        (world.message(chain.thread, ben, b"for one"), 404, reason::NOT_FOUND),
    ] {
        world.send(ada, &send).await.refused(status, reason);
    }
    assert_eq!(world.send(ada, &good()).await.status, 201);
    world.end(()).await;
}

#[tokio::test]
async fn an_entry_is_compared_with_the_roster_and_takes_a_place() {
    let world = World::start().await;
    let parties = people(&world, 3).await;
    let [ada, ben, eve] = &parties[..] else { panic!() };
    let (mut chain, group) = world.create_group(&[ada, ben]).await;
    assert_eq!((group.thread_id, group.roster_version, group.server_seq), (chain.thread.to_wire(), 1, 1));
    let accept = chain.next(by(ben.user), Change::Accept);
    let first = world.post_entry(&chain, ben, &accept).await;
    assert_eq!(first.status, 201);
    let again = world.post_entry(&chain, ben, &accept).await;
    assert_eq!((again.status, again.bytes), (200, first.bytes));
    // Somebody else's entry, and one for another thread.
    let bad = |answer: crate::common::Answer| answer.refused(400, reason::MALFORMED);
    bad(world.post_entry(&chain, ada, &accept).await);
    let late = chain.next(by(ada.user), Change::Timer(5));
    let stale = world.post_entry(&chain, ada, &late).await;
    stale.refused(409, reason::STALE_ROSTER);
    assert_eq!(stale.error().current_roster_version, 2);
    chain.take(&accept);
    let other = ThreadId::from_bytes([4; 16]);
    let timer = chain.next(by(ada.user), Change::Timer(5));
    bad(world.post(&format!("/v1/threads/{other}/roster"), Some(ada), &request(&timer)).await);
    bad(world.post("/v1/groups", Some(ada), &request(&timer)).await);
    let garbage = RosterRequest { entry: vec![1; 200].into() };
    bad(world.post("/v1/groups", Some(ada), &garbage).await);
    let refused = world.post_entry(&chain, ben, &chain.next(by(ben.user), Change::Timer(5))).await;
    refused.refused(403, reason::NOT_ALLOWED);
    assert_eq!(refused.error().detail, "not_by_this_role");
    world
        .post_entry(&chain, eve, &chain.next(by(eve.user), Change::Accept))
        .await
        .refused(404, reason::NOT_FOUND);
    let seen: Thread = world.get(&format!("/v1/threads/{}", chain.thread), Some(ben)).await.body();
    assert_eq!((seen.roster_version, seen.last_seq, seen.member_user_ids.len()), (2, 2, 2));
    world.end(()).await;
}

#[tokio::test]
async fn the_roster_is_read_in_pages_below_the_largest_frame() {
    let world = World::start().await;
    let parties = people(&world, 2).await;
    let [ada, ben] = &parties[..] else { panic!() };
    let mut chain = world.group(&[ada, ben]).await;
    for _ in 0..30 {
        let details = sealpost_wire::roster::Details::new(vec![1; 4_000]).unwrap();
        world.enter(&mut chain, ada, Change::Details(details)).await;
    }
    let (mut after, mut pages) = (0, 0);
    loop {
        let path = format!("/v1/threads/{}/roster?after={after}", chain.thread);
        let answer = world.get(&path, Some(ben)).await;
        assert!(answer.bytes.len() <= sealpost_wire::limits::MAX_FRAME);
        let page: RosterPage = answer.body();
        pages += 1;
        for row in &page.rows {
            assert_eq!(Entry::parse(&row.entry).unwrap().version(), after + 1);
            after += 1;
            assert_eq!(row.server_seq, after);
        }
        if !page.more {
            break;
        }
    }
    assert_eq!((after, pages), (chain.version, 3));
    let none: RosterPage =
        world.get(&format!("/v1/threads/{}/roster?after={}", chain.thread, u64::MAX), Some(ben)).await.body();
    assert!(none.rows.is_empty());
    world.end(()).await;
}

#[tokio::test]
async fn a_link_shows_the_roster_and_lets_people_join() {
    let world = World::start().await;
    let parties = people(&world, 2).await;
    let [ada, guest] = &parties[..] else { panic!() };
    let mut chain = world.group(&[ada]).await;
    let token = [0xa5; 32];
    world.enter(&mut chain, ada, link(Sha256::digest(token).into())).await;
    let path = format!("/v1/threads/{}/roster", chain.thread);
    let ask = async |header: &str| {
        let get = world.http.get(world.url(&path)).header("group-link", header);
        world.request(get, Some(guest)).await
    };
    ask(&"a6".repeat(32)).await.refused(404, reason::NOT_FOUND);
    ask(&"a5".repeat(31)).await.refused(400, reason::MALFORMED);
    ask(&"zz".repeat(32)).await.refused(400, reason::MALFORMED);
    let page: RosterPage = ask(&"a5".repeat(32)).await.body();
    assert_eq!(page.rows.len(), 2);
    let join = chain.next(by(guest.user), Change::Join { proof: [1; 64] });
    world.post_entry(&chain, guest, &join).await.refused(404, reason::NOT_FOUND);
    let post = crate::common::with_body(world.http.post(world.url(&path)), &request(&join));
    assert_eq!(world.request(post.header("group-link", "a5".repeat(32)), Some(guest)).await.status, 201);
    chain.take(&join);
    assert_eq!(world.send(guest, &world.group_message(&chain, b"hello")).await.status, 201);
    world.end(()).await;
}

#[tokio::test]
async fn only_admins_write_where_the_roster_says_so() {
    let world = World::start().await;
    let parties = people(&world, 2).await;
    let [ada, ben] = &parties[..] else { panic!() };
    let mut chain = world.group(&[ada, ben]).await;
    let old = world.group_message(&chain, b"too late");
    let admins = Permissions { write: Who::Admins, add: Who::Members, details: Who::Admins };
    world.enter(&mut chain, ada, Change::Permissions(admins)).await;
    world.send(ben, &old).await.refused(409, reason::STALE_ROSTER);
    let refused = world.send(ben, &world.group_message(&chain, b"x")).await;
    refused.refused(403, reason::NOT_ALLOWED);
    assert_eq!(refused.error().detail, "not_by_this_role");
    assert_eq!(world.send(ada, &world.group_message(&chain, b"x")).await.status, 201);
    world.end(()).await;
}

/// A group with more devices than are written at once, of which two are real.
async fn large(world: &World) -> (Chain, Vec<Party>) {
    let parties = people(world, 2).await;
    let chain = world.group(&[&parties[0], &parties[1]]).await;
    let db = rusqlite::Connection::open(world.folder.path().join("relay.db")).unwrap();
    db.busy_timeout(Duration::from_secs(10)).unwrap();
    for n in 0..600_u16 {
        let mut user = [0x70; 16];
        user[..2].copy_from_slice(&n.to_be_bytes());
        let row = (&user[..], chain.thread.as_bytes());
        db.execute(
            "INSERT INTO device (user_id, device_id, registration_id, identity_key) VALUES (?1, 1, 77, x'05')",
            [row.0],
        )
        .unwrap();
        db.execute(
            "INSERT INTO mailbox (user_id, device_id, bytes, trimmed, pushed) VALUES (?1, 1, 0, 0, 0)",
            [row.0],
        )
        .unwrap();
        db.execute("INSERT INTO group_stay (user_id, thread_id, joined_seq) VALUES (?1, ?2, 1)", row)
            .unwrap();
    }
    (chain, parties)
}

#[tokio::test]
async fn a_message_for_many_devices_is_written_in_the_background() {
    let world = World::start().await;
    let (chain, parties) = large(&world).await;
    let [ada, ben] = &parties[..] else { panic!() };
    let mut adas = Socket::connect_for_mail(&world, ada).await;
    adas.deliver().await;
    let mut bens = Socket::connect(&world, ben).await;
    bens.deliver().await;
    let Body::SendAck(ack) = adas.ask(Body::Send(world.group_message(&chain, b"1"))).await else { panic!() };
    assert_eq!((ack.status(), ack.fanout(), ack.job_id.len()), (Status::Stored, Fanout::Background, 16));
    let Read::Frame(0, Body::FanoutDone(done)) = adas.read().await else { panic!() };
    assert_eq!((done.job_id, done.devices), (ack.job_id, 601));
    let answer = world.send(ada, &world.group_message(&chain, b"2")).await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.body::<SendAck>().fanout(), Fanout::Background);
    for text in ["1", "2"] {
        assert_eq!(bens.deliver().await.envelope.unwrap().ciphertext, text);
    }
    world.end((adas, bens)).await;
}

#[tokio::test]
async fn mail_in_a_group_names_many_devices_and_ephemeral_mail_reaches_a_few() {
    let world = World::start_with(|config| {
        config.metrics = Some(([127, 0, 0, 1], 0).into());
        let rate = Limits::default().rate(Name::EphemeralDevices);
        config.limits.set(Name::EphemeralDevices, rate.map(|rate| Rate { burst: 2, amount: 2, ..rate }));
    })
    .await;
    let parties = people(&world, 5).await;
    let all: Vec<_> = parties.iter().collect();
    let chain = world.group(&all).await;
    let copies: Vec<_> = parties[1..].iter().map(|party| copy(party.user, 77, b"for one")).collect();
    let Send { client_msg_id, thread_id, .. } = world.group_message(&chain, b"");
    let mail = Mail { client_msg_id, thread_id, copies, ..Mail::default() };
    let path = format!("/v1/threads/{}/mail", chain.thread);
    assert_eq!(world.post(&path, Some(&parties[0]), &mail).await.status, 201);
    let mut too_many = mail.clone();
    too_many.copies = vec![mail.copies[0].clone(); 257];
    world.post(&path, Some(&parties[0]), &too_many).await.refused(400, reason::MALFORMED);
    let mut sockets = Vec::new();
    for party in &parties[1..] {
        let mut socket = Socket::connect_for_mail(&world, party).await;
        while !matches!(socket.frame().await.1, Body::DeliverMail(_)) {}
        sockets.push(socket);
    }
    let mut typing = Mail { client_msg_id: Vec::new().into(), ..mail };
    typing.copies.iter_mut().for_each(|copy| copy.envelope.as_mut().unwrap().ephemeral = true);
    let answer = world.post(&path, Some(&parties[0]), &typing).await;
    assert_eq!(answer.body::<SendAck>().status(), Status::PassedOn);
    let metrics = crate::connections::metrics(&world).await;
    assert!(metrics.contains("relay_ephemeral_total{outcome=\"dropped\"} 2\n"), "{metrics}");
    world.end(sockets).await;
}

#[tokio::test]
async fn whoever_posts_for_very_many_devices_has_to_wait() {
    let world = World::start_with(|config| {
        config.limits.set(Name::FanoutRows, Some(Rate::new(10, 1, Duration::from_secs(60))));
    })
    .await;
    let parties = people(&world, 4).await;
    let all: Vec<_> = parties.iter().collect();
    let chain = world.group(&all).await;
    // The first entry was for three devices.
    for text in [b"1", b"2", b"3"] {
        assert_eq!(world.send(&parties[0], &world.group_message(&chain, text)).await.status, 201);
    }
    let refused = world.send(&parties[0], &world.group_message(&chain, b"4")).await;
    refused.refused(429, reason::RATE_LIMITED);
    assert_eq!(world.send(&parties[1], &world.group_message(&chain, b"5")).await.status, 201);
    world.end(()).await;
}

#[tokio::test]
async fn bundles_of_fellow_members_have_a_limit_of_their_own() {
    let world = World::start_with(|config| {
        config.limits.set(Name::Takes, Some(Rate::new(1, 1, Duration::from_secs(3_600))));
        config.limits.set(Name::GroupTakes, Some(Rate::new(2, 1, Duration::from_secs(3_600))));
    })
    .await;
    let parties = people(&world, 4).await;
    let [ada, ben, eve, stranger] = &parties[..] else { panic!() };
    let chain = world.create_group(&[ada, ben, eve]).await.0;
    let take = async |of: &Party, query: &str| {
        let path = format!("/v1/users/{}/devices/*/prekeys{query}", of.user);
        world.get(&path, Some(ada)).await.status
    };
    let group = format!("?group={}", chain.thread);
    assert_eq!(take(stranger, &group).await, 200, "counted like any other");
    assert_eq!(take(ben, "").await, 429);
    assert_eq!((take(ben, &group).await, take(eve, &group).await), (200, 200));
    assert_eq!(take(ben, &group).await, 429);
    assert_eq!(take(ben, "?group=nonsense").await, 400);
    world.end(()).await;
}

#[tokio::test]
async fn who_is_removed_gets_nothing_that_comes_later() {
    let world = World::start().await;
    let parties = people(&world, 3).await;
    let [ada, ben, eve] = &parties[..] else { panic!() };
    let mut chain = world.group(&[ada, ben, eve]).await;
    let before = world.group_message(&chain, b"before");
    let removed: Group = world.enter(&mut chain, ada, remove(&[ben.user])).await;
    world.send(ben, &before).await.refused(404, reason::NOT_FOUND);
    world.send(eve, &world.group_message(&chain, b"after")).await;
    let page: InboxPage = world.get("/v1/inbox", Some(ben)).await.body();
    let last = page.rows.last().unwrap().key.clone().unwrap();
    assert_eq!((last.thread_id, last.server_seq), (removed.thread_id, removed.server_seq));
    world.enter(&mut chain, ada, Change::Invite(vec![invitation(ben.user)])).await;
    world.enter(&mut chain, ben, Change::Accept).await;
    assert_eq!(world.send(ben, &world.group_message(&chain, b"again")).await.status, 201);
    world.end(()).await;
}

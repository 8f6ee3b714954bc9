//! Ephemeral mail: passed on to connected devices, and never stored.

use std::time::Duration;

use bytes::Bytes;
use sealpost_relay::limits::{Name, Rate};
use sealpost_wire::frame::Body;
use sealpost_wire::id::ThreadId;
use sealpost_wire::id::ToWire as _;
use sealpost_wire::limits::MAX_EPHEMERAL;
use sealpost_wire::send_ack::Status;
use sealpost_wire::{DeliverMail, DeviceCopy, Envelope, Mail, Ping, SendAck, reason};

use crate::common::socket::Socket;
use crate::common::{Party, World, copy};
use crate::connections::metrics;

fn ephemeral(thread: ThreadId, to: &Party, text: &[u8]) -> Mail {
    let mut copy = copy(to.user, 77, text);
    copy.envelope.as_mut().unwrap().ephemeral = true;
    Mail { thread_id: thread.to_wire(), copies: vec![copy], ..Mail::default() }
}

fn text(mail: &DeliverMail) -> Bytes {
    mail.envelope.as_ref().unwrap().ciphertext.clone()
}

async fn passed_on(socket: &mut Socket, mail: Mail) {
    match socket.ask(Body::Mail(mail)).await {
        Body::SendAck(SendAck { server_seq: 0, hlc: 0, status, .. }) if status == Status::PassedOn as i32 => {
        }
        other => panic!("not passed on: {other:?}"),
    }
}

/// The number of a metric.
async fn count(world: &World, metric: &str) -> u64 {
    let all = metrics(world).await;
    let line =
        all.lines().find_map(|line| line.strip_prefix(metric)).unwrap_or_else(|| panic!("no {metric}"));
    line.trim().parse().unwrap()
}

async fn with_metrics() -> World {
    World::start_with(|config| config.metrics = Some(([127, 0, 0, 1], 0).into())).await
}

#[tokio::test]
async fn ephemeral_mail_reaches_each_connection_of_a_device_that_handles_mail() {
    let world = with_metrics().await;
    let (alice, bob, thread) = world.pair().await;
    let mut alices = Socket::connect_for_mail(&world, &alice).await;
    let mut bobs =
        [Socket::connect_for_mail(&world, &bob).await, Socket::connect_for_mail(&world, &bob).await];
    let mut earlier = Socket::connect(&world, &bob).await;
    passed_on(&mut alices, ephemeral(thread, &bob, b"typing")).await;
    for socket in &mut bobs {
        let mail = socket.mail().await;
        assert_eq!((text(&mail), mail.mail_seq, mail.epoch), (Bytes::from_static(b"typing"), 0, 1));
        assert_eq!((&mail.sender_user_id, mail.sender_device_id), (&alice.user.to_wire(), 1));
        assert_eq!((&mail.thread_id, mail.server_time_ms), (&thread.to_wire(), crate::common::START_MS));
    }
    // A client that does not handle mail gets none: the next frame is the answer to its ping.
    let Body::Pong(_) = earlier.ask(Body::Ping(Ping { t: 1 })).await else { panic!() };
    // It is not repeated on a connection that is opened later, nor in the mailbox.
    let mut later = Socket::connect_for_mail(&world, &bob).await;
    later.send(Body::Sync(sealpost_wire::Sync { inbox: true, threads: vec![] })).await;
    let (0, Body::QueueEmpty(empty)) = later.frame().await else { panic!() };
    assert_eq!(empty.drained, 0);
    world.end((alices, bobs, earlier, later)).await;
}

#[tokio::test]
async fn ephemeral_mail_writes_nothing_to_the_store() {
    let world = World::start_with(|config| {
        config.metrics = Some(([127, 0, 0, 1], 0).into());
        config.timing.sweep = Duration::from_secs(3_600);
    })
    .await;
    let (alice, bob, thread) = world.pair().await;
    let mut alices = Socket::connect_for_mail(&world, &alice).await;
    let mut bobs = Socket::connect_for_mail(&world, &bob).await;
    let Body::Pong(_) = bobs.ask(Body::Ping(Ping { t: 1 })).await else { panic!() };
    let commits = "relay_store_commit_seconds_count{}";
    let files = || {
        let mut found: Vec<_> = std::fs::read_dir(world.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name(), std::fs::read(entry.path()).unwrap()))
            .filter(|(name, _)| name != "reserve" && name != "relay.db-shm")
            .collect();
        found.sort();
        found
    };
    let before = (count(&world, commits).await, files());
    for n in 0..50 {
        passed_on(&mut alices, ephemeral(thread, &bob, &[n + 1])).await;
        bobs.mail().await;
    }
    drop(bobs);
    // Until the relay has noticed that the device is gone, it may still pass mail on.
    while count(&world, "relay_ephemeral_total{outcome=\"offline\"}").await == 0 {
        passed_on(&mut alices, ephemeral(thread, &bob, b"typing")).await;
    }
    let after = (count(&world, commits).await, files());
    assert_eq!(before.0, after.0);
    assert!(before.1 == after.1, "a file has changed");
    world.end(alices).await;
}

#[tokio::test]
async fn a_peer_who_reads_nothing_keeps_only_the_newest_ephemeral_mail_and_every_message() {
    let world = with_metrics().await;
    let (alice, bob, thread) = world.pair().await;
    let carol = world.register().await;
    let of_carol = world.thread(&carol, &bob).await;
    let mut alices = Socket::connect_for_mail(&world, &alice).await;
    let mut carols = Socket::connect_for_mail(&world, &carol).await;
    let mut bobs = Socket::connect_for_mail(&world, &bob).await;
    // More than fits into the buffers of the system, so that the relay has to wait for the peer.
    let mut sent: u32 = 0;
    loop {
        let written = count(&world, "relay_ephemeral_total{outcome=\"written\"}").await;
        for _ in 0..200 {
            sent += 1;
            let mut text = vec![7; MAX_EPHEMERAL];
            text[..4].copy_from_slice(&sent.to_be_bytes());
            passed_on(&mut alices, ephemeral(thread, &bob, &text)).await;
        }
        if count(&world, "relay_ephemeral_total{outcome=\"written\"}").await == written {
            break;
        }
    }
    passed_on(&mut carols, ephemeral(of_carol, &bob, b"call")).await;
    assert_eq!(world.send(&carol, &world.message(of_carol, &bob, b"message")).await.status, 201);
    let (mut mails, mut calls, mut messages) = (Vec::new(), 0, 0);
    while messages == 0 || calls == 0 || mails.last() != Some(&sent) {
        match bobs.frame().await.1 {
            Body::DeliverMail(mail) if text(&mail) == b"call"[..] => calls += 1,
            Body::DeliverMail(mail) => mails.push(u32::from_be_bytes(text(&mail)[..4].try_into().unwrap())),
            Body::Deliver(deliver) => {
                assert_eq!(deliver.envelope.unwrap().ciphertext, b"message"[..]);
                messages += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(mails.is_sorted() && mails.len() < sent as usize, "{} of {sent}", mails.len());
    // What was still waiting when the peer began to read is at most what may wait.
    let waited =
        mails.windows(2).rposition(|pair| pair[1] != pair[0] + 1).map_or(0, |gap| mails.len() - gap - 1);
    assert!((1..=4).contains(&waited), "{waited} envelopes of 16 KiB");
    let dropped = count(&world, "relay_ephemeral_total{outcome=\"dropped\"}").await;
    assert_eq!(dropped, u64::from(sent) - mails.len() as u64);
    world.end((alices, carols, bobs)).await;
}

#[tokio::test]
async fn a_stranger_cannot_show_that_they_are_typing_and_does_not_learn_it() {
    let world = World::start().await;
    let (alice, bob) = (world.register().await, world.register().await);
    let thread = world.request_thread(&alice, &bob).await;
    let mut alices = Socket::connect_for_mail(&world, &alice).await;
    let mut bobs = Socket::connect_for_mail(&world, &bob).await;
    passed_on(&mut alices, ephemeral(thread, &bob, b"typing")).await;
    assert_eq!(world.accept(thread, &bob).await.status, 204);
    passed_on(&mut alices, ephemeral(thread, &bob, b"accepted")).await;
    assert_eq!(text(&bobs.mail().await), b"accepted"[..]);
    world.end((alices, bobs)).await;
}

#[tokio::test]
async fn invalid_ephemeral_mail_is_refused_with_a_reason() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let good = ephemeral(thread, &bob, b"typing");
    let with = |change: fn(&mut Envelope)| {
        let mut mail = good.clone();
        change(mail.copies[0].envelope.as_mut().unwrap());
        mail
    };
    let copies = |copies: &[&DeviceCopy]| Mail {
        copies: copies.iter().map(|copy| (*copy).clone()).collect(),
        ..good.clone()
    };
    let one = &good.copies[0];
    let stale = DeviceCopy { registration_id: 76, ..one.clone() };
    let other_device = DeviceCopy { device_id: 2, ..one.clone() };
    let mut stored = one.clone();
    stored.envelope.as_mut().unwrap().ephemeral = false;
    let own = DeviceCopy { user_id: alice.user.to_wire(), ..one.clone() };
    for (mail, status, reason) in [
        (with(|envelope| envelope.ciphertext = vec![1; MAX_EPHEMERAL + 1].into()), 413, reason::TOO_LARGE),
        (with(|envelope| envelope.ciphertext = Bytes::new()), 400, reason::MALFORMED),
        (with(|envelope| envelope.kind = 3), 400, reason::MALFORMED),
        (with(|envelope| envelope.ttl_s = 61), 400, reason::MALFORMED),
        (copies(&[one, &stored]), 400, reason::MALFORMED),
        (copies(&[&stored, one]), 400, reason::MALFORMED),
        (copies(&[]), 400, reason::MALFORMED),
        (copies(&[one, one]), 409, reason::MISMATCHED_DEVICES),
        (copies(&[one, &other_device]), 409, reason::MISMATCHED_DEVICES),
        (copies(&[&own]), 409, reason::MISMATCHED_DEVICES),
        (copies(&[&stale]), 410, reason::STALE_DEVICES),
    ] {
        world.post(&format!("/v1/threads/{thread}/mail"), Some(&alice), &mail).await.refused(status, reason);
    }
    assert_eq!(world.post(&format!("/v1/threads/{thread}/mail"), Some(&alice), &good).await.status, 200);
    assert_eq!(world.delete("/v1/account", Some(&bob)).await.status, 204);
    let gone = world.post(&format!("/v1/threads/{thread}/mail"), Some(&alice), &good).await;
    gone.refused(410, reason::RECIPIENT_DELETED);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn ephemeral_mail_is_limited_for_each_recipient() {
    let world = World::start_with(|config| {
        // Two envelopes of one byte.
        config.limits.set(Name::EphemeralBytes, Some(Rate::new(2 * 257, 1, Duration::from_secs(24 * 3_600))));
    })
    .await;
    let (alice, bob, thread) = world.pair().await;
    let carol = world.register().await;
    let of_carol = world.thread(&alice, &carol).await;
    let mut alices = Socket::connect_for_mail(&world, &alice).await;
    let mut bobs = Socket::connect_for_mail(&world, &bob).await;
    for text in [b"1", b"2"] {
        passed_on(&mut alices, ephemeral(thread, &bob, text)).await;
        assert_eq!(self::text(&bobs.mail().await), text[..]);
    }
    let Body::Error(error) = alices.ask(Body::Mail(ephemeral(thread, &bob, b"3"))).await else { panic!() };
    assert_eq!((error.code, error.reason.as_str()), (429, reason::RATE_LIMITED));
    assert!(error.retry_after_ms > 0);
    passed_on(&mut alices, ephemeral(of_carol, &carol, b"4")).await;
    world.end((alices, bobs)).await;
}

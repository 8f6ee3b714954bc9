//! Mail: stored and numbered for each device, without a place in the thread.

use sealpost_wire::frame::Body;
use sealpost_wire::id::ThreadId;
use sealpost_wire::limits::{MAX_ACK_KEYS, MAX_CREDIT};
use sealpost_wire::send_ack::Status;
use sealpost_wire::{
    AckMail, AckOk, DeliverMail, Hello, Mail, Ping, QueueEmpty, Send, SendAck, Sync, reason,
};

use crate::common::socket::{Socket, hello};
use crate::common::{Party, World};

fn mail(world: &World, thread: ThreadId, to: &Party, text: &[u8]) -> Mail {
    let Send { client_msg_id, thread_id, copies, .. } = world.message(thread, to, text);
    Mail { client_msg_id, thread_id, copies, ..Mail::default() }
}

fn urgent(world: &World, thread: ThreadId, to: &Party, text: &[u8]) -> Mail {
    let mut mail = mail(world, thread, to, text);
    mail.copies[0].envelope.as_mut().unwrap().urgent = true;
    mail
}

async fn post(world: &World, by: &Party, mail: &Mail) -> u16 {
    let thread = ThreadId::from_slice(&mail.thread_id).unwrap();
    world.post(&format!("/v1/threads/{thread}/mail"), Some(by), mail).await.status
}

/// Acknowledges mail, and returns how much of it existed.
async fn acknowledge(socket: &mut Socket, mail_seqs: Vec<u64>) -> u32 {
    match socket.ask(Body::AckMail(AckMail { mail_seqs })).await {
        Body::AckOk(AckOk { removed }) => removed,
        other => panic!("{other:?}"),
    }
}

fn sync() -> Body {
    Body::Sync(Sync { inbox: true, threads: vec![] })
}

#[tokio::test]
async fn mail_is_delivered_until_it_is_acknowledged() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let mut alices = Socket::connect_for_mail(&world, &alice).await;
    let mut bobs = Socket::connect_for_mail(&world, &bob).await;
    let first = mail(&world, thread, &bob, b"receipt");
    let ack = SendAck {
        client_msg_id: first.client_msg_id.clone(),
        thread_id: first.thread_id.clone(),
        epoch: 1,
        status: Status::Stored.into(),
        ..SendAck::default()
    };
    assert_eq!(alices.ask(Body::Mail(first.clone())).await, Body::SendAck(ack.clone()));
    let again = SendAck { status: Status::Duplicate.into(), ..ack };
    assert_eq!(alices.ask(Body::Mail(first.clone())).await, Body::SendAck(again));
    assert_eq!(post(&world, &alice, &first).await, 200, "nor is it stored again over HTTP");
    assert_eq!(post(&world, &alice, &mail(&world, thread, &bob, b"another")).await, 201);
    let delivered = bobs.mail().await;
    assert_eq!((delivered.mail_seq, delivered.epoch), (1, 1));
    assert_eq!(delivered.client_msg_id, first.client_msg_id);
    assert_eq!(delivered.envelope, first.copies[0].envelope);
    assert_eq!(bobs.mail().await.mail_seq, 2);
    assert_eq!(acknowledge(&mut bobs, vec![1, 7]).await, 1);

    let world = world.restart().await;
    let mut bobs = Socket::connect_for_mail(&world, &bob).await;
    assert_eq!(bobs.mail().await.mail_seq, 2);
    assert_eq!(acknowledge(&mut bobs, vec![2]).await, 1);
    bobs.send(sync()).await;
    assert_eq!(bobs.frame().await, (0, Body::QueueEmpty(QueueEmpty { drained: 1, hlc: 0 })));
    // Mail took no place in the thread.
    assert_eq!(
        world.send(&alice, &world.message(thread, &bob, b"message")).await.body::<SendAck>().server_seq,
        1
    );
    world.end((alices, bobs)).await;
}

#[tokio::test]
async fn urgent_mail_is_delivered_before_messages_and_other_mail_after_them() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    for n in 1..=20 {
        assert_eq!(post(&world, &alice, &mail(&world, thread, &bob, b"receipt")).await, 201);
        assert_eq!(world.send(&alice, &world.message(thread, &bob, b"message")).await.status, 201);
        if n % 5 == 0 {
            assert_eq!(post(&world, &alice, &urgent(&world, thread, &bob, b"keys")).await, 201);
        }
    }
    let mut bobs = Socket::connect_for_mail(&world, &bob).await;
    bobs.send(sync()).await;
    let mut got = Vec::new();
    loop {
        got.push(match bobs.frame().await.1 {
            Body::DeliverMail(mail) => mail.envelope.unwrap().ciphertext,
            Body::Deliver(deliver) => deliver.envelope.unwrap().ciphertext,
            Body::QueueEmpty(empty) => break assert_eq!(empty.drained, 44),
            other => panic!("{other:?}"),
        });
    }
    let expected = [vec![&b"keys"[..]; 4], vec![&b"message"[..]; 20], vec![&b"receipt"[..]; 20]].concat();
    assert_eq!(got, expected);
    world.end(bobs).await;
}

#[tokio::test]
async fn mail_that_is_not_acknowledged_leaves_room_for_messages() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let most = u64::from(MAX_CREDIT);
    let mut alices = Socket::connect_for_mail(&world, &alice).await;
    let mut bobs = Socket::connect_for_mail(&world, &bob).await;
    for _ in 0..most {
        let Body::SendAck(_) = alices.ask(Body::Mail(mail(&world, thread, &bob, b"receipt"))).await else {
            panic!()
        };
    }
    for seq in 1..=most / 2 {
        assert_eq!(bobs.mail().await.mail_seq, seq);
    }
    // The other half of the credit is for messages, which are acknowledged as usual.
    for seq in 1..=most {
        let Body::SendAck(_) = alices.ask(Body::Send(world.message(thread, &bob, b"message"))).await else {
            panic!()
        };
        let key = bobs.deliver().await.key.unwrap();
        assert_eq!((key.server_seq, bobs.acknowledge(vec![key]).await), (seq, 1));
    }
    // Room for one more.
    bobs.send(Body::AckMail(AckMail { mail_seqs: vec![1] })).await;
    let frames = [bobs.frame().await.1, bobs.frame().await.1];
    assert!(
        matches!(&frames[..], [Body::AckOk(_), Body::DeliverMail(DeliverMail { mail_seq, .. })] if *mail_seq == most / 2 + 1)
    );
    world.end((alices, bobs)).await;
}

#[tokio::test]
async fn a_peer_that_reads_slowly_gets_messages_before_the_mail_that_was_sent_earlier() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let mut alices = Socket::connect_for_mail(&world, &alice).await;
    let (mut bobs, _) =
        Socket::connect_with(&world, Hello { features: vec!["mail".into()], credit: 8, ..hello(&bob) }).await;
    for _ in 0..100 {
        let Body::SendAck(_) = alices.ask(Body::Mail(mail(&world, thread, &bob, &[7; 20_000]))).await else {
            panic!()
        };
    }
    for _ in 0..20 {
        let Body::SendAck(_) = alices.ask(Body::Send(world.message(thread, &bob, b"message"))).await else {
            panic!()
        };
    }
    // It reads one frame at a time, and acknowledges it before it reads the next one.
    let (mut messages, mut mails, mut before) = (0, 0, 0);
    while messages + mails < 120 {
        match bobs.frame().await.1 {
            Body::Deliver(deliver) => {
                messages += 1;
                before = mails;
                bobs.send(Body::Ack(sealpost_wire::Ack { keys: vec![deliver.key.unwrap()], trimmed: 0 }))
                    .await;
            }
            Body::DeliverMail(mail) => {
                mails += 1;
                assert_eq!(mail.mail_seq, mails);
                bobs.send(Body::AckMail(AckMail { mail_seqs: vec![mail.mail_seq] })).await;
            }
            Body::AckOk(_) => {}
            other => panic!("{other:?}"),
        }
    }
    // Half of the credit was used by mail when the first message was sent. While messages wait, no more mail is read.
    assert!(before <= 16, "{before} of {mails} before the last message");
    world.end((alices, bobs)).await;
}

#[tokio::test]
async fn mail_waits_for_a_client_that_handles_it() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let mut earlier = Socket::connect(&world, &bob).await;
    assert_eq!(post(&world, &alice, &mail(&world, thread, &bob, b"receipt")).await, 201);
    earlier.send(sync()).await;
    assert_eq!(earlier.frame().await, (0, Body::QueueEmpty(QueueEmpty::default())));
    let mut later = Socket::connect_for_mail(&world, &bob).await;
    assert_eq!(later.mail().await.mail_seq, 1);
    let Body::Pong(_) = earlier.ask(Body::Ping(Ping { t: 1 })).await else { panic!() };
    world.end((earlier, later)).await;
}

#[tokio::test]
async fn mail_does_not_take_part_in_the_order_of_messages() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let mut app = Socket::connect_for_mail(&world, &alice).await;
    let stale = Send { roster_version: 9, ..world.message(thread, &bob, b"stale") };
    let Body::Error(_) = app.ask(Body::Send(stale)).await else { panic!() };
    // The lane is stopped, and mail is stored nevertheless.
    let Body::Error(error) = app.ask(Body::Send(world.message(thread, &bob, b"next"))).await else {
        panic!()
    };
    assert_eq!(error.reason, reason::LANE_STOPPED);
    let stored = |body| matches!(body, Body::SendAck(ack) if ack.status() == Status::Stored);
    assert!(stored(app.ask(Body::Mail(mail(&world, thread, &bob, b"receipt"))).await));
    // Mail on a newer connection does not end sends on this one, and mail on an older one is accepted.
    let mut extension = Socket::connect_for_mail(&world, &alice).await;
    assert!(stored(extension.ask(Body::Mail(mail(&world, thread, &bob, b"receipt"))).await));
    let resumed = Send { resume: true, ..world.message(thread, &bob, b"next") };
    assert!(stored(app.ask(Body::Send(resumed)).await));
    assert!(stored(extension.ask(Body::Send(world.message(thread, &bob, b"newer"))).await));
    assert!(stored(app.ask(Body::Mail(mail(&world, thread, &bob, b"receipt"))).await));
    world.end((app, extension)).await;
}

#[tokio::test]
async fn a_stranger_sends_no_mail_but_gets_some() {
    let world = World::start().await;
    let (alice, bob) = (world.register().await, world.register().await);
    let thread = world.request_thread(&alice, &bob).await;
    let path = format!("/v1/threads/{thread}/mail");
    let asked = mail(&world, thread, &bob, b"receipt");
    world.post(&path, Some(&alice), &asked).await.refused(409, reason::NOT_ACCEPTED);
    assert_eq!(post(&world, &bob, &mail(&world, thread, &alice, b"resend")).await, 201);
    assert_eq!(world.accept(thread, &bob).await.status, 204);
    assert_eq!(post(&world, &alice, &asked).await, 201);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn a_post_accepts_the_thread_of_its_author() {
    let world = World::start().await;
    let (alice, bob) = (world.register().await, world.register().await);
    let thread = world.request_thread(&alice, &bob).await;
    let messages = format!("/v1/threads/{thread}/messages");
    let post_message = async |from: &Party, to: &Party| {
        let message = world.message(thread, to, b"hello");
        world.post(&messages, Some(from), &message).await
    };
    for _ in 0..16 {
        assert_eq!(post_message(&alice, &bob).await.status, 201);
    }
    post_message(&alice, &bob).await.refused(409, reason::NOT_ACCEPTED);
    // Mail and a refused post are no acceptance.
    assert_eq!(post(&world, &bob, &mail(&world, thread, &alice, b"resend")).await, 201);
    let wrong = world.message(thread, &bob, b"to nobody");
    world.post(&messages, Some(&bob), &wrong).await.refused(409, reason::MISMATCHED_DEVICES);
    post_message(&alice, &bob).await.refused(409, reason::NOT_ACCEPTED);
    // The receipt of this one can overtake the request by which the thread is accepted.
    assert_eq!(post_message(&bob, &alice).await.status, 201);
    assert_eq!(post(&world, &alice, &mail(&world, thread, &bob, b"receipt")).await, 201);
    assert_eq!(post_message(&alice, &bob).await.status, 201);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn invalid_mail_and_acknowledgements_are_refused_with_a_reason() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let good = mail(&world, thread, &bob, b"receipt");
    let path = format!("/v1/threads/{thread}/mail");
    let mut other = good.clone();
    other.copies[0].envelope.as_mut().unwrap().ciphertext = b"another".to_vec().into();
    let mut long = good.clone();
    long.copies[0].envelope.as_mut().unwrap().ttl_s = 2_592_001;
    assert_eq!(post(&world, &alice, &good).await, 201);
    for (mail, status, reason) in [
        (other, 409, reason::MSG_ID_REUSE),
        (long, 400, reason::MALFORMED),
        (Mail { client_msg_id: vec![4; 16].into(), ..good.clone() }, 400, reason::MALFORMED),
        (Mail { copies: vec![], ..good.clone() }, 400, reason::MALFORMED),
        (Mail { thread_id: vec![9; 16].into(), ..good.clone() }, 400, reason::MALFORMED),
    ] {
        world.post(&path, Some(&alice), &mail).await.refused(status, reason);
    }
    let mut bobs = Socket::connect_for_mail(&world, &bob).await;
    assert_eq!(bobs.mail().await.mail_seq, 1);
    let too_many = AckMail { mail_seqs: vec![1; MAX_ACK_KEYS + 1] };
    let Body::Error(error) = bobs.ask(Body::AckMail(too_many)).await else { panic!() };
    assert_eq!(error.reason, reason::MALFORMED);
    assert_eq!(acknowledge(&mut bobs, vec![1; MAX_ACK_KEYS]).await, 1);
    world.end(bobs).await;
}

//! The shared part of a message, which the relay appends to the ciphertexts of its copies.

use bytes::Bytes;
use futures_util::SinkExt as _;
use sealpost_wire::frame::Body;
use sealpost_wire::id::ThreadId;
use sealpost_wire::limits::{MAX_CIPHERTEXT, MAX_EPHEMERAL, MAX_FRAME};
use sealpost_wire::{DeviceCopy, Envelope, Frame, Mail, Send, envelope, reason};
use tokio_tungstenite::tungstenite::Message;

use crate::common::socket::Socket;
use crate::common::{Party, World, copy};

fn with_shared(to: &Party, ciphertext: &[u8]) -> DeviceCopy {
    let mut copy = copy(to.user, 77, ciphertext);
    copy.envelope.as_mut().unwrap().kind = envelope::SIGNAL_WITH_SHARED;
    copy
}

fn message(world: &World, thread: ThreadId, to: &Party, ciphertext: usize, shared: usize) -> Send {
    let copies = vec![with_shared(to, &vec![1; ciphertext])];
    Send { copies, shared: vec![2; shared].into(), ..world.message(thread, to, b"") }
}

#[tokio::test]
async fn the_shared_part_follows_the_ciphertext_of_each_copy_that_asks_for_it() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let mut alices = Socket::connect(&world, &alice).await;
    let mut bobs = Socket::connect_for_mail(&world, &bob).await;
    let send = message(&world, thread, &bob, 3, 5);
    let Body::SendAck(_) = alices.ask(Body::Send(send.clone())).await else { panic!() };
    let got = bobs.deliver().await.envelope.unwrap();
    assert_eq!(
        (got.kind, &got.ciphertext[..]),
        (envelope::SIGNAL_WITH_SHARED, &[1, 1, 1, 2, 2, 2, 2, 2][..])
    );
    // Another shared part under the same id is another message.
    let other = Send { shared: vec![3; 5].into(), ..send.clone() };
    let Body::Error(error) = alices.ask(Body::Send(other)).await else { panic!() };
    assert_eq!(error.reason, reason::MSG_ID_REUSE);
    // Mail, which is stored or passed on.
    let Send { client_msg_id, thread_id, copies, shared, .. } = message(&world, thread, &bob, 1, 2);
    let mail = Mail { client_msg_id, thread_id, copies, shared };
    let Body::SendAck(_) = alices.ask(Body::Mail(mail.clone())).await else { panic!() };
    assert_eq!(&bobs.mail().await.envelope.unwrap().ciphertext[..], [1, 2, 2]);
    let mut ephemeral = Mail { client_msg_id: Bytes::new(), ..mail };
    ephemeral.copies[0].envelope.as_mut().unwrap().ephemeral = true;
    let Body::SendAck(_) = alices.ask(Body::Mail(ephemeral)).await else { panic!() };
    assert_eq!(&bobs.mail().await.envelope.unwrap().ciphertext[..], [1, 2, 2]);
    world.end((alices, bobs)).await;
}

#[tokio::test]
async fn a_copy_and_its_shared_part_are_limited_together_and_need_each_other() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let most = MAX_CIPHERTEXT - 100;
    let good = message(&world, thread, &bob, 100, most);
    let refused = [
        ("a byte too many", message(&world, thread, &bob, 101, most), 413, reason::TOO_LARGE),
        ("nothing shared", message(&world, thread, &bob, 100, 0), 400, reason::MALFORMED),
        (
            "shared by nobody",
            Send { shared: vec![2].into(), ..world.message(thread, &bob, b"x") },
            400,
            reason::MALFORMED,
        ),
        ("no ciphertext", message(&world, thread, &bob, 0, 5), 400, reason::MALFORMED),
    ];
    for (what, send, status, reason) in refused {
        let answer = world.send(&alice, &send).await;
        assert_eq!(answer.status, status, "{what}");
        answer.refused(status, reason);
    }
    assert_eq!(world.send(&alice, &good).await.status, 201);
    // Ephemeral mail has a limit of its own.
    let mut alices = Socket::connect(&world, &alice).await;
    for (shared, is_taken) in [(MAX_EPHEMERAL - 1, true), (MAX_EPHEMERAL, false)] {
        let Send { thread_id, mut copies, shared, .. } = message(&world, thread, &bob, 1, shared);
        copies[0].envelope.as_mut().unwrap().ephemeral = true;
        let answer = alices.ask(Body::Mail(Mail { thread_id, copies, shared, ..Mail::default() })).await;
        assert_eq!(matches!(answer, Body::SendAck(_)), is_taken, "{answer:?}");
    }
    world.end(alices).await;
}

#[tokio::test]
async fn a_frame_may_be_so_long_and_not_a_byte_longer() {
    let world = World::start().await;
    let (alice, _, _) = world.pair().await;
    for (length, is_closed) in [(MAX_FRAME, false), (MAX_FRAME + 1, true)] {
        let mut alices = Socket::connect(&world, &alice).await;
        // A send that is refused for its thread, after it was read.
        let frame = |shared: usize| {
            let envelope = Envelope { kind: 9, ciphertext: vec![1].into(), ..Envelope::default() };
            let mut copy = copy(alice.user, 77, b"");
            copy.envelope = Some(envelope);
            let send = Send { copies: vec![copy], shared: vec![2; shared].into(), ..Send::default() };
            Frame { v: 1, id: 9, body: Some(Body::Send(send)) }
        };
        let around = prost::Message::encoded_len(&frame(90_000)) - 90_000;
        let frame = frame(length - around);
        assert_eq!(prost::Message::encoded_len(&frame), length);
        alices.raw.send(Message::Binary(prost::Message::encode_to_vec(&frame).into())).await.unwrap();
        match is_closed {
            true => assert_eq!(alices.closed().await, sealpost_wire::limits::close::TOO_BIG),
            false => assert!(matches!(alices.frame().await, (9, Body::Error(_)))),
        }
    }
    world.relay.shutdown().await;
}

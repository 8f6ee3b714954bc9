//! Whom users block.

use prost::Message as _;
use sealpost_wire::frame::Body;
use sealpost_wire::id::ToWire as _;
use sealpost_wire::limits::MAX_REQUEST_MESSAGES;
use sealpost_wire::send_ack::Status;
use sealpost_wire::{Mail, Ping, SendAck, reason};

use crate::common::World;
use crate::common::socket::Socket;

#[tokio::test]
async fn a_blocked_sender_gets_the_answer_of_a_full_thread_that_was_not_accepted() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let carol = world.register().await;
    let asked = world.request_thread(&carol, &bob).await;
    for _ in 0..MAX_REQUEST_MESSAGES {
        assert_eq!(world.send(&carol, &world.message(asked, &bob, b"hello")).await.status, 201);
    }
    let path = format!("/v1/blocks/{}", alice.user);
    assert_eq!(world.put(&path, Some(&bob), &()).await.status, 204);

    // Over HTTP, byte for byte.
    let full = world.send(&carol, &world.message(asked, &bob, b"more")).await;
    let blocked = world.send(&alice, &world.message(thread, &bob, b"more")).await;
    full.refused(409, reason::NOT_ACCEPTED);
    let parts = |answer: &crate::common::Answer| {
        let mut headers = answer.headers.clone();
        headers.remove("date");
        (answer.status, headers, answer.bytes.clone())
    };
    assert_eq!(parts(&full), parts(&blocked));
    // On a socket: a message, a message after it, mail, and ephemeral mail.
    let mut answers = Vec::new();
    for (sender, thread) in [(&carol, asked), (&alice, thread)] {
        let mut socket = Socket::connect_for_mail(&world, sender).await;
        let send = world.message(thread, &bob, b"more");
        let mail = Mail {
            client_msg_id: send.client_msg_id.clone(),
            thread_id: send.thread_id.clone(),
            copies: send.copies.clone(),
            ..Mail::default()
        };
        let mut ephemeral = Mail { thread_id: send.thread_id.clone(), ..mail.clone() };
        ephemeral.copies[0].envelope.as_mut().unwrap().ephemeral = true;
        let next = world.message(thread, &bob, b"next");
        let mut of_sender = Vec::new();
        for body in [Body::Send(send), Body::Send(next), Body::Mail(mail), Body::Mail(ephemeral)] {
            of_sender.push(match socket.ask(body).await {
                Body::Error(error) => error.encode_to_vec(),
                Body::SendAck(ack) => {
                    assert_eq!(ack.status(), Status::PassedOn);
                    SendAck { thread_id: thread.to_wire().slice(..0), ..ack }.encode_to_vec()
                }
                other => panic!("{other:?}"),
            });
        }
        answers.push(of_sender);
        drop(socket);
    }
    assert_eq!(answers[0], answers[1]);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn a_blocked_sender_is_not_heard_until_unblocked() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let path = format!("/v1/blocks/{}", alice.user);
    assert_eq!(world.put(&path, Some(&bob), &()).await.status, 204);
    let mut alices = Socket::connect_for_mail(&world, &alice).await;
    let mut bobs = Socket::connect_for_mail(&world, &bob).await;
    let send = world.message(thread, &bob, b"message");
    let mut typing = Mail { thread_id: thread.to_wire(), copies: send.copies.clone(), ..Mail::default() };
    typing.copies[0].envelope.as_mut().unwrap().ephemeral = true;
    let Body::SendAck(_) = alices.ask(Body::Mail(typing.clone())).await else { panic!() };
    let Body::Error(_) = alices.ask(Body::Send(send.clone())).await else { panic!() };
    // Nothing has arrived: the next frame is the answer to the ping.
    let Body::Pong(_) = bobs.ask(Body::Ping(Ping { t: 1 })).await else { panic!() };
    let back = world.message(thread, &alice, b"from the one who blocks");
    assert_eq!(world.send(&bob, &back).await.status, 201);

    let world = world.restart().await;
    world.send(&alice, &send).await.refused(409, reason::NOT_ACCEPTED);
    assert_eq!(world.delete(&path, Some(&bob)).await.status, 204);
    assert_eq!(world.send(&alice, &send).await.status, 201);
    let own = format!("/v1/blocks/{}", bob.user);
    world.put(&own, Some(&bob), &()).await.refused(403, reason::FORBIDDEN);
    world.end((alices, bobs)).await;
}

//! Servers that answer at the address of the relay but are not a usable relay. The app gets a precise error, and
//! nothing is lost: when the relay is back, everything is delivered.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use std::time::Duration;

use futures_util::future::join_all;
use sealpost_core::{Client, ConnectionState, Delivery, Error, MessageBody, Offline, Opened, Thread};
use sealpost_testkit::{
    BadResponse, BadServer, Party, PassThrough, Proxy, SocketMessage, World, eventually, history, texts,
};
use sealpost_wire::frame::Body;
use sealpost_wire::id::ToWire as _;
use sealpost_wire::{Deliver, Envelope, FRAME_VERSION, Frame, InboxKey, limits};

/// The error that the app gets when it registers at such a server.
fn expected(response: BadResponse) -> Offline {
    match response {
        BadResponse::Silent => Offline::TimedOut,
        BadResponse::Closes | BadResponse::Garbage => Offline::Unreachable,
        BadResponse::Fails | BadResponse::BadGateway | BadResponse::GatewayTimeout => {
            Offline::Busy(Duration::from_secs(5))
        }
        _ => Offline::NotARelay,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_a_relay_is_reported_and_registration_works_later() {
    let world = &World::start().await;
    let cases = BadResponse::ALL.map(|response| async move {
        let bad_server = BadServer::start(response).await;
        let disk = world.disk(&format!("{response:?}")).through(&bad_server.url());
        let Opened::Unregistered(new) = Client::open(disk.config()).await.unwrap() else { panic!() };
        let error = new.register(&[]).await.unwrap_err();
        assert_eq!(error, Error::Offline(expected(response)), "{response:?}");
        assert!(error.is_retryable());
        drop(new);
        let open = async || Client::open(disk.config()).await.is_ok().then_some(());
        eventually("the file is closed", open).await;
    });
    join_all(cases).await;
    world.party("ada").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_down_is_reported_as_unreachable() {
    let mut world = World::start().await;
    let ada = world.party("ada").await;
    let ben = world.party("ben").await;
    world.stop_relay().await;
    let Opened::Unregistered(cyd) = Client::open(world.disk("cyd").config()).await.unwrap() else { panic!() };
    assert_eq!(cyd.register(&[]).await.unwrap_err(), Error::Offline(Offline::Unreachable));
    let error = ada.client.direct_thread(ben.client.user_id()).await.unwrap_err();
    assert_eq!(error, Error::Offline(Offline::Unreachable));
    world.start_relay().await;
    assert!(cyd.register(&[]).await.is_ok());
    talk(&ada, &ben).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_written_while_a_false_relay_answers_are_sent_later() {
    let world = &World::start().await;
    let ben = &world.party("ben").await;
    let cases = BadResponse::ALL.map(|response| async move {
        let disk = world.disk(&format!("{response:?}"));
        let ada = disk.open_or_register().await;
        let id = ada.thread_with(ben).await.id();
        let bad_server = BadServer::start(response).await;
        let ada = ada.close().await.through(&bad_server.url()).open().await;
        ada.client.thread(id).await.unwrap().send_text("written at a false relay").await.unwrap();
        // The client retries, but does not reach a relay.
        let often = if response == BadResponse::Silent { 1 } else { 3 };
        eventually("another attempt", async || (bad_server.requests() >= often).then_some(())).await;
        assert!(
            matches!(ada.client.connection_state(), ConnectionState::Offline | ConnectionState::Connecting),
            "{response:?}"
        );
        let ada = ada.close().await.through(&world.url()).open().await;
        let his = ben.thread_with(&ada).await;
        assert_eq!(ben.texts_when(&his, 1).await, ["written at a false relay"], "{response:?}");
    });
    join_all(cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_frame_ends_the_connection_and_has_no_other_effect() {
    let half = encoded(&Frame { v: FRAME_VERSION, id: 0, body: Some(Body::Deliver(deliver(1))) });
    let unknown = Frame { v: 2, id: 0, body: Some(Body::Ping(sealpost_wire::Ping { t: 0 })) };
    let bad = [
        ("text", SocketMessage::text("hello?")),
        ("half a frame", SocketMessage::binary(half[..half.len() / 2].to_vec())),
        ("above the maximum size", SocketMessage::binary(vec![0; limits::MAX_FRAME + 1])),
        ("an unknown version", SocketMessage::binary(encoded(&unknown))),
        ("no body", SocketMessage::binary(encoded(&Frame { v: FRAME_VERSION, id: 0, body: None }))),
    ];
    let world = World::start().await;
    let proxy = Proxy::start(world.addr(), PassThrough).await;
    let ada = world.disk("ada").through(&proxy.url()).open_or_register().await;
    let ben = world.party("ben").await;
    for (name, message) in bad {
        ada.live().await;
        let before = proxy.sockets();
        proxy.inject_raw(message);
        eventually(name, async || (proxy.sockets() > before).then_some(())).await;
        talk(&ada, &ben).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_floods_the_client_is_disconnected() {
    let world = World::start().await;
    let proxy = Proxy::start(world.addr(), PassThrough).await;
    let ada = world.disk("ada").through(&proxy.url()).open_or_register().await;
    let ben = world.party("ben").await;
    let hers = talk(&ada, &ben).await;
    let before = proxy.sockets();
    for number in 0..4000 {
        let mut deliver = deliver(number);
        deliver.key = Some(InboxKey { thread_id: hers.id().to_wire(), server_seq: 10 + u64::from(number) });
        proxy.inject(&Frame { v: FRAME_VERSION, id: 0, body: Some(Body::Deliver(deliver)) });
    }
    eventually("a new connection", async || (proxy.sockets() > before).then_some(())).await;
    ada.live().await;
    // The envelopes received before the disconnection are shown as undecryptable, and messages are still delivered.
    let flood = history(&hers).await.into_iter().filter(|message| message.body != text("hello")).count();
    assert!(flood < 4000, "the whole flood was accepted");
    let answer = hers.send_text("still here").await.unwrap();
    ada.message_reaches(&hers, answer.id, Delivery::Delivered).await;
}

fn text(text: &str) -> MessageBody {
    MessageBody::Text(text.to_owned())
}

/// A made-up envelope, different for each number.
fn deliver(number: u32) -> Deliver {
    let id = sealpost_wire::id::ClientMsgId::new(u64::from(number), &[7; 10]);
    Deliver {
        key: None,
        epoch: 1,
        sender_user_id: vec![3; 16].into(),
        sender_device_id: 1,
        client_msg_id: id.to_wire(),
        roster_version: 1,
        envelope: Some(Envelope { kind: 1, ciphertext: vec![0x44; 200].into(), ..Envelope::default() }),
        attempt: 1,
        ..Deliver::default()
    }
}

fn encoded(frame: &Frame) -> Vec<u8> {
    prost::Message::encode_to_vec(frame)
}

/// Sends a text in each direction, waits until both are delivered, and returns Ada's thread.
async fn talk(ada: &Party, ben: &Party) -> Thread {
    let (hers, his) = (ada.thread_with(ben).await, ben.thread_with(ada).await);
    let before = texts(&hers).await.len();
    let hello = hers.send_text("hello").await.unwrap();
    ada.message_reaches(&hers, hello.id, Delivery::Delivered).await;
    let hello = his.send_text("hello").await.unwrap();
    ben.message_reaches(&his, hello.id, Delivery::Delivered).await;
    assert_eq!(ada.texts_when(&hers, before + 2).await.len(), before + 2);
    hers
}

//! Misuse of the API: calls in the wrong state or with the wrong arguments return precise errors.
#![cfg(test)]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread;

use sealpost_core::{
    Client, Delivery, Direction, Error, Event, Message, MessageId, Opened, Storage, Thread, TrustState,
};
use sealpost_testkit::{PartyDisk, World};

/// A minimal executor without a tokio runtime.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let (mut future, mut cx) = (pin!(future), Context::from_waker(&waker));
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

async fn sent(client: &Client, thread: &Thread, text: &str) -> Message {
    let mut events = client.events();
    let queued = thread.send_text(text).await.unwrap();
    loop {
        match events.next().await.unwrap() {
            Ok(Event::MessageChanged { message, .. })
                if message.id == queued.id && message.direction != Direction::Outgoing(Delivery::Queued) =>
            {
                return message;
            }
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_works_without_a_tokio_runtime_of_the_app() {
    let world = World::start().await;
    let ben = world.party("ben").await;
    let to = ben.client.user_id();
    let disk = PartyDisk::new(world.dir(), "ada", &world.url());
    let alone = thread::spawn(move || {
        block_on(async {
            let Opened::Unregistered(new) = Client::open(disk.config()).await.unwrap() else {
                panic!("registered")
            };
            let ada = new.register(b"").await.unwrap();
            let mut view = ada.subscribe();
            assert!(view.next().await.is_some());
            let thread = ada.direct_thread(to).await.unwrap();
            sent(&ada, &thread, "from a plain thread").await;
            assert_eq!(thread.history(None).await.unwrap().messages.len(), 1);
            ada.suspend().await.unwrap();
            ada.resume().await.unwrap();
            ada.suspend().await.unwrap();
            drop((view, thread, ada));
            let fetched = sealpost_core::fetch_for_push(disk.config(), std::future::pending()).await.unwrap();
            assert!(fetched.complete);
        });
    });
    let thread = loop {
        match ben.client.thread_page(None, 1).await.unwrap().threads.first() {
            Some(thread) => break ben.client.thread(thread.id).await.unwrap(),
            None => tokio::task::yield_now().await,
        }
    };
    assert_eq!(ben.texts_when(&thread, 1).await, ["from a plain thread"]);
    tokio::task::spawn_blocking(move || alone.join().unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_about_a_message_report_the_precise_misuse() {
    let world = World::start().await;
    let (ada, ben, cyd) = (world.party("ada").await, world.party("ben").await, world.party("cyd").await);
    let (hers, other) = (ada.thread_with(&ben).await, ada.thread_with(&cyd).await);
    // White space as Unicode defines it: with no-break, em and ideographic spaces.
    for empty in ["", " ", "\t\r\n", "\u{a0}\u{2003}\u{3000}\u{85}"] {
        assert_eq!(hers.send_text(empty).await, Err(Error::EmptyText), "{empty:?}");
    }
    let message = sent(&ada.client, &hers, "hello").await;

    let nothing = MessageId(4711);
    for thread in [&hers, &other] {
        assert_eq!(thread.retry(nothing).await, Err(Error::NotFound));
        assert_eq!(thread.cancel(nothing).await, Err(Error::NotFound));
        assert_eq!(thread.give_up(nothing).await, Err(Error::NotFound));
        assert_eq!(thread.mark_read(nothing).await, Err(Error::NotFound));
    }
    // The message exists, but in another thread.
    assert_eq!(other.retry(message.id).await, Err(Error::NotFound));
    assert_eq!(other.cancel(message.id).await, Err(Error::NotFound));
    assert_eq!(other.give_up(message.id).await, Err(Error::NotFound));
    assert_eq!(other.mark_read(message.id).await, Err(Error::NotFound));
    // The message has not failed and is not waiting.
    assert_eq!(hers.retry(message.id).await, Err(Error::WrongState));
    assert_eq!(hers.give_up(message.id).await, Err(Error::WrongState));
    assert_eq!(hers.cancel(message.id).await, Ok(false), "it was already sent");

    let his = ben.thread_with(&ada).await;
    ben.texts_when(&his, 1).await;
    let theirs = his.history(None).await.unwrap().messages.remove(0);
    assert_eq!(his.retry(theirs.id).await, Err(Error::WrongState));
    assert_eq!(his.give_up(theirs.id).await, Err(Error::WrongState));
    assert_eq!(his.cancel(theirs.id).await, Err(Error::WrongState));
}

#[tokio::test(flavor = "multi_thread")]
async fn accepting_an_unchanged_identity_keeps_it_verified() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let hers = ada.thread_with(&ben).await;
    sent(&ada.client, &hers, "hello").await;
    let contact = ada.client.contact(ben.client.user_id());
    let number = contact.safety_number().await.unwrap();
    assert_eq!(contact.verify(&number).await, Ok(true));
    contact.accept().await.unwrap();
    assert_eq!(contact.trust().await, Ok(TrustState::Verified));
    let oneself = ada.client.contact(ada.client.user_id());
    assert!(matches!(oneself.safety_number().await, Err(Error::Misuse(_))));
    let stranger = ada.client.contact(world.party("dan").await.client.user_id());
    assert_eq!(stranger.accept().await, Err(Error::NotFound));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_has_ended_is_reported() {
    let world = World::start().await;
    let disk = world.party("ada").await.close().await;
    let own = tokio::runtime::Runtime::new().unwrap();
    let config = disk.config();
    let opened = own.spawn(async move { Client::open(config).await.unwrap() }).await.unwrap();
    let Opened::Ready(ada) = opened else { panic!("not registered") };
    own.shutdown_background();
    assert!(matches!(ada.suspend().await, Err(Error::Misuse(_))));
    assert_ne!(
        ada.thread_page(None, 1).await,
        Err(Error::Storage(Storage::Io)),
        "stored data can still be read"
    );
}

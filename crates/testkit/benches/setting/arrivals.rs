//! What has arrived at all devices together.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use sealpost_core::{Direction, Event, Events, Message, MessageBody};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// When messages and mail arrive at devices, and how many bytes that takes.
pub(crate) struct Arrivals {
    /// Of the frames that sockets without a client receive.
    bytes: AtomicU64,
    posts: Series,
    mail: Series,
    /// Whether sockets acknowledge nothing for the present.
    is_held: AtomicBool,
}

struct Series(UnboundedSender<Instant>, Mutex<UnboundedReceiver<Instant>>);

impl Default for Series {
    fn default() -> Self {
        let (sender, receiver) = unbounded_channel();
        Self(sender, Mutex::new(receiver))
    }
}

impl Series {
    /// Waits for this many, and returns when the last one arrived.
    async fn last_of(&self, count: usize) -> Instant {
        let mut arrived = self.1.lock().await;
        let mut last = Instant::now();
        for n in 0..count {
            let at = arrived.recv().await.unwrap();
            last = if n == 0 { at } else { last.max(at) };
        }
        last
    }
}

impl Default for Arrivals {
    fn default() -> Self {
        Self {
            bytes: AtomicU64::new(0),
            posts: Series::default(),
            mail: Series::default(),
            is_held: AtomicBool::new(false),
        }
    }
}

impl Arrivals {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn is_held(&self) -> bool {
        self.is_held.load(Ordering::Relaxed)
    }

    pub(crate) fn hold(&self, is_held: bool) {
        self.is_held.store(is_held, Ordering::Relaxed);
    }

    pub(crate) fn add_bytes(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn post(&self) {
        self.posts.0.send(Instant::now()).unwrap();
    }

    pub(crate) fn mail(&self) {
        self.mail.0.send(Instant::now()).unwrap();
    }

    /// Waits for this many messages, and returns when the last one arrived.
    pub(crate) async fn last_post(&self, count: usize) -> Instant {
        self.posts.last_of(count).await
    }

    /// The same for mail to sockets without a client.
    pub(crate) async fn last_mail(&self, count: usize) -> Instant {
        self.mail.last_of(count).await
    }

    /// Reports the messages that a client shows.
    pub(crate) async fn watch(&self, mut events: Events) {
        let mut waiting = HashSet::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::MessageAdded(message)) if is_incoming(&message) => match message.body {
                    MessageBody::Text(_) => self.post(),
                    _ => drop(waiting.insert(message.id)),
                },
                Ok(Event::MessageChanged { message, .. })
                    if matches!(message.body, MessageBody::Text(_)) && waiting.remove(&message.id) =>
                {
                    self.post();
                }
                Ok(_) => {}
                Err(lagged) => panic!("events were lost: {lagged:?}"),
            }
        }
    }
}

fn is_incoming(message: &Message) -> bool {
    matches!(message.direction, Direction::Incoming { .. })
}

//! Two people with a direct thread.

use sealpost_core::{Delivery, Message, MessageId, Thread};

use crate::{Party, World, eventually, history};

/// Two people with a direct thread: their clients, and the thread as each of them sees it.
#[derive(Debug)]
pub struct Pair {
    /// The relay that they use.
    pub world: World,
    /// The first one.
    pub ada: Party,
    /// The second one.
    pub ben: Party,
    /// The thread at the first one.
    pub hers: Thread,
    /// The thread at the second one.
    pub his: Thread,
}

impl Pair {
    /// Starts a relay and registers both.
    pub async fn new() -> Self {
        let world = World::start().await;
        let (ada, ben) = (world.party("ada").await, world.party("ben").await);
        let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
        Self { world, ada, ben, hers, his }
    }

    /// Sends a text from her to him, and returns the ids of the message for both.
    ///
    /// # Panics
    /// If that does not happen within one minute.
    pub async fn say(&self, text: &str) -> (MessageId, MessageId) {
        let sent = self.hers.send_text(text).await.expect("a text is queued");
        self.ada.message_reaches(&self.hers, sent.id, Delivery::Delivered).await;
        (sent.id, newest(&self.his).await.id)
    }
}

/// The newest message of a thread.
///
/// # Panics
/// If there is none.
pub async fn newest(thread: &Thread) -> Message {
    thread.history_of(None, 1).await.expect("history").messages.remove(0)
}

/// Waits until a message of a thread fulfils a condition.
///
/// # Panics
/// If there is none within one minute.
pub async fn when(what: &str, thread: &Thread, found: impl Fn(&Message) -> bool) -> Message {
    eventually(what, async || history(thread).await.into_iter().find(|message| found(message))).await
}

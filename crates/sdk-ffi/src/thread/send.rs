//! Sending, and what happens to a message until it is sent.

use super::Thread;
use crate::{ContactCard, Location, Markup, Message, MessageId, Result, Waiting, runtime};

#[uniffi::export]
impl Thread {
    /// Sends a text, with styles, mentions and the preview of a link. When this returns, the message is on disk and in the thread,
    /// and will be delivered once, even if this process is killed.
    ///
    /// Throws `EmptyText`, `TooLong`, `InvalidContent` if the markup does not fit the text, and `Storage`.
    #[uniffi::method(default(markup = None))]
    pub async fn send_text(&self, text: String, markup: Option<Markup>) -> Result<Message> {
        let (core, markup) = (self.core.clone(), markup.map(Into::into).unwrap_or_default());
        runtime::run(async move { Ok(core.send_with(&text, markup).await?.into()) }).await
    }

    /// Sends a text in reply to a message of this thread. The reply contains the beginning of that message (`Message.quote`), which
    /// recipients see even if they do not have the message itself.
    ///
    /// Throws what `send_text` throws, `NotFound` if there is no such message in this thread, and `WrongState` if it could not be
    /// decrypted.
    #[uniffi::method(default(markup = None))]
    pub async fn reply(&self, to: MessageId, text: String, markup: Option<Markup>) -> Result<Message> {
        let (core, markup) = (self.core.clone(), markup.map(Into::into).unwrap_or_default());
        runtime::run(async move { Ok(core.reply_with(to, &text, markup).await?.into()) }).await
    }

    /// Sends the contents of a message of any thread to this one, marked as forwarded. What it replied to is left out.
    ///
    /// Throws `NotFound` if there is no such message, `WrongState` if it could not be decrypted, and `Storage`.
    pub async fn forward(&self, message: MessageId) -> Result<Message> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.forward(message).await?.into()) }).await
    }

    /// Sends a contact card.
    ///
    /// Throws `InvalidContent` if it has no name or a field is longer than 256 bytes, and `Storage`.
    pub async fn send_contact(&self, card: ContactCard) -> Result<Message> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.send_contact(card.into()).await?.into()) }).await
    }

    /// Sends a place.
    ///
    /// Throws `InvalidContent` if a value is out of its range or the name is longer than 256 bytes, and `Storage`.
    pub async fn send_location(&self, location: Location) -> Result<Message> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.send_location(location.into()).await?.into()) }).await
    }

    /// What a queued message is waiting for: why it has not been sent, how many attempts have failed, and when the next
    /// one is made. Returns none if the message is not queued in this thread.
    ///
    /// Throws `Storage`.
    pub async fn waiting(&self, message: MessageId) -> Result<Option<Waiting>> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.waiting(message).await?.map(Waiting::from)) }).await
    }

    /// Sends a failed message again.
    ///
    /// Throws `NotFound` if it is not in this thread, `WrongState` if it has not failed, and `Storage`.
    pub async fn retry(&self, message: MessageId) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.retry(message).await?) }).await
    }

    /// Removes one of our messages that has not left this device, or that has failed. Returns false if it may have
    /// left.
    ///
    /// Throws `NotFound` if it is not in this thread, `WrongState` if it is not ours, and `Storage`.
    pub async fn cancel(&self, message: MessageId) -> Result<bool> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.cancel(message).await?) }).await
    }

    /// Gives up a queued message, even if it may have left this device without an answer. It fails with the reason
    /// `GivenUp`, and the messages behind it are sent. If it did arrive, its receipt says so, and `retry`
    /// does not make it appear twice.
    ///
    /// Throws `NotFound` if it is not in this thread, `WrongState` if it is not queued, and `Storage`.
    pub async fn give_up(&self, message: MessageId) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.give_up(message).await?) }).await
    }
}

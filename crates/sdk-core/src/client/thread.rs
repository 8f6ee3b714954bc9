//! The handle of a thread.

use std::collections::HashSet;

use futures_util::stream::BoxStream;

use super::{Client, Contact, MAX_PAGE, pages};
use crate::content::{ContactCard, Location, Markup};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::id::{MessageId, ThreadId, UserId};
use crate::message::{Message, Page, Position, Reaction, Version, Vote};
use crate::send;
use crate::store::ThreadKind;
use crate::thread;
use crate::view::PAGE;
use crate::view::arrivals::Arrivals;
use crate::view::timeline::Timeline;
use crate::view::waits::Waits;
use crate::waiting::Waiting;

/// A conversation.
#[derive(Debug, Clone)]
pub struct Thread {
    pub(super) client: Client,
    pub(super) id: ThreadId,
}

impl Thread {
    pub(super) fn new(client: Client, id: ThreadId) -> Self {
        Self { client, id }
    }

    /// The id of the thread.
    pub fn id(&self) -> ThreadId {
        self.id
    }

    /// The kind of the thread.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if the thread no longer exists,
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn kind(&self) -> Result<ThreadKind> {
        let id = self.id;
        self.ctx().store.glance(move |rows| rows.kind(id)).await?.ok_or(Error::NotFound)
    }

    /// The members of the thread except ourselves: in a direct thread, the other person.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn others(&self) -> Result<Vec<Contact>> {
        let id = self.id;
        let others = self.ctx().store.glance(move |rows| rows.others(id)).await?;
        Ok(others.into_iter().map(|user| self.client.contact(user)).collect())
    }

    /// Sends a text. When this returns, the message is on disk and in the thread, and will be sent, even if this
    /// process is killed.
    ///
    /// # Errors
    /// [`Error::EmptyText`](crate::Error::EmptyText), [`Error::TooLong`](crate::Error::TooLong) above
    /// [`MAX_TEXT`](crate::MAX_TEXT) bytes, [`Error::Storage`](crate::Error::Storage).
    pub async fn send_text(&self, text: &str) -> Result<Message> {
        send::queue::send_text(self.ctx(), self.id, text, Markup::default()).await
    }

    /// Like [`send_text`](Self::send_text), with styles, mentions and the preview of a link.
    ///
    /// # Errors
    /// Those of [`send_text`](Self::send_text); [`Error::InvalidContent`](crate::Error::InvalidContent) if the markup does not fit the
    /// text.
    pub async fn send_with(&self, text: &str, markup: Markup) -> Result<Message> {
        send::queue::send_text(self.ctx(), self.id, text, markup).await
    }

    /// Sends a text in reply to a message of this thread. The reply contains the beginning of that message
    /// ([`Message::quote`]), which recipients see even if they do not have the message itself.
    ///
    /// # Errors
    /// Those of [`send_text`](Self::send_text); [`Error::NotFound`](crate::Error::NotFound) if there is no such message in this
    /// thread, [`Error::WrongState`](crate::Error::WrongState) if it could not be decrypted.
    pub async fn reply(&self, to: MessageId, text: &str) -> Result<Message> {
        send::queue::reply(self.ctx(), self.id, to, (text, Markup::default())).await
    }

    /// Like [`reply`](Self::reply), with styles, mentions and the preview of a link.
    ///
    /// # Errors
    /// Those of [`reply`](Self::reply); [`Error::InvalidContent`](crate::Error::InvalidContent) if the markup does not fit the text.
    pub async fn reply_with(&self, to: MessageId, text: &str, markup: Markup) -> Result<Message> {
        send::queue::reply(self.ctx(), self.id, to, (text, markup)).await
    }

    /// Sends the body of a message of any thread to this one, marked as [forwarded](Message::is_forwarded). What it replied to
    /// is left out.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such message,
    /// [`Error::WrongState`](crate::Error::WrongState) if it could not be decrypted,
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn forward(&self, message: MessageId) -> Result<Message> {
        send::queue::forward(self.ctx(), self.id, message).await
    }

    /// Sends a contact card.
    ///
    /// # Errors
    /// [`Error::InvalidContent`](crate::Error::InvalidContent) if it has no name, or a field is longer than
    /// [`MAX_CARD_FIELD`](crate::MAX_CARD_FIELD) bytes; [`Error::Storage`](crate::Error::Storage).
    pub async fn send_contact(&self, card: ContactCard) -> Result<Message> {
        send::queue::send_contact(self.ctx(), self.id, card).await
    }

    /// Sends a place.
    ///
    /// # Errors
    /// [`Error::InvalidContent`](crate::Error::InvalidContent) if a value is out of its range, or the name is longer than
    /// [`MAX_PLACE_NAME`](crate::MAX_PLACE_NAME) bytes; [`Error::Storage`](crate::Error::Storage).
    pub async fn send_location(&self, location: Location) -> Result<Message> {
        send::queue::send_location(self.ctx(), self.id, location).await
    }

    /// Sends a poll: a question of at most [`MAX_QUESTION`](crate::MAX_QUESTION) bytes, and 2 to [`MAX_OPTIONS`](crate::MAX_OPTIONS)
    /// different options of at most [`MAX_OPTION`](crate::MAX_OPTION) bytes each. With `is_multiple`, a person may choose several of
    /// them. A poll cannot be forwarded, because its votes belong to this thread.
    ///
    /// # Errors
    /// [`Error::InvalidContent`](crate::Error::InvalidContent) if it is outside of these bounds,
    /// [`Error::WrongState`](crate::Error::WrongState) if this thread has no message yet: a poll cannot be the first one,
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn send_poll(
        &self,
        question: &str,
        options: Vec<String>,
        is_multiple: bool,
    ) -> Result<Message> {
        send::poll::send_poll(self.ctx(), self.id, question, options, is_multiple).await
    }

    /// Votes in a poll of this thread. `choices` are the places of options in [`Poll::options`](crate::Poll::options), from 0. They
    /// replace our earlier choices; without any, our vote is withdrawn. When this returns, the vote is on disk and counted.
    ///
    /// # Errors
    /// [`Error::InvalidContent`](crate::Error::InvalidContent) if the poll does not have these options, one is there twice, or
    /// there are several where the poll allows one; [`Error::NotFound`](crate::Error::NotFound) if there is no such message in
    /// this thread, [`Error::WrongState`](crate::Error::WrongState) if it is not a poll or has failed,
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn vote(&self, poll: MessageId, choices: Vec<u32>) -> Result<()> {
        send::poll::vote(self.ctx(), self.id, poll, choices).await
    }

    /// Up to `limit` (at most 500) votes in a poll, one for each person, ordered by the ids of the users; those after a user, or
    /// the first. Empty if there is no such poll in this thread.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn votes(&self, poll: MessageId, after: Option<UserId>, limit: u32) -> Result<Vec<Vote>> {
        let (thread, limit) = (self.id, limit.clamp(1, MAX_PAGE));
        self.ctx().store.glance(move |rows| rows.votes((thread, poll), after, limit)).await
    }

    /// Reacts to a message of this thread with an emoji: any sequence of emoji of at most 32 bytes of UTF-8. It replaces our
    /// earlier reaction. When this returns, it is on disk and shown ([`Message::reactions`]), and will be sent.
    ///
    /// # Errors
    /// [`Error::Misuse`](crate::Error::Misuse) if it is not such a sequence,
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such message in this thread,
    /// [`Error::WrongState`](crate::Error::WrongState) if it could not be decrypted or has not been sent,
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn react(&self, to: MessageId, emoji: &str) -> Result<()> {
        send::change::react(self.ctx(), self.id, to, Some(emoji.to_owned())).await
    }

    /// Removes our reaction to a message of this thread.
    ///
    /// # Errors
    /// Those of [`react`](Self::react).
    pub async fn remove_reaction(&self, from: MessageId) -> Result<()> {
        send::change::react(self.ctx(), self.id, from, None).await
    }

    /// Up to `limit` (at most 500) reactions to a message, one for each person, ordered by the ids of the users; those after
    /// a user, or the first. Empty if the message is not in this thread.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn reactions(
        &self,
        message: MessageId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<Reaction>> {
        let (thread, limit) = (self.id, limit.clamp(1, MAX_PAGE));
        self.ctx().store.glance(move |rows| rows.reactions((thread, message), after, limit)).await
    }

    /// Replaces the text of one of our messages. When this returns, the new text is on disk and shown, and will be sent. The earlier
    /// ones are kept ([`versions`](Self::versions)), also by recipients. By default, this is possible 10 times within 24 hours
    /// ([`ChangeLimits`](crate::ChangeLimits)).
    ///
    /// # Errors
    /// [`Error::EmptyText`](crate::Error::EmptyText), [`Error::TooLong`](crate::Error::TooLong),
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such message in this thread,
    /// [`Error::WrongState`](crate::Error::WrongState) if it is not our own text, has failed, or can no longer be edited,
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn edit(&self, message: MessageId, text: &str) -> Result<()> {
        send::change::edit(self.ctx(), self.id, message, (text, Markup::default())).await
    }

    /// Like [`edit`](Self::edit), with styles, mentions and the preview of a link, which replace those of the message.
    ///
    /// # Errors
    /// Those of [`edit`](Self::edit); [`Error::InvalidContent`](crate::Error::InvalidContent) if the markup does not fit the text.
    pub async fn edit_with(&self, message: MessageId, text: &str, markup: Markup) -> Result<()> {
        send::change::edit(self.ctx(), self.id, message, (text, markup)).await
    }

    /// The versions of a text message, the oldest first and the present one last; only that one if it was not edited.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such text in this thread,
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn versions(&self, message: MessageId) -> Result<Vec<Version>> {
        let thread = self.id;
        let found = self.ctx().store.glance(move |rows| rows.versions(thread, message)).await?;
        found.ok_or(Error::NotFound)
    }

    /// Deletes one of our messages on all devices of all members, with its reactions and earlier versions. Its place remains, and
    /// shows [`MessageBody::Deleted`](crate::MessageBody::Deleted). A message that has not left this device is removed without a
    /// trace. By default, this is possible for 48 hours ([`ChangeLimits`](crate::ChangeLimits)). Recipients can have kept a copy.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such message in this thread,
    /// [`Error::WrongState`](crate::Error::WrongState) if it is not ours or can no longer be deleted,
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn delete_for_everyone(&self, message: MessageId) -> Result<()> {
        send::change::delete_for_everyone(self.ctx(), self.id, message).await
    }

    /// Deletes a message on this device only. For 30 seconds, [`restore`](Self::restore) takes that back. A message of ours that
    /// is still queued is sent nevertheless.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such message in this thread,
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn delete_for_me(&self, message: MessageId) -> Result<()> {
        thread::delete_for_me(self.ctx(), self.id, message).await
    }

    /// Shows a message again that was deleted on this device less than 30 seconds ago. It counts as read.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if it is too late, or if it was not deleted,
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn restore(&self, message: MessageId) -> Result<()> {
        thread::restore(self.ctx(), self.id, message).await
    }

    /// Makes the messages that are sent into this thread from now on, by any member, disappear this many seconds after they were read;
    /// 0: they stay. Everybody sees the change as a message ([`TimerChanged`](crate::MessageBody::TimerChanged)), except in a thread
    /// that has no messages yet, where the first one has the timer. Does nothing if the timer is set to this already.
    ///
    /// The timer of a message runs from when it was read on this device or, for one of ours, from when the relay accepted it. The message
    /// is then deleted with its reactions, votes, earlier versions and search terms. Times are the relay's, so that setting the clock of
    /// the device changes nothing; after a restart, messages disappear once there is a connection.
    ///
    /// # Errors
    /// [`Error::InvalidContent`](crate::Error::InvalidContent) above [`MAX_TIMER_S`](crate::MAX_TIMER_S),
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn set_timer(&self, seconds: u32) -> Result<()> {
        send::timer::set_timer(self.ctx(), self.id, seconds).await
    }

    /// The time after which messages of this thread disappear once they were read, in seconds; 0 if they do not.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn timer(&self) -> Result<u32> {
        let thread = self.id;
        Ok(self.ctx().store.glance(move |rows| rows.timer(thread)).await?.seconds())
    }

    /// Pins a message of this thread for all its members. When this returns, it is on disk and shown, and will be sent.
    ///
    /// # Errors
    /// [`Error::InvalidContent`](crate::Error::InvalidContent) if [`MAX_PINNED`](crate::MAX_PINNED) others are pinned,
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such message in this thread,
    /// [`Error::WrongState`](crate::Error::WrongState) if it could not be decrypted, was deleted or has failed,
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn pin(&self, message: MessageId) -> Result<()> {
        send::change::pin(self.ctx(), self.id, message, true).await
    }

    /// Unpins a message of this thread for all its members.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such message in this thread,
    /// [`Error::WrongState`](crate::Error::WrongState) if it could not be decrypted, was deleted or has failed,
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn unpin(&self, message: MessageId) -> Result<()> {
        send::change::pin(self.ctx(), self.id, message, false).await
    }

    /// The pinned messages of this thread, the one that was pinned last first; at most [`MAX_PINNED`](crate::MAX_PINNED). Listen to
    /// [`Event::PinsChanged`](crate::Event::PinsChanged), and to events about the messages themselves.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn pinned(&self) -> Result<Vec<Message>> {
        let thread = self.id;
        self.ctx().store.glance(move |rows| rows.pinned(thread)).await
    }

    /// The newest [`PAGE`] messages, or those before a position, newest first.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn history(&self, before: Option<Position>) -> Result<Page> {
        self.history_of(before, PAGE).await
    }

    /// Like [`Thread::history`], with up to `limit` messages (at most 500).
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn history_of(&self, before: Option<Position>, limit: u32) -> Result<Page> {
        thread::page(self.ctx(), self.id, before, limit.clamp(1, MAX_PAGE)).await
    }

    /// Up to `limit` messages (at most 500) that directly follow a position; newest first, like every page.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn history_after(&self, after: Position, limit: u32) -> Result<Page> {
        thread::page_after(self.ctx(), self.id, after, limit.clamp(1, MAX_PAGE)).await
    }

    /// Up to `limit` messages (at most 500) around a message, including it; half of them are newer, if there are that
    /// many. Use it to show a search result, or the message that a reply refers to.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if it is not in this thread,
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn history_around(&self, message: MessageId, limit: u32) -> Result<Page> {
        thread::page_around(self.ctx(), self.id, message, limit.clamp(1, MAX_PAGE)).await
    }

    /// The whole history, newest first, each message once. Pages are read only as far as they are consumed.
    ///
    /// # Errors
    /// An item is [`Error::Storage`](crate::Error::Storage) if a page cannot be read; the stream then ends.
    pub fn messages(&self) -> BoxStream<'static, Result<Message>> {
        let thread = self.clone();
        pages::flatten(move |after: Option<(Position, HashSet<MessageId>)>| {
            let thread = thread.clone();
            async move {
                let (before, unanswered) = after.unzip();
                let mut page = thread.history(before).await?;
                // A message moves when the relay answers, and can then be in a later page as well.
                let mut unanswered = unanswered.unwrap_or_default();
                page.messages.retain(|message| match message.server_seq {
                    None => unanswered.insert(message.id),
                    Some(_) => !unanswered.contains(&message.id),
                });
                Ok((page.messages, page.older.map(|older| (older, unanswered))))
            }
        })
    }

    /// A live view: a snapshot of the newest [`PAGE`] messages, followed by changes.
    pub fn subscribe(&self) -> Timeline {
        Timeline::new(self.ctx(), self.id, PAGE)
    }

    /// The messages, incoming and outgoing, that are added to the thread from now on, each exactly once.
    pub fn arrivals(&self) -> Arrivals {
        Arrivals::new(self.ctx(), self.id)
    }

    /// Marks all messages up to and including this one as read, and sends read receipts. This takes the same time for any number of
    /// messages. If there are more than 256, listeners get [`Lagged`](crate::Lagged) or a snapshot instead of an event for each, and
    /// the receipts are sent in the background, even if the process ends in between.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if it is not in this thread,
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn mark_read(&self, up_to: MessageId) -> Result<()> {
        let id = self.id;
        self.client.finish(move |ctx| async move { thread::mark_read(&ctx, id, up_to).await }).await
    }

    /// Sends a failed message again.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if it is not in this thread,
    /// [`Error::WrongState`](crate::Error::WrongState) if it has not failed,
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn retry(&self, message: MessageId) -> Result<()> {
        thread::retry(self.ctx(), self.id, message).await
    }

    /// Removes one of our messages that has not left this device, or that has failed. Returns false if it may have
    /// left.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if it is not in this thread,
    /// [`Error::WrongState`](crate::Error::WrongState) if it is not ours, [`Error::Storage`](crate::Error::Storage).
    pub async fn cancel(&self, message: MessageId) -> Result<bool> {
        thread::cancel(self.ctx(), self.id, message).await
    }

    /// Gives up a queued message, even if it may have left this device without an answer. Its state becomes
    /// [`Failed`](crate::Delivery::Failed) with [`GivenUp`](crate::FailReason::GivenUp), and the messages behind it
    /// are sent. If it did arrive, its receipt says so, and [`retry`](Self::retry) does not make it appear twice.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if it is not in this thread,
    /// [`Error::WrongState`](crate::Error::WrongState) if it is not queued,
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn give_up(&self, message: MessageId) -> Result<()> {
        thread::give_up(self.ctx(), self.id, message).await
    }

    /// What a [`Queued`](crate::Delivery::Queued) message of this thread is waiting for: why it has not been sent, how
    /// many attempts have failed, and when the next one is made. `None` if the message is not queued.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn waiting(&self, message: MessageId) -> Result<Option<Waiting>> {
        send::wait::waiting(self.ctx(), self.id, message).await
    }

    /// Follows what a queued message is waiting for, until it is no longer queued.
    pub fn waits(&self, message: MessageId) -> Waits {
        Waits::new(self.ctx(), self.id, message)
    }

    pub(super) fn ctx(&self) -> &Context {
        &self.client.inner.ctx
    }
}

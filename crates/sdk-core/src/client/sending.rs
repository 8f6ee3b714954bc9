//! What a person sends into a thread: messages, and changes of messages.

use super::{MAX_PAGE, Thread};
use crate::content::{ContactCard, Location, Markup};
use crate::error::{Error, Result};
use crate::id::{MessageId, UserId};
use crate::message::{Message, Reaction, Version, Vote};
use crate::send;
use crate::thread;

impl Thread {
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

    /// Deletes one of our messages, or, as an admin of a group, one of anybody, on all devices of all members, with its reactions and earlier versions. Its place remains, and
    /// shows [`MessageBody::Deleted`](crate::MessageBody::Deleted). A message that has not left this device is removed without a
    /// trace. By default, this is possible for 48 hours ([`ChangeLimits`](crate::ChangeLimits)). Recipients can have kept a copy.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such message in this thread,
    /// [`Error::WrongState`](crate::Error::WrongState) if we may not delete it, or not any longer,
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
}

//! Changes of messages, and what is sent besides texts.

use sealpost_core::{ContactCard, Error, LinkPreview, Location, Markup, Profile, ThreadId};

use super::Worker;
use super::problem::Problem;
use crate::groups;
use crate::news::{Change, News};
use crate::styles;

impl Worker {
    pub(super) async fn change(&mut self, thread: ThreadId, change: Change) -> Result<(), Problem> {
        let has_a_limit = matches!(change, Change::Edit { .. } | Change::Delete(_));
        let Err(error) = self.carry_out_change(thread, change).await else { return Ok(()) };
        match self.not_sent(thread, error).await {
            Problem::Client(Error::WrongState) if has_a_limit => Err(Problem::TooLate),
            problem => Err(problem),
        }
    }

    async fn carry_out_change(&mut self, thread: ThreadId, change: Change) -> Result<(), Error> {
        let handle = self.client.thread(thread).await?;
        match change {
            Change::Reply { message, text } => {
                let (styled, markup) = self.styled(&text);
                if let Err(error) = handle.reply_with(message, &styled, markup).await {
                    let why = self.not_sent(thread, error).await.to_string();
                    self.tell(News::NotQueued { thread, text: format!("/reply {text}"), why });
                }
            }
            Change::React { message, emoji } if emoji.is_empty() => {
                handle.remove_reaction(message).await?;
            }
            Change::React { message, emoji } => handle.react(message, &emoji).await?,
            Change::Edit { message, text } => {
                let (text, markup) = self.styled(&text);
                handle.edit_with(message, &text, markup).await?;
            }
            Change::Delete(message) => handle.delete_for_everyone(message).await?,
            Change::Hide(message) => {
                handle.delete_for_me(message).await?;
                self.note("deleted on this device; /undo takes that back for 30 seconds");
            }
            Change::Restore(message) => match handle.restore(message).await {
                Err(Error::NotFound) => self.note("it is too late to take that back"),
                Err(error) => {
                    self.tell(News::NotRestored { thread, message });
                    return Err(error);
                }
                Ok(()) => {}
            },
            Change::Pin { message, is_pinned: true } => handle.pin(message).await?,
            Change::Pin { message, is_pinned: false } => handle.unpin(message).await?,
            Change::Forward { message, to } => self.forward(message, &to).await?,
            Change::Vote { poll, choices } => handle.vote(poll, choices).await?,
            Change::Poll { question, options, is_multiple } => {
                handle.send_poll(&question, options, is_multiple).await?;
            }
            Change::Link { url, title, description } => {
                // The address is the text, so that nothing is lost where no preview is shown.
                let preview = LinkPreview { url, title, description, thumbnail: Vec::new() };
                let text = preview.url.clone();
                let markup = Markup { preview: Some(Box::new(preview)), ..Markup::default() };
                handle.send_with(&text, markup).await?;
            }
            Change::Card { name, phone, email } => {
                // Somebody of this machine can be written to.
                let user = self.home.user(&name);
                handle.send_contact(ContactCard { name, user, phone, email }).await?;
            }
            Change::Location { latitude_e7, longitude_e7, name } => {
                handle.send_location(Location { latitude_e7, longitude_e7, accuracy_m: 0, name }).await?;
            }
            Change::Timer { seconds } => groups::set_timer(&self.client, thread, seconds).await?,
        }
        self.client.reconnect();
        Ok(())
    }

    /// A typed text, with its styles and mentions.
    pub(super) fn styled(&self, typed: &str) -> (String, Markup) {
        styles::read(typed, |name| self.home.user(name))
    }

    async fn forward(&mut self, message: sealpost_core::MessageId, to: &str) -> Result<(), Error> {
        let Some(user) = self.home.user(to) else {
            self.note(&format!("{to} is neither a name on this machine nor a user id"));
            return Ok(());
        };
        self.client.direct_thread(user).await?.forward(message).await?;
        self.note(&format!("forwarded to {}", self.who_is(user)));
        Ok(())
    }

    /// Changes our profile. The avatar, which has no place on this screen, stays.
    pub(super) async fn set_profile(&mut self, name: String, about: String) -> Result<(), Error> {
        let avatar = self.client.profile().await?.avatar;
        self.client.set_profile(Profile { name, about, avatar }).await?;
        self.note("your profile was changed; the people you talk to see it");
        Ok(())
    }
}

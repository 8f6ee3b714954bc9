//! What is shown on a sheet of its own: the details of a message, what is pinned, profiles.

use sealpost_core::{
    Delivery, Direction, Error, Message, MessageBody, MessageId, Profile, Thread, ThreadId, UserId,
};

use super::Worker;
use super::problem::Problem;
use crate::clock::Clock;
use crate::contents;
use crate::groups;
use crate::news::{Asked, News, Overview};
use crate::text::Shown;

/// The most people whose reactions or votes are shown.
const PEOPLE: u32 = 100;
/// The most messages with links that are shown.
const LINKS: u32 = 100;

impl Worker {
    pub(super) async fn show(&mut self, thread: ThreadId, asked: Asked) -> Result<(), Problem> {
        let thread = self.client.thread(thread).await?;
        let (title, lines) = match asked {
            Asked::Details(message) => ("Details", self.details(&thread, message).await?),
            Asked::Pins => ("Pinned messages", self.pins(&thread).await?),
            Asked::Links => ("Messages with links", self.links(&thread).await?),
            Asked::Report => ("What you could report", self.report(&thread).await?),
            Asked::Members => {
                let group = groups::Overview::of(&self.client, thread.id()).await?;
                ("Group", group.lines(|user| self.who(user)))
            }
            Asked::Profiles => ("Profiles", self.profiles(&thread).await?),
        };
        self.tell_sheet(title, &lines);
        Ok(())
    }

    pub(super) async fn overview(&mut self, overview: Overview) -> Result<(), Error> {
        let (title, lines) = match overview {
            Overview::Blocked => ("Blocked people", self.blocked().await?),
            Overview::Storage => ("Storage", self.storage().await?),
            Overview::Privacy(thread) => ("What others are told", self.privacy(thread).await?),
        };
        self.tell_sheet(title, &lines);
        Ok(())
    }

    fn tell_sheet(&self, title: &'static str, lines: &[String]) {
        let lines = lines.iter().map(|line| Shown::lines(line)).collect();
        self.tell(News::Sheet { title, lines });
    }

    async fn details(&mut self, thread: &Thread, id: MessageId) -> Result<Vec<String>, Error> {
        let clock = Clock::system();
        let (message, details) = (self.client.message(id).await?, thread.details(id).await?);
        let mut lines =
            vec![format!("From {}", self.who(message.sender)), contents::uncovered(&message), String::new()];
        let times = [
            ("Written", Some(details.sent_ms)),
            ("Stored by the relay", details.stored_ms),
            ("Delivered", details.delivered_ms),
            ("Read", details.read_ms),
            ("Edited", message.edited_ms),
            ("Disappears", message.expires_ms),
        ];
        lines.extend(times.iter().filter_map(|(what, ms)| Some(format!("{what} {}", clock.full((*ms)?)))));
        if let Direction::Outgoing(Delivery::Failed(reason)) = message.direction {
            lines.push(format!("Not sent: {reason}"));
        }
        if message.timer_s > 0 && message.expires_ms.is_none() {
            lines.push(format!("Disappears {} s after it was read", message.timer_s));
        }
        if let Some(quote) = &message.quote {
            lines.push(format!("Replies to {}: {}", self.who(quote.author), quote.text));
        }
        if message.edited_ms.is_some() {
            let versions = thread.versions(id).await?;
            let earlier = versions.iter().rev().skip(1);
            lines.extend(
                earlier.map(|version| format!("Before, {}: {}", clock.full(version.sent_ms), version.text)),
            );
        }
        for reaction in thread.reactions(id, None, PEOPLE).await? {
            lines.push(format!("{} {}", reaction.emoji, self.who(reaction.author)));
        }
        let votes = self.votes(thread, &message).await?;
        lines.extend(votes);
        Ok(lines)
    }

    async fn votes(&mut self, thread: &Thread, message: &Message) -> Result<Vec<String>, Error> {
        let MessageBody::Poll(poll) = &message.body else { return Ok(Vec::new()) };
        let votes = thread.votes(message.id, None, PEOPLE).await?;
        let option = |place: &u32| {
            let place = usize::try_from(*place).ok()?;
            Some(poll.options.get(place)?.text.clone())
        };
        let line = |vote: &sealpost_core::Vote| {
            let chosen: Vec<_> = vote.choices.iter().filter_map(option).collect();
            format!("Chosen by {}: {}", self.who(vote.author), chosen.join(", "))
        };
        Ok(votes.iter().map(line).collect())
    }

    async fn pins(&mut self, thread: &Thread) -> Result<Vec<String>, Error> {
        match thread.pinned().await? {
            pinned if pinned.is_empty() => Ok(vec!["No message is pinned: select one, and /pin.".to_owned()]),
            pinned => Ok(self.messages(&pinned)),
        }
    }

    async fn links(&mut self, thread: &Thread) -> Result<Vec<String>, Error> {
        match thread.links(None, LINKS).await?.messages {
            found if found.is_empty() => Ok(vec!["No message has a link.".to_owned()]),
            found => Ok(self.messages(&found)),
        }
    }

    /// What a person could tell those who run the service. Nothing is sent.
    async fn report(&mut self, thread: &Thread) -> Result<Vec<String>, Problem> {
        let report = self.peer(thread.id()).await?.report().await?;
        let who = format!("{}, user id {}", self.who(report.user), report.user);
        let told = "Nothing was sent to anybody. You can give this to those who run the service; /block blocks the person.";
        let mut lines = vec![who, told.to_owned(), String::new()];
        lines.extend(self.messages(&report.messages));
        Ok(lines)
    }

    fn messages(&self, messages: &[Message]) -> Vec<String> {
        let clock = Clock::system();
        let line = |message: &Message| {
            let (who, when) = (self.who(message.sender), clock.full(message.sent_ms));
            format!("{who}, {when}\n{}\n", contents::body(message))
        };
        messages.iter().map(line).collect()
    }

    async fn profiles(&mut self, thread: &Thread) -> Result<Vec<String>, Error> {
        let ours = self.client.profile().await?;
        let mut lines = self.profile(self.client.user_id(), Some(ours));
        for other in thread.others().await? {
            let profile = other.profile().await?;
            lines.push(String::new());
            lines.extend(self.profile(other.user_id(), profile));
        }
        Ok(lines)
    }

    fn profile(&self, user: UserId, profile: Option<Profile>) -> Vec<String> {
        let Profile { name, about, .. } = profile.unwrap_or_default();
        let or = |text: String, otherwise: &str| if text.is_empty() { otherwise.to_owned() } else { text };
        let name = or(sealpost_core::displayable_name(&name), "(no name)");
        vec![format!("{}: {name}", self.who(user)), or(about, "(nothing)"), format!("user id {user}")]
    }

    fn who(&self, user: UserId) -> String {
        if user == self.client.user_id() { "you".to_owned() } else { self.who_is(user) }
    }
}

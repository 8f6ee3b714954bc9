//! The output: one line for each event. An error means that nobody reads it any more.

use std::collections::HashMap;
use std::io::{self, Write as _};

use sealpost_core::{ConnectionState, Delivery, Direction, Message, UserId};

use crate::clock::Clock;
use crate::contents;
use crate::text::Shown;
use crate::wrap::cut;

/// The columns of a message in a note about it.
const EXCERPT: usize = 40;

/// Prints a conversation.
pub(crate) struct Screen {
    us: String,
    them: String,
    /// In a group.
    authors: HashMap<UserId, String>,
    clock: Clock,
    /// The connection state that was printed last.
    online: Option<bool>,
}

impl Screen {
    pub(crate) fn new(us: &str, them: &str) -> Self {
        Self {
            us: us.to_owned(),
            them: them.to_owned(),
            authors: HashMap::new(),
            clock: Clock::system(),
            online: None,
        }
    }

    /// Goes on with another conversation.
    pub(crate) fn go_on_with(&mut self, them: &str) {
        self.them = them.to_owned();
    }

    /// What the people in a group are called. Who has left it keeps their name.
    pub(crate) fn know_authors(&mut self, authors: Vec<(UserId, String)>) {
        self.authors.extend(authors);
    }

    /// Who has written a message of somebody else.
    fn author(&self, message: &Message) -> &String {
        self.authors.get(&message.sender).unwrap_or(&self.them)
    }

    pub(crate) fn note(&self, note: &str) -> io::Result<()> {
        self.line(&format!("  · {note}"))
    }

    fn line(&self, line: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{line}")?;
        out.flush()
    }

    pub(crate) fn message(&self, message: &Message) -> io::Result<()> {
        let (who, state) = match message.direction {
            Direction::Outgoing(delivery) => (&self.us, format!("  [{}]", state(delivery))),
            Direction::Incoming { .. } => (self.author(message), String::new()),
        };
        let quoted = message.quote.as_ref().map(|quote| cut(Shown::line(&quote.text).as_str(), EXCERPT));
        let quoted = quoted.map(|quoted| format!("[to: {quoted}] ")).unwrap_or_default();
        self.line(&format!("{} {who}: {quoted}{}{state}", self.clock.time(message.sent_ms), text(message)))
    }

    /// Prints that a message was changed by its author.
    pub(crate) fn change(&self, what: &str, message: &Message) -> io::Result<()> {
        let who = match message.direction {
            Direction::Outgoing(_) => &self.us,
            Direction::Incoming { .. } => self.author(message),
        };
        self.note(&format!(
            "{who} has {what} the message of {}: {}",
            self.clock.time(message.sent_ms),
            text(message)
        ))
    }

    /// Prints the reactions to a message.
    pub(crate) fn reactions(&self, message: &Message) -> io::Result<()> {
        let counts =
            message.reactions.iter().map(|reaction| format!("{} {}", reaction.emoji, reaction.count));
        let shown = match counts.collect::<Vec<_>>().join("  ") {
            none if none.is_empty() => "none any more".to_owned(),
            some => Shown::line(&some).to_string(),
        };
        self.note(&format!("reactions to {}: {shown}", cut(text(message).as_str(), EXCERPT)))
    }

    /// Prints the state of one of our messages.
    pub(crate) fn progress(&self, message: &Message) -> io::Result<()> {
        let Direction::Outgoing(delivery) = message.direction else { return Ok(()) };
        let what = cut(text(message).as_str(), EXCERPT);
        match delivery {
            Delivery::Queued => Ok(()),
            Delivery::Sent => self.note(&format!("sent: {what}")),
            Delivery::Delivered => self.note(&format!("{} has received: {what}", self.them)),
            Delivery::Read => self.note(&format!("{} has read: {what}", self.them)),
            Delivery::Failed(reason) => self.note(&format!("not sent, {reason}: {what}")),
            Delivery::Expired => self.note(&format!("not delivered within 30 days: {what}")),
            _ => Ok(()),
        }
    }

    pub(crate) fn connection(&mut self, state: ConnectionState) -> io::Result<()> {
        let (online, note) = match state {
            ConnectionState::Offline => (false, "offline; messages are sent later"),
            ConnectionState::Live => (true, "online"),
            ConnectionState::SignedOut => (false, "the relay no longer knows this account"),
            _ => return Ok(()),
        };
        // Every failed attempt to connect ends offline; printing it once is enough.
        if self.online.replace(online) != Some(online) {
            return self.note(note);
        }
        Ok(())
    }
}

fn state(delivery: Delivery) -> String {
    match delivery {
        Delivery::Queued => "waiting".to_owned(),
        Delivery::Sent => "sent".to_owned(),
        Delivery::Delivered => "received".to_owned(),
        Delivery::Read => "read".to_owned(),
        Delivery::Failed(reason) => format!("not sent: {reason}"),
        Delivery::Expired => "not delivered within 30 days".to_owned(),
        _ => "?".to_owned(),
    }
}

/// The text of a message in one line.
fn text(message: &Message) -> Shown {
    let body = contents::body(message);
    if contents::is_readable(message) { Shown::line(&body) } else { Shown::line(&format!("({body})")) }
}

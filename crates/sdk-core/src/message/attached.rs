//! What belongs to a message: its quote, reactions, votes and earlier versions.

use std::fmt;

use crate::content;
use crate::id::{MessageId, UserId};

/// The message that a reply refers to.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quote {
    /// The author of the quoted message, as the author of the reply states it.
    pub author: UserId,
    /// The beginning of the quoted text, at most 400 bytes of UTF-8, as the author of the reply states it. Show the message itself
    /// instead if it is here. Empty if that was deleted for everyone.
    pub text: String,
    /// The quoted message, if it is in the same thread on this device.
    /// [`Thread::history_around`](crate::Thread::history_around) returns a page with it.
    pub message: Option<MessageId>,
}

/// Contains nothing that a person wrote, so that it cannot end up in a log.
impl fmt::Debug for Quote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { author, text: _, message } = self;
        f.debug_struct("Quote").field("author", author).field("message", message).finish_non_exhaustive()
    }
}

/// An emoji with which people have reacted to a message.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReactionCount {
    /// A sequence of emoji, at most 32 bytes of UTF-8.
    pub emoji: String,
    /// The number of people who have chosen it.
    pub count: u32,
    /// Whether we are one of them.
    pub is_ours: bool,
}

/// Contains nothing that a person has chosen, so that it cannot end up in a log.
impl fmt::Debug for ReactionCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReactionCount({})", self.count)
    }
}

/// The reaction of a person to a message.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reaction {
    /// Who has reacted.
    pub author: UserId,
    /// A sequence of emoji, at most 32 bytes of UTF-8.
    pub emoji: String,
    /// When the author chose it, in server time, in milliseconds since the Unix epoch.
    pub sent_ms: u64,
}

/// Contains nothing that a person has chosen, so that it cannot end up in a log.
impl fmt::Debug for Reaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reaction").field("author", &self.author).finish_non_exhaustive()
    }
}

/// A question, its options, and how many people have chosen each.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Poll {
    /// The question; at most [`MAX_QUESTION`](crate::MAX_QUESTION) bytes of UTF-8.
    pub question: String,
    /// The options, in their order; at least 2 and at most [`MAX_OPTIONS`](crate::MAX_OPTIONS).
    pub options: Vec<PollOption>,
    /// Whether a person may choose several options.
    pub is_multiple: bool,
    /// The number of people who have voted.
    pub voters: u32,
}

/// An option of a poll.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PollOption {
    /// Its text; at most [`MAX_OPTION`](crate::MAX_OPTION) bytes of UTF-8.
    pub text: String,
    /// The number of people who have chosen it.
    pub votes: u32,
    /// Whether we are one of them.
    pub is_ours: bool,
}

impl From<content::Poll> for Poll {
    fn from(poll: content::Poll) -> Self {
        let option = |text: &String| PollOption { text: text.clone(), votes: 0, is_ours: false };
        Self {
            question: poll.question().to_owned(),
            options: poll.options().iter().map(option).collect(),
            is_multiple: poll.is_multiple(),
            voters: 0,
        }
    }
}

/// Contains nothing that a person wrote, so that it cannot end up in a log.
impl fmt::Debug for Poll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Poll({} options, {} voters)", self.options.len(), self.voters)
    }
}

/// Contains nothing that a person wrote, so that it cannot end up in a log.
impl fmt::Debug for PollOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PollOption({} votes)", self.votes)
    }
}

/// What a person has chosen in a poll.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Vote {
    /// Who has voted.
    pub author: UserId,
    /// The places of the chosen options among the options of the poll, from 0 and ascending.
    pub choices: Vec<u32>,
    /// When the author voted, in server time, in milliseconds since the Unix epoch.
    pub sent_ms: u64,
}

/// Contains nothing that a person has chosen, so that it cannot end up in a log.
impl fmt::Debug for Vote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vote").field("author", &self.author).finish_non_exhaustive()
    }
}

/// A version of a message that was edited.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Version {
    /// Its text.
    pub text: String,
    /// When the author wrote it, in server time, in milliseconds since the Unix epoch.
    pub sent_ms: u64,
}

/// Contains nothing that a person wrote, so that it cannot end up in a log.
impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({})", self.sent_ms)
    }
}

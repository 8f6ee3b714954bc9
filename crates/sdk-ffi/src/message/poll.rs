//! Polls and votes.

use std::fmt;

use sealpost_core as core;

use crate::{UserId, millis};

/// A question, its options, and how many people have chosen each.
#[derive(Clone, PartialEq, Eq, uniffi::Record)]
#[uniffi::export(Debug)]
pub struct Poll {
    /// The question; at most 1000 bytes of UTF-8.
    pub question: String,
    /// The options, in their order; at least 2 and at most 32.
    #[uniffi(default = [])]
    pub options: Vec<PollOption>,
    /// Whether a person may choose several options.
    #[uniffi(default = false)]
    pub is_multiple: bool,
    /// The number of people who have voted.
    #[uniffi(default = 0)]
    pub voters: u32,
}

impl From<core::Poll> for Poll {
    fn from(poll: core::Poll) -> Self {
        Self {
            question: poll.question,
            options: poll.options.into_iter().map(PollOption::from).collect(),
            is_multiple: poll.is_multiple,
            voters: poll.voters,
        }
    }
}

/// Contains nothing that a person wrote, so that it cannot end up in a log.
impl fmt::Debug for Poll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Poll({} options, {} voters)", self.options.len(), self.voters)
    }
}

/// An option of a poll.
#[derive(Clone, PartialEq, Eq, uniffi::Record)]
#[uniffi::export(Debug)]
pub struct PollOption {
    /// Its text; at most 255 bytes of UTF-8.
    pub text: String,
    /// The number of people who have chosen it.
    #[uniffi(default = 0)]
    pub votes: u32,
    /// Whether we are one of them.
    #[uniffi(default = false)]
    pub is_ours: bool,
}

impl From<core::PollOption> for PollOption {
    fn from(option: core::PollOption) -> Self {
        Self { text: option.text, votes: option.votes, is_ours: option.is_ours }
    }
}

/// Contains nothing that a person wrote, so that it cannot end up in a log.
impl fmt::Debug for PollOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PollOption({} votes)", self.votes)
    }
}

/// What a person has chosen in a poll.
#[derive(Clone, PartialEq, Eq, uniffi::Record)]
#[uniffi::export(Debug)]
pub struct Vote {
    /// Who has voted.
    pub author: UserId,
    /// The places of the chosen options among the options of the poll, from 0 and ascending.
    #[uniffi(default = [])]
    pub choices: Vec<u32>,
    /// When the author voted, in server time, in milliseconds since the Unix epoch.
    #[uniffi(default = 0)]
    pub sent_ms: i64,
}

impl From<core::Vote> for Vote {
    fn from(vote: core::Vote) -> Self {
        Self { author: vote.author, choices: vote.choices, sent_ms: millis(vote.sent_ms) }
    }
}

/// Contains nothing that a person has chosen, so that it cannot end up in a log.
impl fmt::Debug for Vote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vote").field("author", &self.author).finish_non_exhaustive()
    }
}

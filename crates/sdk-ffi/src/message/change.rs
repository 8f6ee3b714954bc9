//! What people have done to a message: reactions and edits.

use std::fmt;

use sealpost_core as core;

use crate::{UserId, millis};

/// An emoji with which people have reacted to a message.
#[derive(Clone, PartialEq, Eq, uniffi::Record)]
#[uniffi::export(Debug)]
pub struct ReactionCount {
    /// A sequence of emoji, at most 32 bytes of UTF-8.
    pub emoji: String,
    /// The number of people who have chosen it.
    #[uniffi(default = 1)]
    pub count: u32,
    /// Whether we are one of them.
    #[uniffi(default = false)]
    pub is_ours: bool,
}

impl From<core::ReactionCount> for ReactionCount {
    fn from(reaction: core::ReactionCount) -> Self {
        Self { emoji: reaction.emoji, count: reaction.count, is_ours: reaction.is_ours }
    }
}

/// Contains nothing that a person has chosen, so that it cannot end up in a log.
impl fmt::Debug for ReactionCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReactionCount({})", self.count)
    }
}

/// The reaction of a person to a message.
#[derive(Clone, PartialEq, Eq, uniffi::Record)]
#[uniffi::export(Debug)]
pub struct Reaction {
    /// Who has reacted.
    pub author: UserId,
    /// A sequence of emoji, at most 32 bytes of UTF-8.
    pub emoji: String,
    /// When the author chose it, in server time, in milliseconds since the Unix epoch.
    #[uniffi(default = 0)]
    pub sent_ms: i64,
}

impl From<core::Reaction> for Reaction {
    fn from(reaction: core::Reaction) -> Self {
        Self { author: reaction.author, emoji: reaction.emoji, sent_ms: millis(reaction.sent_ms) }
    }
}

/// Contains nothing that a person has chosen, so that it cannot end up in a log.
impl fmt::Debug for Reaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reaction").field("author", &self.author).finish_non_exhaustive()
    }
}

/// A version of a message that was edited.
#[derive(Clone, PartialEq, Eq, uniffi::Record)]
#[uniffi::export(Debug)]
pub struct Version {
    /// Its text.
    pub text: String,
    /// When the author wrote it, in server time, in milliseconds since the Unix epoch.
    #[uniffi(default = 0)]
    pub sent_ms: i64,
}

impl From<core::Version> for Version {
    fn from(version: core::Version) -> Self {
        Self { text: version.text, sent_ms: millis(version.sent_ms) }
    }
}

/// Contains nothing that a person wrote, so that it cannot end up in a log.
impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({})", self.sent_ms)
    }
}

//! The talk as both sides must have it in the end: what was said, and everything that was changed about it.

use std::collections::BTreeMap;

use rand::RngExt as _;
use rand::rngs::StdRng;
use sealpost_core::{ContactCard, Location, Markup, Profile};

use crate::act::Kind;

/// Only the newest messages are changed or replied to, so that finding them does not take longer in a longer conversation.
const WITHIN: usize = 30;

/// A message, the same for both sides.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// The number that the relay gave it.
    pub(crate) place: u64,
    /// 0 or 1.
    pub(crate) author: usize,
    pub(crate) body: Body,
    pub(crate) markup: Option<Box<Markup>>,
    /// The place of the message that it replies to.
    pub(crate) replies_to: Option<u64>,
    pub(crate) is_forwarded: bool,
    /// The texts that it had before it was edited.
    pub(crate) earlier: Vec<String>,
    /// Of each side.
    pub(crate) reactions: [Option<String>; 2],
    pub(crate) votes: [Vec<u32>; 2],
    pub(crate) is_pinned: bool,
    pub(crate) timer_s: u32,
    /// Whether its recipient has read it; its author learns that from a receipt.
    pub(crate) is_read: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Body {
    Text(String),
    Contact(ContactCard),
    Location(Location),
    Poll {
        question: String,
        options: Vec<String>,
        is_multiple: bool,
    },
    /// The time after which messages disappear was set to this many seconds.
    Timer(u32),
    Deleted,
    /// Something that nobody has sent, in words.
    Other(String),
}

impl Entry {
    pub(crate) fn new(author: usize, place: u64, body: Body) -> Self {
        Self {
            place,
            author,
            body,
            markup: None,
            replies_to: None,
            is_forwarded: false,
            earlier: Vec::new(),
            reactions: [None, None],
            votes: [Vec::new(), Vec::new()],
            is_pinned: false,
            timer_s: 0,
            is_read: true,
        }
    }

    /// Deletes it for everyone: only its place is left.
    pub(crate) fn delete(&mut self) {
        *self = Self { timer_s: self.timer_s, ..Self::new(self.author, self.place, Body::Deleted) };
    }

    /// The name and both forms of the first part that differs.
    pub(crate) fn difference(&self, other: &Self) -> Option<(&'static str, String, String)> {
        let (a, b) = (self, other);
        let parts: [(&'static str, bool); 12] = [
            ("its author", a.author == b.author),
            ("its content", a.body == b.body),
            ("its place", a.place == b.place),
            ("its styles, mentions or preview", a.markup == b.markup),
            ("what it replies to", a.replies_to == b.replies_to),
            ("the mark of a forward", a.is_forwarded == b.is_forwarded),
            ("its earlier versions", a.earlier == b.earlier),
            ("the reactions to it", a.reactions == b.reactions),
            ("the votes in it", a.votes == b.votes),
            ("its pin", a.is_pinned == b.is_pinned),
            ("its timer", a.timer_s == b.timer_s),
            ("whether it was read", a.is_read == b.is_read),
        ];
        let (what, _) = parts.into_iter().find(|(_, is_equal)| !is_equal)?;
        Some((what, format!("{a:?}"), format!("{b:?}")))
    }
}

/// The whole talk.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// In the order of the thread.
    pub(crate) entries: Vec<Entry>,
    pub(crate) profiles: [Profile; 2],
    /// What each side has written for itself.
    pub(crate) notes: [Vec<String>; 2],
    /// The time after which messages disappear, in seconds.
    pub(crate) timer_s: u32,
    /// What nobody else may be able to read.
    pub(crate) secrets: Vec<String>,
    done: BTreeMap<Kind, usize>,
}

impl Model {
    /// Adds a message that both sides will show.
    pub(crate) fn push(&mut self, kind: Kind, mut entry: Entry) {
        if !matches!(entry.body, Body::Timer(_)) {
            entry.timer_s = self.timer_s;
        }
        match &entry.body {
            Body::Text(text) => self.secrets.push(text.clone()),
            Body::Contact(card) => {
                self.secrets.extend([card.name.clone(), card.phone.clone(), card.email.clone()])
            }
            Body::Location(place) => self.secrets.push(place.name.clone()),
            Body::Poll { question, options, .. } => {
                self.secrets.push(question.clone());
                self.secrets.extend(options.iter().cloned());
            }
            Body::Timer(_) | Body::Deleted | Body::Other(_) => {}
        }
        self.entries.push(entry);
        self.count(kind);
    }

    /// Changes a message.
    pub(crate) fn change(&mut self, kind: Kind, at: usize, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.entries.get_mut(at) {
            change(entry);
        }
        self.count(kind);
    }

    pub(crate) fn count(&mut self, kind: Kind) {
        let done = self.done.entry(kind).or_default();
        *done = done.saturating_add(1);
    }

    /// How often a kind has happened.
    pub(crate) fn done(&self, kind: Kind) -> usize {
        self.done.get(&kind).copied().unwrap_or_default()
    }

    /// Whether both sides have said something.
    pub(crate) fn is_mutual(&self) -> bool {
        (0..2).all(|side| self.entries.iter().any(|entry| entry.author == side))
    }

    /// One of the newest messages that this can happen to.
    pub(crate) fn pick(&self, random: &mut StdRng, can: impl Fn(&Entry) -> bool) -> Option<usize> {
        let first = self.entries.len().saturating_sub(WITHIN);
        let newest = self.entries.iter().enumerate().skip(first);
        let can: Vec<usize> = newest.filter(|(_, entry)| can(entry)).map(|(at, _)| at).collect();
        let chosen = if can.is_empty() { 0 } else { random.random_range(0..can.len()) };
        can.get(chosen).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_a_message_is_compared() {
        let entry = Entry::new(0, 1, Body::Text("hello".to_owned()));
        let changes: [fn(&mut Entry); 12] = [
            |entry| entry.place = 2,
            |entry| entry.author = 1,
            |entry| entry.body = Body::Text("bye".to_owned()),
            |entry| entry.markup = Some(Box::default()),
            |entry| entry.replies_to = Some(1),
            |entry| entry.is_forwarded = true,
            |entry| entry.earlier.push("helo".to_owned()),
            |entry| entry.reactions = [None, Some("👍".to_owned())],
            |entry| entry.votes = [vec![1], Vec::new()],
            |entry| entry.is_pinned = true,
            |entry| entry.timer_s = 1,
            |entry| entry.is_read = false,
        ];
        for change in changes {
            let mut other = entry.clone();
            change(&mut other);
            assert!(entry.difference(&other).is_some(), "{other:?}");
        }
        assert_eq!(entry.difference(&entry), None);
    }
}

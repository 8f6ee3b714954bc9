//! The talk as each side must have it in the end: what was said while they were there, and everything that was changed about it.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt as _;
use rand::rngs::StdRng;
use sealpost_core::{ContactCard, Location, Markup, Profile};

use crate::act::Kind;

/// Only the newest messages are changed or replied to, so that finding them does not take longer in a longer conversation.
const WITHIN: usize = 30;

/// A message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// The number that the relay gave it.
    pub(crate) place: u64,
    pub(crate) author: usize,
    pub(crate) body: Body,
    pub(crate) markup: Option<Box<Markup>>,
    /// The place of the message that it replies to; 0 if that is not there.
    pub(crate) replies_to: Option<u64>,
    pub(crate) is_forwarded: bool,
    /// The texts that it had before it was edited.
    pub(crate) earlier: Vec<String>,
    /// Of the sides that have reacted.
    pub(crate) reactions: BTreeMap<usize, String>,
    /// Of the sides that have voted.
    pub(crate) votes: BTreeMap<usize, Vec<u32>>,
    pub(crate) is_pinned: bool,
    pub(crate) timer_s: u32,
    /// Whether all of its recipients who are still there have read it; its author learns that from receipts.
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
            reactions: BTreeMap::new(),
            votes: BTreeMap::new(),
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

/// What one side must have.
#[derive(Debug, Default)]
pub(crate) struct Person {
    /// By their numbers among all messages, which are in the order of the thread.
    pub(crate) entries: BTreeMap<usize, Entry>,
    /// Whether they get what is said now.
    pub(crate) is_there: bool,
    /// Whether they were removed, so that they have missed changes of what they have.
    pub(crate) was_removed: bool,
    /// The newest profile of each side that they were told.
    pub(crate) profiles: Vec<Profile>,
    /// What they have written for themselves.
    pub(crate) notes: Vec<String>,
}

/// The whole talk.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) people: Vec<Person>,
    /// The title of the group, if there are more than two people.
    pub(crate) title: Option<String>,
    /// The number of all messages.
    pub(crate) messages: usize,
    /// The time after which messages disappear, in seconds.
    pub(crate) timer_s: u32,
    /// What nobody else may be able to read.
    pub(crate) secrets: Vec<String>,
    /// The newest profile of each side.
    profiles: Vec<Profile>,
    done: BTreeMap<Kind, usize>,
}

impl Model {
    /// Two people who know each other, or a group with this title that has nobody yet.
    pub(crate) fn of(people: usize, title: Option<String>) -> Self {
        let person = || Person {
            is_there: title.is_none(),
            profiles: vec![Profile::default(); people],
            ..Person::default()
        };
        Self {
            people: std::iter::repeat_with(person).take(people).collect(),
            secrets: title.iter().cloned().collect(),
            title,
            profiles: vec![Profile::default(); people],
            ..Self::default()
        }
    }

    pub(crate) fn is_group(&self) -> bool {
        self.title.is_some()
    }

    /// Those who get what is said now.
    pub(crate) fn members(&self) -> impl Iterator<Item = usize> {
        self.people.iter().enumerate().filter(|(_, person)| person.is_there).map(|(side, _)| side)
    }

    pub(crate) fn is_member(&self, side: usize) -> bool {
        self.people.get(side).is_some_and(|person| person.is_there)
    }

    /// Somebody gets what is said from now on, or does not get it any more.
    pub(crate) fn set_member(&mut self, side: usize, is_there: bool) {
        if let Some(person) = self.people.get_mut(side) {
            person.was_removed |= person.is_there && !is_there;
            person.is_there = is_there;
        }
    }

    /// A message, as a side must have it.
    pub(crate) fn entry(&self, side: usize, number: usize) -> Option<&Entry> {
        self.people.get(side)?.entries.get(&number)
    }

    /// Adds a message that all members will show.
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
        for person in self.people.iter_mut().filter(|person| person.is_there) {
            let mut entry = entry.clone();
            // Who has joined later does not have what it refers to.
            entry.replies_to = entry
                .replies_to
                .map(|to| if person.entries.values().any(|had| had.place == to) { to } else { 0 });
            person.entries.insert(self.messages, entry);
        }
        self.messages = self.messages.saturating_add(1);
        self.tell_profile(entry.author);
        self.count(kind);
    }

    /// A member changes a message. Those who are there and have it see that.
    pub(crate) fn change(&mut self, kind: Kind, (by, number): (usize, usize), change: impl Fn(&mut Entry)) {
        let there = self.people.iter_mut().filter(|person| person.is_there);
        there.filter_map(|person| person.entries.get_mut(&number)).for_each(change);
        self.tell_profile(by);
        self.count(kind);
    }

    /// A side has another profile. Whoever has a thread of their own with them is told at once.
    pub(crate) fn set_profile(&mut self, by: usize, profile: &Profile) {
        set(&mut self.profiles, by, profile);
        for (side, person) in self.people.iter_mut().enumerate() {
            if self.title.is_none() || side == by {
                set(&mut person.profiles, by, profile);
            }
        }
    }

    /// What somebody sends in a group tells the members their profile.
    pub(crate) fn tell_profile(&mut self, by: usize) {
        let Some(profile) = self.profiles.get(by) else { return };
        for person in self.people.iter_mut().filter(|person| person.is_there) {
            set(&mut person.profiles, by, profile);
        }
    }

    pub(crate) fn count(&mut self, kind: Kind) {
        let done = self.done.entry(kind).or_default();
        *done = done.saturating_add(1);
    }

    /// How often a kind has happened.
    pub(crate) fn done(&self, kind: Kind) -> usize {
        self.done.get(&kind).copied().unwrap_or_default()
    }

    /// Whether both sides have said something; in a group, which people have accepted to be in, always.
    pub(crate) fn is_mutual(&self) -> bool {
        self.is_group() || (0..self.people.len()).all(|side| self.has_spoken(side))
    }

    /// How many messages are pinned for some member.
    pub(crate) fn pinned(&self) -> usize {
        let there = self.people.iter().filter(|person| person.is_there);
        let pinned = there.flat_map(|person| person.entries.iter().filter(|(_, entry)| entry.is_pinned));
        pinned.map(|(number, _)| number).collect::<BTreeSet<_>>().len()
    }

    /// Whether all members have something from this side and have said something, so that it has an answered session with each of them.
    pub(crate) fn talks_with_all(&self, by: usize) -> bool {
        let entries = self.people.get(by).into_iter().flat_map(|person| &person.entries);
        let mut said = entries.filter(|(_, entry)| entry.author == by);
        said.any(|(number, _)| self.members().all(|side| self.entry(side, *number).is_some()))
            && self.members().all(|side| self.has_spoken(side))
    }

    fn has_spoken(&self, side: usize) -> bool {
        let mut entries = self.people.get(side).into_iter().flat_map(|person| person.entries.values());
        entries.any(|entry| entry.author == side)
    }

    /// One of the newest messages that a side has and that this can happen to.
    pub(crate) fn pick(
        &self,
        side: usize,
        random: &mut StdRng,
        can: impl Fn(&Entry) -> bool,
    ) -> Option<usize> {
        let entries = &self.people.get(side)?.entries;
        let newest = entries.iter().skip(entries.len().saturating_sub(WITHIN));
        let can: Vec<usize> = newest.filter(|(_, entry)| can(entry)).map(|(number, _)| *number).collect();
        let chosen = if can.is_empty() { 0 } else { random.random_range(0..can.len()) };
        can.get(chosen).copied()
    }
}

fn set(profiles: &mut [Profile], of: usize, profile: &Profile) {
    profiles.get_mut(of).into_iter().for_each(|told| told.clone_from(profile));
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
            |entry| entry.reactions = [(1, "👍".to_owned())].into(),
            |entry| entry.votes = [(0, vec![1])].into(),
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

    /// A group of three, of whom the last is added after the first message, and the second is removed after the second one.
    #[test]
    fn each_has_what_was_said_and_changed_while_they_were_there() {
        let mut model = Model::of(3, Some("title".to_owned()));
        (0..2).for_each(|side| model.set_member(side, true));
        let text = |author, place, text: &str| Entry::new(author, place, Body::Text(text.to_owned()));
        model.push(Kind::Text, text(0, 1, "one"));
        model.set_member(2, true);
        assert!(!model.talks_with_all(0));
        let reply = Entry { replies_to: Some(1), ..text(1, 3, "two") };
        model.push(Kind::Reply, reply);
        let profile = Profile { name: "Ada".to_owned(), ..Profile::default() };
        model.set_profile(0, &profile);
        model.set_member(1, false);
        model.push(Kind::Text, text(0, 5, "three"));
        model.change(Kind::Deletion, (0, 0), Entry::delete);
        let bodies = |side: usize| -> Vec<_> {
            model.people[side].entries.values().map(|entry| (entry.body.clone(), entry.replies_to)).collect()
        };
        let said = |text: &str| Body::Text(text.to_owned());
        assert_eq!(bodies(0), [(Body::Deleted, None), (said("two"), Some(1)), (said("three"), None)]);
        assert_eq!(bodies(1), [(said("one"), None), (said("two"), Some(1))]);
        assert_eq!(bodies(2), [(said("two"), Some(0)), (said("three"), None)]);
        let told = |side: usize| model.people[side].profiles[0] == profile;
        assert_eq!([0, 1, 2].map(told), [true, false, true]);
        assert!(!model.talks_with_all(0), "the one who was added has not said anything");
        model.push(Kind::Text, text(2, 6, "four"));
        assert!(model.talks_with_all(0));
    }
}

//! What one side has of the talk, read from its database.

use std::collections::HashMap;

use sealpost_core::{
    Client, Delivery, Direction, Error, Message, MessageBody, MessageId, Profile, Thread, ThreadKind, UserId,
};

use crate::model::{Body, Entry, Model};
use crate::side::history;

/// The most people that react or vote.
const PEOPLE: u32 = crate::talk::MAX_NAMES as u32;

/// Everything that one side shows.
#[derive(Debug)]
pub(crate) struct View {
    entries: Vec<Entry>,
    stamps: Vec<Stamp>,
    profiles: Vec<Profile>,
    /// Of the group, if it is one.
    title: Option<String>,
    members: Vec<usize>,
    timer_s: u32,
    /// What is in the note to self.
    notes: Vec<Body>,
}

/// What is the same on all sides, but is not known before.
#[derive(Debug, Clone, PartialEq)]
struct Stamp {
    sent_ms: u64,
    edited_ms: Option<u64>,
    quoted: Option<(UserId, String)>,
    /// Of the versions, the reactions and the votes.
    changed_ms: Vec<u64>,
}

/// The first thing that differs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Difference {
    #[error("there are {found} messages instead of {expected}")]
    Count { found: usize, expected: usize },
    #[error("message {number}, {part}: {found} instead of {expected}")]
    Message { number: usize, part: &'static str, found: String, expected: String },
    #[error("the times, the quote or the order of changes of message {number} differ from the other side's")]
    Stamps { number: usize },
    #[error("the profile of side {of}: {found:?} instead of {expected:?}")]
    Profile { of: usize, found: String, expected: String },
    #[error("the members of the group: {found:?} instead of {expected:?}")]
    Members { found: Vec<usize>, expected: Vec<usize> },
    #[error("the title of the group: {found:?} instead of {expected:?}")]
    Title { found: Option<String>, expected: Option<String> },
    #[error("the notes to self: {found:?} instead of {expected:?}")]
    Notes { found: Vec<Body>, expected: Vec<Body> },
    #[error("the timer: {found} s instead of {expected} s")]
    Timer { found: u32, expected: u32 },
}

impl View {
    /// Reads what a side has.
    pub(crate) async fn read(client: &Client, thread: &Thread, users: &[UserId]) -> Result<Self, Error> {
        let messages = history(thread).await?;
        let pinned: Vec<MessageId> = thread.pinned().await?.into_iter().map(|message| message.id).collect();
        let places: HashMap<MessageId, u64> =
            messages.iter().map(|message| (message.id, message.server_seq.unwrap_or_default())).collect();
        let (mut entries, mut stamps) = (Vec::new(), Vec::new());
        for message in messages {
            let is_pinned = pinned.contains(&message.id);
            let (entry, stamp) = read_message(thread, message, users, is_pinned, &places).await?;
            entries.push(entry);
            stamps.push(stamp);
        }
        let mut profiles = Vec::new();
        for user in users {
            profiles.push(if *user == client.user_id() {
                client.profile().await?
            } else {
                client.contact(*user).profile().await?.unwrap_or_default()
            });
        }
        let (mut title, mut members) = (None, Vec::new());
        if thread.kind().await? == ThreadKind::Group {
            let group = client.group(thread.id()).await?;
            title = group.details().await?.map(|details| details.title);
            for member in group.members().await? {
                members.extend(users.iter().position(|user| *user == member.user));
            }
            members.sort_unstable();
        }
        let notes = history(&client.note_to_self().await?).await?;
        let notes = notes.iter().map(|note| body(&note.body)).collect();
        Ok(Self { entries, stamps, profiles, title, members, timer_s: thread.timer().await?, notes })
    }

    /// How it differs from what this side must have.
    pub(crate) fn differs_from(&self, model: &Model, side: usize) -> Option<Difference> {
        let person = model.people.get(side)?;
        let (found, expected) = (self.entries.len(), person.entries.len());
        let mut pairs = self.entries.iter().zip(&person.entries);
        let first = pairs.find_map(|(found, (number, expected))| {
            let (part, found, expected) = found.difference(expected)?;
            Some(Difference::Message { number: number.saturating_add(1), part, found, expected })
        });
        let profiles = self.profiles.iter().zip(&person.profiles).enumerate();
        let profile = profiles.into_iter().find(|(_, (found, expected))| found != expected).map(
            |(of, (found, expected))| Difference::Profile {
                of: of.saturating_add(1),
                found: found.about.clone(),
                expected: expected.about.clone(),
            },
        );
        let notes = person.notes.iter().map(|note| Body::Text(note.clone())).collect::<Vec<_>>();
        first
            .or((found != expected).then_some(Difference::Count { found, expected }))
            .or(profile)
            .or_else(|| person.is_there.then(|| self.differs_in_group(model)).flatten())
            .or_else(|| {
                (self.notes != notes)
                    .then(|| Difference::Notes { found: self.notes.clone(), expected: notes })
            })
    }

    /// What a member has besides the messages.
    fn differs_in_group(&self, model: &Model) -> Option<Difference> {
        let (title, members) = (self.title.clone(), self.members.clone());
        let expected: Vec<usize> = if model.is_group() { model.members().collect() } else { Vec::new() };
        if members != expected {
            return Some(Difference::Members { found: members, expected });
        }
        // Who has not got anything from somebody who knows the present secret of the group does not know its title.
        if title.is_some() && title != model.title {
            return Some(Difference::Title { found: title, expected: model.title.clone() });
        }
        (self.timer_s != model.timer_s)
            .then_some(Difference::Timer { found: self.timer_s, expected: model.timer_s })
    }

    /// How it differs from what the other side has, besides the content, in the messages that both have.
    pub(crate) fn differs_from_other(&self, other: &Self) -> Option<Difference> {
        let theirs: HashMap<u64, (&Entry, &Stamp)> = other
            .entries
            .iter()
            .zip(&other.stamps)
            .map(|(entry, stamp)| (entry.place, (entry, stamp)))
            .collect();
        let at = self.entries.iter().zip(&self.stamps).position(|(entry, ours)| {
            // A quote is corrected with the message that it refers to, which somebody added later does not have.
            theirs
                .get(&entry.place)
                .is_some_and(|(other, theirs)| entry.replies_to == other.replies_to && ours != *theirs)
        })?;
        Some(Difference::Stamps { number: at.saturating_add(1) })
    }
}

async fn read_message(
    thread: &Thread,
    message: Message,
    users: &[UserId],
    is_pinned: bool,
    places: &HashMap<MessageId, u64>,
) -> Result<(Entry, Stamp), Error> {
    let index = |user: UserId| users.iter().position(|known| *known == user);
    let mut changed_ms = Vec::new();
    let mut entry = Entry::new(
        index(message.sender).unwrap_or(users.len()),
        message.server_seq.unwrap_or_default(),
        body(&message.body),
    );
    if message.edited_ms.is_some() {
        let versions = thread.versions(message.id).await?;
        changed_ms.extend(versions.iter().map(|version| version.sent_ms));
        entry.earlier = versions.into_iter().map(|version| version.text).collect();
        // The last one is the present text.
        entry.earlier.pop();
    }
    if !message.reactions.is_empty() {
        for reaction in thread.reactions(message.id, None, PEOPLE).await? {
            changed_ms.push(reaction.sent_ms);
            entry.reactions.insert(index(reaction.author).unwrap_or(users.len()), reaction.emoji);
        }
    }
    if let MessageBody::Poll(poll) = &message.body
        && poll.voters > 0
    {
        for vote in thread.votes(message.id, None, PEOPLE).await? {
            changed_ms.push(vote.sent_ms);
            entry.votes.insert(index(vote.author).unwrap_or(users.len()), vote.choices);
        }
    }
    let stamp = Stamp {
        sent_ms: message.sent_ms,
        edited_ms: message.edited_ms,
        quoted: message.quote.as_ref().map(|quote| (quote.author, quote.text.clone())),
        changed_ms,
    };
    // Nothing but the place of a deleted message is left that all sides must have in common.
    if entry.body != Body::Deleted {
        entry.markup = message.markup;
        entry.replies_to = message
            .quote
            .map(|quote| quote.message.and_then(|id| places.get(&id)).copied().unwrap_or_default());
        entry.is_forwarded = message.is_forwarded;
        entry.is_read = matches!(
            message.direction,
            Direction::Incoming { read: true } | Direction::Outgoing(Delivery::Read)
        );
    }
    entry.is_pinned = is_pinned;
    entry.timer_s = message.timer_s;
    Ok((entry, stamp))
}

fn body(body: &MessageBody) -> Body {
    match body {
        MessageBody::Text(text) => Body::Text(text.clone()),
        MessageBody::Contact(card) => Body::Contact((**card).clone()),
        MessageBody::Location(place) => Body::Location((**place).clone()),
        MessageBody::Poll(poll) => Body::Poll {
            question: poll.question.clone(),
            options: poll.options.iter().map(|option| option.text.clone()).collect(),
            is_multiple: poll.is_multiple,
        },
        MessageBody::TimerChanged { seconds } => Body::Timer(*seconds),
        MessageBody::Deleted => Body::Deleted,
        other => Body::Other(format!("{other:?}")),
    }
}

//! What one side has of the talk, read from its database.

use std::collections::HashMap;

use sealpost_core::{
    Client, Delivery, Direction, Error, Message, MessageBody, MessageId, Profile, Thread, UserId,
};

use crate::model::{Body, Entry, Model};
use crate::side::history;

/// The most people that react or vote.
const PEOPLE: u32 = 2;

/// Everything that one side shows.
#[derive(Debug)]
pub(crate) struct View {
    entries: Vec<Entry>,
    stamps: Vec<Stamp>,
    profiles: [Profile; 2],
    timer_s: u32,
    /// What is in the note to self.
    notes: Vec<Body>,
}

/// What is the same on both sides, but is not known before.
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
    #[error("the profile of side {of}")]
    Profile { of: usize },
    #[error("the notes to self: {found:?} instead of {expected:?}")]
    Notes { found: Vec<Body>, expected: Vec<Body> },
    #[error("the timer: {found} s instead of {expected} s")]
    Timer { found: u32, expected: u32 },
}

impl View {
    /// Reads what the side with this number among the users has.
    pub(crate) async fn read(client: &Client, thread: &Thread, users: [UserId; 2]) -> Result<Self, Error> {
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
        let mut profiles = [Profile::default(), Profile::default()];
        for (user, profile) in users.into_iter().zip(&mut profiles) {
            *profile = if user == client.user_id() {
                client.profile().await?
            } else {
                client.contact(user).profile().await?.unwrap_or_default()
            };
        }
        let notes = history(&client.note_to_self().await?).await?;
        let notes = notes.iter().map(|note| body(&note.body)).collect();
        Ok(Self { entries, stamps, profiles, timer_s: thread.timer().await?, notes })
    }

    /// How it differs from what this side must have.
    pub(crate) fn differs_from(&self, model: &Model, side: usize) -> Option<Difference> {
        let (found, expected) = (self.entries.len(), model.entries.len());
        let pairs = self.entries.iter().zip(&model.entries).enumerate();
        let first = pairs.filter_map(|(at, (found, expected))| {
            let (part, found, expected) = found.difference(expected)?;
            Some(Difference::Message { number: at.saturating_add(1), part, found, expected })
        });
        let of = self.profiles.iter().zip(&model.profiles).position(|(found, expected)| found != expected);
        let timer = (self.timer_s != model.timer_s)
            .then_some(Difference::Timer { found: self.timer_s, expected: model.timer_s });
        first
            .take(1)
            .next()
            .or((found != expected).then_some(Difference::Count { found, expected }))
            .or(of.map(|of| Difference::Profile { of: of.saturating_add(1) }))
            .or(timer)
            .or_else(|| {
                let notes = model.notes.get(side).into_iter().flatten();
                let expected: Vec<Body> = notes.map(|note| Body::Text(note.clone())).collect();
                (self.notes != expected).then(|| Difference::Notes { found: self.notes.clone(), expected })
            })
    }

    /// How it differs from what the other side has, besides the content.
    pub(crate) fn differs_from_other(&self, other: &Self) -> Option<Difference> {
        let at = self.stamps.iter().zip(&other.stamps).position(|(ours, theirs)| ours != theirs)?;
        Some(Difference::Stamps { number: at.saturating_add(1) })
    }
}

async fn read_message(
    thread: &Thread,
    message: Message,
    users: [UserId; 2],
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
            if let Some(ours) = index(reaction.author).and_then(|at| entry.reactions.get_mut(at)) {
                *ours = Some(reaction.emoji);
            }
        }
    }
    if let MessageBody::Poll(poll) = &message.body
        && poll.voters > 0
    {
        for vote in thread.votes(message.id, None, PEOPLE).await? {
            changed_ms.push(vote.sent_ms);
            if let Some(ours) = index(vote.author).and_then(|at| entry.votes.get_mut(at)) {
                *ours = vote.choices;
            }
        }
    }
    let stamp = Stamp {
        sent_ms: message.sent_ms,
        edited_ms: message.edited_ms,
        quoted: message.quote.as_ref().map(|quote| (quote.author, quote.text.clone())),
        changed_ms,
    };
    // Nothing but the place of a deleted message is left that the two sides must have in common.
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

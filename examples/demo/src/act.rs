//! What happens between the lines of the conversation: every kind of content, chosen from a seed.

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

use crate::model::{Body, Entry, Model};

const EMOJI: [&str; 5] = ["👍", "❤️", "🍋", "👋🏽", "👩‍👩‍👧‍👦"];
/// The most messages that are pinned at the same time.
const MOST_PINNED: usize = 3;

/// A kind of content, of which both sides must have the same in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Text,
    Styles,
    Reply,
    Forward,
    Contact,
    Location,
    Poll,
    Edit,
    Reaction,
    ReactionTakenBack,
    Deletion,
    Vote,
    Pin,
    Unpin,
    Timer,
    Disappearance,
    Profile,
    Receipt,
    NoteToSelf,
    Typing,
    Presence,
    Call,
}

impl Kind {
    /// All of them except the lines of the conversation.
    pub(crate) const EVENTS: [Self; 21] = [
        Self::Styles,
        Self::Reply,
        Self::Forward,
        Self::Contact,
        Self::Location,
        Self::Poll,
        Self::Edit,
        Self::Reaction,
        Self::ReactionTakenBack,
        Self::Deletion,
        Self::Vote,
        Self::Pin,
        Self::Unpin,
        Self::Timer,
        Self::Disappearance,
        Self::Profile,
        Self::Receipt,
        Self::NoteToSelf,
        Self::Typing,
        Self::Presence,
        Self::Call,
    ];

    /// What has a place in the thread.
    pub(crate) const MESSAGES: [Self; 8] = [
        Self::Text,
        Self::Styles,
        Self::Reply,
        Self::Forward,
        Self::Contact,
        Self::Location,
        Self::Poll,
        Self::Timer,
    ];

    /// What changes a message.
    pub(crate) const CHANGES: [Self; 8] = [
        Self::Edit,
        Self::Reaction,
        Self::ReactionTakenBack,
        Self::Deletion,
        Self::Vote,
        Self::Pin,
        Self::Unpin,
        Self::Disappearance,
    ];

    pub(crate) const PEOPLE: [Self; 3] = [Self::Profile, Self::Receipt, Self::NoteToSelf];

    /// What nobody stores.
    pub(crate) const PASSING: [Self; 3] = [Self::Typing, Self::Presence, Self::Call];

    /// One and several of them.
    pub(crate) const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Text => ("text", "texts"),
            Self::Styles => {
                ("text with styles, a mention and a preview", "with styles, mentions and previews")
            }
            Self::Reply => ("reply", "replies"),
            Self::Forward => ("forward", "forwards"),
            Self::Contact => ("contact card", "contact cards"),
            Self::Location => ("location", "locations"),
            Self::Poll => ("poll", "polls"),
            Self::Edit => ("edit", "edits"),
            Self::Reaction => ("reaction", "reactions"),
            Self::ReactionTakenBack => ("reaction taken back", "reactions taken back"),
            Self::Deletion => ("deletion for everyone", "deletions for everyone"),
            Self::Vote => ("vote", "votes"),
            Self::Pin => ("pin", "pins"),
            Self::Unpin => ("unpinned", "unpinned"),
            Self::Timer => ("timer", "timers"),
            Self::Disappearance => ("message that has disappeared", "messages that have disappeared"),
            Self::Profile => ("profile", "profiles"),
            Self::Receipt => ("read receipt", "read receipts"),
            Self::NoteToSelf => ("note to self", "notes to self"),
            Self::Typing => ("time of typing", "times of typing"),
            Self::Presence => ("presence", "presences"),
            Self::Call => ("call, and one refused as busy", "calls, and as many refused as busy"),
        }
    }

    /// Whether it changes a message, and can therefore be on its way together with others.
    pub(crate) const fn is_change(self) -> bool {
        matches!(self, Self::Edit | Self::Reaction | Self::ReactionTakenBack | Self::Vote | Self::Pin)
    }

    /// What happens between the lines, of two people or in a group.
    pub(crate) fn events(is_group: bool) -> impl Iterator<Item = Self> {
        // Calls and presence are between two people.
        let is_of_two = |kind: &Self| matches!(kind, Self::Presence | Self::Call);
        Self::EVENTS.into_iter().filter(move |kind| !(is_group && is_of_two(kind)))
    }

    /// Whether all sides must be there.
    const fn needs_all(self) -> bool {
        matches!(
            self,
            Self::Timer | Self::Disappearance | Self::Receipt | Self::Typing | Self::Presence | Self::Call
        )
    }
}

/// What one side does. Messages are named by their numbers in the [`Model`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Act {
    pub(crate) by: usize,
    pub(crate) deed: Deed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deed {
    Styles,
    Reply(usize),
    Forward(usize),
    Contact,
    Location,
    Poll { is_multiple: bool },
    Edit(usize),
    React(usize, &'static str),
    TakeReactionBack(usize),
    Delete(usize),
    Vote(usize, Vec<u32>),
    Pin(usize),
    Unpin(usize),
    SetTimer(u32),
    Disappear,
    Profile,
    Read,
    Note,
    Type,
    Appear,
    Call,
}

impl Act {
    pub(crate) const fn kind(&self) -> Kind {
        match self.deed {
            Deed::Styles => Kind::Styles,
            Deed::Reply(_) => Kind::Reply,
            Deed::Forward(_) => Kind::Forward,
            Deed::Contact => Kind::Contact,
            Deed::Location => Kind::Location,
            Deed::Poll { .. } => Kind::Poll,
            Deed::Edit(_) => Kind::Edit,
            Deed::React(..) => Kind::Reaction,
            Deed::TakeReactionBack(_) => Kind::ReactionTakenBack,
            Deed::Delete(_) => Kind::Deletion,
            Deed::Vote(..) => Kind::Vote,
            Deed::Pin(_) => Kind::Pin,
            Deed::Unpin(_) => Kind::Unpin,
            Deed::SetTimer(_) => Kind::Timer,
            Deed::Disappear => Kind::Disappearance,
            Deed::Profile => Kind::Profile,
            Deed::Read => Kind::Receipt,
            Deed::Note => Kind::NoteToSelf,
            Deed::Type => Kind::Typing,
            Deed::Appear => Kind::Presence,
            Deed::Call => Kind::Call,
        }
    }

    /// What it is, in words, without who does it.
    pub(crate) fn words(&self) -> String {
        let number = |at: &usize| at.saturating_add(1);
        match &self.deed {
            Deed::Styles => "sends styles, a mention and the preview of a link".to_owned(),
            Deed::Reply(to) => format!("replies to message {}", number(to)),
            Deed::Forward(of) => format!("forwards message {}", number(of)),
            Deed::Contact => "sends a contact card".to_owned(),
            Deed::Location => "sends a location".to_owned(),
            Deed::Poll { is_multiple: false } => "starts a poll".to_owned(),
            Deed::Poll { is_multiple: true } => "starts a poll with several choices".to_owned(),
            Deed::Edit(of) => format!("edits message {}", number(of)),
            Deed::React(to, emoji) => format!("reacts to message {} with {emoji}", number(to)),
            Deed::TakeReactionBack(from) => format!("takes the reaction to message {} back", number(from)),
            Deed::Delete(of) => format!("deletes message {} for everyone", number(of)),
            Deed::Vote(poll, choices) if choices.is_empty() => {
                format!("withdraws the vote in message {}", number(poll))
            }
            Deed::Vote(poll, _) => format!("votes in message {}", number(poll)),
            Deed::Pin(of) => format!("pins message {}", number(of)),
            Deed::Unpin(of) => format!("unpins message {}", number(of)),
            Deed::SetTimer(0) => "lets messages stay".to_owned(),
            Deed::SetTimer(seconds) => format!("lets messages disappear {seconds} s after they were read"),
            Deed::Disappear => "sends a message that disappears a second after it was read".to_owned(),
            Deed::Profile => "changes their profile".to_owned(),
            Deed::Read => "reads everything".to_owned(),
            Deed::Note => "writes a note to self".to_owned(),
            Deed::Type => "is typing".to_owned(),
            Deed::Appear => "shows that they are there".to_owned(),
            Deed::Call => "calls".to_owned(),
        }
    }
}

/// What happens next: of what can happen with those who are online, one of the kinds that have happened least.
pub(crate) fn choose(
    model: &Model,
    kinds: impl Iterator<Item = Kind>,
    is_online: impl Fn(usize) -> bool,
    random: &mut StdRng,
) -> Option<Act> {
    let mut kinds: Vec<Kind> = kinds.collect();
    kinds.shuffle(random);
    kinds.sort_by_key(|kind| model.done(*kind));
    let are_all_online = model.members().all(&is_online);
    kinds.into_iter().find_map(|kind| {
        if kind.needs_all() && !(are_all_online && model.is_mutual()) {
            return None;
        }
        let people = model.people.len();
        let first = random.random_range(0..people);
        (first..people)
            .chain(0..first)
            .filter(|by| model.is_member(*by) && is_online(*by))
            .find_map(|by| deed(kind, by, model, random).map(|deed| Act { by, deed }))
    })
}

/// Something of a kind that this side can do; `None` if there is no message that it can be done to.
fn deed(kind: Kind, by: usize, model: &Model, random: &mut StdRng) -> Option<Deed> {
    let is_text = |entry: &Entry| matches!(entry.body, Body::Text(_));
    let is_content = |entry: &Entry| !matches!(entry.body, Body::Timer(_) | Body::Deleted | Body::Other(_));
    let is_ours = |entry: &Entry| entry.author == by;
    let has_reaction = |entry: &Entry| entry.reactions.contains_key(&by);
    Some(match kind {
        Kind::Text => return None,
        Kind::Styles => Deed::Styles,
        Kind::Reply => Deed::Reply(model.pick(by, random, is_content)?),
        Kind::Forward => Deed::Forward(
            model.pick(by, random, |entry| is_content(entry) && !matches!(entry.body, Body::Poll { .. }))?,
        ),
        Kind::Contact => Deed::Contact,
        Kind::Location => Deed::Location,
        Kind::Poll if model.messages == 0 => return None,
        Kind::Poll => Deed::Poll { is_multiple: random.random_range(0..2) == 0 },
        Kind::Edit => Deed::Edit(
            model.pick(by, random, |entry| is_ours(entry) && is_text(entry) && entry.earlier.len() < 3)?,
        ),
        Kind::Reaction => {
            let emoji = EMOJI.get(random.random_range(0..EMOJI.len())).copied()?;
            Deed::React(model.pick(by, random, is_content)?, emoji)
        }
        Kind::ReactionTakenBack => Deed::TakeReactionBack(model.pick(by, random, has_reaction)?),
        Kind::Deletion => Deed::Delete(model.pick(by, random, |entry| is_ours(entry) && is_text(entry))?),
        Kind::Vote => {
            let poll = model.pick(by, random, |entry| matches!(entry.body, Body::Poll { .. }))?;
            Deed::Vote(poll, choices(by, model.entry(by, poll)?, random))
        }
        Kind::Pin => {
            let pinned = model.pinned();
            // People who pin and unpin the same message at the same time would make the result a matter of time.
            let can = |entry: &Entry| is_ours(entry) && is_content(entry) && !entry.is_pinned;
            Deed::Pin(model.pick(by, random, can).filter(|_| pinned < MOST_PINNED)?)
        }
        Kind::Unpin => Deed::Unpin(model.pick(by, random, |entry| is_ours(entry) && entry.is_pinned)?),
        Kind::Timer => Deed::SetTimer(if model.timer_s == 0 { 24 * 3600 } else { 0 }),
        Kind::Disappearance => Deed::Disappear,
        Kind::Profile => Deed::Profile,
        Kind::Receipt => Deed::Read,
        Kind::NoteToSelf => Deed::Note,
        Kind::Typing if !model.talks_with_all(by) => return None,
        Kind::Typing => Deed::Type,
        Kind::Presence => Deed::Appear,
        Kind::Call => Deed::Call,
    })
}

/// Choices in a poll; none withdraws the vote that there is.
fn choices(by: usize, poll: &Entry, random: &mut StdRng) -> Vec<u32> {
    let Body::Poll { options, is_multiple, .. } = &poll.body else { return Vec::new() };
    let mut all: Vec<u32> = (0..).take(options.len()).collect();
    all.shuffle(random);
    let most = if *is_multiple { options.len() } else { 1 };
    let least = usize::from(!poll.votes.contains_key(&by));
    all.truncate(random.random_range(least..=most));
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    /// What is chosen if nobody performs it, but the model learns of what it needs.
    fn chosen(seed: u64, count: usize) -> Vec<Act> {
        let mut random = StdRng::seed_from_u64(seed);
        let mut model = Model::of(2, None);
        for side in 0..2 {
            model.push(Kind::Text, Entry::new(side, 1, Body::Text("hello".to_owned())));
        }
        let mut acts = Vec::new();
        for _ in 0..count {
            let act = choose(&model, Kind::events(false), |_| true, &mut random).unwrap();
            model.count(act.kind());
            acts.push(act);
        }
        acts
    }

    #[test]
    fn a_seed_decides_what_happens() {
        assert_eq!(chosen(7, 30), chosen(7, 30));
        assert_ne!(chosen(7, 30), chosen(8, 30));
    }

    #[test]
    fn nobody_who_is_offline_does_or_gets_what_needs_all() {
        let mut random = StdRng::seed_from_u64(1);
        let mut model = Model::of(2, None);
        for side in 0..2 {
            model.push(Kind::Text, Entry::new(side, 1, Body::Text("hello".to_owned())));
        }
        for _ in 0..200 {
            let act = choose(&model, Kind::events(false), |side| side == 1, &mut random).unwrap();
            assert!(act.by == 1 && !act.kind().needs_all(), "{act:?}");
            model.count(act.kind());
        }
    }

    #[test]
    fn in_a_group_only_members_do_something_and_nobody_calls() {
        let mut random = StdRng::seed_from_u64(1);
        let mut model = Model::of(4, Some("title".to_owned()));
        (0..3).for_each(|side| model.set_member(side, true));
        for side in 0..3 {
            model.push(Kind::Text, Entry::new(side, 1, Body::Text("hello".to_owned())));
        }
        let mut by = [0; 4];
        for _ in 0..200 {
            let act = choose(&model, Kind::events(true), |_| true, &mut random).unwrap();
            assert!(!matches!(act.kind(), Kind::Call | Kind::Presence), "{act:?}");
            by[act.by] += 1;
            model.count(act.kind());
        }
        assert!(by[..3].iter().all(|count| *count > 20) && by[3] == 0, "{by:?}");
    }
}

//! The body of a content, one of several kinds.

use std::fmt;

use prost::Message as _;

use super::account_move::Moving;
use super::account_state::AccountState;
use super::bootstrap::{Bootstrap, Piece};
use super::call::Call;
use super::contact_card::Contact;
use super::distribution::Distribution;
use super::edit::Edit;
use super::kind::Kind;
use super::location::Place;
#[cfg(test)]
use super::markup::Markup;
use super::markup::Written;
use super::pin::Pin;
use super::poll::Poll;
use super::profile::Revised;
use super::reaction::Reaction;
use super::receipt::Receipt;
use super::target::Target;
use super::text::Text;
use super::timer::Timer;
use super::unknown::Unknown;
use super::vote::Vote;
use super::{ContentError, decode, delete, of, proto};
use crate::id::{ClientMsgId, DeviceId, UserId};

/// The body of a content.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Body {
    Text(Text),
    Receipt(Receipt),
    Reaction(Reaction),
    Edit(Edit),
    /// Deletes the message of the same author with this content id.
    Delete(ClientMsgId),
    /// An admin of a group deletes this message of somebody else.
    DeleteOf(Target),
    Contact(Contact),
    Place(Place),
    Poll(Poll),
    Vote(Vote),
    Pin(Pin),
    Timer(Timer),
    Profile(Revised),
    /// The author's chain in a group.
    Distribution(Distribution),
    /// What the person has decided, for the other devices of our account.
    AccountState(AccountState),
    /// Asks for a bootstrap or sends a part of it.
    Bootstrap(Box<Bootstrap>),
    /// A part of a bootstrap that consists of messages.
    History(Box<Piece>),
    /// A step towards moving the account to another device.
    Moving(Moving),
    /// Nothing. It takes the place of a content that was abandoned.
    Null,
    Call(Call),
    /// The author is writing, or has stopped.
    Typing {
        is_typing: bool,
    },
    /// The author is there, or has gone.
    Presence {
        is_here: bool,
    },
    /// A kind that a later version has introduced.
    Unknown(Unknown),
}

/// The urgency of a content, compared with others in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// What people write.
    Ordinary,
    /// Delivery and read receipts.
    Receipt,
}

impl Class {
    /// The number in the database, which never changes.
    pub(crate) const fn to_stored(self) -> i64 {
        match self {
            Self::Ordinary => 1,
            Self::Receipt => 3,
        }
    }
}

impl Body {
    /// A text on its own.
    #[cfg(test)]
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(Text { text: text.into(), markup: Markup::default(), quote: None, is_forwarded: false })
    }

    /// What it is, which decides what it may do.
    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::Text(_) => Kind::TEXT,
            Self::Receipt(_) => Kind::RECEIPT,
            Self::Reaction(_) => Kind::REACTION,
            Self::Edit(_) => Kind::EDIT,
            Self::Delete(_) | Self::DeleteOf(_) => Kind::DELETE,
            Self::Contact(_) => Kind::CONTACT_CARD,
            Self::Place(_) => Kind::LOCATION,
            Self::Poll(_) => Kind::POLL,
            Self::Vote(_) => Kind::VOTE,
            Self::Pin(_) => Kind::PIN,
            Self::Timer(_) => Kind::TIMER_CHANGE,
            Self::Profile(_) => Kind::PROFILE,
            Self::Distribution(_) => Kind::DISTRIBUTION,
            Self::AccountState(_) => Kind::ACCOUNT_STATE,
            Self::Bootstrap(_) => Kind::BOOTSTRAP,
            Self::History(_) => Kind::HISTORY,
            Self::Moving(_) => Kind::MOVING,
            Self::Null => Kind::NULL,
            Self::Call(_) => Kind::CALL,
            Self::Typing { .. } => Kind::TYPING,
            Self::Presence { .. } => Kind::PRESENCE,
            Self::Unknown(unknown) => unknown.kind,
        }
    }

    /// Whether it contains a link that an app makes clickable.
    pub(crate) fn has_link(&self) -> bool {
        matches!(self, Self::Text(text) if text.has_link())
    }

    /// Whether [`Body::mentions`] can be true for a user.
    pub(crate) const fn may_mention(&self) -> bool {
        matches!(self, Self::Text(text) if text.quote.is_some() || !text.markup.mentions.is_empty())
    }

    /// Whether it is addressed to a user among others, so that the list of chats points it out.
    pub(crate) fn mentions(&self, user: UserId) -> bool {
        matches!(self, Self::Text(text) if text.mentions(user))
    }

    pub(crate) const fn class(&self) -> Class {
        match self {
            Self::Receipt(_) => Class::Receipt,
            _ => Class::Ordinary,
        }
    }

    /// The bytes that are stored: a content without its header.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        [self.write().encode_to_vec().as_slice(), self.kept_bytes()].concat()
    }

    /// The inverse of [`Body::to_bytes`].
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, ContentError> {
        Self::read(decode(bytes)?, bytes)
    }

    /// The message that it changes, if it changes one. Only its author edits or deletes a message, so these contents do not name
    /// the author.
    pub(crate) fn target(&self, author: UserId) -> Option<Target> {
        match self {
            Self::Reaction(reaction) => Some(reaction.target),
            Self::Edit(edit) => Some(Target { author, id: edit.message }),
            Self::Delete(id) => Some(Target { author, id: *id }),
            Self::DeleteOf(target) => Some(*target),
            Self::Vote(vote) => Some(vote.target),
            Self::Pin(pin) => Some(pin.target),
            Self::Text(_)
            | Self::Receipt(_)
            | Self::Contact(_)
            | Self::Place(_)
            | Self::Poll(_)
            | Self::Timer(_)
            | Self::Profile(_)
            | Self::Distribution(_)
            | Self::AccountState(_)
            | Self::Bootstrap(_)
            | Self::History(_)
            | Self::Moving(_)
            | Self::Null
            | Self::Call(_)
            | Self::Typing { .. }
            | Self::Presence { .. }
            | Self::Unknown(_) => None,
        }
    }

    /// The only device of our account that it is sealed for; none if it is for all.
    pub(crate) fn only_device(&self) -> Option<DeviceId> {
        match self {
            Self::History(piece) => Some(piece.transfer.device),
            Self::Moving(Moving::Ask { device, .. }) => Some(*device),
            Self::Bootstrap(bootstrap) => match &**bootstrap {
                Bootstrap::Piece(piece) => Some(piece.transfer.device),
                Bootstrap::Received { .. } => None,
            },
            _ => None,
        }
    }

    /// The timer that it sets for the messages that follow, if it sets one.
    pub(crate) const fn sets_timer(&self) -> Option<Timer> {
        match self {
            Self::Timer(timer) => Some(*timer),
            _ => None,
        }
    }

    /// What a quote of it shows; none if it cannot be quoted.
    pub(crate) fn quoted(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(&text.text),
            Self::Contact(contact) => Some(&contact.card.name),
            Self::Place(place) => Some(&place.location.name),
            Self::Poll(poll) => Some(poll.question()),
            _ => None,
        }
    }

    /// The same body, marked as forwarded and without what it replied to; none if it cannot be forwarded.
    pub(crate) fn forwarded(self) -> Option<Self> {
        match self {
            Self::Text(mut text) => {
                // Those whom it named do not learn of it again.
                text.markup.mentions.clear();
                Some(Self::Text(Text { quote: None, is_forwarded: true, ..text }))
            }
            Self::Contact(contact) => Some(Self::Contact(Contact { is_forwarded: true, ..contact })),
            Self::Place(place) => Some(Self::Place(Place { is_forwarded: true, ..place })),
            _ => None,
        }
    }

    /// A content without its header.
    pub(super) fn write(&self) -> proto::Content {
        match self {
            Self::Text(text) => text.write(),
            Self::Receipt(receipt) => of(receipt.write()),
            Self::Reaction(reaction) => of(reaction.write()),
            Self::Edit(edit) => edit.write(),
            Self::Delete(message) => of(delete::write(*message, None)),
            Self::DeleteOf(target) => of(delete::write(target.id, Some(target.author))),
            Self::Contact(contact) => contact.write(),
            Self::Place(place) => place.write(),
            Self::Poll(poll) => poll.write(),
            Self::Vote(vote) => of(vote.write()),
            Self::Pin(pin) => of(pin.write()),
            Self::Timer(timer) => of(timer.write()),
            Self::Profile(profile) => of(profile.write()),
            Self::Distribution(distribution) => of(distribution.write()),
            Self::AccountState(state) => of(proto::content::Body::AccountState(state.to_proto())),
            Self::Bootstrap(bootstrap) => of(bootstrap.write()),
            Self::History(piece) => of(piece.write()),
            Self::Moving(moving) => of(moving.write()),
            Self::Null => of(proto::content::Body::Null(proto::Null {})),
            Self::Call(call) => of(call.write()),
            Self::Typing { is_typing } => {
                of(proto::content::Body::Typing(proto::Typing { stopped: !is_typing }))
            }
            Self::Presence { is_here } => {
                of(proto::content::Body::Presence(proto::Presence { gone: !is_here }))
            }
            Self::Unknown(_) => proto::Content::default(),
        }
    }

    /// The bytes of a body that is not understood.
    pub(super) fn kept_bytes(&self) -> &[u8] {
        match self {
            Self::Unknown(unknown) => unknown.bytes(),
            _ => &[],
        }
    }

    /// The body of a content that was decoded from these bytes.
    pub(super) fn read(content: proto::Content, bytes: &[u8]) -> Result<Self, ContentError> {
        let written =
            Written { styles: content.styles, mentions: content.mentions, preview: content.preview };
        let read = match content.body {
            Some(proto::content::Body::Text(text)) => {
                Text::read(text, written, content.quote, content.forwarded).map(Self::Text)
            }
            Some(proto::content::Body::Receipt(receipt)) => Receipt::read(&receipt).map(Self::Receipt),
            Some(proto::content::Body::Reaction(reaction)) => Reaction::read(reaction).map(Self::Reaction),
            Some(proto::content::Body::Edit(edit)) => Edit::read(edit, written).map(Self::Edit),
            Some(proto::content::Body::Delete(delete)) => delete::read(&delete),
            Some(proto::content::Body::ContactCard(card)) => {
                Contact::read(card, content.forwarded).map(Self::Contact)
            }
            Some(proto::content::Body::Location(location)) => {
                Place::read(location, content.forwarded).map(Self::Place)
            }
            Some(proto::content::Body::Poll(poll)) => Poll::read(poll).map(Self::Poll),
            Some(proto::content::Body::Vote(vote)) => Vote::read(vote).map(Self::Vote),
            Some(proto::content::Body::Pin(pin)) => Pin::read(pin).map(Self::Pin),
            Some(proto::content::Body::TimerChange(change)) => Timer::read(change.seconds).map(Self::Timer),
            Some(proto::content::Body::Profile(profile)) => Revised::read(profile).map(Self::Profile),
            Some(proto::content::Body::Distribution(distribution)) => {
                Distribution::read(distribution).map(Self::Distribution)
            }
            Some(proto::content::Body::AccountState(state)) => {
                AccountState::read(&state).map(Self::AccountState)
            }
            Some(proto::content::Body::Bootstrap(bootstrap)) => {
                Bootstrap::read(bootstrap).map(|bootstrap| Self::Bootstrap(Box::new(bootstrap)))
            }
            Some(proto::content::Body::History(piece)) => {
                Piece::read(piece).map(|piece| Self::History(Box::new(piece)))
            }
            Some(proto::content::Body::Moving(moving)) => Moving::read(moving).map(Self::Moving),
            Some(proto::content::Body::Null(_)) => Ok(Self::Null),
            Some(proto::content::Body::Call(call)) => Call::read(call).map(Self::Call),
            Some(proto::content::Body::Typing(typing)) => Ok(Self::Typing { is_typing: !typing.stopped }),
            Some(proto::content::Body::Presence(presence)) => Ok(Self::Presence { is_here: !presence.gone }),
            None => Err(ContentError::Unknown),
        };
        match read {
            Err(ContentError::Unknown) => Unknown::read(bytes).map(Self::Unknown),
            read => read,
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(..)"),
            Self::Receipt(Receipt { kind, marks }) => write!(f, "Receipt({kind:?}, {})", marks.len()),
            Self::Reaction(_) => f.write_str("Reaction(..)"),
            Self::Edit(_) => f.write_str("Edit(..)"),
            Self::Delete(_) | Self::DeleteOf(_) => f.write_str("Delete"),
            Self::Contact(contact) => contact.fmt(f),
            Self::Place(place) => place.fmt(f),
            Self::Poll(poll) => poll.fmt(f),
            Self::Vote(_) => f.write_str("Vote(..)"),
            Self::Timer(timer) => timer.fmt(f),
            Self::Profile(_) => f.write_str("Profile(..)"),
            Self::Distribution(distribution) => distribution.fmt(f),
            Self::AccountState(state) => write!(f, "AccountState({})", state.items.len()),
            Self::Bootstrap(bootstrap) => bootstrap.fmt(f),
            Self::History(piece) => piece.fmt(f),
            Self::Moving(moving) => moving.fmt(f),
            Self::Null => f.write_str("Null"),
            Self::Call(call) => call.fmt(f),
            Self::Typing { is_typing } => write!(f, "Typing({is_typing})"),
            Self::Presence { is_here } => write!(f, "Presence({is_here})"),
            Self::Pin(pin) => write!(f, "Pin({})", pin.is_pinned),
            Self::Unknown(unknown) => unknown.fmt(f),
        }
    }
}

//! What happens, as the whole client sees it.

use sealpost_core as core;

use crate::{ConnectionState, FailedPart, Message, MessageId, Overview, Part, Position, ThreadId, UserId};

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum Event {
    /// Everything as it is: at the start, whenever the app was too slow for the events, and after the client was
    /// suspended.
    Snapshot {
        /// It replaces what was shown.
        overview: Overview,
    },
    /// A thread is new here.
    ThreadAdded {
        /// Which.
        thread: ThreadId,
    },
    /// A message is new here, ours or theirs.
    MessageAdded {
        /// It.
        message: Message,
    },
    /// A message changed: its state, or its place.
    MessageChanged {
        /// How it is now, and where.
        message: Message,
        /// Where it was before.
        was: Position,
    },
    /// A message is gone: its sending was cancelled.
    MessageRemoved {
        /// The thread that it was in.
        thread: ThreadId,
        /// Which it was.
        id: MessageId,
        /// Where it was.
        position: Position,
    },
    /// The safety number with this user changed, or a device joined theirs that nobody vouches for. Sends to a verified
    /// user stop until the person accepts.
    IdentityChanged {
        /// Whose.
        user: UserId,
    },
    /// Messages of this thread are missing: the relay no longer has them.
    MessagesMissing {
        /// Which.
        thread: ThreadId,
    },
    /// The relay was restored from a backup. What it may have lost is submitted again.
    RelayRestored,
    /// This database was restored from a backup, or is a copy of another: what was received since the copy was made is not
    /// here. New sessions begin by themselves.
    DatabaseRestored,
    /// The relay says a time that cannot be right. It is not believed.
    RelayClockWrong {
        /// What it says, in milliseconds since 1970.
        relay_ms: i64,
    },
    /// The connection changed.
    ConnectionChanged {
        /// How it is now.
        state: ConnectionState,
    },
    /// A part of the client cannot do its work, or for another reason than before. It goes on trying.
    PartFailed {
        /// Which, and why.
        failed: FailedPart,
    },
    /// A part that could not do its work does it again.
    PartRecovered {
        /// Which.
        part: Part,
    },
}

impl Event {
    /// An event of a kind that the binding does not know is none.
    pub(crate) fn known(update: core::Update) -> Option<Self> {
        let event = match update {
            core::Update::Snapshot(overview) => return Some(Self::Snapshot { overview: overview.into() }),
            core::Update::Event(event) => event,
        };
        Some(match event {
            core::Event::ThreadAdded(thread) => Self::ThreadAdded { thread },
            core::Event::MessageAdded(message) => Self::MessageAdded { message: message.into() },
            core::Event::MessageChanged { message, was } => {
                Self::MessageChanged { message: message.into(), was }
            }
            core::Event::MessageRemoved { thread, id, position } => {
                Self::MessageRemoved { thread, id, position }
            }
            core::Event::IdentityChanged(user) => Self::IdentityChanged { user },
            core::Event::MessagesMissing { thread, .. } => Self::MessagesMissing { thread },
            core::Event::RelayRestored => Self::RelayRestored,
            core::Event::DatabaseRestored => Self::DatabaseRestored,
            core::Event::RelayClockWrong { relay_ms } => {
                Self::RelayClockWrong { relay_ms: i64::try_from(relay_ms).unwrap_or(i64::MAX) }
            }
            core::Event::Connection(state) => Self::ConnectionChanged { state: state.into() },
            core::Event::PartFailed(failed) => Self::PartFailed { failed: failed.into() },
            core::Event::PartRecovered(part) => Self::PartRecovered { part: part.into() },
            _ => return None,
        })
    }
}

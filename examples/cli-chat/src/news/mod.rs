//! What the screen and the client tell each other: requests in one direction, news in the other.
//!
//! Further kinds of content are further bodies and marks of a [`Row`]; what a person does with them are further requests.

mod request;

use std::ops::Range;

use sealpost_core::{CallEnd, CallId, ConnectionState, Folder, MessageId, ThreadId, TrustState, WaitReason};

pub(crate) use request::{Asked, CallStep, Change, Overview, Request, Setting, Who};

use crate::marked::Marked;
use crate::text::Shown;

/// What has happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum News {
    /// A list of chats, as far as it was asked for, and the number of requests.
    Chats {
        folder: Folder,
        chats: Vec<Chat>,
        has_more: bool,
        requests: usize,
    },
    Connection(ConnectionState),
    /// A chat was opened, with these messages.
    Opened {
        thread: ThreadId,
        name: Shown,
        rows: Rows,
        around: Option<MessageId>,
        /// What was being written in it.
        draft: Option<String>,
    },
    NotOpened {
        thread: ThreadId,
        why: String,
    },
    /// The other person in the open chat.
    Peer {
        thread: ThreadId,
        peer: Peer,
    },
    /// The user of a `Meet` is there.
    Met {
        thread: ThreadId,
        name: Shown,
    },
    /// The messages of the open chat have changed.
    Rows {
        thread: ThreadId,
        rows: Rows,
    },
    Trust {
        thread: ThreadId,
        trust: TrustState,
    },
    /// There is none before the first message.
    SafetyNumber {
        thread: ThreadId,
        number: Option<String>,
    },
    /// Whether the digits that the person entered are the safety number.
    Compared {
        thread: ThreadId,
        are_equal: bool,
    },
    Found {
        words: String,
        thread: Option<ThreadId>,
        found: Vec<Found>,
    },
    /// A call has begun or has another state.
    Call(Call),
    /// Nobody was called.
    NotCalled {
        thread: ThreadId,
        why: String,
    },
    /// What was asked to be shown, in lines.
    Sheet {
        title: &'static str,
        lines: Vec<Shown>,
    },
    /// A text was not queued; it must not be lost.
    NotQueued {
        thread: ThreadId,
        text: String,
        why: String,
    },
    /// The deletion of a message was not taken back, but can still be.
    NotRestored {
        thread: ThreadId,
        message: MessageId,
    },
    /// A message cannot be discarded, because it may have left already.
    MayHaveLeft(MessageId),
    Note(String),
}

/// A call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) id: CallId,
    pub(crate) thread: ThreadId,
    pub(crate) with: Shown,
    pub(crate) stage: CallStage,
}

/// The state of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallStage {
    /// We call.
    Calling,
    /// They call.
    Ringing {
        is_video: bool,
    },
    Answered,
    /// It was not ended by us.
    Ended(CallEnd),
    /// We have ended it by this step.
    EndedByUs(CallStep),
}

/// A chat in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chat {
    pub(crate) thread: ThreadId,
    pub(crate) name: Shown,
    pub(crate) unread: u64,
    pub(crate) activity_ms: u64,
    /// The beginning of the newest message, with its tick if it is ours.
    pub(crate) newest: Option<(Shown, Option<Tick>)>,
    pub(crate) draft: Option<Shown>,
    pub(crate) marks: Marks,
}

/// What a list shows of a chat besides its messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) is_verified: bool,
    pub(crate) is_pinned: bool,
    pub(crate) is_muted: bool,
    pub(crate) is_marked_unread: bool,
    /// In an unread message.
    pub(crate) is_mentioned: bool,
    pub(crate) is_blocked: bool,
}

/// What the title of a chat shows of the other person.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) is_request: bool,
    pub(crate) is_blocked: bool,
    pub(crate) is_typing: bool,
    pub(crate) is_present: bool,
    pub(crate) last_seen_ms: Option<u64>,
    /// Whether they are told that we are here.
    pub(crate) shares_presence: bool,
    /// After which messages disappear; 0 if they do not.
    pub(crate) timer_s: u32,
}

/// The messages of a chat that are loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    /// Oldest first.
    pub(crate) rows: Vec<Row>,
    pub(crate) has_older: bool,
    pub(crate) has_newer: bool,
}

/// A message as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) id: MessageId,
    pub(crate) sent_ms: u64,
    pub(crate) author: Author,
    pub(crate) body: Body,
    /// The places of what was searched for, in bytes.
    pub(crate) found: Vec<Range<usize>>,
    pub(crate) is_pinned: bool,
    /// Why it has not been sent yet, if it is ours and waits.
    pub(crate) waits: Option<WaitReason>,
    /// The message that it replies to, if that is here.
    pub(crate) quoted: Option<MessageId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Author {
    Us(Tick),
    Them { read: bool },
}

/// The state of our message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tick {
    Queued,
    Sent,
    Delivered,
    Read,
    Failed(sealpost_core::FailReason),
    Expired,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    Text(Shown),
    /// A contact card or a location.
    Content(Shown),
    Poll(Shown),
    /// There is nothing to read, for this reason.
    Unreadable(Shown),
}

/// A message that a search has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) thread: ThreadId,
    pub(crate) message: MessageId,
    pub(crate) chat: Shown,
    pub(crate) is_ours: bool,
    pub(crate) sent_ms: u64,
    /// In one line.
    pub(crate) text: Marked,
}

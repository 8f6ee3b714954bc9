//! What the screen and the client tell each other: requests in one direction, news in the other.
//!
//! Further kinds of content are further bodies and marks of a [`Row`]; what a person does with them are further requests.

use sealpost_core::{ConnectionState, Folder, MessageId, ThreadId, TrustState};

use crate::text::Shown;

/// What the client is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    /// Opens a chat at its newest messages, or around one message.
    Open {
        thread: ThreadId,
        around: Option<MessageId>,
    },
    /// Opens the chat with a name or a user id, as soon as there is such a user.
    Meet(String),
    Send {
        thread: ThreadId,
        text: String,
    },
    /// Opens the note to self.
    Note,
    MarkRead {
        thread: ThreadId,
        up_to: MessageId,
    },
    /// Adds a page before the oldest message that is shown.
    Older,
    /// Adds a page after the newest message that is shown.
    Newer,
    /// Adds chats to the end of the list.
    MoreChats,
    Search(String),
    SafetyNumber(ThreadId),
    Verify {
        thread: ThreadId,
        digits: String,
    },
    /// A request, or a changed safety number.
    Accept(ThreadId),
    Change(ThreadId, Change),
    Set(ThreadId, Setting),
    Block {
        who: Who,
        is_blocked: bool,
    },
    /// Shows another list.
    Folder(Folder),
    /// Keeps what is being written.
    Draft {
        thread: ThreadId,
        text: String,
    },
    Typing {
        thread: ThreadId,
        is_typing: bool,
    },
    /// Answered by [`News::Sheet`].
    Show(ThreadId, Asked),
    /// Changes our profile.
    Profile {
        name: String,
        about: String,
    },
    Retry {
        thread: ThreadId,
        messages: Vec<MessageId>,
    },
    Discard {
        thread: ThreadId,
        message: MessageId,
    },
    GiveUp {
        thread: ThreadId,
        message: MessageId,
    },
}

/// What a person does with a message that is there, or sends into the chat besides texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Reply {
        message: MessageId,
        text: String,
    },
    /// Without an emoji, the reaction is taken back.
    React {
        message: MessageId,
        emoji: String,
    },
    Edit {
        message: MessageId,
        text: String,
    },
    /// For everyone.
    Delete(MessageId),
    /// On this device.
    Hide(MessageId),
    /// Takes that back.
    Restore(MessageId),
    Pin {
        message: MessageId,
        is_pinned: bool,
    },
    /// To the chat with a name or a user id.
    Forward {
        message: MessageId,
        to: String,
    },
    /// Places of options, from 0.
    Vote {
        poll: MessageId,
        choices: Vec<u32>,
    },
    Poll {
        question: String,
        options: Vec<String>,
        is_multiple: bool,
    },
    Card {
        name: String,
        phone: String,
        email: String,
    },
    Location {
        latitude_e7: i32,
        longitude_e7: i32,
        name: String,
    },
    Timer {
        seconds: u32,
    },
}

/// What a person decides about a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    Archived(bool),
    /// Pinned to the top of the list.
    OnTop(bool),
    /// Without hours, for ever.
    Muted {
        hours: Option<u64>,
    },
    /// No longer muted.
    Loud,
    MarkedUnread,
    /// Whether the other person is told that we are here.
    Presence(bool),
    /// The whole chat, on this device.
    Deleted,
}

/// Somebody in a chat, or with a name or a user id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Who {
    Thread(ThreadId),
    Name(String),
}

/// What can be shown on a sheet of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Details(MessageId),
    Pins,
    Profiles,
    Blocked,
}

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
        found: Vec<Found>,
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
    /// A message cannot be discarded, because it may have left already.
    MayHaveLeft(MessageId),
    Note(String),
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
    pub(crate) is_pinned: bool,
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
    pub(crate) text: Shown,
}

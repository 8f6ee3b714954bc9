//! What the screen asks of the client.

use sealpost_core::{CallId, Folder, MessageId, PrivacySetting, ThreadId};

use crate::groups::InGroup;

/// What the client is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    /// Opens a chat at its newest messages, or around one message.
    Open {
        thread: ThreadId,
        around: Option<MessageId>,
    },
    /// Opens a chat around a message that the last search has found.
    OpenFound {
        thread: ThreadId,
        message: MessageId,
    },
    /// Opens the chat with a name or a user id, as soon as there is such a user.
    Meet(String),
    Send {
        thread: ThreadId,
        text: String,
    },
    /// Creates a group with people, and opens it.
    NewGroup {
        title: String,
        people: Vec<String>,
    },
    InGroup(ThreadId, InGroup),
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
    /// In a chat, or in all chats.
    Search {
        words: String,
        thread: Option<ThreadId>,
    },
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
    /// Answered by [`super::News::Sheet`].
    Show(ThreadId, Asked),
    /// Answered by [`super::News::Sheet`], too.
    Overview(Overview),
    /// Sets whether others are told something: in a chat, or in all chats.
    Privacy {
        thread: Option<ThreadId>,
        what: PrivacySetting,
        is_on: bool,
    },
    /// Deletes messages that are older than so many days: in a chat, or in all chats.
    CleanUp {
        thread: Option<ThreadId>,
        days: u64,
    },
    /// Changes our profile.
    Profile {
        name: String,
        about: String,
    },
    Retry {
        thread: ThreadId,
        messages: Vec<MessageId>,
    },
    /// Calls the other person in a chat.
    Call(ThreadId),
    /// Takes a step in a call.
    InCall(ThreadId, CallId, CallStep),
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
    Link {
        url: String,
        title: String,
        description: String,
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
    /// The whole chat, on this device.
    Deleted,
}

/// What a person does in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallStep {
    Answer,
    Decline,
    /// Does not take it, because there is another call.
    SayBusy,
    HangUp,
}

/// Somebody in a chat, or with a name or a user id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Who {
    Thread(ThreadId),
    Name(String),
}

/// What can be shown of a chat on a sheet of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Details(MessageId),
    Pins,
    Links,
    Profiles,
    Report,
    Members,
}

/// What can be shown on a sheet although no chat is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overview {
    Blocked,
    Storage,
    /// What others are told: in all chats, and in the open one.
    Privacy(Option<ThreadId>),
}

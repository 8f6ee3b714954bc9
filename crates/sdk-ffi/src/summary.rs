//! What lists of threads show.

use std::fmt;

use sealpost_core as core;

use crate::{
    ConnectionState, FailedPart, Message, ThreadCursor, ThreadId, ThreadKind, TrustState, UserId, millis,
};

/// What a list of threads shows.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Overview {
    /// The state of the connection.
    pub connection: ConnectionState,
    /// The first 50 chats: the pinned ones, then the others, ordered by their newest message.
    #[uniffi(default = [])]
    pub threads: Vec<ThreadSummary>,
    /// Where the next page of threads starts; none if there is none.
    #[uniffi(default = None)]
    pub next: Option<ThreadCursor>,
    /// The parts of the client that cannot do their work, with the reasons; normally none.
    #[uniffi(default = [])]
    pub failing: Vec<FailedPart>,
}

impl From<core::Overview> for Overview {
    fn from(overview: core::Overview) -> Self {
        let threads = overview.threads.into_iter().map(ThreadSummary::from).collect();
        let failing = overview.failing.into_iter().map(FailedPart::from).collect();
        Self { connection: overview.connection.into(), threads, next: overview.next, failing }
    }
}

/// A list of threads. Each thread is in one of them, or in none after it was deleted on this device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum Folder {
    /// The chats.
    Chats,
    /// Chats that the person has put away. A new message takes a chat out of the archive, unless the chat is muted.
    Archive,
    /// Message requests: threads that strangers have begun and that the person has not accepted.
    Requests,
}

impl From<Folder> for core::Folder {
    fn from(folder: Folder) -> Self {
        match folder {
            Folder::Chats => Self::Chats,
            Folder::Archive => Self::Archive,
            Folder::Requests => Self::Requests,
        }
    }
}

impl Folder {
    /// None for a list that the binding does not know.
    fn known(folder: core::Folder) -> Option<Self> {
        match folder {
            core::Folder::Chats => Some(Self::Chats),
            core::Folder::Archive => Some(Self::Archive),
            core::Folder::Requests => Some(Self::Requests),
            _ => None,
        }
    }
}

/// A thread in a list.
#[derive(Clone, PartialEq, Eq, uniffi::Record)]
#[uniffi::export(Debug)]
pub struct ThreadSummary {
    /// The id of the thread.
    pub id: ThreadId,
    /// Its place in its list. Places are compared as strings: the thread with the greatest one is the first.
    pub place: ThreadCursor,
    /// The kind of the thread.
    pub kind: ThreadKind,
    /// How far the person trusts the other member of a direct thread. `FirstUse` in a group, in which each member is trusted for themselves
    /// (`Client.trust_state`).
    pub trust: TrustState,
    /// The list that the thread is in; none after it was deleted on this device.
    #[uniffi(default = None)]
    pub folder: Option<Folder>,
    /// The other member of a direct thread. Empty in the note to self and in a group, whose members are `Group.members`.
    #[uniffi(default = [])]
    pub others: Vec<UserId>,
    /// Whether the other member of a direct thread is blocked.
    #[uniffi(default = false)]
    pub is_blocked: bool,
    /// Whether a stranger has begun the thread, and the person has not accepted it.
    #[uniffi(default = false)]
    pub is_request: bool,
    /// When its newest message was stored, by the relay's clock, in milliseconds since the Unix epoch. The threads of a list that are
    /// not pinned are ordered by this.
    #[uniffi(default = 0)]
    pub activity_ms: i64,
    /// The number of unread messages.
    #[uniffi(default = 0)]
    pub unread: u32,
    /// How many of the unread messages mention us, or reply to a message of ours.
    #[uniffi(default = 0)]
    pub mentions: u32,
    /// Whether the person has marked the thread as unread. Reading it takes the mark away.
    #[uniffi(default = false)]
    pub is_marked_unread: bool,
    /// Until when the thread is muted, in milliseconds since the Unix epoch; a time far ahead for ever, none if it was not muted. The
    /// time may have passed.
    #[uniffi(default = None)]
    pub muted_until_ms: Option<i64>,
    /// Whether the person has pinned the thread.
    #[uniffi(default = false)]
    pub is_pinned: bool,
    /// What the person was writing, at most 48,000 bytes of UTF-8.
    #[uniffi(default = None)]
    pub draft: Option<String>,
    /// Its newest message, whose body says of which kind it is; none in a new thread.
    #[uniffi(default = None)]
    pub newest: Option<Message>,
    /// The name in the profile of the other member of a direct thread, as it can be shown in one line; empty if there is none.
    #[uniffi(default = "")]
    pub displayable_name: String,
    /// How many members it has, ourselves included.
    #[uniffi(default = 0)]
    pub members: u32,
}

impl From<core::ThreadSummary> for ThreadSummary {
    fn from(thread: core::ThreadSummary) -> Self {
        Self {
            id: thread.id,
            place: thread.place,
            kind: thread.kind.into(),
            trust: thread.trust.into(),
            folder: thread.folder.and_then(Folder::known),
            others: thread.others,
            is_blocked: thread.is_blocked,
            is_request: thread.is_request,
            activity_ms: millis(thread.activity_ms),
            unread: count(thread.unread),
            mentions: count(thread.mentions),
            is_marked_unread: thread.is_marked_unread,
            muted_until_ms: thread.muted_until_ms.map(millis),
            is_pinned: thread.is_pinned,
            draft: thread.draft,
            newest: thread.newest.map(Message::from),
            displayable_name: thread.displayable_name,
            members: thread.members,
        }
    }
}

/// Contains nothing that a person wrote, so that it cannot end up in a log.
impl fmt::Debug for ThreadSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadSummary")
            .field("id", &self.id)
            .field("folder", &self.folder)
            .field("others", &self.others)
            .field("activity_ms", &self.activity_ms)
            .field("unread", &self.unread)
            .field("newest", &self.newest)
            .finish_non_exhaustive()
    }
}

/// A page of a list of threads.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct ThreadPage {
    /// The pinned threads in their order, then the others, ordered by their newest message.
    #[uniffi(default = [])]
    pub threads: Vec<ThreadSummary>,
    /// Where the next page starts; none if there is none.
    #[uniffi(default = None)]
    pub next: Option<ThreadCursor>,
}

impl From<core::ThreadPage> for ThreadPage {
    fn from(page: core::ThreadPage) -> Self {
        Self { threads: page.threads.into_iter().map(ThreadSummary::from).collect(), next: page.next }
    }
}

/// How much is unread, for the badge of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct UnreadTotals {
    /// The number of chats with unread messages, or that the person has marked as unread.
    #[uniffi(default = 0)]
    pub threads: u32,
    /// The number of unread messages in them.
    #[uniffi(default = 0)]
    pub messages: u32,
}

impl From<core::UnreadTotals> for UnreadTotals {
    fn from(totals: core::UnreadTotals) -> Self {
        Self { threads: count(totals.threads), messages: count(totals.messages) }
    }
}

fn count(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

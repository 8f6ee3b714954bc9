//! What a list shows of a thread.

use std::fmt;

use crate::error::Result;
use crate::id::{ThreadId, UserId};
use crate::message::Message;
use crate::name::displayable_name;
use crate::store::{Folder, Listed, Other, Rows, ThreadCursor, ThreadKind, TrustState};

/// A thread in a list.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadSummary {
    /// The id of the thread.
    pub id: ThreadId,
    /// The list that the thread is in; none after it was deleted on this device.
    pub folder: Option<Folder>,
    /// Its place in that list: the thread with the greatest one is the first.
    pub place: ThreadCursor,
    /// The kind of the thread.
    pub kind: ThreadKind,
    /// The other member of a direct thread. Empty in the note to self and in a group, whose members are
    /// [`Thread::others`](crate::Thread::others).
    pub others: Vec<UserId>,
    /// How many members it has, ourselves included.
    pub members: u32,
    /// The name in the profile of the other member of a direct thread, as it can be shown ([`displayable_name`](crate::displayable_name));
    /// empty if there is none.
    pub displayable_name: String,
    /// How far the person trusts the other member of a direct thread. In a group, [`FirstUse`](TrustState::FirstUse): each member is
    /// trusted for themselves ([`Contact::trust`](crate::Contact::trust)).
    pub trust: TrustState,
    /// Whether the other member of a direct thread is blocked.
    pub is_blocked: bool,
    /// Whether a stranger has begun the thread, and the person has not accepted it.
    pub is_request: bool,
    /// When its newest message was stored, by the relay's clock, in milliseconds since the Unix epoch. The threads of a list that are
    /// not pinned are ordered by this.
    pub activity_ms: u64,
    /// The number of unread messages.
    pub unread: u64,
    /// How many of the unread messages mention us, or reply to a message of ours.
    pub mentions: u64,
    /// Whether the person has marked the thread as unread. Reading it takes the mark away.
    pub is_marked_unread: bool,
    /// Until when the thread is muted, in milliseconds since the Unix epoch; [`u64::MAX`] or a time far ahead for ever, none if it was
    /// not muted. The time may have passed.
    pub muted_until_ms: Option<u64>,
    /// Whether the person has pinned the thread.
    pub is_pinned: bool,
    /// What the person was writing, at most [`MAX_TEXT`](crate::MAX_TEXT) bytes of UTF-8.
    pub draft: Option<String>,
    /// Its newest message, whose body says of which kind it is; none in a new thread.
    pub newest: Option<Message>,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadPage {
    /// The pinned threads in their order, then the others, ordered by their newest message.
    pub threads: Vec<ThreadSummary>,
    /// Where the next page starts; none if there is none.
    pub next: Option<ThreadCursor>,
}

/// How much is unread, for the badge of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct UnreadTotals {
    /// The number of chats with unread messages, or that the person has marked as unread.
    pub threads: u64,
    /// The number of unread messages in them.
    pub messages: u64,
}

impl ThreadPage {
    pub(crate) fn read(
        rows: &Rows<'_>,
        folder: Folder,
        after: Option<ThreadCursor>,
        limit: u32,
    ) -> Result<Self> {
        let (threads, next) = rows.thread_page(folder, after, limit)?;
        Ok(Self { threads: threads.into_iter().map(ThreadSummary::from).collect(), next })
    }
}

impl From<Listed> for ThreadSummary {
    fn from(listed: Listed) -> Self {
        let Listed { id, place, folder, kind, others, members, activity_ms, unread, mentions, .. } = listed;
        Self {
            id,
            folder,
            place,
            kind,
            trust: least_trust(&others),
            is_blocked: kind == ThreadKind::Direct && others.iter().any(|other| other.is_blocked),
            displayable_name: match (kind, &others[..]) {
                (ThreadKind::Direct, [other]) => displayable_name(&other.name),
                _ => String::new(),
            },
            others: others.into_iter().map(|other| other.user).collect(),
            members,
            is_request: listed.is_request,
            activity_ms,
            unread,
            mentions,
            is_marked_unread: listed.is_marked_unread,
            muted_until_ms: listed.muted_until_ms,
            is_pinned: place.is_pinned(),
            draft: listed.draft,
            newest: listed.newest,
        }
    }
}

fn least_trust(others: &[Other]) -> TrustState {
    let has = |trust| others.iter().any(|other| other.trust == trust);
    if has(TrustState::ChangedSinceVerified) {
        TrustState::ChangedSinceVerified
    } else if has(TrustState::FirstUse) || others.is_empty() {
        TrustState::FirstUse
    } else {
        TrustState::Verified
    }
}

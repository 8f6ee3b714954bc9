//! The items of a bootstrap: what one device of an account tells another about the people, the threads and the messages that it knows.

use std::fmt;

use prost::Message as _;

use super::account_state::AccountState;
use super::in_thread::{InThread, position, time, user};
use super::message_item::{MessageItem, VersionsItem};
use super::profile::Revised;
use super::timer::Timer;
use super::{ContentError, Post, proto};
use crate::id::UserId;

/// Maximum size of a device list, in bytes.
const MAX_LIST: usize = 1_024;
/// Maximum number of account keys that are passed on of those that an account had before.
pub(crate) const MAX_REPLACED: usize = 16;
/// The size of an account key.
const KEY: usize = 33;

/// One item.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Item {
    Contact(Box<ContactItem>),
    /// Settings that belong to no contact and no thread, and our own profile.
    State(AccountState),
    Thread(Box<ThreadItem>),
    Message(Box<MessageItem>),
    Versions(VersionsItem),
}

/// Somebody whom the account knows, and what the person has decided about them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ContactItem {
    pub(crate) user: UserId,
    pub(crate) account_key: Option<[u8; KEY]>,
    /// The newest device list, as it was signed.
    pub(crate) list: Option<Vec<u8>>,
    /// The account keys before.
    pub(crate) replaced: Vec<[u8; KEY]>,
    /// 0 if they are not blocked.
    pub(crate) blocked_ms: u64,
    pub(crate) profile: Option<Revised>,
    pub(crate) state: AccountState,
}

/// A thread, and what the person has decided about it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ThreadItem {
    pub(crate) of: InThread,
    pub(crate) created_ms: u64,
    pub(crate) activity_ms: u64,
    /// As it is stored.
    pub(crate) folder: u32,
    pub(crate) is_request: bool,
    pub(crate) timer: Timer,
    pub(crate) timer_position: u64,
    /// Every post up to this one is accounted for.
    pub(crate) seen: Post,
    pub(crate) state: AccountState,
}

impl Item {
    pub(super) fn write(&self) -> proto::Item {
        let item = match self {
            Self::Contact(contact) => proto::item::Item::Contact(contact.write()),
            Self::State(state) => proto::item::Item::State(state.to_proto()),
            Self::Thread(thread) => proto::item::Item::Thread(thread.write()),
            Self::Message(message) => proto::item::Item::Message(message.write()),
            Self::Versions(versions) => proto::item::Item::Versions(versions.write()),
        };
        proto::Item { item: Some(item) }
    }

    /// # Errors
    /// [`ContentError::Malformed`]; [`ContentError::Unknown`] for an item that a later version has introduced.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, ContentError> {
        #[expect(clippy::disallowed_methods, reason = "an item has no repeated fields")]
        let item = proto::Item::decode(bytes).map_err(|_| ContentError::Malformed)?;
        Ok(match item.item.ok_or(ContentError::Unknown)? {
            proto::item::Item::Contact(contact) => Self::Contact(Box::new(ContactItem::read(contact)?)),
            proto::item::Item::State(state) => Self::State(AccountState::read(&state)?),
            proto::item::Item::Thread(thread) => Self::Thread(Box::new(ThreadItem::read(thread)?)),
            proto::item::Item::Message(message) => Self::Message(Box::new(MessageItem::read(message)?)),
            proto::item::Item::Versions(versions) => Self::Versions(VersionsItem::read(&versions)?),
        })
    }
}

impl ContactItem {
    fn write(&self) -> proto::ContactItem {
        proto::ContactItem {
            user: self.user.as_bytes().to_vec(),
            account_key: self.account_key.map(Vec::from).unwrap_or_default(),
            list: self.list.clone().unwrap_or_default(),
            replaced: self.replaced.concat(),
            blocked_ms: self.blocked_ms,
            profile: self.profile.as_ref().map(Revised::to_proto),
            state: Some(self.state.to_proto()),
        }
    }

    fn read(contact: proto::ContactItem) -> Result<Self, ContentError> {
        let (keys, rest) = contact.replaced.as_chunks::<KEY>();
        let account_key = match &contact.account_key[..] {
            [] => None,
            key => Some(key.try_into().map_err(|_| ContentError::Malformed)?),
        };
        if !rest.is_empty() || keys.len() > MAX_REPLACED || contact.list.len() > MAX_LIST {
            return Err(ContentError::Malformed);
        }
        Ok(Self {
            user: user(&contact.user)?,
            account_key,
            replaced: keys.to_vec(),
            list: Some(contact.list).filter(|list| !list.is_empty()),
            blocked_ms: time(contact.blocked_ms)?,
            profile: contact.profile.map(Revised::read).transpose()?,
            state: AccountState::read(&contact.state.unwrap_or_default())?,
        })
    }
}

impl ThreadItem {
    fn write(&self) -> proto::ThreadItem {
        proto::ThreadItem {
            thread: self.of.thread.as_bytes().to_vec(),
            peer: self.of.peer_bytes(),
            roster_version: self.of.roster_version,
            created_ms: self.created_ms,
            activity_ms: self.activity_ms,
            folder: self.folder,
            request: self.is_request,
            timer_s: self.timer.seconds(),
            timer_position: self.timer_position,
            seen: Some(proto::Post { epoch: self.seen.epoch, server_seq: self.seen.server_seq }),
            state: Some(self.state.to_proto()),
        }
    }

    fn read(item: proto::ThreadItem) -> Result<Self, ContentError> {
        let seen = item.seen.ok_or(ContentError::Malformed)?;
        if item.folder > 3 {
            return Err(ContentError::Malformed);
        }
        Ok(Self {
            of: InThread::read((&item.thread, &item.peer), item.roster_version)?,
            created_ms: time(item.created_ms)?,
            activity_ms: time(item.activity_ms)?,
            folder: item.folder,
            is_request: item.request,
            timer: Timer::read(item.timer_s)?,
            timer_position: position(item.timer_position)?,
            seen: Post { epoch: time(seen.epoch)?, server_seq: time(seen.server_seq)? },
            state: AccountState::read(&item.state.unwrap_or_default())?,
        })
    }
}

/// Contains nothing that a person wrote, and nobody's id.
impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Contact(_) => "Contact(..)",
            Self::State(_) => "State(..)",
            Self::Thread(_) => "Thread(..)",
            Self::Message(_) => "Message(..)",
            Self::Versions(_) => "Versions(..)",
        })
    }
}

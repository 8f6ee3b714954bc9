//! What a device tells the other devices of its account about what the person has decided: read marks, muted threads, drafts and the
//! like. A content has any number of items. Each names what it is about, and says what that is now.
//!
//! Most of them are registers: the change with the highest [`Stamp`] counts. The others can only grow, so that their order is irrelevant
//! ([`StateKey::is_register`]).

mod read;
mod stamp;
mod value;

use super::{ContentError, Target, proto};
use crate::id::{DeviceId, ThreadId, UserId};

pub(crate) use read::ReadSet;
pub(crate) use stamp::Stamp;
pub(crate) use value::StateValue;

/// Maximum size of the items of a content, in bytes. A frame of the relay holds the copies for all devices of an account.
pub(crate) const MAX_STATE_BYTES: usize = 12_000;
/// Maximum size of the name of a device, in bytes.
pub const MAX_DEVICE_NAME: usize = 256;
/// Maximum size of a draft that is told, in bytes. A longer one stays on its device.
pub(crate) const MAX_STATE_DRAFT: usize = 8_000;

/// The longest key: a user and an account key.
const MAX_KEY: usize = 16 + ACCOUNT_KEY;
const ACCOUNT_KEY: usize = 33;
/// Kind, stamp, length of the key, and length of the value.
const HEAD: usize = 1 + 8 + 1 + 1 + 2;

/// What an item is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StateKey {
    /// Until when a thread is muted.
    Muted(ThreadId),
    /// Whether a thread is in the archive.
    Archived(ThreadId),
    /// The rank of a thread among the pinned ones.
    Pinned(ThreadId),
    /// Whether the person has marked a thread as unread.
    MarkedUnread(ThreadId),
    /// What the person is writing in a thread.
    Draft(ThreadId),
    /// Whether a user is blocked.
    Blocked(UserId),
    /// How far the person trusts this account key of a user.
    Trust(UserId, [u8; ACCOUNT_KEY]),
    /// Whether others are told something, in a thread or in all of them; the settings are numbered.
    Privacy(Option<ThreadId>, u8),
    /// That a thread is not a request.
    Accepted(ThreadId),
    /// Which messages of a thread have been read.
    Read(ThreadId),
    /// Up to where the history of a thread was deleted.
    Cleared(ThreadId),
    /// When the timer of a message began to run.
    TimerStarted(Target),
    /// That a message was deleted on the person's own devices.
    DeletedForMe(Target),
    /// Our own profile.
    Profile,
    /// The name of a device of ours.
    DeviceName(DeviceId),
}

impl StateKey {
    /// The number of its kind, and the rest of it. Both are stored and sent.
    pub(crate) fn parts(&self) -> (u8, Vec<u8>) {
        let target = |target: &Target| [*target.author.as_bytes(), *target.id.as_bytes()].concat();
        match self {
            Self::Muted(thread) => (1, thread.as_bytes().to_vec()),
            Self::Archived(thread) => (2, thread.as_bytes().to_vec()),
            Self::Pinned(thread) => (3, thread.as_bytes().to_vec()),
            Self::MarkedUnread(thread) => (4, thread.as_bytes().to_vec()),
            Self::Draft(thread) => (5, thread.as_bytes().to_vec()),
            Self::Blocked(user) => (6, user.as_bytes().to_vec()),
            Self::Trust(user, key) => (7, [user.as_bytes().as_slice(), key].concat()),
            Self::Privacy(None, setting) => (8, vec![*setting]),
            Self::Privacy(Some(thread), setting) => (8, [thread.as_bytes().as_slice(), &[*setting]].concat()),
            Self::Accepted(thread) => (9, thread.as_bytes().to_vec()),
            Self::Read(thread) => (10, thread.as_bytes().to_vec()),
            Self::Cleared(thread) => (11, thread.as_bytes().to_vec()),
            Self::TimerStarted(message) => (12, target(message)),
            Self::DeletedForMe(message) => (13, target(message)),
            Self::Profile => (14, Vec::new()),
            Self::DeviceName(device) => (15, vec![stamping(*device)]),
        }
    }

    /// The inverse of [`StateKey::parts`]; none for a kind of a later version.
    ///
    /// # Errors
    /// [`ContentError::Malformed`].
    pub(crate) fn of_parts(kind: u8, key: &[u8]) -> Result<Option<Self>, ContentError> {
        let malformed = |_| ContentError::Malformed;
        let thread = || ThreadId::from_slice(key).map_err(malformed);
        let user = |key: &[u8]| UserId::from_slice(key).map_err(malformed);
        let target = || {
            let (author, id) = key.split_at_checked(16).ok_or(ContentError::Malformed)?;
            Target::read(Some(proto::Target { author: author.to_vec(), id: id.to_vec() }))
        };
        Ok(Some(match kind {
            1 => Self::Muted(thread()?),
            2 => Self::Archived(thread()?),
            3 => Self::Pinned(thread()?),
            4 => Self::MarkedUnread(thread()?),
            5 => Self::Draft(thread()?),
            6 => Self::Blocked(user(key)?),
            7 => {
                let (of, key) = key.split_at_checked(16).ok_or(ContentError::Malformed)?;
                Self::Trust(user(of)?, key.try_into().map_err(|_| ContentError::Malformed)?)
            }
            8 => {
                let (setting, scope) = key.split_last().ok_or(ContentError::Malformed)?;
                let scope = match scope {
                    [] => None,
                    thread => Some(ThreadId::from_slice(thread).map_err(malformed)?),
                };
                Self::Privacy(scope, *setting)
            }
            9 => Self::Accepted(thread()?),
            10 => Self::Read(thread()?),
            11 => Self::Cleared(thread()?),
            12 => Self::TimerStarted(target()?),
            13 => Self::DeletedForMe(target()?),
            14 if key.is_empty() => Self::Profile,
            14 => return Err(ContentError::Malformed),
            15 => match key {
                [device] => Self::DeviceName(DeviceId::new(u32::from(*device)).map_err(malformed)?),
                _ => return Err(ContentError::Malformed),
            },
            _ => return Ok(None),
        }))
    }

    /// Whether the change with the highest stamp counts. The others need no stamp: they only grow.
    pub(crate) const fn is_register(&self) -> bool {
        match self {
            Self::Muted(_)
            | Self::Archived(_)
            | Self::Pinned(_)
            | Self::MarkedUnread(_)
            | Self::Draft(_)
            | Self::Blocked(_)
            | Self::Trust(..)
            | Self::Privacy(..)
            | Self::DeviceName(_) => true,
            Self::Accepted(_)
            | Self::Read(_)
            | Self::Cleared(_)
            | Self::TimerStarted(_)
            | Self::DeletedForMe(_)
            | Self::Profile => false,
        }
    }

    /// The thread without which it means nothing.
    pub(crate) const fn thread(&self) -> Option<ThreadId> {
        match self {
            Self::Muted(thread)
            | Self::Archived(thread)
            | Self::Pinned(thread)
            | Self::MarkedUnread(thread)
            | Self::Draft(thread)
            | Self::Accepted(thread)
            | Self::Read(thread)
            | Self::Cleared(thread) => Some(*thread),
            Self::Blocked(_)
            | Self::Trust(..)
            | Self::Privacy(..)
            | Self::TimerStarted(_)
            | Self::DeletedForMe(_)
            | Self::Profile
            | Self::DeviceName(_) => None,
        }
    }
}

/// What something is now, according to the device that has changed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StateItem {
    pub(crate) key: StateKey,
    pub(crate) value: StateValue,
    /// The first stamp of all if it was not changed since the account has several devices, or needs none.
    pub(crate) stamp: Stamp,
}

impl StateItem {
    /// Its size in a content, in bytes.
    pub(crate) fn size(&self) -> usize {
        HEAD.saturating_add(self.key.parts().1.len()).saturating_add(self.value.to_bytes().len())
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let ((kind, key), value) = (self.key.parts(), self.value.to_bytes());
        bytes.push(kind);
        bytes.extend(self.stamp.hlc.to_be_bytes());
        bytes.push(self.stamp.device);
        bytes.push(u8::try_from(key.len()).unwrap_or(u8::MAX));
        bytes.extend(key);
        bytes.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend(value);
    }

    /// The item at the beginning of these bytes, none if its kind is one of a later version, and what follows.
    fn read(bytes: &[u8]) -> Result<(Option<Self>, &[u8]), ContentError> {
        let (head, rest) = bytes.split_first_chunk::<11>().ok_or(ContentError::Malformed)?;
        let [kind, hlc @ .., device, key_length] = *head;
        let stamp = Stamp::new(u64::from_be_bytes(hlc), device).ok_or(ContentError::Malformed)?;
        let key_length = usize::from(key_length);
        if key_length > MAX_KEY {
            return Err(ContentError::Malformed);
        }
        let (key, rest) = rest.split_at_checked(key_length).ok_or(ContentError::Malformed)?;
        let (length, rest) = rest.split_first_chunk::<2>().ok_or(ContentError::Malformed)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (value, rest) = rest.split_at_checked(length).ok_or(ContentError::Malformed)?;
        let Some(key) = StateKey::of_parts(kind, key)? else { return Ok((None, rest)) };
        let value = StateValue::read(&key, value)?;
        Ok((Some(Self { key, value, stamp }), rest))
    }
}

/// The items of a content.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct AccountState {
    pub(crate) items: Vec<StateItem>,
}

impl AccountState {
    pub(super) fn to_proto(&self) -> proto::AccountState {
        let mut items = Vec::new();
        self.items.iter().for_each(|item| item.write(&mut items));
        proto::AccountState { items }
    }

    /// # Errors
    /// [`ContentError::Malformed`]: one item is, or they are too long.
    pub(super) fn read(state: &proto::AccountState) -> Result<Self, ContentError> {
        let mut rest = state.items.as_slice();
        if rest.len() > MAX_STATE_BYTES {
            return Err(ContentError::Malformed);
        }
        let mut items = Vec::new();
        while !rest.is_empty() {
            let (item, after) = StateItem::read(rest)?;
            items.extend(item);
            rest = after;
        }
        Ok(Self { items })
    }
}

/// The number of a device as stamps contain it: 1 to 127.
pub(crate) fn stamping(device: DeviceId) -> u8 {
    u8::try_from(device.get()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::content::{Profile, Revised};
    use crate::id::ClientMsgId;

    pub(super) fn one_of_each() -> Vec<StateItem> {
        let (thread, user) = (ThreadId::from_bytes([1; 16]), UserId::from_bytes([2; 16]));
        let message = Target { author: user, id: ClientMsgId::from_bytes([3; 16]) };
        let profile = Profile { name: "Ada".into(), about: "x".into(), avatar: vec![1, 2] };
        let stamp = Stamp::new(7 << 16, 2).unwrap();
        let item = |key, value| StateItem { key, value, stamp };
        let number = StateValue::Number;
        vec![
            item(StateKey::Muted(thread), number(1 << 62)),
            item(StateKey::Archived(thread), StateValue::Archived { is_archived: true, up_to: 9 }),
            item(StateKey::Pinned(thread), number(3)),
            item(StateKey::MarkedUnread(thread), number(1)),
            item(StateKey::Draft(thread), StateValue::Text("d".repeat(MAX_STATE_DRAFT))),
            item(StateKey::Blocked(user), number(0)),
            item(StateKey::Trust(user, [5; 33]), number(1)),
            item(StateKey::Privacy(None, 1), number(0)),
            item(StateKey::Privacy(Some(thread), 4), number(1)),
            item(StateKey::Accepted(thread), number(1)),
            item(StateKey::Read(thread), StateValue::Read(ReadSet::new(9, [3, 5]))),
            item(StateKey::Cleared(thread), number(8)),
            item(StateKey::TimerStarted(message), number(5)),
            item(StateKey::DeletedForMe(message), number(1)),
            item(StateKey::Profile, StateValue::Profile(Box::new(Revised { profile, revision: 7 }))),
            item(StateKey::DeviceName(DeviceId::PRIMARY), StateValue::Text("Ada's phone".into())),
        ]
    }

    fn bytes(items: &[StateItem]) -> Vec<u8> {
        let mut bytes = Vec::new();
        items.iter().for_each(|item| item.write(&mut bytes));
        bytes
    }

    fn read(items: Vec<u8>) -> Result<AccountState, ContentError> {
        AccountState::read(&proto::AccountState { items })
    }

    #[test]
    fn each_item_round_trips_and_has_its_size() {
        for item in one_of_each() {
            let bytes = bytes(std::slice::from_ref(&item));
            assert_eq!(bytes.len(), item.size(), "{item:?}");
            assert_eq!(read(bytes), Ok(AccountState { items: vec![item] }));
        }
        let items = one_of_each();
        assert_eq!(read(bytes(&items)), Ok(AccountState { items }));
    }

    #[test]
    fn an_item_of_a_later_version_is_left_out_and_a_damaged_one_refuses_all() {
        let first = one_of_each().remove(0);
        let mut later = bytes(std::slice::from_ref(&first));
        later[0] = 200;
        let both = [later, bytes(std::slice::from_ref(&first))].concat();
        assert_eq!(read(both.clone()), Ok(AccountState { items: vec![first] }));
        for end in 1..both.len() {
            // Between the items, it is whole.
            assert_eq!(read(both[..end].to_vec()).is_ok(), end == both.len() / 2, "{end}");
        }
        assert!(read(vec![0; MAX_STATE_BYTES + 1]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_written_as_they_were(
            kind in 0..17_u8,
            key in prop::collection::vec(any::<u8>(), 0..50),
            value in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let lengths = (u8::try_from(key.len()).unwrap(), u16::try_from(value.len()).unwrap().to_be_bytes());
            let head = [vec![kind], vec![0; 7], vec![1, 1, lengths.0]].concat();
            let whole = [head, key, lengths.1.to_vec(), value].concat();
            if let Ok(state) = read(whole.clone())
                && !state.items.is_empty()
            {
                prop_assert_eq!(bytes(&state.items), whole);
            }
        }
    }
}

//! The events of a client.

use sealpost_core as core;

use crate::{
    ConnectionState, DeviceId, FailReason, FailedPart, Message, MessageId, Overview, Part, Position, Report,
    ThreadId, UserId, millis,
};

/// An update of a `Feed`.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
#[expect(
    clippy::large_enum_variant,
    reason = "the bindings copy each value once, and a box would not reach them"
)]
pub enum Update {
    /// The complete state: at the start, whenever the app was too slow, and after the client was suspended.
    Snapshot {
        /// The state, which replaces what was shown.
        overview: Overview,
    },
    /// Something has changed since then.
    Event {
        /// The event.
        event: Event,
    },
}

impl Update {
    /// None for an event that the binding does not know.
    pub(crate) fn known(update: core::Update) -> Option<Self> {
        Some(match update {
            core::Update::Snapshot(overview) => Self::Snapshot { overview: overview.into() },
            core::Update::Event(event) => Self::Event { event: Event::known(event)? },
        })
    }
}

/// Something has changed.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum Event {
    /// A thread was added to this device.
    ThreadAdded {
        /// The thread.
        thread: ThreadId,
    },
    /// The list, the place in the list, or the settings of a thread have changed: whether it is pinned, muted, marked as unread or
    /// accepted, its draft, or whether somebody in it is blocked.
    ThreadChanged {
        /// The thread.
        thread: ThreadId,
    },
    /// A message was added, incoming or outgoing.
    MessageAdded {
        /// The message.
        message: Message,
    },
    /// The state or the position of a message has changed.
    MessageChanged {
        /// The message in its present state and position.
        message: Message,
        /// Its previous position.
        was: Position,
    },
    /// A message was removed because its sending was cancelled.
    MessageRemoved {
        /// The thread it was in.
        thread: ThreadId,
        /// Its id.
        id: MessageId,
        /// Its previous position.
        position: Position,
    },
    /// Messages of this thread were pinned or unpinned. `Thread.pinned` returns those that are pinned.
    PinsChanged {
        /// The thread.
        thread: ThreadId,
    },
    /// A change of a message was refused for good, and nobody else will see it. It was taken back on this device.
    ChangeFailed {
        /// The thread.
        thread: ThreadId,
        /// The message that it was about; none if that is not here any more.
        message: Option<MessageId>,
        /// What it was.
        change: ChangeKind,
        /// Why it was refused.
        reason: FailReason,
    },
    /// The safety number with this user has changed: their account has another key, or, if it signs no list of its devices, one of
    /// them has another key or was added. Sends to a verified user stop until the person accepts the change.
    IdentityChanged {
        /// The user.
        user: UserId,
    },
    /// The account of this user was moved to another of its devices, which has an account key of its own; the key before has signed that. The
    /// safety number has changed. Sends to a verified user stop until the person accepts the change.
    AccountMoved {
        /// The user.
        user: UserId,
    },
    /// The account of this user has signed a list with other devices: one was added or removed. The safety number is the same.
    DevicesChanged {
        /// The user.
        user: UserId,
    },
    /// A list of this user's devices was refused: their account has not signed it, or has signed another one with the same version,
    /// or has another key since; or somebody has another one with the same version. Nothing is sealed for its devices. If the user is we
    /// ourselves, other people were shown another list of our devices with the same version, and the next version is signed.
    DeviceListRefused {
        /// The user.
        user: UserId,
    },
    /// Somebody has named a later list of this user's devices, and the relay has not shown it for some minutes: it hides a device that was
    /// added, or, worse, that one was removed. It is asked again, and the list is used once it shows it.
    DeviceListHidden {
        /// The user.
        user: UserId,
    },
    /// A device was linked to our account. If the person did not do it, remove it (`Client.remove_device`). `Client.devices` has its
    /// name, on the devices that know it.
    DeviceLinked {
        /// The device.
        device: DeviceId,
    },
    /// A device of our account has another name: `Client.devices` has it.
    DeviceRenamed {
        /// The device.
        device: DeviceId,
    },
    /// A device of our account was removed, has left, or was not connected for 45 days.
    DeviceUnlinked {
        /// The device.
        device: DeviceId,
    },
    /// More of what a new companion gets from the primary device has come to it: contacts, settings, threads and messages. Reported on
    /// both devices.
    LinkProgress {
        /// How far it is.
        progress: LinkProgress,
    },
    /// This user, or a device of ours, has sent messages from before, although this device has not asked them for any; or part of what
    /// the primary device has sent cannot be true. It was refused.
    BootstrapRefused {
        /// The user.
        user: UserId,
    },
    /// The person has reported a user (`Client.report`).
    Reported {
        /// What the report contains.
        report: Report,
    },
    /// This user, or we ourselves, have another profile (`Client.profiles`, `Client.profile`).
    ProfileChanged {
        /// The user.
        user: UserId,
    },
    /// Old messages of all threads are being deleted on this device (`Client.deleteOlder`). It is done when no thread is left. After a
    /// restart, it is continued, and counted from there.
    CleaningUp {
        /// The number of messages that were deleted so far.
        deleted: u64,
        /// The number of threads in which messages are still to be examined.
        threads_left: u64,
    },
    /// Somebody began or stopped writing in a thread. They are shown as writing for five seconds, or until their message arrives.
    /// `Thread.typing` returns everybody who is.
    TypingChanged {
        /// The thread.
        thread: ThreadId,
        /// Who.
        user: UserId,
        /// Whether they are writing now.
        is_typing: bool,
    },
    /// A contact who shares it said that they are there, or have gone, or said nothing for 60 seconds. See `Client.presence`.
    PresenceChanged {
        /// Who.
        user: UserId,
        /// Whether they are there now.
        is_present: bool,
    },
    /// Messages of this thread are missing, because the relay no longer has them, or because this database is damaged and could
    /// neither store nor keep them.
    MessagesMissing {
        /// The thread. If the database is damaged, it may not be on this device.
        thread: ThreadId,
    },
    /// The order of this thread, or the numbers of somebody's messages in it, contradict what their authors have stated: the relay or
    /// an author is not honest, or a database was restored from a copy and nobody could notice. Messages are shown in an order
    /// that does not contradict their authors.
    OrderContradicted {
        /// The thread.
        thread: ThreadId,
    },
    /// A member of this group has signed a change that they may not make, or the relay has made one up. It has no effect.
    EntryRefused {
        /// The group.
        thread: ThreadId,
        /// Who is named as its author.
        user: UserId,
    },
    /// A change of this group that was made on this device has no effect: somebody has changed the group before, and it is not allowed any
    /// more or was overtaken twice.
    GroupChangeFailed {
        /// The group.
        thread: ThreadId,
    },
    /// The relay has shown two rosters of this group, to this device or to another member: the relay is not honest. What was shown first
    /// remains, and nothing is sent in the group.
    RosterContradicted {
        /// The group.
        thread: ThreadId,
    },
    /// The relay was restored from a backup. Messages that it may have lost are submitted again.
    RelayRestored,
    /// This database was restored from a backup, or is a copy of another one. Messages that were received since the
    /// copy was made are missing. New sessions are created automatically.
    DatabaseRestored,
    /// The relay reports a time that cannot be correct, and which is therefore ignored.
    RelayClockWrong {
        /// The time, in milliseconds since the Unix epoch.
        relay_ms: i64,
    },
    /// The state of the connection has changed.
    Connection {
        /// The present state.
        state: ConnectionState,
    },
    /// A part of the client cannot do its work, or cannot do it for a new reason. It is retried automatically.
    PartFailed {
        /// The part, and the reason.
        failed: FailedPart,
    },
    /// A part of the client that could not do its work does it again.
    PartRecovered {
        /// The part.
        part: Part,
    },
}

impl Event {
    /// None for an event that the binding does not know.
    fn known(event: core::Event) -> Option<Self> {
        Some(match event {
            core::Event::ThreadAdded(thread) => Self::ThreadAdded { thread },
            core::Event::ThreadChanged(thread) => Self::ThreadChanged { thread },
            core::Event::PinsChanged(thread) => Self::PinsChanged { thread },
            core::Event::ChangeFailed { thread, message, change, reason } => {
                Self::ChangeFailed { thread, message, change: change.into(), reason: reason.into() }
            }
            core::Event::MessageAdded(message) => Self::MessageAdded { message: message.into() },
            core::Event::MessageChanged { message, was } => {
                Self::MessageChanged { message: message.into(), was }
            }
            core::Event::MessageRemoved { thread, id, position } => {
                Self::MessageRemoved { thread, id, position }
            }
            core::Event::IdentityChanged(user) => Self::IdentityChanged { user },
            core::Event::AccountMoved(user) => Self::AccountMoved { user },
            core::Event::DevicesChanged(user) => Self::DevicesChanged { user },
            core::Event::DeviceListRefused(user) => Self::DeviceListRefused { user },
            core::Event::DeviceListHidden(user) => Self::DeviceListHidden { user },
            core::Event::DeviceLinked { device, .. } => Self::DeviceLinked { device },
            core::Event::DeviceRenamed { device, .. } => Self::DeviceRenamed { device },
            core::Event::DeviceUnlinked(device) => Self::DeviceUnlinked { device },
            core::Event::LinkProgress(progress) => Self::LinkProgress { progress: progress.into() },
            core::Event::BootstrapRefused(user) => Self::BootstrapRefused { user },
            core::Event::Reported(report) => Self::Reported { report: (*report).into() },
            core::Event::ProfileChanged(user) => Self::ProfileChanged { user },
            core::Event::CleaningUp { deleted, threads_left } => Self::CleaningUp { deleted, threads_left },
            core::Event::TypingChanged { thread, user, is_typing } => {
                Self::TypingChanged { thread, user, is_typing }
            }
            core::Event::PresenceChanged { user, is_present } => Self::PresenceChanged { user, is_present },
            core::Event::OrderContradicted(thread) => Self::OrderContradicted { thread },
            core::Event::MessagesMissing { thread, .. } => Self::MessagesMissing { thread },
            core::Event::EntryRefused { thread, user } => Self::EntryRefused { thread, user },
            core::Event::GroupChangeFailed(thread) => Self::GroupChangeFailed { thread },
            core::Event::RosterContradicted(thread) => Self::RosterContradicted { thread },
            core::Event::RelayRestored => Self::RelayRestored,
            core::Event::DatabaseRestored => Self::DatabaseRestored,
            core::Event::RelayClockWrong { relay_ms } => Self::RelayClockWrong { relay_ms: millis(relay_ms) },
            core::Event::Connection(state) => Self::Connection { state: state.into() },
            core::Event::PartFailed(failed) => Self::PartFailed { failed: failed.into() },
            core::Event::PartRecovered(part) => Self::PartRecovered { part: part.into() },
            _ => return None,
        })
    }
}

/// How much of what a new companion gets has come to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct LinkProgress {
    /// The companion.
    pub device: DeviceId,
    /// How many messages have come. Contacts, settings and threads come before them.
    #[uniffi(default = 0)]
    pub sent: u64,
    /// How many there are.
    #[uniffi(default = 0)]
    pub total: u64,
    /// Whether everything has come.
    #[uniffi(default = false)]
    pub is_done: bool,
}

impl From<core::LinkProgress> for LinkProgress {
    fn from(progress: core::LinkProgress) -> Self {
        let core::LinkProgress { device, sent, total, is_done, .. } = progress;
        Self { device, sent, total, is_done }
    }
}

/// A change of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum ChangeKind {
    /// `Thread.react` or `Thread.remove_reaction`.
    Reaction,
    /// `Thread.edit`.
    Edit,
    /// `Thread.delete_for_everyone`.
    Deletion,
    /// `Thread.vote`.
    Vote,
    /// `Thread.pin` or `Thread.unpin`.
    Pin,
    /// A kind that this version of the binding does not know.
    Other,
}

impl From<core::ChangeKind> for ChangeKind {
    fn from(kind: core::ChangeKind) -> Self {
        match kind {
            core::ChangeKind::Reaction => Self::Reaction,
            core::ChangeKind::Edit => Self::Edit,
            core::ChangeKind::Deletion => Self::Deletion,
            core::ChangeKind::Vote => Self::Vote,
            core::ChangeKind::Pin => Self::Pin,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_keep_what_they_say() {
        let (thread, user) = (ThreadId::from_bytes([1; 16]), UserId::from_bytes([2; 16]));
        let device = DeviceId::new(2).unwrap();
        let all = [
            (core::Event::ThreadAdded(thread), Event::ThreadAdded { thread }),
            (core::Event::ThreadChanged(thread), Event::ThreadChanged { thread }),
            (core::Event::PinsChanged(thread), Event::PinsChanged { thread }),
            (core::Event::OrderContradicted(thread), Event::OrderContradicted { thread }),
            (core::Event::IdentityChanged(user), Event::IdentityChanged { user }),
            (core::Event::AccountMoved(user), Event::AccountMoved { user }),
            (core::Event::ProfileChanged(user), Event::ProfileChanged { user }),
            (
                core::Event::TypingChanged { thread, user, is_typing: true },
                Event::TypingChanged { thread, user, is_typing: true },
            ),
            (
                core::Event::PresenceChanged { user, is_present: true },
                Event::PresenceChanged { user, is_present: true },
            ),
            (
                core::Event::CleaningUp { deleted: 1, threads_left: 2 },
                Event::CleaningUp { deleted: 1, threads_left: 2 },
            ),
            (core::Event::DevicesChanged(user), Event::DevicesChanged { user }),
            (core::Event::DeviceListRefused(user), Event::DeviceListRefused { user }),
            (core::Event::DeviceListHidden(user), Event::DeviceListHidden { user }),
            (core::Event::DeviceLinked { device, name: None }, Event::DeviceLinked { device }),
            (core::Event::DeviceRenamed { device, name: "phone".into() }, Event::DeviceRenamed { device }),
            (core::Event::DeviceUnlinked(device), Event::DeviceUnlinked { device }),
            (core::Event::BootstrapRefused(user), Event::BootstrapRefused { user }),
            (core::Event::EntryRefused { thread, user }, Event::EntryRefused { thread, user }),
            (core::Event::GroupChangeFailed(thread), Event::GroupChangeFailed { thread }),
            (core::Event::RosterContradicted(thread), Event::RosterContradicted { thread }),
            (core::Event::RelayRestored, Event::RelayRestored),
            (core::Event::DatabaseRestored, Event::DatabaseRestored),
            (core::Event::RelayClockWrong { relay_ms: 3 }, Event::RelayClockWrong { relay_ms: 3 }),
        ];
        for (event, expected) in all {
            assert_eq!(Event::known(event), Some(expected));
        }
    }
}

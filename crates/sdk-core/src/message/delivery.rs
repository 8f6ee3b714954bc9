//! The states of a message of ours, and what leads from one to another.
//!
//! | from \ event | accepted | failed | delivered | read | retried |
//! |---|---|---|---|---|---|
//! | queued | sent | failed | delivered | read | |
//! | sent | | failed | delivered | read | |
//! | delivered | | | | read | |
//! | read | | | | | |
//! | failed | | failed | delivered | read | queued |
//!
//! An empty cell means that the state stays as it is. So a state never goes back: only the person can send a failed message again.
//! A receipt proves that a message has arrived, whatever was assumed before, and it can come before the relay's answer. A message
//! that the relay had accepted fails if it had to be sent again and was refused then.

/// The state of a message of ours, as its number in the database, which never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Queued = 0,
    Sent = 1,
    Delivered = 2,
    Read = 3,
    Failed = 4,
}

/// What changes the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeliveryEvent {
    /// The relay has stored it.
    Accepted,
    /// It will not be sent.
    Failed,
    /// A device of the recipient has it.
    Delivered,
    /// The recipient has read it.
    Read,
    /// The person sends it again.
    Retried,
}

impl DeliveryEvent {
    /// The states that it changes, and the one that follows: a column of the table.
    pub(crate) const fn transition(self) -> (&'static [Stage], Stage) {
        use Stage::{Delivered, Failed, Queued, Read, Sent};
        match self {
            Self::Accepted => (&[Queued], Sent),
            Self::Failed => (&[Queued, Sent, Failed], Failed),
            Self::Delivered => (&[Queued, Sent, Failed], Delivered),
            Self::Read => (&[Queued, Sent, Delivered, Failed], Read),
            Self::Retried => (&[Failed], Queued),
        }
    }
}

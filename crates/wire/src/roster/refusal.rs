//! Why an entry is refused.

/// The entry is not the next one of this chain: whoever shows it as such is lying, or is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// It belongs to another group.
    #[error("an entry of another group")]
    Thread,
    /// It is not the next version.
    #[error("not the next version")]
    Version,
    /// It follows another entry than the newest one.
    #[error("the entry before is another one")]
    Previous,
}

/// Why an entry has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It is not the next entry.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The group was dissolved.
    #[error("the group was dissolved")]
    Dissolved,
    /// The author, or somebody that the change is about, is not a member.
    #[error("not a member")]
    NotMember,
    /// The author, or somebody that the change is about, is not invited.
    #[error("not invited")]
    NotInvited,
    /// Somebody is a member already.
    #[error("a member already")]
    AlreadyMember,
    /// Somebody is invited already.
    #[error("invited already")]
    AlreadyInvited,
    /// The role of the author does not allow it.
    #[error("not allowed to this member")]
    NotAllowed,
    /// Nobody would be an admin.
    #[error("the last admin")]
    LastAdmin,
    /// The change is not for oneself.
    #[error("not for oneself")]
    Oneself,
    /// There would be too many members and invited people.
    #[error("too many members")]
    TooMany,
    /// It changes nothing.
    #[error("nothing would change")]
    NoChange,
    /// There is no device list, or it is older than the known one or of another account key.
    #[error("not the device list of this member")]
    List,
    /// The device of the author is not on the list.
    #[error("the device is not on the list")]
    Device,
    /// A device that was on the list before is gone, and the entry does not say so; or it says so, and none is gone.
    #[error("it is not stated whether a device is gone")]
    DeviceGone,
    /// There is no link.
    #[error("there is no link")]
    NoLink,
    /// The secret is as new as the last removal.
    #[error("the secret is new enough")]
    SecretIsCurrent,
    /// A change of a later version.
    #[error("an unknown change")]
    UnknownKind,
}

impl Refusal {
    /// The stable word for it, which the relay returns.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Chain(_) => "chain",
            Self::Dissolved => "dissolved",
            Self::NotMember => "not_a_member",
            Self::NotInvited => "not_invited",
            Self::AlreadyMember => "already_a_member",
            Self::AlreadyInvited => "already_invited",
            Self::NotAllowed => "not_by_this_role",
            Self::LastAdmin => "last_admin",
            Self::Oneself => "oneself",
            Self::TooMany => "too_many_members",
            Self::NoChange => "no_change",
            Self::List => "device_list",
            Self::Device => "unlisted_device",
            Self::DeviceGone => "device_gone",
            Self::NoLink => "no_link",
            Self::SecretIsCurrent => "secret_is_current",
            Self::UnknownKind => "unknown_change",
        }
    }
}

//! What an entry changes.

use super::reader::{FormError, Reader, write_short};
use super::value::{AccountKey, Details, InviteLink, Permissions, Role};
use crate::id::UserId;
use crate::limits::MAX_GROUP;

/// Invitations with which a group begins, and people that one entry names: all but the author.
const MAX_OTHERS: usize = MAX_GROUP - 1;

/// Somebody with the account key that is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invitation {
    /// The user.
    pub user: UserId,
    /// Their account key. Another one gets nothing.
    pub account_key: AccountKey,
}

impl Invitation {
    fn read(reader: &mut Reader<'_>) -> Result<Self, FormError> {
        Ok(Self { user: reader.user()?, account_key: AccountKey::read(reader)? })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.user.as_bytes());
        out.extend(self.account_key.as_bytes());
    }
}

/// The commitment to a new secret of the group, and the details under it.
#[derive(Clone, PartialEq, Eq)]
pub struct NewSecret {
    /// What the secret hashes to.
    pub commitment: [u8; 32],
    /// Title and other details, encrypted with a key that comes from the secret.
    pub details: Details,
}

impl std::fmt::Debug for NewSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewSecret({:?})", self.details)
    }
}

impl NewSecret {
    fn read(reader: &mut Reader<'_>) -> Result<Self, FormError> {
        Ok(Self { commitment: reader.array()?, details: Details::read(reader)? })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.commitment);
        self.details.write(out);
    }
}

/// With what a group begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    /// Random bytes, so that no two groups have the same id.
    pub nonce: [u8; 16],
    /// Who may do what.
    pub permissions: Permissions,
    /// After which time messages disappear, in seconds; 0 if they do not.
    pub timer_s: u32,
    /// The first secret.
    pub secret: NewSecret,
    /// Who is invited, in ascending order of the ids.
    pub invited: Vec<Invitation>,
}

/// What an entry changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The first entry. The author becomes an admin.
    Create(Box<Create>),
    /// Invites these people, in ascending order of their ids.
    Invite(Vec<Invitation>),
    /// The author accepts the invitation, and becomes a member.
    Accept,
    /// Takes back the invitations of these people, in ascending order; or the author's own: declines it.
    Withdraw(Vec<UserId>),
    /// The author becomes a member by the link.
    Join {
        /// The proof that the author has the link, which devices verify.
        proof: [u8; 64],
    },
    /// Removes these members, in ascending order.
    Remove {
        /// Who.
        users: Vec<UserId>,
        /// The secret of those who remain.
        secret: NewSecret,
    },
    /// The author leaves.
    Leave,
    /// Gives a member another role.
    Role {
        /// Who.
        user: UserId,
        /// The new role.
        role: Role,
    },
    /// Replaces the title and the other details.
    Details(Details),
    /// Replaces the permissions.
    Permissions(Permissions),
    /// Replaces the timer, in seconds; 0 switches it off.
    Timer(u32),
    /// Replaces the link, or switches it off.
    Link(Option<InviteLink>),
    /// The author has another device list, which the entry carries.
    Devices {
        /// Whether a device of the former list is gone, or the account key is another one.
        is_removal: bool,
    },
    /// Replaces the secret, which is older than the last removal.
    Rekey(NewSecret),
    /// A member has another account key, and an admin has decided that they are the same person.
    RekeyMember(Invitation),
    /// Ends the group.
    Dissolve,
    /// A change of a later version.
    Unknown {
        /// Its number.
        kind: u8,
        /// The change.
        bytes: Vec<u8>,
    },
}

impl Change {
    /// Its number.
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Create(_) => 1,
            Self::Invite(_) => 2,
            Self::Accept => 3,
            Self::Withdraw(_) => 4,
            Self::Join { .. } => 5,
            Self::Remove { .. } => 6,
            Self::Leave => 7,
            Self::Role { .. } => 8,
            Self::Details(_) => 9,
            Self::Permissions(_) => 10,
            Self::Timer(_) => 11,
            Self::Link(_) => 12,
            Self::Devices { .. } => 13,
            Self::Rekey(_) => 14,
            Self::RekeyMember(_) => 15,
            Self::Dissolve => 16,
            Self::Unknown { kind, .. } => *kind,
        }
    }

    /// Kind and change, as they are in an entry, for storing a change that is still to be signed.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    /// The inverse of [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// [`FormError`]
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormError> {
        let (kind, change) = bytes.split_first().ok_or(FormError)?;
        Self::parse(*kind, change)
    }

    /// Parses the rest of an entry behind its kind.
    pub(super) fn parse(kind: u8, bytes: &[u8]) -> Result<Self, FormError> {
        let mut reader = Reader::new(bytes);
        let change = match kind {
            1 => Self::Create(Box::new(Create {
                nonce: reader.array()?,
                permissions: Permissions::read(&mut reader)?,
                timer_s: u32::from_be_bytes(reader.array()?),
                secret: NewSecret::read(&mut reader)?,
                invited: reader.rows(0..=MAX_OTHERS, Invitation::read, |row| row.user)?,
            })),
            2 => Self::Invite(reader.rows(1..=MAX_OTHERS, Invitation::read, |row| row.user)?),
            3 => Self::Accept,
            4 => Self::Withdraw(reader.rows(1..=MAX_OTHERS, Reader::user, |user| *user)?),
            5 => Self::Join { proof: reader.array()? },
            6 => Self::Remove {
                users: reader.rows(1..=MAX_OTHERS, Reader::user, |user| *user)?,
                secret: NewSecret::read(&mut reader)?,
            },
            7 => Self::Leave,
            8 => Self::Role { user: reader.user()?, role: Role::from_number(reader.byte()?)? },
            9 => Self::Details(Details::read(&mut reader)?),
            10 => Self::Permissions(Permissions::read(&mut reader)?),
            11 => Self::Timer(u32::from_be_bytes(reader.array()?)),
            12 => Self::Link(InviteLink::read(&mut reader)?),
            13 => match reader.byte()? {
                flag @ (0 | 1) => Self::Devices { is_removal: flag == 1 },
                _ => return Err(FormError),
            },
            14 => Self::Rekey(NewSecret::read(&mut reader)?),
            15 => Self::RekeyMember(Invitation::read(&mut reader)?),
            16 => Self::Dissolve,
            0 => return Err(FormError),
            _ => return Ok(Self::Unknown { kind, bytes: bytes.to_vec() }),
        };
        reader.end()?;
        Ok(change)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(self.kind());
        match self {
            Self::Create(create) => {
                out.extend(create.nonce);
                create.permissions.write(out);
                out.extend(create.timer_s.to_be_bytes());
                create.secret.write(out);
                write_invitations(&create.invited, out);
            }
            Self::Invite(invited) => write_invitations(invited, out),
            Self::Withdraw(users) => write_users(users, out),
            Self::Join { proof } => out.extend(proof),
            Self::Remove { users, secret } => {
                write_users(users, out);
                secret.write(out);
            }
            Self::Role { user, role } => {
                out.extend(user.as_bytes());
                out.push(role.number());
            }
            Self::Details(details) => details.write(out),
            Self::Permissions(permissions) => permissions.write(out),
            Self::Timer(seconds) => out.extend(seconds.to_be_bytes()),
            Self::Link(link) => InviteLink::write(link.as_ref(), out),
            Self::Devices { is_removal } => out.push(u8::from(*is_removal)),
            Self::Rekey(secret) => secret.write(out),
            Self::RekeyMember(member) => member.write(out),
            Self::Unknown { bytes, .. } => out.extend(bytes),
            Self::Accept | Self::Leave | Self::Dissolve => {}
        }
    }
}

fn write_invitations(invited: &[Invitation], out: &mut Vec<u8>) {
    write_short(out, invited.len());
    invited.iter().for_each(|row| row.write(out));
}

fn write_users(users: &[UserId], out: &mut Vec<u8>) {
    write_short(out, users.len());
    users.iter().for_each(|user| out.extend(user.as_bytes()));
}

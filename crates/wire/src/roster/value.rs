//! What entries consist of.

use std::fmt;

use super::reader::{FormError, Reader, write_short};
use crate::limits::MAX_GROUP_DETAILS;

/// Length of an account key, in bytes.
pub const ACCOUNT_KEY: usize = 33;
/// The type byte of all public keys.
const KEY_TYPE: u8 = 5;

/// An account key, as the 33 bytes that lists and entries contain. Whether it is a key is for those to say who verify lists.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AccountKey([u8; ACCOUNT_KEY]);

impl AccountKey {
    /// From its serialized form.
    ///
    /// # Errors
    /// [`FormError`] for another length or type byte.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, FormError> {
        match <[u8; ACCOUNT_KEY]>::try_from(bytes) {
            Ok(key @ [KEY_TYPE, ..]) => Ok(Self(key)),
            _ => Err(FormError),
        }
    }

    /// Its serialized form.
    pub const fn as_bytes(&self) -> &[u8; ACCOUNT_KEY] {
        &self.0
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, FormError> {
        Self::from_slice(reader.take(ACCOUNT_KEY)?)
    }
}

/// Shows two bytes.
impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [_, a, b, ..] = self.0;
        write!(f, "AccountKey({a:02x}{b:02x}..)")
    }
}

/// Title, description and picture of a group, encrypted for its members.
#[derive(Clone, PartialEq, Eq)]
pub struct Details(Vec<u8>);

impl Details {
    /// From the ciphertext.
    ///
    /// # Errors
    /// [`FormError`] if it is longer than [`MAX_GROUP_DETAILS`].
    pub fn new(ciphertext: Vec<u8>) -> Result<Self, FormError> {
        if ciphertext.len() > MAX_GROUP_DETAILS { Err(FormError) } else { Ok(Self(ciphertext)) }
    }

    /// The ciphertext.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, FormError> {
        let length = reader.short()?;
        if length > MAX_GROUP_DETAILS {
            return Err(FormError);
        }
        reader.take(length).map(|bytes| Self(bytes.to_vec()))
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        write_short(out, self.0.len());
        out.extend(&self.0);
    }
}

impl fmt::Debug for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Details({} bytes)", self.0.len())
    }
}

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// What the permissions give to members.
    Member,
    /// Everything.
    Admin,
}

impl Role {
    /// Its number in entries, for storing it.
    pub const fn number(self) -> u8 {
        match self {
            Self::Member => 1,
            Self::Admin => 2,
        }
    }

    /// From its number.
    ///
    /// # Errors
    /// [`FormError`] for a number that no role has.
    pub const fn from_number(number: u8) -> Result<Self, FormError> {
        match number {
            1 => Ok(Self::Member),
            2 => Ok(Self::Admin),
            _ => Err(FormError),
        }
    }
}

/// Who may do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Who {
    /// All members.
    Members,
    /// Admins only.
    Admins,
}

impl Who {
    /// Whether somebody with this role may do it.
    pub const fn includes(self, role: Role) -> bool {
        matches!((self, role), (Self::Members, _) | (Self::Admins, Role::Admin))
    }

    /// Its number in entries, for storing it.
    pub const fn number(self) -> u8 {
        match self {
            Self::Members => 1,
            Self::Admins => 2,
        }
    }

    /// From its number.
    ///
    /// # Errors
    /// [`FormError`] for a number that has no meaning.
    pub const fn from_number(number: u8) -> Result<Self, FormError> {
        match number {
            1 => Ok(Self::Members),
            2 => Ok(Self::Admins),
            _ => Err(FormError),
        }
    }
}

/// Who may do what in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Permissions {
    /// Who may write.
    pub write: Who,
    /// Who may invite people.
    pub add: Who,
    /// Who may change the title and the other details, and the timer.
    pub details: Who,
}

impl Permissions {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, FormError> {
        let [write, add, details] = reader.array()?;
        Ok(Self {
            write: Who::from_number(write)?,
            add: Who::from_number(add)?,
            details: Who::from_number(details)?,
        })
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.extend([self.write.number(), self.add.number(), self.details.number()]);
    }
}

/// The link by which anybody who has it can join.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct InviteLink {
    /// The public key of the pair that is derived from the secret of the link: 33 bytes.
    pub public_key: [u8; ACCOUNT_KEY],
    /// SHA-256 of the token with which the relay shows the roster to people who have the link.
    pub token_hash: [u8; 32],
}

impl fmt::Debug for InviteLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InviteLink(..)")
    }
}

impl InviteLink {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Option<Self>, FormError> {
        match reader.byte()? {
            0 => Ok(None),
            1 => {
                let key = AccountKey::read(reader)?;
                Ok(Some(Self { public_key: key.0, token_hash: reader.array()? }))
            }
            _ => Err(FormError),
        }
    }

    pub(super) fn write(link: Option<&Self>, out: &mut Vec<u8>) {
        out.push(u8::from(link.is_some()));
        if let Some(link) = link {
            out.extend(link.public_key);
            out.extend(link.token_hash);
        }
    }
}

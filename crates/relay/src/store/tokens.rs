//! Token families: who speaks for a device, and until when.

use std::fmt;

use super::answer::Answer;
use crate::address::Address;
use crate::keys::LoginKey;

/// Token families.
pub trait Tokens {
    /// Whether tokens of this family still speak for this device.
    fn is_live(&self, address: Address, family: FamilyId) -> Answer<bool>;
    /// Exchanges a refresh token for the next one (compare and set).
    fn rotate_refresh(&self, rotation: Rotation) -> Answer<Rotated>;
    /// Ends a token family: logout. Whose it was; `None` when there was none.
    fn end_family(&self, family: FamilyId) -> Answer<Option<Address>>;
}

/// SHA-256 of the secret of a refresh token. The secret itself is never stored.
#[derive(Clone, Copy)]
pub struct TokenHash(pub [u8; 32]);

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

/// A line of refresh tokens, each made from the one before; the access tokens name it too.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FamilyId(pub [u8; 16]);

impl fmt::Debug for FamilyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FamilyId(..)")
    }
}

/// A new token family.
#[derive(Debug, Clone)]
pub struct NewFamily {
    /// Its random name.
    pub id: FamilyId,
    /// The first refresh token.
    pub refresh: TokenHash,
    /// When that one expires.
    pub expires_ms: u64,
}

/// Whether a refresh token that is presented was ever issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The relay issued it for the family that it names, now or long ago.
    Issued,
    /// It says so itself. Whoever has seen an access token knows the name of its family.
    Unproven,
}

/// A refresh token presented, and its successor.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// The family that the token names.
    pub family: FamilyId,
    /// The token.
    pub presented: TokenHash,
    /// Whether it was ever issued.
    pub origin: Origin,
    /// Its successor.
    pub next: TokenHash,
    /// The login key of a device that has none here.
    pub login_key: Option<LoginKey>,
    /// When the successor expires.
    pub expires_ms: u64,
    /// Now.
    pub now_ms: u64,
}

/// What became of a [`Rotation`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotated {
    /// The successor is in force, for this device.
    Next(Address),
    /// The account of the family was deleted.
    Deleted,
    /// No such family, its token expired, or the token was never one of it. Or it is not known whether the token was used up:
    /// the store was restored from a backup since the family was last used. Nothing has changed.
    Unknown,
    /// The token was one of the family and was used up before: the family of this device is gone.
    ReuseDetected(Address),
}

//! Token families: which tokens authenticate which device, and until when.

use std::fmt;

use super::answer::Answer;
use crate::address::Address;
use crate::keys::LoginKey;

/// Token families.
pub trait Tokens {
    /// Whether this family is live and belongs to this device.
    fn is_live(&self, address: Address, family: FamilyId) -> Answer<bool>;
    /// Exchanges a refresh token for the next one (compare and set).
    fn rotate_refresh(&self, rotation: Rotation) -> Answer<Rotated>;
    /// Ends a token family (logout). Returns its device, or `None` if there was no such family.
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

/// The ID of a token family: a chain of refresh tokens, each derived from the one before. Access tokens contain it
/// too.
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
    /// Its random ID.
    pub id: FamilyId,
    /// The first refresh token.
    pub refresh: TokenHash,
    /// When the first refresh token expires.
    pub expires_ms: u64,
}

/// Whether a presented refresh token was ever issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The relay issued it for the family that it names, now or earlier.
    Issued,
    /// There is no proof. Anyone who has seen an access token knows the ID of its family.
    Unproven,
}

/// A presented refresh token, and its successor.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// The family that the token names.
    pub family: FamilyId,
    /// The hash of the presented token.
    pub presented: TokenHash,
    /// Whether it was ever issued.
    pub origin: Origin,
    /// The hash of its successor.
    pub next: TokenHash,
    /// The login key, if the device has none here yet.
    pub login_key: Option<LoginKey>,
    /// When the successor expires.
    pub expires_ms: u64,
    /// The current time.
    pub now_ms: u64,
}

/// The outcome of a [`Rotation`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotated {
    /// The successor is in force, for this device.
    Next(Address),
    /// The account of the family was deleted.
    Deleted,
    /// There is no such family, the token has expired, or it was never issued for the family. Also returned if the
    /// relay cannot tell whether the token was already used, because the store has been restored from a backup since
    /// the family was last used. Nothing was changed.
    Unknown,
    /// The token belonged to the family and was already used: this device's family has been ended.
    ReuseDetected(Address),
}

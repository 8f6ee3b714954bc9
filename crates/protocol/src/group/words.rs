//! The first bytes of what is signed or hashed about groups, so that nothing of one kind is valid as another: 24 bytes, padded with zeros,
//! as for device lists.

/// What the device of a member signs in an entry.
pub(super) const ENTRY: &[u8; 24] = b"Sealpost roster v1\0\0\0\0\0\0";
/// What the key of a link signs for somebody who joins.
pub(super) const JOIN: &[u8; 24] = b"Sealpost group join v1\0\0";
/// The commitment to a secret.
pub(super) const COMMITMENT: &[u8; 24] = b"Sealpost group secret v1";
/// The key of the details.
pub(super) const DETAILS: &[u8; 24] = b"Sealpost group title v1\0";
/// The key pair of a link.
pub(super) const LINK_KEY: &[u8; 24] = b"Sealpost group link v1\0\0";
/// The access token of a link.
pub(super) const LINK_TOKEN: &[u8; 24] = b"Sealpost group token v1\0";
/// The id of a sender key.
pub(super) const SENDER_KEY: &[u8; 24] = b"Sealpost sender key v1\0\0";

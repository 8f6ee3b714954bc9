//! The id of the sender key of a device in a group.

use super::GroupId;
use super::words::SENDER_KEY;
use crate::address::DeviceId;
use crate::device::AccountId;
use crate::distribution_id::DistributionId;
use crate::identity::IdentityKey;
use crate::primitives::kdf::sha256;

/// The id under which a device of a member distributes its sender key. It is another one for each device, and after every removal, so
/// that neither a chain of somebody else nor one from before the removal can be taken for this one.
///
/// The first 16 bytes of `SHA-256(type word || group || user || device || identity key || version of the last removal (8))`.
pub fn distribution_id(
    group: &GroupId,
    (user, device): (&AccountId, DeviceId),
    identity: &IdentityKey,
    removal_version: u64,
) -> DistributionId {
    let version = removal_version.to_be_bytes();
    let message = [&SENDER_KEY[..], group, user, &[device.byte()], identity.as_bytes(), &version].concat();
    let digest = sha256(&message);
    DistributionId::new(digest.first_chunk().copied().unwrap_or_default())
}

//! The address of a device.

use sealpost_wire::id::{DeviceId, InvalidId, UserId};

/// One device of one user: the owner of a mailbox, of pre-keys and of a token family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// The account.
    pub user: UserId,
    /// Its device.
    pub device: DeviceId,
}

impl Address {
    /// Parses the two fields that identify a device on the wire.
    ///
    /// # Errors
    /// [`InvalidId`] if the user id is not 16 bytes, or the device id is not between 1 and 127.
    pub fn from_wire(user_id: &[u8], device_id: u32) -> Result<Self, InvalidId> {
        Ok(Self { user: UserId::from_slice(user_id)?, device: DeviceId::new(device_id)? })
    }
}

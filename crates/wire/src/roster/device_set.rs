//! The numbers of the devices on a list.

use crate::id::DeviceId;

/// A set of device numbers. The numbers are enough to notice that a device is gone, because an account never uses one twice.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct DeviceSet(u128);

impl DeviceSet {
    /// The set with these devices.
    pub fn of(devices: impl IntoIterator<Item = DeviceId>) -> Self {
        Self(devices.into_iter().fold(0, |set, device| set | Self::bit(device)))
    }

    /// From the form of [`to_bytes`](Self::to_bytes).
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// 16 bytes, for storing it.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// Whether this device is in it.
    pub fn contains(self, device: DeviceId) -> bool {
        self.0 & Self::bit(device) != 0
    }

    /// Whether it contains all of the other set.
    pub const fn contains_all(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn bit(device: DeviceId) -> u128 {
        1_u128.checked_shl(device.get()).unwrap_or_default()
    }
}

impl std::fmt::Debug for DeviceSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries((0..128).filter(|at| self.0 >> at & 1 == 1)).finish()
    }
}

//! The devices of an account: the account key, and the list of devices that it signs.
//!
//! This is not part of Signal's protocol, in which the devices of an account share an identity key. Here, each device has an identity key of its
//! own. The account key signs the list of devices, and each device signs that it belongs to the account, so that neither a relay nor
//! somebody with the account key or a device key alone can add a device. The bytes are defined in `docs/wire.md`.

mod entry;
mod key;
pub mod link;
mod list;
mod moves;
mod proposal;
mod succession;

pub use entry::{DeviceBinding, DeviceEntry};
pub use key::{AccountKey, AccountKeyPair};
pub use list::{DeviceList, ListError, MAX_DEVICES, SignedDeviceList, VerifiedDeviceList};
pub use moves::{AccountMove, MAX_MOVES};
pub use proposal::MoveProposal;
pub use succession::{KnownDeviceList, Succession};

/// The user that a list belongs to: the 16 bytes of the account id.
pub type AccountId = [u8; 16];

/// The first bytes of what is signed, so that a signature of one kind is never valid as another: 24 bytes, padded with zeros.
type TypeWord = [u8; 24];

const LIST: &TypeWord = b"Sealpost device list v1\0";
const BINDING: &TypeWord = b"Sealpost device v1\0\0\0\0\0\0";
const MOVE: &TypeWord = b"Sealpost account move v1";

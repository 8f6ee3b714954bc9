//! Identity keys, and the safety number of two of them.

mod fingerprint;
mod key;

pub use fingerprint::{Party, SafetyNumber};
pub use key::{IdentityKey, IdentityKeyPair};

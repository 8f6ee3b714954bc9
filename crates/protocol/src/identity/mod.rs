//! Identity keys, and the safety number of a pair of them.

mod fingerprint;
mod key;

pub use fingerprint::{InvalidIterations, Party, SafetyNumber, ScanError, StableIdKind};
pub use key::{IdentityKey, IdentityKeyPair};

//! Sealed sender: an envelope that does not say who it is from.
//!
//! The relay has to know where a message goes, not where it comes from. So the sender is inside, proved by a
//! certificate of the service, and everything is encrypted to the recipient's identity key. The stages have a type each:
//!
//! ```text
//!   bytes ── open ──▶ UnidentifiedContent ── verify ──▶ VerifiedContent ── its message ──▶ a session, or a sender key
//!                     whoever they say               the service says so
//! ```
//!
//! | Version | For | Function | On the wire |
//! |---|---|---|---|
//! | 1 | one recipient | [`seal_v1`] | the same bytes all the way |
//! | 2 | many recipients and devices | [`seal_v2`] | [`SentMessage`] to the relay, one received form to each recipient |
//!
//! ```text
//!   trust root ── signs ──▶ ServerCertificate ── signs ──▶ SenderCertificate: user, device, identity key, until when
//! ```

mod access_key;
mod content;
mod error;
mod remembered;
mod sender;
mod sent;
mod server;
mod trust;
mod v1;
mod v2;

pub use access_key::access_key;
pub use content::{ContentHint, UnidentifiedContent};
pub use error::{OpenError, SealError, VerifyError};
pub use remembered::Remembered;
pub use sender::{SenderCertificate, SenderClaims, Signer};
pub use sent::{SentMessage, SentRecipient};
pub use server::{ServerCertificate, ServerKey, ServerKeyPair};
pub use trust::{Receiver, Trust, VerifiedContent};
pub use v1::seal_v1;
pub use v2::{Recipient, seal_v2};

use crate::error::DecodeError;
use crate::identity::IdentityKeyPair;

/// Milliseconds since 1970, by the caller's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnixMillis(pub u64);

/// Opens an envelope of either version. What is inside still has to be [verified](UnidentifiedContent::verify).
///
/// # Errors
/// [`OpenError`].
pub fn open(
    sealed: &[u8],
    ours: &IdentityKeyPair,
    remembered: &mut Remembered,
) -> Result<UnidentifiedContent, OpenError> {
    let (version, body) = sealed.split_first().ok_or(DecodeError::TooShort)?;
    // The low half is the version of the sender, not of the envelope.
    match version >> 4 {
        0 | 1 => v1::open(body, ours, remembered),
        2 => v2::open(body, ours, remembered),
        _ => Err(DecodeError::UnknownVersion.into()),
    }
}

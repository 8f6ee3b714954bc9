//! Sealed sender: an envelope that does not reveal its sender.
//!
//! The relay has to know where a message goes, but not where it comes from. The sender is therefore inside, proved by
//! a certificate of the service, and everything is encrypted to the recipient's identity key. Each stage has its own
//! type:
//!
//! ```text
//!   bytes ── open ──▶ OpenedContent ── verify ──▶ VerifiedContent ── its message ──▶ a session, or a sender key
//!                     whoever they say         the service says so
//! ```
//!
//! | Version | For | Function | On the wire | Who wrote the content |
//! |---|---|---|---|---|
//! | 1 | one recipient | [`seal_v1`] | the same bytes all the way | the sender, as far as the envelope can tell |
//! | 2 | many recipients and devices | [`seal_v2`] | [`SentMessage`] to the relay, one received form to each recipient | the sender, or any other recipient |
//!
//! Version 2 has one ciphertext for all recipients, with a key that all of them have, and the proof of the sender
//! does not cover it: a recipient can replace the content, and with the relay's help deliver it to the others in the
//! name of the sender. A message of a session or of a sender key is not affected, because it authenticates its sender
//! itself. A [`PlaintextContent`](crate::PlaintextContent) is protected by its envelope only, so version 2 neither
//! sends nor accepts one. The [hint](VerifiedContent::hint) and the [group](VerifiedContent::group_id) are
//! unauthenticated in version 2; [`VerifiedContent::version`] says which version it was.
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
pub use content::{ContentHint, EnvelopeVersion, OpenedContent, UnidentifiedContent};
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

/// Opens an envelope of either version. Its content still has to be [verified](OpenedContent::verify).
///
/// # Errors
/// [`OpenError`].
pub fn open(
    sealed: &[u8],
    ours: &IdentityKeyPair,
    remembered: &mut Remembered,
) -> Result<OpenedContent, OpenError> {
    let (version, body) = sealed.split_first().ok_or(DecodeError::TooShort)?;
    // The low half is the version of the sender, not of the envelope.
    let (version, content) = match version >> 4 {
        0 | 1 => (EnvelopeVersion::V1, v1::open(body, ours, remembered)?),
        2 => (EnvelopeVersion::V2, v2::open(body, ours, remembered)?),
        _ => return Err(DecodeError::UnknownVersion.into()),
    };
    Ok(OpenedContent { version, content })
}

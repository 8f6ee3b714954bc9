//! What the companion shows, and the primary device reads.

use std::fmt;
use std::str::FromStr;

use rand_core::CryptoRng;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::text;
use crate::error::DecodeError;
use crate::identity::{IdentityKey, IdentityKeyPair};
use crate::primitives::kdf::sha256;
use crate::primitives::secret::Secret;
use crate::primitives::x25519::PUBLIC_KEY_LEN;
use crate::stored::StoredBytes;

/// Length of the id of a link at the relay, in bytes.
pub const LINK_ID_LEN: usize = 16;
const MAGIC: &[u8; 3] = b"SPL";
const VERSION: u8 = 1;
/// Before the text form.
const SCHEME: &str = "SEALPOST:";
const SECRET_LEN: usize = 32;
const CHECKSUM_LEN: usize = 4;
/// Magic, version, link, two keys.
const PUBLIC_LEN: usize = 3 + 1 + LINK_ID_LEN + 2 * PUBLIC_KEY_LEN;
const CODE_LEN: usize = PUBLIC_LEN + SECRET_LEN + CHECKSUM_LEN;

/// Why something that was scanned or pasted is not a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodeError {
    /// It is something else.
    #[error("not a code of a device to link")]
    NotACode,
    /// A later version of the library has made it.
    #[error("a code of another version")]
    OtherVersion,
    /// Its end is missing.
    #[error("the code is cut")]
    Cut,
    /// It was damaged, or something follows it.
    #[error("the code is damaged")]
    Damaged,
}

/// The code of a companion: where at the relay the two devices meet, the companion's keys, and a secret. Whoever has seen it can answer in the
/// place of the primary device, so it must not be sent to anybody.
pub struct LinkCode {
    pub(super) link: [u8; LINK_ID_LEN],
    pub(super) identity: IdentityKey,
    /// For HPKE. It is used for nothing else.
    pub(super) sealing: IdentityKey,
    pub(super) secret: Secret<SECRET_LEN>,
}

impl LinkCode {
    /// The id of the link at the relay.
    pub fn link(&self) -> &[u8; LINK_ID_LEN] {
        &self.link
    }

    /// The identity key of the companion.
    pub fn identity(&self) -> &IdentityKey {
        &self.identity
    }

    /// The binary form, 122 bytes.
    pub fn to_bytes(&self) -> StoredBytes {
        let mut bytes = Vec::with_capacity(CODE_LEN);
        bytes.extend(self.public_part());
        bytes.extend(self.secret.expose());
        bytes.extend(checksum(&bytes));
        StoredBytes::new(bytes)
    }

    /// The text form: a scheme and base32 in upper case, which a QR code stores compactly and which can be pasted.
    pub fn to_text(&self) -> Zeroizing<String> {
        let digits = Zeroizing::new(text::encode(&self.to_bytes()));
        let mut text = Zeroizing::new(String::with_capacity(SCHEME.len().saturating_add(digits.len())));
        text.push_str(SCHEME);
        text.push_str(&digits);
        text
    }

    /// Parses the binary form.
    ///
    /// # Errors
    /// [`CodeError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, CodeError> {
        let (magic, rest) = bytes.split_first_chunk().ok_or(CodeError::NotACode)?;
        if magic != MAGIC {
            return Err(CodeError::NotACode);
        }
        match rest.first() {
            None => return Err(CodeError::Cut),
            Some(&VERSION) => {}
            Some(_) => return Err(CodeError::OtherVersion),
        }
        if bytes.len() < CODE_LEN {
            return Err(CodeError::Cut);
        }
        let (content, sum) = bytes.split_at_checked(CODE_LEN - CHECKSUM_LEN).ok_or(CodeError::Cut)?;
        if sum.ct_ne(&checksum(content)).into() {
            return Err(CodeError::Damaged);
        }
        Self::parse_content(content).map_err(|_| CodeError::Damaged)
    }

    fn parse_content(content: &[u8]) -> Result<Self, DecodeError> {
        let (_, rest) = content.split_first_chunk::<4>().ok_or(DecodeError::TooShort)?;
        let (link, rest) = rest.split_first_chunk().ok_or(DecodeError::TooShort)?;
        let (identity, rest) = rest.split_first_chunk::<PUBLIC_KEY_LEN>().ok_or(DecodeError::TooShort)?;
        let (sealing, secret) = rest.split_first_chunk::<PUBLIC_KEY_LEN>().ok_or(DecodeError::TooShort)?;
        let (identity, sealing) = (IdentityKey::parse(identity)?, IdentityKey::parse(sealing)?);
        if identity.public_key().is_low_order() || sealing.public_key().is_low_order() || identity == sealing
        {
            return Err(DecodeError::OutOfRange);
        }
        let secret = Secret::from_slice(secret).ok_or(DecodeError::Length)?;
        Ok(Self { link: *link, identity, sealing, secret })
    }

    /// Everything except the secret.
    pub(super) fn public_part(&self) -> Vec<u8> {
        let version = [VERSION];
        let parts: [&[u8]; 5] =
            [MAGIC, &version, &self.link, self.identity.as_bytes(), self.sealing.as_bytes()];
        parts.concat()
    }
}

/// Parses the text form. White space around it and the case of letters do not matter.
impl FromStr for LinkCode {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        let (scheme, digits) = text.trim().split_at_checked(SCHEME.len()).ok_or(CodeError::NotACode)?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(CodeError::NotACode);
        }
        if let Some(bytes) = text::decode(digits).map(Zeroizing::new) {
            return Self::parse(&bytes);
        }
        match decode_beginning(digits).map(Zeroizing::new).map(|bytes| Self::parse(&bytes)) {
            Some(Err(reason)) => Err(reason),
            Some(Ok(_)) | None => Err(CodeError::Damaged),
        }
    }
}

/// What was cut in the middle of a group is decoded up to there.
fn decode_beginning(digits: &str) -> Option<Vec<u8>> {
    (1..8).filter_map(|cut| digits.get(..digits.len().checked_sub(cut)?)).find_map(text::decode)
}

fn checksum(content: &[u8]) -> [u8; CHECKSUM_LEN] {
    let [a, b, c, d, ..] = sha256(content);
    [a, b, c, d]
}

impl fmt::Debug for LinkCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkCode({:?}, ..)", self.identity)
    }
}

/// The companion's side of a link: the private half of its code.
pub struct LinkKeys {
    pub(super) identity: IdentityKeyPair,
    pub(super) sealing: IdentityKeyPair,
    pub(super) code: LinkCode,
}

impl LinkKeys {
    /// Generates keys and a secret for the link with this id.
    pub fn generate<R: CryptoRng + ?Sized>(link: [u8; LINK_ID_LEN], rng: &mut R) -> Self {
        let [identity, sealing] = [(); 2].map(|()| IdentityKeyPair::generate(rng));
        let secret = Secret::random(rng);
        Self::new(link, identity, sealing, secret)
    }

    fn new(
        link: [u8; LINK_ID_LEN],
        identity: IdentityKeyPair,
        sealing: IdentityKeyPair,
        secret: Secret<SECRET_LEN>,
    ) -> Self {
        let code = LinkCode { link, identity: *identity.public(), sealing: *sealing.public(), secret };
        Self { identity, sealing, code }
    }

    /// What to show.
    pub fn code(&self) -> &LinkCode {
        &self.code
    }

    /// What to show, without the keys.
    pub fn into_code(self) -> LinkCode {
        self.code
    }

    /// The identity of the companion.
    pub fn identity(&self) -> &IdentityKeyPair {
        &self.identity
    }

    /// The stored form: the code and both key pairs.
    pub fn to_bytes(&self) -> StoredBytes {
        let (identity, sealing, code) =
            (self.identity.to_bytes(), self.sealing.to_bytes(), self.code.to_bytes());
        let length = CODE_LEN.saturating_add(identity.len()).saturating_add(sealing.len()).saturating_add(1);
        let mut bytes = Vec::with_capacity(length);
        bytes.extend(code.iter());
        bytes.extend(u8::try_from(identity.len()));
        bytes.extend(identity.iter());
        bytes.extend(sealing.iter());
        StoredBytes::new(bytes)
    }

    /// Parses the stored form.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (code, rest) = bytes.split_at_checked(CODE_LEN).ok_or(DecodeError::TooShort)?;
        let code = LinkCode::parse(code).map_err(|_| DecodeError::Malformed)?;
        let (length, rest) = rest.split_first().ok_or(DecodeError::TooShort)?;
        let (identity, sealing) = rest.split_at_checked(usize::from(*length)).ok_or(DecodeError::TooShort)?;
        let (identity, sealing) =
            (IdentityKeyPair::from_bytes(identity)?, IdentityKeyPair::from_bytes(sealing)?);
        Ok(Self::new(code.link, identity, sealing, code.secret))
    }
}

impl fmt::Debug for LinkKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkKeys({:?}, ..)", self.code)
    }
}

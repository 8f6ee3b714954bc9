//! Tokens: short-lived access tokens, which are verified without the store, and the refresh tokens behind them.
//!
//! An access token is a JWT (RFC 7519) signed with Ed25519 (RFC 8037), issued for one device. A refresh token
//! consists of the ID of its family, a 256-bit secret, and a tag by which the relay recognises every secret that it
//! has issued for this family, however long ago. The store holds only the SHA-256 hashes of the newest secrets.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use sealpost_wire::id::{DeviceId, UserId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::address::Address;
use crate::problem::Problem;
use crate::random;
use crate::store::{FamilyId, IdempotencyKey, Origin, TokenHash};

/// How long an access token is valid, in milliseconds: 10 minutes.
pub(crate) const ACCESS_LIFE_MS: u64 = 10 * 60 * 1_000;
/// How long a refresh token is valid, in milliseconds: 90 days.
pub(crate) const REFRESH_LIFE_MS: u64 = 90 * 24 * 3_600 * 1_000;
/// How far the clocks of two relays may differ, in seconds.
const LEEWAY_S: u64 = 60;

/// Derivation labels: the signing key also yields the keys for these other purposes.
const SUCCESSORS_INFO: &[u8] = b"Sealpost successors of refresh tokens v1";
const TAGS_INFO: &[u8] = b"Sealpost tags of refresh tokens v1";
const LOGINS_INFO: &[u8] = b"Sealpost logins v1";
const REGISTRATIONS_INFO: &[u8] = b"Sealpost registration tags v1";
const VERSIONS_INFO: &[u8] = b"Sealpost store versions v1";
/// Length of the tag of a refresh token, in bytes.
const TAG: usize = 16;

const ISSUER: &str = "sealpost-relay";
const AUDIENCE: &str = "sealpost-client";

/// The contents of a valid access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Access {
    /// The device that the token authenticates.
    pub address: Address,
    /// The token family that it belongs to.
    pub family: FamilyId,
    /// When it expires, in milliseconds.
    pub expires_ms: u64,
}

/// A refresh token as its device holds it.
pub(crate) struct RefreshToken {
    family: FamilyId,
    secret: Box<Zeroizing<[u8; 32]>>,
    /// `None` for a token that was issued before tags existed.
    tag: Option<[u8; TAG]>,
}

impl RefreshToken {
    /// Parses the text that a client presents.
    ///
    /// # Errors
    /// Returns [`Problem::InvalidToken`] if the text is not a refresh token.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let (family, rest) = text.split_once('.').ok_or(Problem::InvalidToken)?;
        let (secret, tag) = match rest.split_once('.') {
            Some((secret, tag)) => (secret, Some(from_hex(tag).ok_or(Problem::InvalidToken)?)),
            None => (rest, None),
        };
        let family = from_hex(family).ok_or(Problem::InvalidToken)?;
        let secret = from_hex(secret).ok_or(Problem::InvalidToken)?;
        Ok(Self { family: FamilyId(family), secret: Box::new(Zeroizing::new(secret)), tag })
    }

    /// The text for the client. This is the only function that reveals the secret.
    pub(crate) fn expose(&self) -> String {
        let mut text = format!("{}.{}", to_hex(&self.family.0), to_hex(&self.secret[..]));
        if let Some(tag) = &self.tag {
            text.push('.');
            text.push_str(&to_hex(tag));
        }
        text
    }

    /// The hash that the store keeps.
    pub(crate) fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(&self.secret[..]).into())
    }

    /// The family that the token belongs to.
    pub(crate) fn family(&self) -> FamilyId {
        self.family
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken(..)")
    }
}

/// Signs and verifies access tokens, and derives the successors of refresh tokens.
pub(crate) struct Signer {
    signing: EncodingKey,
    verifying: DecodingKey,
    validation: Validation,
    successors: hmac::Key,
    tags: hmac::Key,
    logins: hmac::Key,
    /// The key of [`registration_tag`](Signer::registration_tag).
    pub(crate) registrations: hmac::Key,
    /// The key of [`store_version`](Signer::store_version).
    pub(crate) versions: hmac::Key,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(..)")
    }
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    /// The user.
    sub: String,
    /// The device.
    did: u32,
    /// The token family.
    fam: String,
    /// When it was issued, in seconds.
    iat: u64,
    /// When it expires, in seconds.
    exp: u64,
}

impl Signer {
    /// Reads the signing key from this data folder, or creates one that only its owner can read.
    ///
    /// # Errors
    /// Fails if the file cannot be used, or if other users can read it.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join("signing.key");
        match Self::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create(&path)?;
                Self::read(&path)
            }
            done => done,
        }
    }

    fn read(path: &Path) -> io::Result<Self> {
        let mode = fs::metadata(path)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the signing key is readable by other users",
            ));
        }
        let pkcs8 = fs::read(path)?;
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the signing key is damaged"))?;
        // The algorithm is fixed here, and the one named in a token's header is ignored. Times are checked against
        // the relay's clock instead of the one that this library would read.
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        validation.validate_exp = false;
        // Each purpose has its own key, so that a value made for one purpose is never valid for another.
        let derive = |info| {
            let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &pkcs8), info);
            hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref())
        };
        Ok(Self {
            signing: EncodingKey::from_ed_der(&pkcs8),
            verifying: DecodingKey::from_ed_der(pair.public_key().as_ref()),
            validation,
            successors: derive(SUCCESSORS_INFO),
            tags: derive(TAGS_INFO),
            logins: derive(LOGINS_INFO),
            registrations: derive(REGISTRATIONS_INFO),
            versions: derive(VERSIONS_INFO),
        })
    }

    /// The refresh token that follows this one in the exchange with this idempotency key: HMAC-SHA-256(family ‖
    /// secret ‖ SHA-256(key)). Repeating the exchange gives the same token; an exchange with another key gives a
    /// different one.
    pub(crate) fn successor(&self, token: &RefreshToken, exchange: &IdempotencyKey) -> RefreshToken {
        let mut context = hmac::Context::with_key(&self.successors);
        context.update(&token.family.0);
        context.update(&token.secret[..]);
        context.update(&exchange.0);
        let mut secret = Box::new(Zeroizing::new([0; 32]));
        for (byte, derived) in secret.iter_mut().zip(context.sign().as_ref()) {
            *byte = *derived;
        }
        self.tagged(token.family, secret)
    }

    /// The first refresh token after a login with this idempotency key, in a new family: HMAC-SHA-256(label ‖ user ‖
    /// device ‖ SHA-256(key)). Repeating the login gives the same token.
    pub(crate) fn first(&self, address: Address, exchange: &IdempotencyKey) -> RefreshToken {
        let derive = |what: u8| {
            let mut context = hmac::Context::with_key(&self.logins);
            context.update(&[what]);
            context.update(address.user.as_bytes());
            context.update(&address.device.get().to_be_bytes());
            context.update(&exchange.0);
            context.sign()
        };
        let (mut family, mut secret) = (FamilyId([0; 16]), Box::new(Zeroizing::new([0; 32])));
        for (byte, derived) in family.0.iter_mut().zip(derive(0).as_ref()) {
            *byte = *derived;
        }
        for (byte, derived) in secret.iter_mut().zip(derive(1).as_ref()) {
            *byte = *derived;
        }
        self.tagged(family, secret)
    }

    /// A new random refresh token of this family.
    pub(crate) fn random(&self, family: FamilyId) -> RefreshToken {
        self.tagged(family, random::secret())
    }

    /// Whether the relay has ever issued this refresh token for its family. Only the tag proves it, and the tag
    /// cannot be computed by someone who has only seen the family's ID.
    pub(crate) fn origin(&self, token: &RefreshToken) -> Origin {
        let genuine =
            token.tag.is_some_and(|tag| bool::from(self.tag(token.family, &token.secret).ct_eq(&tag)));
        if genuine { Origin::Issued } else { Origin::Unproven }
    }

    fn tagged(&self, family: FamilyId, secret: Box<Zeroizing<[u8; 32]>>) -> RefreshToken {
        let tag = Some(self.tag(family, &secret));
        RefreshToken { family, secret, tag }
    }

    /// The first 16 bytes of HMAC-SHA-256(family ‖ secret).
    fn tag(&self, family: FamilyId, secret: &[u8; 32]) -> [u8; TAG] {
        let mut context = hmac::Context::with_key(&self.tags);
        context.update(&family.0);
        context.update(secret);
        let mut tag = [0; TAG];
        for (byte, derived) in tag.iter_mut().zip(context.sign().as_ref()) {
            *byte = *derived;
        }
        tag
    }

    /// Issues an access token for a device, and returns when it expires (in milliseconds).
    ///
    /// # Errors
    /// Returns [`Problem::StoreUnavailable`] if signing fails.
    pub(crate) fn issue(
        &self,
        address: Address,
        family: FamilyId,
        now_ms: u64,
    ) -> Result<(String, u64), Problem> {
        let expires_s = now_ms.saturating_add(ACCESS_LIFE_MS) / 1_000;
        let claims = Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: address.user.to_string(),
            did: address.device.get(),
            fam: to_hex(&family.0),
            iat: now_ms / 1_000,
            exp: expires_s,
        };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, &self.signing)
            .map_err(|_| Problem::StoreUnavailable)?;
        Ok((token, expires_s.saturating_mul(1_000)))
    }

    /// Verifies signature, issuer, audience and expiry. The store decides whether the family is still live.
    ///
    /// # Errors
    /// Returns [`Problem::InvalidToken`] whatever the reason.
    pub(crate) fn verify(&self, token: &str, now_ms: u64) -> Result<Access, Problem> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.verifying, &self.validation)
            .map_err(|_| Problem::InvalidToken)?
            .claims;
        if now_ms / 1_000 > claims.exp.saturating_add(LEEWAY_S) {
            return Err(Problem::InvalidToken);
        }
        let user: UserId = claims.sub.parse().map_err(|_| Problem::InvalidToken)?;
        let device = DeviceId::new(claims.did).map_err(|_| Problem::InvalidToken)?;
        let family = from_hex(&claims.fam).ok_or(Problem::InvalidToken)?;
        Ok(Access {
            address: Address { user, device },
            family: FamilyId(family),
            expires_ms: claims.exp.saturating_mul(1_000),
        })
    }
}

/// Writes the key to a draft file and renames it, so that a crash never leaves a partial key.
fn create(path: &Path) -> io::Result<()> {
    let key = Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new())
        .map_err(|_| io::Error::other("no randomness for the signing key"))?;
    let draft = path.with_extension("new");
    // An existing draft was left by a crash or was placed there by someone who wants to read the key, so its
    // permissions cannot be trusted.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(key.as_ref())?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

fn to_hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(crate) fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != N.checked_mul(2)? {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| !pair.starts_with('+'))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;

//! Sender certificates: the service states which device has which identity key, and until when.

use std::fmt;

use bytes::Bytes;
use prost::Message as _;
use rand_core::CryptoRng;
use uuid::Uuid;

use super::UnixMillis;
use super::server::{ServerCertificate, ServerKeyPair, Signed};
use crate::address::{Address, DeviceId};
use crate::error::DecodeError;
use crate::identity::IdentityKey;

/// The statement of a sender certificate.
#[derive(Clone, Copy)]
pub struct SenderClaims<'a> {
    /// The user and the device.
    pub address: &'a Address,
    /// The user's phone number, if recipients may see it.
    pub e164: Option<&'a str>,
    /// The identity key of the user.
    pub identity_key: &'a IdentityKey,
    /// The last moment at which it is valid.
    pub expires: UnixMillis,
}

/// The server that signed a sender certificate.
#[derive(Debug, Clone)]
pub enum Signer {
    /// Its certificate is included.
    Embedded(ServerCertificate),
    /// The number of a server certificate that every client knows, which is shorter.
    Known(u32),
}

/// A server states that this device of this user has this identity key.
#[derive(Clone)]
pub struct SenderCertificate {
    address: Address,
    e164: Option<Box<str>>,
    identity_key: IdentityKey,
    expires: UnixMillis,
    signer: Signer,
    signed: Signed,
}

impl SenderCertificate {
    /// Parses the certificate; nothing is verified.
    ///
    /// # Errors
    /// [`DecodeError`] for invalid protobuf, a missing field, a device outside 1 to 127, a signature or a UUID of
    /// another length, an invalid key, or an invalid server certificate inside.
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::parse_shared(Bytes::copy_from_slice(bytes))
    }

    /// Issues a certificate for `claims`; `server` is the key pair of `signer`.
    pub fn issue<R: CryptoRng + ?Sized>(
        claims: &SenderClaims<'_>,
        signer: Signer,
        server: &ServerKeyPair,
        rng: &mut R,
    ) -> Self {
        let SenderClaims { address, e164, identity_key, expires } = claims;
        let form = CertificateForm {
            e164: e164.map(str::to_owned),
            device: Some(address.device().get()),
            expires: Some(expires.0),
            identity_key: Some(Bytes::copy_from_slice(identity_key.as_bytes())),
            signer: Some(match &signer {
                Signer::Embedded(certificate) => {
                    SignerForm::Embedded(Bytes::copy_from_slice(certificate.serialize()))
                }
                Signer::Known(id) => SignerForm::Known(*id),
            }),
            user: Some(UserForm::Name(address.name().to_owned())),
        };
        Self {
            address: (*address).clone(),
            e164: e164.map(Box::from),
            identity_key: **identity_key,
            expires: *expires,
            signer,
            signed: Signed::new(form.encode_to_vec(), server, rng),
        }
    }

    /// The bytes, exactly as they were received.
    pub fn serialize(&self) -> &[u8] {
        &self.signed.serialized
    }

    /// The last moment at which it is valid.
    pub fn expires(&self) -> UnixMillis {
        self.expires
    }

    /// The identity key that it certifies.
    pub fn identity_key(&self) -> &IdentityKey {
        &self.identity_key
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn e164(&self) -> Option<&str> {
        self.e164.as_deref()
    }

    pub(super) fn signer(&self) -> &Signer {
        &self.signer
    }

    pub(super) fn signed(&self) -> &Signed {
        &self.signed
    }

    pub(super) fn parse_shared(bytes: Bytes) -> Result<Self, DecodeError> {
        let signed = Signed::parse(bytes)?;
        let form = CertificateForm::decode(signed.certificate.clone()).map_err(|_| DecodeError::Malformed)?;
        let device = DeviceId::new(form.device.ok_or(DecodeError::MissingField)?);
        let device = device.map_err(|_| DecodeError::OutOfRange)?;
        let name = match form.user.ok_or(DecodeError::MissingField)? {
            UserForm::Name(name) => name,
            UserForm::Uuid(uuid) => Uuid::from_slice(&uuid).map_err(|_| DecodeError::Length)?.to_string(),
        };
        Ok(Self {
            address: Address::new(&name, device),
            e164: form.e164.map(String::into_boxed_str),
            identity_key: IdentityKey::parse(&form.identity_key.ok_or(DecodeError::MissingField)?)?,
            expires: form.expires.map(UnixMillis).ok_or(DecodeError::MissingField)?,
            signer: match form.signer.ok_or(DecodeError::MissingField)? {
                SignerForm::Embedded(bytes) => Signer::Embedded(ServerCertificate::parse_shared(bytes)?),
                SignerForm::Known(id) => Signer::Known(id),
            },
            signed,
        })
    }
}

/// Hidden, because it identifies a person.
impl fmt::Debug for SenderClaims<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, e164: _, identity_key, expires } = self;
        f.debug_struct("SenderClaims")
            .field("address", address)
            .field("identity_key", identity_key)
            .field("expires", expires)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SenderCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, e164: _, identity_key, expires, signer, signed: _ } = self;
        f.debug_struct("SenderCertificate")
            .field("address", address)
            .field("identity_key", identity_key)
            .field("expires", expires)
            .field("signer", signer)
            .finish_non_exhaustive()
    }
}

/// Fields are optional so that missing fields are detected.
#[derive(Clone, PartialEq, prost::Message)]
struct CertificateForm {
    #[prost(string, optional, tag = "1")]
    e164: Option<String>,
    #[prost(uint32, optional, tag = "2")]
    device: Option<u32>,
    /// Milliseconds since 1970.
    #[prost(fixed64, optional, tag = "3")]
    expires: Option<u64>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    identity_key: Option<Bytes>,
    #[prost(oneof = "SignerForm", tags = "5, 8")]
    signer: Option<SignerForm>,
    #[prost(oneof = "UserForm", tags = "6, 7")]
    user: Option<UserForm>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum SignerForm {
    #[prost(bytes = "bytes", tag = "5")]
    Embedded(Bytes),
    #[prost(uint32, tag = "8")]
    Known(u32),
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum UserForm {
    #[prost(string, tag = "6")]
    Name(String),
    #[prost(bytes = "bytes", tag = "7")]
    Uuid(Bytes),
}

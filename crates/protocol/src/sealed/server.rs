//! The keys and certificates of the service: a root, and the servers that it certifies.

use std::fmt;

use bytes::Bytes;
use prost::Message as _;
use rand_core::CryptoRng;

use crate::error::DecodeError;
use crate::primitives::secret::Secret;
use crate::primitives::x25519::{KeyPair, PUBLIC_KEY_LEN, PublicKey};
use crate::primitives::xeddsa::{self, Signature};

/// The public half of a key of the service: a trust root, or the key of a server.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ServerKey(pub(super) PublicKey);

impl ServerKey {
    /// Parses the serialized form: the type byte and 32 bytes.
    ///
    /// # Errors
    /// [`DecodeError::KeyType`] or [`DecodeError::Length`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        PublicKey::parse(bytes).map(Self)
    }

    /// Type byte and 32 bytes.
    pub fn serialize(&self) -> [u8; PUBLIC_KEY_LEN] {
        *self.0.as_bytes()
    }
}

impl fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [_, a, b, ..] = self.0.as_bytes();
        write!(f, "ServerKey({a:02x}{b:02x}..)")
    }
}

/// A key pair of the service, with which its operators issue certificates. Clients have none.
pub struct ServerKeyPair(KeyPair);

impl ServerKeyPair {
    /// Generates a key pair.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self(KeyPair::generate(rng))
    }

    /// From the stored private half.
    pub fn from_private(private: &Secret<32>) -> Self {
        Self(KeyPair::from_private(private))
    }

    /// The private half, to be stored.
    pub fn private(&self) -> &Secret<32> {
        self.0.private()
    }

    /// The public half.
    pub fn public(&self) -> ServerKey {
        ServerKey(*self.0.public())
    }

    pub(super) fn sign<R: CryptoRng + ?Sized>(&self, message: &[u8], rng: &mut R) -> Signature {
        xeddsa::sign(&self.0, message, rng)
    }
}

impl fmt::Debug for ServerKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerKeyPair({:?}, ..)", self.public())
    }
}

/// Bytes and their signature, as in both kinds of certificates. The bytes are kept as they were received, because
/// unknown fields were signed too.
#[derive(Clone)]
pub(super) struct Signed {
    pub(super) certificate: Bytes,
    pub(super) signature: Signature,
    pub(super) serialized: Bytes,
}

impl Signed {
    pub(super) fn parse(serialized: Bytes) -> Result<Self, DecodeError> {
        let form = SignedForm::decode(serialized.clone()).map_err(|_| DecodeError::Malformed)?;
        Ok(Self {
            certificate: form.certificate.ok_or(DecodeError::MissingField)?,
            signature: Signature::parse(&form.signature.ok_or(DecodeError::MissingField)?)?,
            serialized,
        })
    }

    pub(super) fn new<R: CryptoRng + ?Sized>(
        certificate: Vec<u8>,
        signer: &ServerKeyPair,
        rng: &mut R,
    ) -> Self {
        let signature = signer.sign(&certificate, rng);
        let certificate = Bytes::from(certificate);
        let form = SignedForm {
            certificate: Some(certificate.clone()),
            signature: Some(Bytes::copy_from_slice(signature.as_bytes())),
        };
        Self { certificate, signature, serialized: form.encode_to_vec().into() }
    }
}

/// A trust root states that this key belongs to a server that may issue sender certificates.
#[derive(Clone)]
pub struct ServerCertificate {
    id: u32,
    key: ServerKey,
    signed: Signed,
}

impl ServerCertificate {
    /// Parses the certificate; the signature is checked against a trust root later.
    ///
    /// # Errors
    /// [`DecodeError`] for invalid protobuf, a missing field, a signature of another length, or an invalid key.
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::parse_shared(Bytes::copy_from_slice(bytes))
    }

    /// Certifies the server key `server` as number `id`.
    pub fn issue<R: CryptoRng + ?Sized>(
        id: u32,
        server: &ServerKey,
        root: &ServerKeyPair,
        rng: &mut R,
    ) -> Self {
        let key = Bytes::copy_from_slice(server.0.as_bytes());
        let certificate = CertificateForm { id: Some(id), key: Some(key) }.encode_to_vec();
        Self { id, key: *server, signed: Signed::new(certificate, root, rng) }
    }

    /// The bytes.
    pub fn serialize(&self) -> &[u8] {
        &self.signed.serialized
    }

    /// Its number, by which a sender certificate can refer to it.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The key of the server.
    pub fn key(&self) -> &ServerKey {
        &self.key
    }

    pub(super) fn signed(&self) -> &Signed {
        &self.signed
    }

    pub(super) fn parse_shared(bytes: Bytes) -> Result<Self, DecodeError> {
        let signed = Signed::parse(bytes)?;
        let form = CertificateForm::decode(signed.certificate.clone()).map_err(|_| DecodeError::Malformed)?;
        Ok(Self {
            id: form.id.ok_or(DecodeError::MissingField)?,
            key: ServerKey::parse(&form.key.ok_or(DecodeError::MissingField)?)?,
            signed,
        })
    }
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, key, signed: _ } = self;
        f.debug_struct("ServerCertificate").field("id", id).field("key", key).finish_non_exhaustive()
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct SignedForm {
    #[prost(bytes = "bytes", optional, tag = "1")]
    certificate: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    signature: Option<Bytes>,
}

/// Fields are optional so that zeros are written, and missing fields are detected.
#[derive(Clone, PartialEq, prost::Message)]
struct CertificateForm {
    #[prost(uint32, optional, tag = "1")]
    id: Option<u32>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    key: Option<Bytes>,
}

//! Verifies the claimed sender of a content against the certificates of the service.

use std::fmt;

use bytes::Bytes;

use super::UnixMillis;
use super::content::{ContentHint, EnvelopeVersion, OpenedContent, UnidentifiedContent};
use super::error::VerifyError;
use super::remembered::Remembered;
use super::sender::{SenderCertificate, Signer};
use super::server::{ServerCertificate, ServerKey, Signed};
use crate::address::Address;
use crate::identity::IdentityKey;
use crate::message::MessageType;

/// A server certificate with this number is refused whoever signed it, so that revocation can be tested.
const REVOKED: u32 = 0xdead_c357;

/// What is trusted: the trust roots, and server certificates that need not be included in a message.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    roots: Vec<ServerKey>,
    servers: Vec<ServerCertificate>,
}

impl Trust {
    /// Trusts whatever one of `roots` has signed.
    pub fn new(roots: Vec<ServerKey>) -> Self {
        Self { roots, servers: Vec::new() }
    }

    /// Lets senders refer to `server` by its number. It must still be signed by a root.
    #[must_use]
    pub fn with_known_server(mut self, server: ServerCertificate) -> Self {
        self.servers.push(server);
        self
    }

    /// Checks, in this order, that the server is known, not revoked, and certified by a root, and that the
    /// certificate is signed by the server and not expired.
    ///
    /// # Errors
    /// [`VerifyError`], except `SelfSend`.
    pub fn verify(
        &self,
        certificate: &SenderCertificate,
        now: UnixMillis,
        remembered: &mut Remembered,
    ) -> Result<(), VerifyError> {
        let server = match certificate.signer() {
            Signer::Embedded(server) => server,
            Signer::Known(id) => {
                let server = self.servers.iter().find(|server| server.id() == *id);
                server.ok_or(VerifyError::UnknownServer)?
            }
        };
        if server.id() == REVOKED {
            return Err(VerifyError::RevokedServer);
        }
        let mut is_signed_by = |signed: &Signed, key: &ServerKey| {
            remembered.verify(&key.0, &signed.certificate, &signed.signature)
        };
        if !self.roots.iter().any(|root| is_signed_by(server.signed(), root)) {
            return Err(VerifyError::UntrustedServer);
        }
        if !is_signed_by(certificate.signed(), server.key()) {
            return Err(VerifyError::BadSignature);
        }
        if now > certificate.expires() {
            return Err(VerifyError::Expired);
        }
        Ok(())
    }
}

/// The receiver of an envelope.
#[derive(Clone, Copy)]
pub struct Receiver<'a> {
    /// This device.
    pub address: &'a Address,
    /// Our phone number, if we have one.
    pub e164: Option<&'a str>,
    /// What is trusted.
    pub trust: &'a Trust,
    /// The current time.
    pub now: UnixMillis,
}

impl OpenedContent {
    /// Verifies that the service certifies the sender, and that it is not this very device.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn verify(
        &self,
        receiver: &Receiver<'_>,
        remembered: &mut Remembered,
    ) -> Result<VerifiedContent, VerifyError> {
        let Self { version, content } = self;
        let UnidentifiedContent { kind, certificate, message, hint, group_id, .. } = content;
        receiver.trust.verify(certificate, receiver.now, remembered)?;
        if (*version, *kind) == (EnvelopeVersion::V2, MessageType::Plaintext) {
            return Err(VerifyError::Unbound);
        }
        if receiver.is(certificate) {
            return Err(VerifyError::SelfSend);
        }
        Ok(VerifiedContent {
            version: *version,
            sender: certificate.address().clone(),
            e164: certificate.e164().map(Box::from),
            identity_key: *certificate.identity_key(),
            kind: *kind,
            message: message.clone(),
            hint: *hint,
            group_id: group_id.clone(),
        })
    }
}

impl Receiver<'_> {
    /// Whether the certificate belongs to this very device.
    fn is(&self, certificate: &SenderCertificate) -> bool {
        let theirs = certificate.address();
        let same_user = theirs.same_service(self.address) || theirs.name() == self.address.name();
        let same_number = self.e164.is_some() && self.e164 == certificate.e164();
        theirs.device() == self.address.device() && (same_user || same_number)
    }
}

impl fmt::Debug for Receiver<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, e164: _, trust, now } = self;
        f.debug_struct("Receiver")
            .field("address", address)
            .field("trust", trust)
            .field("now", now)
            .finish_non_exhaustive()
    }
}

/// A content whose sender is certified by the service. It may still fail to decrypt, and the identity key may differ
/// from the known one of the sender.
#[derive(Clone)]
pub struct VerifiedContent {
    version: EnvelopeVersion,
    sender: Address,
    e164: Option<Box<str>>,
    identity_key: IdentityKey,
    kind: MessageType,
    message: Bytes,
    hint: ContentHint,
    group_id: Bytes,
}

impl VerifiedContent {
    /// The user and the device that sent it.
    pub fn sender(&self) -> &Address {
        &self.sender
    }

    /// The version of the envelope. In [version 2](EnvelopeVersion::V2), only the message inside authenticates its
    /// author.
    pub fn version(&self) -> EnvelopeVersion {
        self.version
    }

    /// The sender's phone number, if they share it.
    pub fn e164(&self) -> Option<&str> {
        self.e164.as_deref()
    }

    /// The sender's identity key.
    pub fn identity_key(&self) -> &IdentityKey {
        &self.identity_key
    }

    /// How to parse [`message`](Self::message).
    pub fn kind(&self) -> MessageType {
        self.kind
    }

    /// The encrypted message, serialized.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// What to do if it cannot be decrypted.
    pub fn hint(&self) -> ContentHint {
        self.hint
    }

    /// The group that it belongs to; empty for none.
    pub fn group_id(&self) -> &[u8] {
        &self.group_id
    }
}

impl fmt::Debug for VerifiedContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, sender, e164: _, identity_key, kind, message, hint, group_id: _ } = self;
        f.debug_struct("VerifiedContent")
            .field("version", version)
            .field("sender", sender)
            .field("identity_key", identity_key)
            .field("kind", kind)
            .field("message_len", &message.len())
            .field("hint", hint)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::DecodeError;
    use crate::primitives::secret::Secret;
    use crate::sealed::ServerKeyPair;
    use crate::vectors::{self, bytes};
    use prost::Message as _;

    #[derive(Clone, PartialEq, prost::Message)]
    struct SignedForm {
        #[prost(bytes = "vec", tag = "1")]
        certificate: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        signature: Vec<u8>,
    }

    /// The root of the sender certificates in the vectors, and the server that the last of them refers to.
    fn trust() -> Trust {
        let known = &vectors::load("misc-kats")["known_server_certificates"]["1935131479"];
        let root = ServerKeyPair::from_private(&Secret::new([0; 32])).public();
        Trust::new(vec![root]).with_known_server(ServerCertificate::parse(&bytes(&known["cert"])).unwrap())
    }

    fn certificates() -> Vec<Vec<u8>> {
        let file = vectors::load("misc-kats");
        let cases = file["sender_certificate_kats"].as_array().unwrap().iter();
        let form = cases.map(|case| SignedForm {
            certificate: bytes(&case["certificate_data"]),
            signature: bytes(&case["signature"]),
        });
        form.map(|form| form.encode_to_vec()).collect()
    }

    #[test]
    fn sender_certificates_of_the_vectors_are_verified_and_reencoded() {
        let remembered = &mut Remembered::default();
        for serialized in certificates() {
            let certificate = SenderCertificate::parse(&serialized).unwrap();
            assert_eq!(certificate.serialize(), serialized, "with the fields that we do not know");
            assert_eq!(certificate.address().name(), "aaaaaaaa-7000-11eb-b32a-33b8a8a487a6");
            assert_eq!(certificate.address().device().get(), 1);
            assert_eq!(certificate.expires(), UnixMillis(31_337));
            let verify = |now, remembered: &mut Remembered| trust().verify(&certificate, now, remembered);
            assert_eq!(verify(UnixMillis(31_337), remembered), Ok(()));
            assert_eq!(verify(UnixMillis(31_338), remembered), Err(VerifyError::Expired));
        }
        let by_number = SenderCertificate::parse(&certificates()[2]).unwrap();
        let strangers = Trust::new(trust().roots);
        let unknown = strangers.verify(&by_number, UnixMillis(0), remembered);
        assert_eq!(unknown, Err(VerifyError::UnknownServer));
    }

    #[test]
    fn a_truncated_certificate_is_refused() {
        let [serialized, ..] = certificates().try_into().unwrap_or([const { Vec::new() }; 3]);
        for length in 0..serialized.len() {
            let reason = SenderCertificate::parse(&serialized[..length]).unwrap_err();
            assert!(matches!(reason, DecodeError::Malformed | DecodeError::MissingField), "{length}");
        }
    }

    #[test]
    fn known_server_certificates_are_those_of_their_roots() {
        let file = vectors::load("misc-kats");
        let known = file["known_server_certificates"].as_object().unwrap();
        let roots: Vec<_> =
            known.values().map(|case| ServerKey::parse(&base64(&case["trust_root_b64"])).unwrap()).collect();
        for (position, (id, case)) in known.iter().enumerate() {
            let certificate = ServerCertificate::parse(&bytes(&case["cert"])).unwrap();
            assert_eq!(certificate.id().to_string(), *id);
            let Signed { certificate, signature, .. } = certificate.signed();
            let signers = roots
                .iter()
                .map(|root| Remembered::default().verify(&root.0, certificate, signature))
                .collect::<Vec<_>>();
            let expected: Vec<_> = (0..roots.len()).map(|root| root == position).collect();
            assert_eq!(signers, expected);
        }
    }

    fn base64(text: &serde_json::Value) -> Vec<u8> {
        const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let digit = |byte: &u8| DIGITS.iter().position(|digit| digit == byte).unwrap();
        let groups = text.as_str().unwrap().as_bytes().chunks_exact(4);
        let numbers = groups.map(|group| group.iter().fold(0, |sum, byte| (sum << 6) | digit(byte)));
        numbers.flat_map(|number| [number >> 16, number >> 8, number].map(|byte| byte as u8)).collect()
    }
}

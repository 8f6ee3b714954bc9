//! Why a command was refused: a stable code, and a message for people.

use std::fmt::Display;

use sealpost_protocol::sealed::{OpenError, SealError, VerifyError};
use sealpost_protocol::{
    BundleError, DecodeError, DecryptError, EncryptError, InitiateError, InvalidDeviceId, InvalidIterations,
    PreKeyKind, RetryError, ScanError, group,
};

/// The refusal of a command, as it appears in the answer.
#[derive(Debug)]
pub(crate) struct Failure {
    /// A code in snake case, different for each reason.
    pub(crate) code: &'static str,
    /// The library's error message.
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(code: &'static str, message: impl Display) -> Self {
        Self { code, message: message.to_string() }
    }

    /// The line is not JSON.
    pub(crate) fn not_json(error: serde_json::Error) -> Self {
        Self::new("not_json", error)
    }

    /// There is no such command, or it has other fields.
    pub(crate) fn bad_request(error: impl Display) -> Self {
        Self::new("bad_request", error)
    }

    /// The command needs a device, and `init` was not called before.
    pub(crate) fn no_device() -> Self {
        Self::new("no_device", "init comes first")
    }
}

impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Self {
        let code = match error {
            DecodeError::TooShort => "too_short",
            DecodeError::VersionTooOld => "version_too_old",
            DecodeError::UnknownVersion => "unknown_version",
            DecodeError::Malformed => "malformed",
            DecodeError::MissingField => "missing_field",
            DecodeError::KemFields => "kem_fields",
            DecodeError::KeyType => "wrong_key_type",
            DecodeError::Length => "wrong_length",
            DecodeError::OutOfRange => "out_of_range",
            DecodeError::Redundant => "redundant_exclusion",
            _ => "not_decodable",
        };
        Self::new(code, error)
    }
}

impl From<InvalidDeviceId> for Failure {
    fn from(error: InvalidDeviceId) -> Self {
        Self::new("invalid_device_id", error)
    }
}

impl From<BundleError> for Failure {
    fn from(error: BundleError) -> Self {
        let code = match error {
            BundleError::DeviceId => "invalid_device_id",
            BundleError::IdentityKey(_) => "bad_identity_key",
            BundleError::PreKey(..) => "bad_pre_key",
            BundleError::LowOrderPoint => "low_order_point",
            BundleError::Signature(_) => "bad_signature",
            _ => "bad_bundle",
        };
        Self::new(code, error)
    }
}

impl From<InitiateError> for Failure {
    fn from(error: InitiateError) -> Self {
        let code = match error {
            InitiateError::NoKemPreKey => "no_kem_pre_key",
            InitiateError::WrongDevice => "wrong_device",
            InitiateError::Bug(_) => "bug",
            _ => "not_initiated",
        };
        Self::new(code, error)
    }
}

impl From<EncryptError> for Failure {
    fn from(error: EncryptError) -> Self {
        let code = match error {
            EncryptError::NoSession => "no_session",
            EncryptError::Stale => "stale_session",
            EncryptError::ChainUsedUp => "chain_used_up",
            EncryptError::Bug(_) => "bug",
            _ => "not_encrypted",
        };
        Self::new(code, error)
    }
}

impl From<DecryptError> for Failure {
    fn from(error: DecryptError) -> Self {
        let code = match error {
            DecryptError::Duplicate => "duplicate",
            DecryptError::NoSession => "no_session",
            DecryptError::NotDecryptable => "not_decryptable",
            DecryptError::MissingPreKey(PreKeyKind::Signed) => "missing_signed_pre_key",
            DecryptError::MissingPreKey(PreKeyKind::OneTime) => "missing_one_time_pre_key",
            DecryptError::MissingPreKey(PreKeyKind::Kem) => "missing_kem_pre_key",
            DecryptError::BadBaseKey => "bad_base_key",
            DecryptError::BadIdentityKey => "bad_identity_key",
            DecryptError::BadKemCiphertext => "bad_kem_ciphertext",
            DecryptError::UnsupportedVersion => "unsupported_version",
            DecryptError::Bug(_) => "bug",
            _ => "not_decrypted",
        };
        Self::new(code, error)
    }
}

impl From<group::EncryptError> for Failure {
    fn from(error: group::EncryptError) -> Self {
        let code = match error {
            group::EncryptError::NoSenderKey => "no_sender_key",
            group::EncryptError::ChainUsedUp => "chain_used_up",
            _ => "not_encrypted",
        };
        Self::new(code, error)
    }
}

impl From<group::DecryptError> for Failure {
    fn from(error: group::DecryptError) -> Self {
        let code = match error {
            group::DecryptError::Duplicate => "duplicate",
            group::DecryptError::NoSenderKey => "no_sender_key",
            group::DecryptError::TooFarAhead => "too_far_ahead",
            group::DecryptError::NotDecryptable => "not_decryptable",
            _ => "not_decrypted",
        };
        Self::new(code, error)
    }
}

impl From<group::WrongDistribution> for Failure {
    fn from(error: group::WrongDistribution) -> Self {
        Self::new("wrong_distribution", error)
    }
}

impl From<InvalidIterations> for Failure {
    fn from(error: InvalidIterations) -> Self {
        Self::new("invalid_iterations", error)
    }
}

impl From<RetryError> for Failure {
    fn from(error: RetryError) -> Self {
        match error {
            RetryError::NotEncrypted => Self::new("not_encrypted", error),
            RetryError::Failed(reason) => reason.into(),
            _ => Self::new("no_retry", error),
        }
    }
}

impl From<ScanError> for Failure {
    fn from(error: ScanError) -> Self {
        let code = match error {
            ScanError::OtherVersion => "other_version",
            _ => "malformed",
        };
        Self::new(code, error)
    }
}

impl From<SealError> for Failure {
    fn from(error: SealError) -> Self {
        let code = match error {
            SealError::WrongCertificate => "wrong_certificate",
            SealError::BadIdentityKey => "bad_identity_key",
            SealError::NotServiceId => "not_service_id",
            SealError::RegistrationId => "invalid_registration_id",
            SealError::Contradiction => "contradictory_recipients",
            SealError::RedundantExclusion => "redundant_exclusion",
            SealError::Unbound => "unbound",
            SealError::TooLong => "too_long",
            _ => "not_sealed",
        };
        Self::new(code, error)
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Malformed(reason) | OpenError::Content(reason) => reason.into(),
            OpenError::WrongSender => Self::new("wrong_sender", error),
            _ => Self::new("not_decryptable", error),
        }
    }
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        let code = match error {
            VerifyError::UnknownServer => "unknown_server",
            VerifyError::SelfSend => "self_send",
            VerifyError::Unbound => "unbound",
            _ => "untrusted_sender",
        };
        Self::new(code, error)
    }
}

//! What an app can ask of an error.

use super::{OfflineReason, SealpostError, StorageReason};

#[uniffi::export]
impl SealpostError {
    /// A name for logs and reports that never changes.
    pub fn code(&self) -> String {
        let code = match self {
            Self::Offline { reason } => match reason {
                OfflineReason::Unreachable => "offline.unreachable",
                OfflineReason::TimedOut => "offline.timed_out",
                OfflineReason::Busy => "offline.busy",
                OfflineReason::NotARelay => "offline.not_a_relay",
                OfflineReason::Refused => "offline.refused",
                OfflineReason::Untrusted => "offline.untrusted",
            },
            Self::Unauthorized => "unauthorized",
            Self::NotFound => "not_found",
            Self::TooLong { .. } => "too_long",
            Self::Storage { reason } => match reason {
                StorageReason::WrongKey => "storage.wrong_key",
                StorageReason::Corrupt => "storage.corrupt",
                StorageReason::Newer => "storage.newer",
                StorageReason::ReadOnly => "storage.read_only",
                StorageReason::Full => "storage.full",
                StorageReason::InUse => "storage.in_use",
                StorageReason::Io => "storage.io",
            },
            Self::InvalidArgument { .. } => "invalid_argument",
            Self::Cancelled => "cancelled",
            Self::Misuse { .. } => "misuse",
            Self::Bug { .. } => "bug",
        };
        code.to_owned()
    }

    /// Whether the same call may succeed later without anything being changed.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Offline { reason } => *reason != OfflineReason::Refused,
            Self::Storage { reason } => matches!(reason, StorageReason::Full | StorageReason::InUse),
            _ => false,
        }
    }
}

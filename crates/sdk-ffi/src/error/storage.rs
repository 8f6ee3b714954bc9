//! Why the database could not be used.

use sealpost_core as core;

/// Why the database could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, uniffi::Enum)]
pub enum StorageReason {
    /// The key does not open this database. (Damage to its very first page looks the same.)
    #[error("the key does not open it")]
    WrongKey,
    /// The file is damaged, cut short, or not a database of this library.
    #[error("it is damaged or not a database")]
    Corrupt,
    /// The database was written by a newer version of this library.
    #[error("a newer version of this library wrote it")]
    Newer,
    /// The file or its folder cannot be written.
    #[error("it cannot be written")]
    ReadOnly,
    /// The disk is full: nothing was changed.
    #[error("the disk is full")]
    Full,
    /// Another client of this process has it open, or another process was at work on it for too long.
    #[error("it is in use elsewhere")]
    InUse,
    /// Any other failure of the disk.
    #[error("the disk failed")]
    Io,
}

impl From<core::Storage> for StorageReason {
    fn from(reason: core::Storage) -> Self {
        match reason {
            core::Storage::WrongKey => Self::WrongKey,
            core::Storage::Corrupt => Self::Corrupt,
            core::Storage::Newer { .. } => Self::Newer,
            core::Storage::ReadOnly => Self::ReadOnly,
            core::Storage::Full => Self::Full,
            core::Storage::InUse => Self::InUse,
            _ => Self::Io,
        }
    }
}

//! Maps SQLite's result codes, and errors of files, to our errors.

use std::io::ErrorKind;

use rusqlite::ErrorCode;

use crate::error::{Error, Storage};
use crate::id::InvalidId;

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Storage::Corrupt.into(),
                ErrorCode::DiskFull => Storage::Full.into(),
                ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied => {
                    Storage::ReadOnly.into()
                }
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::FileLockingProtocolFailed => Storage::InUse.into(),
                ErrorCode::ConstraintViolation => Self::Bug("a row broke a rule of the schema"),
                ErrorCode::ApiMisuse | ErrorCode::ParameterOutOfRange | ErrorCode::TypeMismatch => {
                    Self::Bug("a statement was misused")
                }
                _ => Storage::Io.into(),
            },
            // A column contains something that this library does not write.
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..) => Storage::Corrupt.into(),
            _ => Self::Bug("a statement does not fit the schema"),
        }
    }
}

/// Only for identifiers read from the database.
impl From<InvalidId> for Error {
    fn from(_: InvalidId) -> Self {
        Storage::Corrupt.into()
    }
}

/// Only for protocol values read from the database; those of peers have errors of their own.
impl From<sealpost_protocol::DecodeError> for Error {
    fn from(_: sealpost_protocol::DecodeError) -> Self {
        Storage::Corrupt.into()
    }
}

/// For what is done with files directly.
pub(super) fn io_error(error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::NotFound => {
            Storage::ReadOnly
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Storage::Full,
        _ => Storage::Io,
    }
    .into()
}

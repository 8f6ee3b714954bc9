use std::collections::HashSet;
use std::time::Duration;

use super::*;

#[test]
fn every_error_of_the_client_keeps_its_meaning() {
    let offline = [
        core::Offline::Unreachable,
        core::Offline::TimedOut,
        core::Offline::Busy(Duration::from_secs(5)),
        core::Offline::NotARelay,
        core::Offline::Refused(409),
        core::Offline::Untrusted,
    ];
    let storage = [
        core::Storage::WrongKey,
        core::Storage::Corrupt,
        core::Storage::Newer { found: 3, known: 2 },
        core::Storage::NoFolder,
        core::Storage::NotAFile,
        core::Storage::ReadOnly,
        core::Storage::Full,
        core::Storage::InUse,
        core::Storage::Io,
    ];
    let contents = [
        core::InvalidContent::ContactCard,
        core::InvalidContent::Location,
        core::InvalidContent::Poll,
        core::InvalidContent::Choices,
        core::InvalidContent::TooManyPinned,
        core::InvalidContent::Timer,
        core::InvalidContent::Markup,
        core::InvalidContent::Profile,
    ];
    let others = [
        core::Error::Unauthorized,
        core::Error::UnknownDevice,
        core::Error::NotFound,
        core::Error::RecipientDeleted,
        core::Error::WrongState,
        core::Error::EmptyText,
        core::Error::TooLong { max: 9 },
        core::Error::Misuse("twice"),
        core::Error::Bug("here"),
    ];
    let offline = offline.map(core::Error::Offline).into_iter();
    let all = offline.chain(storage.map(core::Error::Storage)).chain(others);
    let all: Vec<_> = all.chain(contents.map(core::Error::InvalidContent)).collect();
    let mut codes = HashSet::new();
    for error in all {
        let ours = SealpostError::from(error.clone());
        assert_eq!(ours.retryable(), error.is_retryable(), "{error:?}");
        assert!(codes.insert(ours.code()), "{error:?} has the code of another");
    }
}

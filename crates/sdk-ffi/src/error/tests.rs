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
    let links = [
        core::LinkFailure::Expired,
        core::LinkFailure::Taken,
        core::LinkFailure::NotAuthentic,
        core::LinkFailure::Refused,
        core::LinkFailure::AlreadyLinked,
        core::LinkFailure::NotPrimary,
        core::LinkFailure::TooManyDevices,
        core::LinkFailure::DeviceIdsUsedUp,
        core::LinkFailure::Name,
        core::LinkFailure::Busy,
    ];
    let others = [
        core::Error::Unauthorized,
        core::Error::UnknownDevice,
        core::Error::Unlinked,
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
    let all = all.chain(contents.map(core::Error::InvalidContent));
    let all: Vec<_> = all.chain(links.map(core::Error::Link)).collect();
    let mut codes = HashSet::new();
    for error in all {
        let ours = SealpostError::from(error.clone());
        assert_eq!(ours.retryable(), error.is_retryable(), "{error:?}");
        assert!(codes.insert(ours.code()), "{error:?} has the code of another");
    }
}

#[test]
fn every_mistake_in_a_code_keeps_its_meaning() {
    let mistakes = [
        core::CodeError::NotACode,
        core::CodeError::OtherVersion,
        core::CodeError::Cut,
        core::CodeError::Damaged,
    ];
    let codes: HashSet<_> = mistakes
        .map(|reason| SealpostError::InvalidCode { reason: reason.into() }.code())
        .into_iter()
        .collect();
    assert_eq!(codes.len(), mistakes.len());
}

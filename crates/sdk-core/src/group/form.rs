//! Lists and keys in the form in which entries carry them.

use sealpost_protocol::device::{AccountKey, VerifiedDeviceList};
use sealpost_wire::roster::AuthorList;

/// A verified list in the form in which entries carry it.
pub(crate) fn carried(list: &VerifiedDeviceList) -> Option<AuthorList> {
    AuthorList::parse(&list.serialize()).ok()
}

/// An account key in the form in which entries name it.
pub(crate) fn named(key: &AccountKey) -> Option<sealpost_wire::roster::AccountKey> {
    sealpost_wire::roster::AccountKey::from_slice(&key.serialize()).ok()
}

//! Data that is passed to a store.

use std::fmt;
use std::ops::Deref;

use crate::primitives::secret::wipe;

/// A stored form including secrets: wiped on drop, not printable, and not comparable. It can be read as a slice of
/// bytes.
pub struct StoredBytes(Vec<u8>);

impl StoredBytes {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Deref for StoredBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for StoredBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for StoredBytes {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl fmt::Debug for StoredBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredBytes(..)")
    }
}

//! The version of the store, in the form in which clients keep it.
//!
//! A client that presents a version that the store has never had proves that the store was restored from a backup.
//! Only this relay can produce a version: 8 bytes each for the epoch, the number and the name of the opening, and the
//! count, big-endian, followed by a tag of 16 bytes.

use aws_lc_rs::hmac;
use bytes::Bytes;
use subtle::ConstantTimeEq as _;

use crate::problem::Problem;
use crate::state::State;
use crate::store::{OpeningName, StoreVersion};
use crate::tokens::Signer;

const TAG: usize = 16;

impl Signer {
    /// Encodes a version for a client.
    pub(crate) fn store_version(&self, version: &StoreVersion) -> Bytes {
        let StoreVersion { epoch, opening, name, commits } = version;
        let fields = [epoch.to_be_bytes(), opening.to_be_bytes(), name.0, commits.to_be_bytes()].concat();
        let tag = hmac::sign(&self.versions, &fields);
        fields.iter().chain(tag.as_ref().iter().take(TAG)).copied().collect()
    }

    /// Decodes what a client presents. `None` if this relay did not produce it.
    pub(crate) fn read_store_version(&self, bytes: &[u8]) -> Option<StoreVersion> {
        let (fields, tag) = bytes.split_at_checked(bytes.len().checked_sub(TAG)?)?;
        let ours = hmac::sign(&self.versions, fields);
        if !bool::from(ours.as_ref().get(..TAG)?.ct_eq(tag)) {
            return None;
        }
        let ([epoch, opening, name, commits], []) = fields.as_chunks::<8>() else { return None };
        Some(StoreVersion {
            epoch: u64::from_be_bytes(*epoch),
            opening: u64::from_be_bytes(*opening),
            name: OpeningName(*name),
            commits: u64::from_be_bytes(*commits),
        })
    }
}

/// Begins a new epoch if a client presents a version that the store has never had.
pub(crate) async fn check(state: &State, shown: &[u8]) -> Result<(), Problem> {
    let Some(version) = state.signer.read_store_version(shown) else { return Ok(()) };
    if state.store.has_had_version(&version) {
        return Ok(());
    }
    let epoch = state.store.begin_epoch(version.epoch.max(state.store.epoch())).await?;
    tracing::error!(
        epoch,
        "a client has seen a later version of the store, which was therefore restored from a backup: a new epoch begins"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_versions_issued_by_this_relay_are_accepted() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (ours, theirs) = (Signer::open(here.path()).unwrap(), Signer::open(there.path()).unwrap());
        let version = StoreVersion { epoch: 3, opening: 7, name: OpeningName([5; 8]), commits: 1 << 40 };
        let bytes = ours.store_version(&version);
        assert_eq!(bytes.len(), 48);
        assert_eq!(ours.read_store_version(&bytes), Some(version));
        assert_eq!(theirs.read_store_version(&bytes), None);
        for at in 0..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1;
            assert_eq!(ours.read_store_version(&changed), None, "byte {at}");
            assert_eq!(ours.read_store_version(&bytes[..at]), None);
        }
    }
}

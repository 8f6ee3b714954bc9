//! The skipped keys of group messages that have not arrived yet, as rows in memory.

use std::collections::BTreeMap;

use sealpost_protocol::DistributionId;
use sealpost_protocol::group::{SkippedChange, SkippedKey, SkippedKeyId};

/// The skipped keys of one sender.
#[derive(Default)]
pub(crate) struct SenderSkippedKeys(BTreeMap<SkippedKeyId, SkippedKey>);

impl SenderSkippedKeys {
    pub(crate) fn find(&self, id: SkippedKeyId) -> Option<SkippedKey> {
        self.0.get(&id).map(|key| SkippedKey::new(id, *key.seed.expose(), key.since))
    }

    pub(crate) fn insert(&mut self, key: SkippedKey) {
        self.0.insert(key.id, key);
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &SkippedKey> {
        self.0.values()
    }

    /// Applies the changes of one step.
    pub(crate) fn apply(&mut self, changes: Vec<SkippedChange>) {
        for change in changes {
            match change {
                SkippedChange::Keep(key) => self.insert(key),
                SkippedChange::Forget(id) => {
                    self.0.remove(&id);
                }
                SkippedChange::KeepNewest { distribution_id, chain_id, count } => {
                    let count = usize::try_from(count).unwrap_or(usize::MAX);
                    for id in self.chain(distribution_id, chain_id).rev().skip(count).collect::<Vec<_>>() {
                        self.0.remove(&id);
                    }
                }
                SkippedChange::ForgetChain { distribution_id, chain_id } => {
                    self.0.retain(|id, _| (id.distribution_id, id.chain_id) != (distribution_id, chain_id));
                }
            }
        }
    }

    fn chain(
        &self,
        distribution_id: DistributionId,
        chain_id: u32,
    ) -> impl DoubleEndedIterator<Item = SkippedKeyId> {
        let at = move |iteration| SkippedKeyId { distribution_id, chain_id, iteration };
        self.0.range(at(0)..=at(u32::MAX)).map(|(id, _)| *id)
    }
}

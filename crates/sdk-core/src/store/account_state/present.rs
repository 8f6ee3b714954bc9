//! What the person has decided so far, as a device that is new is told it.

use super::{StateItem, StateKey, StateValue};
use crate::content::{AccountState, Stamp};
use crate::error::Result;
use crate::id::{ThreadId, UserId};
use crate::store::{PrivacySetting, Rows};

impl Rows<'_> {
    /// What was decided about a thread.
    pub(in crate::store) fn state_of_thread(&self, thread: ThreadId) -> Result<AccountState> {
        self.present_state(&[
            StateKey::Muted(thread),
            StateKey::Archived(thread),
            StateKey::Pinned(thread),
            StateKey::MarkedUnread(thread),
            StateKey::Draft(thread),
        ])
    }

    /// What was decided about a contact.
    pub(in crate::store) fn state_of_contact(&self, user: UserId) -> Result<AccountState> {
        let trust = self.account_key_of(user)?.map(|key| StateKey::Trust(user, key.serialize()));
        let keys: Vec<_> = trust.into_iter().chain([StateKey::Blocked(user)]).collect();
        self.present_state(&keys)
    }

    /// What others are told, in a thread or in all of them.
    pub(in crate::store) fn state_of_privacy(&self, thread: Option<ThreadId>) -> Result<AccountState> {
        self.present_state(&PrivacySetting::ALL.map(|setting| StateKey::Privacy(thread, setting.number())))
    }

    /// These things with their stamps. What has its default value and was not changed is left out.
    pub(in crate::store) fn present_state(&self, keys: &[StateKey]) -> Result<AccountState> {
        let mut items = Vec::new();
        for key in keys {
            let known = self.known_state(key)?;
            let Some(value) = self.state_value(key)? else { continue };
            if known.stamp != Stamp::default() || !is_default(key, &value) {
                items.push(StateItem { key: *key, value, stamp: known.stamp });
            }
        }
        Ok(AccountState { items })
    }
}

/// Whether a new device assumes this by itself.
fn is_default(key: &StateKey, value: &StateValue) -> bool {
    match (key, value) {
        (StateKey::Privacy(..) | StateKey::Accepted(_), _) => false,
        (_, StateValue::Number(number)) => *number == 0,
        (_, StateValue::Archived { is_archived, .. }) => !is_archived,
        (_, StateValue::Text(text)) => text.is_empty(),
        (_, StateValue::Read(_) | StateValue::Profile(_)) => false,
    }
}

//! The configuration of a client.

use std::fmt;
use std::time::Duration;

use sealpost_core as core;
use zeroize::Zeroizing;

use crate::{Result, SealpostError};

/// The settings that have a default. Fields that are added later have one too.
#[derive(Clone, Default, uniffi::Record)]
pub struct Config {
    /// Trust only certificates that lead to one of these roots (DER), instead of the platform's roots.
    #[uniffi(default = None)]
    pub roots: Option<Vec<Vec<u8>>>,
    /// Connect to the relay through this proxy: `http://[user:password@]host[:port]`. It is not used for a relay on
    /// loopback.
    #[uniffi(default = None)]
    pub proxy: Option<String>,
    /// Without `proxy`: connect through the proxy that is configured in the environment or in the settings of macOS
    /// or Windows.
    #[uniffi(default = false)]
    pub system_proxy: bool,
    /// Accept threads that strangers begin immediately, for programs that answer everyone. By default, such a thread is a request
    /// (`Folder.Requests`) until the person accepts it or answers; until then, its sender gets no receipts, and the relay stores only a
    /// few messages of it.
    #[uniffi(default = false)]
    pub accept_all_requests: bool,
    /// How long, and how often, messages can be changed.
    #[uniffi(default)]
    pub change_limits: ChangeLimits,
}

/// How long, and how often, messages can be changed after they were written. Clients apply these limits to what they receive, too,
/// so all clients of an app should have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct ChangeLimits {
    /// For how long the author can edit a message, in milliseconds. Default: 24 hours.
    #[uniffi(default = 86400000)]
    pub edit_for_ms: u64,
    /// How often the author can edit a message. Default: 10 times.
    #[uniffi(default = 10)]
    pub max_edits: u32,
    /// For how long the author can delete a message for everyone, in milliseconds. Default: 48 hours.
    #[uniffi(default = 172800000)]
    pub delete_for_ms: u64,
}

/// The defaults of `sealpost-core`.
impl Default for ChangeLimits {
    fn default() -> Self {
        let limits = core::ChangeLimits::default();
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            edit_for_ms: millis(limits.edit_for),
            max_edits: limits.max_edits,
            delete_for_ms: millis(limits.delete_for),
        }
    }
}

impl From<ChangeLimits> for core::ChangeLimits {
    fn from(limits: ChangeLimits) -> Self {
        let mut core = Self::default();
        core.edit_for = Duration::from_millis(limits.edit_for_ms);
        core.max_edits = limits.max_edits;
        core.delete_for = Duration::from_millis(limits.delete_for_ms);
        core
    }
}

impl fmt::Debug for Config {
    /// Omits the proxy, whose address may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("roots", &self.roots.as_ref().map(Vec::len)).finish_non_exhaustive()
    }
}

impl Config {
    fn message_requests(&self) -> core::MessageRequests {
        if self.accept_all_requests { core::MessageRequests::AcceptAll } else { core::MessageRequests::Ask }
    }

    /// Combines this with the settings that have no default. The key is wiped after it was copied.
    pub(crate) fn into_core(self, database: String, key: Vec<u8>, relay: String) -> Result<core::Config> {
        let key = Zeroizing::new(key);
        let bytes: Zeroizing<[u8; 32]> =
            Zeroizing::new(key.as_slice().try_into().map_err(|_| SealpostError::invalid("key"))?);
        let config = core::Config::new(database, core::DatabaseKey::new(*bytes), relay)
            .message_requests(self.message_requests());
        let config = config.change_limits(self.change_limits.into());
        let config = match (self.proxy, self.system_proxy) {
            (Some(address), _) => config.proxy(core::ProxyChoice::Address(address)),
            (None, true) => config.proxy(core::ProxyChoice::System),
            (None, false) => config,
        };
        Ok(match self.roots {
            Some(roots) => config.trust(core::Trust::Roots(roots)),
            None => config,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_that_both_languages_write_down_are_those_of_the_client() {
        // The same numbers as in the attributes of the fields.
        let written = ChangeLimits { edit_for_ms: 86_400_000, max_edits: 10, delete_for_ms: 172_800_000 };
        assert_eq!(ChangeLimits::default(), written);
        assert_eq!(core::ChangeLimits::from(written), core::ChangeLimits::default());
    }
}

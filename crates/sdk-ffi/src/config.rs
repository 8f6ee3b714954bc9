//! The configuration of a client.

use std::fmt;

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
}

impl fmt::Debug for Config {
    /// Omits the proxy, whose address may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("roots", &self.roots.as_ref().map(Vec::len)).finish_non_exhaustive()
    }
}

impl Config {
    /// Combines this with the settings that have no default. The key is wiped after it was copied.
    pub(crate) fn into_core(self, database: String, key: Vec<u8>, relay: String) -> Result<core::Config> {
        let key = Zeroizing::new(key);
        let bytes: Zeroizing<[u8; 32]> =
            Zeroizing::new(key.as_slice().try_into().map_err(|_| SealpostError::invalid("key"))?);
        let config = core::Config::new(database, core::DatabaseKey::new(*bytes), relay);
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

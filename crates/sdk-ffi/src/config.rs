//! What the app decides.

use sealpost_core as core;
use zeroize::Zeroizing;

use crate::{Result, SealpostError};

/// What has a default. A field that comes later has one too.
#[derive(Debug, Clone, Default, uniffi::Record)]
pub struct Config {
    /// Believe only certificates that lead to one of these (DER), instead of the platform's.
    #[uniffi(default = None)]
    pub roots: Option<Vec<Vec<u8>>>,
}

impl Config {
    /// With what has no default. The key is wiped when it was taken over.
    pub(crate) fn into_core(self, database: String, key: Vec<u8>, relay: String) -> Result<core::Config> {
        let key = Zeroizing::new(key);
        let bytes: Zeroizing<[u8; 32]> =
            Zeroizing::new(key.as_slice().try_into().map_err(|_| SealpostError::invalid("key"))?);
        let config = core::Config::new(database, core::DatabaseKey::new(*bytes), relay);
        Ok(match self.roots {
            Some(roots) => config.trust(core::Trust::Roots(roots)),
            None => config,
        })
    }
}

//! How this device proves its identity to the relay when its tokens are refused: the login key and the registration tag.

use std::fmt;

use rand::CryptoRng;
use rusqlite::{OptionalExtension as _, params};
use zeroize::Zeroizing;

use super::{Rows, Tx};
use crate::error::{Error, Result, Storage};

/// The secret of our login key: a seed of Ed25519 (RFC 8032).
pub(crate) struct LoginKey(Box<Zeroizing<[u8; 32]>>);

impl LoginKey {
    pub(crate) fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut seed = Box::new(Zeroizing::new([0; 32]));
        rng.fill_bytes(&mut **seed);
        Self(seed)
    }

    /// The secret itself. No other function returns it.
    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    fn from_stored(stored: &[u8]) -> Result<Self> {
        let mut seed = Box::new(Zeroizing::new([0; 32]));
        if stored.len() != seed.len() {
            return Err(Storage::Corrupt.into());
        }
        seed.copy_from_slice(stored);
        Ok(Self(seed))
    }
}

impl fmt::Debug for LoginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginKey(..)")
    }
}

impl Rows<'_> {
    /// Our login key; `None` in a database that was created before login keys existed.
    pub(crate) fn login_key(&self) -> Result<Option<LoginKey>> {
        let sql = "SELECT login_key FROM account";
        let stored: Option<Option<Vec<u8>>> =
            self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?;
        stored.flatten().map(|stored| LoginKey::from_stored(&Zeroizing::new(stored))).transpose()
    }

    /// The tag with which this device can register again if the relay loses it; `None` while the relay does not know our
    /// login key.
    pub(crate) fn registration_tag(&self) -> Result<Option<Vec<u8>>> {
        let sql = "SELECT registration_tag FROM account";
        let tag = self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0));
        Ok(tag.optional()?.flatten())
    }

    /// The newest version of the relay's store that we have seen; empty if there is none.
    pub(crate) fn store_version(&self) -> Result<Vec<u8>> {
        let sql = "SELECT store_version FROM account";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }
}

impl Tx<'_> {
    /// Returns our login key, after storing `fresh` if there was none.
    pub(crate) fn ensure_login_key(&mut self, fresh: &LoginKey) -> Result<LoginKey> {
        let sql = "UPDATE account SET login_key = coalesce(login_key, ?1) RETURNING login_key";
        let stored = self
            .connection
            .prepare_cached(sql)?
            .query_row([fresh.expose()], |row| row.get(0).map(Zeroizing::<Vec<u8>>::new))
            .optional()?;
        LoginKey::from_stored(&stored.ok_or(Error::Bug("no account"))?)
    }

    /// Stores the registration tag, which the relay returns once it knows our login key.
    pub(crate) fn set_registration_tag(&mut self, tag: &[u8]) -> Result<()> {
        self.change_one("UPDATE account SET registration_tag = ?1", params![tag])
    }

    pub(crate) fn set_store_version(&mut self, version: &[u8]) -> Result<()> {
        self.change_one("UPDATE account SET store_version = ?1", params![version])
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn a_login_key_comes_from_the_generator_and_is_not_printed() {
        let key = |seed| LoginKey::generate(&mut StdRng::seed_from_u64(seed));
        assert_eq!(key(1).expose(), key(1).expose());
        assert_ne!(key(1).expose(), key(2).expose());
        assert_eq!(format!("{:?}", key(1)), "LoginKey(..)");
        for length in [0, 31, 33] {
            assert!(LoginKey::from_stored(&vec![1; length]).is_err());
        }
    }
}

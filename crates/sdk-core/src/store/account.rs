//! Our account, which is one row.

use rusqlite::{OptionalExtension as _, params};
use sealpost_protocol::IdentityKeyPair;
use sealpost_protocol::device::AccountKeyPair;
use zeroize::Zeroizing;

use super::search::Indexed;
use super::{Rows, Tx, from_sql, narrow, to_sql};
use crate::error::{Error, Result};
use crate::id::{DeviceId, UserId};

/// Our account as it is stored.
pub(crate) struct Account {
    pub(crate) identity: IdentityKeyPair,
    pub(crate) registration_id: u32,
    /// `None` until the relay has created the account.
    pub(crate) registered: Option<Registered>,
    pub(crate) epoch: u64,
}

/// The identity that the relay assigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Registered {
    pub(crate) user: UserId,
    pub(crate) device: DeviceId,
}

/// The tokens that authenticate us at the relay.
#[derive(Clone)]
pub(crate) struct Tokens {
    pub(crate) access: Zeroizing<String>,
    /// When the access token expires, in server time, in milliseconds.
    pub(crate) access_expires_ms: u64,
    pub(crate) refresh: Zeroizing<String>,
}

/// What is stored about the clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Clocks {
    /// The relay's time minus ours, in milliseconds.
    pub(crate) offset_ms: i64,
    /// A time that both clocks agree has passed, in milliseconds.
    pub(crate) passed_ms: u64,
}

impl Rows<'_> {
    /// Whether this is our own user.
    pub(crate) fn is_us(&self, user: UserId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM account WHERE user_id = ?1)";
        Ok(self.connection.prepare_cached(sql)?.query_row([user.as_bytes()], |row| row.get(0))?)
    }

    /// # Errors
    /// Returns [`Error::Unauthorized`] if the account has been left.
    pub(crate) fn account(&self) -> Result<Option<Account>> {
        if self.has_left()? {
            return Err(Error::Unauthorized);
        }
        let sql = "SELECT identity, registration_id, user_id, device_id, epoch FROM account";
        let row = self.connection.prepare_cached(sql)?.query_row([], |row| {
            Ok((
                Zeroizing::new(row.get::<_, Vec<u8>>(0)?),
                row.get::<_, i64>(1)?,
                row.get::<_, Option<Vec<u8>>>(2)?,
                row.get::<_, Option<i64>>(3)?,
                row.get::<_, i64>(4)?,
            ))
        });
        let Some((identity, registration_id, user, device, epoch)) = row.optional()? else {
            return Ok(None);
        };
        let registered = match (user, device) {
            (Some(user), Some(device)) => {
                Some(Registered { user: UserId::from_slice(&user)?, device: DeviceId::new(narrow(device)?)? })
            }
            _ => None,
        };
        Ok(Some(Account {
            identity: IdentityKeyPair::from_bytes(&identity)?,
            registration_id: narrow(registration_id)?,
            registered,
            epoch: from_sql(epoch)?,
        }))
    }

    /// The key that signs our device list. Accounts from before device lists have no key of its own for this: theirs is the identity
    /// key.
    pub(crate) fn account_key(&self) -> Result<AccountKeyPair> {
        let sql = "SELECT coalesce(account_key, identity) FROM account WHERE leaving = 0";
        let key = self
            .connection
            .prepare_cached(sql)?
            .query_row([], |row| row.get(0).map(Zeroizing::<Vec<u8>>::new));
        Ok(AccountKeyPair::from_bytes(&key.optional()?.ok_or(Error::Unauthorized)?)?)
    }

    /// Whether this device signs the list of our devices: it is the primary one.
    pub(crate) fn holds_account_key(&self) -> Result<bool> {
        let sql = "SELECT is_primary FROM account WHERE user_id IS NOT NULL";
        let is_primary: Option<bool> =
            self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?;
        is_primary.ok_or(Error::Unauthorized)
    }

    /// The account after its registration, which every path except registration can rely on.
    ///
    /// # Errors
    /// Returns [`Error::Unauthorized`] if the account has been left.
    pub(crate) fn our_account(&self) -> Result<(Account, Registered)> {
        let account = self.account()?.ok_or(Error::Unauthorized)?;
        let registered = account.registered.ok_or(Error::Bug("not registered"))?;
        Ok((account, registered))
    }

    pub(crate) fn tokens(&self) -> Result<Tokens> {
        let sql = "SELECT access_token, access_expires, refresh_token FROM account WHERE user_id IS NOT NULL";
        let row = self.connection.prepare_cached(sql)?.query_row([], |row| {
            Ok((
                Zeroizing::new(row.get::<_, String>(0)?),
                row.get::<_, i64>(1)?,
                Zeroizing::new(row.get::<_, String>(2)?),
            ))
        });
        let (access, expires, refresh) = row.optional()?.ok_or(Error::Unauthorized)?;
        Ok(Tokens { access, access_expires_ms: from_sql(expires)?, refresh })
    }

    /// The range of messages that the search index covers.
    pub(super) fn indexed(&self) -> Result<Indexed> {
        let sql = "SELECT indexed_after, indexed_up_to FROM account";
        let indexed = self
            .connection
            .prepare_cached(sql)?
            .query_row([], |row| Ok(Indexed { after: row.get(0)?, up_to: row.get(1)? }));
        Ok(indexed.optional()?.unwrap_or(Indexed { after: 0, up_to: 0 }))
    }
}

impl Tx<'_> {
    pub(crate) fn insert_account(&mut self, identity: &IdentityKeyPair, registration_id: u32) -> Result<()> {
        self.change_one(
            "INSERT INTO account (only, identity, registration_id) VALUES (1, ?1, ?2)",
            params![&*identity.to_bytes(), registration_id],
        )
    }

    /// Stores the account key of a new account.
    pub(crate) fn set_account_key(&mut self, key: &AccountKeyPair) -> Result<()> {
        self.change_one("UPDATE account SET account_key = ?1", [&*key.to_bytes()])
    }

    /// This device signs our device list from now on with its account key, or does not any more. A companion has no account key.
    pub(super) fn set_primary(&mut self, is_primary: bool) -> Result<()> {
        self.change_one(
            "UPDATE account SET is_primary = ?1, account_key = iif(?1, account_key, NULL)",
            [is_primary],
        )
    }

    pub(crate) fn set_registered(&mut self, registered: Registered, tokens: &Tokens) -> Result<()> {
        self.change_one(
            "UPDATE account SET user_id = ?1, device_id = ?2, is_primary = (?2 = 1)",
            params![registered.user.as_bytes(), registered.device.get()],
        )?;
        self.set_tokens(tokens)
    }

    /// The idempotency key for exchanging the stored tokens: the one of an exchange that was started before, perhaps
    /// by a process that has died, or else `fresh`. It must be on disk before the request: with the same key, the
    /// relay returns the same tokens.
    pub(crate) fn name_exchange(&mut self, fresh: &str) -> Result<Zeroizing<String>> {
        let sql = "UPDATE account SET exchange = coalesce(exchange, ?1) RETURNING exchange";
        let name = self.connection.prepare_cached(sql)?.query_row([fresh], |row| row.get(0))?;
        Ok(Zeroizing::new(name))
    }

    /// Stores the result of the exchange.
    pub(crate) fn set_tokens(&mut self, tokens: &Tokens) -> Result<()> {
        self.change_one(
            "UPDATE account SET access_token = ?1, access_expires = ?2, refresh_token = ?3, exchange = NULL",
            params![tokens.access.as_str(), to_sql(tokens.access_expires_ms)?, tokens.refresh.as_str()],
        )
    }

    pub(crate) fn set_epoch(&mut self, epoch: u64) -> Result<()> {
        self.change_one("UPDATE account SET epoch = ?1", params![to_sql(epoch)?])
    }

    pub(crate) fn set_clocks(&mut self, clocks: Clocks) -> Result<()> {
        self.change_one(
            "UPDATE account SET clock_offset = ?1, passed = max(passed, ?2)",
            params![clocks.offset_ms, to_sql(clocks.passed_ms)?],
        )
    }

    pub(super) fn set_indexed(&mut self, indexed: Indexed) -> Result<()> {
        self.change_one(
            "UPDATE account SET indexed_after = ?1, indexed_up_to = ?2",
            params![indexed.after, indexed.up_to],
        )
    }

    /// Reserves `count` consecutive pre-key ids, and returns the first.
    pub(crate) fn take_key_ids(&mut self, count: u32) -> Result<u32> {
        let next: i64 = self
            .connection
            .prepare_cached("UPDATE account SET next_key_id = next_key_id + ?1 RETURNING next_key_id")?
            .query_row([count], |row| row.get(0))?;
        let next: u32 = narrow(next)?;
        next.checked_sub(count).ok_or(Error::Bug("the next key id decreased"))
    }
}

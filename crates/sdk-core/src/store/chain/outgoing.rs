//! Our chain in each group, who holds it, and who is still to get it.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension as _, params};
use sealpost_protocol::group::SenderKeyRecord;
use zeroize::Zeroizing;

use super::super::{Rows, Tx, from_sql, to_sql};
use crate::error::Result;
use crate::id::{DeviceId, ThreadId, UserId};
use crate::store::{Device, OutgoingId};

/// The slot of distributions among the mail to a member.
pub(crate) const DISTRIBUTION_SLOT: u8 = 23;

/// Our chain in a group.
pub(crate) struct ChainOut {
    pub(crate) record: SenderKeyRecord,
    /// Of the roster that it was made for.
    pub(crate) removal_version: u64,
    /// When it began, by server time.
    pub(crate) began_ms: u64,
    /// How many messages were encrypted with it.
    pub(crate) sent: u32,
    /// Whether nobody lacks it, unless something has changed that is not recorded here.
    pub(crate) is_checked: bool,
}

/// A device that has our chain, and its identity key.
pub(crate) type Holder = (UserId, DeviceId, [u8; 33]);

impl Rows<'_> {
    /// Our chain in a group; none if there is none, or it cannot be read: then another one begins.
    pub(crate) fn chain_out(&self, thread: ThreadId) -> Result<Option<ChainOut>> {
        let sql =
            "SELECT record, removal_version, began, sent, is_checked FROM chain_out WHERE thread_id = ?1";
        let row = self.connection.prepare_cached(sql)?.query_row([thread.as_bytes()], |row| {
            let numbers: [i64; 2] = [row.get(1)?, row.get(2)?];
            Ok((Zeroizing::new(row.get::<_, Vec<u8>>(0)?), numbers, row.get(3)?, row.get(4)?))
        });
        let Some((record, [removal_version, began], sent, is_checked)) = row.optional()? else {
            return Ok(None);
        };
        let Ok(record) = SenderKeyRecord::from_bytes(&record) else {
            tracing::warn!("our chain in a group could not be decoded");
            return Ok(None);
        };
        let (removal_version, began_ms) = (from_sql(removal_version)?, from_sql(began)?);
        Ok(Some(ChainOut { record, removal_version, began_ms, sent, is_checked }))
    }

    /// The members of a group whose account key is the one in its roster, ourselves included.
    pub(crate) fn members_with_keys(&self, thread: ThreadId) -> Result<Vec<UserId>> {
        let sql = "SELECT user_id, account_key FROM member WHERE thread_id = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([thread.as_bytes()], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Option<Vec<u8>>>(1)?))
        })?;
        let mut members = Vec::new();
        for row in rows {
            let (user, key) = row?;
            let user = UserId::from_slice(&user)?;
            // Somebody whose account is not known yet is met first.
            let known = self.account_key_of(user)?.map(|key| key.serialize().to_vec());
            if known.is_none() || key.is_none() || known == key {
                members.push(user);
            }
        }
        Ok(members)
    }

    /// The devices that have our chain in a group.
    pub(crate) fn chain_holders(&self, thread: ThreadId) -> Result<BTreeSet<Holder>> {
        let sql = "SELECT user_id, device_id, identity FROM chain_holder WHERE thread_id = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([thread.as_bytes()], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?, row.get::<_, [u8; 33]>(2)?))
        })?;
        rows.map(|row| {
            let (user, device, identity) = row?;
            Ok((UserId::from_slice(&user)?, DeviceId::new(device)?, identity))
        })
        .collect()
    }

    /// The members for whom a distribution waits, and since when the first one waits, by server time, that was not tried yet.
    pub(crate) fn waiting_distributions(&self, thread: ThreadId) -> Result<(BTreeSet<UserId>, Option<u64>)> {
        let sql = "SELECT recipient, attempts, sent FROM mail WHERE thread_id = ?1 AND slot = ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![thread.as_bytes(), DISTRIBUTION_SLOT])?;
        let (mut users, mut since) = (BTreeSet::new(), None);
        while let Some(row) = rows.next()? {
            users.insert(UserId::from_slice(&row.get::<_, Vec<u8>>(0)?)?);
            if row.get::<_, u32>(1)? == 0 {
                let sent_ms = from_sql(row.get(2)?)?;
                since = Some(since.map_or(sent_ms, |since: u64| since.min(sent_ms)));
            }
        }
        Ok((users, since))
    }
}

impl Tx<'_> {
    /// A new chain of ours begins. Nobody has it yet, and nobody gets the one before.
    pub(crate) fn begin_chain(
        &mut self,
        thread: ThreadId,
        record: &SenderKeyRecord,
        removal_version: u64,
        now_ms: u64,
    ) -> Result<()> {
        self.change("DELETE FROM chain_holder WHERE thread_id = ?1", [thread.as_bytes()])?;
        let sql = "DELETE FROM mail WHERE thread_id = ?1 AND slot = ?2";
        self.change(sql, params![thread.as_bytes(), DISTRIBUTION_SLOT])?;
        self.change_one(
            "INSERT INTO chain_out (thread_id, record, removal_version, began) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET record = excluded.record, removal_version = excluded.removal_version,
                began = excluded.began, sent = 0, is_checked = 0",
            params![thread.as_bytes(), &*record.to_bytes(), to_sql(removal_version)?, to_sql(now_ms)?],
        )
    }

    /// Our chain has advanced by a message.
    pub(crate) fn advance_chain(&mut self, thread: ThreadId, record: &SenderKeyRecord) -> Result<()> {
        let sql = "UPDATE chain_out SET record = ?2, sent = sent + 1 WHERE thread_id = ?1";
        self.change_one(sql, params![thread.as_bytes(), &*record.to_bytes()])
    }

    /// Nobody lacks our chain.
    pub(crate) fn set_chain_checked(&mut self, thread: ThreadId) -> Result<()> {
        self.change_one("UPDATE chain_out SET is_checked = 1 WHERE thread_id = ?1", [thread.as_bytes()])
    }

    /// Our chain was sealed for these devices.
    pub(crate) fn set_holders<'d>(
        &mut self,
        thread: ThreadId,
        devices: impl IntoIterator<Item = &'d Device>,
    ) -> Result<()> {
        for device in devices {
            self.change_one(
                "INSERT INTO chain_holder (thread_id, user_id, device_id, identity) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET identity = excluded.identity",
                params![
                    thread.as_bytes(),
                    device.user.as_bytes(),
                    device.device.get(),
                    device.identity.serialize().as_slice()
                ],
            )?;
        }
        Ok(())
    }

    /// A distribution was not sent: the devices of its recipient lack our chain.
    pub(in crate::store) fn forget_holders(&mut self, thread: &[u8], user: &[u8]) -> Result<()> {
        self.change("DELETE FROM chain_holder WHERE thread_id = ?1 AND user_id = ?2", [thread, user])?;
        let sql = "UPDATE chain_out SET is_checked = 0 WHERE thread_id = ?1";
        self.change(sql, [thread]).map(drop)
    }

    /// If nobody gets our chain for the first time any more, what waits for that is sent.
    pub(crate) fn release_group(&mut self, thread: ThreadId) -> Result<()> {
        let sql = "UPDATE lane SET due = 0 WHERE lane = ?1 AND NOT EXISTS
                (SELECT 1 FROM mail WHERE thread_id = ?1 AND slot = ?2 AND attempts = 0)";
        self.change(sql, params![thread.as_bytes(), DISTRIBUTION_SLOT]).map(drop)
    }

    /// Our chains are distributed again before the next messages, because something else has changed that is told with them.
    pub(in crate::store) fn distribute_again(&mut self) -> Result<()> {
        self.change("DELETE FROM chain_holder", [])?;
        self.change("UPDATE chain_out SET is_checked = 0", []).map(drop)
    }

    /// All our chains end: this database is an older copy, and the same keys may have been used for other messages.
    pub(in crate::store) fn end_chains(&mut self) -> Result<()> {
        self.change("DELETE FROM chain_holder", [])?;
        self.change("DELETE FROM chain_out", []).map(drop)
    }

    /// The message of an entry was sealed for this version of the roster.
    pub(crate) fn set_message_roster(&mut self, entry: OutgoingId, version: u64) -> Result<()> {
        let sql = "UPDATE message SET roster = ?2 WHERE id = (SELECT message_id FROM outgoing WHERE id = ?1)";
        self.change(sql, params![entry.0, to_sql(version)?]).map(drop)
    }
}

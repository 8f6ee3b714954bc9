//! Link tokens, and the devices that are registered with them.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Result, params};
use sealpost_wire::id::UserId;
use sealpost_wire::limits::{MAX_DEVICE_ID, MAX_DEVICES, UNSEEN_UNLINKED_MS};

use super::columns::{address, expect_one};
use super::fair::Payer;
use super::room::Need;
use super::{SqliteStore, accounts, devices, keys, tokens};
use crate::address::Address;
use crate::fault::{self, Station};
use crate::store::{Answer, Device, LinkDevice, LinkToken, Linked, Linking, NewAccount, NewLinkToken};

const DAY_MS: u64 = 24 * 3_600 * 1_000;

impl Linking for SqliteStore {
    fn take_link_token(&self, new: NewLinkToken) -> Answer<LinkToken> {
        self.writer.write(Payer::User(new.user), Need::Grows, move |tx| take(tx, &new))
    }

    fn link_device(&self, new: LinkDevice) -> Answer<Linked> {
        let revocations = Arc::clone(&self.revocations);
        let work = move |tx: &Connection| {
            let linked = link(tx, &new)?;
            fault::at(Station::LinkBeforeCommit);
            Ok(linked)
        };
        self.writer.write_and_then(Payer::Anonymous, Need::Grows, work, move |linked| {
            if let Linked::Again(device) = linked {
                revocations.record(device);
            }
            linked
        })
    }

    fn note_seen(&self, address: Address, now_ms: u64) -> Answer<()> {
        self.writer.write(Payer::User(address.user), Need::Frees, move |tx| {
            tx.prepare_cached(
                "UPDATE device SET seen_ms = ?3 WHERE user_id = ?1 AND device_id = ?2 AND seen_ms <= ?4",
            )?
            .execute(params![
                address.user.as_bytes(),
                address.device.get(),
                now_ms,
                now_ms.saturating_sub(DAY_MS)
            ])?;
            Ok(())
        })
    }

    fn unlink_unseen(&self, now_ms: u64, budget: usize) -> Answer<Vec<Address>> {
        let revocations = Arc::clone(&self.revocations);
        let work = move |tx: &Connection| unlink_unseen(tx, now_ms, budget);
        self.writer.write_and_then(Payer::Relay, Need::Frees, work, move |unlinked: Vec<Address>| {
            unlinked.iter().for_each(|device| revocations.record(*device));
            unlinked
        })
    }
}

fn take(tx: &Connection, new: &NewLinkToken) -> Result<LinkToken> {
    if count_live(tx, new.user)? >= MAX_DEVICES {
        return Ok(LinkToken::TooManyDevices);
    }
    // Also numbers from before marks were kept, and those of devices that were restored since.
    let highest: u32 = tx
        .prepare_cached(
            "SELECT max(
                coalesce((SELECT device_id FROM device_mark WHERE user_id = ?1), 1),
                coalesce((SELECT max(device_id) FROM device WHERE user_id = ?1), 1),
                coalesce((SELECT max(device_id) FROM revoked_device WHERE user_id = ?1), 1))",
        )?
        .query_row([new.user.as_bytes()], |row| row.get(0))?;
    let device = highest.max(new.above).saturating_add(1);
    if device > MAX_DEVICE_ID {
        return Ok(LinkToken::IdsUsedUp);
    }
    tx.prepare_cached(
        "INSERT INTO device_mark (user_id, device_id) VALUES (?1, ?2)
         ON CONFLICT DO UPDATE SET device_id = excluded.device_id",
    )?
    .execute(params![new.user.as_bytes(), device])?;
    expect_one(
        tx.prepare_cached(
            "INSERT INTO link_token (token_hash, user_id, device_id, until_ms) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![new.token.0, new.user.as_bytes(), device, new.until_ms])?,
    )?;
    Ok(LinkToken::Taken(device))
}

fn link(tx: &Connection, new: &LinkDevice) -> Result<Linked> {
    let row = tx
        .prepare_cached("SELECT user_id, device_id, until_ms, used_by FROM link_token WHERE token_hash = ?1")?
        .query_row([new.token.0], |row| {
            Ok((address(row, 0, 1)?, row.get::<_, u64>(2)?, row.get::<_, Option<[u8; 32]>>(3)?))
        })
        .optional()?;
    let Some((address, until_ms, used_by)) = row else { return Ok(Linked::BadToken) };
    let now_ms = new.device.now_ms;
    match used_by {
        Some(request) if request == new.request.0 => return again(tx, address, &new.device),
        Some(_) => return Ok(Linked::Used),
        None if until_ms <= now_ms => return Ok(Linked::BadToken),
        None => {}
    }
    if count_live(tx, address.user)? >= MAX_DEVICES {
        return Ok(Linked::TooManyDevices);
    }
    expect_one(
        tx.prepare_cached("UPDATE link_token SET used_by = ?2 WHERE token_hash = ?1")?
            .execute(params![new.token.0, new.request.0])?,
    )?;
    accounts::insert_device(tx, &NewAccount { address, ..new.device.clone() })?;
    tx.prepare_cached("UPDATE device SET push_token = ?3 WHERE user_id = ?1 AND device_id = ?2")?
        .execute(params![address.user.as_bytes(), address.device.get(), &new.push_token[..]])?;
    Ok(Linked::New(address))
}

/// The request is repeated, because its answer was lost.
fn again(tx: &Connection, address: Address, device: &NewAccount) -> Result<Linked> {
    let shown = Device {
        registration_id: device.registration_id,
        identity_key: device.identity_key.clone(),
        login_key: device.login_key,
    };
    if devices::get(tx, address)? != Some(shown) {
        return Ok(Linked::Used);
    }
    keys::insert(tx, address, device.keys.get())?;
    tokens::end_all(tx, address)?;
    tokens::insert(tx, address, &device.family)?;
    Ok(Linked::Again(address))
}

fn count_live(tx: &Connection, user: UserId) -> Result<u32> {
    tx.prepare_cached("SELECT count(*) FROM device WHERE user_id = ?1")?
        .query_row([user.as_bytes()], |row| row.get(0))
}

fn unlink_unseen(tx: &Connection, now_ms: u64, budget: usize) -> Result<Vec<Address>> {
    let unseen = tx
        .prepare_cached(
            "SELECT user_id, device_id FROM device WHERE is_primary = 0 AND seen_ms <= ?1 ORDER BY seen_ms LIMIT ?2",
        )?
        .query_map(params![now_ms.saturating_sub(UNSEEN_UNLINKED_MS), budget], |row| address(row, 0, 1))?
        .collect::<Result<Vec<_>>>()?;
    for device in &unseen {
        accounts::revoke(tx, *device)?;
    }
    Ok(unseen)
}

/// Tokens that were used are kept for a day longer than they are accepted, in case the request is repeated.
pub(super) fn forget_tokens(tx: &Connection, now_ms: u64, budget: u32) -> Result<usize> {
    tx.execute(
        "DELETE FROM link_token WHERE token_hash IN
            (SELECT token_hash FROM link_token WHERE until_ms <= ?1 LIMIT ?2)",
        params![now_ms.saturating_sub(DAY_MS), budget],
    )
}

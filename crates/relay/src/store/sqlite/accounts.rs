//! Accounts and devices.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Result, params};
use sealpost_wire::id::UserId;
use sealpost_wire::{DeviceInfo, SignedDeviceList};

use super::columns::{address, expect_one};
use super::fair::Payer;
use super::room::Need;
use super::{SqliteStore, device_lists, devices, inbox, keys, tokens};
use crate::address::Address;
use crate::fault::{self, Station};
use crate::store::{
    Accounts, Answer, Device, Generation, IdempotencyKey, LoggedIn, Login, MoveAccount, MovedAccount,
    NewAccount, Restored,
};

/// How long a repeated request finds the same account, in milliseconds: one day.
const REMEMBERED_MS: u64 = 24 * 3_600 * 1_000;

/// How many rows of a revoked device's mailbox are deleted together with the device.
const ROWS_AT_ONCE: u32 = 64;

impl Accounts for SqliteStore {
    fn create_account(&self, new: NewAccount) -> Answer<Address> {
        let (revocations, fresh) = (Arc::clone(&self.revocations), new.address);
        let create = move |tx: &Connection| {
            let address = create(tx, &new)?;
            fault::at(Station::RegisterBeforeCommit);
            Ok(address)
        };
        // If the device existed before, its tokens were revoked.
        self.writer.write_and_then(Payer::Anonymous, Need::Grows, create, move |device| {
            if device != fresh {
                revocations.record(device);
            }
            device
        })
    }

    fn devices(&self, user: UserId) -> Answer<Vec<DeviceInfo>> {
        self.readers.read(user, move |tx| devices::live(tx, user))
    }

    fn revoked_devices(&self, user: UserId) -> Answer<Vec<u32>> {
        self.readers.read(user, move |tx| devices::revoked(tx, user))
    }

    fn device(&self, address: Address) -> Answer<Option<Device>> {
        self.readers.read(address.user, move |tx| devices::get(tx, address))
    }

    fn log_in(&self, login: Login) -> Answer<LoggedIn> {
        let (revocations, address) = (Arc::clone(&self.revocations), login.address);
        let work = move |tx: &Connection| log_in(tx, &login);
        // The earlier tokens are no longer valid.
        self.writer.write_and_then(Payer::User(address.user), Need::Frees, work, move |outcome| {
            if outcome == LoggedIn::Yes {
                revocations.record(address);
            }
            outcome
        })
    }

    fn restore_device(&self, device: NewAccount) -> Answer<Restored> {
        let (revocations, address) = (Arc::clone(&self.revocations), device.address);
        let work = move |tx: &Connection| restore(tx, &device);
        self.writer.write_and_then(Payer::User(address.user), Need::Grows, work, move |outcome| {
            if outcome == Restored::Yes {
                revocations.record(address);
            }
            outcome
        })
    }

    fn note_generation(&self, address: Address, generation: Generation) -> Answer<Generation> {
        self.writer.write(Payer::User(address.user), Need::Frees, move |tx| {
            devices::note_generation(tx, address, generation)
        })
    }

    fn revoke_device(&self, address: Address) -> Answer<bool> {
        let revocations = Arc::clone(&self.revocations);
        self.writer.write_and_then(
            Payer::User(address.user),
            Need::Frees,
            move |tx| revoke_or_withdraw(tx, address),
            move |was_there| {
                if was_there {
                    revocations.record(address);
                }
                was_there
            },
        )
    }

    fn put_device_list(&self, user: UserId, list: SignedDeviceList) -> Answer<bool> {
        self.writer.write(Payer::User(user), Need::Grows, move |tx| device_lists::put(tx, user, &list))
    }

    fn is_primary(&self, device: Address) -> Answer<bool> {
        self.readers.read(device.user, move |tx| devices::is_primary(tx, device))
    }

    fn move_account(&self, request: MoveAccount) -> Answer<MovedAccount> {
        self.writer.write(Payer::User(request.from.user), Need::Grows, move |tx| {
            let moved = device_lists::move_account(tx, &request)?;
            fault::at(Station::MoveBeforeCommit);
            Ok(moved)
        })
    }

    fn device_list(&self, user: UserId) -> Answer<Option<SignedDeviceList>> {
        self.readers.read(user, move |tx| device_lists::get(tx, user))
    }

    fn delete_account(&self, user: UserId, now_ms: u64) -> Answer<Vec<Address>> {
        let revocations = Arc::clone(&self.revocations);
        let delete = move |tx: &Connection| {
            let devices = delete(tx, user, now_ms)?;
            fault::at(Station::DeleteBeforeCommit);
            Ok(devices)
        };
        self.writer.write_and_then(Payer::User(user), Need::Frees, delete, move |devices| {
            devices.iter().for_each(|device| revocations.record(*device));
            devices
        })
    }

    fn is_deleted(&self, user: UserId) -> Answer<bool> {
        self.readers.read(user, move |tx| devices::is_deleted(tx, user))
    }
}

fn create(tx: &Connection, new: &NewAccount) -> Result<Address> {
    let Some(key) = new.idempotency else { return insert(tx, new) };
    if let Some(address) = find_repeated(tx, new, key)? {
        keys::insert(tx, address, new.keys.get())?;
        tokens::end_all(tx, address)?;
        tokens::insert(tx, address, &new.family)?;
        return Ok(address);
    }
    expect_one(
        tx.prepare_cached(
            "INSERT OR REPLACE INTO registration (idempotency_key, user_id, until_ms) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![
            key.0,
            new.address.user.as_bytes(),
            new.now_ms.saturating_add(REMEMBERED_MS)
        ])?,
    )?;
    insert(tx, new)
}

/// The device that an earlier run of the same request created.
fn find_repeated(tx: &Connection, new: &NewAccount, key: IdempotencyKey) -> Result<Option<Address>> {
    tx.prepare_cached(
        "SELECT user_id, device_id FROM registration JOIN device USING (user_id)
         WHERE idempotency_key = ?1 AND until_ms > ?2
            AND device_id = ?3 AND registration_id = ?4 AND identity_key = ?5 AND login_key IS ?6",
    )?
    .query_row(
        params![
            key.0,
            new.now_ms,
            new.address.device.get(),
            new.registration_id,
            &new.identity_key[..],
            new.login_key.map(|key| key.0)
        ],
        |row| address(row, 0, 1),
    )
    .optional()
}

fn insert(tx: &Connection, new: &NewAccount) -> Result<Address> {
    expect_one(
        tx.prepare_cached("INSERT INTO account (user_id, created_ms) VALUES (?1, ?2)")?
            .execute(params![new.address.user.as_bytes(), new.now_ms])?,
    )?;
    insert_device(tx, new)?;
    Ok(new.address)
}

pub(super) fn insert_device(tx: &Connection, new: &NewAccount) -> Result<()> {
    let Address { user, device } = new.address;
    expect_one(
        tx.prepare_cached(
            "INSERT INTO device (user_id, device_id, registration_id, identity_key, login_key, seen_ms, is_primary)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6,
                ?2 = 1 AND NOT EXISTS (SELECT 1 FROM device WHERE user_id = ?1 AND is_primary = 1))",
        )?
        .execute(params![
            user.as_bytes(),
            device.get(),
            new.registration_id,
            &new.identity_key[..],
            new.login_key.map(|key| key.0),
            new.now_ms
        ])?,
    )?;
    expect_one(
        tx.prepare_cached(
            "INSERT INTO mailbox (user_id, device_id, bytes, trimmed, pushed) VALUES (?1, ?2, 0, 0, 0)",
        )?
        .execute(params![user.as_bytes(), device.get()])?,
    )?;
    keys::insert(tx, new.address, new.keys.get())?;
    tokens::insert(tx, new.address, &new.family)
}

fn log_in(tx: &Connection, login: &Login) -> Result<LoggedIn> {
    let device = devices::get(tx, login.address)?;
    if device.is_none_or(|device| device.login_key != Some(login.login_key)) {
        return Ok(LoggedIn::Unknown);
    }
    tokens::end_all(tx, login.address)?;
    tokens::insert(tx, login.address, &login.family)?;
    Ok(LoggedIn::Yes)
}

fn restore(tx: &Connection, new: &NewAccount) -> Result<Restored> {
    let (user, device) = (new.address.user, new.address.device);
    let shown = Device {
        registration_id: new.registration_id,
        identity_key: new.identity_key.clone(),
        login_key: new.login_key,
    };
    match devices::get(tx, new.address)? {
        Some(known) if known == shown => {
            keys::replace(tx, new.address, new.keys.get())?;
            tokens::end_all(tx, new.address)?;
            tokens::insert(tx, new.address, &new.family)?;
            return Ok(Restored::Yes);
        }
        Some(_) => return Ok(Restored::Taken),
        None => {}
    }
    let revoked = tx
        .prepare_cached("SELECT 1 FROM revoked_device WHERE user_id = ?1 AND device_id = ?2")?
        .exists(params![user.as_bytes(), device.get()])?;
    if revoked {
        return Ok(Restored::Revoked);
    }
    tx.prepare_cached("INSERT INTO account (user_id, created_ms) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
        .execute(params![user.as_bytes(), new.now_ms])?;
    insert_device(tx, new)?;
    Ok(Restored::Yes)
}

/// Removes an account with its devices. Two things are kept, so that a client that missed the answer can learn of the
/// deletion: the account's ID, and the IDs of its token families for as long as one of their tokens may be presented.
/// The messages that it sent stay where they are.
fn delete(tx: &Connection, user: UserId, now_ms: u64) -> Result<Vec<Address>> {
    if tx.execute("DELETE FROM account WHERE user_id = ?1", [user.as_bytes()])? == 0 {
        return Ok(Vec::new());
    }
    expect_one(tx.execute(
        "INSERT INTO deleted_account (user_id, deleted_ms) VALUES (?1, ?2)",
        params![user.as_bytes(), now_ms],
    )?)?;
    tx.execute(
        "INSERT INTO deleted_family (family_id, until_ms)
         SELECT family_id, expires_ms FROM token_family WHERE user_id = ?1",
        [user.as_bytes()],
    )?;
    tx.execute("DELETE FROM taken_bundles WHERE requester_user = ?1", [user.as_bytes()])?;
    tx.execute("DELETE FROM block WHERE user_id = ?1", [user.as_bytes()])?;
    tx.execute("DELETE FROM device_list WHERE user_id = ?1", [user.as_bytes()])?;
    tx.execute("DELETE FROM link_token WHERE user_id = ?1", [user.as_bytes()])?;
    let owned = tx
        .prepare_cached("SELECT user_id, device_id FROM device WHERE user_id = ?1")?
        .query_map([user.as_bytes()], |row| address(row, 0, 1))?
        .collect::<Result<Vec<_>>>()?;
    for device in &owned {
        revoke(tx, *device)?;
    }
    Ok(owned)
}

/// Removes a device, or the right of one to be registered.
fn revoke_or_withdraw(tx: &Connection, address: Address) -> Result<bool> {
    let was_there = revoke(tx, address)?;
    if was_there {
        return Ok(true);
    }
    let owner = params![address.user.as_bytes(), address.device.get()];
    if tx
        .execute("DELETE FROM link_token WHERE user_id = ?1 AND device_id = ?2 AND used_by IS NULL", owner)?
        == 0
    {
        return Ok(false);
    }
    note_revoked(tx, address)?;
    Ok(true)
}

fn note_revoked(tx: &Connection, address: Address) -> Result<()> {
    tx.execute(
        "INSERT INTO revoked_device (user_id, device_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        params![address.user.as_bytes(), address.device.get()],
    )?;
    Ok(())
}

/// Removes a device and everything that belongs to it. Its number is not reused.
pub(super) fn revoke(tx: &Connection, address: Address) -> Result<bool> {
    let owner = params![address.user.as_bytes(), address.device.get()];
    if tx.execute("DELETE FROM device WHERE user_id = ?1 AND device_id = ?2", owner)? == 0 {
        return Ok(false);
    }
    for table in [
        "token_family",
        "signed_pre_key",
        "one_time_pre_key",
        "pre_key_mark",
        "spent_pre_key",
        "mailbox_thread",
        "mailbox",
    ] {
        tx.execute(&format!("DELETE FROM {table} WHERE user_id = ?1 AND device_id = ?2"), owner)?;
    }
    note_revoked(tx, address)?;
    // The mailbox may have many rows. The sweeper deletes the rest.
    tx.execute("INSERT INTO left_mailbox (user_id, device_id) VALUES (?1, ?2)", owner)?;
    inbox::clear_revoked(tx, ROWS_AT_ONCE)?;
    Ok(true)
}

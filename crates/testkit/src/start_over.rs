//! People who start again with other keys, and what the relay then has.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, params};
use sealpost_core::UserId;

use crate::{Party, PartyDisk, World, eventually, open_database};

/// Makes the relay in this folder return the keys of `other` as those of the first device of `user`. The same happens when a user starts
/// again on a new phone, and when a hostile relay tries to read messages. Companions remain.
///
/// # Panics
/// If this is not the relay's database.
pub fn swap_keys(relay: &Path, user: UserId, other: UserId) {
    let relay = Connection::open(relay.join("relay.db")).expect("the file opens");
    relay.busy_timeout(Duration::from_secs(60)).expect("a time-out");
    let (user, other) = (user.as_bytes(), other.as_bytes());
    let identity = "UPDATE device SET (registration_id, identity_key) =
        (SELECT registration_id, identity_key FROM device WHERE user_id = ?2)
        WHERE user_id = ?1 AND device_id = 1";
    relay.execute(identity, [user, other]).expect("the identity key is replaced");
    // One-time keys are not copied; the last-resort key is enough.
    for table in ["signed_pre_key", "one_time_pre_key"] {
        let delete = format!("DELETE FROM {table} WHERE user_id = ?1 AND device_id = 1");
        relay.execute(&delete, [user]).expect("the old pre-keys are gone");
    }
    let signed = "UPDATE signed_pre_key SET user_id = ?1 WHERE user_id = ?2";
    relay.execute(signed, [user, other]).expect("the pre-keys are replaced");
}

/// A user starts again on another phone: the account of `old`, with the keys of `new`, a user who has just registered.
///
/// # Panics
/// If these are not their databases.
pub async fn start_over(world: &World, user: UserId, old: &PartyDisk, new: Party) -> PartyDisk {
    let registered = new.client.user_id();
    let new = new.close().await;
    let columns = "user_id, device_id, access_token, access_expires, refresh_token";
    let account = open_database(old.database(), &old.key());
    let account: (Vec<u8>, u32, String, i64, String) = account
        .query_row(&format!("SELECT {columns} FROM account"), [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })
        .expect("an account");
    let (id, device, access, expires, refresh) = account;
    open_database(new.database(), &new.key())
        .execute(
            &format!("UPDATE account SET list_told = 0, ({columns}) = (?1, ?2, ?3, ?4, ?5)"),
            params![id, device, access, expires, refresh],
        )
        .expect("the account is that of the old phone");
    swap_keys(&world.relay_dir(), user, registered);
    new
}

/// Waits until the relay has this version of a user's device list.
///
/// # Panics
/// If this is not the relay's database, or the list does not come.
pub async fn has_device_list(world: &World, user: UserId, version: u64) {
    let relay = Connection::open(world.relay_dir().join("relay.db")).expect("the file opens");
    let sql = "SELECT EXISTS (SELECT 1 FROM device_list WHERE user_id = ?1 AND version = ?2)";
    let has = || {
        relay.query_row(sql, params![user.as_bytes(), version], |row| row.get::<_, bool>(0)).expect("a row")
    };
    eventually("the device list is at the relay", async || has().then_some(())).await;
}

//! Changes the database of the relay from outside.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, Params};
use sealpost_core::UserId;

/// Removes one-time keys at the relay, as if they had been fetched. `which` is a condition on their rows.
///
/// # Panics
/// If this is not the relay's database.
#[expect(clippy::expect_used, reason = "a failure here fails the test with a message")]
pub fn take_one_time_keys(relay: &Connection, which: &str, values: impl Params) {
    relay.execute(&format!("DELETE FROM one_time_pre_key WHERE {which}"), values).expect("keys are taken");
    let count = "UPDATE pre_key_mark SET held = (
        SELECT count(*) FROM one_time_pre_key AS one_time
        WHERE one_time.user_id = pre_key_mark.user_id AND one_time.device_id = pre_key_mark.device_id
            AND one_time.kind = pre_key_mark.kind)";
    relay.execute(count, []).expect("the rest is counted");
}

/// Makes the relay in this folder return the keys of `other` as those of `user`. The same happens when a user starts
/// again on a new phone, and when a hostile relay tries to read messages.
///
/// # Panics
/// If this is not the relay's database.
#[expect(clippy::expect_used, reason = "a failure here fails the test with a message")]
pub fn swap_keys(relay: &Path, user: UserId, other: UserId) {
    let relay = Connection::open(relay.join("relay.db")).expect("the file opens");
    relay.busy_timeout(Duration::from_secs(60)).expect("a time-out");
    let (user, other) = (user.as_bytes(), other.as_bytes());
    let identity = "UPDATE device SET (registration_id, identity_key) =
        (SELECT registration_id, identity_key FROM device WHERE user_id = ?2) WHERE user_id = ?1";
    relay.execute(identity, [user, other]).expect("the identity key is replaced");
    // One-time keys are not copied; the last-resort key is enough.
    for table in ["signed_pre_key", "one_time_pre_key"] {
        let delete = format!("DELETE FROM {table} WHERE user_id = ?1");
        relay.execute(&delete, [user]).expect("the old pre-keys are gone");
    }
    let signed = "UPDATE signed_pre_key SET user_id = ?1 WHERE user_id = ?2";
    relay.execute(signed, [user, other]).expect("the pre-keys are replaced");
}

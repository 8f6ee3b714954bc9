//! Changes the database of the relay from outside.

use rusqlite::{Connection, Params};

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

//! End-to-end tests with real clients, the real relay and real files. The tests are in `tests/`; this crate contains
//! the code that they share.

mod database;
mod ending;
mod groups;
mod key_use;
mod lists;
mod rosters;

pub use database::take_one_time_keys;
pub use ending::{Ending, ending_of};
pub use groups::{group_of, group_thread, has_members, hears, is_told, know_each_other, members, said, say};
pub use key_use::KeyUse;
pub use lists::{Signer, set_list};
pub use rosters::{EntrySigner, entries_of, submit_entry};
pub use sealpost_testkit::{has_device_list, open_database, start_over, swap_keys};

/// The time in the databases of earlier versions, in milliseconds since the Unix epoch: 2026-11-29, 9:00 UTC.
pub const FROZEN_MS: u64 = 1_795_942_800_000;

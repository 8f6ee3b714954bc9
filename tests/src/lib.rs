//! End-to-end tests: real clients, the real relay, real files. They are in `tests/`; here is what they share.

mod database;
mod key_use;

pub use database::{open_database, take_one_time_keys};
pub use key_use::KeyUse;

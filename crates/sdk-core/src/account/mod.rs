//! Our own account: registration, login, tokens, pre-keys, and leaving.

mod key_supply;
pub(crate) mod leaving;
mod login;
pub(crate) mod pre_keys;
pub(crate) mod registration;
pub(crate) mod tokens;

//! Our own account: registration, login, tokens, pre-keys, the list of our devices, and leaving.

pub(crate) mod device_list;
mod key_supply;
pub(crate) mod leaving;
mod login;
pub(crate) mod pre_keys;
pub(crate) mod registration;
pub(crate) mod tokens;

//! Our own account: registration, login, tokens, pre-keys, the list of our devices, linking, and leaving.

pub(crate) mod bootstrap;
pub(crate) mod companions;
pub(crate) mod device_list;
pub(crate) mod device_upkeep;
mod key_supply;
pub(crate) mod leaving;
pub(crate) mod linking;
mod login;
pub(crate) mod moving;
pub(crate) mod own_devices;
mod own_list;
pub(crate) mod pre_keys;
pub(crate) mod registration;
mod settling;
pub(crate) mod tokens;

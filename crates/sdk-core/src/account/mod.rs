//! Ourselves: registration, tokens, pre-keys.

pub(crate) mod leaving;
pub(crate) mod pre_keys;
pub(crate) mod registration;
pub(crate) mod tokens;

//! The guarantees of `Store`, each a function over any engine, with a file for each trait.

pub(crate) mod accounts;
pub(crate) mod groups;
pub(crate) mod lane;
pub(crate) mod linking;
pub(crate) mod mail;
pub(crate) mod mailbox;
pub(crate) mod pre_keys;
pub(crate) mod threads;
pub(crate) mod tokens;
pub(crate) mod upkeep;

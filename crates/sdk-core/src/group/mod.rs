//! Groups: who is a member, decided from entries that members have signed, never from what the relay says.
//!
//! [`validity`] is a pure function of the bytes of a chain, so devices that have the same entries have the same members. The rules without
//! signatures are in `sealpost-wire`, where the relay uses them, too.

pub(crate) mod change;
pub(crate) mod details;
pub(crate) mod entries;
pub(crate) mod fetch;
mod form;
pub(crate) mod joining;
pub(crate) mod sign;
pub(crate) mod submit;
mod validity;

#[cfg(test)]
mod people;

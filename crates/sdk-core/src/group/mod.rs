//! Groups: who is a member, decided from entries that members have signed, never from what the relay says.
//!
//! [`validity`] is a pure function of the bytes of a chain, so devices that have the same entries have the same members. The rules without
//! signatures are in `sealpost-wire`, where the relay uses them, too.

pub(crate) mod entries;
pub(crate) mod fetch;
mod validity;

#[cfg(test)]
mod form;
#[cfg(test)]
mod people;

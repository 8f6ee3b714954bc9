//! The relay that is measured, and those who load it.

pub(crate) mod client;
pub(crate) mod relay;

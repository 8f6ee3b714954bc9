//! The relay under measurement, and the clients that load it.

pub(crate) mod client;
pub(crate) mod relay;

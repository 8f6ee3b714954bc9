//! Judges what a relay did: from a recorded history of its clients and a dump of its store, never by asking the relay.
//!
//! A [`history`] is one JSON line for each [`event`], in one order for all clients; the [`recorder`] writes it. Two judges
//! read it: our own, which goes over the [`invariants`] one by one, and a linearizability tester that we did not write
//! ([`linear`]), which looks for one order of all operations that a relay of one thread at a time could have followed.
//! This crate links nothing of the relay or of its wire format, so that it shares no mistake with them.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test"))]

pub mod event;
pub mod history;
pub mod invariants;
pub mod linear;
pub mod recorder;

pub use history::{BadHistory, History};
pub use invariants::{Found, Invariant, Violation, judge};
pub use recorder::Recorder;

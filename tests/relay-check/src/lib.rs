//! Checks the behaviour of a relay from a recorded history of its clients and a dump of its store, without asking the
//! relay.
//!
//! A [`history`] consists of one JSON line for each [`event`], in a total order over all clients; the [`recorder`]
//! writes it. Two checkers read it: our own, which checks the [`invariants`] one by one, and an independent
//! linearizability tester ([`linear`]), which searches for one order of all operations that a sequential relay could
//! have followed. This crate links neither the relay nor its wire format, so that it cannot share their bugs.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test"))]

pub mod event;
pub mod history;
pub mod invariants;
pub mod linear;
pub mod recorder;

pub use history::{BadHistory, History};
pub use invariants::{CheckResult, Invariant, Violation, check};
pub use recorder::Recorder;

//! Thirteen invariants that hold for every history, one file each.
//!
//! Each is a pure function that returns how many items it has checked, or the first violation. Zero means that the
//! history contained nothing to check.

mod bounded;
mod delivered;
mod durable;
mod ephemeral;
#[cfg(test)]
pub(crate) mod examples;
mod honest;
mod idempotent;
mod lane;
mod mail;
mod order;
mod pre_keys;
mod roster;
mod silent;
mod time;

use std::fmt;

use crate::history::History;

/// The number of items that were checked, or the first violation.
pub type CheckResult = Result<usize, Violation>;

/// A description of a violation, to be read together with the history.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Violation(pub String);

/// An invariant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invariant {
    /// I1: every acknowledged message is in the store, at its position.
    Durable,
    /// I2: the sequence numbers of a thread are 1 to n, without gaps and without duplicates.
    Lane,
    /// I3: each message id has one position.
    Idempotent,
    /// I4: every device has received every message, and no row has left its mailbox except by being acknowledged.
    Delivered,
    /// I5: a device first receives the messages of a thread in their order.
    Order,
    /// I6: no one-time key is handed out twice, and requests get one as long as there are any.
    PreKeys,
    /// I7: only members send to a thread and receive its messages, and only for its roster.
    Roster,
    /// I8: memory and open files stay within their limits.
    Bounded,
    /// I9: ephemeral messages are not stored.
    Ephemeral,
    /// I10: no secret is in the log.
    Silent,
    /// I11: the hybrid logical clock grows with the sequence numbers of a thread.
    Time,
    /// I12: requests that are reported as carried out were carried out, and those reported as refused were not.
    Honest,
    /// I13: every acknowledged mail reaches its devices, once, and leaves a mailbox only by being acknowledged.
    Mail,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Durable,
        Self::Lane,
        Self::Idempotent,
        Self::Delivered,
        Self::Order,
        Self::PreKeys,
        Self::Roster,
        Self::Bounded,
        Self::Ephemeral,
        Self::Silent,
        Self::Time,
        Self::Honest,
        Self::Mail,
    ];

    /// Checks this invariant.
    ///
    /// # Errors
    /// The first violation.
    pub fn check(self, history: &History) -> CheckResult {
        match self {
            Self::Durable => durable::check(history),
            Self::Lane => lane::check(history),
            Self::Idempotent => idempotent::check(history),
            Self::Delivered => delivered::check(history),
            Self::Order => order::check(history),
            Self::PreKeys => pre_keys::check(history),
            Self::Roster => roster::check(history),
            Self::Bounded => bounded::check(history),
            Self::Ephemeral => ephemeral::check(history),
            Self::Silent => silent::check(history),
            Self::Time => time::check(history),
            Self::Honest => honest::check(history),
            Self::Mail => mail::check(history),
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Durable => "I1 durable",
            Self::Lane => "I2 lane",
            Self::Idempotent => "I3 idempotent",
            Self::Delivered => "I4 delivered",
            Self::Order => "I5 order",
            Self::PreKeys => "I6 pre-keys",
            Self::Roster => "I7 roster",
            Self::Bounded => "I8 bounded",
            Self::Ephemeral => "I9 ephemeral messages",
            Self::Silent => "I10 silent log",
            Self::Time => "I11 time",
            Self::Honest => "I12 honest answers",
            Self::Mail => "I13 mail",
        })
    }
}

/// Checks all invariants.
pub fn check(history: &History) -> Vec<(Invariant, CheckResult)> {
    Invariant::ALL.into_iter().map(|invariant| (invariant, invariant.check(history))).collect()
}

/// A violation, unless the condition holds.
fn ensure(holds: bool, violation: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation(violation())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_correct_history_passes_and_gives_every_invariant_something_to_check() {
        for (invariant, found) in check(&examples::history()) {
            assert!(found.as_ref().is_ok_and(|checked| *checked > 0), "{invariant}: {found:?}");
        }
    }
}

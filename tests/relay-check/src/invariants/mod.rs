//! What must hold of every history: twelve invariants, one file each.
//!
//! Each is a pure function that says how many things it has looked at, or the first thing that is wrong. Zero is an
//! answer too: there was nothing of the kind to judge.

mod bounded;
mod delivered;
mod durable;
#[cfg(test)]
pub(crate) mod examples;
mod honest;
mod idempotent;
mod lane;
mod lossy;
mod order;
mod pre_keys;
mod roster;
mod silent;
mod time;

use std::fmt;

use crate::history::History;

/// The number of things judged, or the first that is wrong.
pub type Found = Result<usize, Violation>;

/// What is wrong, for a person to read beside the history.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Violation(pub String);

/// What must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invariant {
    /// I1: what was acknowledged is in the store, in its place.
    Durable,
    /// I2: the numbers of a thread are 1 to n, without a hole and without a double.
    Lane,
    /// I3: one id has one place.
    Idempotent,
    /// I4: every device has got every message, and no row has left its mailbox but by its acknowledgement.
    Delivered,
    /// I5: a device first gets the messages of a thread in their order.
    Order,
    /// I6: no one-time key is given out twice, and none is denied while there are some.
    PreKeys,
    /// I7: nobody but members sends to a thread and gets its messages, and for its roster alone.
    Roster,
    /// I8: memory and open files stay under their bounds.
    Bounded,
    /// I9: what is not to be stored is not.
    Lossy,
    /// I10: the log tells nothing.
    Silent,
    /// I11: the hybrid clock grows with the numbers of a thread.
    Time,
    /// I12: what is said to be done is, and what is said not to be is not.
    Honest,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Durable,
        Self::Lane,
        Self::Idempotent,
        Self::Delivered,
        Self::Order,
        Self::PreKeys,
        Self::Roster,
        Self::Bounded,
        Self::Lossy,
        Self::Silent,
        Self::Time,
        Self::Honest,
    ];

    /// Judges a history by this one.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn judge(self, history: &History) -> Found {
        match self {
            Self::Durable => durable::judge(history),
            Self::Lane => lane::judge(history),
            Self::Idempotent => idempotent::judge(history),
            Self::Delivered => delivered::judge(history),
            Self::Order => order::judge(history),
            Self::PreKeys => pre_keys::judge(history),
            Self::Roster => roster::judge(history),
            Self::Bounded => bounded::judge(history),
            Self::Lossy => lossy::judge(history),
            Self::Silent => silent::judge(history),
            Self::Time => time::judge(history),
            Self::Honest => honest::judge(history),
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
            Self::Lossy => "I9 lossy stays lossy",
            Self::Silent => "I10 silent log",
            Self::Time => "I11 time",
            Self::Honest => "I12 honest answers",
        })
    }
}

/// Judges a history by all of them.
pub fn judge(history: &History) -> Vec<(Invariant, Found)> {
    Invariant::ALL.into_iter().map(|invariant| (invariant, invariant.judge(history))).collect()
}

/// A violation, unless it holds.
fn ensure(holds: bool, violation: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation(violation())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_history_breaks_nothing_and_gives_each_something_to_judge() {
        for (invariant, found) in judge(&examples::history()) {
            assert!(found.as_ref().is_ok_and(|judged| *judged > 0), "{invariant}: {found:?}");
        }
    }
}

//! Named points at which a crash test can kill the process.
//!
//! Without the cargo feature `faults`, this compiles to nothing. With it, the environment variable
//! `SEALPOST_RELAY_FAULT=<station>[:<n>]` aborts the process the n-th time that station is reached (1 by default).

macro_rules! stations {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)+) => {
        /// A point in the processing of a request.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Station {
            $($(#[$doc])* $variant,)+
        }

        impl Station {
            /// Every station.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name in the environment variable.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

stations! {
    /// A send was decoded and checked, and has not reached the store yet.
    SendDecoded = "send-decoded",
    /// Its rows are written; the transaction is open.
    SendBeforeCommit = "send-before-commit",
    /// It is durable; the sender has no answer yet.
    SendAfterCommit = "send-after-commit",
    /// The sender has its answer; the recipients were not woken yet.
    SendAcked = "send-acked",
    /// Some rows of a job are written; the transaction is open.
    FanoutBeforeCommit = "fanout-before-commit",
    /// These rows are durable; nobody was woken yet.
    FanoutAfterCommit = "fanout-after-commit",
    /// An entry of a roster and its rows are written; the transaction is open.
    EntryBeforeCommit = "entry-before-commit",
    /// The entry is durable; its author has no answer yet.
    EntryAfterCommit = "entry-after-commit",
    /// A row was pushed to its device.
    Delivered = "delivered",
    /// Acknowledged rows are deleted; the transaction is open.
    AckBeforeCommit = "ack-before-commit",
    /// The deletion is durable; the device has no answer yet.
    AckAfterCommit = "ack-after-commit",
    /// One-time keys are taken; the transaction is open.
    PreKeyBeforeCommit = "pre-key-before-commit",
    /// The keys are durably taken; the requester has no bundle yet.
    PreKeyAfterCommit = "pre-key-after-commit",
    /// An account is written; the transaction is open.
    RegisterBeforeCommit = "register-before-commit",
    /// The account is durable; its owner has no tokens yet.
    RegisterAfterCommit = "register-after-commit",
    /// A linked device is written; the transaction is open.
    LinkBeforeCommit = "link-before-commit",
    /// The linked device is durable; its owner has no tokens yet.
    LinkAfterCommit = "link-after-commit",
    /// Another device of an account is the primary one; the transaction is open.
    MoveBeforeCommit = "move-before-commit",
    /// It is durable; the former primary device has no answer yet.
    MoveAfterCommit = "move-after-commit",
    /// An account is deleted; the transaction is open.
    DeleteBeforeCommit = "delete-before-commit",
    /// The deletion is durable; the owner has no answer yet.
    DeleteAfterCommit = "delete-after-commit",
}

/// Marks a station; the process aborts here if a test has armed it.
#[cfg(feature = "faults")]
pub fn at(station: Station) {
    armed::pass(station);
}

/// Marks a station; does nothing without the feature `faults`.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub fn at(_: Station) {}

#[cfg(feature = "faults")]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::Station;

    struct Fault {
        station: Station,
        passes_left: AtomicU64,
    }

    pub(super) fn pass(station: Station) {
        static FAULT: OnceLock<Option<Fault>> = OnceLock::new();
        let Some(fault) = FAULT.get_or_init(from_environment) else { return };
        if fault.station == station && fault.passes_left.fetch_sub(1, Ordering::SeqCst) == 1 {
            std::process::abort();
        }
    }

    fn from_environment() -> Option<Fault> {
        let armed = std::env::var("SEALPOST_RELAY_FAULT").ok()?;
        let (name, passes) = armed.split_once(':').unwrap_or((&armed, "1"));
        let station = Station::ALL.iter().copied().find(|station| station.name() == name);
        let (Some(station), Ok(passes)) = (station, passes.parse()) else {
            tracing::error!("SEALPOST_RELAY_FAULT does not name a station; no fault is armed");
            return None;
        };
        Some(Fault { station, passes_left: AtomicU64::new(passes) })
    }
}

#[cfg(test)]
mod tests {
    use super::Station;

    #[test]
    fn station_names_are_distinct_and_kebab_case() {
        let mut names: Vec<_> = Station::ALL.iter().map(|station| station.name()).collect();
        assert!(names.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-')));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Station::ALL.len());
    }
}

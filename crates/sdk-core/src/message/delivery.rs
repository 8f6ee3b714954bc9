//! The states of a message of ours, and what leads from one to another.
//!
//! | from \ event | accepted | failed | delivered | read | expired | seen | retried |
//! |---|---|---|---|---|---|---|---|
//! | queued | sent | failed | delivered | read | | | |
//! | sent | | failed | delivered | read | expired | | |
//! | delivered | | | | read | | | |
//! | read | | | | | | | |
//! | failed | | failed | delivered | read | | | queued |
//! | expired | | | delivered | read | | delivered | |
//!
//! An empty cell means that the state stays as it is. So a state never goes back: only the person can send a failed message again.
//! A receipt proves that a message has arrived, whatever was assumed before, and it can come before the relay's answer. A message
//! that the relay had accepted fails if it had to be sent again and was refused then, unless it was only too old.

/// The state of a message of ours, as its number in the database, which never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Queued = 0,
    Sent = 1,
    Delivered = 2,
    Read = 3,
    Failed = 4,
    Expired = 5,
}

/// What changes the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeliveryEvent {
    /// The relay has stored it.
    Accepted,
    /// It will not be sent.
    Failed,
    /// A device of the recipient has it, as a receipt says.
    Delivered,
    /// The recipient has read it.
    Read,
    /// The relay keeps it no longer, and nothing has said that it arrived.
    Expired,
    /// A device of the recipient has it, as the header of a content says. This is not told to people as long as they do not have to
    /// assume that it was lost.
    Seen,
    /// The person sends it again.
    Retried,
}

impl DeliveryEvent {
    /// The states that it changes, and the one that follows: a column of the table.
    pub(crate) const fn transition(self) -> (&'static [Stage], Stage) {
        use Stage::{Delivered, Expired, Failed, Queued, Read, Sent};
        match self {
            Self::Accepted => (&[Queued], Sent),
            Self::Failed => (&[Queued, Sent, Failed], Failed),
            Self::Delivered => (&[Queued, Sent, Failed, Expired], Delivered),
            Self::Read => (&[Queued, Sent, Delivered, Failed, Expired], Read),
            Self::Expired => (&[Sent], Expired),
            Self::Seen => (&[Expired], Delivered),
            Self::Retried => (&[Failed], Queued),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EVENTS: [DeliveryEvent; 7] = [
        DeliveryEvent::Accepted,
        DeliveryEvent::Failed,
        DeliveryEvent::Delivered,
        DeliveryEvent::Read,
        DeliveryEvent::Expired,
        DeliveryEvent::Seen,
        DeliveryEvent::Retried,
    ];

    fn after(stage: Stage, event: DeliveryEvent) -> Stage {
        let (from, to) = event.transition();
        if from.contains(&stage) { to } else { stage }
    }

    /// How far a message is known to have come.
    const fn rank(stage: Stage) -> u8 {
        match stage {
            Stage::Queued => 0,
            Stage::Sent => 1,
            Stage::Failed | Stage::Expired => 2,
            Stage::Delivered => 3,
            Stage::Read => 4,
        }
    }

    #[test]
    fn the_table_in_the_documentation_is_the_one_in_the_code() {
        let name = |word: &str| match word {
            "queued" => Stage::Queued,
            "sent" => Stage::Sent,
            "delivered" => Stage::Delivered,
            "read" => Stage::Read,
            "failed" => Stage::Failed,
            "expired" => Stage::Expired,
            other => panic!("{other}"),
        };
        let rows = include_str!("delivery.rs").lines().take_while(|line| line.starts_with("//!"));
        let rows = rows.filter_map(|line| line.strip_prefix("//! | ")).skip(1);
        let mut count = 0;
        for row in rows {
            let cells: Vec<_> = row.trim_end_matches('|').split('|').map(str::trim).collect();
            let from = name(cells[0]);
            for (event, cell) in EVENTS.into_iter().zip(&cells[1..]) {
                let expected = if cell.is_empty() { from } else { name(cell) };
                assert_eq!(after(from, event), expected, "{from:?} {event:?}");
            }
            count += cells.len();
        }
        assert_eq!(count, 6 * 8);
    }

    proptest! {
        #[test]
        fn a_state_never_goes_back_unless_the_person_tries_again(
            events in proptest::collection::vec(proptest::sample::select(EVENTS.to_vec()), 0..20),
        ) {
            let mut stage = Stage::Queued;
            for event in events {
                let next = after(stage, event);
                let is_retry = stage == Stage::Failed && event == DeliveryEvent::Retried;
                prop_assert!(rank(next) >= rank(stage) || is_retry);
                // What was given up stays so, unless it is proven that it has arrived, or the person tries again.
                let is_proof =
                    matches!(event, DeliveryEvent::Delivered | DeliveryEvent::Read | DeliveryEvent::Seen);
                let is_final = matches!(stage, Stage::Failed | Stage::Expired);
                prop_assert!(!is_final || next == stage || is_proof || is_retry);
                prop_assert!(stage != Stage::Read || next == Stage::Read);
                stage = next;
            }
        }
    }
}

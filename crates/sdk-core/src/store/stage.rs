//! The states of our messages in SQL, as `message::delivery` defines them.

use crate::message::{DeliveryEvent, Stage};

/// The expression for the state that follows an event; `state` is the present one.
pub(super) fn state_after(event: DeliveryEvent) -> String {
    let (from, to) = event.transition();
    format!("iif(state IN ({}), {}, state)", numbers(from), to as i64)
}

/// The numbers of states, separated by commas.
pub(super) fn numbers(stages: &[Stage]) -> String {
    let numbers: Vec<_> = stages.iter().map(|stage| (*stage as i64).to_string()).collect();
    numbers.join(", ")
}

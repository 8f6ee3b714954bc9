//! Acknowledgements on one connection, until the relay has confirmed them.
//!
//! Nobody waits for them: a message whose acknowledgement is lost with the connection is delivered and acknowledged
//! again. If the relay refuses an acknowledgement because it is overloaded, the acknowledgement is repeated here
//! after the time that the relay names, because the connection continues.

use std::collections::HashMap;
use std::time::Duration;

use sealpost_wire::frame::Body;
use tokio::time::Instant;

/// The longest wait that the relay can ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// The unconfirmed acknowledgements, by the ID of their frame.
#[derive(Default)]
pub(super) struct Acks {
    unconfirmed: HashMap<u64, Body>,
    /// The refused ones, and when to repeat each.
    refused: Vec<(Instant, u64)>,
}

impl Acks {
    /// Records that this acknowledgement is being sent.
    pub(super) fn sent(&mut self, id: u64, ack: &Body) {
        self.unconfirmed.insert(id, ack.clone());
    }

    /// Whether an acknowledgement with this ID is waiting for its answer.
    pub(super) fn has(&self, id: u64) -> bool {
        self.unconfirmed.contains_key(&id)
    }

    /// Records that the relay has deleted the rows, or never will.
    pub(super) fn settled(&mut self, id: u64) {
        self.unconfirmed.remove(&id);
    }

    /// Records that the relay asks for a repetition after this time.
    pub(super) fn refused(&mut self, id: u64, wait: Duration) {
        let now = Instant::now();
        self.refused.push((now.checked_add(wait.min(LONGEST_WAIT)).unwrap_or(now), id));
    }

    /// Waits until an acknowledgement must be repeated, and returns it. Never completes if there is none.
    pub(super) async fn due(&mut self) -> (u64, Body) {
        loop {
            let next = self.refused.iter().enumerate().min_by_key(|(_, (due, _))| *due);
            let Some((place, (due, _))) = next else { return std::future::pending().await };
            tokio::time::sleep_until(*due).await;
            let (_, id) = self.refused.swap_remove(place);
            if let Some(ack) = self.unconfirmed.get(&id) {
                return (id, ack.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sealpost_wire as wire;

    use super::*;

    fn ack(seq: u64) -> Body {
        let key = wire::InboxKey { thread_id: vec![1; 16].into(), server_seq: seq };
        Body::Ack(wire::Ack { keys: vec![key], trimmed: 0 })
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_acknowledgement_is_repeated_when_the_relay_asks_for_it() {
        let mut acks = Acks::default();
        for id in 1..=3 {
            acks.sent(id, &ack(id));
        }
        let begin = Instant::now();
        acks.refused(1, Duration::from_secs(20));
        acks.refused(2, Duration::from_secs(10));
        acks.settled(3);
        assert!(acks.has(1) && !acks.has(3));
        assert_eq!((acks.due().await, begin.elapsed().as_secs()), ((2, ack(2)), 10));
        // It is refused a second time.
        acks.refused(2, Duration::from_secs(5));
        assert_eq!((acks.due().await, begin.elapsed().as_secs()), ((2, ack(2)), 15));
        acks.settled(2);
        assert_eq!((acks.due().await, begin.elapsed().as_secs()), ((1, ack(1)), 20));
        acks.settled(1);
        let none = tokio::time::timeout(Duration::from_secs(1_000), acks.due()).await;
        assert!(none.is_err());
    }
}

//! Missing sequence numbers on one connection: they are requested, and given up when they do not arrive.

use std::collections::HashMap;
use std::time::Duration;

use sealpost_wire::limits::MAX_CURSORS;
use tokio::time::Instant;

use crate::context::Context;
use crate::error::Result;
use crate::store::Gap;
use crate::transport::Socket;

/// A gap that was requested without an answer is given up after this time. The relay closes a connection on which
/// nothing has moved for as long.
const GRACE: Duration = Duration::from_secs(60);
/// How long a gap is given after the answer: another process may be about to store what is missing.
const ANSWERED_GRACE: Duration = Duration::from_secs(1);

/// The gaps that were requested on this connection.
pub(super) struct Gaps {
    requested: HashMap<Gap, Requested>,
    /// Whether the previous connection was ended because something was missing.
    again: bool,
}

/// What is known about the places that did not arrive.
pub(super) enum Missing {
    /// None are missing, or they were given up.
    Nothing,
    /// They may be in flight on this connection, so that the relay does not send them again on it.
    MayBeInFlight,
}

/// How a gap was requested.
#[derive(Clone, Copy)]
struct Requested {
    request: u64,
    at: Instant,
    answered: Option<Instant>,
}

impl Requested {
    /// When the places that have not arrived count as missing, unless an answer comes earlier.
    fn deadline(&self) -> Instant {
        let (from, grace) = self.answered.map_or((self.at, GRACE), |at| (at, ANSWERED_GRACE));
        from.checked_add(grace).unwrap_or(from)
    }
}

impl Gaps {
    pub(super) fn new(again: bool) -> Self {
        Self { requested: HashMap::new(), again }
    }

    /// The relay has sent everything that it has for this request.
    pub(super) fn answered(&mut self, request: u64) {
        let answered = self.requested.values_mut().filter(|requested| requested.request == request);
        answered.for_each(|requested| requested.answered = Some(Instant::now()));
    }

    /// When the next answered gap is to be checked.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let answered = self.requested.values().filter(|requested| requested.answered.is_some());
        answered.map(Requested::deadline).min()
    }

    /// Requests the places that are missing, and gives up those that did not arrive.
    pub(super) async fn check(&mut self, ctx: &Context, socket: &Socket) -> Result<Missing> {
        let gaps = ctx.store.read(|rows| rows.gaps()).await?;
        self.requested.retain(|gap, _| gaps.contains(gap));
        // The others are requested at the next check.
        let room = MAX_CURSORS.saturating_sub(self.requested.len());
        let new: Vec<_> =
            gaps.into_iter().filter(|gap| !self.requested.contains_key(gap)).take(room).collect();
        if !new.is_empty() {
            let request = socket.fetch_gaps(&new).await?;
            let requested = Requested { request, at: Instant::now(), answered: None };
            self.requested.extend(new.into_iter().map(|gap| (gap, requested)));
        }
        let now = Instant::now();
        let over = self.requested.iter_mut().filter(|(_, requested)| requested.deadline() <= now);
        let mut lost = Vec::new();
        for (gap, requested) in over {
            lost.push(*gap);
            // It is checked again after another grace period if nothing comes of it now.
            requested.answered = Some(now);
        }
        if lost.is_empty() {
            return Ok(Missing::Nothing);
        }
        if self.again {
            let work = ctx.store.write(|tx| lost.into_iter().try_for_each(|gap| tx.give_up_on(gap)));
            work.await?;
            return Ok(Missing::Nothing);
        }
        // What the relay has sent on a connection, it does not send again on the same one. A place may also be that of a
        // message of ours whose answer is in flight.
        let known = ctx.store.read(move |rows| {
            let mut threads = lost.iter().map(|gap| rows.has_unanswered(gap.thread));
            threads.try_fold(false, |known, unanswered| Ok(known || !unanswered?))
        });
        Ok(if known.await? { Missing::MayBeInFlight } else { Missing::Nothing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answered_gap_is_given_a_second_and_an_unanswered_one_a_minute() {
        let at = Instant::now();
        let later = |seconds| at.checked_add(Duration::from_secs(seconds)).unwrap();
        let mut requested = Requested { request: 1, at, answered: None };
        assert_eq!(requested.deadline(), later(60));
        requested.answered = Some(later(2));
        assert_eq!(requested.deadline(), later(3));
    }
}

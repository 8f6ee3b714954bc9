//! What a queued message is waiting for.

use crate::context::Context;
use crate::error::Result;
use crate::id::{MessageId, ThreadId};
use crate::store::{NEVER_MS, SendProgress};
use crate::waiting::{ThreadWaiting, WaitReason, Waiting};

/// What a message of this thread is waiting for; `None` if it is not queued.
pub(crate) async fn waiting(ctx: &Context, thread: ThreadId, message: MessageId) -> Result<Option<Waiting>> {
    let Some(queued) = ctx.store.read(move |rows| rows.waiting(thread, message)).await? else {
        return Ok(None);
    };
    let (is_live, last) = (ctx.transport.live().is_some(), ctx.wait_reasons.of(thread));
    Ok(Some(describe(&queued, is_live, last, ctx.env.now_ms())))
}

/// What the oldest queued message of this thread is waiting for.
pub(crate) fn first(
    ctx: &Context,
    thread: ThreadId,
    queued: Option<(MessageId, SendProgress)>,
) -> Option<ThreadWaiting> {
    let (message, queued) = queued?;
    let (is_live, last) = (ctx.transport.live().is_some(), ctx.wait_reasons.of(thread));
    Some(ThreadWaiting::new(message, describe(&queued, is_live, last, ctx.env.now_ms())))
}

/// What a queued message is waiting for, given whether there is a connection, and the reason for which an attempt in
/// its thread was last put off.
pub(crate) fn describe(
    queued: &SendProgress,
    is_live: bool,
    last: Option<WaitReason>,
    now_ms: u64,
) -> Waiting {
    let due = (queued.due_ms > now_ms).then_some(queued.due_ms);
    let (reason, next_ms) = match (is_live, queued.is_first, due) {
        (false, ..) => (WaitReason::NotConnected, None),
        (true, false, due) => (WaitReason::Behind, due),
        (true, true, None) => (WaitReason::Sending, None),
        (true, true, due) => (last.unwrap_or(WaitReason::NoAnswer), due),
    };
    let next_ms = next_ms.filter(|next_ms| *next_ms < NEVER_MS);
    Waiting { reason, attempts: queued.attempts, next_ms }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queued_message_waits_for_the_first_obstacle() {
        let is = |is_live, is_first, due_ms| {
            let queued = SendProgress { attempts: 3, due_ms, is_first };
            let waiting = describe(&queued, is_live, Some(WaitReason::RelayBusy), 100);
            assert_eq!(waiting.attempts, 3);
            (waiting.reason, waiting.next_ms)
        };
        for is_first in [false, true] {
            for due_ms in [100, 101] {
                assert_eq!(is(false, is_first, due_ms), (WaitReason::NotConnected, None));
            }
        }
        assert_eq!(is(true, false, 100), (WaitReason::Behind, None));
        assert_eq!(is(true, false, 101), (WaitReason::Behind, Some(101)));
        assert_eq!(is(true, true, 100), (WaitReason::Sending, None));
        assert_eq!(is(true, true, 101), (WaitReason::RelayBusy, Some(101)));
        assert_eq!(is(true, true, NEVER_MS), (WaitReason::RelayBusy, None));
    }

    #[test]
    fn an_attempt_that_was_postponed_before_the_client_started_counts_as_unanswered() {
        let queued = SendProgress { attempts: 1, due_ms: 5, is_first: true };
        assert_eq!(describe(&queued, true, None, 0).reason, WaitReason::NoAnswer);
    }
}

//! Station 5, Meet, for mail: starts sessions with users for whom mail waits. Each user is met once, however much waits for them, and
//! a few at the same time. Nothing else waits for a relay that is slow to return the keys of one of them.

use std::collections::HashSet;
use std::slice;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::pin;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::STORAGE_PAUSE;
use super::prepare::{LONG_MS, MAX_REFUSALS, Unmet};
use crate::context::Context;
use crate::error::{Error, Offline, Result};
use crate::health::Part;
use crate::id::UserId;
use crate::message::FailReason;
use crate::send::answer::asked_ms;
use crate::send::meet::{NotMet, meet_all};
use crate::send::{backoff_ceiling_ms, backoff_ms};

/// How many users are met at the same time.
const AT_ONCE: usize = 8;

/// The users with whom sessions are being started.
pub(super) struct Meetings {
    running: FuturesUnordered<BoxFuture<'static, UserId>>,
    users: HashSet<UserId>,
    room: Arc<Semaphore>,
}

impl Default for Meetings {
    fn default() -> Self {
        let room = Arc::new(Semaphore::new(AT_ONCE));
        Self { running: FuturesUnordered::new(), users: HashSet::new(), room }
    }
}

impl Meetings {
    /// The users whose mail waits for a session.
    pub(super) const fn users(&self) -> &HashSet<UserId> {
        &self.users
    }

    /// Starts sessions with a user, unless that has begun already.
    pub(super) fn start(&mut self, ctx: &Context, unmet: Unmet) {
        if self.users.insert(unmet.to_meet.user) {
            self.running.push(meet(ctx.clone(), Arc::clone(&self.room), unmet).boxed());
        }
    }

    /// Waits until a user was met, or could not be. Returns `None` immediately if there is nobody to meet.
    pub(super) async fn ended(&mut self) -> Option<()> {
        let user = self.running.next().await?;
        self.users.remove(&user);
        Some(())
    }

    /// Waits for something else while the sessions are started. Also returns whether a user was met meanwhile, or could not be.
    pub(super) async fn beside<T>(&mut self, other: impl Future<Output = T>) -> (T, bool) {
        pin!(other);
        let mut has_any_ended = false;
        loop {
            tokio::select! {
                done = &mut other => return (done, has_any_ended),
                Some(()) = self.ended() => has_any_ended = true,
            }
        }
    }
}

async fn meet(ctx: Context, room: Arc<Semaphore>, unmet: Unmet) -> UserId {
    let _permit = room.acquire().await;
    let user = unmet.to_meet.user;
    let outcome = try_to_meet(&ctx, unmet).await;
    ctx.health.report(Part::Sending, &outcome);
    if let Err(error) = outcome {
        tracing::warn!(%error, "no session could be started for mail");
        sleep(STORAGE_PAUSE).await;
    }
    user
}

/// Starts the sessions. If that fails, all that waits for them is put off, or dropped.
async fn try_to_meet(ctx: &Context, Unmet { thread, attempts, to_meet }: Unmet) -> Result<()> {
    let user = to_meet.user;
    let next = attempts.saturating_add(1);
    let wait_ms = match meet_all(ctx, thread, slice::from_ref(&to_meet)).await {
        Ok(Ok(())) => return Ok(()),
        // A restored relay may know them again soon.
        Ok(Err(NotMet::For(FailReason::UnknownRecipient))) if attempts < MAX_REFUSALS => {
            backoff_ms(&ctx.env, next)
        }
        // They may upload other keys, and the relay may show another list.
        Ok(Err(NotMet::For(FailReason::BadKeys) | NotMet::ListRefused)) => {
            ctx.env.jitter(backoff_ceiling_ms(next, LONG_MS))
        }
        // Nothing can be sealed for this person.
        Ok(Err(NotMet::For(reason))) => {
            let is_deleted = reason == FailReason::RecipientDeleted;
            return ctx.store.write(move |tx| tx.drop_unsealed_mail_to(user, is_deleted)).await;
        }
        Err(error) if error.stops_everything() => return Err(error),
        Err(Error::Offline(Offline::Busy(wait))) => asked_ms(wait).saturating_add(backoff_ms(&ctx.env, next)),
        Err(error) => {
            tracing::debug!(%error, attempts, "the keys of a recipient could not be fetched");
            backoff_ms(&ctx.env, next)
        }
    };
    // Never at once, so that what fails without waiting for the network is not tried in a loop.
    let due_ms = ctx.env.now_ms().saturating_add(wait_ms.max(1));
    ctx.store.write(move |tx| tx.put_off_mail_to(user, due_ms)).await
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn an_end_beside_something_else_is_reported_once() {
        let user = UserId::from_bytes([1; 16]);
        let mut meetings = Meetings::default();
        meetings.users.insert(user);
        meetings.running.push(ready(user).boxed());
        let mut polls = 0;
        let other = async {
            while polls < 1_000 {
                polls += 1;
                yield_now().await;
            }
        };
        assert_eq!(meetings.beside(other).await, ((), true));
        assert!(meetings.users().is_empty());
        assert_eq!(meetings.beside(yield_now()).await, ((), false));
    }
}

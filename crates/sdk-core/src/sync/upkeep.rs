//! Uploads pre-keys and our device list, deletes old rows and sessions, and finds the messages that have expired: when a connection is
//! established, when the relay reports that keys are running low or may have lost the list, and four times a day.

use std::time::Duration;

use sealpost_protocol::UnixSeconds;
use sealpost_wire::limits::MAILBOX_TTL_S;
use tokio::time::{sleep, timeout};

use crate::account::{device_list, pre_keys};
use crate::context::Context;
use crate::error::{Error, Offline, Result};
use crate::health::Part;
use crate::send::{backoff_ceiling_ms, backoff_ms};
use crate::store::Tx;

const PERIOD: Duration = Duration::from_secs(6 * 3600);
const RETRY: Duration = Duration::from_secs(30);
const LEAST_PAUSE_MS: u64 = 200;
const DAY_MS: u64 = 24 * 3600 * 1000;
/// A mailbox keeps a message for 30 days, so an envelope that was processed earlier is not delivered again.
const HANDLED_MS: u64 = 31 * DAY_MS;
/// The relay remembers ids for 7 days, so older parcels are not submitted again.
const RESUBMIT_MS: u64 = 7 * DAY_MS;

/// How many contents that the recipient has are deleted in one transaction.
const PROVEN_AT_A_TIME: u32 = 256;

/// How many messages are examined in one transaction, to find those that have expired.
const JUDGED_AT_A_TIME: u32 = 500;

pub(crate) async fn run(ctx: Context) {
    let (mut reports, mut failures) = (0, 0);
    loop {
        ctx.transport.online().await;
        let outcome = keep_up(&ctx).await;
        ctx.health.report(Part::PreKeys, &outcome);
        let pause = match outcome {
            Ok(()) => {
                failures = 0;
                PERIOD
            }
            Err(error) => {
                tracing::debug!(%error, "pre-keys are not replenished");
                // The wait that the relay asks for is kept even if keys run low in the meantime.
                sleep(asked(&error)).await;
                let most_ms = u64::try_from(PERIOD.as_millis()).unwrap_or(u64::MAX);
                failures = u32::saturating_add(failures, 1);
                // The pause is between half a minute and a minute at first, and grows to hours if the work keeps failing.
                let spread_ms = backoff_ceiling_ms(failures.saturating_add(6), most_ms);
                RETRY.saturating_add(Duration::from_millis(ctx.env.jitter(spread_ms)))
            }
        };
        // The relay's keys may run low earlier. If the relay reports this repeatedly, the pauses grow.
        reports = match timeout(pause, ctx.upkeep.keys_low.notified()).await {
            Ok(()) => u32::saturating_add(reports, 1),
            Err(_) => 0,
        };
        sleep(Duration::from_millis(backoff_ms(&ctx.env, reports).saturating_add(LEAST_PAUSE_MS))).await;
    }
}

/// The wait that the relay asks for, up to [`PERIOD`].
fn asked(error: &Error) -> Duration {
    match error {
        Error::Offline(Offline::Busy(wait)) => (*wait).min(PERIOD),
        _ => Duration::ZERO,
    }
}

async fn keep_up(ctx: &Context) -> Result<()> {
    let told = device_list::tell(ctx).await;
    ctx.health.report(Part::DeviceLists, &told);
    pre_keys::replenish(ctx).await?;
    let now_ms = ctx.expiry_now_ms();
    let (handled, proven) = (now_ms.saturating_sub(HANDLED_MS), now_ms.saturating_sub(RESUBMIT_MS));
    let work = move |tx: &mut Tx<'_>| {
        tx.forget_opened(handled)?;
        tx.forget_proven(proven)?;
        let lost = tx.send_lost_again(now_ms, proven)?;
        tx.expire_sessions(UnixSeconds(now_ms / 1000))?;
        Ok(lost)
    };
    let lost = ctx.store.write(work).await?;
    if lost > 0 {
        tracing::warn!(lost, "the relay has lost contents that it had accepted");
        ctx.outbox.notify_one();
    }
    while ctx.store.write(|tx| tx.forget_some_proven(PROVEN_AT_A_TIME)).await? {}
    let expired_ms = now_ms.saturating_sub(MAILBOX_TTL_S.saturating_mul(1_000));
    while ctx.store.glance(move |rows| rows.may_expire(expired_ms)).await? {
        ctx.store.write(move |tx| tx.expire_some(expired_ms, JUDGED_AT_A_TIME)).await?;
    }
    outcome(told)
}

/// What telling the relay of our list means for the whole upkeep. What it will refuse again must not make the pre-keys fail: the list has
/// a part of its own, and is told with the next upkeep.
fn outcome(told: Result<()>) -> Result<()> {
    match told {
        Err(error @ Error::Offline(Offline::NotARelay | Offline::Refused(_))) => {
            tracing::warn!(%error, "the relay does not take our device list");
            Ok(())
        }
        told => told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pre_keys_do_not_fail_because_of_a_list_that_the_relay_never_takes() {
        for lasting in [Offline::NotARelay, Offline::Refused(403)] {
            assert_eq!(outcome(Err(lasting.into())), Ok(()), "{lasting:?}");
        }
        let busy = Offline::Busy(Duration::from_secs(9));
        for passing in [Offline::Unreachable, Offline::TimedOut, busy] {
            assert_eq!(outcome(Err(passing.into())), Err(passing.into()), "{passing:?}");
        }
        let storage = || Error::Storage(crate::error::Storage::Full);
        assert_eq!(outcome(Err(storage())), Err(storage()));
        assert_eq!(outcome(Ok(())), Ok(()));
    }
}

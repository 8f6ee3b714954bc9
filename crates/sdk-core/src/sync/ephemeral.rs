//! Ends what is known for a few seconds only, tells the contacts that the person has chosen whether the person is there, and tells
//! others that a call has ended.

use std::time::Duration;

use tokio::time::{sleep, sleep_until};

use crate::content::Body;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::health::Part;
use crate::send::ephemeral::{Passing, pass};

/// How often it is repeated that the person is there.
const REPEAT: Duration = Duration::from_secs(45);
/// How long the relay may hold it, in seconds.
const PRESENCE_TTL_S: u32 = 60;

/// Ends what has lasted long enough.
pub(crate) async fn expire(ctx: Context) {
    loop {
        let next = ctx.ephemeral.expire().into_iter().chain(ctx.calls.expire()).min();
        tokio::select! {
            () = ctx.ephemeral.changed.notified() => {}
            () = async { match next {
                Some(next) => sleep_until(next).await,
                None => std::future::pending().await,
            } } => {}
        }
    }
}

/// Tells that the person is there, while the app is in the foreground, and once when it leaves it.
pub(crate) async fn tell_presence(ctx: Context) {
    let mut foreground = ctx.transport.hints.foreground_changes();
    let mut live = ctx.transport.live_changes();
    let mut was_told = false;
    loop {
        ctx.transport.online().await;
        live.borrow_and_update();
        let is_here = *foreground.borrow_and_update();
        if is_here || was_told {
            let told = tell(&ctx, is_here).await;
            ctx.health.report(Part::Sending, &told);
            was_told = is_here;
        }
        tokio::select! {
            () = sleep(REPEAT), if is_here => {}
            Ok(()) = foreground.changed() => {}
            Ok(()) = live.changed() => {}
            () = ctx.upkeep.presence.notified() => {}
        }
    }
}

/// Sends signals of calls again: that a call has ended here, if the other side went on with it, and an offer that may not have arrived.
pub(crate) async fn repeat_signals(ctx: Context) {
    loop {
        for (thread, call, sent_ms) in ctx.calls.take_again() {
            let signal = Passing::call(call, sent_ms.unwrap_or_else(|| ctx.server_now_ms()));
            let told = ignore_offline(pass(&ctx, vec![thread], signal).await);
            ctx.health.report(Part::Sending, &told);
        }
        ctx.calls.again.notified().await;
    }
}

async fn tell(ctx: &Context, is_here: bool) -> Result<()> {
    let threads = ctx.store.glance(|rows| rows.shares_presence()).await?;
    if threads.is_empty() {
        return Ok(());
    }
    let passing =
        Passing { body: Body::Presence { is_here }, ttl_s: PRESENCE_TTL_S, sent_ms: ctx.server_now_ms() };
    // If the connection has ended, it is told again on the next one.
    ignore_offline(pass(ctx, threads, passing).await)
}

fn ignore_offline<T>(passed: Result<T>) -> Result<()> {
    match passed {
        Ok(_) | Err(Error::Offline(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

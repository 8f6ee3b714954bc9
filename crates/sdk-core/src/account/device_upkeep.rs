//! What is done in the background about the devices of our account: the primary device finishes what it has begun, and removes companions
//! that the relay does not have any more; a companion learns the newest list.

use sealpost_protocol::UnixSeconds;

use super::companions::release;
use super::own_devices::revoke;
use super::{device_list, moving, settling};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::id::DeviceId;
use crate::store::LinkState;

/// Does what is still to be done about our devices, and asks the relay about them.
///
/// # Errors
/// Something is still to be done.
pub(crate) async fn keep_up(ctx: &Context) -> Result<()> {
    if !ctx.store.glance(|rows| rows.holds_account_key()).await? {
        // The device that has moved the account tells the relay.
        device_list::tell(ctx).await?;
        device_list::learn(ctx).await?;
        return moving::propose(ctx).await;
    }
    // A database that was restored from a copy learns its own list first, and one of an account that was registered anew which devices the
    // account had before.
    device_list::tell(ctx).await?;
    let known =
        ctx.store.glance(|rows| Ok((rows.our_account()?.1.user, rows.highest_device()?, rows.own_links()?)));
    let (user, highest, links) = known.await?;
    for own in links.iter().filter(|own| own.state == LinkState::Confirmed) {
        match release(ctx, own.link).await {
            Ok(()) | Err(Error::Link(_)) => {}
            Err(error) => return Err(error),
        }
    }
    revoke(ctx).await?;
    // Or the relay has named a device that the account has not signed.
    let is_any_skipped = !ctx.skipped.of(user, UnixSeconds(ctx.server_now_ms() / 1000)).is_empty();
    if highest > DeviceId::PRIMARY.get() || !links.is_empty() || is_any_skipped {
        settling::settle(ctx).await?;
    }
    moving::go_on(ctx).await
}

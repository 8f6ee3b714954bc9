//! What is done in the background about the devices of our account: the primary device finishes what it has begun, and removes companions
//! that the relay does not have any more; a companion learns the newest list.

use sealpost_protocol::device::{DeviceEntry, SignedDeviceList, Succession};
use sealpost_wire as wire;

use super::companions::release;
use super::own_devices::{remove_all, revoke};
use super::own_list::own_list;
use super::{device_list, tokens};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::id::DeviceId;
use crate::store::{LinkState, Registered, Tx};

/// A companion whose token expired this long ago, by the relay's time, is not registered any more.
const GRACE_MS: u64 = 60_000;

/// Does what is still to be done about our devices, and asks the relay about them.
///
/// # Errors
/// Something is still to be done.
pub(crate) async fn keep_up(ctx: &Context) -> Result<()> {
    if !ctx.store.glance(|rows| rows.holds_account_key()).await? {
        return learn_list(ctx).await;
    }
    // A database that was restored from a copy learns its own list first, and one of an account that was registered anew which devices the
    // account had before.
    device_list::tell(ctx).await?;
    let known = ctx.store.glance(|rows| Ok((rows.highest_device()?, rows.own_links()?)));
    let (highest, links) = known.await?;
    for own in links.iter().filter(|own| own.state == LinkState::Confirmed) {
        match release(ctx, own.link).await {
            Ok(()) | Err(Error::Link(_)) => {}
            Err(error) => return Err(error),
        }
    }
    revoke(ctx).await?;
    if highest > DeviceId::PRIMARY.get() || !links.is_empty() {
        let asked = tokens::with_access(ctx, |http, token| async move { http.devices(&token).await });
        let gone = settle(ctx, asked.await?).await?;
        if !gone.is_empty() {
            remove_all(ctx, gone).await?;
            device_list::tell(ctx).await?;
        }
        revoke(ctx).await?;
    }
    Ok(())
}

/// Forgets the links that are done, and returns the companions on the list that the relay does not have and will not get.
async fn settle(ctx: &Context, known: wire::DeviceList) -> Result<Vec<DeviceId>> {
    let now_ms = ctx.server_now_ms();
    let work = ctx.store.write(move |tx| {
        let (_, list) = own_list(tx)?;
        let links = tx.own_links()?;
        let is_live = |entry: &DeviceEntry| {
            let mut live = known.devices.iter();
            live.any(|device| {
                device.device_id == entry.device.get()
                    && device.identity_key[..] == entry.identity.serialize()
            })
        };
        let mut gone = Vec::new();
        for entry in list.devices().iter().filter(|entry| !entry.is_primary) {
            let link = links.iter().find(|own| own.device.get() == entry.device.get());
            let is_late = link.is_some_and(|own| own.until_ms.saturating_add(GRACE_MS) < now_ms);
            match link {
                Some(own) if is_live(entry) => tx.delete_own_link(&own.link)?,
                _ if is_live(entry) => {}
                // One that the relay has lost, because it was restored from a backup, registers itself again.
                _ if is_late || known.revoked.contains(&entry.device.get()) => {
                    gone.push(DeviceId::new(entry.device.get())?);
                }
                _ => {}
            }
        }
        for own in links.iter().filter(|own| own.state == LinkState::Begun && own.until_ms < now_ms) {
            tx.delete_own_link(&own.link)?;
            tx.revoke_later(own.device)?;
        }
        // Whoever has seen a code can register with the token of the offer before the person has decided, and a relay can name any
        // device.
        for device in known.devices.iter().map(|device| device.device_id) {
            let is_listed = list.devices().iter().any(|entry| entry.device.get() == device);
            let is_awaited = links.iter().any(|own| own.device.get() == device);
            if let (false, false, Ok(device)) = (is_listed, is_awaited, DeviceId::new(device)) {
                tx.revoke_later(device)?;
            }
        }
        Ok(gone)
    });
    work.await
}

/// A companion learns the list that the primary device has signed.
async fn learn_list(ctx: &Context) -> Result<()> {
    let us = ctx.store.glance(|rows| Ok(rows.our_account()?.1)).await?;
    let asked =
        tokens::with_access(ctx, |http, token| async move { http.device_list(&token, us.user).await });
    let shown = match asked.await {
        Ok(shown) => shown,
        // Restored from a backup; the primary device uploads it again.
        Err(Error::NotFound) => return Ok(()),
        Err(error) => return Err(error),
    };
    ctx.store.write(move |tx| take_list(tx, us, &shown.list)).await
}

fn take_list(tx: &mut Tx<'_>, us: Registered, shown: &[u8]) -> Result<()> {
    let Some(known) = tx.device_list(us.user)? else { return Ok(()) };
    let list = SignedDeviceList::parse(shown).ok().and_then(|list| list.verify(us.user.as_bytes()).ok());
    match list.as_ref().map(|list| (list, known.known().succession(list))) {
        Some((list, Succession::Newer)) => drop(tx.take_own_list(list)?),
        Some((_, Succession::Same | Succession::Older)) => {}
        None | Some((_, Succession::Contradicts | Succession::OtherAccountKey)) => {
            tracing::warn!("the relay shows another device list of our account");
            tx.emit(Event::DeviceListRefused(us.user));
        }
    }
    Ok(())
}

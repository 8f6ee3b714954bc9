//! Removing devices of our account, on the primary device: the list without them is stored first, and the relay is told until it has
//! answered.

use sealpost_protocol::device::DeviceEntry;

use super::own_list::{own_list, sign};
use super::{device_list, tokens};
use crate::content::Body;
use crate::context::Context;
use crate::error::{Error, LinkFailure, Result};
use crate::fault::{self, Station};
use crate::id::DeviceId;
use crate::store::{NewMail, News, Registered, Tx, note_to_self};

/// Removes a companion: from now on nothing is sealed for it or opened from it, and the relay will revoke it.
pub(crate) async fn remove(ctx: &Context, device: DeviceId) -> Result<()> {
    remove_all(ctx, vec![device]).await?;
    fault::at(Station::DeviceRemoved);
    let told = async {
        device_list::tell(ctx).await?;
        revoke(ctx).await
    };
    if let Err(error) = told.await {
        tracing::debug!(%error, "the relay was not told yet that a device was removed");
        ctx.upkeep.devices.notify_one();
    }
    Ok(())
}

pub(super) async fn remove_all(ctx: &Context, removed: Vec<DeviceId>) -> Result<()> {
    let (mut rng, ctx_in_tx) = (ctx.env.rng(), ctx.clone());
    let work = ctx.store.write(move |tx| {
        let (us, list) = own_list(tx)?;
        let is_removed =
            |entry: &DeviceEntry| removed.iter().any(|device| device.get() == entry.device.get());
        let (gone, kept): (Vec<_>, Vec<_>) = list.devices().iter().copied().partition(is_removed);
        if gone.iter().any(|entry| entry.is_primary) {
            return Err(LinkFailure::NotPrimary.into());
        }
        if gone.is_empty() {
            return Err(Error::NotFound);
        }
        sign(tx, us, &list, kept, &mut rng)?;
        for entry in gone {
            let device = DeviceId::new(entry.device.get())?;
            if tx.prepared_move()?.is_some_and(|prepared| prepared.device == device) {
                tx.end_move()?;
            }
            tx.revoke_later(device)?;
            tx.end_bootstrap(device)?;
            for own in tx.own_links()?.iter().filter(|own| own.device == device) {
                tx.delete_own_link(&own.link)?;
            }
        }
        show_companions(&ctx_in_tx, tx, us)
    });
    work.await?;
    ctx.upkeep.news.notify_one();
    Ok(())
}

/// Sends our list to our other devices, which are told like everybody else.
pub(crate) fn show_companions(ctx: &Context, tx: &mut Tx<'_>, us: Registered) -> Result<()> {
    if !tx.has_companions()? {
        return Ok(());
    }
    let new = NewMail {
        thread: note_to_self(us.user),
        to: us.user,
        slot: Some(News::DeviceList.slot()),
        content_id: ctx.new_client_msg_id(),
        sent_ms: ctx.server_now_ms(),
        body: Body::Null,
        due_ms: 0,
    };
    ctx.queue_mail(tx, &new)
}

/// Lets the relay revoke the devices that were removed.
pub(super) async fn revoke(ctx: &Context) -> Result<()> {
    for device in ctx.store.glance(|rows| rows.revocations()).await? {
        let told =
            tokens::with_access(ctx, |http, token| async move { http.revoke_device(&token, device).await });
        match told.await {
            // It was revoked before, or the relay has never registered it.
            Ok(()) | Err(Error::NotFound) => {}
            Err(error) => return Err(error),
        }
        fault::at(Station::DeviceRevoked);
        ctx.store.write(move |tx| tx.set_revoked(device)).await?;
    }
    Ok(())
}

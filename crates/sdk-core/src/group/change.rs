//! What a person does with a group: each change is stored, and made as soon as there is a connection.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use sealpost_protocol::device::SignedDeviceList;
use sealpost_wire::roster::{Change, Details, Invitation, NewSecret, Permissions};

use super::details::GroupDetails;
use super::{form, sign};
use crate::account::tokens;
use crate::context::Context;
use crate::error::{Error, Offline, Result};
use crate::id::{ThreadId, UserId};

/// How many people are asked for at the same time.
const AT_ONCE: usize = 16;

/// Creates a group. It is here once the relay has it.
pub(crate) async fn create(
    ctx: &Context,
    details: GroupDetails,
    permissions: Permissions,
    users: &[UserId],
) -> Result<ThreadId> {
    let invited = invitations(ctx, users).await?;
    let mut rng = ctx.env.rng();
    let work = ctx.store.write(move |tx| {
        let us = tx.our_account()?.1.user;
        let invited = invited.into_iter().filter(|invitation| invitation.user != us).collect();
        let signed = sign::create(tx, (&details, permissions), invited, &mut rng)?;
        let thread = signed.entry.thread();
        let id = tx.queue_change(thread, &signed.entry.content().change)?;
        tx.set_change_signed(id, &signed.entry, signed.secret.as_ref())?;
        Ok(thread)
    });
    let thread = work.await?;
    ctx.upkeep.rosters.notify_one();
    Ok(thread)
}

/// Invites people into a group.
pub(crate) async fn invite(ctx: &Context, thread: ThreadId, users: &[UserId]) -> Result<()> {
    let invited = invitations(ctx, users).await?;
    queue(ctx, thread, Change::Invite(invited)).await
}

/// Queues a change. It is refused now if it is not allowed now.
pub(crate) async fn queue(ctx: &Context, thread: ThreadId, change: Change) -> Result<()> {
    let mut rng = ctx.env.rng();
    let work = ctx.store.write(move |tx| {
        if sign::change(tx, thread, &change, &mut rng)?.is_err() {
            return Err(Error::WrongState);
        }
        tx.queue_change(thread, &change)
    });
    work.await?;
    ctx.upkeep.rosters.notify_one();
    Ok(())
}

/// Removes members. Title and description are encrypted anew, with another secret.
pub(crate) async fn remove(ctx: &Context, thread: ThreadId, mut users: Vec<UserId>) -> Result<()> {
    users.sort();
    users.dedup();
    let details = Details::new(Vec::new()).map_err(|_| Error::Bug("no details"))?;
    queue(ctx, thread, Change::Remove { users, secret: NewSecret { commitment: [0; 32], details } }).await
}

/// Replaces title and description.
pub(crate) async fn set_details(ctx: &Context, thread: ThreadId, details: &GroupDetails) -> Result<()> {
    let plain = Details::new(details.to_bytes()?).map_err(|_| Error::Bug("details without a bound"))?;
    queue(ctx, thread, Change::Details(plain)).await
}

/// The account keys of people, as they are known; of somebody who was never met, as the relay shows it.
async fn invitations(ctx: &Context, users: &[UserId]) -> Result<Vec<Invitation>> {
    // Several are asked for at the same time: a group may begin with a thousand strangers.
    let invited = stream::iter(users.to_vec()).map(|user| invitation(ctx, user)).buffer_unordered(AT_ONCE);
    let mut invited: Vec<_> = invited.try_collect().await?;
    invited.sort_by_key(|invitation| invitation.user);
    invited.dedup_by_key(|invitation| invitation.user);
    Ok(invited)
}

async fn invitation(ctx: &Context, user: UserId) -> Result<Invitation> {
    let known = ctx.store.glance(move |rows| rows.account_key_of(user)).await?;
    let key = match known {
        Some(key) => key,
        None => {
            let shown =
                tokens::with_access(ctx, |http, token| async move { http.device_list(&token, user).await });
            let list = SignedDeviceList::parse(&shown.await?.list)?;
            let list = list.verify(user.as_bytes()).map_err(|_| Error::Offline(Offline::NotARelay))?;
            *list.account_key()
        }
    };
    let account_key = form::named(&key).ok_or(Error::Bug("an account key without a form"))?;
    Ok(Invitation { user, account_key })
}

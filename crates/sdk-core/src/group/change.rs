//! What a person does with a group: each change is stored, and made as soon as there is a connection.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use rand::rngs::StdRng;
use sealpost_protocol::device::SignedDeviceList;
use sealpost_protocol::group::{GroupLink, LinkSecret};
use sealpost_wire::roster::{Change, Details, Invitation, InviteLink, NewSecret, Permissions};
use sha2::{Digest as _, Sha256};

use super::details::GroupDetails;
use super::{form, sign};
use crate::account::tokens;
use crate::context::Context;
use crate::error::{Error, Offline, Result};
use crate::id::{ThreadId, UserId};
use crate::store::{Rows, Tx};

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
    let change = Change::Remove { users, secret: NewSecret { commitment: [0; 32], details } };
    queue_removal(ctx, thread, change).await
}

/// Takes the account key that a member has now, as far as it is known: an admin says that they are the same person.
pub(crate) async fn take_new_key(ctx: &Context, thread: ThreadId, user: UserId) -> Result<()> {
    let invitation = invitations(ctx, &[user]).await?.into_iter().next().ok_or(Error::NotFound)?;
    queue_removal(ctx, thread, Change::RekeyMember(invitation)).await
}

/// Queues a change that switches the link off, because somebody who has it may not have it any more, and then another link, if there is one.
async fn queue_removal(ctx: &Context, thread: ThreadId, change: Change) -> Result<()> {
    let mut rng = ctx.env.rng();
    let work = ctx.store.write(move |tx| {
        let had_link = tx.roster_state(thread)?.is_some_and(|state| state.link.is_some());
        if sign::change(tx, thread, &change, &mut rng)?.is_err() {
            return Err(Error::WrongState);
        }
        tx.queue_change(thread, &change)?;
        if had_link { queue_link(tx, thread, &mut rng) } else { Ok(()) }
    });
    work.await?;
    ctx.upkeep.rosters.notify_one();
    Ok(())
}

/// Makes a link, or another one, so that the former one leads nowhere.
pub(crate) async fn reset_link(ctx: &Context, thread: ThreadId) -> Result<()> {
    let mut rng = ctx.env.rng();
    let work = ctx.store.write(move |tx| {
        let change = Change::Link(Some(new_link(&LinkSecret::generate(&mut rng))));
        if sign::change(tx, thread, &change, &mut rng)?.is_err() {
            return Err(Error::WrongState);
        }
        queue_link(tx, thread, &mut rng)
    });
    work.await?;
    ctx.upkeep.rosters.notify_one();
    Ok(())
}

fn queue_link(tx: &mut Tx<'_>, thread: ThreadId, rng: &mut StdRng) -> Result<()> {
    let secret = LinkSecret::generate(rng);
    tx.put_group_link(thread, &secret)?;
    tx.queue_change(thread, &Change::Link(Some(new_link(&secret)))).map(drop)
}

/// What the roster contains of a link.
fn new_link(secret: &LinkSecret) -> InviteLink {
    let token_hash = Sha256::digest(secret.access_token().expose()).into();
    InviteLink { public_key: secret.public_key(), token_hash }
}

/// The link of a group. None if there is none, or if this device does not know its secret.
pub(crate) fn link(rows: &Rows<'_>, thread: ThreadId) -> Result<Option<GroupLink>> {
    let Some(state) = rows.roster_state(thread)? else { return Err(Error::NotFound) };
    let Some(link) = state.link else { return Ok(None) };
    let Some(secret) = rows.group_link(thread, &link.public_key)? else { return Ok(None) };
    let group_secret = rows.group_secret(thread, state.secret_version)?;
    let group_secret = group_secret.filter(|secret| secret.is_meant_by(&state.commitment));
    Ok(Some(GroupLink { group: *thread.as_bytes(), secret, group_secret }))
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

//! Moving the account to another of its devices, which becomes the primary one with an account key of its own.
//!
//! The primary device asks the companion, which answers with a list that it has signed with the new account key. When the primary device adds
//! the statement of the old key, the account is moved, in one commit. What has been decided is stored first, so each step is repeated until the other
//! side, or the relay, knows it.

use rand::RngExt as _;
use rand::rngs::StdRng;
use sealpost_protocol::DeviceId as ProtocolDeviceId;
use sealpost_protocol::device::{AccountKeyPair, MoveProposal, VerifiedDeviceList};

use super::bootstrap::queue;
use super::own_devices::show_companions;
use super::own_list::own_list;
use super::{device_list, settling};
use crate::content::{Body, MoveId, Moving};
use crate::context::Context;
use crate::error::{Error, LinkFailure, Result};
use crate::fault::{self, Station};
use crate::id::DeviceId;
use crate::store::{LinkState, Rows, Tx};

/// Asks a companion to become the primary device. It can be repeated.
pub(crate) async fn begin(ctx: &Context, device: DeviceId) -> Result<()> {
    // A companion that was released may have been registered since.
    let is_any_released =
        |rows: &Rows<'_>| Ok(rows.own_links()?.iter().any(|own| own.state == LinkState::Released));
    if ctx.store.read(is_any_released).await? {
        settling::settle(ctx).await?;
    }
    let (in_tx, mut rng) = (ctx.clone(), ctx.env.rng());
    let work = ctx.store.write(move |tx| {
        let (_, list) = own_list(tx)?;
        let companions = list.devices().iter().filter(|entry| !entry.is_primary);
        if !companions.into_iter().any(|entry| entry.device.get() == device.get()) {
            return Err(Error::NotFound);
        }
        if let Some(prepared) = tx.prepared_move()? {
            return if prepared.device == device { Ok(()) } else { Err(LinkFailure::Busy.into()) };
        }
        // Only the primary device links companions and passes on what they have missed.
        if !tx.own_links()?.is_empty() || tx.is_bootstrap_running()? {
            return Err(LinkFailure::Busy.into());
        }
        ask(&in_tx, tx, device, list.version(), &mut rng)
    });
    work.await?;
    fault::at(Station::MoveAsked);
    Ok(())
}

/// Calls the move off, unless the companion was already made the primary device.
pub(crate) async fn cancel(ctx: &Context) -> Result<()> {
    ctx.store
        .write(|tx| {
            own_list(tx)?;
            tx.end_move()
        })
        .await
}

/// The companion that was asked to become the primary device.
pub(crate) fn pending(rows: &Rows<'_>) -> Result<Option<DeviceId>> {
    let prepared = rows.prepared_move()?;
    Ok(if rows.holds_account_key()? { prepared.map(|prepared| prepared.device) } else { None })
}

fn ask(ctx: &Context, tx: &mut Tx<'_>, device: DeviceId, version: u64, rng: &mut StdRng) -> Result<()> {
    let id = MoveId(rng.random());
    tx.prepare_move(id, device, version)?;
    queue(ctx, tx, Body::Moving(Moving::Ask { id, device, version }))
}

/// On the primary device: accepts the proposal of the companion, if it has come, and tells the relay. Asks again if the list has changed since.
pub(super) async fn go_on(ctx: &Context) -> Result<()> {
    if ctx.store.glance(|rows| rows.prepared_move()).await?.is_none() {
        return Ok(());
    }
    let (in_tx, mut rng) = (ctx.clone(), ctx.env.rng());
    let work = ctx.store.write(move |tx| {
        let (us, list) = own_list(tx)?;
        let Some(prepared) = tx.prepared_move()? else { return Ok(false) };
        let device = protocol_id(prepared.device)?;
        if !list.devices().iter().any(|entry| entry.device == device) {
            tx.end_move()?;
            return Ok(false);
        }
        if prepared.version != list.version() {
            ask(&in_tx, tx, prepared.device, list.version(), &mut rng)?;
            return Ok(false);
        }
        let Some(proposal) = prepared.proposal else { return Ok(false) };
        let key = tx.account_key()?;
        let accepted = MoveProposal::parse(&proposal).ok();
        let accepted = accepted
            .and_then(|proposal| proposal.accept(&list, us.user.as_bytes(), device, &key, &mut rng).ok());
        let Some(moved) = accepted else {
            tracing::warn!("the proposal of a device for a move was refused");
            tx.end_move()?;
            return Ok(false);
        };
        tx.replace_own_list(us, &moved)?;
        show_companions(&in_tx, tx, us)?;
        Ok(true)
    });
    if work.await? {
        fault::at(Station::MoveSigned);
        ctx.upkeep.news.notify_one();
        device_list::tell(ctx).await?;
    }
    Ok(())
}

/// On a companion that was asked: proposes a list.
pub(super) async fn propose(ctx: &Context) -> Result<()> {
    let is_due = |rows: &Rows<'_>| Ok(rows.prepared_move()?.is_some_and(|asked| asked.proposal.is_none()));
    if !ctx.store.glance(is_due).await? {
        return Ok(());
    }
    let (in_tx, mut rng) = (ctx.clone(), ctx.env.rng());
    let work = ctx.store.write(move |tx| {
        let (account, us) = tx.our_account()?;
        let Some(asked) = tx.prepared_move()?.filter(|asked| asked.proposal.is_none()) else { return Ok(()) };
        // Another list is known here than on the primary device. It asks again if ours is the later one, and otherwise we learn it.
        let list = tx.device_list(us.user)?.filter(|list| list.version() == asked.version);
        let Some(list) = list else { return Ok(()) };
        let key = match tx.proposed_key(asked.version)? {
            Some(key) => key,
            None => AccountKeyPair::generate(&mut rng),
        };
        tx.keep_proposed_key(&key, asked.version)?;
        let device = (protocol_id(us.device)?, &account.identity);
        let proposal = MoveProposal::sign(&list, us.user.as_bytes(), device, &key, &mut rng);
        let proposal =
            proposal.map_err(|_| Error::Bug("a move of our own list is not possible"))?.serialize();
        tx.set_proposal(Some(&proposal))?;
        queue(&in_tx, tx, Body::Moving(Moving::Propose { id: asked.id, proposal }))
    });
    work.await?;
    fault::at(Station::MoveProposed);
    Ok(())
}

/// What one of our own devices has said about a move, in the transaction in which it arrived.
pub(crate) fn receive(tx: &mut Tx<'_>, from: DeviceId, moving: &Moving) -> Result<()> {
    let (_, us) = tx.our_account()?;
    let Some(list) = tx.device_list(us.user)? else { return Ok(()) };
    let prepared = tx.prepared_move()?;
    match moving {
        Moving::Ask { id, device, version } => {
            let is_from_primary = is_primary(&list, from);
            // An earlier one may have come late.
            let is_later = prepared.is_none_or(|prepared| prepared.version <= *version);
            if is_from_primary && is_later && *device == us.device && from != us.device {
                tx.prepare_move(*id, *device, *version)?;
            }
        }
        Moving::Propose { id, proposal } => {
            let is_asked = prepared.is_some_and(|prepared| prepared.id == *id && prepared.device == from);
            if is_asked && tx.holds_account_key()? {
                tx.set_proposal(Some(proposal))?;
            }
        }
    }
    Ok(())
}

fn is_primary(list: &VerifiedDeviceList, device: DeviceId) -> bool {
    list.primary().is_some_and(|primary| primary.device.get() == device.get())
}

fn protocol_id(device: DeviceId) -> Result<ProtocolDeviceId> {
    ProtocolDeviceId::new(device.get()).map_err(|_| Error::Bug("a device id out of range"))
}

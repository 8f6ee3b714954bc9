//! Linking a companion, on the primary device.
//!
//! Only confirmation by the person signs a list. What has been decided is stored first, and repeated until the relay and the companion
//! know it.

use bytes::Bytes;
use sealpost_protocol::DeviceId as ProtocolDeviceId;
use sealpost_protocol::device::link::{Answer, LinkCode, LinkNonce, NewOffer, Release, ShortCode};
use sealpost_protocol::device::{MAX_DEVICES, VerifiedDeviceList};
use sealpost_wire::limits::LINK_LIFE_MS;
use sealpost_wire::reason;
use tokio::time::sleep;

use super::linking::POLL;
use super::own_list::{own_list, sign};
use super::{device_list, own_devices, tokens};
use crate::context::Context;
use crate::error::{Error, LinkFailure, Offline, Result};
use crate::fault::{self, Station};
use crate::id::DeviceId;
use crate::store::{LinkState, NewOwnLink, OwnLink, Registered, Tx};
use crate::transport;

/// A companion that waits for the person's confirmation.
pub(crate) struct Waiting {
    pub(crate) link: [u8; 16],
    /// The number that is reserved for it.
    pub(crate) device: DeviceId,
    pub(crate) digits: ShortCode,
    pub(crate) name: String,
}

/// Answers the code of a companion, and waits until it has answered.
pub(crate) async fn scan(ctx: &Context, code: &LinkCode) -> Result<Waiting> {
    let id = *code.link();
    let known = ctx.store.read(move |rows| {
        let (us, list) = own_list(rows)?;
        if rows.prepared_move()?.is_some() {
            return Err(LinkFailure::Busy.into());
        }
        Ok((us, list, rows.own_link(&id)?, rows.highest_device()?))
    });
    let (us, list, own, highest) = known.await?;
    if list.devices().iter().any(|entry| entry.identity == *code.identity()) {
        return Err(LinkFailure::AlreadyLinked.into());
    }
    let own = match own {
        Some(own) => own,
        None => offer(ctx, code, (us, &list), highest).await?,
    };
    let blobs = vec![Bytes::copy_from_slice(&own.offer)];
    let answer = loop {
        match exchange(ctx, id, blobs.clone()).await?.into_iter().next() {
            Some(answer) => break answer,
            None => sleep(POLL).await,
        }
    };
    let opened = open_answer(&own, us, &list, &answer);
    let Ok(opened) = opened else {
        give_up(ctx, &own).await?;
        return Err(LinkFailure::NotAuthentic.into());
    };
    let stored = answer.clone();
    let store = move |tx: &mut Tx<'_>| match tx.own_link(&id)? {
        Some(_) => tx.set_link_answer(&id, &stored),
        // It was cancelled in the meantime.
        None => Err(LinkFailure::Expired.into()),
    };
    ctx.store.write(store).await?;
    exchange(ctx, id, vec![Bytes::copy_from_slice(&own.offer), Bytes::copy_from_slice(&own.nonce)]).await?;
    let nonce = LinkNonce::parse(&own.nonce)?;
    let digits = ShortCode::new(code, &own.offer, &answer, &nonce);
    Ok(Waiting { link: id, device: own.device, digits, name: opened.name })
}

/// Reserves a number for the companion, and stores what it is offered.
async fn offer(
    ctx: &Context,
    code: &LinkCode,
    (us, list): (Registered, &VerifiedDeviceList),
    highest: u32,
) -> Result<OwnLink> {
    if list.devices().len() >= MAX_DEVICES {
        return Err(LinkFailure::TooManyDevices.into());
    }
    let listed = list.devices().iter().map(|entry| entry.device.get()).max().unwrap_or(1);
    let above = highest.max(listed);
    let asked = tokens::with_access(ctx, |http, token| async move {
        match http.link_token(&token, above).await {
            Ok(taken) => Ok(Ok(taken)),
            Err(transport::Error::Refused(refusal)) => match refusal.reason.as_str() {
                reason::TOO_MANY_DEVICES => Ok(Err(LinkFailure::TooManyDevices)),
                reason::DEVICE_IDS_USED_UP => Ok(Err(LinkFailure::DeviceIdsUsedUp)),
                _ => Err(transport::Error::Refused(refusal)),
            },
            Err(error) => Err(error),
        }
    });
    let taken = asked.await??;
    let device = ProtocolDeviceId::new(taken.device_id).ok().filter(|device| device.get() > above);
    let device = device.ok_or(Offline::NotARelay)?;
    let token = <&[u8; 32]>::try_from(&taken.token[..]).map_err(|_| Offline::NotARelay)?;
    let new = NewOffer { user: us.user.as_bytes(), device, token, list };
    let sealed = new.seal(code, &mut ctx.env.rng()).ok_or(Error::Bug("a code with a bad key"))?;
    // Nothing waits longer for a companion than any relay keeps its token.
    let latest_ms = ctx.server_now_ms().saturating_add(LINK_LIFE_MS);
    let (link, bytes, until_ms) = (*code.link(), code.to_bytes(), taken.expires_ms.min(latest_ms));
    let device = DeviceId::new(device.get())?;
    let stored = ctx.store.write(move |tx| {
        tx.raise_highest_device(device.get())?;
        if let Some(own) = tx.own_link(&link)? {
            // The code was read twice at the same time, and another device number was reserved first.
            tx.revoke_later(device)?;
            return Ok(own);
        }
        if tx.prepared_move()?.is_some() {
            return Err(LinkFailure::Busy.into());
        }
        tx.insert_own_link(&NewOwnLink {
            link,
            code: &bytes,
            device,
            until_ms,
            offer: &sealed.bytes,
            nonce: sealed.nonce.as_bytes(),
            seed: sealed.seed.expose(),
        })?;
        tx.own_link(&link)?.ok_or(Error::Bug("a link that was stored is missing"))
    });
    let own = stored.await?;
    fault::at(Station::LinkOfferStored);
    Ok(own)
}

/// Writes what we have for the companion, and returns what it has for us.
async fn exchange(ctx: &Context, link: [u8; 16], blobs: Vec<Bytes>) -> Result<Vec<Bytes>> {
    let blobs = &blobs;
    let asked = tokens::with_access(ctx, |http, token| async move {
        match http.link_as_primary(&token, &link, blobs.clone()).await {
            Ok(theirs) => Ok(Ok(theirs)),
            Err(transport::Error::Refused(refusal)) if refusal.code == 404 => Ok(Err(LinkFailure::Expired)),
            Err(transport::Error::Refused(refusal)) if refusal.reason == reason::LINK_TAKEN => {
                Ok(Err(LinkFailure::Taken))
            }
            Err(error) => Err(error),
        }
    });
    Ok(asked.await??)
}

fn open_answer(own: &OwnLink, us: Registered, list: &VerifiedDeviceList, answer: &[u8]) -> Result<Answer> {
    let code = parse_code(own)?;
    let about = (us.user.as_bytes(), protocol_id(own.device)?, list.account_key());
    Answer::open(&code, &own.seed, about, answer).map_err(|_| LinkFailure::NotAuthentic.into())
}

fn parse_code(own: &OwnLink) -> Result<LinkCode> {
    LinkCode::parse(&own.code).map_err(|_| Error::Bug("a stored code is damaged"))
}

fn protocol_id(device: DeviceId) -> Result<ProtocolDeviceId> {
    ProtocolDeviceId::new(device.get()).map_err(|_| Error::Bug("a device id out of range"))
}

/// The person has compared the digits: signs the list with the companion, and tells the relay and then the companion.
///
/// The companion gets the messages that the relay stored after `since_ms`; none without that.
pub(crate) async fn confirm(
    ctx: &Context,
    (link, device): ([u8; 16], DeviceId),
    name: String,
    since_ms: Option<u64>,
) -> Result<DeviceId> {
    let (now_ms, mut rng) = (ctx.server_now_ms(), ctx.env.rng());
    let work = ctx.store.write(move |tx| {
        let (us, list) = own_list(tx)?;
        let own = match tx.own_link(&link)? {
            Some(own) => own,
            // It was confirmed before, and the companion is there.
            None if list.devices().iter().any(|entry| entry.device.get() == device.get()) => {
                return Ok(device);
            }
            None => return Err(LinkFailure::Expired.into()),
        };
        if own.state != LinkState::Begun {
            return Ok(own.device);
        }
        if own.until_ms <= now_ms {
            return Err(LinkFailure::Expired.into());
        }
        if list.devices().len() >= MAX_DEVICES {
            return Err(LinkFailure::TooManyDevices.into());
        }
        let answer = own.answer.as_deref().ok_or(Error::WrongState)?;
        let answer = open_answer(&own, us, &list, answer)?;
        let entry = answer.entry(&parse_code(&own)?, protocol_id(own.device)?, now_ms);
        let mut devices = list.devices().to_vec();
        devices.push(entry);
        tx.name_device(own.device, &name)?;
        sign(tx, us, &list, devices, &mut rng)?;
        tx.set_link_state(&link, LinkState::Confirmed)?;
        tx.offer_bootstrap(own.device, since_ms)?;
        Ok(own.device)
    });
    let device = work.await?;
    fault::at(Station::LinkConfirmed);
    match release(ctx, link).await {
        Ok(()) => Ok(device),
        Err(error @ Error::Link(_)) => Err(error),
        // It is on the list; the companion is told in the background.
        Err(error) => {
            tracing::debug!(%error, "the companion was not told yet");
            ctx.upkeep.devices.notify_one();
            Ok(device)
        }
    }
}

/// Tells the companion that it is on the list, once the relay has the list.
pub(super) async fn release(ctx: &Context, link: [u8; 16]) -> Result<()> {
    device_list::tell(ctx).await?;
    fault::at(Station::LinkListTold);
    let prepared = ctx.store.write(move |tx| {
        let (_, list) = own_list(tx)?;
        let Some(own) = tx.own_link(&link)? else { return Ok(Ok(None)) };
        let code = parse_code(&own)?;
        if !list.devices().iter().any(|entry| entry.identity == *code.identity()) {
            // The list was replaced by one of a later state of this database.
            tx.delete_own_link(&link)?;
            tx.revoke_later(own.device)?;
            return Ok(Err(LinkFailure::Expired));
        }
        let released = match &own.released {
            Some(released) => released.clone(),
            None => {
                let sealed = Release::Linked(list).seal(&code, &own.seed);
                let sealed = sealed.ok_or(Error::Bug("a list is too long"))?;
                tx.set_link_released(&link, &sealed)?;
                sealed
            }
        };
        Ok(Ok(Some([own.offer, own.nonce, released].map(Bytes::from).to_vec())))
    });
    let Some(blobs) = prepared.await?? else { return Ok(()) };
    match exchange(ctx, link, blobs).await {
        Ok(_) => {}
        // The companion cannot learn any more that it is on the list, unless it was told before and the answer was lost.
        Err(error @ Error::Link(_)) => {
            if !is_registered(ctx, link).await? {
                withdraw(ctx, link).await?;
                return Err(error);
            }
        }
        Err(error) => return Err(error),
    }
    fault::at(Station::LinkReleased);
    ctx.store
        .write(move |tx| match tx.own_link(&link)? {
            Some(_) => tx.set_link_state(&link, LinkState::Released),
            None => Ok(()),
        })
        .await
}

/// Whether the relay has the companion.
async fn is_registered(ctx: &Context, link: [u8; 16]) -> Result<bool> {
    let Some(own) = ctx.store.read(move |rows| rows.own_link(&link)).await? else { return Ok(false) };
    let asked = tokens::with_access(ctx, |http, token| async move { http.devices(&token).await });
    Ok(asked.await?.devices.iter().any(|device| device.device_id == own.device.get()))
}

async fn withdraw(ctx: &Context, link: [u8; 16]) -> Result<()> {
    let own = ctx.store.read(move |rows| rows.own_link(&link)).await?;
    match own {
        Some(own) => own_devices::remove(ctx, own.device).await,
        None => Ok(()),
    }
}

/// The person has refused.
pub(crate) async fn cancel(ctx: &Context, link: [u8; 16]) -> Result<()> {
    let Some(own) = ctx.store.read(move |rows| rows.own_link(&link)).await? else { return Ok(()) };
    if own.state != LinkState::Begun {
        return Err(Error::WrongState);
    }
    let refused = Release::Refused.seal(&parse_code(&own)?, &own.seed).ok_or(Error::Bug("too long"))?;
    give_up(ctx, &own).await?;
    let blobs = [own.offer, own.nonce, refused].map(Bytes::from).to_vec();
    // If the companion does not learn it, its code expires.
    if let Err(error) = exchange(ctx, link, blobs).await {
        tracing::debug!(%error, "the companion was not told that it was refused");
    }
    Ok(())
}

/// Forgets a link that was only begun, and lets the relay end its token.
async fn give_up(ctx: &Context, own: &OwnLink) -> Result<()> {
    let (link, device) = (own.link, own.device);
    let work = ctx.store.write(move |tx| {
        tx.delete_own_link(&link)?;
        tx.revoke_later(device)
    });
    work.await?;
    ctx.upkeep.devices.notify_one();
    Ok(())
}

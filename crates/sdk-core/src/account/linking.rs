//! Linking this device to an account as a companion.
//!
//! Everything that is needed to continue is stored before it is sent, so that the link can be continued after the process has ended.
//! Nothing depends on this device's clock: the relay says whether the link still exists.
//!
//! Every call concerns one link, which is named by its id: the app may still wait for one that has ended, or end it again, after it has begun
//! another one.

use std::time::Duration;

use bytes::Bytes;
use rand::RngExt as _;
use sealpost_protocol::device::link::{Answer, LINK_ID_LEN, LinkKeys, LinkNonce, Offer, Release, ShortCode};
use sealpost_protocol::device::{SignedDeviceList, VerifiedDeviceList};
use sealpost_wire as wire;
use sealpost_wire::limits::LINK_SECRET;
use sealpost_wire::reason;
use tokio::time::sleep;

use super::registration::{draw_registration_id, idempotency_key, parse};
use super::{key_supply, login};
use crate::content::TransferId;
use crate::context::Context;
use crate::error::{Error, LinkFailure, Offline, Result};
use crate::fault::{self, Station};
use crate::id::DeviceId;
use crate::store::{LinkAttempt, LoginKey, NewAttempt, Registered, Tokens, Tx};
use crate::transport;

/// The id of a link at the relay.
type LinkId = [u8; LINK_ID_LEN];

/// How often the relay is asked for what the other device has sent.
pub(super) const POLL: Duration = Duration::from_millis(700);

/// Begins a link, or continues the one that an earlier process has begun. Returns what the person shows to the primary device.
pub(crate) async fn begin(ctx: &Context, name: String) -> Result<LinkKeys> {
    if let Some(attempt) = ctx.store.read(|rows| rows.link_attempt()).await? {
        return Ok(attempt.keys);
    }
    let link = ctx.transport.http.begin_link().await?;
    let id = <[u8; 16]>::try_from(&link.link_id[..]).map_err(|_| Offline::NotARelay)?;
    if link.secret.len() != LINK_SECRET {
        return Err(Offline::NotARelay.into());
    }
    let mut rng = ctx.env.rng();
    let stored = ctx.store.write(move |tx| {
        if let Some(attempt) = tx.link_attempt()? {
            return Ok(attempt.keys);
        }
        if tx.account()?.is_some_and(|account| account.registered.is_some()) {
            return Err(Error::Misuse("already registered"));
        }
        let keys = LinkKeys::generate(id, &mut rng);
        let registration_id = draw_registration_id(&mut rng);
        let attempt = NewAttempt { keys, relay_secret: link.secret.to_vec(), name, registration_id };
        tx.begin_attempt(&attempt)?;
        Ok(attempt.keys)
    });
    stored.await
}

/// Gives up. If the person has confirmed at the primary device, that removes this device when its token has expired.
pub(crate) async fn cancel(ctx: &Context, link: LinkId) -> Result<()> {
    ctx.store
        .write(move |tx| {
            if tx.account()?.is_some_and(|account| account.registered.is_some()) {
                return Err(Error::WrongState);
            }
            end_if_present(tx, link)
        })
        .await
}

/// Waits until the primary device has read the code, and returns the digits that both show.
pub(crate) async fn wait_for_digits(ctx: &Context, link: LinkId) -> Result<ShortCode> {
    loop {
        let attempt = present(ctx, link).await?;
        if let (Some((offer, answer)), Some(nonce)) = (&attempt.exchanged, &attempt.nonce) {
            let nonce = LinkNonce::parse(nonce)?;
            return Ok(ShortCode::new(attempt.keys.code(), offer, answer, &nonce));
        }
        let blobs = poll(ctx, &attempt).await?;
        match (&attempt.exchanged, blobs.as_slice()) {
            (None, [offer, ..]) => answer(ctx, &attempt, offer).await?,
            (Some((offer, _)), [sent, nonce, ..]) => match checked(&attempt.keys, offer, sent, nonce) {
                Some(nonce) => {
                    let store = move |tx: &mut Tx<'_>| {
                        of_link(tx.link_attempt()?, link)?;
                        tx.set_link_nonce(nonce.as_bytes())
                    };
                    ctx.store.write(store).await?;
                }
                None => return Err(end(ctx, link, LinkFailure::NotAuthentic).await?),
            },
            _ => sleep(POLL).await,
        }
    }
}

/// Waits until the person has confirmed at the primary device, and registers this device at the relay.
pub(crate) async fn finish(ctx: &Context, link: LinkId) -> Result<Registered> {
    match follow(ctx, link).await {
        // An earlier call, whose caller stopped waiting, may have stored the registration at any moment.
        Err(Error::Link(failure)) => {
            let registered =
                ctx.store.read(|rows| Ok(rows.account()?.and_then(|account| account.registered)));
            registered.await?.ok_or(failure.into())
        }
        finished => finished,
    }
}

async fn follow(ctx: &Context, link: LinkId) -> Result<Registered> {
    loop {
        let attempt = present(ctx, link).await?;
        if attempt.released.is_some() {
            return register(ctx, attempt).await;
        }
        if attempt.nonce.is_none() {
            wait_for_digits(ctx, link).await?;
            continue;
        }
        match poll(ctx, &attempt).await?.as_slice() {
            [_, _, release, ..] => match released(&attempt, release) {
                Some(Release::Linked(list)) => {
                    let store = move |tx: &mut Tx<'_>| {
                        of_link(tx.link_attempt()?, link)?;
                        tx.set_released(&list)
                    };
                    ctx.store.write(store).await?;
                    fault::at(Station::LinkReleaseStored);
                }
                Some(Release::Refused) => return Err(end(ctx, link, LinkFailure::Refused).await?),
                None => return Err(end(ctx, link, LinkFailure::NotAuthentic).await?),
            },
            _ => sleep(POLL).await,
        }
    }
}

async fn present(ctx: &Context, link: LinkId) -> Result<LinkAttempt> {
    of_link(ctx.store.read(|rows| rows.link_attempt()).await?, link)
}

/// The attempt, if it is the one of this link; otherwise that one has ended.
fn of_link(attempt: Option<LinkAttempt>, link: LinkId) -> Result<LinkAttempt> {
    let attempt = attempt.filter(|attempt| *attempt.keys.code().link() == link);
    attempt.ok_or(Error::Link(LinkFailure::Expired))
}

fn end_if_present(tx: &mut Tx<'_>, link: LinkId) -> Result<()> {
    match of_link(tx.link_attempt()?, link) {
        Ok(_) => tx.end_attempt(),
        Err(Error::Link(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Shows the relay what we have for the primary device, and returns what it has for us. Waits while the relay cannot be used.
async fn poll(ctx: &Context, attempt: &LinkAttempt) -> Result<Vec<Bytes>> {
    let answer = attempt.exchanged.as_ref().map(|(_, answer)| Bytes::copy_from_slice(answer));
    let secret = Bytes::copy_from_slice(&attempt.relay_secret);
    let body = wire::CompanionBlobs { secret, blobs: answer.into_iter().collect() };
    let link = *attempt.keys.code().link();
    loop {
        match ctx.transport.http.link_as_companion(&link, &body).await {
            Ok(blobs) => return Ok(blobs),
            Err(transport::Error::Refused(refusal)) if refusal.code == 404 => {
                return Err(end(ctx, link, LinkFailure::Expired).await?);
            }
            Err(transport::Error::Refused(refusal)) if refusal.reason == reason::LINK_TAKEN => {
                return Err(end(ctx, link, LinkFailure::NotAuthentic).await?);
            }
            Err(error) => match Error::from(error) {
                error if error.is_retryable() => sleep(POLL).await,
                error => return Err(error),
            },
        }
    }
}

/// Stores the answer to the primary device's offer. It is sent with the next question.
async fn answer(ctx: &Context, attempt: &LinkAttempt, sent: &[u8]) -> Result<()> {
    let link = *attempt.keys.code().link();
    let Ok(offer) = Offer::open(&attempt.keys, sent) else {
        return Err(end(ctx, link, LinkFailure::NotAuthentic).await?);
    };
    let ours = (attempt.registration_id, attempt.name.clone());
    let answer = Answer::new(&attempt.keys, &offer, ours, &mut ctx.env.rng());
    let answer = answer.seal(&attempt.keys, &offer).ok_or(Error::Bug("an answer is too long"))?;
    let sent = sent.to_vec();
    let store = move |tx: &mut Tx<'_>| {
        // Two calls may have answered; the first answer counts.
        match of_link(tx.link_attempt()?, link)?.exchanged {
            Some(_) => Ok(()),
            None => tx.set_exchanged(&sent, &answer),
        }
    };
    ctx.store.write(store).await?;
    fault::at(Station::LinkAnswerStored);
    Ok(())
}

/// The nonce, if it and the offer are the ones that the primary device has sent.
fn checked(keys: &LinkKeys, offer: &[u8], sent: &[u8], nonce: &[u8]) -> Option<LinkNonce> {
    let nonce = LinkNonce::parse(nonce).ok()?;
    let opened = Offer::open(keys, offer).ok()?;
    (offer == sent && opened.check(&nonce).is_ok()).then_some(nonce)
}

fn released(attempt: &LinkAttempt, release: &[u8]) -> Option<Release> {
    let (offer, _) = attempt.exchanged.as_ref()?;
    let offer = Offer::open(&attempt.keys, offer).ok()?;
    Release::open(&attempt.keys, &offer, release).ok()
}

/// The attempt has failed. Removes it, so that another one can be begun.
async fn end(ctx: &Context, link: LinkId, failure: LinkFailure) -> Result<Error> {
    ctx.store.write(move |tx| end_if_present(tx, link)).await?;
    Ok(failure.into())
}

/// Registers the companion, which is on the list.
async fn register(ctx: &Context, attempt: LinkAttempt) -> Result<Registered> {
    let link = *attempt.keys.code().link();
    let (offer, _) = attempt.exchanged.as_ref().ok_or(Error::Bug("a release without an offer"))?;
    let offer =
        Offer::open(&attempt.keys, offer).map_err(|_| Error::Bug("a stored offer cannot be opened"))?;
    let list = attempt.released.as_deref().ok_or(Error::Bug("not released"))?;
    let list = verified(list, &offer)?;
    let (now_ms, mut rng) = (ctx.env.now_ms(), ctx.env.rng());
    let prepared = ctx.store.write(move |tx| {
        of_link(tx.link_attempt()?, link)?;
        let account = tx.account()?.ok_or(Error::Bug("no account"))?;
        let login_key = tx.ensure_login_key(&LoginKey::generate(&mut rng))?;
        let keys = key_supply::prepare(tx, &account, wire::KeyCounts::default(), now_ms, &mut rng)?;
        Ok((account, login::public_key(&login_key)?, keys))
    });
    let (account, login_key, keys) = prepared.await?;
    let request = wire::LinkDeviceRequest {
        link_token: Bytes::copy_from_slice(offer.token.expose()),
        registration_id: account.registration_id,
        identity_key: account.identity.public().serialize().to_vec().into(),
        keys: Some(key_supply::upload_form(&keys)),
        login_key,
        push_token: Bytes::new(),
    };
    let once = idempotency_key(&account.identity)?;
    let response = match ctx.transport.http.link_device(&request, &once).await {
        Ok(response) => response,
        Err(transport::Error::Refused(refusal)) => {
            let failure = match refusal.reason.as_str() {
                reason::BAD_LINK_TOKEN => LinkFailure::Expired,
                reason::LINK_TOKEN_USED => LinkFailure::Taken,
                reason::TOO_MANY_DEVICES => LinkFailure::TooManyDevices,
                _ => return Err(transport::Error::Refused(refusal).into()),
            };
            return Err(end(ctx, link, failure).await?);
        }
        Err(error) => return Err(error.into()),
    };
    fault::at(Station::LinkRegistered);
    let tag = login::tag(&response.registration_tag);
    let (registered, tokens, server_time_ms) = parse(response)?;
    let expected = DeviceId::new(offer.device.get());
    if registered.user.as_bytes() != &offer.user || expected != Ok(registered.device) {
        return Err(Offline::NotARelay.into());
    }
    let clocks = ctx.learn_server_time(server_time_ms);
    let transfer = TransferId(ctx.env.rng().random());
    let granted = tokens.clone();
    let stored = ctx.store.write(move |tx| {
        if tx.account()?.is_some_and(|account| account.registered == Some(registered)) {
            // Another process has finished it.
            return Ok(());
        }
        of_link(tx.link_attempt()?, link)?;
        tx.set_registered(registered, &tokens)?;
        tx.need_in_file();
        if let Some(tag) = tag {
            tx.set_registration_tag(&tag)?;
        }
        tx.set_clocks(clocks)?;
        tx.name_device(registered.device, &attempt.name)?;
        tx.replace_own_list(registered, &list)?;
        tx.finish_attempt()?;
        tx.ask_for_bootstrap(transfer)?;
        tx.set_pre_keys_uploaded(&keys)
    });
    match stored.await {
        Ok(()) => Ok(registered),
        Err(error @ Error::Link(_)) => {
            withdraw(ctx, registered, &granted).await;
            Err(error)
        }
        Err(error) => Err(error),
    }
}

/// The person has cancelled while the relay was registering this device: tells it to forget the device. Otherwise the relay does that
/// after 45 days, or the person on the primary device.
async fn withdraw(ctx: &Context, us: Registered, tokens: &Tokens) {
    if let Err(error) = ctx.transport.http.revoke_device(&tokens.access, us.device).await {
        tracing::debug!(%error, "the relay was not told that the link was cancelled");
    }
}

fn verified(list: &[u8], offer: &Offer) -> Result<VerifiedDeviceList> {
    let list = SignedDeviceList::parse(list)?.verify(&offer.user);
    list.map_err(|_| Error::Bug("a stored list does not verify"))
}

//! The list of our own devices: it is signed when the account is registered, or when an account from before device lists first has a
//! connection, and stored before the relay is told of it. Signatures are randomised, so a repetition sends the stored bytes.

use std::time::Duration;

use rand::rngs::StdRng;
use sealpost_protocol::DeviceId as ProtocolDeviceId;
use sealpost_protocol::device::{
    AccountKeyPair, DeviceBinding, DeviceEntry, DeviceList, ListError, SignedDeviceList, Succession,
    VerifiedDeviceList,
};
use sealpost_wire as wire;
use tokio::time::timeout;

use super::tokens;
use crate::contact::devices::is_before_move;
use crate::context::Context;
use crate::error::{Error, Offline, Result};
use crate::event::Event;
use crate::fault::{self, Station};
use crate::id::DeviceId;
use crate::store::{Account, Durable, Registered, Tx};
use crate::transport;

/// How long a registration waits until the relay has the list.
const AT_REGISTRATION: Duration = Duration::from_secs(5);
/// How many versions are offered at a time, if the relay has a higher one of our list.
const TRIES: usize = 3;
/// The versions of lists remain below this. No number of uploads with a stolen token reaches it, because the relay limits the steps,
/// and a relay that states a higher one could use up all versions.
const VERSION_LIMIT: u64 = 1 << 62;

/// Signs the first list of an account, unless there is one.
pub(crate) fn ensure(
    tx: &mut Tx<'_>,
    (account, us): (&Account, Registered),
    now_ms: u64,
    rng: &mut StdRng,
) -> Result<VerifiedDeviceList> {
    if let Some(list) = tx.device_list(us.user)? {
        return Ok(list);
    }
    let key = tx.account_key()?;
    let device =
        ProtocolDeviceId::new(us.device.get()).map_err(|_| Error::Bug("a device id out of range"))?;
    let identity = account.identity.public();
    let binding = DeviceBinding::sign(us.user.as_bytes(), device, &account.identity, &key.public(), rng);
    let entry = DeviceEntry { device, identity: *identity, added_ms: now_ms, is_primary: true, binding };
    store(tx, us, (&key, None), (1, vec![entry]), rng)
}

/// Signs a list with these devices, which follows the known one, and stores it.
pub(super) fn store(
    tx: &mut Tx<'_>,
    us: Registered,
    (key, known): (&AccountKeyPair, Option<&VerifiedDeviceList>),
    (version, devices): (u64, Vec<DeviceEntry>),
    rng: &mut StdRng,
) -> Result<VerifiedDeviceList> {
    let list = match known {
        Some(known) => known.next(version, devices),
        None => DeviceList::new(version, devices),
    };
    let list = list.map(|list| list.sign(us.user.as_bytes(), key, rng));
    let list = list.and_then(|list| list.verify(us.user.as_bytes())).map_err(|_: ListError| INVALID)?;
    tx.replace_own_list(us, &list)?;
    Ok(list)
}

const INVALID: Error = Error::Bug("our own device list is not valid");

/// Tells the relay of the list of a new account, for a limited time: it should be there before others fetch our bundles. If that
/// fails, it is repeated in the background.
pub(super) async fn tell_at_registration(ctx: &Context) {
    match timeout(AT_REGISTRATION, tell(ctx)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "the relay does not have our device list yet"),
        Err(_) => tracing::debug!("the relay does not have our device list yet"),
    }
}

/// Tells the relay of our device list, unless it has the newest one. Only the primary device does this.
///
/// # Errors
/// It is still to be told.
pub(crate) async fn tell(ctx: &Context) -> Result<()> {
    if !ctx.store.glance(|rows| rows.is_own_list_due()).await? {
        return Ok(());
    }
    if !ctx.store.glance(|rows| rows.holds_account_key()).await? {
        return tell_of_move(ctx).await;
    }
    for _ in 0..TRIES {
        let (now_ms, mut rng) = (ctx.server_now_ms(), ctx.env.rng());
        let stored = ctx.store.write(move |tx| {
            let (account, us) = tx.our_account()?;
            let list = ensure(tx, (&account, us), now_ms, &mut rng)?;
            Ok(tx.durable(list))
        });
        let list = stored.await?;
        fault::at(Station::ListBeforeUpload);
        let version = list.get().version();
        match upload(ctx, &list).await? {
            Uploaded::Taken => {
                fault::at(Station::ListUploaded);
                let work = ctx.store.write(move |tx| {
                    tx.set_list_told(version)?;
                    Ok(tx.prepared_move()?.is_some())
                });
                if work.await? {
                    // It is for another list now.
                    ctx.upkeep.devices.notify_one();
                }
                // If this list is without a device that was on the one before, others are told.
                ctx.upkeep.news.notify_one();
                // In each group, an entry of the roster says the same.
                ctx.upkeep.rosters.notify_one();
                return Ok(());
            }
            Uploaded::Stale if catch_up(ctx).await? => {
                ctx.upkeep.rosters.notify_one();
                return Ok(());
            }
            Uploaded::Stale => {}
            // Another device is the primary one: this database was restored from before the move.
            Uploaded::NotPrimary => {
                learn(ctx).await?;
                if !ctx.store.glance(|rows| rows.is_own_list_due()).await? {
                    return Ok(());
                }
                return Err(NEVER_TAKEN);
            }
        }
    }
    Err(NEVER_TAKEN)
}

/// The relay refuses each of our lists with 409, or states a version of which there can be none.
const NEVER_TAKEN: Error = Error::Offline(Offline::Refused(409));

/// Somebody has named a later list of ours than we have, or another one with the same version: this database was restored from a copy, or
/// somebody has signed a list with our account key. Takes the relay's list if we have signed it and it is late enough; otherwise signs
/// one with a higher version than any that was named. The relay is told of it.
pub(crate) async fn surpass(ctx: &Context) -> Result<()> {
    if !catch_up(ctx).await? {
        tell(ctx).await?;
    }
    Ok(())
}

/// Tells the relay to which device this one has moved the account.
async fn tell_of_move(ctx: &Context) -> Result<()> {
    let stored = ctx.store.write(|tx| {
        let (_, us) = tx.our_account()?;
        let list = tx.device_list(us.user)?.ok_or(Error::Bug("moved without a list"))?;
        Ok((tx.moved_to()?, tx.durable(list)))
    });
    let (Some(to), list) = stored.await? else { return Ok(()) };
    fault::at(Station::MoveBeforeTold);
    let version = list.get().version();
    let request = wire::MoveAccountRequest { list: Some(to_wire(&list)), device_id: to.get() };
    let request = &request;
    let asked =
        tokens::with_access(
            ctx,
            |http, token| async move { settled(http.move_account(&token, request).await) },
        );
    match asked.await? {
        // A relay that names another primary device was told before, and knows a later list.
        Uploaded::Taken | Uploaded::NotPrimary => {}
        Uploaded::Stale => return Err(NEVER_TAKEN),
    }
    fault::at(Station::MoveTold);
    ctx.store.write(move |tx| tx.set_list_told(version)).await
}

/// What the relay has done with a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Uploaded {
    Taken,
    /// It has a list with at least this version.
    Stale,
    /// This device is not the one that stores lists.
    NotPrimary,
}

async fn upload(ctx: &Context, list: &Durable<VerifiedDeviceList>) -> Result<Uploaded> {
    let form = &to_wire(list);
    let uploaded =
        tokens::with_access(
            ctx,
            |http, token| async move { settled(http.put_device_list(&token, form).await) },
        );
    uploaded.await
}

fn to_wire(list: &Durable<VerifiedDeviceList>) -> wire::SignedDeviceList {
    wire::SignedDeviceList { version: list.get().version(), list: list.get().serialize().into() }
}

fn settled(answer: transport::Result<()>) -> transport::Result<Uploaded> {
    match answer {
        Ok(()) => Ok(Uploaded::Taken),
        Err(transport::Error::Refused(refusal)) => match refusal.reason.as_str() {
            wire::reason::STALE_LIST => Ok(Uploaded::Stale),
            wire::reason::FORBIDDEN => Ok(Uploaded::NotPrimary),
            _ => Err(transport::Error::Refused(refusal)),
        },
        Err(error) => Err(error),
    }
}

/// A companion learns the list that the primary device has signed.
pub(super) async fn learn(ctx: &Context) -> Result<()> {
    let us = ctx.store.glance(|rows| Ok(rows.our_account()?.1)).await?;
    let asked =
        tokens::with_access(ctx, |http, token| async move { http.device_list(&token, us.user).await });
    let shown = match asked.await {
        Ok(shown) => shown,
        // Restored from a backup; the primary device uploads it again.
        Err(Error::NotFound) => return Ok(()),
        Err(error) => return Err(error),
    };
    ctx.store.write(move |tx| take(tx, us, &shown.list)).await
}

fn take(tx: &mut Tx<'_>, us: Registered, shown: &[u8]) -> Result<()> {
    let Some(known) = tx.device_list(us.user)? else { return Ok(()) };
    let list = SignedDeviceList::parse(shown).ok().and_then(|list| list.verify(us.user.as_bytes()).ok());
    match list.as_ref().map(|list| (list, known.known().succession(list))) {
        Some((list, Succession::Newer | Succession::Moved)) => drop(tx.take_own_list(list)?),
        Some((_, Succession::Same | Succession::Older)) => {}
        Some((list, Succession::OtherAccountKey)) if is_before_move(&known, list) => {}
        None | Some((_, Succession::Contradicts | Succession::OtherAccountKey)) => {
            tracing::warn!("the relay shows another device list of our account");
            tx.emit(Event::DeviceListRefused(us.user));
        }
    }
    Ok(())
}

/// The relay, or somebody else, has a list of ours with at least the version of ours: this database was restored from a copy, or the list is
/// not from us. Takes the relay's list if we have signed it, and returns true; otherwise the next list gets a higher version than all of them.
async fn catch_up(ctx: &Context) -> Result<bool> {
    let user = ctx.store.glance(|rows| Ok(rows.our_account()?.1.user)).await?;
    let asked = tokens::with_access(ctx, |http, token| async move { http.device_list(&token, user).await });
    let theirs = match asked.await {
        Ok(theirs) => theirs,
        // Restored from a backup in between.
        Err(Error::NotFound) => wire::SignedDeviceList::default(),
        Err(error) => return Err(error),
    };
    if theirs.version >= VERSION_LIMIT {
        tracing::warn!("the relay states an impossible version of our device list");
        return Err(NEVER_TAKEN);
    }
    let (now_ms, mut rng) = (ctx.server_now_ms(), ctx.env.rng());
    let work = ctx.store.write(move |tx| {
        let (account, us) = tx.our_account()?;
        let (key, list) = (tx.account_key()?, ensure(tx, (&account, us), now_ms, &mut rng)?);
        let due = tx.due_list(us.user)?;
        let settles = |list: &VerifiedDeviceList| {
            due.is_none_or(|due| due.is_settled_by(list.version(), list.digest()))
        };
        let later = signed_later(&theirs, us, (&account, &key), list.version());
        if let Some(later) = later.as_ref().filter(|later| settles(later)) {
            tx.replace_own_list(us, later)?;
            tx.set_list_told(later.version())?;
            return Ok(true);
        }
        if theirs.version == list.version() && theirs.list[..] == list.serialize() && settles(&list) {
            // Another task has uploaded it in the meantime.
            tx.set_list_told(list.version())?;
            return Ok(true);
        }
        let named = due.and_then(|due| due.named).map_or(0, |named| named.version);
        let highest = theirs.version.max(named);
        // The relay has lost it, or another task has signed a later one in the meantime.
        if list.version() > highest {
            return Ok(false);
        }
        if later.is_none() {
            // The account was registered anew: the relay may still have its earlier devices, and their numbers are used up.
            tx.raise_highest_device(highest_in(&theirs, us))?;
        }
        let version = highest.saturating_add(1);
        let newest = later.as_ref().unwrap_or(&list);
        store(tx, us, (&key, Some(newest)), (version, newest.devices().to_vec()), &mut rng)?;
        Ok(false)
    });
    work.await
}

/// The highest number of a device on a list of our account that this device has not signed; 0 if it does not verify.
fn highest_in(theirs: &wire::SignedDeviceList, us: Registered) -> u32 {
    let list =
        SignedDeviceList::parse(&theirs.list).ok().and_then(|list| list.verify(us.user.as_bytes()).ok());
    let numbers = list.iter().flat_map(VerifiedDeviceList::devices).map(|entry| entry.device.get());
    numbers.max().unwrap_or(0)
}

/// The relay's list, if this device has signed it in a later state of its database.
fn signed_later(
    theirs: &wire::SignedDeviceList,
    us: Registered,
    (account, key): (&Account, &AccountKeyPair),
    ours: u64,
) -> Option<VerifiedDeviceList> {
    let list = SignedDeviceList::parse(&theirs.list).ok()?.verify(us.user.as_bytes()).ok()?;
    let is_ours = *list.account_key() == key.public()
        && list.primary().is_some_and(|primary| {
            primary.identity == *account.identity.public()
                && DeviceId::new(primary.device.get()) == Ok(us.device)
        });
    (is_ours && list.version() > ours && list.version() == theirs.version).then_some(list)
}

//! The list of our own devices: it is signed when the account is registered, or when an account from before device lists first has a
//! connection, and stored before the relay is told of it. Signatures are randomised, so a repetition sends the stored bytes.

use std::time::Duration;

use rand::rngs::StdRng;
use sealpost_protocol::DeviceId as ProtocolDeviceId;
use sealpost_protocol::device::{
    AccountKeyPair, DeviceBinding, DeviceEntry, DeviceList, ListError, SignedDeviceList, VerifiedDeviceList,
};
use sealpost_wire as wire;
use tokio::time::timeout;

use super::tokens;
use crate::context::Context;
use crate::error::{Error, Offline, Result};
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
    store(tx, us, &key, (1, vec![entry]), rng)
}

/// Signs a list with these devices, and stores it.
pub(super) fn store(
    tx: &mut Tx<'_>,
    us: Registered,
    key: &AccountKeyPair,
    (version, devices): (u64, Vec<DeviceEntry>),
    rng: &mut StdRng,
) -> Result<VerifiedDeviceList> {
    let list = DeviceList::new(version, devices).map(|list| list.sign(us.user.as_bytes(), key, rng));
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
        if upload(ctx, &list).await? {
            fault::at(Station::ListUploaded);
            ctx.store.write(move |tx| tx.set_list_told(version)).await?;
            // If this list is without a device that was on the one before, others are told.
            ctx.upkeep.news.notify_one();
            return Ok(());
        }
        if catch_up(ctx).await? {
            return Ok(());
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

/// Returns false if the relay has a list with at least this version.
async fn upload(ctx: &Context, list: &Durable<VerifiedDeviceList>) -> Result<bool> {
    let form = wire::SignedDeviceList { version: list.get().version(), list: list.get().serialize().into() };
    let form = &form;
    let uploaded = tokens::with_access(ctx, |http, token| async move {
        match http.put_device_list(&token, form).await {
            Ok(()) => Ok(true),
            Err(transport::Error::Refused(refusal)) if refusal.reason == wire::reason::STALE_LIST => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    });
    uploaded.await
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
        let devices = later.as_ref().unwrap_or(&list).devices().to_vec();
        store(tx, us, &key, (version, devices), &mut rng)?;
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

//! Signs changes of rosters: for the newest entry that is here, as this device.

use rand::rngs::StdRng;
use sealpost_protocol::DeviceId as ProtocolDevice;
use sealpost_protocol::group::{EntrySignature, GroupSecret, Joiner, LinkSecret};
use sealpost_wire::roster::{
    Author, AuthorList, Change, Create, Details, Entry, Invitation, NewSecret, Permissions, Refusal, Roster,
    UnsignedEntry,
};

use super::details::GroupDetails;
use super::form::carried;
use crate::error::{Error, Result};
use crate::id::ThreadId;
use crate::store::{Account, Registered, Rows};

/// A change that is signed.
pub(crate) struct Signed {
    pub(crate) entry: Entry,
    /// The secret of the group that the entry brings.
    pub(crate) secret: Option<GroupSecret>,
}

const TOO_LONG: Error = Error::Bug("an entry that exceeds its bounds");
const NO_LIST: Error = Error::Misuse("this account has not signed a list of its devices yet");

/// The first entry of a new group.
pub(crate) fn create(
    rows: &Rows<'_>,
    (details, permissions): (&GroupDetails, Permissions),
    mut invited: Vec<Invitation>,
    rng: &mut StdRng,
) -> Result<Signed> {
    use rand::Rng as _;

    let (account, us) = rows.our_account()?;
    let list = our_list(rows, us)?;
    invited.sort_by_key(|invitation| invitation.user);
    invited.dedup_by_key(|invitation| invitation.user);
    let secret = GroupSecret::generate(rng);
    let mut nonce = [0; 16];
    rng.fill_bytes(&mut nonce);
    let secret_of = new_secret(&secret, &[0; 16], KIND_CREATE, &details.to_bytes()?, rng)?;
    let create = Create { nonce, permissions, timer_s: 0, secret: secret_of, invited };
    let unsigned = UnsignedEntry::first(author(us), list, create);
    Ok(Signed { entry: sign(&unsigned, &account, rng)?, secret: Some(secret) })
}

const KIND_CREATE: u8 = 1;

/// Signs a change for the newest entry that is here. It is refused if the rules refuse it now.
pub(crate) fn change(
    rows: &Rows<'_>,
    thread: ThreadId,
    change: &Change,
    rng: &mut StdRng,
) -> Result<Result<Signed, Refusal>> {
    let roster = rows.roster(thread)?.ok_or(Error::NotFound)?;
    let (account, us) = rows.our_account()?;
    let list = our_list(rows, us)?;
    let known = rows.roster_list(thread, us.user)?;
    let (change, secret) = with_secrets(rows, thread, change, rng)?;
    let change = match (change, roster.member(us.user)) {
        (Change::Devices { .. }, Some(member)) => {
            let is_other_key = list.account_key() != member.account_key;
            let is_removal = is_other_key || !list.devices().contains_all(member.devices);
            Change::Devices { is_removal }
        }
        (change, _) => change,
    };
    let state = roster.state();
    let version = state.version.checked_add(1).ok_or(TOO_LONG)?;
    let list = (known.as_deref() != Some(list.as_bytes())).then_some(list);
    let (thread, previous) = (state.thread, state.head);
    let unsigned = UnsignedEntry { thread, version, previous, author: author(us), list, change };
    let entry = sign(&unsigned, &account, rng)?;
    Ok(roster.judge(&entry).map(|_| Signed { entry, secret }))
}

/// Signs that we join by a link. The roster need not be stored.
pub(crate) fn join(
    rows: &Rows<'_>,
    roster: &Roster,
    link: &LinkSecret,
    rng: &mut StdRng,
) -> Result<Result<Entry, Refusal>> {
    let (account, us) = rows.our_account()?;
    let verified = rows.device_list(us.user)?.ok_or(NO_LIST)?;
    let device = ProtocolDevice::new(us.device.get()).map_err(|_| Error::Bug("a device without a number"))?;
    let joiner = Joiner { user: us.user.as_bytes(), device, account: verified.account_key() };
    let state = roster.state();
    let proof = *link.prove(state.thread.as_bytes(), &joiner, rng).as_bytes();
    let unsigned = UnsignedEntry {
        thread: state.thread,
        version: state.version.checked_add(1).ok_or(TOO_LONG)?,
        previous: state.head,
        author: author(us),
        list: Some(our_list(rows, us)?),
        change: Change::Join { proof },
    };
    let entry = sign(&unsigned, &account, rng)?;
    Ok(roster.judge(&entry).map(|_| entry))
}

/// A stored change contains no secrets, and its details are not encrypted.
fn with_secrets(
    rows: &Rows<'_>,
    thread: ThreadId,
    change: &Change,
    rng: &mut StdRng,
) -> Result<(Change, Option<GroupSecret>)> {
    let group = thread.as_bytes();
    Ok(match change {
        Change::Remove { users, .. } => {
            let secret = GroupSecret::generate(rng);
            let details = details(rows, thread)?.unwrap_or_default().to_bytes()?;
            let sealed = new_secret(&secret, group, change.kind(), &details, rng)?;
            (Change::Remove { users: users.clone(), secret: sealed }, Some(secret))
        }
        Change::Rekey(_) => {
            let secret = GroupSecret::generate(rng);
            let details = details(rows, thread)?.unwrap_or_default().to_bytes()?;
            (Change::Rekey(new_secret(&secret, group, change.kind(), &details, rng)?), Some(secret))
        }
        Change::Details(plain) => {
            let state = rows.roster_state(thread)?.ok_or(Error::NotFound)?;
            let secret = rows.group_secret(thread, state.secret_version)?;
            let secret =
                secret.filter(|secret| secret.is_meant_by(&state.commitment)).ok_or(Error::NotFound)?;
            let sealed = secret.seal_details(group, change.kind(), plain.as_bytes(), rng).ok_or(TOO_LONG)?;
            (Change::Details(Details::new(sealed).map_err(|_| TOO_LONG)?), None)
        }
        other => (other.clone(), None),
    })
}

/// Title and description of a group, if this device knows its secret.
pub(crate) fn details(rows: &Rows<'_>, thread: ThreadId) -> Result<Option<GroupDetails>> {
    let Some(state) = rows.roster_state(thread)? else { return Ok(None) };
    let (Some(secret), Some(entry)) =
        (rows.group_secret(thread, state.secret_version)?, rows.roster_entry(thread, state.details_version)?)
    else {
        return Ok(None);
    };
    Ok(open_details(&secret, &state.commitment, &entry))
}

/// The details that an entry contains, if this is the secret that the roster means.
pub(crate) fn open_details(
    secret: &GroupSecret,
    commitment: &[u8; 32],
    entry: &Entry,
) -> Option<GroupDetails> {
    if !secret.is_meant_by(commitment) {
        return None;
    }
    let (change, thread) = (&entry.content().change, entry.thread());
    let (group, sealed) = match change {
        Change::Create(create) => (&[0; 16], &create.secret.details),
        Change::Remove { secret, .. } | Change::Rekey(secret) => (thread.as_bytes(), &secret.details),
        Change::Details(details) => (thread.as_bytes(), details),
        _ => return None,
    };
    let opened = secret.open_details(group, change.kind(), sealed.as_bytes()).ok()?;
    GroupDetails::from_bytes(opened.expose())
}

fn new_secret(
    secret: &GroupSecret,
    group: &[u8; 16],
    kind: u8,
    details: &[u8],
    rng: &mut StdRng,
) -> Result<NewSecret> {
    let sealed = secret.seal_details(group, kind, details, rng).ok_or(TOO_LONG)?;
    let details = Details::new(sealed).map_err(|_| TOO_LONG)?;
    Ok(NewSecret { commitment: secret.commitment(), details })
}

fn our_list(rows: &Rows<'_>, us: Registered) -> Result<AuthorList> {
    rows.device_list(us.user)?.as_ref().and_then(carried).ok_or(NO_LIST)
}

const fn author(us: Registered) -> Author {
    Author { user: us.user, device: us.device }
}

fn sign(unsigned: &UnsignedEntry, account: &Account, rng: &mut StdRng) -> Result<Entry> {
    let signature = EntrySignature::sign(&unsigned.to_bytes(), &account.identity, rng);
    unsigned.with_signature(signature.as_bytes()).map_err(|_| Error::Misuse("too many people"))
}

//! Who may receive mail of a member.

use std::collections::BTreeSet;

use rusqlite::{Connection, Result};
use sealpost_wire::id::{ThreadId, UserId};

use super::group::{self, Standing};
use super::lane;
use crate::store::Audience;

/// In a group, only the named users are looked up, and the one who asks.
pub(super) fn of(
    tx: &Connection,
    thread: ThreadId,
    member: UserId,
    named: &[UserId],
) -> Result<Option<Audience>> {
    match lane::audience(tx, thread, member)? {
        Some(direct) => Ok(Some(direct)),
        None => of_group(tx, thread, member, named),
    }
}

/// Those who are invited have not accepted.
pub(super) fn of_group(
    tx: &Connection,
    thread: ThreadId,
    member: UserId,
    named: &[UserId],
) -> Result<Option<Audience>> {
    if group::standing(tx, thread, member)? != Some(Standing::Member) {
        return Ok(None);
    }
    let users: BTreeSet<UserId> = named.iter().copied().chain([member]).collect();
    let (mut live, mut not_accepted) = (Vec::new(), BTreeSet::new());
    for user in users {
        match group::standing(tx, thread, user)? {
            Some(Standing::Member) => {}
            Some(Standing::Invited) => {
                not_accepted.insert(user);
            }
            None => continue,
        }
        live.extend(group::devices_of(tx, user)?);
    }
    Ok(Some(Audience { live, not_accepted, left_alone: false, is_group: true }))
}

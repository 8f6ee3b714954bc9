//! The rows of a roster.

use rusqlite::types::FromSqlError;
use rusqlite::{Connection, Error, OptionalExtension as _, Result, Row, params};
use sealpost_wire::id::{ThreadId, UserId};
use sealpost_wire::roster::{
    AccountKey, DeviceSet, Effect, FormError, InviteLink, Invited, Member, Permissions, Roster, State,
};

use super::columns::{expect_one, role, user, who};
use crate::store::Stored;

/// The state of a group itself.
pub(super) fn state(tx: &Connection, thread: ThreadId) -> Result<Option<State>> {
    tx.prepare_cached(
        "SELECT version, head, floor, may_write, may_add, may_detail, timer_s, commitment, secret_version, removal_version,
            details_version, is_dissolved, link_key, link_token_hash
         FROM roster WHERE thread_id = ?1",
    )?
    .query_row([thread.as_bytes()], |row| {
        let link = match row.get(12)? {
            Some(public_key) => Some(InviteLink { public_key, token_hash: row.get(13)? }),
            None => None,
        };
        Ok(State {
            thread,
            version: row.get(0)?,
            head: row.get(1)?,
            floor: row.get(2)?,
            permissions: Permissions { write: who(row, 3)?, add: who(row, 4)?, details: who(row, 5)? },
            timer_s: row.get(6)?,
            commitment: row.get(7)?,
            secret_version: row.get(8)?,
            removal_version: row.get(9)?,
            details_version: row.get(10)?,
            is_dissolved: row.get(11)?,
            link,
            // No entry is stored that this version does not understand.
            unknown_since: 0,
        })
    })
    .optional()
}

/// The whole roster.
pub(super) fn read(tx: &Connection, state: State) -> Result<Roster> {
    let thread = state.thread;
    let members = tx
        .prepare_cached(
            "SELECT user_id, account_key, role, since, list_version, devices FROM group_member WHERE thread_id = ?1",
        )?
        .query_map([thread.as_bytes()], |row| {
            let member = Member {
                account_key: account_key(row, 1)?,
                role: role(row, 2)?,
                since: row.get(3)?,
                list_version: row.get(4)?,
                devices: DeviceSet::from_bytes(row.get(5)?),
            };
            Ok((user(row, 0)?, member))
        })?
        .collect::<Result<Vec<_>>>()?;
    let invited = tx
        .prepare_cached(
            "SELECT user_id, account_key, invited_by, since FROM group_invited WHERE thread_id = ?1",
        )?
        .query_map([thread.as_bytes()], |row| {
            Ok((
                user(row, 0)?,
                Invited { account_key: account_key(row, 1)?, by: user(row, 2)?, since: row.get(3)? },
            ))
        })?
        .collect::<Result<Vec<_>>>()?;
    Ok(Roster::from_rows(state, members, invited))
}

fn account_key(row: &Row<'_>, column: usize) -> Result<AccountKey> {
    let bytes: [u8; sealpost_wire::roster::ACCOUNT_KEY] = row.get(column)?;
    AccountKey::from_slice(&bytes).map_err(|FormError| Error::from(FromSqlError::InvalidType))
}

/// Writes what an entry with this position changes.
pub(super) fn write(tx: &Connection, effect: &Effect, stored: Stored) -> Result<()> {
    write_state(tx, &effect.state)?;
    let thread = effect.state.thread;
    for (user, member) in &effect.members {
        match member {
            Some(member) => write_member(tx, thread, *user, member)?,
            None => remove(tx, "group_member", thread, *user)?,
        }
    }
    for (user, invited) in &effect.invited {
        match invited {
            Some(invited) => write_invited(tx, thread, *user, invited)?,
            None => remove(tx, "group_invited", thread, *user)?,
        }
    }
    for user in &effect.came {
        expect_one(
            tx.prepare_cached("INSERT INTO group_stay (thread_id, user_id, joined_seq) VALUES (?1, ?2, ?3)")?
                .execute(params![thread.as_bytes(), user.as_bytes(), stored.server_seq])?,
        )?;
        accepted(tx, thread, *user)?;
    }
    for user in &effect.left {
        expect_one(
            tx.prepare_cached(
                "UPDATE group_stay SET left_seq = ?3, left_version = ?4
                 WHERE thread_id = ?1 AND user_id = ?2 AND left_seq IS NULL",
            )?
            .execute(params![
                thread.as_bytes(),
                user.as_bytes(),
                stored.server_seq,
                effect.state.version
            ])?,
        )?;
    }
    Ok(())
}

fn write_state(tx: &Connection, state: &State) -> Result<()> {
    let Permissions { write, add, details } = state.permissions;
    expect_one(
        tx.prepare_cached(
            "INSERT INTO roster (thread_id, version, head, floor, may_write, may_add, may_detail, timer_s, commitment,
                secret_version, removal_version, details_version, is_dissolved, link_key, link_token_hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
             ON CONFLICT DO UPDATE SET version = ?2, head = ?3, floor = ?4, may_write = ?5, may_add = ?6, may_detail = ?7,
                timer_s = ?8, commitment = ?9, secret_version = ?10, removal_version = ?11, details_version = ?12,
                is_dissolved = ?13, link_key = ?14, link_token_hash = ?15",
        )?
        .execute(params![
            state.thread.as_bytes(),
            state.version,
            state.head,
            state.floor,
            write.number(),
            add.number(),
            details.number(),
            state.timer_s,
            state.commitment,
            state.secret_version,
            state.removal_version,
            state.details_version,
            state.is_dissolved,
            state.link.map(|link| link.public_key),
            state.link.map(|link| link.token_hash)
        ])?,
    )
}

fn write_member(tx: &Connection, thread: ThreadId, user: UserId, member: &Member) -> Result<()> {
    expect_one(
        tx.prepare_cached(
            "INSERT INTO group_member (thread_id, user_id, account_key, role, since, list_version, devices)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT DO UPDATE SET account_key = ?3, role = ?4, since = ?5, list_version = ?6, devices = ?7",
        )?
        .execute(params![
            thread.as_bytes(),
            user.as_bytes(),
            member.account_key.as_bytes(),
            member.role.number(),
            member.since,
            member.list_version,
            member.devices.to_bytes()
        ])?,
    )
}

fn write_invited(tx: &Connection, thread: ThreadId, user: UserId, invited: &Invited) -> Result<()> {
    expect_one(
        tx.prepare_cached(
            "INSERT INTO group_invited (thread_id, user_id, account_key, invited_by, since) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            thread.as_bytes(),
            user.as_bytes(),
            invited.account_key.as_bytes(),
            invited.by.as_bytes(),
            invited.since
        ])?,
    )
}

fn remove(tx: &Connection, table: &str, thread: ThreadId, user: UserId) -> Result<()> {
    let sql = format!("DELETE FROM {table} WHERE thread_id = ?1 AND user_id = ?2");
    expect_one(tx.prepare_cached(&sql)?.execute([thread.as_bytes(), user.as_bytes()])?)
}

/// What a group delivers to a member is no request.
fn accepted(tx: &Connection, thread: ThreadId, user: UserId) -> Result<()> {
    let key = [thread.as_bytes(), user.as_bytes()];
    tx.prepare_cached("DELETE FROM group_request WHERE thread_id = ?1 AND user_id = ?2")?.execute(key)?;
    tx.prepare_cached(
        "UPDATE mailbox_thread SET request = 0 WHERE thread_id = ?1 AND user_id = ?2
            AND device_id IN (SELECT device_id FROM device WHERE user_id = ?2)",
    )?
    .execute(key)?;
    Ok(())
}

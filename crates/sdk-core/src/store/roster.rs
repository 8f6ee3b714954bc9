//! The rosters of groups: the chain of entries, and what it says, in rows of which an entry changes a few.

use rusqlite::{OptionalExtension as _, Row, params};
use sealpost_wire::roster::{
    AccountKey, DeviceSet, Effect, Entry, InviteLink, Invited, Member, Permissions, Role, Roster, State, Who,
};

use super::thread::UNLISTED;
use super::{PrivacySetting, Rows, Thread, Tx, from_sql, to_sql};
use crate::error::{Error, Result, Storage};
use crate::event::Event;
use crate::id::{ThreadId, UserId};

/// What became of an entry, in `roster_entry.outcome`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryState {
    Valid = 1,
    WithoutEffect = 2,
    NotUnderstood = 3,
}

/// How many chains are to be fetched at most: the ids come from the relay.
const MOST_DUE: u32 = 1024;

const CORRUPT: Error = Error::Storage(Storage::Corrupt);

impl Rows<'_> {
    /// The roster of a group, if any of its entries is here.
    pub(crate) fn roster(&self, thread: ThreadId) -> Result<Option<Roster>> {
        let Some(state) = self.roster_state(thread)? else { return Ok(None) };
        let (members, invited) = (self.roster_members(thread)?, self.roster_invited(thread)?);
        Ok(Some(Roster::from_rows(state, members, invited)))
    }

    /// What there is once in a group, without the members.
    pub(crate) fn roster_state(&self, thread: ThreadId) -> Result<Option<State>> {
        let sql = "SELECT roster_version, roster_head, removal_version, permissions, link, timer, commitment,
                       secret_version, floor, details_version, dissolved, unknown_since
                   FROM (SELECT thread_id, roster_version, roster_head, removal_version FROM thread)
                   JOIN roster USING (thread_id) WHERE thread_id = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = statement.query_row([thread.as_bytes()], |row| Ok(state(thread, row))).optional()?;
        found.transpose()
    }

    fn roster_members(&self, thread: ThreadId) -> Result<Vec<(UserId, Member)>> {
        let sql = "SELECT user_id, account_key, role, since, list_version, devices FROM member
                   WHERE thread_id = ?1 ORDER BY user_id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([thread.as_bytes()], |row| Ok(member(row)))?;
        rows.map(|row| row?).collect()
    }

    fn roster_invited(&self, thread: ThreadId) -> Result<Vec<(UserId, Invited)>> {
        let sql = "SELECT user_id, account_key, invited_by, since FROM invited WHERE thread_id = ?1 ORDER BY user_id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([thread.as_bytes()], |row| Ok(invited(row)))?;
        rows.map(|row| row?).collect()
    }

    /// The device list by which entries of a member are verified.
    pub(crate) fn roster_list(&self, thread: ThreadId, user: UserId) -> Result<Option<Vec<u8>>> {
        let sql = "SELECT list FROM roster_list WHERE thread_id = ?1 AND user_id = ?2";
        let key = [thread.as_bytes(), user.as_bytes()];
        Ok(self.connection.prepare_cached(sql)?.query_row(key, |row| row.get(0)).optional()?)
    }

    /// The hash of one entry, by which a member notices that they were shown another one.
    pub(crate) fn roster_hash(&self, thread: ThreadId, version: u64) -> Result<Option<[u8; 32]>> {
        let sql = "SELECT hash FROM roster_entry WHERE thread_id = ?1 AND version = ?2";
        let key = params![thread.as_bytes(), to_sql(version)?];
        Ok(self.connection.prepare_cached(sql)?.query_row(key, |row| row.get(0)).optional()?)
    }

    /// The group whose chain is to be fetched first: when, and how often the relay has not shown it.
    pub(crate) fn next_due_roster(&self) -> Result<Option<(ThreadId, u64, u32)>> {
        let sql = "SELECT thread_id, due, tries FROM roster_due ORDER BY due LIMIT 1";
        let row = self.connection.prepare_cached(sql)?.query_row([], |row| {
            Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, i64>(1)?, row.get::<_, u32>(2)?))
        });
        let Some((thread, due, tries)) = row.optional()? else { return Ok(None) };
        Ok(Some((ThreadId::from_bytes(thread), from_sql(due)?, tries)))
    }

    /// Whether more of the roster of a group is to be fetched.
    pub(crate) fn is_roster_due(&self, thread: ThreadId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM roster_due WHERE thread_id = ?1)";
        Ok(self.connection.prepare_cached(sql)?.query_row([thread.as_bytes()], |row| row.get(0))?)
    }

    /// Whether an invitation of this user is accepted without asking the person: they talk to each other, and it was not switched off.
    pub(crate) fn accepts_invitations_of(&self, user: UserId) -> Result<bool> {
        match self.thread_with(user)? {
            Some(thread) => self.tells(thread.id, PrivacySetting::Invitations),
            None => Ok(false),
        }
    }

    /// Who we are, if this device is registered.
    pub(crate) fn our_user(&self) -> Result<Option<UserId>> {
        let sql = "SELECT user_id FROM account WHERE user_id IS NOT NULL";
        let user: Option<[u8; 16]> =
            self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?;
        Ok(user.map(UserId::from_bytes))
    }

    /// Whether two rosters of a group were shown, and that is not explained: nothing is sent there.
    #[cfg_attr(not(test), expect(dead_code, reason = "nothing is sent in groups yet"))]
    pub(crate) fn is_roster_contradicted(&self, thread: ThreadId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM roster WHERE thread_id = ?1 AND contradicted_by IS NOT NULL)";
        Ok(self.connection.prepare_cached(sql)?.query_row([thread.as_bytes()], |row| row.get(0))?)
    }
}

/// To whom another roster was shown than the one here, in `roster.contradicted_by`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShownTo {
    /// To a member, who names another entry.
    Member(UserId),
    /// To this device, by the relay.
    Us,
}

impl ShownTo {
    const fn stored(self) -> UserId {
        match self {
            Self::Member(user) => user,
            Self::Us => UserId::from_bytes([0; 16]),
        }
    }
}

impl Tx<'_> {
    /// Stores the next entry of a group, and what it changes: only the rows that the effect names. With the first entry, the thread is
    /// added.
    pub(crate) fn put_entry(
        &mut self,
        entry: &Entry,
        effect: &Effect,
        (list, outcome): (Option<&[u8]>, EntryState),
        now_ms: u64,
    ) -> Result<()> {
        let thread = entry.thread();
        if entry.version() == 1 {
            self.put_thread(Thread { id: thread, peer: None, roster_version: 1 }, now_ms)?;
        }
        self.change_one(
            "INSERT INTO roster_entry (thread_id, version, hash, outcome, entry) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                thread.as_bytes(),
                to_sql(entry.version())?,
                entry.hash(),
                outcome as i64,
                entry.as_bytes()
            ],
        )?;
        self.put_state(&effect.state)?;
        for (user, row) in &effect.members {
            match row {
                Some(member) => self.put_member(thread, *user, member)?,
                None => self.delete_member(thread, *user)?,
            }
        }
        for (user, row) in &effect.invited {
            match row {
                Some(invited) => self.put_invited(thread, *user, invited)?,
                None => {
                    let key = [thread.as_bytes(), user.as_bytes()];
                    self.change("DELETE FROM invited WHERE thread_id = ?1 AND user_id = ?2", key)?;
                }
            }
        }
        if let Some(list) = list {
            let author = entry.content().author.user;
            self.change_one(
                "INSERT INTO roster_list (thread_id, user_id, list) VALUES (?1, ?2, ?3)
                 ON CONFLICT (thread_id, user_id) DO UPDATE SET list = excluded.list",
                params![thread.as_bytes(), author.as_bytes(), list],
            )?;
        }
        self.roster_changed(thread, now_ms)?;
        self.emit(Event::ThreadChanged(thread));
        Ok(())
    }

    /// We have joined at this place: what was before is not for us.
    pub(crate) fn begin_places(&mut self, thread: ThreadId, (epoch, server_seq): (u64, u64)) -> Result<()> {
        let values = params![thread.as_bytes(), to_sql(epoch)?, to_sql(server_seq)?];
        self.change_one("UPDATE thread SET epoch = ?2, seen_up_to = ?3 WHERE thread_id = ?1", values)?;
        self.change(
            "DELETE FROM seen_ahead WHERE thread_id = ?1 AND server_seq <= ?2",
            params![thread.as_bytes(), to_sql(server_seq)?],
        )?;
        Ok(())
    }

    /// An invitation that was shown as a request has ended.
    pub(crate) fn leave_requests(&mut self, thread: ThreadId) -> Result<()> {
        let sql = "UPDATE thread SET request = 0, folder = ?2 WHERE thread_id = ?1 AND request = 1";
        self.change(sql, params![thread.as_bytes(), UNLISTED])?;
        Ok(())
    }

    /// A group in which we are neither a member nor invited is in no list.
    pub(crate) fn unlist_group(&mut self, thread: ThreadId) -> Result<()> {
        let sql = "UPDATE thread SET folder = ?2 WHERE thread_id = ?1";
        self.change_one(sql, params![thread.as_bytes(), UNLISTED])
    }

    /// We are a member, or about to be: it is in a list, unless it is a request.
    pub(crate) fn list_group(&mut self, thread: ThreadId) -> Result<()> {
        let sql = "UPDATE thread SET folder = 0 WHERE thread_id = ?1 AND folder = ?2 AND request = 0";
        self.change(sql, params![thread.as_bytes(), UNLISTED])?;
        Ok(())
    }

    /// The chain of a group is to be fetched.
    pub(crate) fn set_roster_due(&mut self, thread: ThreadId) -> Result<()> {
        self.change(
            "INSERT INTO roster_due (thread_id) VALUES (?1)
             ON CONFLICT (thread_id) DO UPDATE SET tries = 0, due = 0",
            [thread.as_bytes()],
        )?;
        self.change(
            "DELETE FROM roster_due WHERE thread_id <> ?1 AND (SELECT count(*) FROM roster_due) > ?2
                AND thread_id = (SELECT thread_id FROM roster_due ORDER BY due DESC, thread_id LIMIT 1)",
            params![thread.as_bytes(), MOST_DUE],
        )?;
        Ok(())
    }

    /// The chain was fetched to its end, or cannot be.
    pub(crate) fn settle_roster_due(&mut self, thread: ThreadId) -> Result<()> {
        self.change("DELETE FROM roster_due WHERE thread_id = ?1", [thread.as_bytes()])?;
        Ok(())
    }

    /// The relay did not show the chain.
    pub(crate) fn put_roster_off(&mut self, thread: ThreadId, until_ms: u64) -> Result<()> {
        self.change(
            "UPDATE roster_due SET tries = tries + 1, due = ?2 WHERE thread_id = ?1",
            params![thread.as_bytes(), to_sql(until_ms)?],
        )?;
        Ok(())
    }

    /// Two rosters of a group were shown. It is reported once.
    pub(crate) fn contradict_roster(&mut self, thread: ThreadId, to: ShownTo) -> Result<()> {
        let sql = "UPDATE roster SET contradicted_by = ?2 WHERE thread_id = ?1 AND contradicted_by IS NULL";
        if self.change(sql, [thread.as_bytes(), to.stored().as_bytes()])? == 1 {
            self.emit(Event::RosterContradicted(thread));
        }
        Ok(())
    }

    /// What was shown to them agrees again, or they are no member any more: sending goes on.
    /// Returns whether it had stopped.
    pub(crate) fn settle_contradiction(&mut self, thread: ThreadId, to: ShownTo) -> Result<bool> {
        let sql = "UPDATE roster SET contradicted_by = NULL WHERE thread_id = ?1 AND contradicted_by = ?2";
        let has_stopped = self.change(sql, [thread.as_bytes(), to.stored().as_bytes()])? > 0;
        if has_stopped {
            self.hurry_thread(thread)?;
        }
        Ok(has_stopped)
    }

    fn put_state(&mut self, state: &State) -> Result<()> {
        let thread = state.thread;
        self.change_one(
            "UPDATE thread SET roster_version = ?2, roster_head = ?3, removal_version = ?4, timer = ?5
             WHERE thread_id = ?1",
            params![
                thread.as_bytes(),
                to_sql(state.version)?,
                state.head,
                to_sql(state.removal_version)?,
                state.timer_s
            ],
        )?;
        let Permissions { write, add, details } = state.permissions;
        let link = state.link.map(|link| [&link.public_key[..], &link.token_hash].concat());
        self.change_one(
            "INSERT INTO roster (thread_id, permissions, link, timer, commitment, secret_version, floor,
                details_version, dissolved, unknown_since)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (thread_id) DO UPDATE SET permissions = excluded.permissions, link = excluded.link,
                timer = excluded.timer, commitment = excluded.commitment, secret_version = excluded.secret_version,
                floor = excluded.floor, details_version = excluded.details_version, dissolved = excluded.dissolved,
                unknown_since = excluded.unknown_since",
            params![
                thread.as_bytes(),
                [write.number(), add.number(), details.number()],
                link,
                state.timer_s,
                state.commitment,
                to_sql(state.secret_version)?,
                to_sql(state.floor)?,
                to_sql(state.details_version)?,
                state.is_dissolved,
                to_sql(state.unknown_since)?,
            ],
        )
    }

    fn put_member(&mut self, thread: ThreadId, user: UserId, member: &Member) -> Result<()> {
        self.ensure_contact(user)?;
        self.change_one(
            "INSERT INTO member (thread_id, user_id, role, since, account_key, list_version, devices)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (thread_id, user_id) DO UPDATE SET role = excluded.role, since = excluded.since,
                account_key = excluded.account_key, list_version = excluded.list_version, devices = excluded.devices",
            params![
                thread.as_bytes(),
                user.as_bytes(),
                member.role.number(),
                to_sql(member.since)?,
                member.account_key.as_bytes(),
                to_sql(member.list_version)?,
                member.devices.to_bytes(),
            ],
        )?;
        // Of another account key, no list is known yet.
        if member.list_version == 0 { self.delete_roster_list(thread, user) } else { Ok(()) }
    }

    fn delete_member(&mut self, thread: ThreadId, user: UserId) -> Result<()> {
        let key = [thread.as_bytes(), user.as_bytes()];
        self.change_one("DELETE FROM member WHERE thread_id = ?1 AND user_id = ?2", key)?;
        self.settle_contradiction(thread, ShownTo::Member(user))?;
        self.delete_roster_list(thread, user)
    }

    fn delete_roster_list(&mut self, thread: ThreadId, user: UserId) -> Result<()> {
        let key = [thread.as_bytes(), user.as_bytes()];
        self.change("DELETE FROM roster_list WHERE thread_id = ?1 AND user_id = ?2", key)?;
        Ok(())
    }

    fn put_invited(&mut self, thread: ThreadId, user: UserId, invited: &Invited) -> Result<()> {
        self.change_one(
            "INSERT INTO invited (thread_id, user_id, account_key, invited_by, since) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                thread.as_bytes(),
                user.as_bytes(),
                invited.account_key.as_bytes(),
                invited.by.as_bytes(),
                to_sql(invited.since)?
            ],
        )
    }
}

fn state(thread: ThreadId, row: &Row<'_>) -> Result<State> {
    let [write, add, details]: [u8; 3] = row.get(3)?;
    let who = |number| Who::from_number(number).map_err(|_| CORRUPT);
    let link: Option<Vec<u8>> = row.get(4)?;
    let link = link.map(|bytes| -> Result<InviteLink> {
        let (key, hash) = bytes.split_first_chunk().ok_or(CORRUPT)?;
        Ok(InviteLink { public_key: *key, token_hash: hash.try_into().map_err(|_| CORRUPT)? })
    });
    let number = |column| from_sql(row.get(column)?);
    Ok(State {
        thread,
        version: number(0)?,
        head: row.get(1)?,
        removal_version: number(2)?,
        permissions: Permissions { write: who(write)?, add: who(add)?, details: who(details)? },
        link: link.transpose()?,
        timer_s: row.get(5)?,
        commitment: row.get(6)?,
        secret_version: number(7)?,
        floor: number(8)?,
        details_version: number(9)?,
        is_dissolved: row.get(10)?,
        unknown_since: number(11)?,
    })
}

fn member(row: &Row<'_>) -> Result<(UserId, Member)> {
    let (user, key): ([u8; 16], Option<Vec<u8>>) = (row.get(0)?, row.get(1)?);
    let member = Member {
        account_key: account_key(&key.ok_or(CORRUPT)?)?,
        role: Role::from_number(row.get(2)?).map_err(|_| CORRUPT)?,
        since: from_sql(row.get(3)?)?,
        list_version: from_sql(row.get(4)?)?,
        devices: DeviceSet::from_bytes(row.get(5)?),
    };
    Ok((UserId::from_bytes(user), member))
}

fn invited(row: &Row<'_>) -> Result<(UserId, Invited)> {
    let (user, key, by): ([u8; 16], Vec<u8>, [u8; 16]) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let by = UserId::from_bytes(by);
    let invited = Invited { account_key: account_key(&key)?, by, since: from_sql(row.get(3)?)? };
    Ok((UserId::from_bytes(user), invited))
}

fn account_key(bytes: &[u8]) -> Result<AccountKey> {
    AccountKey::from_slice(bytes).map_err(|_| CORRUPT)
}

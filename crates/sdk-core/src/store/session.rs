//! Sessions: one row for each state, and one row for each skipped message key.
//!
//! Storing a session writes only the changes. No session outlives the transaction that loaded it, because a copy
//! would be a second ratchet.

use rusqlite::{OptionalExtension as _, params};
use sealpost_protocol::{
    SessionChange, SessionId, SessionRecord, SignalMessage, SkippedChange, SkippedKey, SkippedKeyId,
    SkippedKeyName, Standing, StoredSession, UnixSeconds,
};
use zeroize::Zeroizing;

use super::{Rows, Tx, from_sql, narrow, to_sql};
use crate::error::Result;
use crate::id::{DeviceId, UserId};

/// The sessions with one device, as they were loaded and in their present state. Exists inside one transaction only.
pub(crate) struct PeerSessions {
    user: UserId,
    device: DeviceId,
    loaded: SessionRecord,
    pub(crate) record: SessionRecord,
    /// The rows that were loaded.
    known: Vec<SessionId>,
    /// Rows that cannot be decoded. Nothing is sealed with them any more, but they are kept for as long as other inactive
    /// sessions, in case they can be read later.
    damaged: Vec<Vec<u8>>,
}

impl PeerSessions {
    /// Whether some of the stored sessions cannot be decoded.
    pub(crate) const fn is_damaged(&self) -> bool {
        !self.damaged.is_empty()
    }
}

impl Rows<'_> {
    pub(crate) fn sessions(&self, user: UserId, device: DeviceId) -> Result<PeerSessions> {
        let sql = "SELECT session_id, rank, active, state, inactive_since, ended FROM session
                   WHERE user_id = ?1 AND device_id = ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![user.as_bytes(), device.get()], |row| {
            Ok((
                row.get::<_, Vec<u8>>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, bool>(2)?,
                Zeroizing::new(row.get::<_, Vec<u8>>(3)?),
                row.get::<_, Option<i64>>(4)?,
                row.get::<_, bool>(5)?,
            ))
        })?;
        let (mut stored, mut damaged, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            let (name, rank, active, bytes, since, has_ended) = row?;
            match read_session(&name, rank, active, bytes, since) {
                Ok(session) => {
                    ended.extend(has_ended.then_some(session.id));
                    stored.push(session);
                }
                Err(_) => damaged.push(name),
            }
        }
        let known = stored.iter().map(|session| session.id).collect();
        // The protocol decodes them together; a row that cannot be decoded does not affect the others.
        let mut read = SessionRecord::from_stored(stored.iter().map(borrowed));
        if read.is_err() {
            let mut whole = Vec::new();
            stored.sort_by_key(|session: &Owned| std::cmp::Reverse(session.rank));
            for session in std::mem::take(&mut stored) {
                whole.push(session);
                if SessionRecord::from_stored(whole.iter().map(borrowed)).is_err() {
                    damaged.extend(whole.pop().map(|session| session.id.as_bytes().to_vec()));
                }
            }
            read = SessionRecord::from_stored(whole.iter().map(borrowed));
        }
        let loaded = read?;
        if !damaged.is_empty() {
            tracing::warn!(count = damaged.len(), "stored sessions could not be decoded");
        }
        let record = if ended.is_empty() { loaded.clone() } else { loaded.receive_only(&ended) };
        Ok(PeerSessions { user, device, record, loaded, known, damaged })
    }

    /// The skipped keys that a message may need: at most one for each ratchet of each session with its sender.
    pub(crate) fn skipped_keys(
        &self,
        user: UserId,
        device: DeviceId,
        message: &SignalMessage,
    ) -> Result<Vec<SkippedKey>> {
        let sql = "SELECT session_id, seed, kept_since FROM skipped_key
                   WHERE user_id = ?1 AND device_id = ?2 AND ratchet_key = ?3 AND number = ?4";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut keys = Vec::new();
        for SkippedKeyName { ratchet_key, number } in SkippedKeyName::of(message) {
            let mut rows =
                statement.query(params![user.as_bytes(), device.get(), ratchet_key.as_slice(), number])?;
            while let Some(row) = rows.next()? {
                let session = session_id(&row.get::<_, Vec<u8>>(0)?)?;
                let seed = Zeroizing::new(row.get::<_, [u8; 32]>(1)?);
                let id = SkippedKeyId { session, ratchet_key, number };
                keys.push(SkippedKey::new(id, *seed, moment(row.get(2)?)?));
            }
        }
        Ok(keys)
    }
}

impl Tx<'_> {
    /// Stores the changes to the sessions with one device.
    pub(crate) fn store_sessions(&mut self, sessions: &mut PeerSessions) -> Result<()> {
        self.deactivate_damaged(sessions)?;
        let PeerSessions { user, device, loaded, record, known, damaged } = sessions;
        let (user, device) = (user.as_bytes(), device.get());
        for change in record.changes_since(loaded) {
            match change {
                SessionChange::Put(StoredSession { id, rank, standing, bytes }) => {
                    let (active, since) = match standing {
                        Standing::Active => (true, None),
                        Standing::Inactive { since } => (false, since),
                    };
                    let since = since.map(|since| to_sql(since.0)).transpose()?;
                    self.change_one(
                        "INSERT INTO session
                            (user_id, device_id, session_id, rank, active, state, inactive_since)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                         ON CONFLICT DO UPDATE
                            SET rank = excluded.rank, active = excluded.active, state = excluded.state,
                                inactive_since = excluded.inactive_since",
                        params![user, device, id.as_bytes(), rank, active, &*bytes, since],
                    )?;
                    damaged.retain(|damaged| damaged[..] != id.as_bytes()[..]);
                    if !known.contains(&id) {
                        known.push(id);
                        self.retry_deferred_of(user)?;
                    }
                }
                SessionChange::Remove(id) => {
                    self.change_one(
                        "DELETE FROM session WHERE user_id = ?1 AND device_id = ?2 AND session_id = ?3",
                        params![user, device, id.as_bytes()],
                    )?;
                    self.forget_skipped_of(user, device, &id)?;
                }
            }
        }
        *loaded = record.clone();
        Ok(())
    }

    /// Makes the rows that cannot be decoded inactive.
    pub(crate) fn deactivate_damaged(&mut self, sessions: &PeerSessions) -> Result<()> {
        for id in &sessions.damaged {
            self.change(
                "UPDATE session SET active = 0 WHERE user_id = ?1 AND device_id = ?2 AND session_id = ?3",
                params![sessions.user.as_bytes(), sessions.device.get(), id],
            )?;
        }
        Ok(())
    }

    /// Stores the changes to the skipped keys of the sessions with one device.
    pub(crate) fn store_skipped(
        &mut self,
        user: UserId,
        device: DeviceId,
        changes: Vec<SkippedChange>,
    ) -> Result<()> {
        changes.into_iter().try_for_each(|change| self.store_skipped_change(user, device, change))
    }

    /// Archives the sessions of a device: nothing is sealed with them any more, but they can still open messages.
    pub(crate) fn archive_sessions(
        &mut self,
        user: UserId,
        device: DeviceId,
        now: UnixSeconds,
    ) -> Result<()> {
        let mut sessions = self.sessions(user, device)?;
        sessions.record = sessions.record.archive(now);
        self.store_sessions(&mut sessions)
    }

    /// Deletes the sessions, chains and skipped keys of a device that its account has removed, or whose key it has replaced.
    pub(super) fn drop_sessions(&mut self, user: UserId, device: DeviceId) -> Result<()> {
        for table in ["session", "skipped_key"] {
            let sql = format!("DELETE FROM {table} WHERE user_id = ?1 AND device_id = ?2");
            self.change(&sql, params![user.as_bytes(), device.get()])?;
        }
        self.drop_chains_of(user, device)
    }

    /// Deletes inactive sessions and skipped keys of all devices that are too old to be used. The age of those with
    /// an unknown age is counted from now on.
    pub(crate) fn expire_sessions(&mut self, now: UnixSeconds) -> Result<()> {
        let oldest = to_sql(now.0.saturating_sub(UnixSeconds::EXPIRY_SECONDS))?;
        let now = to_sql(now.0)?;
        self.change(
            "UPDATE session SET inactive_since = ?1 WHERE active = 0 AND inactive_since IS NULL",
            [now],
        )?;
        self.change("UPDATE skipped_key SET kept_since = ?1 WHERE kept_since IS NULL", [now])?;
        self.change(
            "DELETE FROM skipped_key WHERE kept_since < ?1 OR (user_id, device_id, session_id) IN
                (SELECT user_id, device_id, session_id FROM session WHERE active = 0 AND inactive_since < ?1)",
            [oldest],
        )?;
        self.change("DELETE FROM session WHERE active = 0 AND inactive_since < ?1", [oldest])?;
        self.expire_chain_skipped(oldest)
    }

    fn store_skipped_change(&mut self, user: UserId, device: DeviceId, change: SkippedChange) -> Result<()> {
        let (user, device) = (user.as_bytes(), device.get());
        match change {
            SkippedChange::Keep(key) => {
                let SkippedKeyId { session, ratchet_key, number } = key.id;
                self.change_one(
                    "INSERT INTO skipped_key
                        (user_id, device_id, ratchet_key, number, session_id, seed, kept_since)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    params![
                        user,
                        device,
                        ratchet_key.as_slice(),
                        number,
                        session.as_bytes(),
                        key.seed.expose().as_slice(),
                        key.since.map(|since| to_sql(since.0)).transpose()?
                    ],
                )
            }
            SkippedChange::Forget(SkippedKeyId { session, ratchet_key, number }) => self.change_one(
                "DELETE FROM skipped_key WHERE user_id = ?1 AND device_id = ?2 AND ratchet_key = ?3
                    AND number = ?4 AND session_id = ?5",
                params![user, device, ratchet_key.as_slice(), number, session.as_bytes()],
            ),
            SkippedChange::KeepNewest { session, ratchet_key, count } => {
                let newest: Option<i64> = self
                    .connection
                    .prepare_cached(
                        "SELECT number FROM skipped_key WHERE user_id = ?1 AND device_id = ?2
                            AND ratchet_key = ?3 AND session_id = ?4 ORDER BY number DESC LIMIT 1 OFFSET ?5",
                    )?
                    .query_row(
                        params![user, device, ratchet_key.as_slice(), session.as_bytes(), count],
                        |row| row.get(0),
                    )
                    .optional()?;
                // There are fewer than were counted if some were too old.
                let Some(newest) = newest else { return Ok(()) };
                let newest: u32 = narrow(newest)?;
                self.change(
                    "DELETE FROM skipped_key WHERE user_id = ?1 AND device_id = ?2 AND ratchet_key = ?3
                        AND session_id = ?4 AND number <= ?5",
                    params![user, device, ratchet_key.as_slice(), session.as_bytes(), newest],
                )?;
                Ok(())
            }
            SkippedChange::ForgetChain { session, ratchet_key } => {
                self.change(
                    "DELETE FROM skipped_key WHERE user_id = ?1 AND device_id = ?2 AND ratchet_key = ?3
                        AND session_id = ?4",
                    params![user, device, ratchet_key.as_slice(), session.as_bytes()],
                )?;
                Ok(())
            }
            SkippedChange::ForgetSession(session) => self.forget_skipped_of(user, device, &session),
        }
    }

    fn forget_skipped_of(&mut self, user: &[u8; 16], device: u32, session: &SessionId) -> Result<()> {
        self.change(
            "DELETE FROM skipped_key WHERE user_id = ?1 AND device_id = ?2 AND session_id = ?3",
            params![user, device, session.as_bytes()],
        )?;
        Ok(())
    }
}

/// A session as it was read, whose bytes are wiped.
type Owned = StoredSession<Zeroizing<Vec<u8>>>;

fn borrowed(session: &Owned) -> StoredSession<&[u8]> {
    let StoredSession { id, rank, standing, bytes } = session;
    StoredSession { id: *id, rank: *rank, standing: *standing, bytes }
}

fn read_session(
    id: &[u8],
    rank: i64,
    active: bool,
    bytes: Zeroizing<Vec<u8>>,
    since: Option<i64>,
) -> Result<Owned> {
    let standing = if active { Standing::Active } else { Standing::Inactive { since: moment(since)? } };
    Ok(StoredSession { id: session_id(id)?, rank, standing, bytes })
}

fn moment(seconds: Option<i64>) -> Result<Option<UnixSeconds>> {
    Ok(seconds.map(from_sql).transpose()?.map(UnixSeconds))
}

fn session_id(bytes: &[u8]) -> Result<SessionId> {
    Ok(SessionId::from_bytes(bytes)?)
}

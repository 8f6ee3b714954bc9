//! Sessions: a row for each state, a row for each skipped message key.
//!
//! Writing a session writes what changed. No session outlives the transaction that loaded it: a copy that did
//! would be a second ratchet.

use rusqlite::{OptionalExtension as _, params};
use sealpost_protocol::{
    SessionChange, SessionId, SessionRecord, SignalMessage, SkippedChange, SkippedKey, SkippedKeyId,
    SkippedKeyName,
};
use zeroize::Zeroizing;

use super::{Rows, Tx, narrow};
use crate::error::{Error, Result, Storage};
use crate::id::{DeviceId, UserId};

/// The sessions with one device, as loaded and as they have become; lives inside one transaction.
pub(crate) struct PeerSessions {
    user: UserId,
    device: DeviceId,
    loaded: SessionRecord,
    pub(crate) record: SessionRecord,
}

impl Rows<'_> {
    pub(crate) fn sessions(&self, user: UserId, device: DeviceId) -> Result<PeerSessions> {
        let sql = "SELECT session_id, rank, active, state FROM session WHERE user_id = ?1 AND device_id = ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![user.as_bytes(), device.get()], |row| {
            Ok((
                row.get::<_, Vec<u8>>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, bool>(2)?,
                Zeroizing::new(row.get::<_, Vec<u8>>(3)?),
            ))
        })?;
        let stored = rows
            .map(|row| {
                let (id, rank, active, state) = row?;
                Ok((session_id(&id)?, rank, active, state))
            })
            .collect::<Result<Vec<_>>>()?;
        let loaded = SessionRecord::from_stored(stored)?;
        Ok(PeerSessions { user, device, record: loaded.clone(), loaded })
    }

    /// The skipped keys that a message may need: one at the most for each ratchet of each session with its sender.
    pub(crate) fn skipped_keys(
        &self,
        user: UserId,
        device: DeviceId,
        message: &SignalMessage,
    ) -> Result<Vec<SkippedKey>> {
        let sql = "SELECT session_id, seed FROM skipped_key
                   WHERE user_id = ?1 AND device_id = ?2 AND ratchet_key = ?3 AND number = ?4";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut keys = Vec::new();
        for SkippedKeyName { ratchet_key, number } in SkippedKeyName::of(message) {
            let mut rows =
                statement.query(params![user.as_bytes(), device.get(), ratchet_key.as_slice(), number])?;
            while let Some(row) = rows.next()? {
                let session = session_id(&row.get::<_, Vec<u8>>(0)?)?;
                let seed = Zeroizing::new(row.get::<_, [u8; 32]>(1)?);
                keys.push(SkippedKey::new(SkippedKeyId { session, ratchet_key, number }, *seed));
            }
        }
        Ok(keys)
    }
}

impl Tx<'_> {
    /// Writes what became of the sessions with one device.
    pub(crate) fn store_sessions(&mut self, sessions: &mut PeerSessions) -> Result<()> {
        let PeerSessions { user, device, loaded, record } = sessions;
        let (user, device) = (user.as_bytes(), device.get());
        for change in record.changes_since(loaded) {
            match change {
                SessionChange::Put { id, rank, active, bytes } => self.change_one(
                    "INSERT INTO session (user_id, device_id, session_id, rank, active, state)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                     ON CONFLICT DO UPDATE
                        SET rank = excluded.rank, active = excluded.active, state = excluded.state",
                    params![user, device, id.as_bytes(), rank, active, &*bytes],
                )?,
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

    /// Writes what became of the skipped keys of one device's sessions.
    pub(crate) fn store_skipped(
        &mut self,
        user: UserId,
        device: DeviceId,
        changes: Vec<SkippedChange>,
    ) -> Result<()> {
        changes.into_iter().try_for_each(|change| self.store_skipped_change(user, device, change))
    }

    /// Nothing is sealed with the sessions of a device any more; what it sent still opens.
    pub(crate) fn archive_sessions(&mut self, user: UserId, device: DeviceId) -> Result<()> {
        let mut sessions = self.sessions(user, device)?;
        sessions.record = sessions.record.archive();
        self.store_sessions(&mut sessions)
    }

    fn store_skipped_change(&mut self, user: UserId, device: DeviceId, change: SkippedChange) -> Result<()> {
        let (user, device) = (user.as_bytes(), device.get());
        match change {
            SkippedChange::Keep(key) => {
                let SkippedKeyId { session, ratchet_key, number } = key.id;
                self.change_one(
                    "INSERT INTO skipped_key (user_id, device_id, ratchet_key, number, session_id, seed)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    params![
                        user,
                        device,
                        ratchet_key.as_slice(),
                        number,
                        session.as_bytes(),
                        key.seed.expose().as_slice()
                    ],
                )
            }
            SkippedChange::Forget(SkippedKeyId { session, ratchet_key, number }) => self.change_one(
                "DELETE FROM skipped_key WHERE user_id = ?1 AND device_id = ?2 AND ratchet_key = ?3
                    AND number = ?4 AND session_id = ?5",
                params![user, device, ratchet_key.as_slice(), number, session.as_bytes()],
            ),
            SkippedChange::ForgetOldest { session, ratchet_key, count } => {
                let Some(skip) = count.checked_sub(1) else { return Ok(()) };
                let newest: Option<i64> = self
                    .connection
                    .prepare_cached(
                        "SELECT number FROM skipped_key WHERE user_id = ?1 AND device_id = ?2
                            AND ratchet_key = ?3 AND session_id = ?4 ORDER BY number LIMIT 1 OFFSET ?5",
                    )?
                    .query_row(
                        params![user, device, ratchet_key.as_slice(), session.as_bytes(), skip],
                        |row| row.get(0),
                    )
                    .optional()?;
                let newest: u32 = narrow(newest.ok_or(Error::Storage(Storage::Corrupt))?)?;
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

fn session_id(bytes: &[u8]) -> Result<SessionId> {
    Ok(SessionId::from_bytes(bytes)?)
}

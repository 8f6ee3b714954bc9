//! Which generation of this database this is: one for each connection to the relay, which remembers the newest.
//!
//! A number is drawn and committed before the relay hears of it. So a relay that knows a later one, or another nonce for one
//! that we have drawn, has talked with a later state of this database: the file is a copy, or was restored from one.

use rusqlite::{OptionalExtension as _, params};
use sealpost_protocol::UnixSeconds;

use super::{NewOutgoing, Rows, Tx, from_sql, to_sql};
use crate::content::{Body, ReceiptKind};
use crate::error::Result;
use crate::event::Event;
use crate::id::{ClientMsgId, DeviceId, ThreadId, UserId};

/// Generations that are remembered: connections of several processes may overtake each other.
const REMEMBERED: u64 = 64;
/// Threads in which sessions are begun anew at once; in others when something comes that does not open.
const AT_ONCE: u32 = 200;

/// A generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Generation {
    pub(crate) number: u64,
    pub(crate) nonce: [u8; 8],
}

impl Rows<'_> {
    /// Whether the relay has talked with a later state of this database.
    pub(crate) fn is_older_than(&self, known: Generation) -> Result<bool> {
        let newest: i64 = self
            .connection
            .prepare_cached("SELECT coalesce(max(number), 0) FROM generation")?
            .query_row([], |row| row.get(0))?;
        if known.number > from_sql(newest)? {
            return Ok(true);
        }
        let ours: Option<Vec<u8>> = self
            .connection
            .prepare_cached("SELECT nonce FROM generation WHERE number = ?1")?
            .query_row([to_sql(known.number)?], |row| row.get(0))
            .optional()?;
        // One that is not remembered any more says nothing.
        Ok(ours.is_some_and(|ours| ours != known.nonce))
    }

    /// Whether there were sessions with a device, and none of them is used for sending any more.
    pub(crate) fn has_only_old_sessions(&self, user: UserId, device: DeviceId) -> Result<bool> {
        let sql =
            "SELECT count(*) > 0 AND max(active) = 0 FROM session WHERE user_id = ?1 AND device_id = ?2";
        let only_old: Option<bool> = self
            .connection
            .prepare_cached(sql)?
            .query_row(params![user.as_bytes(), device.get()], |row| row.get(0))?;
        Ok(only_old.unwrap_or(false))
    }

    /// Threads with a device with which there was a session, the newest first.
    fn threads_with_sessions(&self, limit: u32) -> Result<Vec<ThreadId>> {
        let sql = "SELECT thread_id FROM thread
                   WHERE EXISTS (SELECT 1 FROM member JOIN session USING (user_id)
                       WHERE member.thread_id = thread.thread_id)
                   ORDER BY activity DESC LIMIT ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([limit], |row| row.get::<_, Vec<u8>>(0))?;
        rows.map(|row| Ok(ThreadId::from_slice(&row?)?)).collect()
    }
}

impl Tx<'_> {
    /// A new generation, to be shown to the relay once this is committed.
    pub(crate) fn begin_generation(&mut self, nonce: [u8; 8]) -> Result<Generation> {
        let number: i64 = self
            .connection
            .prepare_cached(
                "INSERT INTO generation (number, nonce)
                 VALUES ((SELECT coalesce(max(number), 0) + 1 FROM generation), ?1) RETURNING number",
            )?
            .query_row([nonce], |row| row.get(0))?;
        let number = from_sql(number)?;
        self.change(
            "DELETE FROM generation WHERE number <= ?1",
            [to_sql(number.saturating_sub(REMEMBERED))?],
        )?;
        Ok(Generation { number, nonce })
    }

    /// The relay has talked with a later state of this database, which is lost: what was done in it must not be done again in
    /// another way. Keys that were used since would be used again, so no session is continued; others may have got one-time
    /// keys that are not here, so all are replaced; what was sealed here is sealed anew. The threads' peers hear of new
    /// sessions at once, with a receipt for nothing, whose id `fresh_id` gives.
    pub(crate) fn recover_as_copy(
        &mut self,
        known: Generation,
        now_ms: u64,
        mut fresh_id: impl FnMut() -> ClientMsgId,
    ) -> Result<()> {
        self.change("DELETE FROM generation", [])?;
        self.change_one(
            "INSERT INTO generation (number, nonce) VALUES (?1, ?2)",
            params![to_sql(known.number)?, known.nonce],
        )?;
        self.archive_all_sessions(UnixSeconds(now_ms / 1000))?;
        self.unseal_all()?;
        self.change_one("UPDATE account SET lost_pre_keys = 1", [])?;
        for thread in self.threads_with_sessions(AT_ONCE)? {
            self.greet(thread, now_ms, fresh_id())?;
        }
        self.emit(Event::DatabaseRestored);
        Ok(())
    }

    /// Queues a receipt for nothing, whose only effect is a session; unless something waits there that begins one as well.
    pub(crate) fn greet(&mut self, thread: ThreadId, now_ms: u64, content_id: ClientMsgId) -> Result<()> {
        let sql = "SELECT EXISTS (SELECT 1 FROM outgoing WHERE lane = ?1 AND state < 3)";
        let waits: bool =
            self.connection.prepare_cached(sql)?.query_row([thread.as_bytes()], |row| row.get(0))?;
        if waits {
            return Ok(());
        }
        let (_, us) = self.our_account()?;
        let body = Body::Receipt { kind: ReceiptKind::Delivered, messages: Vec::new() };
        let us = (us.user, us.device);
        self.enqueue(NewOutgoing { thread, us, content_id, sent_ms: now_ms, body }).map(|_| ())
    }

    fn archive_all_sessions(&mut self, now: UnixSeconds) -> Result<()> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT DISTINCT user_id, device_id FROM session WHERE active = 1")?;
        let devices = statement
            .query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, u32>(1)?)))?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        drop(statement);
        for (user, device) in devices {
            self.archive_sessions(UserId::from_slice(&user)?, DeviceId::new(device)?, now)?;
        }
        Ok(())
    }

    /// Whether the one-time keys at the relay are to be replaced.
    pub(crate) fn has_lost_pre_keys(&self) -> Result<bool> {
        let sql = "SELECT lost_pre_keys FROM account";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    /// They were replaced.
    pub(crate) fn pre_keys_were_replaced(&mut self) -> Result<()> {
        self.change_one("UPDATE account SET lost_pre_keys = 0", [])
    }

    /// Ids of pre-keys begin above this one.
    pub(crate) fn skip_key_ids(&mut self, up_to: u32) -> Result<()> {
        self.change("UPDATE account SET next_key_id = max(next_key_id, ?1 + 1)", [up_to])?;
        Ok(())
    }
}

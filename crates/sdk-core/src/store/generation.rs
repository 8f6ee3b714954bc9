//! Detects that this database is an older copy of itself.
//!
//! Each connection to the relay has a generation: the next number, with a random nonce. It is committed here before it is
//! sent to the relay, which remembers the newest one. If the relay knows a higher number, or another nonce for a number
//! of ours, it has communicated with a later state of this database: the file is a copy, or was restored from one.

use rusqlite::{OptionalExtension as _, params};
use sealpost_protocol::UnixSeconds;

use super::lane::NEVER_MS;
use super::{NewOutgoing, Rows, Tx, from_sql, to_sql};
use crate::content::Body;
use crate::error::Result;
use crate::event::Event;
use crate::id::{ClientMsgId, DeviceId, ThreadId, UserId};

/// How many generations are remembered. More than one is needed, because connections of several processes may overtake
/// each other.
const REMEMBERED: u64 = 64;
/// The number of threads whose sessions are renewed immediately. The others follow in the background.
const AT_ONCE: u32 = 200;
/// The number of threads that are renewed in one transaction in the background.
pub(crate) const RENEWED_AT_A_TIME: u32 = 20;

/// The number and the nonce of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Generation {
    pub(crate) number: u64,
    pub(crate) nonce: [u8; 8],
}

impl Rows<'_> {
    /// Whether this generation, which the relay remembers, shows that the relay has communicated with a later state of
    /// this database.
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
        // A generation that is no longer remembered here proves nothing.
        Ok(ours.is_some_and(|ours| ours != known.nonce))
    }

    /// Whether there are sessions with a device, none of which is used for sending any more.
    pub(crate) fn has_only_old_sessions(&self, user: UserId, device: DeviceId) -> Result<bool> {
        let sql =
            "SELECT count(*) > 0 AND max(active) = 0 FROM session WHERE user_id = ?1 AND device_id = ?2";
        let only_old: Option<bool> = self
            .connection
            .prepare_cached(sql)?
            .query_row(params![user.as_bytes(), device.get()], |row| row.get(0))?;
        Ok(only_old.unwrap_or(false))
    }

    /// The thread up to which sessions were renewed in the background; `None` if there is nothing to renew.
    pub(crate) fn renewed_up_to(&self) -> Result<Option<ThreadId>> {
        let sql = "SELECT renewed_up_to FROM account";
        let up_to: Option<Option<Vec<u8>>> =
            self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?;
        Ok(up_to.flatten().map(|id| ThreadId::from_slice(&id)).transpose()?)
    }

    /// How many threads have something to send that is not held until something else happens.
    pub(crate) fn lanes(&self) -> Result<u32> {
        let sql = "SELECT count(*) FROM lane WHERE due < ?1";
        Ok(self.connection.prepare_cached(sql)?.query_row([to_sql(NEVER_MS)?], |row| row.get(0))?)
    }

    fn threads_after(&self, after: ThreadId, limit: u32) -> Result<Vec<ThreadId>> {
        let sql = "SELECT thread_id FROM thread WHERE thread_id > ?1 ORDER BY thread_id LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![after.as_bytes(), limit], |row| row.get::<_, Vec<u8>>(0))?;
        rows.map(|row| Ok(ThreadId::from_slice(&row?)?)).collect()
    }

    /// Whether a member has a device with which there are sessions, none of which is used for sending any more.
    fn has_member_with_only_old_sessions(&self, thread: ThreadId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM member JOIN session USING (user_id)
                   WHERE thread_id = ?1 GROUP BY user_id, device_id HAVING max(active) = 0)";
        Ok(self.connection.prepare_cached(sql)?.query_row([thread.as_bytes()], |row| row.get(0))?)
    }

    /// The threads in which there is a session with a device of a member, the most recently active first.
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
    /// Creates the generation of a new connection. It may be sent to the relay once this is committed.
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

    /// Prepares this database for use after it has turned out to be an older copy, because the relay knows the generation
    /// `known` of a later state. Message keys that were used in the later state must not be used again, so all sessions are
    /// archived and everything that was sealed here is sealed again. Peers may have received one-time keys that do not
    /// exist here, so all keys at the relay are replaced. The peers of the newest threads learn of the new sessions
    /// immediately, from a null content whose id comes from `fresh_id`.
    pub(crate) fn recover_as_copy(
        &mut self,
        known: Generation,
        now_ms: u64,
        mut fresh_id: impl FnMut() -> ClientMsgId,
    ) -> Result<()> {
        // Later generations of this copy are kept: the relay may have received them on a connection whose answer was lost.
        self.change("DELETE FROM generation WHERE number <= ?1", [to_sql(known.number)?])?;
        self.change_one(
            "INSERT INTO generation (number, nonce) VALUES (?1, ?2)",
            params![to_sql(known.number)?, known.nonce],
        )?;
        self.archive_all_sessions(UnixSeconds(now_ms / 1000))?;
        self.unseal_all()?;
        self.end_chains()?;
        self.begin_runs()?;
        self.change_one("UPDATE account SET lost_pre_keys = 1", [])?;
        // The relay may have a later one, which is then taken.
        self.tell_list_again()?;
        for thread in self.threads_with_sessions(AT_ONCE)? {
            self.renew_session(thread, now_ms, fresh_id())?;
        }
        self.change_one("UPDATE account SET renewed_up_to = zeroblob(16)", [])?;
        self.emit(Event::DatabaseRestored);
        Ok(())
    }

    /// Renews the sessions of the next threads after this database has turned out to be a copy. Threads whose sessions
    /// have been renewed in the meantime are skipped. Returns whether there may be more threads.
    pub(crate) fn renew_some(
        &mut self,
        now_ms: u64,
        mut fresh_id: impl FnMut() -> ClientMsgId,
    ) -> Result<bool> {
        let Some(up_to) = self.renewed_up_to()? else { return Ok(false) };
        let next = self.threads_after(up_to, RENEWED_AT_A_TIME)?;
        for thread in &next {
            if self.has_member_with_only_old_sessions(*thread)? {
                self.renew_session(*thread, now_ms, fresh_id())?;
            }
        }
        let last = next.last().filter(|_| u32::try_from(next.len()) == Ok(RENEWED_AT_A_TIME));
        self.change_one("UPDATE account SET renewed_up_to = ?1", [last.map(ThreadId::as_bytes)])?;
        Ok(last.is_some())
    }

    /// Queues a null content, whose only effect is that a new session is started. Does nothing if the thread already has
    /// something to send, which has the same effect, or if nobody may be answered there.
    pub(crate) fn renew_session(
        &mut self,
        thread: ThreadId,
        now_ms: u64,
        content_id: ClientMsgId,
    ) -> Result<()> {
        let sql = "SELECT EXISTS (SELECT 1 FROM outgoing WHERE lane = ?1 AND state < 3)";
        let waits: bool =
            self.connection.prepare_cached(sql)?.query_row([thread.as_bytes()], |row| row.get(0))?;
        if waits || !self.may_answer(thread)? {
            return Ok(());
        }
        let (_, us) = self.our_account()?;
        let body = Body::Null;
        let us = (us.user, us.device);
        self.enqueue(NewOutgoing { thread, us, content_id, sent_ms: now_ms, body }).map(|_| ())
    }

    /// Archives all sessions for ever: they are no longer used for sending, so the next message to each device starts a new one,
    /// even if messages of the old ones still arrive, or if some of them cannot be read now.
    pub(crate) fn archive_all_sessions(&mut self, now: UnixSeconds) -> Result<()> {
        let mut statement =
            self.connection.prepare_cached("SELECT DISTINCT user_id, device_id FROM session")?;
        let devices = statement
            .query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, u32>(1)?)))?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        drop(statement);
        for (user, device) in devices {
            let mut sessions = self.sessions(UserId::from_slice(&user)?, DeviceId::new(device)?)?;
            sessions.record = sessions.record.archive_for_ever(now);
            self.store_sessions(&mut sessions)?;
        }
        // Also those that cannot be read now, and perhaps later.
        self.change("UPDATE session SET active = 0, ended = 1", []).map(drop)
    }

    /// Whether the one-time keys at the relay have to be replaced.
    pub(crate) fn has_lost_pre_keys(&self) -> Result<bool> {
        let sql = "SELECT lost_pre_keys FROM account";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    /// Records that the one-time keys at the relay have been replaced.
    pub(crate) fn pre_keys_were_replaced(&mut self) -> Result<()> {
        self.change_one("UPDATE account SET lost_pre_keys = 0", [])
    }

    /// Makes the ids of new pre-keys begin above `up_to`.
    pub(crate) fn skip_key_ids(&mut self, up_to: u32) -> Result<()> {
        self.change("UPDATE account SET next_key_id = max(next_key_id, ?1 + 1)", [up_to])?;
        Ok(())
    }
}

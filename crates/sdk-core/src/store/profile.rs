//! Profiles: what others say about themselves, and what we do. Ours is sent to each thread after it has changed, and after the thread
//! began; `profile_due` says to which ones it is still to be sent. It stays due while it may not be sent: to somebody who is blocked, in a
//! request, or to somebody whose changed identity was not accepted. One that was refused for good is not sent again until it is changed, or
//! something is known of the recipient that may change that: another device, or that the relay knows the thread.

use rusqlite::{OptionalExtension as _, Params, params};

use super::contact::CHANGED_SINCE_VERIFIED;
use super::right::may_answer_sql;
use super::{Rows, Tx, from_sql, to_sql};
use crate::content::{Profile, Revised, StateKey};
use crate::error::Result;
use crate::event::Event;
use crate::id::{ThreadId, UserId};

impl Rows<'_> {
    /// The profile of a user, ours included; none if there is none.
    pub(crate) fn profile(&self, user: UserId) -> Result<Option<Revised>> {
        let sql = "SELECT name, about, avatar, revision FROM profile WHERE user_id = ?1";
        let row = self.connection.prepare_cached(sql)?.query_row([user.as_bytes()], |row| {
            let profile = Profile { name: row.get(0)?, about: row.get(1)?, avatar: row.get(2)? };
            Ok((profile, row.get::<_, i64>(3)?))
        });
        let Some((profile, revision)) = row.optional()? else { return Ok(None) };
        Ok(Some(Revised { profile, revision: from_sql(revision)? }))
    }

    /// Whether our profile is still to be sent to this thread.
    pub(crate) fn is_profile_due(&self, thread: ThreadId) -> Result<bool> {
        let sql = "SELECT profile_due = 1 FROM thread WHERE thread_id = ?1";
        let due = self.connection.prepare_cached(sql)?.query_row([thread.as_bytes()], |row| row.get(0));
        Ok(due.optional()?.unwrap_or(false))
    }

    /// Up to `limit` threads to which our profile is still to be sent, and may be: those that the person has accepted and that have messages.
    pub(crate) fn threads_for_profile(&self, limit: u32) -> Result<Vec<ThreadId>> {
        let sql = format!(
            "SELECT t.thread_id FROM thread AS t WHERE t.profile_due = 1 AND t.accepted = 1 AND {}
                AND NOT EXISTS (SELECT 1 FROM member JOIN contact USING (user_id)
                    WHERE member.thread_id = t.thread_id AND contact.trust = {CHANGED_SINCE_VERIFIED})
                AND EXISTS (SELECT 1 FROM message WHERE message.thread_id = t.thread_id)
             LIMIT ?1",
            may_answer_sql()
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map([limit], |row| row.get::<_, Vec<u8>>(0))?;
        rows.map(|row| Ok(ThreadId::from_slice(&row?)?)).collect()
    }
}

impl Tx<'_> {
    /// Replaces the profile of a user, unless the known one is at least as new. Returns whether it has replaced it.
    pub(crate) fn set_profile(&mut self, user: UserId, new: &Revised) -> Result<bool> {
        let before = self.profile(user)?;
        let Profile { name, about, avatar } = &new.profile;
        let changed = self.change(
            "INSERT INTO profile (user_id, name, about, avatar, revision) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET name = excluded.name, about = excluded.about, avatar = excluded.avatar,
                revision = excluded.revision WHERE excluded.revision > revision",
            params![user.as_bytes(), name, about, avatar, to_sql(new.revision)?],
        )?;
        if changed == 1 && before.is_none_or(|before| before.profile != new.profile) {
            self.emit(Event::ProfileChanged(user));
        }
        Ok(changed == 1)
    }

    /// Replaces our own profile, which is to be sent to every thread. Does nothing if it is the same.
    pub(crate) fn set_our_profile(&mut self, us: UserId, profile: Profile, now_ms: u64) -> Result<()> {
        let before = self.profile(us)?;
        if before.as_ref().is_some_and(|before| before.profile == profile) {
            return Ok(());
        }
        // It grows even if the clock was set back.
        let next = before.map_or(1, |before| before.revision.saturating_add(1)).max(now_ms);
        let revision = if self.has_companions()? { self.own_revision(next)? } else { next };
        self.set_profile(us, &Revised { profile, revision })?;
        self.change("UPDATE thread SET profile_due = 1 WHERE profile_due <> 1", [])?;
        self.note_state(StateKey::Profile)
    }

    /// The next revision that no other device of ours gives: the numbers of devices are below 128.
    fn own_revision(&self, next: u64) -> Result<u64> {
        let device = u64::from(self.our_account()?.1.device.get());
        let after = device.wrapping_sub(next) % 128;
        Ok(next.saturating_add(after))
    }

    /// Our profile could not be sent to the threads that a query returns, and is due again: if it was refused, when something changes.
    /// Where it may not be sent now because of a changed identity, that is the reason.
    pub(super) fn set_profiles_unsent(
        &mut self,
        threads: &str,
        values: impl Params,
        is_refused: bool,
    ) -> Result<()> {
        let unsent = {
            let mut statement = self.connection.prepare_cached(threads)?;
            let rows = statement.query_map(values, |row| row.get::<_, Vec<u8>>(0))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()?
        };
        for thread in unsent {
            let sql = format!(
                "UPDATE thread SET profile_due = iif(?2 AND NOT EXISTS (SELECT 1 FROM member JOIN contact USING (user_id)
                    WHERE member.thread_id = ?1 AND contact.trust = {CHANGED_SINCE_VERIFIED}), 2, 1) WHERE thread_id = ?1"
            );
            self.change(&sql, params![thread, is_refused])?;
        }
        Ok(())
    }

    /// Something has changed about a user: our profile is due again where it was refused. Returns whether there is such a thread.
    pub(super) fn retry_profile_to(&mut self, user: UserId) -> Result<bool> {
        let sql = "UPDATE thread SET profile_due = 1
                   WHERE profile_due = 2 AND thread_id IN (SELECT thread_id FROM member WHERE user_id = ?1)";
        Ok(self.change(sql, [user.as_bytes()])? > 0)
    }

    /// Our profile was queued for this thread.
    pub(crate) fn set_profile_queued(&mut self, thread: ThreadId) -> Result<()> {
        self.change_one("UPDATE thread SET profile_due = 0 WHERE thread_id = ?1", [thread.as_bytes()])
    }
}

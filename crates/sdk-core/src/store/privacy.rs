//! What a person tells others about what they do, and when others were last seen.

use rusqlite::{OptionalExtension as _, params};

use super::{Rows, Tx, from_sql, to_sql};
use crate::error::Result;
use crate::id::{ThreadId, UserId};

/// The scope of the settings for all threads.
const ALL: &[u8] = &[];
/// For how many contacts presence is shared.
const MAX_SHARED: u32 = 256;

/// Something that others are told, or that is accepted of them. Each can be switched off for all threads and for each thread; what is off for all is off everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PrivacySetting {
    /// That a message has arrived. On unless it was switched off.
    DeliveryReceipts,
    /// That a message was read. On unless it was switched off.
    ReadReceipts,
    /// That the person is writing. On unless it was switched off.
    Typing,
    /// That the person is there. For a thread, off unless it was switched on.
    Presence,
    /// That an invitation into a group is accepted by itself if it is of somebody with whom there is a thread that is no request; for a thread:
    /// if it is of the other person there. On unless it was switched off: then every invitation is a request.
    Invitations,
}

impl PrivacySetting {
    pub(super) const ALL: [Self; 5] =
        [Self::DeliveryReceipts, Self::ReadReceipts, Self::Typing, Self::Presence, Self::Invitations];

    /// The number that our own devices use for it.
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::DeliveryReceipts => 1,
            Self::ReadReceipts => 2,
            Self::Typing => 3,
            Self::Presence => 4,
            Self::Invitations => 5,
        }
    }

    /// The inverse of [`PrivacySetting::number`]; none for a setting of a later version.
    pub(super) fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|setting| setting.number() == number)
    }

    const fn column(self) -> &'static str {
        match self {
            Self::DeliveryReceipts => "delivered",
            Self::ReadReceipts => "read",
            Self::Typing => "typing",
            Self::Presence => "presence",
            Self::Invitations => "invitations",
        }
    }
}

impl Rows<'_> {
    /// The setting for a thread, or for all threads.
    pub(crate) fn privacy(&self, thread: Option<ThreadId>, setting: PrivacySetting) -> Result<bool> {
        let default = thread.is_none() || setting != PrivacySetting::Presence;
        Ok(self.privacy_set(thread, setting)?.unwrap_or(default))
    }

    /// What the person has set; none if that is nothing.
    pub(super) fn privacy_set(
        &self,
        thread: Option<ThreadId>,
        setting: PrivacySetting,
    ) -> Result<Option<bool>> {
        let sql = format!("SELECT {} FROM privacy WHERE scope = ?1", setting.column());
        let scope = thread.as_ref().map_or(ALL, |thread| thread.as_bytes());
        let set: Option<Option<bool>> =
            self.connection.prepare_cached(&sql)?.query_row([scope], |row| row.get(0)).optional()?;
        Ok(set.flatten())
    }

    /// The threads whose other members are told whether the person is there.
    pub(crate) fn shares_presence(&self) -> Result<Vec<ThreadId>> {
        if !self.privacy(None, PrivacySetting::Presence)? {
            return Ok(Vec::new());
        }
        let sql = "SELECT p.scope FROM privacy AS p JOIN thread AS t ON t.thread_id = p.scope WHERE p.presence = 1 LIMIT ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([MAX_SHARED], |row| row.get::<_, Vec<u8>>(0))?;
        rows.map(|row| Ok(ThreadId::from_slice(&row?)?)).collect()
    }

    /// When a user last said that they were there, by server time.
    pub(crate) fn last_seen(&self, user: UserId) -> Result<Option<u64>> {
        let sql = "SELECT at FROM last_seen WHERE user_id = ?1";
        let at: Option<i64> =
            self.connection.prepare_cached(sql)?.query_row([user.as_bytes()], |row| row.get(0)).optional()?;
        at.map(from_sql).transpose()
    }
}

impl Tx<'_> {
    pub(super) fn store_privacy(
        &mut self,
        thread: Option<ThreadId>,
        setting: PrivacySetting,
        is_on: bool,
    ) -> Result<()> {
        let column = setting.column();
        let sql = format!(
            "INSERT INTO privacy (scope, {column}) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET {column} = excluded.{column}"
        );
        let scope = thread.as_ref().map_or(ALL, |thread| thread.as_bytes());
        self.change_one(&sql, params![scope, is_on])
    }

    /// Records that a user was there at this server time.
    pub(crate) fn set_last_seen(&mut self, user: UserId, at_ms: u64) -> Result<()> {
        self.change(
            "INSERT INTO last_seen (user_id, at) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET at = max(at, excluded.at)",
            params![user.as_bytes(), to_sql(at_ms)?],
        )?;
        Ok(())
    }
}

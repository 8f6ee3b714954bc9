//! Profiles: what others say about themselves, and what we do. Ours is sent to each thread after it has changed, and after the thread
//! began ([`News`]).

use rusqlite::{OptionalExtension as _, params};

use super::{News, Rows, Tx, from_sql, to_sql};
use crate::content::{Profile, Revised, StateKey};
use crate::error::Result;
use crate::event::Event;
use crate::id::UserId;

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
        self.set_news_due(News::Profile)?;
        self.distribute_again()?;
        self.note_state(StateKey::Profile)
    }

    /// The next revision that no other device of ours gives: the numbers of devices are below 128.
    fn own_revision(&self, next: u64) -> Result<u64> {
        let device = u64::from(self.our_account()?.1.device.get());
        let after = device.wrapping_sub(next) % 128;
        Ok(next.saturating_add(after))
    }
}

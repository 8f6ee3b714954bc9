//! What people say about themselves.

use super::{Client, Contact};
use crate::content::Profile;
use crate::error::{InvalidContent, Result};
use crate::id::UserId;

/// The number of people of whom one call reads the profiles.
const MAX_USERS: usize = 500;

impl Client {
    /// Our own profile; empty if none was set.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn profile(&self) -> Result<Profile> {
        let us = self.user_id();
        let found = self.inner.ctx.store.glance(move |rows| rows.profile(us)).await?;
        Ok(found.map(|found| found.profile).unwrap_or_default())
    }

    /// Sets our own profile, and sends it to the people in all threads that we have accepted and that have messages, now and when further
    /// ones begin. When this returns, it is on disk, and will be sent. Does nothing if it is the same.
    ///
    /// # Errors
    /// [`Error::InvalidContent`](crate::Error::InvalidContent) if a field is too long, [`Error::Storage`](crate::Error::Storage).
    pub async fn set_profile(&self, profile: Profile) -> Result<()> {
        if !profile.is_valid() {
            return Err(InvalidContent::Profile.into());
        }
        let (us, now_ms) = (self.user_id(), self.inner.ctx.server_now_ms());
        self.inner.ctx.store.write(move |tx| tx.set_our_profile(us, profile.clone(), now_ms)).await?;
        self.inner.ctx.upkeep.news.notify_one();
        Ok(())
    }
}

impl Client {
    /// What these people say about themselves, for a list that shows their names; without those who have not said anything. Only
    /// the first 500 count.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn profiles(&self, users: &[UserId]) -> Result<Vec<(UserId, Profile)>> {
        let users: Vec<_> = users.iter().copied().take(MAX_USERS).collect();
        let read = self.inner.ctx.store.glance(move |rows| {
            let found = users.iter().map(|user| Ok(rows.profile(*user)?.map(|found| (*user, found.profile))));
            found.filter_map(Result::transpose).collect::<Result<Vec<_>>>()
        });
        read.await
    }
}

impl Contact {
    /// What this person says about themselves; none if they have not said anything.
    /// [`Event::ProfileChanged`](crate::Event::ProfileChanged) reports changes.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn profile(&self) -> Result<Option<Profile>> {
        let user = self.user_id();
        let found = self.ctx().store.glance(move |rows| rows.profile(user)).await?;
        Ok(found.map(|found| found.profile))
    }
}

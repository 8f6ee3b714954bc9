//! What people say about themselves.

use std::collections::HashMap;
use std::fmt;

use sealpost_core as core;

use super::Client;
use crate::{Result, UserId, runtime};

/// What a person says about themselves; everything can be empty. Nothing of it is verified, and a name can imitate another one.
// Compared here, because Kotlin compares arrays by their identity.
#[derive(Clone, PartialEq, Eq, Hash, uniffi::Record)]
#[uniffi::export(Debug, Eq, Hash)]
pub struct Profile {
    /// The name, at most 256 bytes of UTF-8.
    #[uniffi(default = "")]
    pub name: String,
    /// A few words, at most 1000 bytes of UTF-8.
    #[uniffi(default = "")]
    pub about: String,
    /// Where the apps find the picture, and how they decrypt it, in a form that they agree on; at most 1024 bytes.
    #[uniffi(default)]
    pub avatar: Vec<u8>,
    /// The name as it can be shown, in one line: without invisible characters, without changes of the direction of text, with at most
    /// three accents on a character and 80 characters; empty if nothing is left. `set_profile` ignores it.
    #[uniffi(default = "")]
    pub displayable_name: String,
}

impl From<core::Profile> for Profile {
    fn from(profile: core::Profile) -> Self {
        let displayable_name = profile.displayable_name();
        let core::Profile { name, about, avatar } = profile;
        Self { name, about, avatar, displayable_name }
    }
}

impl From<Profile> for core::Profile {
    fn from(profile: Profile) -> Self {
        let Profile { name, about, avatar, displayable_name: _ } = profile;
        Self { name, about, avatar }
    }
}

/// Contains nothing that a person wrote, so that it cannot end up in a log.
impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Profile(..)")
    }
}

#[uniffi::export]
impl Client {
    /// Our own profile; empty if none was set.
    ///
    /// Throws `Storage`.
    pub async fn profile(&self) -> Result<Profile> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.profile().await?.into()) }).await
    }

    /// Sets our own profile, and sends it to the people in all threads that we have accepted and that have messages, now and when
    /// further ones begin. When this returns, it is on disk, and will be sent. Does nothing if it is the same.
    ///
    /// Throws `InvalidContent` if a field is too long, and `Storage`.
    pub async fn set_profile(&self, profile: Profile) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.set_profile(profile.into()).await?) }).await
    }

    /// What these people say about themselves, for a list that shows their names; without those who have not said anything. Only
    /// the first 500 count. `Event.ProfileChanged` reports changes.
    ///
    /// Throws `Storage`.
    pub async fn profiles(&self, users: Vec<UserId>) -> Result<HashMap<UserId, Profile>> {
        let core = self.core.clone();
        let found = runtime::run(async move { Ok(core.profiles(&users).await?) }).await?;
        Ok(found.into_iter().map(|(user, profile)| (user, profile.into())).collect())
    }
}

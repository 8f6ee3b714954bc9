//! The time after which messages disappear.

use super::Thread;
use crate::{Result, runtime};

#[uniffi::export]
impl Thread {
    /// Makes the messages that are sent into this thread from now on, by any member, disappear this many seconds after they were
    /// read; 0: they stay. Everybody sees the change as a message (`MessageBody.TimerChanged`), except in a thread that has no messages
    /// yet, where the first one has the timer. Does nothing if the timer is set to this already.
    ///
    /// The timer of a message runs from when it was read on this device or, for one of ours, from when the relay accepted it. The
    /// message is then deleted with its reactions, votes, earlier versions and search terms. Times are the relay's, so that setting
    /// the clock of the device changes nothing; after a restart, messages disappear once there is a connection.
    ///
    /// Throws `InvalidContent` above a year (31,536,000 seconds), and `Storage`.
    pub async fn set_timer(&self, seconds: u32) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.set_timer(seconds).await?) }).await
    }

    /// The time after which messages of this thread disappear once they were read, in seconds; 0 if they do not.
    ///
    /// Throws `Storage`.
    pub async fn timer(&self) -> Result<u32> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.timer().await?) }).await
    }
}

//! Polls.

use super::Thread;
use crate::{Message, MessageId, Result, UserId, Vote, runtime};

#[uniffi::export]
impl Thread {
    /// Sends a poll: a question of at most 1000 bytes, and 2 to 32 different options of at most 255 bytes each. With
    /// `is_multiple`, a person may choose several of them. A poll cannot be forwarded, because its votes belong to this thread.
    ///
    /// Throws `InvalidContent` if it is outside of these bounds, `WrongState` if this thread has no message yet: a poll cannot be
    /// the first one, and `Storage`.
    #[uniffi::method(default(is_multiple = false))]
    pub async fn send_poll(
        &self,
        question: String,
        options: Vec<String>,
        is_multiple: bool,
    ) -> Result<Message> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.send_poll(&question, options, is_multiple).await?.into()) }).await
    }

    /// Votes in a poll of this thread. `choices` are the places of options in `Poll.options`, from 0. They replace our earlier
    /// choices; without any, our vote is withdrawn. When this returns, the vote is on disk and counted.
    ///
    /// Throws `InvalidContent` if the poll does not have these options, one is there twice, or there are several where the poll
    /// allows one; `NotFound` if there is no such message in this thread, `WrongState` if it is not a poll or has failed, and
    /// `Storage`.
    pub async fn vote(&self, poll: MessageId, choices: Vec<u32>) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.vote(poll, choices).await?) }).await
    }

    /// Up to `limit` (at most 500) votes in a poll, one for each person, ordered by the ids of the users; those after a user, or the
    /// first. Empty if there is no such poll in this thread. The counts that a chat shows are in `PollOption.votes`.
    ///
    /// Throws `Storage`.
    #[uniffi::method(default(after = None, limit = 50))]
    pub async fn votes(&self, poll: MessageId, after: Option<UserId>, limit: u32) -> Result<Vec<Vote>> {
        let core = self.core.clone();
        let votes = runtime::run(async move { Ok(core.votes(poll, after, limit).await?) }).await?;
        Ok(votes.into_iter().map(Vote::from).collect())
    }
}

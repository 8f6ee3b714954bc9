//! What keeps messages from being sent, and what to do about it.

use sealpost_core::{Delivery, Direction, Error, Message, ThreadKind};

use super::{Conversation, PlainError};
use crate::client::Problem;
use crate::groups;

/// Where messages that were not sent are looked for.
const NEWEST: u32 = 100;

impl Conversation<'_> {
    /// Says why something was not sent, and goes on: the next line may be something else. Only a client that no longer works
    /// ends the chat.
    pub(super) async fn refused(&self, error: Error) -> Result<(), PlainError> {
        if matches!(error, Error::Storage(_) | Error::Bug(_)) {
            return Err(error.into());
        }
        let why = Problem::of(&self.client, self.thread.id(), error).await;
        Ok(self.screen.note(&format!("not sent: {why}"))?)
    }

    /// Accepts a request; otherwise, a changed safety number.
    pub(super) async fn accept(&self) -> Result<(), PlainError> {
        if groups::accept(&self.client, self.thread.id()).await? {
            return Ok(self.screen.note("accepted: you are a member in a moment")?);
        }
        if self.thread.summary().await?.is_request {
            self.thread.accept_request().await?;
        } else if self.thread.kind().await? == ThreadKind::Group {
            return Ok(self.screen.note("there is no invitation to accept")?);
        } else if let Some(other) = self.thread.others().await?.first() {
            match other.accept().await {
                Err(Error::NotFound) => {
                    return Ok(self.screen.note("no safety number before the first message")?);
                }
                accepted => accepted?,
            }
        }
        Ok(self.screen.note("accepted; /retry sends what was held back")?)
    }

    /// Sends everything again that has failed, the oldest first.
    pub(super) async fn retry(&self) -> Result<(), PlainError> {
        let is_failed =
            |message: &Message| matches!(message.direction, Direction::Outgoing(Delivery::Failed(_)));
        let newest = self.thread.history_of(None, NEWEST).await?.messages;
        let failed: Vec<_> = newest.iter().rev().filter(|message| is_failed(message)).collect();
        for message in &failed {
            if let Err(error) = self.thread.retry(message.id).await {
                return self.refused(error).await;
            }
        }
        self.client.reconnect();
        Ok(self.screen.note(if failed.is_empty() {
            "there is nothing to send again"
        } else {
            "sending again"
        })?)
    }

    /// Discards the newest message that was not sent.
    pub(super) async fn discard(&self) -> Result<(), PlainError> {
        let is_unsent = |message: &&Message| {
            matches!(message.direction, Direction::Outgoing(Delivery::Failed(_) | Delivery::Queued))
        };
        let newest = self.thread.history_of(None, NEWEST).await?.messages;
        let note = match newest.iter().find(is_unsent) {
            None => "there is nothing to discard: everything was sent",
            Some(unsent) if self.thread.cancel(unsent.id).await? => "discarded",
            Some(_) => "it may have been sent already",
        };
        Ok(self.screen.note(note)?)
    }
}

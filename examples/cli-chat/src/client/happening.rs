//! What the library reports, apart from the messages of the open chat.

use sealpost_core::{Event, MessageBody, Update};

use super::problem::Problem;
use super::{Worker, listing};
use crate::groups;
use crate::news::News;

impl Worker {
    pub(super) async fn updated(&mut self, updates: Vec<Update>) -> Result<(), Problem> {
        let mut list_has_changed = false;
        for update in updates {
            match update {
                Update::Snapshot(overview) => {
                    self.tell(News::Connection(overview.connection));
                    list_has_changed = true;
                    // It may have been verified in another terminal.
                    self.tell_trust_of_open().await?;
                    self.tell_peer().await?;
                }
                Update::Event(event) => {
                    list_has_changed |= listing::changes_list(&event);
                    self.happened(event).await?;
                }
            }
        }
        if list_has_changed {
            self.list_chats().await?;
        }
        Ok(())
    }

    async fn happened(&mut self, event: Event) -> Result<(), Problem> {
        if let Some(warning) = groups::warning(&event) {
            self.note(warning);
        }
        match event {
            Event::Connection(state) => self.tell(News::Connection(state)),
            Event::IdentityChanged(_) | Event::AccountMoved(_) => self.tell_trust_of_open().await?,
            Event::PinsChanged(thread) => {
                if let Some(open) = self.open.as_mut().filter(|open| open.id() == thread) {
                    open.read_pins().await?;
                    self.tell_rows();
                }
            }
            Event::ThreadChanged(thread) | Event::TypingChanged { thread, .. }
                if self.open.as_ref().is_some_and(|open| open.id() == thread) =>
            {
                self.tell_peer().await?;
            }
            Event::PresenceChanged { .. } => self.tell_peer().await?,
            Event::MessageAdded(message) if matches!(message.body, MessageBody::TimerChanged { .. }) => {
                self.tell_peer().await?;
            }
            Event::ChangeFailed { reason, .. } => self.note(&format!("a change was not sent: {reason}")),
            Event::MessagesMissing { first, last, .. } => {
                let note = format!("the messages {first} to {last} of a chat are missing");
                self.tell(News::Note(note));
            }
            Event::CleaningUp { deleted, threads_left: chats @ 1.. } => {
                self.note(&format!("cleaning up: {deleted} messages deleted, {chats} chats left"));
            }
            Event::DatabaseRestored => {
                let note = "this account was restored from an older copy; messages may be missing";
                self.tell(News::Note(note.to_owned()));
            }
            Event::PartFailed(failed) => {
                self.tell(News::Note(format!("a part of the client has failed: {}", failed.failure)))
            }
            _ => {}
        }
        Ok(())
    }
}

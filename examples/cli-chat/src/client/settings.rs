//! What a person decides about a chat or about the person in it.

use sealpost_core::{Contact, Error, PrivacySetting, ThreadId};

use super::Worker;
use super::problem::Problem;
use crate::clock::system_ms;
use crate::groups;
use crate::news::{News, Peer, Setting, Who};

const HOUR_MS: u64 = 3_600_000;

impl Worker {
    pub(super) async fn set(&mut self, thread: ThreadId, setting: Setting) -> Result<(), Error> {
        let handle = self.client.thread(thread).await?;
        match setting {
            Setting::Archived(is_archived) => handle.set_archived(is_archived).await?,
            Setting::OnTop(is_pinned) => handle.set_pinned(is_pinned).await?,
            Setting::Muted { hours } => {
                let until = hours.map(|hours| system_ms().saturating_add(hours.saturating_mul(HOUR_MS)));
                handle.set_muted_until(Some(until.unwrap_or(u64::MAX))).await?;
            }
            Setting::Loud => handle.set_muted_until(None).await?,
            Setting::MarkedUnread => handle.set_marked_unread(true).await?,
            Setting::Deleted => handle.delete().await?,
        }
        Ok(())
    }

    /// Accepts a request; otherwise, a changed safety number.
    pub(super) async fn accept(&mut self, thread: ThreadId) -> Result<(), Problem> {
        let handle = self.client.thread(thread).await?;
        if groups::accept(&self.client, thread).await? {
            self.note("accepted: you are a member in a moment");
        } else if handle.summary().await?.is_request {
            handle.accept_request().await?;
            self.note("accepted: it is among your chats now");
        } else {
            self.peer(thread).await?.accept().await?;
            self.note("accepted; /retry sends what was held back");
        }
        self.tell_trust(thread).await
    }

    pub(super) async fn set_blocked(&mut self, who: Who, is_blocked: bool) -> Result<(), Problem> {
        let contact = match who {
            Who::Thread(thread) => self.peer(thread).await?,
            Who::Name(name) => match self.home.user(&name) {
                Some(user) => self.client.contact(user),
                None => {
                    self.note(&format!("{name} is neither a name on this machine nor a user id"));
                    return Ok(());
                }
            },
        };
        let name = self.home.name(contact.user_id());
        if is_blocked {
            contact.block().await?;
            self.note(&format!("{name} is blocked, and is not told; /unblock {name} ends that"));
        } else {
            contact.unblock().await?;
            self.note(&format!("{name} is no longer blocked"));
        }
        Ok(self.list_chats().await?)
    }

    /// Tells what the title of the open chat shows about the other person.
    pub(super) async fn tell_peer(&mut self) -> Result<(), Problem> {
        let Some(thread) = self.open.as_ref().map(|open| open.thread.clone()) else { return Ok(()) };
        let summary = thread.summary().await?;
        let typing = !thread.typing().is_empty();
        let presence = match self.peer(thread.id()).await {
            Ok(peer) => Some(peer.presence().await?),
            Err(Problem::Alone | Problem::Group) => None,
            Err(error) => return Err(error),
        };
        let peer = Peer {
            is_request: summary.is_request,
            is_blocked: summary.is_blocked,
            is_typing: typing,
            is_present: presence.is_some_and(|presence| presence.is_present),
            last_seen_ms: presence.and_then(|presence| presence.last_seen_ms),
            shares_presence: thread.privacy(PrivacySetting::Presence).await?,
            timer_s: thread.timer().await?,
        };
        self.tell(News::Peer { thread: thread.id(), peer });
        Ok(())
    }

    pub(super) async fn blocked(&mut self) -> Result<Vec<String>, Error> {
        let blocked = self.client.blocked().await?;
        if blocked.is_empty() {
            return Ok(vec!["Nobody is blocked.".to_owned()]);
        }
        let line = |contact: &Contact| {
            let user = contact.user_id();
            format!("{}, user id {user}", self.who_is(user))
        };
        Ok(blocked.iter().map(line).collect())
    }
}

//! The list of chats, of requests, or of the archive.

use sealpost_core::{Error, Event, Folder, ThreadSummary, TrustState};

use super::{CHATS, Worker, rows};
use crate::clock::system_ms;
use crate::news::{Chat, Marks, News};
use crate::text::Shown;

/// More requests than this are not counted.
const MOST_REQUESTS: u32 = 100;

impl Worker {
    pub(super) async fn show_folder(&mut self, folder: Folder) -> Result<(), Error> {
        (self.folder, self.chats) = (folder, CHATS);
        self.list_chats().await
    }

    pub(super) async fn list_chats(&mut self) -> Result<(), Error> {
        let folder = self.folder;
        let (mut chats, mut after) = (Vec::new(), None);
        loop {
            let missing = u32::try_from(self.chats.saturating_sub(chats.len())).unwrap_or(u32::MAX);
            let page = self.client.folder_page(folder, after, missing).await?;
            let users: Vec<_> =
                page.threads.iter().flat_map(|summary| summary.others.iter().copied()).collect();
            self.read_profiles(&users).await?;
            for summary in page.threads {
                chats.push(self.chat(summary).await?);
            }
            after = page.next;
            if after.is_none() || chats.len() >= self.chats {
                break;
            }
        }
        let requests = self.client.folder_page(Folder::Requests, None, MOST_REQUESTS).await?.threads.len();
        self.tell(News::Chats { folder, chats, has_more: after.is_some(), requests });
        Ok(())
    }

    async fn chat(&mut self, summary: ThreadSummary) -> Result<Chat, Error> {
        let marks = Marks {
            is_verified: summary.trust == TrustState::Verified,
            is_pinned: summary.is_pinned,
            is_muted: summary.muted_until_ms.is_some_and(|until| until > system_ms()),
            is_mentioned: summary.mentions > 0,
            is_marked_unread: summary.is_marked_unread,
            is_blocked: summary.is_blocked,
        };
        Ok(Chat {
            thread: summary.id,
            name: self.chat_name(summary.id, summary.kind, summary.others.first().copied()).await?,
            unread: summary.unread,
            activity_ms: summary.activity_ms,
            newest: summary.newest.map(|newest| (rows::in_a_line(&newest), rows::tick_of(&newest))),
            draft: summary.draft.map(|draft| Shown::line(&draft)),
            marks,
        })
    }
}

/// Whether the list of chats shows something else after this event.
pub(super) fn changes_list(event: &Event) -> bool {
    matches!(
        event,
        Event::ThreadAdded(_)
            | Event::ThreadChanged(_)
            | Event::MessageAdded(_)
            | Event::MessageChanged { .. }
            | Event::MessageRemoved { .. }
            | Event::IdentityChanged(_)
            | Event::AccountMoved(_)
            | Event::ProfileChanged(_)
    )
}

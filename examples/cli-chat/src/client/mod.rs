//! Carries out what the screen asks of the library, and reports what the library says.

mod changes;
mod meet;
mod open;
mod rows;
mod showing;

use std::sync::Arc;
use std::time::Duration;

use sealpost_core::{
    Change, Client, Contact, Error, Event, Feed, MessageId, ThreadId, ThreadSummary, Update, UserId,
};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::home::Home;
use crate::news::{Chat, Found, News, Request};
use crate::text::Shown;
use open::Open;

/// The updates that are taken at once.
const BATCH: usize = 256;
/// The pause after a failure.
const PAUSE: Duration = Duration::from_millis(200);
/// The chats that are added to the list at once.
const CHATS: usize = 50;
/// Where the number of unread messages of a chat is looked for.
const NEAR_THE_START: u32 = 500;
/// The most results of a search.
const RESULTS: u32 = 200;

/// The side of the client.
pub(crate) struct Worker {
    client: Client,
    home: Arc<Home>,
    feed: Feed,
    requests: mpsc::UnboundedReceiver<Request>,
    news: mpsc::UnboundedSender<News>,
    /// The number of chats that the list is to show.
    chats: usize,
    open: Option<Open>,
    /// The user who is being waited for.
    meeting: Option<AbortHandle>,
}

impl Worker {
    /// The worker, and the two ends for the screen.
    pub(crate) fn new(
        client: Client,
        home: Arc<Home>,
    ) -> (Self, mpsc::UnboundedSender<Request>, mpsc::UnboundedReceiver<News>) {
        let (to_worker, requests) = mpsc::unbounded_channel();
        let (news, from_worker) = mpsc::unbounded_channel();
        let feed = client.subscribe();
        let worker = Self { client, home, feed, requests, news, chats: CHATS, open: None, meeting: None };
        (worker, to_worker, from_worker)
    }

    /// Runs until the screen is gone.
    pub(crate) async fn run(mut self) {
        loop {
            let done = tokio::select! {
                request = self.requests.recv() => match request {
                    Some(request) => self.carry_out(request).await,
                    None => break,
                },
                updates = self.feed.next_batch(BATCH) => match updates {
                    Some(Ok(updates)) => self.updated(updates).await,
                    Some(Err(error)) => Err(error),
                    None => break,
                },
                changes = Open::changed(self.open.as_mut()) => match changes {
                    Some(Ok(changes)) => self.changed(changes).await,
                    Some(Err(error)) => Err(error),
                    None => break,
                },
            };
            if let Err(error) = done {
                self.tell(News::Note(error.to_string()));
                // A database that cannot be read must not keep a core busy.
                sleep(PAUSE).await;
            }
        }
        if let Some(meeting) = self.meeting.take() {
            meeting.abort();
        }
    }

    fn note(&self, note: &str) {
        self.tell(News::Note(note.to_owned()));
    }

    fn tell(&self, news: News) {
        // If the screen is gone, the loop above ends.
        let _ = self.news.send(news);
    }

    async fn carry_out(&mut self, request: Request) -> Result<(), Error> {
        match request {
            Request::Open { thread, around } => self.open(thread, around).await?,
            Request::Meet(name) => {
                let meeting =
                    meet::meet(self.client.clone(), Arc::clone(&self.home), name, self.news.clone());
                let waiting = self.meeting.replace(tokio::spawn(meeting).abort_handle());
                waiting.iter().for_each(AbortHandle::abort);
            }
            Request::Send { thread, text } => self.send(thread, text).await,
            Request::MarkRead { thread, up_to } => self.client.thread(thread).await?.mark_read(up_to).await?,
            Request::Older => self.page(Page::Older).await?,
            Request::Newer => self.page(Page::Newer).await?,
            Request::MoreChats => {
                self.chats = self.chats.saturating_add(CHATS);
                self.list_chats().await?;
            }
            Request::Search(words) => self.search(words).await?,
            Request::SafetyNumber(thread) => {
                let number = match self.peer(thread).await?.safety_number().await {
                    Err(Error::NotFound) => None,
                    number => Some(number?),
                };
                self.tell(News::SafetyNumber { thread, number });
            }
            Request::Verify { thread, digits } => {
                let are_equal = self.peer(thread).await?.verify(&digits).await?;
                self.tell(News::Compared { thread, are_equal });
                self.tell_trust(thread).await?;
            }
            Request::Accept(thread) => {
                self.peer(thread).await?.accept().await?;
                self.tell(News::Note("accepted; /retry sends what was held back".to_owned()));
                self.tell_trust(thread).await?;
            }
            Request::Change(thread, change) => self.change(thread, change).await?,
            Request::Show(thread, asked) => self.show(thread, asked).await?,
            Request::Profile { name, about } => self.set_profile(name, about).await?,
            Request::Retry { thread, messages } => {
                let thread = self.client.thread(thread).await?;
                for message in messages {
                    thread.retry(message).await?;
                }
                self.client.reconnect();
            }
            Request::Discard { thread, message } => {
                if !self.client.thread(thread).await?.cancel(message).await? {
                    self.tell(News::MayHaveLeft(message));
                }
            }
            Request::GiveUp { thread, message } => self.client.thread(thread).await?.give_up(message).await?,
        }
        Ok(())
    }

    async fn open(&mut self, thread: ThreadId, around: Option<MessageId>) -> Result<(), Error> {
        let handle = self.client.thread(thread).await?;
        // A chat with unread messages is near the start of the list.
        let page = self.client.thread_page(None, NEAR_THE_START).await?;
        let unread =
            page.threads.iter().find(|summary| summary.id == thread).map_or(0, |summary| summary.unread);
        let others = handle.others().await?;
        let opened = Open::new(handle, around, unread).await?;
        let name = self.name(others.first().map(Contact::user_id));
        self.tell(News::Opened { thread, name, rows: opened.rows(), around });
        self.open = Some(opened);
        self.tell_trust(thread).await
    }

    /// A text that cannot be queued goes back to the person who wrote it.
    async fn send(&mut self, thread: ThreadId, text: String) {
        let queued = async { self.client.thread(thread).await?.send_text(&text).await };
        match queued.await {
            // A person is waiting, so connecting is worthwhile.
            Ok(_) => self.client.reconnect(),
            Err(error) => {
                let why = error.to_string();
                self.tell(News::NotQueued { thread, text, why });
            }
        }
    }

    async fn page(&mut self, page: Page) -> Result<(), Error> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let added = match page {
            Page::Older => open.add_older().await,
            Page::Newer => open.add_newer().await,
        };
        // After a failure, too, so that the page can be asked for again.
        self.tell_rows();
        added
    }

    async fn search(&mut self, words: String) -> Result<(), Error> {
        let messages = self.client.search(&words, RESULTS).await?;
        let mut found = Vec::with_capacity(messages.len());
        let mut names = std::collections::HashMap::new();
        for message in messages {
            let chat = match names.get(&message.thread) {
                Some(name) => Shown::clone(name),
                None => {
                    let others = self.client.thread(message.thread).await?.others().await?;
                    let name = self.name(others.first().map(Contact::user_id));
                    names.insert(message.thread, name.clone());
                    name
                }
            };
            found.push(Found {
                thread: message.thread,
                message: message.id,
                chat,
                is_ours: rows::tick_of(&message).is_some(),
                sent_ms: message.sent_ms,
                text: rows::in_a_line(&message),
            });
        }
        self.tell(News::Found { words, found });
        Ok(())
    }

    async fn updated(&mut self, updates: Vec<Update>) -> Result<(), Error> {
        let mut list_has_changed = false;
        for update in updates {
            match update {
                Update::Snapshot(overview) => {
                    self.tell(News::Connection(overview.connection));
                    list_has_changed = true;
                    // It may have been verified in another terminal.
                    self.tell_trust_of_open().await?;
                }
                Update::Event(event) => {
                    list_has_changed |= changes_list(&event);
                    self.happened(event).await?;
                }
            }
        }
        if list_has_changed { self.list_chats().await } else { Ok(()) }
    }

    async fn happened(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Connection(state) => self.tell(News::Connection(state)),
            Event::IdentityChanged(_) => self.tell_trust_of_open().await?,
            Event::PinsChanged(thread) => {
                if let Some(open) = self.open.as_mut().filter(|open| open.id() == thread) {
                    open.read_pins().await?;
                    self.tell_rows();
                }
            }
            Event::ChangeFailed { reason, .. } => self.note(&format!("a change was not sent: {reason}")),
            Event::MessagesMissing { first, last, .. } => {
                let note = format!("the messages {first} to {last} of a chat are missing");
                self.tell(News::Note(note));
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

    async fn changed(&mut self, changes: Vec<Change>) -> Result<(), Error> {
        let Some(open) = &mut self.open else { return Ok(()) };
        open.apply(changes).await?;
        self.tell_rows();
        Ok(())
    }

    fn tell_rows(&self) {
        if let Some(open) = &self.open {
            self.tell(News::Rows { thread: open.id(), rows: open.rows() });
        }
    }

    /// How far the safety number is trusted; nothing before the first message.
    async fn tell_trust(&mut self, thread: ThreadId) -> Result<(), Error> {
        match self.peer(thread).await?.trust().await {
            Ok(trust) => self.tell(News::Trust { thread, trust }),
            Err(Error::NotFound) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn tell_trust_of_open(&mut self) -> Result<(), Error> {
        match self.open.as_ref().map(Open::id) {
            Some(thread) => self.tell_trust(thread).await,
            None => Ok(()),
        }
    }

    async fn list_chats(&mut self) -> Result<(), Error> {
        let (mut chats, mut after) = (Vec::new(), None);
        loop {
            let missing = self.chats.saturating_sub(chats.len());
            let page = self.client.thread_page(after, u32::try_from(missing).unwrap_or(u32::MAX)).await?;
            for summary in page.threads {
                chats.push(self.chat(summary));
            }
            after = page.next;
            if after.is_none() || chats.len() >= self.chats {
                break;
            }
        }
        self.tell(News::Chats { chats, has_more: after.is_some() });
        Ok(())
    }

    fn chat(&self, summary: ThreadSummary) -> Chat {
        Chat {
            thread: summary.id,
            name: self.name(summary.others.first().copied()),
            unread: summary.unread,
            activity_ms: summary.activity_ms,
            newest: summary.newest.map(|newest| (rows::in_a_line(&newest), rows::tick_of(&newest))),
        }
    }

    async fn peer(&mut self, thread: ThreadId) -> Result<Contact, Error> {
        self.client.thread(thread).await?.others().await?.into_iter().next().ok_or(Error::NotFound)
    }

    fn name(&self, user: Option<UserId>) -> Shown {
        match user {
            Some(user) => Shown::line(&self.home.name(user)),
            None => Shown::line("nobody"),
        }
    }
}

#[derive(Clone, Copy)]
enum Page {
    Older,
    Newer,
}

/// Whether the list of chats shows something else after this event.
fn changes_list(event: &Event) -> bool {
    matches!(
        event,
        Event::ThreadAdded(_)
            | Event::MessageAdded(_)
            | Event::MessageChanged { .. }
            | Event::MessageRemoved { .. }
    )
}

//! Carries out what the screen asks of the library, and reports what the library says.

mod calls;
mod changes;
mod cleaning;
mod happening;
mod listing;
mod meet;
mod open;
mod privacy;
mod problem;
mod rows;
mod searching;
mod settings;
mod showing;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sealpost_core::{
    Calls, Change, Client, Contact, Error, Feed, Folder, Hit, MessageId, ThreadId, ThreadKind, UserId,
    displayable_name,
};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::groups::{self, Called};
use crate::home::Home;
use crate::news::{News, Request};
use crate::text::Shown;
use calls::OurCall;
use open::Open;
pub(crate) use problem::Problem;

/// The updates that are taken at once.
const BATCH: usize = 256;
/// The pause after a failure.
const PAUSE: Duration = Duration::from_millis(200);
/// How long the end of the program waits for what was begun.
const END: Duration = Duration::from_secs(10);
/// The chats that are added to the list at once.
const CHATS: usize = 50;

/// The side of the client.
pub(crate) struct Worker {
    client: Client,
    home: Arc<Home>,
    feed: Feed,
    calls: Calls,
    /// The chat in which our call has just given way to theirs.
    crossed: Option<ThreadId>,
    /// What takes a while, and must not hold up anything else.
    tasks: JoinSet<Option<OurCall>>,
    /// The calls that this program has made or answered. Some may have ended.
    ours: Vec<OurCall>,
    requests: mpsc::UnboundedReceiver<Request>,
    news: mpsc::UnboundedSender<News>,
    /// The list that is shown, and the number of chats that it is to show.
    folder: Folder,
    chats: usize,
    open: Option<Open>,
    /// What the last search has found.
    hits: Vec<Hit>,
    /// What people are called according to themselves.
    profiles: HashMap<UserId, String>,
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
        let (feed, calls) = (client.subscribe(), client.calls());
        let (folder, chats) = (Folder::Chats, CHATS);
        let profiles = HashMap::new();
        let worker = Self {
            client,
            home,
            feed,
            calls,
            crossed: None,
            tasks: JoinSet::new(),
            ours: Vec::new(),
            requests,
            news,
            folder,
            chats,
            open: None,
            hits: Vec::new(),
            profiles,
            meeting: None,
        };
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
                    Some(Err(error)) => Err(error.into()),
                    None => break,
                },
                Some(done) = self.tasks.join_next() => {
                    self.ours.extend(done.ok().flatten());
                    Ok(())
                }
                Some(event) = self.calls.next() => self.call_happened(event).await.map_err(Problem::from),
                changes = Open::changed(self.open.as_mut()) => match changes {
                    Some(Ok(changes)) => self.changed(changes).await.map_err(Problem::from),
                    Some(Err(error)) => Err(error.into()),
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
        let _ = timeout(END, self.finish()).await;
    }

    fn note(&self, note: &str) {
        self.tell(News::Note(note.to_owned()));
    }

    fn tell(&self, news: News) {
        // If the screen is gone, the loop above ends.
        let _ = self.news.send(news);
    }

    async fn carry_out(&mut self, request: Request) -> Result<(), Problem> {
        match request {
            Request::Open { thread, around } => self.open_or_tell(thread, around, None).await,
            Request::OpenFound { thread, message } => {
                let hit = self.hits.iter().find(|hit| hit.message.id == message).cloned();
                self.open_or_tell(thread, Some(message), hit).await;
            }
            Request::Meet(name) => {
                let meeting =
                    meet::meet(self.client.clone(), Arc::clone(&self.home), name, self.news.clone());
                let waiting = self.meeting.replace(tokio::spawn(meeting).abort_handle());
                waiting.iter().for_each(AbortHandle::abort);
            }
            Request::NewGroup { title, people } => {
                let creating = meet::create(
                    self.client.clone(),
                    Arc::clone(&self.home),
                    (title, people),
                    self.news.clone(),
                );
                let waiting = self.meeting.replace(tokio::spawn(creating).abort_handle());
                waiting.iter().for_each(AbortHandle::abort);
            }
            Request::InGroup(thread, change) => {
                let done = groups::change(&self.client, &self.home, (thread, change)).await?;
                self.tell(News::Note(done));
            }
            Request::Note => {
                let thread = self.client.note_to_self().await?.id();
                self.tell(News::Met { thread, name: self.name(None) });
            }
            Request::Send { thread, text } => self.send(thread, text).await,
            Request::MarkRead { thread, up_to } => self.client.thread(thread).await?.mark_read(up_to).await?,
            Request::Older => self.page(Page::Older).await?,
            Request::Newer => self.page(Page::Newer).await?,
            Request::MoreChats => {
                self.chats = self.chats.saturating_add(CHATS);
                self.list_chats().await?;
            }
            Request::Search { words, thread } => self.search(words, thread).await?,
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
            Request::Accept(thread) => self.accept(thread).await?,
            Request::Folder(folder) => self.show_folder(folder).await?,
            Request::Set(thread, setting) => self.set(thread, setting).await?,
            Request::Block { who, is_blocked } => self.set_blocked(who, is_blocked).await?,
            Request::Draft { thread, text } => self.client.thread(thread).await?.set_draft(&text).await?,
            Request::Typing { thread, is_typing } => {
                self.client.thread(thread).await?.set_typing(is_typing).await?;
            }
            Request::Change(thread, change) => self.change(thread, change).await?,
            Request::Show(thread, asked) => self.show(thread, asked).await?,
            Request::Overview(overview) => self.overview(overview).await?,
            Request::Privacy { thread, what, is_on } => self.set_privacy(thread, what, is_on).await?,
            Request::CleanUp { thread, days } => self.clean_up(thread, days).await?,
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
            Request::Call(thread) => self.call_or_tell(thread).await,
            Request::InCall(thread, call, step) => self.step_in_call(thread, call, step).await?,
            Request::GiveUp { thread, message } => self.client.thread(thread).await?.give_up(message).await?,
        }
        Ok(())
    }

    /// The screen waits for one of the two.
    async fn open_or_tell(&mut self, thread: ThreadId, around: Option<MessageId>, hit: Option<Hit>) {
        if let Err(problem) = self.open(thread, around, hit).await {
            self.tell(News::NotOpened { thread, why: problem.to_string() });
        }
    }

    async fn open(
        &mut self,
        thread: ThreadId,
        around: Option<MessageId>,
        hit: Option<Hit>,
    ) -> Result<(), Problem> {
        let handle = self.client.thread(thread).await?;
        let unread = handle.summary().await?.unread;
        let draft = handle.draft().await?;
        let others = handle.others().await?;
        let kind = handle.kind().await?;
        let opened =
            Open::new(handle, around, unread).await?.with_hit(hit).with_authors(kind == ThreadKind::Group);
        let users: Vec<_> = others.iter().map(Contact::user_id).collect();
        self.read_profiles(&users).await?;
        let name = self.chat_name(thread, kind, users.first().copied()).await?;
        let rows = opened.rows(&|user| self.who_is(user));
        self.tell(News::Opened { thread, name, rows, around, draft });
        self.open = Some(opened);
        self.tell_peer().await?;
        self.tell_trust(thread).await
    }

    /// A text that cannot be queued goes back to the person who wrote it.
    async fn send(&mut self, thread: ThreadId, text: String) {
        let (styled, markup) = self.styled(&text);
        let queued = async { self.client.thread(thread).await?.send_with(&styled, markup).await };
        match queued.await {
            // A person is waiting, so connecting is worthwhile.
            Ok(_) => self.client.reconnect(),
            Err(error) => {
                let why = self.not_sent(thread, error).await.to_string();
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

    async fn changed(&mut self, changes: Vec<Change>) -> Result<(), Error> {
        let Some(open) = &mut self.open else { return Ok(()) };
        open.apply(changes).await?;
        self.tell_rows();
        Ok(())
    }

    fn tell_rows(&self) {
        if let Some(open) = &self.open {
            self.tell(News::Rows { thread: open.id(), rows: open.rows(&|user| self.who_is(user)) });
        }
    }

    /// How far the safety number is trusted; nothing before the first message.
    async fn tell_trust(&mut self, thread: ThreadId) -> Result<(), Problem> {
        let peer = match self.peer(thread).await {
            // Nobody else is in the note to self, and everybody in a group is trusted for themselves.
            Err(Problem::Alone | Problem::Group) => return Ok(()),
            peer => peer?,
        };
        match peer.trust().await {
            Ok(trust) => self.tell(News::Trust { thread, trust }),
            Err(Error::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    async fn tell_trust_of_open(&mut self) -> Result<(), Problem> {
        match self.open.as_ref().map(Open::id) {
            Some(thread) => self.tell_trust(thread).await,
            None => Ok(()),
        }
    }

    async fn peer(&mut self, thread: ThreadId) -> Result<Contact, Problem> {
        let handle = self.client.thread(thread).await?;
        match handle.kind().await? {
            ThreadKind::Group => Err(Problem::Group),
            _ => handle.others().await?.into_iter().next().ok_or(Problem::Alone),
        }
    }

    /// What a chat is called: a group by its title, another one by the person in it.
    async fn chat_name(
        &mut self,
        thread: ThreadId,
        kind: ThreadKind,
        other: Option<UserId>,
    ) -> Result<Shown, Error> {
        let called = match kind {
            ThreadKind::Group => Called::of(&self.client, thread).await?,
            _ => None,
        };
        Ok(match called {
            Some(called) => Shown::line(&called.in_words(|user| self.who_is(user))),
            None => self.name(other),
        })
    }

    fn name(&self, user: Option<UserId>) -> Shown {
        match user {
            Some(user) => Shown::line(&self.who_is(user)),
            None => Shown::line("Note to self"),
        }
    }

    /// The name on this machine; otherwise, what the person says that they are called, with the beginning of the user id, because
    /// anybody can use any name.
    fn who_is(&self, user: UserId) -> String {
        let name = self.home.name(user);
        match self.profiles.get(&user).filter(|_| self.home.user(&name) != Some(user)) {
            Some(own) => format!("{own} ({name})"),
            None => name,
        }
    }

    /// Reads what people are called whom this machine does not know.
    async fn read_profiles(&mut self, users: &[UserId]) -> Result<(), Error> {
        for (user, profile) in self.client.profiles(users).await? {
            let name = displayable_name(&profile.name);
            if name.is_empty() {
                self.profiles.remove(&user);
            } else {
                self.profiles.insert(user, name);
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Page {
    Older,
    Newer,
}

//! The line mode, for pipes: a line of input is a message, and each event is a line of output.

mod changes;
mod group;
mod screen;
mod unsent;

use std::io;
use std::time::Duration;

use sealpost_core::{
    Arrivals, CallSignal, Calls, Client, Direction, Error, Event, Events, Folder, Message, MessageId,
    Position, Thread, ThreadKind,
};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines, Stdin};
use tokio::time::sleep;

use crate::commands::{self, Command, Line};
use crate::groups::People;
use crate::home::Home;
use crate::state::groups;
use changes::Printed;
use screen::Screen;

const COMMANDS: &str = "/safety shows the safety number, /verify DIGITS compares it, /accept accepts a request or a changed one, /retry sends again what was not sent, /discard discards the newest of it, /older an older page, /quit ends; /group TITLE NAMES creates a group, in which /members, /invite, /remove, /leave, /admin, /unadmin, /title, /allow and /dissolve do what ./dev chat says under /help; // sends a text that begins with a slash";

/// Why the line mode has ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlainError {
    /// Nobody reads the output any more.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
    #[error("{0}")]
    Client(#[from] Error),
}

/// Holds a conversation until the input ends.
pub(crate) async fn run(
    client: &Client,
    home: &Home,
    us: &str,
    with: Option<String>,
) -> Result<(), PlainError> {
    let screen = Screen::new(us, "them");
    screen.note(&format!("you are {us}, user id {}", client.user_id()))?;
    let (thread, them) = meet(client, home, with, &screen).await?;
    let conversation = Conversation {
        screen: Screen::new(us, &them),
        // Subscribed before the history is shown, so that no message is missed in between.
        events: client.events(),
        arrivals: thread.arrivals(),
        calls: client.calls(),
        printed: Printed::default(),
        input: BufReader::new(tokio::io::stdin()).lines(),
        client: client.clone(),
        thread,
        older: None,
        home,
        shown: None,
        people: People::default(),
        title: None,
    };
    conversation.run().await
}

/// The thread with the peer, and the peer's name. Waits for the peer if necessary.
async fn meet(
    client: &Client,
    home: &Home,
    with: Option<String>,
    screen: &Screen,
) -> Result<(Thread, String), PlainError> {
    let mut events = client.events();
    let Some(with) = with else {
        // Writing in a request accepts it.
        for folder in [Folder::Chats, Folder::Requests] {
            let chats = client.folder_page(folder, None, 2).await?.threads;
            // Not the note to self, of which there is one.
            if let Some(newest) = chats.iter().find(|chat| chat.kind != ThreadKind::NoteToSelf) {
                return Ok((client.thread(newest.id).await?, called(newest.kind).to_owned()));
            }
        }
        screen.note("waiting for a message")?;
        loop {
            match events.next().await {
                Some(Ok(Event::ThreadAdded(id))) => {
                    let thread = client.thread(id).await?;
                    let them = called(thread.kind().await?).to_owned();
                    return Ok((thread, them));
                }
                Some(_) => {}
                None => return Err(Error::Bug("the events ended").into()),
            }
        }
    };
    let mut told = false;
    loop {
        let problem = match home.user(&with) {
            None => format!("waiting for {with} to run ./dev chat --name {with}"),
            Some(user) => match client.direct_thread(user).await {
                Ok(thread) => return Ok((thread, with)),
                Err(error) if error.is_retryable() => format!("waiting: {error}"),
                Err(error) => return Err(error.into()),
            },
        };
        if !std::mem::replace(&mut told, true) {
            screen.note(&problem)?;
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// The others, where their names are not known.
const fn called(kind: ThreadKind) -> &'static str {
    match kind {
        ThreadKind::Group => "everybody",
        _ => "them",
    }
}

struct Conversation<'h> {
    client: Client,
    home: &'h Home,
    thread: Thread,
    screen: Screen,
    events: Events,
    /// Also what another program of the same name has stored.
    arrivals: Arrivals,
    calls: Calls,
    printed: Printed,
    input: Lines<BufReader<Stdin>>,
    older: Option<Position>,
    /// The newest message of the first page.
    shown: Option<MessageId>,
    /// Who is in the group, if it is one, and what it is called.
    people: People,
    title: Option<String>,
}

impl Conversation<'_> {
    async fn run(mut self) -> Result<(), PlainError> {
        self.look_at_group(false).await?;
        self.shown = self.show_page(None).await?.map(|message| message.id);
        if let Some(newest) = self.shown {
            self.thread.mark_read(newest).await?;
        }
        self.screen.note("type a message and press enter; /help lists the commands")?;
        loop {
            tokio::select! {
                // A message is shown before what is reported about it.
                biased;
                arrival = self.arrivals.next() => match arrival {
                    Some(message) => {
                        let message = message?;
                        // Those of the first page have been shown.
                        if self.shown.is_none_or(|newest| message.id > newest) {
                            self.arrived(message).await?;
                        }
                    }
                    None => return Ok(()),
                },
                line = self.input.next_line() => match line {
                    Ok(Some(line)) => {
                        if !self.entered(&line).await? {
                            return Ok(());
                        }
                    }
                    // At the end of the input, queued messages are sent before the program ends.
                    _ => return self.let_it_leave().await,
                },
                Some(call) = self.calls.next() => {
                    if matches!(call.signal, CallSignal::Offer { .. }) {
                        self.screen.note("somebody calls; the line mode cannot take calls, the screen can")?;
                    }
                }
                event = self.events.next() => match event {
                    Some(Ok(event)) => self.happened(event).await?,
                    // Only progress was lost; it is in the history.
                    Some(Err(_)) => {}
                    None => return Ok(()),
                },
            }
        }
    }

    /// Returns `false` if the user ends the chat.
    async fn entered(&mut self, line: &str) -> Result<bool, PlainError> {
        match (line.trim(), commands::read(line)) {
            ("/safety", _) => self.show_safety_number().await?,
            (_, Line::Command(Command::Verify(digits))) if digits.is_empty() => {
                self.show_safety_number().await?;
            }
            (_, Line::Command(Command::Verify(digits))) => {
                let others = self.thread.others().await?;
                let other = others.first().ok_or(Error::NotFound)?;
                let note = match other.verify(&digits).await {
                    Ok(true) => "the safety number is the same: verified",
                    Ok(false) => "the safety number is NOT the same",
                    Err(Error::NotFound) => "no safety number before the first message",
                    Err(error) => return Err(error.into()),
                };
                self.screen.note(note)?;
            }
            ("/older", _) => {
                if let Some(older) = self.older {
                    self.show_page(Some(older)).await?;
                } else {
                    self.screen.note("there are no older messages")?;
                }
            }
            (_, Line::Nothing) => {}
            (_, Line::Text(text)) => match self.thread.send_text(&text).await {
                // A person is waiting, so connecting is worthwhile.
                Ok(_) => self.client.reconnect(),
                Err(error) => self.refused(error).await?,
            },
            (_, Line::Command(Command::Accept)) => self.accept().await?,
            (_, Line::Command(Command::Retry)) => self.retry().await?,
            (_, Line::Command(Command::Discard)) => self.discard().await?,
            (_, Line::Command(Command::Quit)) => {
                self.let_it_leave().await?;
                return Ok(false);
            }
            (_, Line::Command(Command::Help)) => self.screen.note(COMMANDS)?,
            (_, Line::Command(command)) if self.do_in_group(&command).await? => {}
            (_, Line::Surplus(name)) => self.screen.note(&format!("/{name} takes nothing after it"))?,
            (typed, Line::Command(_) | Line::Unknown(_)) => {
                let command = typed.split_whitespace().next().unwrap_or_default();
                self.screen.note(&format!(
                    "{command} is not a command of the line mode, and was not sent; {COMMANDS}"
                ))?;
            }
        }
        Ok(true)
    }

    async fn arrived(&mut self, message: Message) -> Result<(), PlainError> {
        // With it can have come what the group is called.
        self.look_at_group(true).await?;
        self.screen.message(&message)?;
        self.printed.remember(&message);
        if matches!(message.direction, Direction::Incoming { .. }) {
            self.thread.mark_read(message.id).await?;
        }
        Ok(())
    }

    async fn happened(&mut self, event: Event) -> Result<(), PlainError> {
        self.warn(&event)?;
        match event {
            Event::MessageChanged { message, .. } if message.thread == self.thread.id() => {
                self.printed.changed(&self.screen, &message)?;
            }
            Event::ThreadChanged(thread) if thread == self.thread.id() => self.look_at_group(true).await?,
            Event::ProfileChanged(_) => self.look_at_group(true).await?,
            Event::IdentityChanged(user) | Event::AccountMoved(user) => {
                let others = self.thread.others().await?;
                if others.iter().any(|other| other.user_id() == user) {
                    self.screen.note("the safety number has changed; /safety shows it")?;
                }
            }
            Event::MessagesMissing { first, last, .. } => {
                self.screen.note(&format!("messages {first} to {last} are missing"))?;
            }
            Event::Connection(state) => self.screen.connection(state)?,
            _ => {}
        }
        Ok(())
    }

    async fn show_safety_number(&self) -> Result<(), PlainError> {
        match self.safety_number().await {
            Some(number) => self.screen.note(&format!("safety number {}", groups(&number).join(" ")))?,
            None => self.screen.note("no safety number before the first message")?,
        }
        Ok(())
    }

    async fn safety_number(&self) -> Option<String> {
        self.thread.others().await.ok()?.first()?.safety_number().await.ok()
    }

    /// Shows a page, oldest message first, and returns its newest message.
    async fn show_page(&mut self, before: Option<Position>) -> Result<Option<Message>, PlainError> {
        let page = self.thread.history_of(before, 20).await?;
        for message in page.messages.iter().rev() {
            self.screen.message(message)?;
            self.printed.remember(message);
        }
        self.older = page.older;
        Ok(page.messages.into_iter().next())
    }

    /// Waits a moment for queued messages to be sent. The others are on disk and are sent the next time.
    async fn let_it_leave(&mut self) -> Result<(), PlainError> {
        for _ in 0..20 {
            let page = self.thread.history_of(None, 20).await?;
            let waits = |message: &Message| message.server_seq.is_none();
            if !page.messages.iter().any(waits) {
                return Ok(());
            }
            sleep(Duration::from_millis(100)).await;
        }
        let unsent = "some messages were not sent yet; they will be sent the next time";
        Ok(self.screen.note(unsent)?)
    }
}

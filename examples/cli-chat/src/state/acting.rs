//! Carries out the commands that the person types.

use sealpost_core::{MessageId, ThreadId};

use super::selection::Target;
use super::{Overlay, Search, State, area};
use crate::commands::Command;
use crate::forms;
use crate::groups;
use crate::news::{Asked, Change, Request};

impl State {
    /// Carries out a command. Returns false if it cannot be carried out as it was typed: it stays, to be corrected.
    pub(super) fn carry_out(&mut self, command: Command, requests: &mut Vec<Request>) -> bool {
        match self.act(command, requests) {
            Ok(()) => true,
            Err(why) => {
                self.say(why);
                false
            }
        }
    }

    fn act(&mut self, command: Command, requests: &mut Vec<Request>) -> Result<(), &'static str> {
        if let Some(asked) = groups::read(&command) {
            requests.push(Request::InGroup(self.chat()?, asked?));
            return Ok(());
        }
        match command {
            Command::Help => self.overlay = Some(Overlay::Help(0)),
            Command::Quit => self.is_over = true,
            Command::Search(words) => self.search(&words, None, requests),
            Command::Find(words) => self.search(&words, Some(self.chat()?), requests),
            Command::Chat(name) if name.is_empty() => return Err("/chat needs a name or a user id"),
            Command::Chat(name) => requests.push(Request::Meet(name)),
            Command::Note => requests.push(Request::Note),
            Command::Group(form) => {
                let (title, people) = groups::new_group(&form)?;
                requests.push(Request::NewGroup { title, people });
            }
            Command::Members => requests.push(Request::Show(self.chat()?, Asked::Members)),
            Command::Verify(digits) => {
                let thread = self.chat()?;
                requests.push(match digits.as_str() {
                    "" => Request::SafetyNumber(thread),
                    _ => Request::Verify { thread, digits },
                });
            }
            Command::Accept => requests.push(Request::Accept(self.chat()?)),
            Command::Links => requests.push(Request::Show(self.chat()?, Asked::Links)),
            Command::Report => requests.push(Request::Show(self.chat()?, Asked::Report)),
            Command::Pins => requests.push(Request::Show(self.chat()?, Asked::Pins)),
            Command::Details => self.show_details(requests)?,
            Command::Jump => self.jump(requests)?,
            Command::Profile(form) => match forms::profile(&form) {
                Some((name, about)) => requests.push(Request::Profile { name, about }),
                None => requests.push(Request::Show(self.chat()?, Asked::Profiles)),
            },
            Command::Retry => self.retry(requests)?,
            Command::Discard => self.discard(requests)?,
            Command::Call => requests.push(self.call()?),
            Command::Answer => requests.extend(self.answer()?),
            Command::Decline => requests.push(self.decline()?),
            Command::HangUp => requests.extend(self.hang_up()?),
            command @ (Command::Block(_)
            | Command::Unblock(_)
            | Command::Blocked
            | Command::Clear
            | Command::Mute(_)
            | Command::Unmute
            | Command::Archive
            | Command::Unarchive
            | Command::Top
            | Command::Untop
            | Command::Unread
            | Command::Presence(_)
            | Command::Privacy(_)
            | Command::Storage
            | Command::CleanUp(_)
            | Command::Show(_)) => requests.push(self.decide(command)?),
            command => {
                let change = self.change(command)?;
                self.done_with_selection();
                requests.push(Request::Change(self.chat()?, change));
            }
        }
        Ok(())
    }

    fn search(&mut self, words: &str, thread: Option<ThreadId>, requests: &mut Vec<Request>) {
        let mut search = Search::new(words, thread);
        requests.extend(search.due());
        self.overlay = Some(Overlay::Search(search));
    }

    /// What a command changes about a message, or sends.
    fn change(&mut self, command: Command) -> Result<Change, &'static str> {
        self.chat()?;
        Ok(match command {
            Command::Reply(text) if text.is_empty() => return Err("/reply needs a text"),
            Command::Edit(text) if text.is_empty() => return Err("/edit needs a text"),
            Command::Forward(to) if to.is_empty() => return Err("/forward needs a name or a user id"),
            Command::Reply(text) => Change::Reply { message: self.target(Target::Theirs)?, text },
            Command::React(emoji) => Change::React { message: self.target(Target::Theirs)?, emoji },
            Command::Edit(text) => Change::Edit { message: self.target(Target::OurText)?, text },
            Command::Delete => Change::Delete(self.target(Target::Ours)?),
            Command::Hide => {
                let message = self.target(Target::Any)?;
                self.hidden.entry(self.chat()?).or_default().push(message);
                Change::Hide(message)
            }
            Command::Undo => {
                let hidden = self.hidden.get_mut(&self.chat()?).and_then(Vec::pop);
                Change::Restore(hidden.ok_or("nothing was deleted in this chat on this device only")?)
            }
            Command::Pin => Change::Pin { message: self.target(Target::Readable)?, is_pinned: true },
            Command::Unpin => Change::Pin { message: self.target(Target::Readable)?, is_pinned: false },
            Command::Forward(to) => Change::Forward { message: self.target(Target::Readable)?, to },
            Command::Vote(form) => {
                Change::Vote { choices: forms::choices(&form)?, poll: self.target(Target::Poll)? }
            }
            Command::Poll { form, is_multiple } => forms::poll(&form, is_multiple)?,
            Command::Link(form) => forms::link(&form)?,
            Command::Card(form) => forms::card(&form)?,
            Command::Location(form) => forms::location(&form)?,
            Command::Timer(seconds) => {
                Change::Timer { seconds: seconds.parse().map_err(|_| "/timer needs a number of seconds")? }
            }
            _ => return Err("that is not about a message"),
        })
    }

    pub(super) fn show_details(&mut self, requests: &mut Vec<Request>) -> Result<(), &'static str> {
        let (thread, message) = (self.chat()?, self.target(Target::Any)?);
        requests.push(Request::Show(thread, Asked::Details(message)));
        Ok(())
    }

    /// Shows the message that the selected one, or the newest reply, refers to.
    fn jump(&mut self, requests: &mut Vec<Request>) -> Result<(), &'static str> {
        let thread = self.chat()?;
        let open = self.conversation.as_ref();
        let quoted = open.and_then(|open| match open.selected() {
            Some(selected) => selected.quoted,
            None => open.rows().iter().rev().find_map(|row| row.quoted),
        });
        let quoted = quoted.ok_or("there is no reply here whose message is on this device")?;
        let layout = self.layout();
        let area = area(&layout, &self.clock);
        match self.conversation.as_mut().filter(|open| open.has(quoted)) {
            Some(open) => open.select(Some(quoted), area),
            None => requests.push(Request::Open { thread, around: Some(quoted) }),
        }
        Ok(())
    }

    fn retry(&mut self, requests: &mut Vec<Request>) -> Result<(), &'static str> {
        let thread = self.chat()?;
        let messages = self.conversation.as_ref().map(|open| open.failed()).unwrap_or_default();
        if messages.is_empty() {
            return Err("there is nothing to send again");
        }
        requests.push(Request::Retry { thread, messages });
        Ok(())
    }

    fn discard(&mut self, requests: &mut Vec<Request>) -> Result<(), &'static str> {
        let thread = self.chat()?;
        let again = self.may_have_left.take();
        let unsent = self.conversation.as_ref().and_then(|open| open.unsent());
        let message = unsent.ok_or("there is nothing to discard: everything was sent")?;
        requests.push(match again == Some(message) {
            true => Request::GiveUp { thread, message },
            false => Request::Discard { thread, message },
        });
        Ok(())
    }

    fn target(&self, target: Target) -> Result<MessageId, &'static str> {
        let found = self.conversation.as_ref().and_then(|open| open.target(target));
        found.map(|row| row.id).ok_or(target.missing())
    }

    pub(super) fn chat(&self) -> Result<ThreadId, &'static str> {
        if self.is_opening() {
            return Err("the chat is being opened");
        }
        self.open_thread().ok_or("open a chat first: choose one in the list, or /chat NAME")
    }
}

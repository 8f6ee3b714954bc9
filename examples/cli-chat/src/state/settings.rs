//! What the person decides about a chat, or about the people in it.

use sealpost_core::PrivacySetting;

use super::State;
use crate::commands::Command;
use crate::forms;
use crate::layout::Pane;
use crate::news::{Overview, Request, Setting, Who};

impl State {
    /// What a command asks for that is about the open chat, or about a person.
    pub(super) fn decide(&mut self, command: Command) -> Result<Request, &'static str> {
        let named = |name: &str| (!name.is_empty()).then(|| Who::Name(name.to_owned()));
        let setting = match command {
            Command::Block(name) => {
                let who = named(&name).map_or_else(|| self.chat().map(Who::Thread), Ok)?;
                return Ok(Request::Block { who, is_blocked: true });
            }
            Command::Unblock(name) => {
                let who = named(&name).map_or_else(|| self.chat().map(Who::Thread), Ok)?;
                return Ok(Request::Block { who, is_blocked: false });
            }
            Command::Blocked => return Ok(Request::Overview(Overview::Blocked)),
            Command::Storage => return Ok(Request::Overview(Overview::Storage)),
            Command::CleanUp(form) => {
                let (days, is_here) = forms::clean_up(&form)?;
                let thread = if is_here { Some(self.chat()?) } else { None };
                return Ok(Request::CleanUp { thread, days });
            }
            Command::Show(folder) => {
                self.pane = Pane::Chats;
                return Ok(Request::Folder(folder));
            }
            Command::Mute(hours) if hours.is_empty() => Setting::Muted { hours: None },
            Command::Mute(hours) => {
                Setting::Muted { hours: Some(hours.parse().map_err(|_| "/mute needs a number of hours")?) }
            }
            Command::Unmute => Setting::Loud,
            Command::Archive => Setting::Archived(true),
            Command::Unarchive => Setting::Archived(false),
            Command::Top => Setting::OnTop(true),
            Command::Untop => Setting::OnTop(false),
            Command::Unread => {
                // Otherwise, it would be read again at once.
                self.pane = Pane::Chats;
                Setting::MarkedUnread
            }
            Command::Presence(word) => {
                let is_on = forms::switch(&word).ok_or("/presence needs on or off")?;
                let (thread, what) = (Some(self.chat()?), PrivacySetting::Presence);
                return Ok(Request::Privacy { thread, what, is_on });
            }
            Command::Privacy(form) if form.is_empty() => {
                return Ok(Request::Overview(Overview::Privacy(self.open_thread())));
            }
            Command::Privacy(form) => {
                let (what, is_on, is_here) = forms::privacy(&form)?;
                let thread = if is_here { Some(self.chat()?) } else { None };
                return Ok(Request::Privacy { thread, what, is_on });
            }
            _ => Setting::Deleted,
        };
        Ok(Request::Set(self.chat()?, setting))
    }
}

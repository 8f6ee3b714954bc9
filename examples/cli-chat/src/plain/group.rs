//! Groups in the line mode.

use std::time::Duration;

use sealpost_core::{Client, Error, Event, ThreadId, ThreadKind, UserId, displayable_name};
use tokio::time::sleep;

use super::{Conversation, PlainError};
use crate::commands::Command;
use crate::groups::{self, Called, GroupProblem, InGroup, Overview, People};
use crate::home::Home;

/// How long the relay is waited for, in tenths of a second.
const PATIENCE: usize = 100;

/// What people in a group are called: on this machine, or by themselves.
async fn authors(client: &Client, home: &Home, thread: ThreadId) -> Result<Vec<(UserId, String)>, Error> {
    let mut authors = Vec::new();
    for other in client.thread(thread).await?.others().await? {
        let (user, mut name) = (other.user_id(), home.name(other.user_id()));
        let own = other.profile().await?.map(|profile| displayable_name(&profile.name)).unwrap_or_default();
        if home.user(&name) != Some(user) && !own.is_empty() {
            name = format!("{own} ({name})");
        }
        authors.push((user, name));
    }
    Ok(authors)
}

impl Conversation<'_> {
    /// What a person is called in lines about the group.
    fn name(&self, user: UserId) -> String {
        if user == self.client.user_id() { "you".to_owned() } else { self.home.name(user) }
    }

    /// Reads who is in the group, if it is one, and tells what has changed since it was read before.
    pub(super) async fn look_at_group(&mut self, is_told: bool) -> Result<(), PlainError> {
        let thread = self.thread.id();
        if self.thread.kind().await? != ThreadKind::Group {
            return Ok(());
        }
        self.screen.know_authors(authors(&self.client, self.home, thread).await?);
        let now = People::of(&self.client, thread).await?;
        let changes = self.people.changes(&now, |user| self.name(user));
        self.people = now;
        let called = Called::of(&self.client, thread).await?;
        let title = called.map(|called| called.in_words(|user| self.home.name(user)));
        if self.title != title {
            if let Some(title) = &title {
                self.screen.note(&format!("the group is called {title}"))?;
            }
            self.title = title;
        }
        if is_told {
            for change in changes {
                self.screen.note(&change)?;
            }
        }
        Ok(())
    }

    /// Tells what is wrong with a group.
    pub(super) fn warn(&self, event: &Event) -> Result<(), PlainError> {
        match groups::warning(event) {
            Some(warning) => Ok(self.screen.note(warning)?),
            None => Ok(()),
        }
    }

    /// Carries out a command about groups. Returns false if it is about something else.
    pub(super) async fn do_in_group(&mut self, command: &Command) -> Result<bool, PlainError> {
        let thread = self.thread.id();
        let done = match (command, groups::read(command)) {
            (Command::Group(form), _) => match groups::new_group(form) {
                Ok(new) => return self.create_group(new).await.map(|()| true),
                Err(why) => Ok(why.to_owned()),
            },
            (Command::Members, _) => {
                let group = Overview::of(&self.client, thread).await;
                group.map(|group| group.lines(|user| self.name(user)).join("\n  · "))
            }
            (_, Some(Err(why))) => Ok(why.to_owned()),
            (_, Some(Ok(asked))) => self.change_group(thread, asked).await,
            _ => return Ok(false),
        };
        self.told(done)?;
        Ok(true)
    }

    async fn change_group(&self, thread: ThreadId, asked: InGroup) -> Result<String, GroupProblem> {
        groups::change(&self.client, self.home, (thread, asked)).await
    }

    /// What the person does wrong is told; only the disk ends the program.
    fn told(&self, done: Result<String, GroupProblem>) -> Result<(), PlainError> {
        match done {
            Ok(note) => Ok(self.screen.note(&note)?),
            Err(GroupProblem::Client(error @ Error::Storage(_))) => Err(error.into()),
            Err(problem) => Ok(self.screen.note(&problem.to_string())?),
        }
    }

    /// Creates a group, and goes on in it.
    async fn create_group(&mut self, (title, people): (String, Vec<String>)) -> Result<(), PlainError> {
        let id = match groups::create(&self.client, self.home, (title, &people)).await {
            Ok(id) => id,
            Err(problem) => return self.told(Err(problem)),
        };
        for _ in 0..PATIENCE {
            match self.client.thread(id).await {
                Err(Error::NotFound) => sleep(Duration::from_millis(100)).await,
                thread => return self.go_on_in(thread?, &people).await,
            }
        }
        Ok(self.screen.note("the group is created once the relay answers")?)
    }

    async fn go_on_in(&mut self, group: sealpost_core::Thread, people: &[String]) -> Result<(), PlainError> {
        self.arrivals = group.arrivals();
        self.thread = group;
        (self.shown, self.older) = (None, None);
        self.screen.go_on_with("everybody");
        self.people = People::default();
        self.look_at_group(false).await?;
        Ok(self
            .screen
            .note(&format!("what you write goes to the group now; invited: {}", people.join(", ")))?)
    }
}

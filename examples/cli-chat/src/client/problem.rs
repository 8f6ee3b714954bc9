//! Why something that the person asked for was not done.

use std::fmt;

use sealpost_core::{Client, Error, ThreadId};

use super::Worker;
use crate::groups::GroupProblem;

#[derive(Debug)]
pub(crate) enum Problem {
    /// Nobody else is in the chat.
    Alone,
    /// It is about one person, and this is a group.
    Group,
    InGroup(GroupProblem),
    /// The person has blocked the other one.
    Blocked,
    /// A message was edited too often, or is too old to be changed.
    TooLate,
    Client(Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::Client(error)
    }
}

impl From<GroupProblem> for Problem {
    fn from(problem: GroupProblem) -> Self {
        Self::InGroup(problem)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group => {
                f.write_str("that is about one person, and this chat is a group: /members shows who is in it")
            }
            Self::InGroup(problem) => problem.fmt(f),
            Self::Alone => f.write_str("nobody else is in this chat"),
            Self::Blocked => f.write_str("you have blocked this person: /unblock ends that"),
            Self::TooLate => f.write_str("it is too late: the message is too old, or was edited too often"),
            Self::Client(error) => error.fmt(f),
        }
    }
}

impl Problem {
    /// Why nothing could be sent in a chat.
    pub(crate) async fn of(client: &Client, thread: ThreadId, error: Error) -> Self {
        let is_blocked = match client.thread(thread).await {
            Ok(handle) => handle.summary().await.is_ok_and(|summary| summary.is_blocked),
            Err(_) => false,
        };
        if error == Error::WrongState && is_blocked { Self::Blocked } else { Self::Client(error) }
    }
}

impl Worker {
    pub(super) async fn not_sent(&mut self, thread: ThreadId, error: Error) -> Problem {
        Problem::of(&self.client, thread, error).await
    }
}

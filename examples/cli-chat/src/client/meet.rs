//! Waiting for a user to appear.

use std::sync::Arc;
use std::time::Duration;

use sealpost_core::{Client, Error};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::sleep;

use crate::groups;
use crate::home::Home;
use crate::news::News;
use crate::text::Shown;

/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// Opens the thread with a user, as soon as the user is registered and the relay can be reached if it is needed.
pub(super) async fn meet(client: Client, home: Arc<Home>, name: String, news: UnboundedSender<News>) {
    let mut told = None;
    loop {
        let problem = match home.user(&name) {
            None => format!("waiting for {name} to run ./dev chat --name {name}"),
            Some(user) => match client.direct_thread(user).await {
                Ok(thread) => {
                    let name = Shown::line(&home.name(user));
                    let _ = news.send(News::Met { thread: thread.id(), name });
                    return;
                }
                Err(error) if error.is_retryable() => format!("waiting for {name}: {error}"),
                Err(Error::NotFound) => return fail(&news, &format!("the relay knows no user {name}")),
                Err(Error::Misuse(_)) => return fail(&news, "that is you"),
                Err(error) => return fail(&news, &error.to_string()),
            },
        };
        if told.replace(problem.clone()).as_ref() != Some(&problem) {
            let _ = news.send(News::Note(problem));
        }
        sleep(PAUSE).await;
    }
}

/// Creates a group, and opens it once the relay has it.
pub(super) async fn create(
    client: Client,
    home: Arc<Home>,
    (title, people): (String, Vec<String>),
    news: UnboundedSender<News>,
) {
    let thread = match groups::create(&client, &home, (title.clone(), &people)).await {
        Ok(thread) => thread,
        Err(problem) => return fail(&news, &problem.to_string()),
    };
    let _ = news.send(News::Note(format!("invited to {title}: {}", people.join(", "))));
    loop {
        match client.thread(thread).await {
            Ok(_) => {
                let _ = news.send(News::Met { thread, name: Shown::line(&title) });
                return;
            }
            Err(Error::NotFound) => sleep(PAUSE).await,
            Err(error) => return fail(&news, &error.to_string()),
        }
    }
}

fn fail(news: &UnboundedSender<News>, why: &str) {
    let _ = news.send(News::Note(why.to_owned()));
}

//! A messenger in a terminal, over the same library that an app uses.
//!
//! `./dev chat --name ada --with ben` in one terminal, `./dev chat --name ben --with ada` in another,
//! `./dev relay` in a third.
//!
//! Keys ([`keys`]) and what the client reports ([`client`]) change a pure state ([`state`]), which is drawn ([`view`]).

mod app;
mod arguments;
mod client;
mod clock;
mod commands;
mod contents;
mod editor;
mod forms;
mod groups;
mod help;
mod home;
mod input;
mod keys;
mod layout;
mod linking;
mod marked;
mod news;
mod plain;
mod signals;
mod state;
mod styles;
mod terminal;
mod text;
mod view;
mod wrap;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use sealpost_core::{Client, ConnectionState, Delivery, Direction, Error, Offline, Storage};
use tokio::time::sleep;

use app::Left;
use arguments::{Arguments, Link};
use client::Worker;
use home::{Home, HomeError};
use news::Request;
use plain::PlainError;

fn main() -> ExitCode {
    let arguments = match arguments::parse(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            // Whoever closes the output does not want the rest.
            let _ = writeln!(io::stdout(), "{}", arguments::HELP);
            return ExitCode::SUCCESS;
        }
        Err(what) => return fail(&format!("{what}\n\n{}", arguments::HELP), 2),
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.to_string(), 1),
    };
    let relay = arguments.relay.clone();
    let ended = runtime.block_on(chat(arguments));
    // A thread that waits for input would never end.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&explain(&error, &relay), 1),
    }
}

fn fail(what: &str, code: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "chat: {what}");
    ExitCode::from(code)
}

/// The error, with what to do about it.
fn explain(error: &HomeError, relay: &str) -> String {
    match error {
        HomeError::Client(Error::Offline(Offline::Unreachable | Offline::TimedOut)) => format!(
            "no relay answers at {relay}\n\n./dev relay starts one at http://127.0.0.1:8470; --relay URL names another"
        ),
        HomeError::Client(Error::Offline(Offline::NotARelay)) => {
            format!("what answers at {relay} is not a relay; --relay URL names another")
        }
        HomeError::Client(Error::Storage(Storage::InUse)) => {
            "another program is using the database of this account and does not let go of it; end it first"
                .to_owned()
        }
        other => other.to_string(),
    }
}

async fn chat(arguments: Arguments) -> Result<(), HomeError> {
    let Arguments { name, with, relay, state, plain, link } = arguments;
    let home = Arc::new(Home::at(&state)?);
    let client = match &link {
        Some(Link::Join) => linking::join(&home, &name, &relay).await?,
        Some(Link::Read(_)) | None => home.client(&name, &relay).await?,
    };
    if let Some(Link::Read(code)) = link {
        linking::read(&client, &code.parse().map_err(HomeError::Code)?).await?;
    }
    if plain || !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        match plain::run(&client, &home, &name, with).await {
            // Nobody reads the output any more.
            Ok(()) | Err(PlainError::Output(_)) => {}
            Err(PlainError::Client(error)) => return Err(error.into()),
        }
        return Ok(client.suspend().await?);
    }
    let (worker, requests, news) = Worker::new(client.clone(), home);
    let working = tokio::spawn(worker.run());
    if let Some(with) = with {
        let _ = requests.send(Request::Meet(with));
    }
    let left = app::run((&name, client.user_id()), &relay, requests, news).await;
    // Carries out what was asked of it before the screen was closed.
    let worked = working.await;
    if left.is_ok_and(|left| left == Left::WithoutClient) || worked.is_err() {
        return Err(Error::Bug("the client ended before the screen").into());
    }
    if !let_messages_leave(&client).await {
        let _ =
            writeln!(io::stdout(), "Some messages have not been sent yet. They will be sent the next time.");
    }
    Ok(client.suspend().await?)
}

/// Waits a moment for queued messages to be sent, and returns whether they were. The others are on disk.
async fn let_messages_leave(client: &Client) -> bool {
    for _ in 0..20 {
        let Ok(page) = client.thread_page(None, 50).await else { return true };
        let mut newest = page.threads.iter().filter_map(|thread| thread.newest.as_ref());
        if !newest.any(|newest| newest.direction == Direction::Outgoing(Delivery::Queued)) {
            return true;
        }
        if client.connection_state() != ConnectionState::Live {
            return false;
        }
        sleep(Duration::from_millis(100)).await;
    }
    false
}

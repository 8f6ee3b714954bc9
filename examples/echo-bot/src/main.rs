//! A bot that answers every text with the same text: `sealpost-echo-bot FOLDER RELAY`.

#![expect(clippy::print_stdout, reason = "it prints its user id, so that people can write to it")]

use std::path::Path;
use std::{env, error, fs};

use rand::Rng as _;
use sealpost_core::{
    Client, Config, DatabaseKey, Direction, Event, Message, MessageBody, Opened, Thread, Update,
};

type Result<T> = std::result::Result<T, Box<dyn error::Error>>;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [folder, relay] = arguments.as_slice() else { return Err("sealpost-echo-bot FOLDER RELAY".into()) };
    fs::create_dir_all(folder)?;
    let database_key = DatabaseKey::new(load_key(&Path::new(folder).join("bot.key"))?);
    let client =
        match Client::open(Config::new(Path::new(folder).join("bot.db"), database_key, relay)).await? {
            Opened::Ready(client) => client,
            Opened::Unregistered(new) => new.register(&[]).await?,
        };
    println!("{}", client.user_id());
    tokio::select! {
        ended = answer_everyone(&client) => ended?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Ok(client.suspend().await?)
}

/// The first update is a snapshot, so what the last run did not answer is answered at the start.
async fn answer_everyone(client: &Client) -> Result<()> {
    let mut updates = client.subscribe();
    while let Some(update) = updates.next().await {
        match update? {
            Update::Snapshot(_) | Update::Event(Event::MessageAdded(_)) => answer_unread(client).await?,
            Update::Event(_) => {}
        }
    }
    Ok(())
}

/// Answers every unread message. An answer is queued before its message is marked as read: if the process is killed in
/// between, the next run answers that message a second time, but no message stays without an answer.
async fn answer_unread(client: &Client) -> Result<()> {
    let mut page = client.thread_page(None, 500).await?;
    loop {
        for summary in page.threads.iter().filter(|summary| summary.unread > 0) {
            let thread = client.thread(summary.id).await?;
            for message in unread_messages(&thread, summary.unread).await? {
                if let MessageBody::Text(text) = &message.body {
                    thread.send_text(text).await?;
                }
                thread.mark_read(message.id).await?;
            }
        }
        let Some(next) = page.next else { return Ok(()) };
        page = client.thread_page(Some(next), 500).await?;
    }
}

/// The unread messages of a thread, oldest first.
async fn unread_messages(thread: &Thread, count: u64) -> Result<Vec<Message>> {
    let (mut unread, mut before) = (Vec::new(), None);
    loop {
        let page = thread.history(before).await?;
        let is_unread = |message: &Message| message.direction == Direction::Incoming { read: false };
        unread.extend(page.messages.into_iter().filter(is_unread));
        before = page.older;
        if before.is_none() || unread.len() as u64 >= count {
            unread.reverse();
            return Ok(unread);
        }
    }
}

/// The database key, made at the first start. A server would keep it in its secret store, not beside the database.
fn load_key(path: &Path) -> Result<[u8; 32]> {
    if !path.exists() {
        let mut key = [0; 32];
        rand::rng().fill_bytes(&mut key);
        fs::write(path, key)?;
    }
    Ok(fs::read(path)?.try_into().map_err(|_| "the key file is damaged")?)
}

//! A bot that answers every text with the same text: `sealpost-echo-bot FOLDER RELAY`.

#![expect(clippy::print_stdout, reason = "it prints its user id, so that people can write to it")]

use std::{env, error, fs, future, path::Path};

use futures_util::{StreamExt as _, TryStreamExt as _};
use sealpost_core::{Client, Config, DatabaseKey, Direction, Event, Message, MessageRequests, Update};

type Result<T> = std::result::Result<T, Box<dyn error::Error>>;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [folder, relay] = arguments.as_slice() else { return Err("sealpost-echo-bot FOLDER RELAY".into()) };
    fs::create_dir_all(folder)?;
    // The database key is created at the first start. A server would keep it in its secret store.
    let key_file = Path::new(folder).join("bot.key");
    if !key_file.exists() {
        fs::write(&key_file, rand::random::<[u8; 32]>())?;
    }
    let key = fs::read(key_file)?.try_into().map_err(|_| "the key file is damaged")?;
    let config = Config::new(Path::new(folder).join("bot.db"), DatabaseKey::new(key), relay)
        // It answers everyone.
        .message_requests(MessageRequests::AcceptAll);
    let client = Client::open_or_register(config, &[]).await?;
    println!("{}", client.user_id());
    tokio::select! {
        ended = answer_everyone(&client) => ended?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Ok(client.suspend().await?)
}

/// The first update is a snapshot, so messages that the last run has not answered are answered at the start.
async fn answer_everyone(client: &Client) -> Result<()> {
    let mut updates = client.subscribe();
    while let Some(update) = updates.next().await {
        if matches!(update?, Update::Snapshot(_) | Update::Event(Event::MessageAdded(_))) {
            answer_unread(client).await?;
        }
    }
    Ok(())
}

/// Answers every unread message. The answer is queued before the message is marked as read, so none is left without.
async fn answer_unread(client: &Client) -> Result<()> {
    let is_unread =
        |message: &Message| future::ready(message.direction == Direction::Incoming { read: false });
    let mut threads = client.all_threads();
    while let Some(summary) = threads.try_next().await? {
        let thread = client.thread(summary.id).await?;
        let unread = thread.messages().try_filter(is_unread).take(usize::try_from(summary.unread)?);
        for message in unread.try_collect::<Vec<_>>().await?.into_iter().rev() {
            if let Some(text) = message.text() {
                thread.send_text(text).await?;
            }
            thread.mark_read(message.id).await?;
        }
    }
    Ok(())
}

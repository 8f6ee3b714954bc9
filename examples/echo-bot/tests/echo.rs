//! The bot as a process of its own, and a person who writes to it over a real relay, also a process.

#![cfg(test)]

use std::future::pending;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use sealpost_core::{Config, DatabaseKey, Delivery, MessageBody, UserId, fetch_for_push};
use sealpost_testkit::{PartyDisk, RelayProcess, own_address, relay_binary, within};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Starts the bot and reads its user id from the first line that it prints.
async fn start_bot(folder: &Path, relay: &str) -> (Child, UserId) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sealpost-echo-bot"));
    command.arg(folder).arg(relay).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut bot = command.spawn().unwrap();
    let mut lines = BufReader::new(bot.stdout.take().unwrap()).lines();
    let line = within("the bot prints its user id", lines.next_line()).await.unwrap().unwrap();
    (bot, line.parse().unwrap())
}

/// Receives what waits at the relay into the bot's database, while the bot does not run, and answers nothing.
async fn fetch_as_bot(folder: &Path, relay: &str) -> Vec<MessageBody> {
    let key = std::fs::read(folder.join("bot.key")).unwrap().try_into().unwrap();
    let config = Config::new(folder.join("bot.db"), DatabaseKey::new(key), relay);
    let fetched = within("a fetch", fetch_for_push(config, pending())).await.unwrap();
    fetched.messages.into_iter().map(|message| message.body).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_text_is_answered_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let listen = SocketAddr::new(own_address().ip(), 0);
    let log = folder.path().join("relay.log");
    let data = folder.path().join("relay");
    let relay = RelayProcess::start(&relay_binary(), &data, listen, &log, None).await.unwrap();
    let (bot_folder, url) = (folder.path().join("bot"), relay.url());

    let (mut bot, bot_id) = start_bot(&bot_folder, &url).await;
    let ada = PartyDisk::new(folder.path(), "ada", &url).register().await;
    let thread = ada.client.direct_thread(bot_id).await.unwrap();
    let one = thread.send_text("one").await.unwrap();
    assert_eq!(ada.texts_when(&thread, 2).await, ["one", "one"]);
    // A bot that is killed before it has marked a message as read answers it again.
    ada.message_reaches(&thread, one.id, Delivery::Read).await;

    // When the bot starts again, a message without an answer is in its database.
    bot.kill().await.unwrap();
    let two = thread.send_text("two").await.unwrap();
    ada.message_reaches(&thread, two.id, Delivery::Sent).await;
    assert_eq!(fetch_as_bot(&bot_folder, &url).await, [MessageBody::Text("two".to_owned())]);
    let (mut bot, same_id) = start_bot(&bot_folder, &url).await;
    assert_eq!(same_id, bot_id);
    assert_eq!(ada.texts_when(&thread, 4).await, ["one", "one", "two", "two"]);
    ada.message_reaches(&thread, two.id, Delivery::Read).await;

    // When it starts once more, another one is at the relay.
    bot.kill().await.unwrap();
    thread.send_text("three").await.unwrap();
    let (mut bot, _) = start_bot(&bot_folder, &url).await;
    assert_eq!(ada.texts_when(&thread, 6).await, ["one", "one", "two", "two", "three", "three"]);

    bot.kill().await.unwrap();
    ada.close().await;
}

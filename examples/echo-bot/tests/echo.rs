//! The bot as a process of its own, and a person who writes to it over a real relay, also a process.

#![cfg(test)]

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use sealpost_core::UserId;
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
    thread.send_text("one").await.unwrap();
    assert_eq!(ada.texts_when(&thread, 2).await, ["one", "one"]);

    bot.kill().await.unwrap();
    thread.send_text("two").await.unwrap();
    thread.send_text("three").await.unwrap();
    let (mut bot, same_id) = start_bot(&bot_folder, &url).await;
    assert_eq!(same_id, bot_id);
    assert_eq!(ada.texts_when(&thread, 6).await, ["one", "one", "two", "three", "two", "three"]);

    bot.kill().await.unwrap();
    ada.close().await;
}

//! Databases of earlier versions (`tests/data`, created by `freeze`) open with every row, and conversations continue:
//! first a client's database without a network, then all of them together with the relay's.

#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sealpost_core::{
    Delivery, Direction, FailReason, Message, MessageBody, Thread, TrustState, Undecryptable,
};
use sealpost_e2e::FROZEN_MS;
use sealpost_relay::{Config, Relay};
use sealpost_testkit::{ManualClock, Party, PartyDisk, eventually, history, other};
use tempfile::TempDir;
use tokio::time::sleep;

/// The first frozen schema with messages that were edited, reacted to and deleted.
const CHANGES_SINCE: u32 = 18;

/// The first frozen schema in which messages have numbers.
const NUMBERED_SINCE: u32 = 25;

const TICK: Duration = Duration::from_millis(50);

const SENT: Direction = Direction::Outgoing(Delivery::Sent);
const QUEUED: Direction = Direction::Outgoing(Delivery::Queued);
const DELIVERED: Direction = Direction::Outgoing(Delivery::Delivered);
const READ: Direction = Direction::Outgoing(Delivery::Read);

/// The folders of `tests/data`, one for each schema.
fn schemas() -> Vec<PathBuf> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let mut folders: Vec<_> = fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(!folders.is_empty());
    folders
}

/// A copy that may be changed.
fn copied(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    fs::create_dir(to.path().join("relay")).unwrap();
    for file in ["ada.db", "ben.db", "cyd.db", "relay/relay.db", "relay/signing.key"] {
        fs::copy(from.join(file), to.path().join(file)).unwrap();
    }
    // Git does not store file modes, and the relay refuses a key that other users can read.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let owner_only = fs::Permissions::from_mode(0o600);
        fs::set_permissions(to.path().join("relay/signing.key"), owner_only).unwrap();
    }
    to
}

fn shown(messages: &[Message]) -> Vec<(String, Direction)> {
    let shown = messages.iter().map(|message| {
        let text = match &message.body {
            MessageBody::Text(text) => text.clone(),
            MessageBody::Undecryptable(cause) => format!("{cause:?}"),
            MessageBody::Deleted => "deleted".to_owned(),
            other => panic!("{other:?}"),
        };
        (text, message.direction)
    });
    shown.collect()
}

/// The messages of a thread, oldest first.
async fn shows(thread: &Thread) -> Vec<(String, Direction)> {
    shown(&history(thread).await)
}

fn owned<const N: usize>(rows: [(&str, Direction); N]) -> Vec<(String, Direction)> {
    rows.into_iter().map(|(text, direction)| (text.to_owned(), direction)).collect()
}

/// The thread that starts with this message.
async fn thread(party: &Party, first: &str) -> Thread {
    for thread in party.client.threads().await.unwrap() {
        if shows(&thread).await.first().is_some_and(|(text, _)| text == first) {
            return thread;
        }
    }
    panic!("no thread begins with {first}")
}

/// Moves a clock on as time passes: what is put off would otherwise never be due.
async fn ticks(clock: ManualClock) {
    loop {
        sleep(TICK).await;
        clock.advance(TICK);
    }
}

/// The number of a schema.
fn number(schema: &Path) -> u32 {
    let name = schema.file_name().unwrap().to_str().unwrap();
    name.strip_prefix("schema-").unwrap().parse().unwrap()
}

/// An edited message with a reaction, and a deleted message.
async fn assert_changes_are_kept(thread: &Thread) {
    let messages = history(thread).await;
    let [_, edited, deleted] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!(edited.text(), Some("an error"));
    assert!(edited.edited_ms.is_some());
    let versions = thread.versions(edited.id).await.unwrap();
    assert!(versions.iter().any(|version| version.text == "an eror"), "{}", versions.len());
    let reactions: Vec<_> = edited.reactions.iter().map(|reaction| reaction.emoji.as_str()).collect();
    assert_eq!(reactions, ["👍"]);
    assert_eq!(deleted.body, MessageBody::Deleted);
}

fn is_read(read: bool) -> Direction {
    Direction::Incoming { read }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_database_opens_with_every_row_and_every_state() {
    for schema in schemas() {
        let dir = copied(&schema);
        let clock = ManualClock::at(FROZEN_MS);
        let ada = PartyDisk::new(dir.path(), "ada", "http://127.0.0.1:1").with_clock(&clock).open().await;
        assert_eq!(ada.client.threads().await.unwrap().len(), 4);
        let with_ben = thread(&ada, "one").await;
        let undecryptable = format!("{:?}", Undecryptable::NotDecryptable);
        let expected = owned([
            ("one", READ),
            ("two", READ),
            ("three", DELIVERED),
            ("four", is_read(true)),
            ("five", is_read(true)),
            ("six", is_read(false)),
            (&undecryptable, is_read(false)),
            ("after the late one", is_read(false)),
            ("unanswered", QUEUED),
            ("queued", QUEUED),
            ("queued behind it", QUEUED),
        ]);
        assert_eq!(shows(&with_ben).await, expected, "{}", schema.display());
        let unread = async || {
            let listed = ada.client.thread_page(None, 10).await.unwrap().threads;
            listed.iter().find(|listed| listed.id == with_ben.id()).unwrap().unread
        };
        assert_eq!(unread().await, 3);
        // The first message after those that were read, and then all.
        let messages = history(&with_ben).await;
        for (at, left) in [(5, 2), (10, 0)] {
            with_ben.mark_read(messages[at].id).await.unwrap();
            assert_eq!(unread().await, left);
        }
        assert!(shows(&with_ben).await.iter().all(|(_, direction)| *direction != is_read(false)));
        assert_eq!(other(&with_ben).await.trust().await.unwrap(), TrustState::FirstUse);
        let with_cyd = thread(&ada, "to cyd, who is away").await;
        assert_eq!(shows(&with_cyd).await, owned([("to cyd, who is away", SENT)]));
        let with_dan = thread(&ada, "hello dan").await;
        let failed = Direction::Outgoing(Delivery::Failed(FailReason::IdentityChanged));
        assert_eq!(shows(&with_dan).await, owned([("hello dan", DELIVERED), ("a secret", failed)]));
        assert_eq!(other(&with_dan).await.trust().await.unwrap(), TrustState::ChangedSinceVerified);
        let with_eve = thread(&ada, "hello eve").await;
        assert_eq!(other(&with_eve).await.trust().await.unwrap(), TrustState::Verified);
        if number(&schema) >= CHANGES_SINCE {
            assert_changes_are_kept(&with_eve).await;
        }
        // Search finds words that were indexed before, and words that are indexed now.
        eventually("it is found", async || ada.client.search("late", 5).await.unwrap().pop()).await;
        ada.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conversations_continue_after_an_update_from_an_earlier_version() {
    for schema in schemas() {
        let dir = copied(&schema);
        let clock = ManualClock::at(FROZEN_MS);
        let ticking = tokio::spawn(ticks(clock.clone()));
        let config = Config { clock: Arc::new(clock.clone()), ..Config::local(dir.path().join("relay")) };
        let relay = Relay::start(config).await.unwrap();
        let disk = |name: &str| PartyDisk::new(dir.path(), name, &relay.url()).with_clock(&clock);
        let (ada, ben, cyd) = (disk("ada").open().await, disk("ben").open().await, disk("cyd").open().await);
        // Queued messages are sent in order, each once; a late message gets its position.
        let (hers, his) = (thread(&ada, "one").await, thread(&ben, "one").await);
        let undecryptable = format!("{:?}", Undecryptable::NotDecryptable);
        let expected = [
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            &undecryptable,
            "late",
            "after the late one",
            "unanswered",
            "queued",
            "queued behind it",
        ];
        eventually("both have all", async || {
            let texts = |shown: Vec<(String, Direction)>| -> Vec<String> {
                shown.into_iter().map(|(text, _)| text).collect()
            };
            let (on_hers, on_his) = (texts(shows(&hers).await), texts(shows(&his).await));
            let mut sent = expected;
            sent[6] = "damaged";
            (on_hers == expected && on_his == sent).then_some(())
        })
        .await;
        // The one that an earlier version has sealed without a number gets no receipt.
        let confirmed = if number(&schema) >= NUMBERED_SINCE { 3 } else { 2 };
        for message in history(&hers).await.iter().rev().take(confirmed) {
            ada.message_reaches(&hers, message.id, Delivery::Delivered).await;
        }
        // The sessions continue, in both directions, including the one that was about to start.
        let message = his.send_text("and on it goes").await.unwrap();
        ben.message_reaches(&his, message.id, Delivery::Delivered).await;
        let cyds = eventually("cyd's thread", async || cyd.client.threads().await.unwrap().pop()).await;
        assert_eq!(cyd.texts_when(&cyds, 1).await, ["to cyd, who is away"]);
        let message = cyds.send_text("here I am").await.unwrap();
        cyd.message_reaches(&cyds, message.id, Delivery::Delivered).await;
        for party in [ada, ben, cyd] {
            party.close().await;
        }
        relay.shutdown().await;
        ticking.abort();
    }
}

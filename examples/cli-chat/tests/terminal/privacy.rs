//! What others are told is switched on and off, for all chats and for one.

use sealpost_testkit::{World, eventually};

use crate::talk;
use crate::tmux::Tmux;

#[tokio::test(flavor = "multi_thread")]
async fn receipts_typing_and_presence_are_switched_off_and_on() {
    let world = World::start().await;
    let tmux = Tmux::start(world.dir()).await;
    talk(&world, &tmux).await;
    tmux.enter("ben", "/privacy").await;
    tmux.shows("ben", "read: in all chats on, in this chat on").await;
    tmux.escape("ben", "What others are told").await;

    // In all chats: nothing is told of what arrives and is read meanwhile, also not later.
    for what in ["delivered", "read"] {
        tmux.enter("ben", &format!("/privacy {what} off")).await;
        tmux.shows("ben", "in all chats, others are not").await;
        tmux.dismiss("ben", "in all chats").await;
    }
    tmux.enter("ada", "while it is off").await;
    tmux.shows("ben", "while it is off  ").await;
    tmux.enter("ben", "/privacy").await;
    tmux.shows("ben", "read: in all chats off").await;
    tmux.escape("ben", "What others are told").await;
    for what in ["delivered", "read"] {
        tmux.enter("ben", &format!("/privacy {what} on")).await;
        tmux.shows("ben", "in all chats in which it is not off").await;
        tmux.dismiss("ben", "in all chats").await;
    }
    tmux.enter("ada", "once it is on").await;
    tmux.shows("ben", "once it is on  ").await;
    let ticks = |screen: &str, text: &str| {
        // The list above it shows the newest message, too.
        let line = screen.lines().rfind(|line| line.contains(text))?;
        Some(line.rsplit(':').next()?.split_once(' ')?.1.trim().to_owned())
    };
    eventually("the receipts", async || {
        let screen = tmux.screen("ada").await;
        (ticks(&screen, "once it is on  ")? == "✓✓ read").then_some(())
    })
    .await;
    assert_eq!(ticks(&tmux.screen("ada").await, "while it is off  ").unwrap(), "✓");

    // In one chat: nobody sees that Ben is writing, until it is switched on again.
    tmux.enter("ben", "/privacy typing off here").await;
    tmux.shows("ben", "in this chat, others are not").await;
    for _ in 0..4 {
        tmux.type_in("ben", "x").await;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        assert!(!tmux.screen("ada").await.contains("is typing"));
    }
    tmux.key("ben", "C-u").await;
    tmux.enter("ben", "/privacy typing on here").await;
    tmux.shows("ben", "in this chat, others are told that").await;
    eventually("typing", async || {
        tmux.type_in("ben", "x").await;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        tmux.screen("ada").await.contains("ben · is typing").then_some(())
    })
    .await;
    tmux.key("ben", "C-u").await;

    // What is off in all chats is off in each.
    tmux.enter("ada", "/privacy presence off").await;
    tmux.shows("ada", "in all chats, others are not told").await;
    tmux.enter("ada", "/presence on").await;
    tmux.shows("ada", "on in this chat, but off for all chats").await;
    tmux.enter("ada", "/privacy").await;
    tmux.shows("ada", "presence: in all chats off, in this chat off").await;
    tmux.escape("ada", "What others are told").await;
    assert!(!tmux.screen("ben").await.contains("is here"));
    tmux.enter("ada", "/privacy presence on").await;
    tmux.shows("ben", "ada · is here").await;
}

//! Three people in a group: two screens and one in line mode.

use sealpost_testkit::World;

use crate::tmux::Tmux;
use crate::{command, talk};

#[tokio::test(flavor = "multi_thread")]
async fn three_people_talk_in_a_group() {
    let world = World::start().await;
    let tmux = Tmux::start(world.dir()).await;
    talk(&world, &tmux).await;
    // Cleo knows nobody, and reads and writes lines.
    tmux.open("cleo", (100, 24), &format!("{} --plain", command(&world, "cleo", None))).await;
    tmux.shows("cleo", "waiting for a message").await;
    tmux.enter("ada", "/group Climbing").await;
    tmux.shows("ada", "a group needs a title and people").await;
    tmux.key("ada", "C-u").await;
    tmux.enter("ada", "/invite cleo").await;
    tmux.shows("ada", "this chat is no group").await;
    tmux.enter("ada", "/group Climbing ben cleo").await;
    tmux.shows("ada", "No messages yet.").await;
    // Ben talks with Ada, so he is a member at once. Cleo is asked.
    tmux.enter("cleo", "/accept").await;
    tmux.shows("cleo", "accepted: you are a member in a moment").await;
    tmux.shows("cleo", "you: now a member").await;
    tmux.enter("ada", "/members").await;
    tmux.shows("ada", "Write: all members.").await;
    tmux.shows("ada", "you, admin").await;
    tmux.shows("ada", "cleo").await;
    tmux.escape("ada", "Write: all members.").await;

    // Each sees who has written.
    tmux.enter("ada", "hello both").await;
    tmux.shows("cleo", "ada: hello both").await;
    tmux.enter("cleo", "hello from the lines").await;
    tmux.shows("ada", "cleo: hello from the lines").await;
    // Ben opens it from the list.
    tmux.key("ben", "Tab").await;
    tmux.key("ben", "C-p").await;
    tmux.shows("ben", "cleo: hello from the lines").await;

    // Only an admin may do this.
    tmux.enter("ben", "/remove cleo").await;
    tmux.shows("ben", "you may not do that").await;
    tmux.enter("ada", "/admin ben").await;
    tmux.shows("cleo", "ben: now an admin").await;
    tmux.enter("ada", "/allow write admins").await;
    tmux.shows("ada", "write: admins only").await;

    // What is said after somebody was removed does not reach them.
    tmux.enter("ben", "/remove cleo").await;
    tmux.shows("cleo", "you: no longer a member").await;
    tmux.enter("ada", "just the two of us").await;
    tmux.shows("ben", "ada: just the two of us").await;
    assert!(!tmux.screen("cleo").await.contains("just the two of us"));
}

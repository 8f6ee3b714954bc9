//! What a companion gets from the primary device when it is linked, with a real relay.

#![cfg(test)]

use sealpost_core::SharedHistory;
use sealpost_testkit::{Pair, eventually, newest, texts, when};

/// Enough for several pieces.
const LINES: usize = 400;

#[tokio::test(flavor = "multi_thread")]
async fn a_companion_gets_the_messages_from_before_and_the_talk_goes_on_there() {
    let pair = Pair::new().await;
    for n in 0..LINES {
        pair.hers.send_text(&format!("line {n} of a conversation that began on the phone")).await.unwrap();
    }
    let (asked, received) = pair.say("what do you think?").await;
    pair.his.react(received, "👍").await.unwrap();
    pair.hers.edit(asked, "what do you think of it?").await.unwrap();
    pair.hers.set_draft("I").await.unwrap();
    when("the reaction", &pair.hers, |message| !message.reactions.is_empty()).await;
    let tablet = pair.world.disk("tablet").link_with(&pair.ada, SharedHistory::Everything).await;
    // It is closed while it gets them, and continues.
    let tablet = tablet.close().await.open().await;
    let (thread, all) = (pair.hers.id(), texts(&pair.hers).await);
    let there = eventually("the history", || async {
        let there = tablet.client.thread(thread).await.ok()?;
        (texts(&there).await == all).then_some(there)
    })
    .await;
    assert_eq!(newest(&there).await.reactions, newest(&pair.hers).await.reactions);
    assert_eq!(there.summary().await.unwrap().draft.as_deref(), Some("I"));
    eventually("the index", || async {
        (tablet.client.search("phone", 500).await.ok()?.len() == LINES).then_some(())
    })
    .await;
    assert_eq!(
        tablet.client.threads().await.unwrap().len(),
        1,
        "no chat is there that the phone does not have"
    );
    // An edit of a message from before has its effect there, and what is written there reaches everybody.
    pair.hers.edit(asked, "what do you think of all this?").await.unwrap();
    when("the edit", &there, |message| message.text() == Some("what do you think of all this?")).await;
    there.send_text("written on the tablet").await.unwrap();
    for thread in [&pair.hers, &pair.his] {
        when("what she wrote", thread, |message| message.text() == Some("written on the tablet")).await;
    }
}

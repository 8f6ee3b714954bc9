//! Calls between two terminals.

use sealpost_core::{CallEnd, CallSignal};
use sealpost_testkit::{World, within};

use crate::tmux::Tmux;
use crate::{command, talk, user_of};

#[tokio::test(flavor = "multi_thread")]
async fn calls_ring_are_answered_declined_and_ended() {
    let world = World::start().await;
    let tmux = Tmux::start(world.dir()).await;
    talk(&world, &tmux).await;

    tmux.enter("ada", "/call").await;
    tmux.shows("ada", "calling ben").await;
    // The screen of Ben is narrow, and shows who is meant.
    tmux.shows("ben", "ada is calling: /answer or /decline").await;
    tmux.enter("ben", "/answer").await;
    tmux.shows("ben", "in a call with ada since").await;
    tmux.shows("ada", "in a call with ben since").await;
    tmux.shows("ada", "without sound").await;

    // Somebody else calls, for whom Ada is busy.
    let cleo = world.party("cleo").await;
    let hers = cleo.client.direct_thread(user_of(&world, "ada").await).await.unwrap();
    hers.send_text("hello from cleo").await.unwrap();
    tmux.shows("ada", "Chats · 1 request").await;
    tmux.enter("ada", &format!("/chat {}", cleo.client.user_id())).await;
    tmux.shows("ada", "a request").await;
    tmux.enter("ada", "hello cleo").await;
    assert_eq!(cleo.texts_when(&hers, 2).await, ["hello from cleo", "hello cleo"]);
    let mut calls = cleo.client.calls();
    let call = hers.call(b"offer", true).await.unwrap();
    tmux.shows("ada", "is calling with video").await;
    tmux.enter("ada", "/decline").await;
    tmux.shows("ada", "they were told that you are busy").await;
    let event = within("the end of the call", calls.next()).await.unwrap();
    assert_eq!((event.call, event.signal), (call, CallSignal::Ended(CallEnd::Busy)));

    // The call goes on in the chat of another person, and ends there, too.
    tmux.enter("ada", "/hangup").await;
    tmux.shows("ada", "the call with ben ended").await;
    tmux.shows("ben", "hung up").await;

    tmux.enter("ben", "/call").await;
    tmux.shows("ada", "ben is calling").await;
    tmux.enter("ada", "/decline").await;
    tmux.shows("ada", "you have declined it").await;
    tmux.shows("ben", "declined").await;

    // Whoever ends the program in a call ends the call.
    tmux.enter("ben", "/call").await;
    tmux.shows("ada", "ben is calling").await;
    tmux.enter("ada", "/answer").await;
    tmux.shows("ben", "in a call with ada since").await;
    tmux.key("ben", "C-c").await;
    tmux.shows("ben", "ended 0").await;
    tmux.shows("ada", "they hung up").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_ends_the_program_while_a_call_begins_ends_the_call() {
    let world = World::start().await;
    let tmux = Tmux::start(world.dir()).await;
    talk(&world, &tmux).await;
    tmux.enter("ada", "/call").await;
    tmux.shows("ben", "/answer or /decline").await;
    tmux.enter_and_end("ben", "/answer").await;
    tmux.shows("ben", "ended 0").await;
    tmux.shows("ada", "the call with ben ended").await;

    tmux.open("again", (90, 24), &command(&world, "ben", Some("ada"))).await;
    tmux.shows("again", "hello ada  ").await;
    tmux.enter_and_end("again", "/call").await;
    tmux.shows("again", "ended 0").await;
    tmux.shows("ada", "they hung up").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_who_call_each_other_at_the_same_time_have_one_call() {
    // Whether calls cross is a matter of chance, and only some calls of a person in a minute have an effect.
    while !a_few_calls_of_two_people_cross().await {}
}

/// Whether one of the calls of two new people has crossed one of the other. That is then the only one.
async fn a_few_calls_of_two_people_cross() -> bool {
    let world = World::start().await;
    let tmux = Tmux::start(world.dir()).await;
    talk(&world, &tmux).await;
    for _ in 0..4 {
        for name in ["ada", "ben"] {
            tmux.type_in(name, "/call").await;
            tmux.shows(name, "> /call").await;
        }
        tmux.key_in_both(("ada", "ben"), "Enter").await;
        let is_settled = |screen: &str| {
            let is_crossed = screen.contains("at the same time");
            let rings = screen.contains("is calling:") || screen.contains("they are already calling you");
            (is_crossed || rings).then_some(is_crossed)
        };
        let (hers, his) = (tmux.screen_of_either(("ada", "ben"), is_settled)).await;
        if hers == Some(true) || his == Some(true) {
            // The one whose call has given way has answered the other without being asked.
            tmux.shows("ada", "in a call with ben since").await;
            tmux.shows("ben", "in a call with ada since").await;
            return true;
        }
        // One call has arrived before the other was begun, so there is only one.
        let (caller, callee) = if hers.is_some() { ("ben", "ada") } else { ("ada", "ben") };
        tmux.shows(caller, "/hangup ends that").await;
        tmux.enter(caller, "/hangup").await;
        tmux.shows(caller, "you have ended it").await;
        tmux.shows(callee, "hung up").await;
        tmux.key(callee, "C-u").await;
    }
    false
}

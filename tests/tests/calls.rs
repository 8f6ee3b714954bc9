//! Call signalling: two clients and a real relay, which passes the signals on and stores none.

#![cfg(test)]

use sealpost_core::{
    CallId, CallSignal, Error, Event, Events, MAX_CALL_CANDIDATES, MAX_CALL_DESCRIPTION, Offline,
};
use sealpost_testkit::{Pair, World, eventually, history, newest, within};

/// The next signal of a call.
async fn signal(events: &mut Events) -> (CallId, CallSignal) {
    within("a signal", async {
        loop {
            if let Ok(Event::Call { call, signal, .. }) = events.next().await.unwrap() {
                return (call, *signal);
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_agree_on_a_call_and_on_its_keys() {
    let mut pair = Pair::new().await;
    pair.say("hello").await;
    eventually("nothing waits", async || (pair.world.rows_in_mailboxes() == 0).then_some(())).await;
    let (mut hers, mut his) = (pair.ada.client.events(), pair.ben.client.events());
    let offer = vec![1; MAX_CALL_DESCRIPTION];
    let call = pair.hers.call(&offer, true).await.unwrap();
    assert_eq!(signal(&mut his).await, (call, CallSignal::Offer { description: offer, is_video: true }));
    let at_callee = pair.his.answer_call(call, b"answer").await.unwrap();
    let (answered, CallSignal::Answer { description, keys: at_caller }) = signal(&mut hers).await else {
        panic!()
    };
    assert_eq!((answered, &description[..]), (call, &b"answer"[..]));
    assert_eq!((&at_caller.sending, &at_caller.receiving), (&at_callee.receiving, &at_callee.sending));
    assert_ne!(at_caller.sending, at_caller.receiving);
    let candidates = vec![2; MAX_CALL_CANDIDATES];
    pair.his.send_call_candidates(call, &candidates).await.unwrap();
    assert_eq!(signal(&mut hers).await, (call, CallSignal::Candidates(candidates)));
    pair.hers.hang_up(call).await.unwrap();
    assert_eq!(signal(&mut his).await, (call, CallSignal::HungUp));
    assert_eq!(pair.his.hang_up(call).await, Err(Error::NotFound));
    let second = pair.his.call(b"offer", false).await.unwrap();
    assert_eq!(signal(&mut hers).await.0, second);
    pair.hers.refuse_call_as_busy(second).await.unwrap();
    assert_eq!(signal(&mut his).await, (second, CallSignal::Busy));
    // The relay has stored nothing, and there is nothing in the history.
    assert_eq!((pair.world.rows_in_mailboxes(), history(&pair.his).await.len()), (0, 1));

    // What cannot be sent is refused, and leaves no call.
    assert_eq!(
        pair.hers.call(&vec![0; MAX_CALL_DESCRIPTION + 1], false).await,
        Err(Error::TooLong { max: MAX_CALL_DESCRIPTION })
    );
    assert!(matches!(pair.hers.call(b"", false).await, Err(Error::Misuse(_))));
    assert_eq!(pair.hers.answer_call(call, b"answer").await, Err(Error::NotFound));
    pair.world.stop_relay().await;
    eventually("no connection", async || {
        let refused = pair.hers.call(b"offer", false).await;
        matches!(refused, Err(Error::Offline(Offline::Unreachable))).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_a_person_who_was_not_accepted_rings_nothing() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.disk("ben").asking().register().await);
    let hers = ada.thread_with(&ben).await;
    hers.send_text("hello").await.unwrap();
    let mut his = ben.client.events();
    let id = eventually("the request", async || {
        let page = ben.client.folder_page(sealpost_core::Folder::Requests, None, 1).await.unwrap();
        page.threads.into_iter().next().map(|listed| listed.id)
    });
    let thread = ben.client.thread(id.await).await.unwrap();
    hers.call(b"offer", false).await.unwrap();
    // A message that was sent later has arrived, and the call has not.
    hers.send_text("do you hear me?").await.unwrap();
    eventually("the message", async || {
        (newest(&thread).await.text() == Some("do you hear me?")).then_some(())
    })
    .await;
    assert!(matches!(thread.call(b"offer", false).await, Err(Error::Offline(_))), "nor is he heard");
    while let Some(Some(event)) = futures_util::FutureExt::now_or_never(his.next()) {
        assert!(!matches!(event, Ok(Event::Call { .. })), "{event:?}");
    }
    thread.accept_request().await.unwrap();
    // The relay learns in the background that he has accepted.
    within("a call", async {
        loop {
            let call = hers.call(b"offer", false).await.unwrap();
            hers.hang_up(call).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            let rung = std::iter::from_fn(|| futures_util::FutureExt::now_or_never(his.next()).flatten());
            if rung.into_iter().any(|event| matches!(event, Ok(Event::Call { .. }))) {
                break;
            }
        }
    })
    .await;
}

//! Call signalling: two clients and a real relay, which passes the signals on and stores none.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use sealpost_core::{
    CallEnd, CallId, CallSignal, Calls, Delivery, Error, MAX_CALL_CANDIDATES, MAX_CALL_DESCRIPTION, Offline,
};
use sealpost_testkit::{
    Interceptor, Pair, Proxy, World, eventually, history, newest, open_database, when, within,
};
use sealpost_wire::Frame;
use sealpost_wire::frame::Body;

/// The next signal of a call.
async fn signal(calls: &mut Calls) -> (CallId, CallSignal) {
    let event = within("a signal", calls.next()).await.unwrap();
    (event.call, event.signal)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_agree_on_a_call_and_on_its_keys() {
    let mut pair = Pair::new().await;
    pair.say("hello").await;
    eventually("nothing waits", async || (pair.world.rows_in_mailboxes() == 0).then_some(())).await;
    let (mut hers, mut his) = (pair.ada.client.calls(), pair.ben.client.calls());
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
    assert_eq!(signal(&mut his).await, (call, CallSignal::Ended(CallEnd::HungUp)));
    assert_eq!(pair.his.hang_up(call).await, Err(Error::NotFound));
    let second = pair.his.call(b"offer", false).await.unwrap();
    assert_eq!(signal(&mut hers).await.0, second);
    pair.hers.refuse_call_as_busy(second).await.unwrap();
    assert_eq!(signal(&mut his).await, (second, CallSignal::Ended(CallEnd::Busy)));
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
async fn a_call_that_one_device_takes_stops_ringing_on_the_others() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let tablet = world.companion(&ben, "tablet").await;
    let hers = ada.thread_with(&ben).await;
    let hello = hers.send_text("hello").await.unwrap();
    ada.message_reaches(&hers, hello.id, Delivery::Delivered).await;
    let on_tablet = eventually("the thread", async || tablet.client.thread(hers.id()).await.ok()).await;
    let his = ben.thread_with(&ada).await;
    // His devices have a session with each other.
    his.send_text("hello to you").await.unwrap();
    on_tablet.send_text("and from the tablet").await.unwrap();
    ada.texts_when(&hers, 3).await;
    ben.texts_when(&his, 3).await;
    tablet.texts_when(&on_tablet, 3).await;
    let (mut at_ada, mut at_ben, mut at_tablet) =
        (ada.client.calls(), ben.client.calls(), tablet.client.calls());
    // The one who answers is the tablet.
    let call = hers.call(b"offer", false).await.unwrap();
    for calls in [&mut at_ben, &mut at_tablet] {
        assert!(matches!(signal(calls).await, (rings, CallSignal::Offer { .. }) if rings == call));
    }
    on_tablet.answer_call(call, b"answer").await.unwrap();
    assert_eq!(signal(&mut at_ben).await, (call, CallSignal::Ended(CallEnd::AnsweredElsewhere)));
    assert!(matches!(signal(&mut at_ada).await, (_, CallSignal::Answer { .. })));
    // They go on, and the phone does not disturb them.
    hers.send_call_candidates(call, b"ada").await.unwrap();
    assert_eq!(signal(&mut at_tablet).await, (call, CallSignal::Candidates(b"ada".to_vec())));
    on_tablet.send_call_candidates(call, b"tablet").await.unwrap();
    assert_eq!(signal(&mut at_ada).await, (call, CallSignal::Candidates(b"tablet".to_vec())));
    on_tablet.hang_up(call).await.unwrap();
    assert_eq!(signal(&mut at_ada).await, (call, CallSignal::Ended(CallEnd::HungUp)));
    // The phone does not take the next one.
    let call = hers.call(b"offer", false).await.unwrap();
    for calls in [&mut at_ben, &mut at_tablet] {
        assert!(matches!(signal(calls).await, (rings, CallSignal::Offer { .. }) if rings == call));
    }
    his.refuse_call_as_busy(call).await.unwrap();
    assert_eq!(signal(&mut at_tablet).await, (call, CallSignal::Ended(CallEnd::DeclinedElsewhere)));
    assert_eq!(signal(&mut at_ada).await, (call, CallSignal::Ended(CallEnd::Busy)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_a_person_who_was_not_accepted_rings_nothing() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.disk("ben").asking().register().await);
    let hers = ada.thread_with(&ben).await;
    hers.send_text("hello").await.unwrap();
    let mut his = ben.client.calls();
    let id = eventually("the request", async || {
        let page = ben.client.folder_page(sealpost_core::Folder::Requests, None, 1).await.unwrap();
        page.threads.into_iter().next().map(|listed| listed.id)
    });
    let thread = ben.client.thread(id.await).await.unwrap();
    let call = hers.call(b"offer", false).await.unwrap();
    // A message that was sent later has arrived, and the call has not.
    hers.send_text("do you hear me?").await.unwrap();
    eventually("the message", async || {
        (newest(&thread).await.text() == Some("do you hear me?")).then_some(())
    })
    .await;
    assert!(matches!(thread.call(b"offer", false).await, Err(Error::Offline(_))), "nor is he heard");
    assert_eq!(futures_util::FutureExt::now_or_never(his.next()), None);
    hers.hang_up(call).await.unwrap();
    thread.accept_request().await.unwrap();
    // The relay learns in the background that he has accepted.
    within("a call", async {
        loop {
            let call = hers.call(b"offer", false).await.unwrap();
            hers.hang_up(call).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            if futures_util::FutureExt::now_or_never(his.next()).is_some() {
                break;
            }
        }
    })
    .await;
}

/// Repeats a step until there is no connection any more.
async fn without_connection<T>(step: impl AsyncFn() -> Result<T, Error>) {
    within("no connection", async {
        while !matches!(step().await, Err(Error::Offline(Offline::Unreachable))) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_could_not_be_sent_is_repeated_and_a_lost_hang_up_is_told_later() {
    let mut pair = Pair::new().await;
    pair.say("hello").await;
    let (mut hers, mut his) = (pair.ada.client.calls(), pair.ben.client.calls());
    let call = pair.hers.call(b"offer", false).await.unwrap();
    signal(&mut his).await;
    pair.world.stop_relay().await;
    // These do not change the state of the call, and can be repeated.
    without_connection(async || pair.hers.send_call_candidates(call, b"candidates").await).await;
    without_connection(async || pair.his.answer_call(call, b"answer").await).await;
    pair.world.start_relay().await;
    pair.ada.live().await;
    pair.ben.live().await;
    let at_callee = pair.his.answer_call(call, b"answer").await.unwrap();
    let (answered, CallSignal::Answer { keys, .. }) = signal(&mut hers).await else { panic!() };
    assert_eq!((answered, &keys.sending), (call, &at_callee.receiving));
    assert_eq!(pair.his.answer_call(call, b"answer").await, Err(Error::NotFound), "once");
    pair.world.stop_relay().await;
    // This ends the call here. The other side can be told later.
    without_connection(async || pair.his.hang_up(call).await).await;
    assert_eq!(pair.his.send_call_candidates(call, b"candidates").await, Err(Error::NotFound));
    pair.world.start_relay().await;
    pair.ada.live().await;
    pair.ben.live().await;
    pair.his.hang_up(call).await.unwrap();
    assert_eq!(pair.his.hang_up(call).await, Err(Error::NotFound));
    assert_eq!(signal(&mut hers).await, (call, CallSignal::Ended(CallEnd::HungUp)));

    // She gives up while he cannot be told, and he answers.
    let call = pair.hers.call(b"offer", false).await.unwrap();
    signal(&mut his).await;
    pair.world.stop_relay().await;
    without_connection(async || pair.hers.hang_up(call).await).await;
    pair.world.start_relay().await;
    pair.ada.live().await;
    pair.ben.live().await;
    pair.his.answer_call(call, b"answer").await.unwrap();
    assert_eq!(signal(&mut his).await, (call, CallSignal::Ended(CallEnd::HungUp)));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_who_call_each_other_at_the_same_time_have_one_call() {
    let pair = Pair::new().await;
    pair.say("hello").await;
    let (mut hers, mut his) = (pair.ada.client.calls(), pair.ben.client.calls());
    let mut attempts = 0..4;
    let (first, second) = loop {
        attempts.next().expect("calls that cross");
        let (call, thread, events) =
            match tokio::join!(pair.hers.call(b"offer", false), pair.his.call(b"offer", false)) {
                (Ok(first), Ok(second)) => break (first, second),
                // One call has arrived before the other was begun, so there is only one.
                (Ok(call), Err(Error::WrongState)) => (call, &pair.hers, &mut his),
                (Err(Error::WrongState), Ok(call)) => (call, &pair.his, &mut hers),
                other => panic!("{other:?}"),
            };
        assert_eq!(signal(events).await.0, call);
        thread.hang_up(call).await.unwrap();
        assert_eq!(signal(events).await, (call, CallSignal::Ended(CallEnd::HungUp)));
    };
    let (loser, thread, winner, remaining, lost) = match first.0 < second.0 {
        true => (&mut his, &pair.his, &mut hers, first, second),
        false => (&mut hers, &pair.hers, &mut his, second, first),
    };
    assert_eq!(signal(loser).await, (lost, CallSignal::Ended(CallEnd::Crossed)));
    assert!(matches!(signal(loser).await, (call, CallSignal::Offer { .. }) if call == remaining));
    let keys = thread.answer_call(remaining, b"answer").await.unwrap();
    let (answered, CallSignal::Answer { keys: theirs, .. }) = signal(winner).await else { panic!() };
    assert_eq!((answered, theirs.sending), (remaining, keys.receiving));
}

/// Counts the signals that come to a client.
#[derive(Clone, Default)]
struct Signals(Arc<AtomicUsize>);

impl Interceptor for Signals {
    fn down(&self, frame: Frame) -> Vec<Frame> {
        if matches!(&frame.body, Some(Body::DeliverMail(mail)) if mail.mail_seq == 0) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        vec![frame]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_from_all_contacts_at_once_ring_eight_times_and_disturb_no_message() {
    const CALLERS: usize = 20;
    const RINGING: usize = 8;
    let world = World::start().await;
    let signals = Signals::default();
    let proxy = Proxy::start(world.addr(), signals.clone()).await;
    let ben = world.disk("ben").through(&proxy.url()).register().await;
    let mut parties = Vec::new();
    for n in 0..=CALLERS {
        let party = world.party(&format!("caller {n}")).await;
        let thread = party.thread_with(&ben).await;
        let first = thread.send_text("hello").await.unwrap();
        party.message_reaches(&thread, first.id, Delivery::Delivered).await;
        parties.push((party, thread));
    }
    let (writer, writers) = parties.pop().unwrap();
    let his = ben.thread_with(&writer).await;
    let mut calls = ben.client.calls();
    let all = join_all(parties.iter().map(|(_, thread)| thread.call(b"offer", false)));
    let (called, written) = tokio::join!(all, writers.send_text("in between"));
    assert!(called.iter().all(Result::is_ok), "{called:?}");
    written.unwrap();
    when("the message", &his, |message| message.text() == Some("in between")).await;
    let come = async || (signals.0.load(Ordering::SeqCst) == CALLERS).then_some(());
    eventually("all calls", come).await;
    // What came before this was processed before it.
    writers.send_text("last").await.unwrap();
    when("the last message", &his, |message| message.text() == Some("last")).await;
    let mut ringing = 0;
    while let Some(event) = futures_util::FutureExt::now_or_never(calls.next()) {
        assert!(matches!(event.unwrap().signal, CallSignal::Offer { .. }));
        ringing += 1;
    }
    assert_eq!(ringing, RINGING);
    // Nothing is left of the calls, here or at the relay.
    eventually("nothing waits", async || (world.rows_in_mailboxes() == 0).then_some(())).await;
    drop((his, calls));
    let disk = ben.close().await;
    let database = open_database(disk.database(), &disk.key());
    let count = |sql: &str| database.query_row(sql, [], |row| row.get::<_, usize>(0)).unwrap();
    // Receipts have slots.
    let mail = count("SELECT count(*) FROM mail WHERE slot IS NULL");
    assert_eq!((count("SELECT count(*) FROM message"), mail), (CALLERS + 3, 0));
}

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

#[cfg(feature = "faults")]
mod kills {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Stdio;

    use futures_util::future::join_all;
    use sealpost_core::fault::Station;
    use sealpost_core::{Client, Opened, Thread, ThreadId};
    use sealpost_e2e::open_database;
    use sealpost_testkit::{Party, PartyDisk, World, within};
    use tokio::process::Command;

    use super::*;

    /// Long texts, so that there are several pieces.
    const TEXTS: usize = 12;

    /// What Ada has written, and a tablet that is linked and has received nothing of it. Nobody is online.
    struct Linked {
        world: World,
        thread: ThreadId,
        all: Vec<String>,
        ada: PartyDisk,
        tablet: PartyDisk,
    }

    async fn linked(texts_of: usize, words: usize) -> Linked {
        let Pair { world, ada, ben, hers, his } = Pair::new().await;
        for n in 0..texts_of {
            hers.send_text(&format!("{n} {}", "word ".repeat(words))).await.unwrap();
        }
        let (thread, all) = (hers.id(), texts(&hers).await);
        let last = newest(&hers).await;
        ada.message_reaches(&hers, last.id, sealpost_core::Delivery::Sent).await;
        drop((hers, his));
        ben.close().await;
        let disk = world.disk("tablet");
        let Opened::Unregistered(new) = Client::open(disk.config()).await.unwrap() else { panic!() };
        let shown = new.link("tablet").await.unwrap();
        let (pending, digits) = tokio::join!(ada.client.link(shown.code()), shown.digits());
        let pending = pending.unwrap();
        assert_eq!(digits.unwrap(), pending.digits());
        pending.confirm("tablet", SharedHistory::Everything).await.unwrap();
        drop(pending);
        // It is registered while the primary device is closed.
        let ada = ada.close().await;
        shown.finish().await.unwrap().suspend().await.unwrap();
        Linked { world, thread, all, ada, tablet: disk }
    }

    /// A process of this device receives, sends, and dies there.
    async fn dies(world: &World, name: &str, fault: &str) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_crash-client"))
            .arg(world.dir())
            .args([name, &world.url()])
            .env("SEALPOST_FAULT", fault)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let status = within(fault, child.wait()).await.unwrap();
        assert_eq!(status.signal(), Some(6), "did not die at {fault}: {status}");
    }

    /// Everything came once, both sides are done, and the talk goes on.
    async fn is_complete(linked: Linked, (ada, tablet): (Party, Party), what: &str) {
        let Linked { world, thread, all, .. } = &linked;
        let there: Thread = eventually(what, async || {
            let there = tablet.client.thread(*thread).await.ok()?;
            (texts(&there).await == *all).then_some(there)
        })
        .await;
        let count = |name: &str, sql: &'static str| {
            let disk = world.disk(name);
            open_database(disk.database(), &disk.key())
                .query_row(sql, [], |row| row.get::<_, u32>(0))
                .unwrap()
        };
        eventually(what, async || {
            let rest = [
                count("ada", "SELECT count(*) FROM bootstrap_out"),
                count("tablet", "SELECT count(*) FROM bootstrap_in WHERE is_done = 0"),
                count("tablet", "SELECT count(*) FROM bootstrap_piece"),
            ];
            (rest == [0; 3]).then_some(())
        })
        .await;
        there.send_text("written on the tablet").await.unwrap();
        let hers = ada.client.thread(*thread).await.unwrap();
        when(what, &hers, |message| message.text() == Some("written on the tablet")).await;
        assert_eq!(texts(&hers).await, texts(&there).await, "{what}");
    }

    const PRIMARY: [(Station, u32); 9] = [
        (Station::ApplyBeforeCommit, 1),
        (Station::ApplyAfterCommit, 1),
        (Station::BootstrapMakeBeforeCommit, 1),
        (Station::BootstrapMakeBeforeCommit, 5),
        (Station::BootstrapMakeAfterCommit, 1),
        (Station::BootstrapMakeAfterCommit, 5),
        (Station::MailBeforeCommit, 2),
        (Station::MailAfterCommit, 2),
        (Station::MailAnswered, 2),
    ];

    const COMPANION: [(Station, u32); 10] = [
        (Station::MailBeforeCommit, 1),
        (Station::MailAfterCommit, 1),
        (Station::MailAnswered, 1),
        (Station::ApplyBeforeCommit, 1),
        (Station::ApplyAfterCommit, 1),
        (Station::Acknowledged, 1),
        (Station::BootstrapApplyBeforeCommit, 1),
        (Station::BootstrapApplyBeforeCommit, 4),
        (Station::BootstrapApplyAfterCommit, 1),
        (Station::BootstrapApplyAfterCommit, 4),
    ];

    /// Cases that run at the same time.
    const AT_ONCE: usize = 5;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_primary_device_can_be_killed_at_every_station_of_a_transfer() {
        let one = async |(station, pass): (Station, u32)| {
            let (fault, linked) = (format!("{}:{pass}", station.name()), linked(TEXTS, 1_500).await);
            let tablet = linked.tablet.clone().open().await;
            dies(&linked.world, "ada", &fault).await;
            let ada = linked.ada.clone().open().await;
            is_complete(linked, (ada, tablet), &fault).await;
        };
        for cases in PRIMARY.chunks(AT_ONCE) {
            join_all(cases.iter().copied().map(&one)).await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_companion_can_be_killed_at_every_station_of_a_transfer() {
        let one = async |(station, pass): (Station, u32)| {
            let (fault, linked) = (format!("{}:{pass}", station.name()), linked(TEXTS, 1_500).await);
            let ada = linked.ada.clone().open().await;
            dies(&linked.world, "tablet", &fault).await;
            let tablet = linked.tablet.clone().open().await;
            is_complete(linked, (ada, tablet), &fault).await;
        };
        for cases in COMPANION.chunks(AT_ONCE) {
            join_all(cases.iter().copied().map(&one)).await;
        }
    }
}

//! A client that sends lines until its process is killed at the station that `SEALPOST_FAULT` names.
//!
//! `crash-client FOLDER NAME RELAY PEER` opens (or registers) `NAME` in `FOLDER`, and sends "NAME 0", "NAME 1" and so
//! on to `PEER`, each after the relay has accepted the previous one and after saying that somebody is writing. Lines that are in the history are not sent again.
//! Without `PEER` it only receives. With `delete` instead of `PEER`, it deletes its account; with `note`, it writes the lines to itself; with
//! `clean-up`, it deletes the messages of the first ten seconds of all time. With `companion`, it shows a code and waits until it is linked; with `link CODE`, it
//! reads a code and confirms; with `remove N`, it removes the device with this number; with `move N`, it moves the
//! account to it.

#![expect(clippy::expect_used, reason = "a failure here fails the test with a message")]

use std::io::Write as _;
use std::path::Path;

use sealpost_core::{Client, Delivery, Departure, DeviceId, History, LinkCode, Opened, SharedHistory};
use sealpost_testkit::{PartyDisk, texts};

/// More lines than any test needs to reach its station.
const LINES: usize = 500;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, name, relay, peer @ ..] = arguments.as_slice() else {
        std::process::exit(2);
    };
    if peer.first().is_some_and(|peer| peer == "companion") {
        let disk = PartyDisk::new(Path::new(folder), name, relay);
        let Opened::Unregistered(new) = Client::open(disk.config()).await.expect("the database opens") else {
            return;
        };
        let linking = new.link(name).await.expect("a link");
        writeln!(std::io::stdout(), "{}", *linking.code().to_text()).expect("the test reads the code");
        linking.finish().await.expect("the companion is linked");
        return;
    }
    let me = PartyDisk::new(Path::new(folder), name, relay).open_or_register().await;
    if peer.first().is_some_and(|peer| peer == "delete") {
        let departure = me.client.delete_account(History::Keep).await;
        assert_eq!(departure, Ok(Departure::Complete), "the account is deleted");
        me.close().await;
        return;
    }
    if peer.first().is_some_and(|peer| peer == "note") {
        let note = me.client.note_to_self().await.expect("a note to self");
        for line in texts(&note).await.len()..LINES {
            note.send_text(&format!("{name} {line}")).await.expect("a note");
        }
        return;
    }
    if let [what, code] = peer {
        if what == "link" {
            let code: LinkCode = code.parse().expect("a code");
            me.client
                .link(&code)
                .await
                .expect("the code is read")
                .confirm("tablet", SharedHistory::Everything)
                .await
                .expect("confirmed");
        } else if what == "move" {
            let device = DeviceId::new(code.parse().expect("a number")).expect("a device");
            me.client.move_account(device).await.expect("the device is asked");
            // The rest is done in the background.
            std::future::pending::<()>().await;
        } else {
            let device = DeviceId::new(code.parse().expect("a number")).expect("a device");
            me.client.remove_device(device).await.expect("removed");
        }
        me.close().await;
        return;
    }
    if peer.first().is_some_and(|peer| peer == "clean-up") {
        me.client.delete_older(10_000).await.expect("a clean-up");
        return;
    }
    let Some(peer) = peer.first() else { std::future::pending().await };
    let peer = peer.parse().expect("a user id");
    let thread = me.client.direct_thread(peer).await.expect("a direct thread");
    let written = texts(&thread).await.iter().filter(|text| text.starts_with(name)).count();
    for line in written..LINES {
        // It leaves if there is a connection already.
        thread.set_typing(true).await.expect("somebody is writing");
        let message = thread.send_text(&format!("{name} {line}")).await.expect("a queued line");
        me.message_reaches(&thread, message.id, Delivery::Sent).await;
    }
}

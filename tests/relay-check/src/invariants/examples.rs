//! A short correct history, for tests to modify.

use std::collections::BTreeMap;

use crate::History;
use crate::event::{Call, Device, Dump, Event, Line, Mail, Place, Reply, Row, Send, Stored};

pub(crate) fn device(name: &str) -> Device {
    Device(name.to_owned())
}

pub(crate) fn place(seq: u64) -> Place {
    Place { thread: "t".to_owned(), seq }
}

/// A message in the thread, to the other user's device.
pub(crate) fn send(sender: &str, id: &str) -> Send {
    let to = if sender == "ada/1" { "ben/1" } else { "ada/1" };
    Send {
        sender: device(sender),
        thread: "t".to_owned(),
        id: id.to_owned(),
        body: format!("body of {id}"),
        roster_version: 1,
        ephemeral: false,
        to: vec![device(to)],
    }
}

pub(crate) fn row(sender: &str, id: &str, seq: u64) -> Row {
    Row {
        place: place(seq),
        hlc: 100 + seq,
        epoch: 1,
        id: id.to_owned(),
        sender: device(sender),
        body: format!("body of {id}"),
        roster_version: 1,
    }
}

pub(crate) fn stored(sender: &str, id: &str, seq: u64) -> Stored {
    Stored { place: place(seq), hlc: 100 + seq, id: id.to_owned(), sender: sender.to_owned() }
}

fn sent(seq: u64, duplicate: bool) -> Reply {
    Reply::Send { seq, hlc: 100 + seq, epoch: 1, duplicate }
}

/// The events in order, with the positions that a recorder would assign.
fn lines(events: Vec<Event>) -> Vec<Line> {
    (0..).zip(events).map(|(at, event)| Line { at, event }).collect()
}

pub(crate) fn correct() -> Vec<Line> {
    let (ada, ben) = (device("ada/1"), device("ben/1"));
    let members = vec!["ada".to_owned(), "ben".to_owned()];
    let take = |idempotency: &str| Call::Take {
        requester: device("ada/1"),
        idempotency: idempotency.to_owned(),
        target: device("ben/1"),
    };
    let typing = Send { ephemeral: true, ..send("ada/1", "typing") };
    let mut events = vec![
        Event::Thread { thread: "t".to_owned(), members, roster_version: 1 },
        Event::Limits { rss_kib: 1_000, files: 50 },
        Event::Secret { text: "a secret".to_owned() },
    ];
    let done = |events: &mut Vec<Event>, op: u64, call: Call, reply: Reply| {
        events.push(Event::Invoke { op, call });
        events.push(Event::Ok { op, reply });
    };
    let upload = Call::Upload { device: ben.clone(), ec: vec![1, 2], kem: vec![1] };
    done(&mut events, 1, upload, Reply::Upload);
    done(&mut events, 2, Call::Send(send("ada/1", "m1")), sent(1, false));
    events.push(Event::Deliver { device: ben.clone(), since: 4, row: row("ada/1", "m1", 1) });
    // The relay is killed before it answers, but the message was stored.
    events.push(Event::Invoke { op: 3, call: Call::Send(send("ada/1", "m2")) });
    events.push(Event::Sample { rss_kib: 900, files: 40 });
    events.push(Event::Killed);
    events.push(Event::Unknown { op: 3 });
    let ack = |device: &Device, seq| Call::Ack { device: device.clone(), rows: vec![place(seq)] };
    done(&mut events, 4, ack(&ben, 1), Reply::Ack { removed: 1 });
    done(&mut events, 5, Call::Send(send("ada/1", "m2")), sent(2, true));
    events.push(Event::Deliver { device: ben.clone(), since: 14, row: row("ada/1", "m2", 2) });
    done(&mut events, 6, Call::Send(send("ben/1", "m3")), sent(3, false));
    let page = Reply::Page { rows: vec![row("ben/1", "m3", 3)], more: false };
    done(&mut events, 7, Call::Page { device: ada.clone() }, page);
    done(&mut events, 8, ack(&ada, 3), Reply::Ack { removed: 1 });
    events.push(Event::Invoke { op: 9, call: Call::Send(typing) });
    events.push(Event::Fail { op: 9, reason: "ephemeral_refused".to_owned() });
    let call = Send { ephemeral: true, ..send("ada/1", "call") };
    done(&mut events, 24, Call::Send(call), Reply::PassedOn);
    let mail =
        |id: &str| Call::Mail(Mail { sender: device("ada/1"), id: id.to_owned(), to: vec![device("ben/1")] });
    let pushed = |seq, id: &str| Event::Mail {
        device: device("ben/1"),
        seq,
        id: id.to_owned(),
        sender: device("ada/1"),
    };
    done(&mut events, 20, mail("k1"), Reply::Mail { duplicate: false });
    done(&mut events, 21, mail("k1"), Reply::Mail { duplicate: true });
    events.push(pushed(1, "k1"));
    done(&mut events, 22, mail("k2"), Reply::Mail { duplicate: false });
    events.push(pushed(2, "k2"));
    let ack_mail = Call::AckMail { device: ben.clone(), seqs: vec![1] };
    done(&mut events, 23, ack_mail, Reply::Ack { removed: 1 });
    done(&mut events, 10, take("k1"), Reply::Take { ec: Some(1), kem: Some(1) });
    done(&mut events, 11, take("k2"), Reply::Take { ec: Some(2), kem: None });
    done(&mut events, 12, take("k3"), Reply::Take { ec: None, kem: None });
    events.push(Event::Dump(Dump {
        epoch: 1,
        last: BTreeMap::from([("t".to_owned(), 3)]),
        stored: vec![stored("ada", "m1", 1), stored("ada", "m2", 2), stored("ben", "m3", 3)],
        mailboxes: BTreeMap::from([(ben.clone(), vec![place(2)])]),
        mail: BTreeMap::from([(ben.clone(), vec![2])]),
        keys: BTreeMap::from([(ben, (Vec::new(), Vec::new()))]),
    }));
    lines(events)
}

pub(crate) fn history() -> History {
    let mut history = History::from_lines(correct()).unwrap();
    history.log = "listening".to_owned();
    history
}

/// The correct history with a modification.
pub(crate) fn modified(modify: impl FnOnce(&mut History)) -> History {
    let mut history = history();
    modify(&mut history);
    history
}

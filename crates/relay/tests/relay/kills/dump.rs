//! Reads the contents of the store from its file, after the relay has ended.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, Row};
use sealpost_relay_check::event::{Device, Dump, Place, Stored};

pub(super) fn read(data: &Path) -> Dump {
    let db = Connection::open(data.join("relay.db")).unwrap();
    let mut dump = Dump {
        epoch: db.query_row("SELECT v FROM store_meta WHERE k = 'epoch'", [], |row| row.get(0)).unwrap(),
        ..Dump::default()
    };
    each(&db, "SELECT thread_id, last_seq FROM thread", |row| {
        dump.last.insert(name(row, 0), row.get(1).unwrap());
    });
    // The ids of mail belong to a device, whose number follows its user.
    let messages =
        "SELECT thread_id, server_seq, hlc, client_msg_id, sender FROM dedupe WHERE length(sender) = 16";
    each(&db, messages, |row| {
        dump.stored.push(Stored {
            place: place(row, 0),
            hlc: row.get(2).unwrap(),
            id: name(row, 3),
            sender: name(row, 4),
        });
    });
    each(&db, "SELECT user_id, device_id, thread_id, server_seq FROM inbox", |row| {
        dump.mailboxes.entry(device(row)).or_default().push(place(row, 2));
    });
    each(&db, "SELECT user_id, device_id, mail_seq FROM mail", |row| {
        dump.mail.entry(device(row)).or_default().push(row.get(2).unwrap());
    });
    let mut keys: BTreeMap<Device, (Vec<u32>, Vec<u32>)> = BTreeMap::new();
    each(&db, "SELECT user_id, device_id FROM device", |row| {
        keys.entry(device(row)).or_default();
    });
    each(&db, "SELECT user_id, device_id, kind, key_id FROM one_time_pre_key ORDER BY key_id", |row| {
        let (ec, kem) = keys.entry(device(row)).or_default();
        let of_kind = if row.get::<_, u32>(2).unwrap() == 0 { ec } else { kem };
        of_kind.push(row.get(3).unwrap());
    });
    Dump { keys, ..dump }
}

fn each(db: &Connection, query: &str, mut row: impl FnMut(&Row<'_>)) {
    let mut statement = db.prepare(query).unwrap();
    let mut rows = statement.query([]).unwrap();
    while let Some(next) = rows.next().unwrap() {
        row(next);
    }
}

fn place(row: &Row<'_>, at: usize) -> Place {
    Place { thread: name(row, at), seq: row.get(at + 1).unwrap() }
}

fn device(row: &Row<'_>) -> Device {
    Device(format!("{}/{}", name(row, 0), row.get::<_, u32>(1).unwrap()))
}

fn name(row: &Row<'_>, at: usize) -> String {
    super::convert::hex(&row.get::<_, Vec<u8>>(at).unwrap())
}

//! Tests for new databases and for those of every earlier version.

use rusqlite::params;

use super::*;
use crate::content::{Body, Receipt, ReceiptKind};

#[test]
fn a_new_database_ends_at_the_newest_version_and_stays_there() {
    let mut connection = Connection::open_in_memory().unwrap();
    migrate(&mut connection).unwrap();
    migrate(&mut connection).unwrap();
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version as usize, MIGRATIONS.len());
}

/// The schema of a database: its tables and indexes, and the settings of its search index.
fn form(connection: &Connection) -> Vec<String> {
    let all = |sql: &str| -> Vec<String> {
        let mut statement = connection.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
    };
    let declared =
        all("SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_schema ORDER BY type, name");
    // White space makes no difference, and columns that were added by a migration have no comments.
    let plain = |text: String| {
        let lines = text.lines().map(|line| line.split_once("--").map_or(line, |(code, _)| code));
        let words = lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ");
        words.replace(" ,", ",").replace("( ", "(").replace(" )", ")")
    };
    let settings = all("SELECT k || ' ' || v FROM search_config ORDER BY k");
    declared.into_iter().map(plain).chain(settings).collect()
}

#[test]
fn a_new_database_has_the_schema_that_the_migrations_produce() {
    let (mut new, migrated) = (Connection::open_in_memory().unwrap(), Connection::open_in_memory().unwrap());
    migrate(&mut new).unwrap();
    for migration in MIGRATIONS {
        migrated.execute_batch(migration).unwrap();
    }
    let (new, migrated) = (form(&new), form(&migrated));
    for (new, migrated) in new.iter().zip(&migrated) {
        assert_eq!(new, migrated);
    }
    assert_eq!(new.len(), migrated.len());
}

#[test]
fn a_newer_database_is_refused_and_left_alone() {
    let mut connection = Connection::open_in_memory().unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    assert_eq!(
        migrate(&mut connection).unwrap_err(),
        Error::Storage(Storage::Newer { found: 99, known: 46 })
    );
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0)).unwrap();
    assert_eq!(tables, 0);
}

/// Inserts a row into every table of the first version that a later version has changed, and into one that is unchanged.
const OF_V1: &str = "
INSERT INTO account (only, identity, registration_id, user_id, device_id, access_token, access_expires, refresh_token)
    VALUES (1, x'01', 7, zeroblob(16), 1, 'access', 5, 'refresh');
INSERT INTO one_time_pre_key (id, record, uploaded) VALUES (1, x'02', 1), (2, x'03', 0);
INSERT INTO kem_pre_key (id, record, last_resort, created, uploaded) VALUES (3, x'04', 1, 9, 1);
INSERT INTO contact (user_id, trust) VALUES (zeroblob(16), 1);
INSERT INTO session VALUES (zeroblob(16), 1, x'0405', 6, 0, x'07');
INSERT INTO skipped_key VALUES (zeroblob(16), 1, zeroblob(33), 8, x'0405', zeroblob(32));
INSERT INTO thread (thread_id, peer, roster_version, created) VALUES (zeroblob(16), zeroblob(16), 2, 5);
";

/// An account of version 34.
const OF_V34: &str = "
INSERT INTO account (only, identity, registration_id, notified_up_to) VALUES (1, x'01', 7, 10);
PRAGMA user_version = 34;
";

/// Inserts messages of version 5: of each length whose encoding differs, and in each state in which something waits.
fn messages_of_v5(connection: &Connection) {
    let insert = |id: i64, kind: i64, body: &[u8], outbox: i64, sealed: Option<&[u8]>| {
        let mut name = [0; 16];
        name[0] = u8::try_from(id).unwrap();
        let sql = "INSERT INTO message (id, thread_id, client_msg_id, sender, kind, body, sent, position, state, outbox,
            sealed, attempts) VALUES (?1, zeroblob(16), ?2, zeroblob(16), ?3, ?4, 9, ?1, 0, ?5, ?6, 3)";
        connection.execute(sql, params![id, name, kind, body, outbox, sealed]).unwrap();
    };
    for (id, length) in [(1, 0), (2, 1), (3, 127), (4, 128), (5, 16_383), (6, 16_384), (7, 48_000)] {
        insert(id, 1, "x".repeat(length).as_bytes(), 0, None);
    }
    insert(8, 1, "\u{0}null \u{fc}".as_bytes(), 1, None);
    insert(9, 1, b"sealed", 2, Some(b"bytes"));
    insert(10, 1, b"accepted", 0, Some(b"kept"));
    insert(11, 2, b"", 0, None);
    for (id, count) in [(12, 1_u8), (13, 8), (14, 255)] {
        let ids = (0..count).flat_map(|n| [n; 16]);
        insert(id, 3, &std::iter::once(2).chain(ids).collect::<Vec<_>>(), 1, None);
    }
    connection.execute("DELETE FROM message WHERE id = 14", []).unwrap();
    let ids = (0..=255).flat_map(|n| [n; 16]);
    insert(14, 3, &std::iter::once(1).chain(ids).collect::<Vec<_>>(), 1, None);
    insert(15, 1, b"taken back", 0, None);
    connection.execute("DELETE FROM message WHERE id = 15", []).unwrap();
}

#[test]
fn visible_messages_and_outgoing_contents_are_migrated_to_separate_tables() {
    let mut connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(MIGRATIONS[0]).unwrap();
    connection.execute_batch(OF_V1).unwrap();
    connection.execute_batch(&MIGRATIONS[1..5].join(";")).unwrap();
    messages_of_v5(&connection);
    connection.pragma_update(None, "user_version", 5).unwrap();
    migrate(&mut connection).unwrap();

    let all = |sql: &str| -> Vec<(i64, Vec<u8>)> {
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.collect::<rusqlite::Result<_>>().unwrap()
    };
    let messages = all("SELECT id, body FROM message WHERE kind = 1 ORDER BY id");
    let texts: Vec<_> = messages.iter().map(|(id, body)| (*id, Body::from_bytes(body).unwrap())).collect();
    let expected = [
        (1, String::new()),
        (2, "x".to_owned()),
        (3, "x".repeat(127)),
        (4, "x".repeat(128)),
        (5, "x".repeat(16_383)),
        (6, "x".repeat(16_384)),
        (7, "x".repeat(48_000)),
        (8, "\u{0}null \u{fc}".to_owned()),
        (9, "sealed".to_owned()),
        (10, "accepted".to_owned()),
    ];
    assert_eq!(texts, expected.map(|(id, text)| (id, Body::text(text))));
    for (id, body) in &messages {
        // The migration writes bodies exactly as this version does.
        assert_eq!(Body::from_bytes(body).unwrap().to_bytes(), *body, "{id}");
    }
    let outgoing = all("SELECT id, body FROM outgoing ORDER BY id");
    let bodies: Vec<_> = outgoing.iter().map(|(id, body)| (*id, Body::from_bytes(body).unwrap())).collect();
    // Receipts named the ids of messages, and say nothing any longer.
    let receipt = |kind| Body::Receipt(Receipt { kind, marks: Vec::new() });
    let expected = [
        (8, Body::text("\u{0}null \u{fc}".to_owned())),
        (9, Body::text("sealed".to_owned())),
        (10, Body::text("accepted".to_owned())),
        (12, receipt(ReceiptKind::Read)),
        (13, receipt(ReceiptKind::Read)),
        (14, receipt(ReceiptKind::Delivered)),
    ];
    assert_eq!(bodies, expected);
    let text = |sql: &str| -> String { connection.query_row(sql, [], |row| row.get(0)).unwrap() };
    let states =
        "SELECT group_concat(id || ':' || state || ':' || coalesce(message_id, '-'), ' ') FROM outgoing";
    assert_eq!(text(states), "8:1:8 9:2:9 10:3:10 12:1:- 13:1:- 14:1:-");
    let parcels =
        "SELECT group_concat(id || ':' || CAST(bytes AS TEXT), ' ') FROM outgoing WHERE bytes IS NOT NULL";
    assert_eq!(text(parcels), "9:bytes 10:kept");
    let entries = "SELECT group_concat(id || ':' || outgoing, ' ') FROM message WHERE outgoing IS NOT NULL";
    assert_eq!(text(entries), "8:8 9:9 10:10");
    assert_eq!(text("SELECT hex(lane) || due FROM lane"), format!("{}0", "00".repeat(16)));
    assert_eq!(
        text("SELECT group_concat(message_id || hex(told_id)) FROM parked"),
        format!("110B{}", "00".repeat(15))
    );
    // The id of a message that was cancelled is not used again.
    assert_eq!(
        text("SELECT group_concat(name || seq) FROM sqlite_sequence WHERE name = 'message'"),
        "message15"
    );
}

#[test]
fn contents_in_the_outbox_keep_their_parcels_and_no_id_is_used_again() {
    let mut connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(&MIGRATIONS[..25].join(";")).unwrap();
    let filled = connection.execute_batch(
        "INSERT INTO thread (thread_id, roster_version, created) VALUES (zeroblob(16), 1, 1);
         INSERT INTO message (id, thread_id, author, device, kind, body, sent, position, state, run, count) VALUES
            (1, zeroblob(16), zeroblob(16), 1, 1, x'', 1, 1, 3, zeroblob(8), 1),
            (2, zeroblob(16), zeroblob(16), 1, 1, x'', 1, 2, 1, zeroblob(8), 2),
            (3, zeroblob(16), zeroblob(16), 1, 1, x'', 1, 3, 0, zeroblob(8), 3),
            (4, zeroblob(16), zeroblob(16), 1, 1, x'', 1, 4, 0, NULL, NULL),
            (5, zeroblob(16), zeroblob(16), 1, 1, x'', 1, 5, 10, zeroblob(8), 1);
         INSERT INTO outgoing (id, lane, message_id, content_id, sent, class, body, state, run, count) VALUES
            (11, zeroblob(16), 2, zeroblob(16), 1, 1, x'', 3, zeroblob(8), 2),
            (12, zeroblob(16), 3, zeroblob(16), 1, 1, x'', 2, zeroblob(8), 3),
            (13, zeroblob(16), NULL, zeroblob(16), 1, 1, x'', 2, zeroblob(8), 4),
            (14, zeroblob(16), 4, zeroblob(16), 1, 1, x'', 1, NULL, NULL),
            (20, zeroblob(16), NULL, zeroblob(16), 1, 1, x'', 1, NULL, NULL);
         DELETE FROM outgoing WHERE id = 20;
         INSERT INTO parcel SELECT id, 25 - id, zeroblob(16), CAST(id AS BLOB), id FROM outgoing WHERE state = 2;
         INSERT INTO lane VALUES (zeroblob(16), 5);
         PRAGMA user_version = 25;",
    );
    filled.unwrap();
    migrate(&mut connection).unwrap();
    let text = |sql: &str| -> String { connection.query_row(sql, [], |row| row.get(0)).unwrap() };
    let outgoing = "SELECT group_concat(concat_ws(':', id, message_id, state, count, CAST(bytes AS TEXT), made), ' ') FROM outgoing";
    assert_eq!(text(outgoing), "11:2:3:2 12:3:2:3:13:13 13:2:4:12:12 14:4:1");
    let entries = "SELECT group_concat(id || ':' || coalesce(outgoing, '-'), ' ') FROM message";
    assert_eq!(text(entries), "1:0 2:11 3:12 4:14 5:-");
    assert_eq!(text("SELECT seq || '' FROM sqlite_sequence WHERE name = 'outgoing'"), "20");
}

#[test]
fn a_file_of_any_earlier_version_keeps_its_contents() {
    for version in 1..MIGRATIONS.len() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("old.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(MIGRATIONS[0]).unwrap();
        old.execute_batch(OF_V1).unwrap();
        for migration in &MIGRATIONS[1..version] {
            old.execute_batch(migration).unwrap();
        }
        old.pragma_update(None, "user_version", version).unwrap();
        drop(old);

        let mut connection = Connection::open(&path).unwrap();
        migrate(&mut connection).unwrap();
        let text = |sql: &str| -> String { connection.query_row(sql, [], |row| row.get(0)).unwrap() };
        let account =
            "SELECT registration_id || access_token || refresh_token || (exchange IS NULL) FROM account";
        assert_eq!(text(account), "7accessrefresh1", "from {version}");
        let keys = "SELECT group_concat(id || hex(record) || uploaded || (given_out IS NULL))";
        assert_eq!(text(&format!("{keys} FROM one_time_pre_key")), "10211,20301");
        assert_eq!(text(&format!("{keys} FROM kem_pre_key")), "30411");
        assert_eq!(text("SELECT trust || hex(user_id) FROM contact"), format!("1{}", "00".repeat(16)));
        let sessions = "SELECT hex(session_id) || rank || active || hex(state) || (inactive_since IS NULL)";
        assert_eq!(text(&format!("{sessions} FROM session")), "040560071");
        let kept = "SELECT number || hex(session_id) || (kept_since IS NULL) FROM skipped_key";
        assert_eq!(text(kept), "804051");
        let thread = "SELECT roster_version || ',' || created || ',' || accepted FROM thread";
        assert_eq!(text(thread), "2,5,0", "the relay is asked once more");
        assert_eq!(check(&connection).unwrap() as usize, MIGRATIONS.len());
    }
}

#[test]
fn late_messages_keep_what_was_read_of_them() {
    let mut connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(&MIGRATIONS[..15].join(";")).unwrap();
    let filled = connection.execute_batch(
        "INSERT INTO thread (thread_id, roster_version, created, unread, read_position, read_id)
            VALUES (zeroblob(16), 1, 1, 3, 20, 2), (x'01010101010101010101010101010101', 1, 1, 0, 0, 0);
         INSERT INTO message (id, thread_id, author, device, kind, body, sent, position, state) VALUES
            (1, zeroblob(16), zeroblob(16), 1, 2, x'', 1, 10, 10), (2, zeroblob(16), zeroblob(16), 1, 2, x'', 1, 20, 10),
            (3, zeroblob(16), zeroblob(16), 1, 2, x'', 1, 30, 10), (4, zeroblob(16), zeroblob(16), 1, 2, x'', 1, 11, 11),
            (5, zeroblob(16), zeroblob(16), 1, 2, x'', 1, 12, 12), (6, zeroblob(16), zeroblob(16), 1, 2, x'', 1, 13, 12);
         INSERT INTO read_receipt_due VALUES (zeroblob(16), 10, 1);
         PRAGMA user_version = 15;",
    );
    filled.unwrap();
    migrate(&mut connection).unwrap();
    let text = |sql: &str| -> String { connection.query_row(sql, [], |row| row.get(0)).unwrap() };
    let messages = "SELECT group_concat(id || ':' || state || ':' || coalesce(late, '-'), ' ') FROM message";
    assert_eq!(text(messages), "1:10:- 2:10:- 3:10:- 4:11:- 5:12:1 6:12:1");
    let threads = "SELECT group_concat(unread || ':' || late_count || ':' || late_unread || ':' || read_id, ' ') FROM thread";
    assert_eq!(text(threads), "3:1:2:2 0:0:0:0");
    assert_eq!(text("SELECT position || ':' || id || ':' || told FROM read_receipt_due"), "10:1:1");
}

#[test]
fn receipts_say_nothing_of_what_came_before_they_used_numbers() {
    let mut connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(&MIGRATIONS[..28].join(";")).unwrap();
    let receipt = Body::Receipt(Receipt { kind: ReceiptKind::Read, marks: Vec::new() }).to_bytes();
    let filled = connection.execute_batch(
        "INSERT INTO thread (thread_id, roster_version, created) VALUES (zeroblob(16), 1, 1);
         INSERT INTO heard VALUES (zeroblob(16), zeroblob(16), 1, zeroblob(8), 9, x'0101', 5);
         PRAGMA user_version = 28;",
    );
    filled.unwrap();
    let insert = |body: &[u8], bytes: Option<&[u8]>| {
        let sql = "INSERT INTO mail (thread_id, recipient, content_id, sent, body, due, bytes)
                   VALUES (zeroblob(16), zeroblob(16), zeroblob(16), 1, ?1, 0, ?2)";
        connection.execute(sql, params![body, bytes]).unwrap();
    };
    insert(&receipt, None);
    // It may have been submitted already.
    insert(&receipt, Some(b"sealed"));
    insert(&Body::Typing { is_typing: true }.to_bytes(), None);
    migrate(&mut connection).unwrap();
    let text = |sql: &str| -> String { connection.query_row(sql, [], |row| row.get(0)).unwrap() };
    let heard = "SELECT up_to || hex(excepted) || ' ' || withheld || hex(withheld_excepted) || ' ' || read || ' ' || apart
                 FROM heard";
    assert_eq!(text(heard), "90101 9 0 9");
    assert_eq!(text("SELECT group_concat(id) FROM mail"), "2,3");
}

#[test]
fn archived_sessions_of_an_earlier_version_are_never_used_for_sending_again() {
    let mut connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(&MIGRATIONS[..29].join(";")).unwrap();
    connection.pragma_update(None, "user_version", 29).unwrap();
    let rows = "INSERT INTO session (user_id, device_id, session_id, rank, active, state)
        VALUES (zeroblob(16), 1, x'01', 1, 0, x'07'), (zeroblob(16), 1, x'02', 2, 1, x'07')";
    connection.execute_batch(rows).unwrap();
    migrate(&mut connection).unwrap();
    let sql = "SELECT group_concat(hex(session_id) || ':' || ended, ' ') FROM session";
    let ended: String = connection.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(ended, "01:1 02:0");
}

#[test]
fn our_accepted_edits_of_an_earlier_version_are_before_later_ones() {
    let mut connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(&MIGRATIONS[..26].join(";")).unwrap();
    let filled = connection.execute_batch(
        "INSERT INTO thread (thread_id, roster_version, created) VALUES (zeroblob(16), 1, 1);
         INSERT INTO message (id, thread_id, author, device, kind, body, sent, position, state)
            VALUES (1, zeroblob(16), zeroblob(16), 1, 1, x'01', 1, 10, 1);
         INSERT INTO edit (message_id, position, content_id, body, sent) VALUES
            (1, 0, zeroblob(16), x'01', 1), (1, 1 << 62, x'01010101010101010101010101010101', x'02', 2),
            (1, 1 << 62, x'02020202020202020202020202020202', x'03', 3), (1, 70, x'03030303030303030303030303030303', x'04', 4),
            (1, 1 << 62, x'04040404040404040404040404040404', x'05', 5);
         INSERT INTO outgoing (lane, content_id, sent, class, body, state)
            VALUES (zeroblob(16), x'04040404040404040404040404040404', 5, 1, x'05', 1);
         PRAGMA user_version = 26;",
    );
    filled.unwrap();
    migrate(&mut connection).unwrap();
    let sql = "SELECT group_concat(hex(body) || ':' || (position >= 1 << 62), ' ')
               FROM (SELECT * FROM edit ORDER BY position, content_id)";
    let versions: String = connection.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(versions, "01:0 02:0 03:0 04:0 05:1");
}

#[test]
fn a_request_is_announced_unless_an_earlier_version_has_announced_it() {
    let mut connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(&MIGRATIONS[..34].join(";")).unwrap();
    connection.execute_batch(OF_V34).unwrap();
    let thread = |n: u8, is_request: bool, messages: &[(i64, i64)]| {
        let sql = "INSERT INTO thread (thread_id, roster_version, created, request) VALUES (?1, 1, 1, ?2)";
        connection.execute(sql, params![[n; 16], is_request]).unwrap();
        let sql = "INSERT INTO message (id, thread_id, author, device, kind, body, sent, position, state)
                   VALUES (?1, ?2, zeroblob(16), 1, ?3, x'', 1, ?1, 10)";
        for (id, kind) in messages {
            connection.execute(sql, params![id, [n; 16], kind]).unwrap();
        }
    };
    // Messages were examined up to the tenth.
    thread(1, true, &[(1, 1), (2, 4), (11, 1)]);
    thread(2, true, &[(3, 4), (4, 1)]);
    thread(3, true, &[(12, 1)]);
    thread(4, true, &[]);
    thread(5, false, &[(5, 1)]);
    migrate(&mut connection).unwrap();
    let sql = "SELECT group_concat(request_told, ' ') FROM (SELECT * FROM thread ORDER BY thread_id)";
    let told: String = connection.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(told, "1 0 0 0 0");
}

#[test]
fn messages_that_an_earlier_version_sent_late_are_judged_apart() {
    let mut connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(&MIGRATIONS[..39].join(";")).unwrap();
    let thread = "INSERT INTO thread (thread_id, roster_version, created) VALUES (zeroblob(16), 1, 1)";
    connection.execute(thread, []).unwrap();
    const LATE: i64 = 12 * 3600 * 1000 + 2;
    for (id, state, stored) in [(1, 1, Some(LATE)), (2, 1, Some(LATE - 1)), (3, 2, Some(LATE)), (4, 0, None)]
    {
        let sql = "INSERT INTO message (id, thread_id, author, device, kind, body, sent, position, state, run, count, stored)
                   VALUES (?1, zeroblob(16), zeroblob(16), 1, 1, x'', 1, ?1, ?2, zeroblob(8), ?1, ?3)";
        connection.execute(sql, params![id, state, stored]).unwrap();
    }
    connection.pragma_update(None, "user_version", 39).unwrap();
    migrate(&mut connection).unwrap();
    let sql = "SELECT group_concat(message_id || ':' || stored, ' ') FROM sent_late";
    let apart: String = connection.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(apart, format!("1:{LATE}"));
}

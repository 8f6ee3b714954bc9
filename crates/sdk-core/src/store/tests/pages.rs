//! Tests how many pages the transactions of a message write. A page costs about 12 µs, most of which are its encryption and its MAC,
//! so the number of pages decides how long a message takes, and a test can assert it.

use std::collections::BTreeMap;
use std::fs;

use super::*;
use crate::content::{Number, Run};
use crate::store::{Parcel, Settlement, Tx};

const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
const PAGE: usize = 4096;

impl Fixture {
    fn log(&self) -> Vec<u8> {
        fs::read(self.dir.path().join("a.db-wal")).unwrap()
    }

    /// The tables and indexes to which the pages belong that were written since the log had this length, in their order by name.
    /// Where a table is small, a page of it stands for the page that would be changed in a large one.
    async fn written_since(&self, length: usize) -> String {
        let log = self.log();
        let frames = log[length.max(LOG_HEADER)..].chunks(FRAME_HEADER + PAGE);
        let pages: Vec<_> =
            frames.map(|frame| i64::from(u32::from_be_bytes(frame[..4].try_into().unwrap()))).collect();
        let read = self.store.read(|rows| {
            let mut statement = rows.connection.prepare("SELECT pageno, name FROM dbstat")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<rusqlite::Result<BTreeMap<i64, String>>>()?)
        });
        let names = read.await.unwrap();
        let mut written: Vec<_> = pages.iter().map(|page| names[page].as_str()).collect();
        written.sort_unstable();
        written.join(" ")
    }
}

#[tokio::test]
async fn a_message_that_is_sent_at_once_writes_few_pages() {
    let fixture = Fixture::new().await;
    let run = Run([7; 8]);
    let mut written = Vec::new();
    for count in 1..=3 {
        let (before, new) = (fixture.log().len(), outgoing(Body::text("hello".to_owned())));
        let parcel = Parcel { client_msg_id: fresh_id(), bytes: vec![7; 400].into() };
        let name = parcel.client_msg_id;
        // What `send/queue.rs` does, except that it also stores the session, which takes another page.
        let queued = fixture.store.write(move |tx| {
            let message = tx.enqueue_unlisted(new)?.unwrap().id;
            let entry = tx.entry_of(message, &[1])?.unwrap();
            let number = Number { run, count };
            tx.set_own_number(THREAD, number)?;
            tx.set_sealed(entry, parcel, Some(number), 1000).map(|_| entry)
        });
        let entry = queued.await.unwrap();
        let queued = fixture.written_since(before).await;
        let before = fixture.log().len();
        let accepted = Settlement::Accepted { epoch: 1, server_seq: count, server_ms: 2000 + count };
        let settle = move |tx: &mut Tx<'_>| tx.settle_all(&[(entry, Some(name), accepted)]);
        fixture.store.write_unflushed(settle).await.unwrap();
        written.push((queued, fixture.written_since(before).await));
    }
    let queued = "message message_count message_page outgoing outgoing_lane sqlite_autoindex_message_1 sqlite_sequence \
                  thread thread_list";
    let settled = "message message_page outgoing outgoing_lane outgoing_unproven thread thread_list";
    assert_eq!(written, vec![(queued.to_owned(), settled.to_owned()); 3]);
}

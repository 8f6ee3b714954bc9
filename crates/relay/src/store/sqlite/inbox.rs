//! Reads, acknowledges and expires rows of mailboxes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use rusqlite::{Connection, OptionalExtension as _, Result, Row as SqlRow, Statement, params};
use sealpost_wire::Envelope;
use sealpost_wire::id::ThreadId;

use super::columns::{Shape, address, blob, client_msg_id, row_bytes, thread};
use super::deferred::Deferred;
use super::payload::{self, PayloadId, Released};
use super::trim;
use crate::address::Address;
use crate::fault::{self, Station};
use crate::store::{Arrival, InboxKey, MailboxState, Message, Page, PageLimit, Row};

pub(super) fn state(tx: &Connection, owner: Address) -> Result<MailboxState> {
    tx.prepare_cached(
        "SELECT trimmed, told, pushed, mail_seq FROM mailbox WHERE user_id = ?1 AND device_id = ?2",
    )?
    .query_row(params![owner.user.as_bytes(), owner.device.get()], |row| {
        Ok(MailboxState {
            trimmed: row.get(0)?,
            reported: row.get(1)?,
            pushed: row.get(2)?,
            last_mail: row.get(3)?,
        })
    })
}

const COLUMNS: &str = "arrival, thread_id, server_seq, hlc, sender_user, sender_device, client_msg_id,
    roster_version, kind, urgent, ttl_s, ciphertext, payload_id";

pub(super) fn arrivals(tx: &Connection, owner: Address, after: Arrival, limit: PageLimit) -> Result<Page> {
    let mut statement = tx.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM inbox WHERE user_id = ?1 AND device_id = ?2 AND expires_ms > ?3 AND arrival > ?4
         ORDER BY arrival"
    ))?;
    let params = params![owner.user.as_bytes(), owner.device.get(), limit.now_ms, after];
    let page = page(tx, &mut statement, params, limit)?;
    with_trimmed(tx, owner, page)
}

pub(super) fn after(
    tx: &Connection,
    owner: Address,
    after: Option<InboxKey>,
    limit: PageLimit,
) -> Result<Page> {
    // No row comes before the smallest thread id with seq 0, because sequence numbers start at 1.
    let (thread, seq) = after.map_or(([0; 16], 0), |key| {
        // A client may send any number; one that SQLite cannot store matches no row.
        let seq = i64::try_from(key.server_seq).unwrap_or(i64::MAX);
        (*key.thread.as_bytes(), seq)
    });
    let mut statement = tx.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM inbox WHERE user_id = ?1 AND device_id = ?2 AND expires_ms > ?3
         AND (thread_id, server_seq) > (?4, ?5) ORDER BY thread_id, server_seq"
    ))?;
    let page = page(
        tx,
        &mut statement,
        params![owner.user.as_bytes(), owner.device.get(), limit.now_ms, thread, seq],
        limit,
    )?;
    with_trimmed(tx, owner, page)
}

/// Adds the number of trimmed rows from the same snapshot, so that the reader knows what is missing among the rows.
fn with_trimmed(tx: &Connection, owner: Address, page: Page) -> Result<Page> {
    let trimmed = state(tx, owner).optional()?.map_or(0, |mailbox| mailbox.trimmed);
    Ok(Page { trimmed, ..page })
}

fn page(
    tx: &Connection,
    statement: &mut Statement<'_>,
    params: &[&dyn rusqlite::ToSql],
    limit: PageLimit,
) -> Result<Page> {
    let rows = statement.query(params)?;
    let (rows, more) = fill_page(rows, limit, |row| inbox_row(tx, row), |row| &row.message.envelope)?;
    Ok(Page { rows, more, ..Page::default() })
}

/// Reads rows until the page is full, at least one, and checks whether there is one more.
pub(super) fn fill_page<T>(
    mut from: rusqlite::Rows<'_>,
    limit: PageLimit,
    read: impl Fn(&SqlRow<'_>) -> Result<T>,
    envelope: impl Fn(&T) -> &Envelope,
) -> Result<(Vec<T>, bool)> {
    let (mut rows, mut bytes) = (Vec::new(), 0_usize);
    while let Some(row) = from.next()? {
        let row = read(row)?;
        bytes = bytes.saturating_add(envelope(&row).ciphertext.len());
        let full = rows.len() >= usize::try_from(limit.rows).unwrap_or(usize::MAX) || bytes > limit.bytes;
        if full && !rows.is_empty() {
            return Ok((rows, true));
        }
        rows.push(row);
    }
    Ok((rows, false))
}

fn inbox_row(tx: &Connection, row: &SqlRow<'_>) -> Result<Row> {
    let payload: Option<PayloadId> = row.get(12)?;
    let ciphertext = match payload {
        None => blob(row, 11)?,
        Some(id) => payload::ciphertext(tx, id)?,
    };
    Ok(Row {
        arrival: row.get(0)?,
        key: InboxKey { thread: thread(row, 1)?, server_seq: row.get(2)? },
        message: Message {
            hlc: row.get(3)?,
            sender: address(row, 4, 5)?,
            client_msg_id: client_msg_id(row, 6)?,
            roster_version: row.get(7)?,
            envelope: Envelope {
                kind: row.get(8)?,
                urgent: row.get(9)?,
                ephemeral: false,
                ttl_s: row.get(10)?,
                ciphertext,
            },
        },
    })
}

pub(super) fn acknowledge(
    tx: &Connection,
    deferred: &mut Deferred,
    owner: Address,
    keys: &[InboxKey],
) -> Result<u32> {
    let Deferred { mailboxes, released, .. } = deferred;
    let (user, device) = (owner.user.as_bytes(), owner.device.get());
    let mut removed: u32 = 0;
    let mut delete = tx.prepare_cached(
        "DELETE FROM inbox WHERE user_id = ?1 AND device_id = ?2 AND thread_id = ?3
            AND server_seq BETWEEN ?4 AND ?5
         RETURNING length(ciphertext) + payload_bytes, payload_id",
    )?;
    for (thread, seqs) in runs(keys) {
        let mut bytes: u64 = 0;
        let mut gone = delete.query(params![user, device, thread.as_bytes(), seqs.start(), seqs.end()])?;
        while let Some(row) = gone.next()? {
            removed = removed.saturating_add(1);
            bytes = bytes.saturating_add(row_bytes(row.get(0)?));
            released.row(row.get(1)?);
        }
        mailboxes.shrink(owner, thread, bytes);
    }
    fault::at(Station::AckBeforeCommit);
    Ok(removed)
}

/// Groups the keys into runs of consecutive numbers.
fn runs(keys: &[InboxKey]) -> Vec<(ThreadId, RangeInclusive<i64>)> {
    // A client may send any number; one that SQLite cannot store matches no row.
    let numbered = |key: &InboxKey| Some((key.thread, i64::try_from(key.server_seq).ok()?));
    let named: BTreeSet<_> = keys.iter().filter_map(numbered).collect();
    let mut runs: Vec<(ThreadId, RangeInclusive<i64>)> = Vec::new();
    for (thread, seq) in named {
        match runs.last_mut() {
            Some((of, run)) if *of == thread && run.end().checked_add(1) == Some(seq) => {
                *run = *run.start()..=seq;
            }
            _ => runs.push((thread, seq..=seq)),
        }
    }
    runs
}

pub(super) fn mark_pushed(tx: &Connection, owner: Address, up_to: Arrival) -> Result<()> {
    tx.prepare_cached("UPDATE mailbox SET pushed = max(pushed, ?3) WHERE user_id = ?1 AND device_id = ?2")?
        .execute(params![owner.user.as_bytes(), owner.device.get(), up_to])
        .map(drop)
}

pub(super) fn mark_reported(tx: &Connection, owner: Address, trimmed: u64) -> Result<()> {
    // A client may send any number.
    let trimmed = i64::try_from(trimmed).unwrap_or(i64::MAX);
    tx.prepare_cached(
        "UPDATE mailbox SET told = max(told, min(trimmed, ?3)) WHERE user_id = ?1 AND device_id = ?2",
    )?
    .execute(params![owner.user.as_bytes(), owner.device.get(), trimmed])
    .map(drop)
}

/// Removes expired rows. Rows with an expiry time of their own are in an index. All others expire in the order in
/// which they arrived, so examining the oldest rows finds them, unless the clock was ahead for a while. For that
/// case, a second scan continues where the last one ended, and wraps around.
///
/// Mail expires in the same way.
pub(super) fn expire(tx: &Connection, now_ms: u64, budget: u32) -> Result<u64> {
    let messages = expire_from(tx, ("inbox", "expiry_looked_at"), now_ms, budget)?;
    let left = budget.saturating_sub(u32::try_from(messages).unwrap_or(u32::MAX));
    let mail = expire_from(tx, ("mail", "mail_expiry_looked_at"), now_ms, left)?;
    Ok(messages.saturating_add(mail))
}

fn expire_from(tx: &Connection, (table, looked_at): (&str, &str), now_ms: u64, budget: u32) -> Result<u64> {
    let early: Vec<Arrival> = tx
        .prepare_cached(&format!(
            "SELECT arrival FROM {table} WHERE ttl_s > 0 AND expires_ms <= ?1 ORDER BY expires_ms LIMIT ?2"
        ))?
        .query_map(params![now_ms, budget], |row| row.get(0))?
        .collect::<Result<_>>()?;
    let mut expired = BTreeSet::from_iter(early);
    scan(tx, table, 0, (now_ms, budget), &mut expired)?;
    let from: Arrival =
        tx.query_row("SELECT v FROM store_meta WHERE k = ?1", [looked_at], |row| row.get(0))?;
    let to = scan(tx, table, from, (now_ms, budget), &mut expired)?;
    tx.execute("UPDATE store_meta SET v = ?1 WHERE k = ?2", params![to, looked_at])?;

    let mut removed: u64 = 0;
    let mut freed: BTreeMap<Address, BTreeMap<ThreadId, u64>> = BTreeMap::new();
    let mut released = Released::default();
    let Shape { size, payload } = Shape::of(table);
    let mut delete = tx.prepare_cached(&format!(
        "DELETE FROM {table} WHERE arrival = ?1 RETURNING user_id, device_id, thread_id, {size}, {payload}"
    ))?;
    for arrival in expired.into_iter().take(usize::try_from(budget).unwrap_or(usize::MAX)) {
        let (owner, thread, bytes) = delete.query_row([arrival], |row| {
            released.row(row.get(4)?);
            Ok((address(row, 0, 1)?, thread(row, 2)?, row_bytes(row.get(3)?)))
        })?;
        let of_thread = freed.entry(owner).or_default().entry(thread).or_default();
        *of_thread = of_thread.saturating_add(bytes);
        removed = removed.saturating_add(1);
    }
    for (owner, freed) in &freed {
        trim::shrink(tx, *owner, freed)?;
    }
    released.write(tx)?;
    Ok(removed)
}

/// Adds the expired rows after an arrival, and returns the last one that was examined, or 0 at the end.
fn scan(
    tx: &Connection,
    table: &str,
    after: Arrival,
    (now_ms, budget): (u64, u32),
    expired: &mut BTreeSet<Arrival>,
) -> Result<Arrival> {
    let mut statement = tx.prepare_cached(&format!(
        "SELECT arrival, expires_ms FROM {table} WHERE arrival > ?1 ORDER BY arrival LIMIT ?2"
    ))?;
    let mut rows = statement.query(params![after, budget])?;
    let (mut examined, mut last): (u32, Arrival) = (0, 0);
    while let Some(row) = rows.next()? {
        (examined, last) = (examined.saturating_add(1), row.get(0)?);
        if row.get::<_, u64>(1)? <= now_ms {
            expired.insert(last);
        }
    }
    Ok(if examined < budget { 0 } else { last })
}

/// Removes rows of mailboxes whose device was revoked.
pub(super) fn clear_revoked(tx: &Connection, budget: u32) -> Result<u64> {
    let mut rows: u32 = 0;
    let mut released = Released::default();
    for table in ["inbox", "mail"] {
        let payload = Shape::of(table).payload;
        let mut delete = tx.prepare_cached(&format!(
            "DELETE FROM {table} WHERE arrival IN
                (SELECT arrival FROM left_mailbox CROSS JOIN {table} USING (user_id, device_id) LIMIT ?1)
             RETURNING {payload}"
        ))?;
        let mut gone = delete.query([budget.saturating_sub(rows)])?;
        while let Some(row) = gone.next()? {
            rows = rows.saturating_add(1);
            released.row(row.get(0)?);
        }
    }
    released.write(tx)?;
    tx.prepare_cached(
        "DELETE FROM left_mailbox WHERE NOT EXISTS
            (SELECT 1 FROM inbox WHERE inbox.user_id = left_mailbox.user_id
                AND inbox.device_id = left_mailbox.device_id)
            AND NOT EXISTS (SELECT 1 FROM mail WHERE mail.user_id = left_mailbox.user_id
                AND mail.device_id = left_mailbox.device_id)",
    )?
    .execute([])?;
    Ok(rows.into())
}

#[cfg(test)]
mod tests {
    use super::super::arrivals::Arrivals;
    use super::super::schema::tests::of_version;
    use super::*;
    use sealpost_wire::id::{DeviceId, UserId};

    /// Two rows and a stored id, as written by a version of the relay in which SQLite numbered the rows. The second
    /// row has its own expiry time.
    const EARLIER: &str = "
        INSERT INTO mailbox (user_id, device_id, bytes, trimmed, pushed) VALUES
            (x'01010101010101010101010101010101', 1, 30, 0, 7);
        INSERT INTO inbox VALUES
            (8, x'01010101010101010101010101010101', 1, x'09090909090909090909090909090909', 1, 1,
             x'02020202020202020202020202020202', 1, x'01010101010101010101010101010101', 1, 1, 0, 0, 900, x'0a'),
            (9, x'01010101010101010101010101010101', 1, x'09090909090909090909090909090909', 2, 2,
             x'02020202020202020202020202020202', 1, x'01010101010101010101010101010102', 1, 1, 0, 5, 600, x'0b');
        UPDATE sqlite_sequence SET seq = 4294967296;
        INSERT INTO dedupe VALUES (x'02020202020202020202020202020202', x'00000000012c70000000000000000000', 300,
            x'09090909090909090909090909090909', 2, 2, x'05');";

    const ALL: PageLimit = PageLimit { rows: 100, bytes: 1 << 20, now_ms: 0 };

    fn owner() -> Address {
        Address { user: UserId::from_bytes([1; 16]), device: DeviceId::PRIMARY }
    }

    #[test]
    fn migrated_rows_are_kept_and_precede_new_ones() {
        for version in 1..=6 {
            let db = of_version(version, EARLIER);
            let rows = arrivals(&db, owner(), 0, ALL).unwrap().rows;
            let seen: Vec<_> = rows.iter().map(|row| (row.arrival, row.key.server_seq)).collect();
            assert_eq!(seen, [(8, 1), (9, 2)], "from {version}");
            let next = Arrivals::open(&db).unwrap().next();
            assert!(next > 4_294_967_296, "{next} was assigned before");
            assert!(Arrivals::open(&db).unwrap().next() > next);
            let remembered: (u64, Vec<u8>) = db
                .query_row("SELECT server_seq, body_hash FROM dedupe", [], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .unwrap();
            assert_eq!(remembered, (2, vec![5]));
            assert_eq!(expire(&db, 700, 10), Ok(1), "the row with its own expiry time");
            assert_eq!(expire(&db, 900, 10), Ok(1));
        }
    }

    #[test]
    fn rows_expire_although_earlier_rows_expire_later() {
        let db = of_version(6, "");
        for n in 1..=8 {
            let expires_ms = if n <= 4 { 1_000_000 } else { 500 };
            db.execute(
                "INSERT INTO inbox VALUES (?1, ?2, 1, ?3, ?1, 1, ?2, 1, ?3, 1, 1, 0, 0, ?4, x'0a', NULL, 0)",
                params![n, [1_u8; 16], [9_u8; 16], expires_ms],
            )
            .unwrap();
        }
        let expired: u64 = (0..4).map(|_| expire(&db, 600, 2).unwrap()).sum();
        assert_eq!(expired, 4);
    }

    #[test]
    fn queries_made_for_each_message_use_an_index() {
        let db = of_version(6, "");
        let of_mailbox = "FROM inbox WHERE user_id = x'01' AND device_id = 1";
        for (sql, way) in [
            (
                format!("SELECT * {of_mailbox} AND arrival > 5 ORDER BY arrival"),
                "SEARCH inbox USING INDEX inbox_arrivals",
            ),
            (
                format!(
                    "SELECT * {of_mailbox} AND (thread_id, server_seq) > (x'09', 5) ORDER BY thread_id, server_seq"
                ),
                "SEARCH inbox USING INDEX sqlite_autoindex_inbox",
            ),
            (
                format!("DELETE {of_mailbox} AND thread_id = x'09' AND server_seq BETWEEN 5 AND 7"),
                "SEARCH inbox USING INDEX sqlite_autoindex_inbox",
            ),
            (
                "SELECT arrival FROM inbox WHERE ttl_s > 0 AND expires_ms <= 5 ORDER BY expires_ms LIMIT 9"
                    .into(),
                "SEARCH inbox USING INDEX inbox_early_expiry",
            ),
            (
                "SELECT client_msg_id, sender FROM dedupe WHERE client_msg_id < x'05'
                 ORDER BY client_msg_id, sender LIMIT 9"
                    .into(),
                "SEARCH dedupe USING PRIMARY KEY",
            ),
            (
                "SELECT hlc FROM dedupe WHERE sender = x'01' AND client_msg_id = x'02'".into(),
                "SEARCH dedupe USING PRIMARY KEY (client_msg_id=? AND sender=?)",
            ),
        ] {
            let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let steps: Vec<String> =
                plan.query_map([], |row| row.get(3)).unwrap().collect::<Result<_>>().unwrap();
            assert!(steps.len() == 1 && steps[0].starts_with(way), "{sql}: {steps:?}");
        }
    }

    #[test]
    fn consecutive_numbers_form_one_run() {
        let (a, b) = (ThreadId::from_bytes([1; 16]), ThreadId::from_bytes([2; 16]));
        let key = |thread, server_seq| InboxKey { thread, server_seq };
        let keys = [key(b, 4), key(a, 7), key(a, 5), key(a, 6), key(a, 6), key(a, 9), key(a, u64::MAX)];
        assert_eq!(runs(&keys), [(a, 5..=7), (a, 9..=9), (b, 4..=4)]);
        let last = u64::MAX >> 1;
        assert_eq!(runs(&[key(a, last), key(a, last - 1)]), [(a, i64::MAX - 1..=i64::MAX)]);
    }
}

//! Removes expired rows.

use rusqlite::{Connection, Result, params};
use sealpost_wire::limits::{CLOCK_AHEAD_MS, DEDUPE_WINDOW_MS, MAILBOX_TTL_S};

use super::columns::client_msg_id;
use super::{inbox, linking};
use crate::store::Swept;

/// Works in small steps, so that sends never wait long behind a sweep.
pub(super) fn sweep(tx: &Connection, now_ms: u64, budget: u32) -> Result<Swept> {
    // This always writes, so that a store that was full notices when there is space again.
    tx.execute("UPDATE store_meta SET v = ?1 WHERE k = 'swept_ms'", [now_ms])?;
    // An id is kept for an hour longer than it is accepted, in case the clock goes back.
    let forgotten_ms = now_ms.saturating_sub(DEDUPE_WINDOW_MS).saturating_sub(CLOCK_AHEAD_MS);
    // Ids begin with their time, in six bytes.
    let [_, _, forgotten @ ..] = forgotten_ms.to_be_bytes();
    let dedupe = forget_ids(tx, &forgotten, budget)?;
    let bundles = tx.execute(
        "DELETE FROM taken_bundles
         WHERE (requester_user, requester_device, user_id, device_id, idempotency_key) IN
            (SELECT requester_user, requester_device, user_id, device_id, idempotency_key
             FROM taken_bundles WHERE until_ms <= ?1 LIMIT ?2)",
        params![now_ms, budget],
    )?;
    let registrations = tx.execute(
        "DELETE FROM registration WHERE idempotency_key IN
            (SELECT idempotency_key FROM registration WHERE until_ms <= ?1 LIMIT ?2)",
        params![now_ms, budget],
    )?;
    let links = linking::forget_tokens(tx, now_ms, budget)?;
    let families = tx.execute(
        "DELETE FROM token_family WHERE family_id IN
            (SELECT family_id FROM token_family WHERE expires_ms <= ?1 LIMIT ?2)",
        params![now_ms, budget],
    )?;
    let deleted = tx.execute(
        "DELETE FROM deleted_family WHERE family_id IN
            (SELECT family_id FROM deleted_family WHERE until_ms <= ?1 LIMIT ?2)",
        params![now_ms, budget],
    )?;
    let spent_ms = now_ms.saturating_sub(MAILBOX_TTL_S.saturating_mul(1_000));
    let spent = tx.execute(
        "DELETE FROM spent_pre_key WHERE (user_id, device_id, kind, key_id) IN
            (SELECT user_id, device_id, kind, key_id FROM spent_pre_key WHERE spent_ms <= ?1 LIMIT ?2)",
        params![spent_ms, budget],
    )?;
    Ok(Swept {
        inbox: inbox::expire(tx, now_ms, budget)?.max(inbox::clear_revoked(tx, budget)?),
        dedupe: count(dedupe),
        other: count(bundles.max(registrations).max(links).max(families).max(deleted).max(spent)),
    })
}

/// Forgets ids before a time. The newest of them is recorded, so that the store can say of later ones that they were
/// never used.
fn forget_ids(tx: &Connection, before: &[u8], budget: u32) -> Result<usize> {
    let forgotten = tx
        .prepare_cached(
            "DELETE FROM dedupe WHERE (client_msg_id, sender) IN
                (SELECT client_msg_id, sender FROM dedupe WHERE client_msg_id < ?1
                 ORDER BY client_msg_id, sender LIMIT ?2)
             RETURNING client_msg_id",
        )?
        .query_map(params![before, budget], |row| client_msg_id(row, 0))?
        .collect::<Result<Vec<_>>>()?;
    let newest_ms = forgotten.iter().filter_map(|id| id.time_ms().ok()).max();
    if let Some(newest_ms) = newest_ms {
        tx.execute("UPDATE store_meta SET v = max(v, ?1) WHERE k = 'forgotten_ms'", [newest_ms])?;
    }
    Ok(forgotten.len())
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}

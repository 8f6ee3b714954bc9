//! `GET /v1/inbox` and `POST /v1/inbox:ack`: the mailbox for clients without a socket.

use std::sync::Arc;

use axum::extract::{RawQuery, State as Shared};
use sealpost_wire::limits::{MAX_PAGE, MAX_UNACKED_BYTES};
use sealpost_wire::{Ack, AckOk, InboxPage};

use crate::auth::Authenticated;
use crate::body::{Proto, acknowledged};
use crate::fault::{self, Station};
use crate::problem::Problem;
use crate::state::State;
use crate::store::{InboxKey, MailboxState, PageLimit};

/// Rows in (thread, seq) order: `?limit=<1 to 256>&after=<thread>:<seq>`.
pub(super) async fn page(
    Shared(state): Shared<Arc<State>>,
    Authenticated(access): Authenticated,
    RawQuery(query): RawQuery,
) -> Result<Proto<InboxPage>, Problem> {
    let query = Query::parse(query.as_deref().unwrap_or_default())?;
    let now_ms = state.clock.unix_ms();
    let limit = PageLimit { rows: query.limit, bytes: MAX_UNACKED_BYTES, now_ms };
    let page = state.store.inbox_after(access.address, query.after, limit).await?;
    let MailboxState { reported, pushed, .. } = state.store.mailbox(access.address).await?;
    let epoch = state.store.epoch();
    let rows = page.rows.into_iter().map(|row| {
        let attempt = if row.arrival <= pushed { 2 } else { 1 };
        row.into_deliver(epoch, attempt)
    });
    Ok(Proto(InboxPage {
        rows: rows.collect(),
        more: page.more,
        epoch,
        server_time_ms: now_ms,
        needs_full_sync: page.trimmed > reported,
        trimmed: page.trimmed,
    }))
}

/// Deletes rows that the device has stored.
pub(super) async fn acknowledge(
    Shared(state): Shared<Arc<State>>,
    Authenticated(access): Authenticated,
    Proto(ack): Proto<Ack>,
) -> Result<Proto<AckOk>, Problem> {
    let now = state.clock.monotonic();
    state.limiter.acknowledge(access.address, ack.keys.len(), now)?.over().await;
    let removed = state.store.inbox_ack(access.address, acknowledged(&ack)?).await?;
    if ack.trimmed > 0 {
        state.store.mark_reported(access.address, ack.trimmed).await?;
    }
    fault::at(Station::AckAfterCommit);
    Ok(Proto(AckOk { removed }))
}

#[derive(Debug, PartialEq, Eq)]
struct Query {
    limit: u32,
    after: Option<InboxKey>,
}

impl Query {
    fn parse(query: &str) -> Result<Self, Problem> {
        let mut parsed = Self { limit: MAX_PAGE, after: None };
        for part in query.split('&').filter(|part| !part.is_empty()) {
            match part.split_once('=').ok_or(Problem::Malformed)? {
                ("limit", limit) => {
                    let limit: u32 = limit.parse().map_err(|_| Problem::Malformed)?;
                    parsed.limit = limit.clamp(1, MAX_PAGE);
                }
                ("after", after) => parsed.after = Some(parse_after(after).ok_or(Problem::Malformed)?),
                _ => return Err(Problem::Malformed),
            }
        }
        Ok(parsed)
    }
}

/// Parses `<thread>:<seq>`, where a client may have percent-encoded the colon.
fn parse_after(text: &str) -> Option<InboxKey> {
    let (thread, seq) = text.split_once(':').or_else(|| text.split_once("%3A"))?;
    Some(InboxKey { thread: thread.parse().ok()?, server_seq: seq.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use sealpost_wire::id::ThreadId;

    use super::*;

    #[test]
    fn a_query_may_name_a_limit_and_a_row() {
        let thread = ThreadId::from_bytes([0xab; 16]);
        let after = Some(InboxKey { thread, server_seq: 9 });
        let hex = "ab".repeat(16);
        for query in [format!("limit=7&after={thread}:9"), format!("after={hex}%3A9&limit=7")] {
            assert_eq!(Query::parse(&query), Ok(Query { limit: 7, after }));
        }
        assert_eq!(Query::parse(""), Ok(Query { limit: MAX_PAGE, after: None }));
        assert_eq!(Query::parse("limit=100000"), Ok(Query { limit: MAX_PAGE, after: None }));
    }

    #[test]
    fn an_invalid_query_is_refused() {
        for query in ["limit", "limit=x", "after=1", "after=zz:1", "offset=3"] {
            assert_eq!(Query::parse(query), Err(Problem::Malformed));
        }
    }
}

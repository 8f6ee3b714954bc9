//! `POST /v1/groups`, `POST` and `GET /v1/threads/{thread}/roster`

use std::sync::Arc;

use axum::extract::{RawQuery, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use sealpost_wire::id::{ThreadId, ToWire as _};
use sealpost_wire::limits::{GROUP_LINK_TOKEN, MAILBOX_TTL_S, MAX_ROSTER_ENTRY};
use sealpost_wire::roster::{Change, Entry, FormError};
use sealpost_wire::{GROUP_LINK_HEADER, Group, RosterPage, RosterRequest, RosterRow};
use sha2::{Digest as _, Sha256};

use super::{InPath, in_path};
use crate::auth::Authenticated;
use crate::body::Proto;
use crate::bus::WakeReason;
use crate::fault::{self, Station};
use crate::problem::Problem;
use crate::random;
use crate::state::State;
use crate::store::{Entered, Fanout, LinkTokenHash, NewEntry, RosterQuery, Stored};
use crate::tokens::Access;

/// The entries of a page in bytes: the largest one, with which a page is below the largest frame.
const PAGE_BYTES: usize = MAX_ROSTER_ENTRY;

/// Creates a group with the first entry of its roster: 201, or 200 if it exists.
pub(super) async fn create(
    Shared(state): Shared<Arc<State>>,
    Authenticated(access): Authenticated,
    Proto(request): Proto<RosterRequest>,
) -> Result<(StatusCode, Proto<Group>), Problem> {
    let entry = parse(access, &request)?;
    if !matches!(entry.content().change, Change::Create(_)) {
        return Err(Problem::Malformed);
    }
    state.limiter.thread(access.address.user, state.clock.monotonic())?;
    enter(&state, access, entry, None).await
}

/// Adds an entry to the roster of a group: 201, or 200 if it was added before.
pub(super) async fn change(
    Shared(state): Shared<Arc<State>>,
    Authenticated(access): Authenticated,
    InPath(thread): InPath<String>,
    headers: HeaderMap,
    Proto(request): Proto<RosterRequest>,
) -> Result<(StatusCode, Proto<Group>), Problem> {
    let thread: ThreadId = in_path(&thread)?;
    let entry = parse(access, &request)?;
    if entry.thread() != thread || matches!(entry.content().change, Change::Create(_)) {
        return Err(Problem::Malformed);
    }
    state.limiter.group_post(access.address.user, state.clock.monotonic())?.over().await;
    enter(&state, access, entry, link_token(&headers)?).await
}

/// The entries after a version: `?after=<version>`.
pub(super) async fn roster(
    Shared(state): Shared<Arc<State>>,
    Authenticated(access): Authenticated,
    InPath(thread): InPath<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Proto<RosterPage>, Problem> {
    let after = match query.as_deref() {
        None | Some("") => 0,
        Some(query) => {
            query.strip_prefix("after=").and_then(|version| version.parse().ok()).ok_or(Problem::Malformed)?
        }
    };
    let query = RosterQuery {
        thread: in_path(&thread)?,
        reader: access.address.user,
        link: link_token(&headers)?,
        after,
        bytes: PAGE_BYTES,
    };
    let page = state.store.roster(query).await?.ok_or(Problem::NotFound)?;
    let row = |(entry, Stored { server_seq, hlc })| RosterRow { entry, server_seq, hlc };
    let rows = page.rows.into_iter().map(row).collect();
    Ok(Proto(RosterPage { rows, more: page.more, epoch: state.store.epoch() }))
}

/// The author of an entry is the device that posts it.
fn parse(access: Access, request: &RosterRequest) -> Result<Entry, Problem> {
    let entry = Entry::parse(&request.entry).map_err(|FormError| Problem::Malformed)?;
    let author = entry.content().author;
    if author.user != access.address.user || author.device != access.address.device {
        return Err(Problem::Malformed);
    }
    Ok(entry)
}

async fn enter(
    state: &State,
    access: Access,
    entry: Entry,
    link: Option<LinkTokenHash>,
) -> Result<(StatusCode, Proto<Group>), Problem> {
    let now_ms = state.clock.unix_ms();
    let (thread, version, epoch) = (entry.thread(), entry.version(), state.store.epoch());
    let entered = state.store.enter(NewEntry {
        author: access.address,
        entry,
        link,
        job: random::id().into_bytes(),
        expires_ms: now_ms.saturating_add(MAILBOX_TTL_S.saturating_mul(1_000)),
        now_ms,
    });
    let (status, stored) = match entered.await? {
        Entered::Stored(stored, fanout) => {
            fault::at(Station::EntryAfterCommit);
            state.metrics.fanout.entries.count();
            wake(state, fanout);
            (StatusCode::CREATED, stored)
        }
        Entered::Repeated(stored) => (StatusCode::OK, stored),
        Entered::NotFound => return Err(Problem::NotFound),
        Entered::AuthorRevoked => return Err(Problem::InvalidToken),
        Entered::StaleRoster { current } => return Err(Problem::StaleRoster { current }),
        Entered::NotAllowed(refusal) => return Err(Problem::NotAllowed(refusal.word())),
    };
    let group = Group {
        thread_id: thread.to_wire(),
        roster_version: version,
        server_seq: stored.server_seq,
        hlc: stored.hlc,
        epoch,
    };
    Ok((status, Proto(group)))
}

fn wake(state: &State, fanout: Fanout) {
    match fanout {
        Fanout::Inline(devices) => {
            state.metrics.fanout.rows.add(u64::try_from(devices.len()).unwrap_or(u64::MAX));
            devices.into_iter().for_each(|device| state.bus.wake(device, WakeReason::Messages));
        }
        Fanout::Background(_) => state.jobs.notify_one(),
    }
}

/// The hash of the access token that the header carries.
fn link_token(headers: &HeaderMap) -> Result<Option<LinkTokenHash>, Problem> {
    let Some(value) = headers.get(GROUP_LINK_HEADER) else { return Ok(None) };
    let digits = value.as_bytes();
    let (pairs, []) = digits.as_chunks::<2>() else { return Err(Problem::Malformed) };
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let token: Option<Vec<u8>> = pairs.iter().map(byte).collect();
    let token = token.filter(|token| token.len() == GROUP_LINK_TOKEN).ok_or(Problem::Malformed)?;
    Ok(Some(Sha256::digest(token).into()))
}

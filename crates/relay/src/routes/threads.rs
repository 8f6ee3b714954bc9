//! `POST /v1/threads`, `GET /v1/threads/{id}` and `POST /v1/threads/{id}/accept`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use sealpost_wire::id::ToWire as _;
use sealpost_wire::id::{ThreadId, UserId};
use sealpost_wire::note::note_to_self;
use sealpost_wire::{CreateThread, Thread};

use super::{InPath, in_path};
use crate::auth::Authenticated;
use crate::body::Proto;
use crate::problem::Problem;
use crate::random;
use crate::state::State;
use crate::store::{Created, NewThread, ThreadRow};

/// Opens the direct thread with a user, or the note to self of the requester.
pub(super) async fn create(
    Shared(state): Shared<Arc<State>>,
    Authenticated(access): Authenticated,
    Proto(request): Proto<CreateThread>,
) -> Result<(StatusCode, Proto<Thread>), Problem> {
    let creator = access.address.user;
    let peer = UserId::from_slice(&request.peer_user_id)?;
    let named = match &request.thread_id[..] {
        [] => None,
        id => Some(ThreadId::from_slice(id)?),
    };
    let is_note = peer == creator;
    // The id of a note to self is derived, and no other thread has it.
    if named
        .is_some_and(|id| (id == note_to_self(creator)) != is_note || (!is_note && id == note_to_self(peer)))
    {
        return Err(Problem::Malformed);
    }
    state.limiter.thread(creator, state.clock.monotonic())?;
    let drawn = if is_note { note_to_self(creator) } else { ThreadId::from_bytes(random::id().into_bytes()) };
    let mut id = named.unwrap_or(drawn);
    let now_ms = state.clock.unix_ms();
    let mut created = state.store.create_thread(NewThread { id, creator, peer, now_ms }).await?;
    if created == Created::IdTaken {
        // Some other thread has this ID. The requester gets a new one, as if they had named none.
        id = drawn;
        created = state.store.create_thread(NewThread { id, creator, peer, now_ms }).await?;
    }
    match created {
        Created::New => {
            let row = state.store.thread(id, creator).await?.ok_or(Problem::NotFound)?;
            Ok((StatusCode::CREATED, Proto(to_wire(id, row))))
        }
        Created::Existing(id) => Err(Problem::ExistingThread(id)),
        Created::NoSuchPeer => Err(Problem::NotFound),
        Created::IdTaken => Err(Problem::StoreUnavailable),
        Created::PeerDeleted => Err(Problem::RecipientDeleted),
    }
}

/// Accepts a thread that somebody else has opened.
pub(super) async fn accept(
    Shared(state): Shared<Arc<State>>,
    Authenticated(access): Authenticated,
    InPath(thread): InPath<String>,
) -> Result<StatusCode, Problem> {
    let id: ThreadId = in_path(&thread)?;
    if state.store.accept_thread(id, access.address.user).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::NotFound)
    }
}

/// One of the requester's threads.
pub(super) async fn show(
    Shared(state): Shared<Arc<State>>,
    Authenticated(access): Authenticated,
    InPath(thread): InPath<String>,
) -> Result<Proto<Thread>, Problem> {
    let id: ThreadId = in_path(&thread)?;
    let row = state.store.thread(id, access.address.user).await?.ok_or(Problem::NotFound)?;
    Ok(Proto(to_wire(id, row)))
}

fn to_wire(id: ThreadId, row: ThreadRow) -> Thread {
    Thread {
        thread_id: id.to_wire(),
        roster_version: row.roster_version,
        member_user_ids: row.members.into_iter().map(UserId::to_wire).collect(),
        last_seq: row.last_seq,
    }
}

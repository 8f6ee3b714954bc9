//! What a connection is made of. What it does stands in the files beside this one.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message as WsMessage, WebSocket};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use sealpost_wire::id::ThreadId;
use sealpost_wire::limits::close;
use tokio::time::Sleep;

use super::feed::Feed;
use super::gaps::Gaps;
use super::window::Window;
use crate::bus::Attached;
use crate::limits::ConnectionLimits;
use crate::problem::Problem;
use crate::sending::Sent;
use crate::state::State;
use crate::store::{Answer, FamilyId, InboxKey, Noted, Order, Page, StoreError};
use crate::tokens::Access;

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closing {
    /// The peer left, or the network did.
    Gone,
    /// The relay ends it, with a close code.
    Because(u16),
}

/// A connection that was welcomed, and all that it knows.
pub(super) struct Connection<'a> {
    pub(super) socket: &'a mut WebSocket,
    pub(super) state: &'a Arc<State>,
    pub(super) access: Access,
    pub(super) attached: Attached,
    /// The revocations that its token has outlived.
    pub(super) outlived: Noted,
    pub(super) window: Window,
    pub(super) feed: Feed,
    pub(super) gaps: Gaps,
    /// How many trimmed rows it was told of.
    pub(super) told: u64,
    /// In which lanes a send was refused.
    pub(super) order: Order,
    pub(super) replies: FuturesOrdered<BoxFuture<'static, Reply>>,
    pub(super) page: Option<Reading>,
    pub(super) limits: ConnectionLimits,
    /// Set while nothing is read, as the client is above a limit.
    pub(super) resting: Option<Pin<Box<Sleep>>>,
    pub(super) heard: Duration,
    pub(super) scanned: Duration,
    pub(super) unsent: Unsent,
}

/// The answer to an earlier frame.
pub(super) enum Reply {
    Sent {
        id: u64,
        /// The thread, if the send named one.
        lane: Option<ThreadId>,
        began: Duration,
        outcome: Result<Sent, Problem>,
    },
    Acknowledged {
        id: u64,
        keys: Vec<InboxKey>,
        outcome: Result<u32, StoreError>,
    },
    /// `outlived`: the revocations before the store was asked.
    Renewed {
        id: u64,
        outlived: Noted,
        outcome: Result<Access, Problem>,
    },
    /// Rows ever trimmed.
    Trimmed(Result<u64, StoreError>),
    KeysLeft(Result<sealpost_wire::KeyCounts, StoreError>),
    /// Whether tokens of this family still speak for the device.
    Live {
        family: FamilyId,
        outcome: Result<bool, StoreError>,
    },
}

/// A page that is being read. There is one at a time: what was read and not pushed yet is in memory.
pub(super) struct Reading {
    pub(super) whose: Whose,
    pub(super) page: Answer<Page>,
}

/// Who asked for a page.
#[derive(Debug, Clone, Copy)]
pub(super) enum Whose {
    /// The mailbox in order of arrival.
    Feed,
    /// The client, by a cursor of this thread.
    Gaps(ThreadId),
}

/// Frames that wait for others to leave with them.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    pub(super) frames: Vec<WsMessage>,
    pub(super) bytes: usize,
    /// The answer to a send is among them.
    pub(super) ack: bool,
    /// A row of the mailbox is among them.
    pub(super) row: bool,
}

/// The store does not answer: the client comes again later.
pub(super) fn store_failed(_: StoreError) -> Closing {
    Closing::Because(close::STORE_ERROR)
}

//! The data of a connection. The files beside this one contain its behaviour.

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
use super::mail_feed::MailFeed;
use super::window::Window;
use crate::bus::Subscription;
use crate::limits::ConnectionLimits;
use crate::problem::Problem;
use crate::sending::Sent;
use crate::state::State;
use crate::store::{
    Answer, FamilyId, InboxKey, MailClass, MailPage, MailSeq, Order, Page, RevocationMark, StoreError,
};
use crate::tokens::Access;

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closing {
    /// The peer or the network has closed it.
    Gone,
    /// The relay closes it, with a close code.
    Because(u16),
}

/// A connection that was welcomed, with all its state.
pub(super) struct Connection<'a> {
    pub(super) socket: &'a mut WebSocket,
    pub(super) state: &'a Arc<State>,
    pub(super) access: Access,
    pub(super) subscription: Subscription,
    /// The revocations after which its token was checked.
    pub(super) revocations_seen: RevocationMark,
    pub(super) window: Window,
    pub(super) feed: Feed,
    pub(super) gaps: Gaps,
    /// The number of trimmed rows that was reported on this connection.
    pub(super) reported: u64,
    /// The lanes in which a send was refused.
    pub(super) order: Order,
    /// Whether the client has sent a message on it.
    pub(super) sends: bool,
    /// The epoch in which the connection was welcomed.
    pub(super) epoch: u64,
    pub(super) replies: FuturesOrdered<BoxFuture<'static, Reply>>,
    pub(super) page: Option<Reading>,
    pub(super) limits: ConnectionLimits,
    /// Set while nothing is read because the client is above a limit.
    pub(super) pause: Option<Pin<Box<Sleep>>>,
    pub(super) last_received: Duration,
    pub(super) last_scan: Duration,
    pub(super) write_queue: WriteQueue,
    pub(super) mail: MailFeed,
    /// Whether ephemeral mail may wait to be written.
    pub(super) ephemeral: bool,
}

/// An answer to an earlier frame.
pub(super) enum Reply {
    Sent {
        id: u64,
        /// The thread, if the send named one.
        lane: Option<ThreadId>,
        began: Duration,
        outcome: Result<Sent, Problem>,
    },
    /// Mail was stored or passed on.
    Mailed {
        id: u64,
        outcome: Result<Sent, Problem>,
    },
    Acknowledged {
        id: u64,
        keys: Vec<InboxKey>,
        outcome: Result<u32, StoreError>,
    },
    MailAcknowledged {
        id: u64,
        seqs: Vec<MailSeq>,
        outcome: Result<u32, StoreError>,
    },
    /// `revocations_seen` are those that were recorded before the store was queried.
    Renewed {
        id: u64,
        revocations_seen: RevocationMark,
        outcome: Result<Access, Problem>,
    },
    /// The number of rows that were ever trimmed.
    Trimmed(Result<u64, StoreError>),
    KeysLeft(Result<sealpost_wire::KeyCounts, StoreError>),
    /// Whether the tokens of this family are still valid.
    Live {
        family: FamilyId,
        outcome: Result<bool, StoreError>,
    },
}

/// A page that is being read. There is one at a time, because rows that were read and not pushed yet are in memory.
pub(super) enum Reading {
    /// The mailbox, in order of arrival.
    Feed(Answer<Page>),
    /// For a cursor of the client, in this thread.
    Gaps(ThreadId, Answer<Page>),
    /// Mail of this class.
    Mail(MailClass, Answer<MailPage>),
}

/// A page that was read.
pub(super) enum Read {
    Feed(Result<Page, StoreError>),
    Gaps(ThreadId, Result<Page, StoreError>),
    Mail(MailClass, Result<MailPage, StoreError>),
}

/// Encoded frames that are written together.
#[derive(Debug, Default)]
pub(super) struct WriteQueue {
    pub(super) frames: Vec<WsMessage>,
    pub(super) bytes: usize,
    /// Whether the answer to a send is among them.
    pub(super) ack: bool,
    /// Whether a row of the mailbox is among them.
    pub(super) row: bool,
}

/// The store does not answer; the client should come back later.
pub(super) fn store_failed(_: StoreError) -> Closing {
    Closing::Because(close::STORE_ERROR)
}

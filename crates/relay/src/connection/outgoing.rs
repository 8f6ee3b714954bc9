//! Writes frames together, and gives up on a peer that does not read.

use axum::extract::ws::{Message as WsMessage, WebSocket};
use bytes::Bytes;
use futures_util::SinkExt as _;
use prost::Message as _;
use sealpost_wire::frame::Body;
use sealpost_wire::limits::close;
use sealpost_wire::{FRAME_VERSION, Frame};
use tokio::time::timeout;

use super::state::{Closing, Connection, WriteQueue};
use crate::fault::{self, Station};
use crate::state::State;

/// How much ephemeral mail is written at a time, in bytes.
const EPHEMERAL_BYTES: usize = 16 << 10;

impl Connection<'_> {
    /// Answers a request, unless no reply was requested.
    pub(super) fn answer(&mut self, id: u64, body: Body) {
        if id != 0 {
            self.push(id, body);
        }
    }

    /// Queues a frame, to be written once everything that is ready has been handled.
    pub(super) fn push(&mut self, id: u64, body: Body) {
        let frame = encode(id, body);
        self.write_queue.bytes = self.write_queue.bytes.saturating_add(frame.len());
        self.write_queue.frames.push(WsMessage::Binary(frame));
    }

    /// Writes the queued frames.
    pub(super) async fn flush(&mut self) -> Result<(), Closing> {
        let WriteQueue { frames, ack, row, .. } = std::mem::take(&mut self.write_queue);
        for frame in frames {
            in_time(self.state, self.socket.feed(frame)).await?;
        }
        in_time(self.state, self.socket.flush()).await?;
        if ack {
            fault::at(Station::SendAcked);
        }
        if row {
            fault::at(Station::Delivered);
        }
        if std::mem::take(&mut self.ephemeral) {
            Box::pin(self.write_ephemeral()).await?;
        }
        Ok(())
    }

    /// Whether anything waits to be written.
    pub(super) fn has_to_write(&self) -> bool {
        self.ephemeral || !self.write_queue.frames.is_empty()
    }

    /// Ephemeral mail is written a little at a time, and only when the peer has read everything else. Until then it
    /// waits elsewhere, where it is dropped if there is too much of it or it becomes too old.
    async fn write_ephemeral(&mut self) -> Result<(), Closing> {
        let taken = self.subscription.take_passing(self.state.clock.monotonic(), EPHEMERAL_BYTES);
        let ephemeral = &self.state.metrics.ephemeral;
        ephemeral.dropped.add(taken.dropped);
        self.ephemeral = taken.more;
        if !self.mail.is_enabled() {
            return Ok(());
        }
        let written = u64::try_from(taken.frames.len()).unwrap_or(u64::MAX);
        for frame in taken.frames {
            in_time(self.state, self.socket.feed(WsMessage::Binary(frame))).await?;
        }
        in_time(self.state, self.socket.flush()).await?;
        ephemeral.written.add(written);
        Ok(())
    }
}

/// Writes a frame immediately.
pub(super) async fn send(socket: &mut WebSocket, state: &State, id: u64, body: Body) -> Result<(), Closing> {
    in_time(state, socket.send(WsMessage::Binary(encode(id, body)))).await
}

fn encode(id: u64, body: Body) -> Bytes {
    Frame { v: FRAME_VERSION, id, body: Some(body) }.encode_to_vec().into()
}

/// A peer that does not read is treated like one that does not acknowledge.
async fn in_time(
    state: &State,
    writing: impl Future<Output = Result<(), axum::Error>>,
) -> Result<(), Closing> {
    match timeout(state.timing.stall, writing).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Closing::Gone),
        Err(_) => Err(Closing::Because(close::SLOW_CONSUMER)),
    }
}

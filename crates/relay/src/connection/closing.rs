//! Closes a socket with its close code, and gives the peer time to read it.

use axum::extract::ws::{CloseFrame, Message as WsMessage};
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};

/// Maximum number of bytes that are still read from a peer after its close frame was sent.
const MAX_READ: usize = 256 << 10;
/// Minimum size of a frame from a client.
const FRAME_HEAD: usize = 6;

/// Sends the close code, and reads until the peer has closed its side: dropping a socket too early can discard the
/// close frame. At most [`MAX_READ`] bytes are read from a peer that continues to send, so that closing its connection
/// stays cheap; after that, this waits forever, and the rest stays in the system's buffers.
pub(super) async fn close_and_drain<S, E>(socket: &mut S, code: u16)
where
    S: Stream<Item = Result<WsMessage, E>> + Sink<WsMessage> + Unpin,
{
    let frame = CloseFrame { code, reason: "".into() };
    socket.send(WsMessage::Close(Some(frame))).await.ok();
    let mut read: usize = 0;
    while let Some(Ok(message)) = socket.next().await {
        read = read.saturating_add(FRAME_HEAD).saturating_add(message.into_data().len());
        if read > MAX_READ {
            return std::future::pending().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use futures_util::FutureExt as _;

    use super::*;

    /// A peer with this many frames of this size to send. Records the frames that it receives.
    struct Peer {
        left: usize,
        size: usize,
        sent: Vec<WsMessage>,
    }

    impl Stream for Peer {
        type Item = Result<WsMessage, std::convert::Infallible>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            let Some(left) = self.left.checked_sub(1) else { return Poll::Ready(None) };
            self.left = left;
            Poll::Ready(Some(Ok(WsMessage::Binary(vec![0; self.size].into()))))
        }
    }

    impl Sink<WsMessage> for Peer {
        type Error = std::convert::Infallible;

        fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }

        fn start_send(mut self: Pin<&mut Self>, message: WsMessage) -> Result<(), Self::Error> {
            self.sent.push(message);
            Ok(())
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn little_is_read_from_a_peer_that_continues_to_send() {
        for size in [0, 40, 65_536] {
            let mut peer = Peer { left: 1_000_000, size, sent: Vec::new() };
            assert!(
                close_and_drain(&mut peer, 4429).now_or_never().is_none(),
                "it must wait until the caller gives up"
            );
            assert!(matches!(peer.sent[..], [WsMessage::Close(Some(_))]));
            let read = 1_000_000 - peer.left;
            assert!(
                read * (size + FRAME_HEAD) <= MAX_READ + size + FRAME_HEAD,
                "{read} frames of {size} bytes"
            );
        }
    }

    #[test]
    fn a_peer_that_closes_is_not_waited_for() {
        let mut peer = Peer { left: 100, size: 40, sent: Vec::new() };
        assert!(close_and_drain(&mut peer, 4429).now_or_never().is_some());
        assert_eq!(peer.left, 0);
    }
}

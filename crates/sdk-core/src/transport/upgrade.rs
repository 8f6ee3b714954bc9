//! Upgrades a connection to a WebSocket.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use sealpost_wire as wire;
use sealpost_wire::limits::MAX_FRAME;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::tls::{Connector, Stream};
use super::{ANSWER_TIMEOUT, Result};
use crate::error::Offline;

/// After this long without an answer, a second attempt is started alongside the first, because the packets of the first
/// one may be lost.
const SECOND_ATTEMPT: Duration = Duration::from_secs(4);
const BUFFER: usize = 4096;
/// How many bytes of frames that leave together are written at once.
const WRITE_BUFFER: usize = 16 << 10;

/// Opens a WebSocket connection. If the first attempt does not answer, a second one is started alongside it, and the
/// first to succeed is used.
pub(super) async fn open(connector: &Connector) -> Result<WebSocketStream<Box<dyn Stream>>> {
    with_a_second_attempt(|| upgraded(connector)).await
}

async fn with_a_second_attempt<T, F: Future<Output = Result<T>>>(attempt: impl Fn() -> F) -> Result<T> {
    let mut first = pin!(attempt());
    if let Ok(done) = timeout(SECOND_ATTEMPT, &mut first).await {
        return done;
    }
    match select(first, pin!(attempt())).await {
        Either::Left((Ok(done), _)) | Either::Right((Ok(done), _)) => Ok(done),
        Either::Left((Err(_), second)) => second.await,
        Either::Right((Err(_), first)) => first.await,
    }
}

async fn upgraded(connector: &Connector) -> Result<WebSocketStream<Box<dyn Stream>>> {
    let stream = connector.connect().await?;
    let mut url = connector.base.join("v1/ws").map_err(|_| Offline::NotARelay)?;
    let scheme = if connector.base.scheme() == "http" { "ws" } else { "wss" };
    url.set_scheme(scheme).map_err(|()| Offline::NotARelay)?;
    let mut request = url.as_str().into_client_request().map_err(|_| Offline::NotARelay)?;
    request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(wire::SUBPROTOCOL));
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(MAX_FRAME * 4)
        .max_message_size(Some(MAX_FRAME))
        .max_frame_size(Some(MAX_FRAME));
    let handshake = tokio_tungstenite::client_async_with_config(request, stream, Some(config));
    match timeout(ANSWER_TIMEOUT, handshake).await {
        Ok(Ok((stream, _))) => Ok(stream),
        Ok(Err(WsError::Http(response))) => {
            let asked = response.headers().get(header::RETRY_AFTER);
            let asked: Option<u32> = asked.and_then(|value| value.to_str().ok()?.parse().ok());
            Err(not_upgraded(response.status().as_u16(), asked).into())
        }
        // It ended before there was an answer, as it does when the relay is killed.
        Ok(Err(WsError::Io(_) | WsError::Protocol(ProtocolError::HandshakeIncomplete))) => {
            Err(Offline::Unreachable.into())
        }
        Ok(Err(_)) => Err(Offline::NotARelay.into()),
        Err(_) => Err(Offline::TimedOut.into()),
    }
}

/// The meaning of an answer that is not an upgrade. `asked` is the wait that the server asks for, in seconds.
fn not_upgraded(status: u16, asked: Option<u32>) -> Offline {
    match (status, asked) {
        (429 | 503, asked) => Offline::Busy(Duration::from_secs(asked.unwrap_or(1).into())),
        // Network Authentication Required (RFC 6585), by which a captive portal identifies itself.
        (511, _) => Offline::NotARelay,
        (500..=599, Some(asked)) => Offline::Busy(Duration::from_secs(asked.into())),
        // A gateway in front of a relay that is down or has failed.
        (500..=599, None) => Offline::Unreachable,
        _ => Offline::NotARelay,
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[test]
    fn a_failing_gateway_is_not_a_captive_portal() {
        for status in [500, 502, 504] {
            assert_eq!(not_upgraded(status, None), Offline::Unreachable);
            assert_eq!(not_upgraded(status, Some(7)), Offline::Busy(Duration::from_secs(7)));
        }
        assert_eq!(not_upgraded(503, None), Offline::Busy(Duration::from_secs(1)));
        for status in [200, 302, 404, 511] {
            assert_eq!(not_upgraded(status, None), Offline::NotARelay, "{status}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_attempt_is_started_when_the_first_hangs_and_the_first_success_counts() {
        let made = std::cell::Cell::new(0);
        let attempt = |hang_s: [u64; 2], ok: [bool; 2]| {
            let made = &made;
            made.set(0);
            with_a_second_attempt(move || {
                let number = made.replace(made.get() + 1);
                async move {
                    sleep(Duration::from_secs(hang_s[number])).await;
                    if ok[number] { Ok(number) } else { Err(Offline::TimedOut.into()) }
                }
            })
        };
        assert_eq!((attempt([1, 0], [true, true]).await, made.get()), (Ok(0), 1));
        assert_eq!((attempt([1, 0], [false, true]).await, made.get()), (Err(Offline::TimedOut.into()), 1));
        assert_eq!((attempt([60, 1], [true, true]).await, made.get()), (Ok(1), 2));
        assert_eq!(attempt([10, 60], [true, true]).await, Ok(0));
        assert_eq!(attempt([10, 60], [false, true]).await, Ok(1));
        assert_eq!(attempt([60, 1], [true, false]).await, Ok(0));
        assert_eq!(attempt([60, 1], [false, false]).await, Err(Offline::TimedOut.into()));
    }
}

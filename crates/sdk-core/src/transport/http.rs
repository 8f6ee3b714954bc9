//! REST: one method for each request.

mod groups;
mod linking;

pub(crate) use groups::Posted;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use prost::Message;
use reqwest::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use rustls::ClientConfig;
use sealpost_wire as wire;
use sealpost_wire::id::ToWire as _;
use tokio::sync::{OnceCell, watch};
use tokio::time::sleep;

use super::tls::{Connector, is_certificate_error};
use super::{Error, Live, Result};
use crate::error::Offline;
use crate::id::{DeviceId, ThreadId, UserId};

const TIMEOUT: Duration = Duration::from_secs(15);
/// After this long without an answer, a call is repeated on a new connection, because the pooled one may be dead.
const REPEAT_DELAY: Duration = Duration::from_secs(4);
/// Maximum number of attempts of a call: the first one, one after [`REPEAT_DELAY`], and one when the app reports a network
/// change.
const MAX_ATTEMPTS: usize = 3;
/// Maximum size of an answer. A relay sends no larger ones.
const MAX_ANSWER: usize = 256 << 10;

/// The REST side of a relay. Clones share its connections.
///
/// Every call may be repeated: it changes nothing, is idempotent, or has an idempotency key by which the relay recognises
/// the repetition.
#[derive(Clone)]
pub(crate) struct Http {
    connector: Arc<Connector>,
    pool: watch::Sender<Pool>,
    live: Live,
}

/// An HTTP client with its connection pool. It is created when it is first used.
#[derive(Clone, Default)]
struct Pool {
    client: Arc<OnceCell<Client>>,
    number: u64,
}

/// A direct thread that the relay has created now or earlier.
pub(crate) enum CreatedThread {
    New(wire::Thread),
    Existing(ThreadId),
}

impl Http {
    pub(super) fn new(connector: Arc<Connector>, live: Live) -> Self {
        Self { connector, pool: watch::Sender::default(), live }
    }

    /// Uses new connections from now on, also for calls that are waiting for an answer.
    pub(super) fn renew(&self) {
        self.renew_after(None);
    }

    /// As [`renew`](Self::renew), but does nothing if the pool with this number was already replaced.
    fn renew_after(&self, number: Option<u64>) {
        self.pool.send_if_modified(|pool| {
            let is_old = number.is_none_or(|number| number == pool.number);
            if is_old {
                *pool = Pool { client: Arc::default(), number: pool.number.wrapping_add(1) };
            }
            is_old
        });
    }

    /// A repetition with the same idempotency key `once` returns the same account. The key is as secret as a token and must
    /// not be logged.
    pub(crate) async fn register(
        &self,
        request: &wire::RegisterRequest,
        once: &str,
    ) -> Result<wire::RegisterResponse> {
        let mut once = HeaderValue::from_str(once).map_err(|_| Offline::NotARelay)?;
        once.set_sensitive(true);
        let call = self.call(Method::POST, "v1/accounts", None).await?.header("idempotency-key", once);
        match self.answer(with_body(call, request)).await {
            // There is no token, so the proof was refused.
            Err(Error::Unauthorized) => Err(Offline::Refused(401).into()),
            other => other,
        }
    }

    /// With the same idempotency key `once`, a repetition returns the same refresh token. The login key is sent for a device
    /// that was registered without one.
    pub(crate) async fn refresh(
        &self,
        refresh_token: &str,
        login_key: Bytes,
        once: &str,
    ) -> Result<wire::TokenPair> {
        let request = wire::RefreshRequest { refresh_token: refresh_token.to_owned(), login_key };
        let call = self.call(Method::POST, "v1/auth/refresh", None).await?.header("idempotency-key", once);
        self.answer(with_body(call, &request)).await
    }

    /// Ends the tokens of this device.
    pub(crate) async fn log_out(&self, token: &str) -> Result<()> {
        self.done(self.call(Method::POST, "v1/auth/logout", Some(token)).await?).await
    }

    /// Deletes the account. It may be repeated.
    pub(crate) async fn delete_account(&self, token: &str) -> Result<()> {
        self.done(self.call(Method::DELETE, "v1/account", Some(token)).await?).await
    }

    /// Requests a challenge for a device to sign.
    pub(crate) async fn challenge(&self, user: UserId, device: DeviceId) -> Result<wire::Challenge> {
        let request = wire::ChallengeRequest { user_id: user.to_wire(), device_id: device.get() };
        self.answer(with_body(self.call(Method::POST, "v1/auth/challenge", None).await?, &request)).await
    }

    /// With the same idempotency key `once`, a repetition returns the same refresh token.
    pub(crate) async fn log_in(&self, signed: wire::SignedChallenge, once: &str) -> Result<wire::TokenPair> {
        let request = wire::LoginRequest { signed: Some(signed) };
        let call = self.call(Method::POST, "v1/auth/login", None).await?.header("idempotency-key", once);
        self.answer(with_body(call, &request)).await
    }

    /// As [`log_in`](Self::log_in), for a device that the relay has lost.
    pub(crate) async fn restore(
        &self,
        request: &wire::RestoreRequest,
        once: &str,
    ) -> Result<wire::TokenPair> {
        let call =
            self.call(Method::POST, "v1/accounts/restore", None).await?.header("idempotency-key", once);
        self.answer(with_body(call, request)).await
    }

    pub(crate) async fn upload_keys(&self, token: &str, keys: &wire::KeyUpload) -> Result<wire::KeyCounts> {
        self.answer(with_body(self.call(Method::PUT, "v1/keys", Some(token)).await?, keys)).await
    }

    pub(crate) async fn key_counts(&self, token: &str) -> Result<wire::KeyCounts> {
        self.answer(self.call(Method::GET, "v1/keys", Some(token)).await?).await
    }

    /// The bundles of one device, or of all. With the same idempotency key `once`, a repetition takes no second one-time
    /// key.
    pub(crate) async fn bundles(
        &self,
        token: &str,
        user: UserId,
        device: Option<DeviceId>,
        (group, once): (Option<ThreadId>, &str),
    ) -> Result<wire::Bundles> {
        let device = device.map_or_else(|| "*".to_owned(), |device| device.to_string());
        let group = group.map(|group| format!("?group={group}")).unwrap_or_default();
        let path = format!("v1/users/{user}/devices/{device}/prekeys{group}");
        let call = self.call(Method::GET, &path, Some(token)).await?.header("idempotency-key", once);
        self.answer(call).await
    }

    /// Replaces our device list by a newer one. It may be repeated.
    pub(crate) async fn put_device_list(&self, token: &str, list: &wire::SignedDeviceList) -> Result<()> {
        self.done(with_body(self.call(Method::PUT, "v1/device-list", Some(token)).await?, list)).await
    }

    /// Stores our device list, and makes another device of ours the one that stores it from then on. It may be repeated.
    pub(crate) async fn move_account(&self, token: &str, request: &wire::MoveAccountRequest) -> Result<()> {
        self.done(with_body(self.call(Method::PUT, "v1/primary", Some(token)).await?, request)).await
    }

    /// The newest device list of a user.
    pub(crate) async fn device_list(&self, token: &str, user: UserId) -> Result<wire::SignedDeviceList> {
        let path = format!("v1/users/{user}/device-list");
        self.answer(self.call(Method::GET, &path, Some(token)).await?).await
    }

    /// `lost` is the known thread of these two members, which the relay may have lost.
    pub(crate) async fn create_direct_thread(
        &self,
        token: &str,
        peer: UserId,
        lost: Option<ThreadId>,
    ) -> Result<CreatedThread> {
        let thread_id = lost.map(ThreadId::to_wire).unwrap_or_default();
        let request = wire::CreateThread { peer_user_id: peer.to_wire(), thread_id };
        let call = with_body(self.call(Method::POST, "v1/threads", Some(token)).await?, &request);
        match self.answer(call).await {
            Ok(thread) => Ok(CreatedThread::New(thread)),
            Err(Error::Refused(refusal)) if refusal.reason == wire::reason::EXISTING_THREAD => {
                let id = ThreadId::from_slice(&refusal.thread_id).map_err(|_| Offline::NotARelay)?;
                Ok(CreatedThread::Existing(id))
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn thread(&self, token: &str, id: ThreadId) -> Result<wire::Thread> {
        self.answer(self.call(Method::GET, &format!("v1/threads/{id}"), Some(token)).await?).await
    }

    /// Accepts a thread.
    pub(crate) async fn accept_thread(&self, token: &str, id: ThreadId) -> Result<()> {
        self.done(self.call(Method::POST, &format!("v1/threads/{id}/accept"), Some(token)).await?).await
    }

    /// Blocks a user, or ends that. It may be repeated.
    pub(crate) async fn set_blocked(&self, token: &str, user: UserId, is_blocked: bool) -> Result<()> {
        let method = if is_blocked { Method::PUT } else { Method::DELETE };
        self.done(self.call(method, &format!("v1/blocks/{user}"), Some(token)).await?).await
    }

    /// Makes a call whose answer has no body.
    async fn done(&self, call: RequestBuilder) -> Result<()> {
        let response = self.send(call).await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(());
        }
        Err(refusal(response).await)
    }

    async fn call(&self, method: Method, path: &str, token: Option<&str>) -> Result<RequestBuilder> {
        let url = self.connector.base.join(path).map_err(|_| Offline::NotARelay)?;
        let pool = self.pool.borrow().clone();
        let call = pool.client(&self.connector).await?.request(method, url);
        Ok(match token {
            Some(token) => call.bearer_auth(token),
            None => call,
        })
    }

    /// Returns the first answer to a call. A call without an answer is repeated on a new connection while the first attempt
    /// continues, because it may only be slow.
    async fn send(&self, call: RequestBuilder) -> Result<Response> {
        let call = call.build().map_err(|error| offline(&error))?;
        let (mut renewed, mut tries, mut made) = (self.pool.subscribe(), FuturesUnordered::new(), 0_usize);
        loop {
            let pool = renewed.borrow_and_update().clone();
            let (client, number) = (pool.client(&self.connector).await?.clone(), pool.number);
            // Only a streamed body cannot be cloned, and none of ours is.
            let again = call.try_clone().ok_or(Offline::NotARelay)?;
            tries.push(client.execute(again));
            made = made.saturating_add(1);
            tokio::select! {
                answer = first_answer(&mut tries) => return answer,
                () = sleep(REPEAT_DELAY), if made == 1 => {
                    self.renew_after(Some(number));
                    // The socket may be dead for the same reason.
                    if let Some(socket) = &*self.live.borrow() {
                        socket.probe();
                    }
                }
                Ok(()) = renewed.changed(), if made < MAX_ATTEMPTS => {}
            }
        }
    }

    async fn answer<T: wire::Decode>(&self, call: RequestBuilder) -> Result<T> {
        let response = self.send(call).await?;
        if !response.status().is_success() || !is_protobuf(&response) {
            return Err(refusal(response).await);
        }
        wire::decode(read_capped(response).await?).map_err(|_| Offline::NotARelay.into())
    }
}

impl Pool {
    async fn client(&self, connector: &Connector) -> Result<&Client> {
        let make = async || -> Result<Client> {
            let tls = connector.tls().await?;
            let builder = match connector.route.of_rest().map_err(|error| offline(&error))? {
                Some(proxy) => Client::builder().proxy(proxy),
                // Proxies of the environment are ignored.
                None => Client::builder().no_proxy(),
            };
            let builder = builder.dns_resolver(connector.route.resolver());
            let builder = builder.tls_backend_preconfigured(ClientConfig::clone(tls));
            let builder = builder.timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none());
            builder.build().map_err(|error| offline(&error))
        };
        self.client.get_or_try_init(make).await
    }
}

/// The error that an unsuccessful answer stands for.
async fn refusal(response: Response) -> Error {
    let status = response.status();
    let retry_after_s: Option<u32> =
        response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    if !is_protobuf(&response) {
        // A proxy in between may refuse in its own format.
        return match status {
            // A captive portal identifies itself (RFC 6585) or answers with a page. A server error comes from a gateway whose
            // relay is down.
            StatusCode::NETWORK_AUTHENTICATION_REQUIRED => Offline::NotARelay.into(),
            status if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => {
                Offline::Busy(Duration::from_secs(retry_after_s.unwrap_or(5).into())).into()
            }
            _ => Offline::NotARelay.into(),
        };
    }
    let body = match read_capped(response).await {
        Ok(body) => body,
        Err(error) => return error,
    };
    match wire::decode::<wire::Error>(body) {
        Ok(refusal) if !status.is_success() => {
            Error::refused(wire::Error { code: status.as_u16().into(), ..refusal })
        }
        _ => Offline::NotARelay.into(),
    }
}

/// The first attempt that is answered, or the error of the last one if none is.
async fn first_answer(
    tries: &mut FuturesUnordered<impl Future<Output = reqwest::Result<Response>>>,
) -> Result<Response> {
    loop {
        match tries.next().await {
            Some(Ok(response)) => return Ok(response),
            Some(Err(error)) if tries.is_empty() => return Err(offline(&error)),
            Some(Err(_)) => {}
            None => return Err(Offline::Unreachable.into()),
        }
    }
}

fn with_body(call: RequestBuilder, body: &impl Message) -> RequestBuilder {
    call.header(CONTENT_TYPE, wire::MEDIA_TYPE).body(body.encode_to_vec())
}

fn is_protobuf(response: &Response) -> bool {
    response.headers().get(CONTENT_TYPE).is_some_and(|value| value.as_bytes() == wire::MEDIA_TYPE.as_bytes())
}

/// Reads the body of an answer, up to [`MAX_ANSWER`].
async fn read_capped(mut response: Response) -> Result<Bytes> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| offline(&error))? {
        if body.len().saturating_add(chunk.len()) > MAX_ANSWER {
            return Err(Offline::NotARelay.into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.into())
}

fn offline(error: &reqwest::Error) -> Error {
    if error.is_timeout() {
        return Offline::TimedOut.into();
    }
    if is_certificate_error(error) {
        return Offline::Untrusted.into();
    }
    if error.is_connect() || error.is_request() || error.is_body() {
        return Offline::Unreachable.into();
    }
    Offline::NotARelay.into()
}

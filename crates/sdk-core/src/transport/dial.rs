//! TCP connections to the relay, direct or through a proxy.
//!
//! The addresses of a host are tried in parallel (RFC 8305). Proxies use the same code as the HTTP client: it comes from
//! `hyper-util`.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use reqwest::Url;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::http::Uri;
use tower_service::Service;

use super::Result;
use super::names::Names;
use crate::config::ProxyChoice;
use crate::error::{self, Offline};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How to reach the relay.
pub(super) struct Route {
    relay: Uri,
    proxy: Option<Intercept>,
    /// Connects to the proxy, or to the relay if there is none.
    dialer: Dialer,
}

impl Route {
    /// `loopback` says that the relay runs on this machine, so that no proxy is used.
    pub(super) fn new(relay: &Url, proxy: &ProxyChoice, loopback: bool) -> error::Result<Self> {
        let relay: Uri = relay.as_str().parse().map_err(|_| MISUSE_URL)?;
        let proxy = match proxy {
            _ if loopback => None,
            ProxyChoice::Direct => None,
            ProxyChoice::System => Matcher::from_system().intercept(&relay).filter(speaks_http),
            ProxyChoice::Address(address) => {
                // The matcher also accepts a name without a scheme, which is not a valid address here.
                let found = Matcher::builder().all(address.as_str()).build().intercept(&relay);
                let http = found.filter(|found| address.contains("://") && speaks_http(found));
                Some(http.ok_or(error::Error::Misuse("the proxy's address must be http://host[:port]"))?)
            }
        };
        let target = proxy.as_ref().map_or(&relay, Intercept::uri);
        let dialer = Dialer(Names::new(port(target)));
        Ok(Self { relay, proxy, dialer })
    }

    /// The same route for the HTTP client.
    pub(super) fn of_rest(&self) -> reqwest::Result<Option<reqwest::Proxy>> {
        let Some(proxy) = &self.proxy else { return Ok(None) };
        let rest = reqwest::Proxy::all(proxy.uri().to_string())?;
        Ok(Some(match proxy.basic_auth() {
            Some(auth) => rest.custom_http_auth(auth.clone()),
            None => rest,
        }))
    }

    /// Resolves the addresses of the relay (or of the proxy) for the HTTP client.
    pub(super) fn resolver(&self) -> Arc<Names> {
        Arc::new(self.dialer.0.clone())
    }

    /// Connects to the relay's port.
    pub(super) async fn dial(&self) -> Result<TcpStream> {
        let mut dialer = self.dialer.clone();
        let relay = self.relay.clone();
        let dialled = async {
            match &self.proxy {
                None => dialer.call(relay).await.map_err(|_| Offline::Unreachable),
                Some(proxy) => {
                    let mut tunnel = Tunnel::new(proxy.uri().clone(), dialer);
                    if let Some(auth) = proxy.basic_auth() {
                        tunnel = tunnel.with_auth(auth.clone());
                    }
                    tunnel.call(relay).await.map_err(|_| Offline::Unreachable)
                }
            }
        };
        match timeout(CONNECT_TIMEOUT, dialled).await {
            Ok(dialled) => Ok(dialled.map(TokioIo::into_inner)?),
            Err(_) => Err(Offline::TimedOut.into()),
        }
    }
}

/// Connects to the host of a URI.
#[derive(Clone)]
struct Dialer(Names);

impl Service<Uri> for Dialer {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let names = self.0.clone();
        let connecting = async move {
            let host = uri.host().ok_or(io::ErrorKind::InvalidInput)?.trim_matches(['[', ']']);
            names.connect(host).await.map(TokioIo::new)
        };
        connecting.boxed()
    }
}

/// The port that a URI names, or that of its scheme.
fn port(uri: &Uri) -> u16 {
    let of_scheme = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    uri.port_u16().unwrap_or(of_scheme)
}

const MISUSE_URL: error::Error = error::Error::Misuse("the relay's address is not a URL");

fn speaks_http(proxy: &Intercept) -> bool {
    proxy.uri().scheme_str() == Some("http")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(relay: &str, proxy: &ProxyChoice, loopback: bool) -> error::Result<Option<String>> {
        let route = Route::new(&Url::parse(relay).unwrap(), proxy, loopback)?;
        assert_eq!(route.proxy.is_some(), route.of_rest().unwrap().is_some());
        Ok(route.proxy.map(|proxy| proxy.uri().to_string()))
    }

    #[test]
    fn a_proxy_is_used_if_it_is_configured_and_never_on_loopback() {
        let proxy = ProxyChoice::Address("http://proxy.example:3128".to_owned());
        assert_eq!(route("https://relay.example", &ProxyChoice::Direct, false), Ok(None));
        let through = route("https://relay.example", &proxy, false).unwrap();
        assert_eq!(through.as_deref(), Some("http://proxy.example:3128/"));
        assert_eq!(route("http://127.0.0.1:8470", &proxy, true), Ok(None));
        assert_eq!(route("http://127.0.0.1:8470", &ProxyChoice::System, true), Ok(None));
    }

    #[test]
    fn an_invalid_proxy_address_is_a_misuse() {
        for address in
            ["", "proxy.example", "ftp://proxy.example", "socks5://proxy.example", "https://proxy.example"]
        {
            let refused = route("https://relay.example", &ProxyChoice::Address(address.to_owned()), false);
            assert!(matches!(refused, Err(error::Error::Misuse(_))), "{address}");
        }
    }
}

//! TCP connections to the relay, direct or through a proxy.
//!
//! Name resolution, parallel connection attempts (RFC 8305) and proxies use the same code as the HTTP client: all of
//! it comes from `hyper-util`.

use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use reqwest::Url;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::http::Uri;
use tower_service::Service as _;

use super::Result;
use crate::config::ProxyChoice;
use crate::error::{self, Offline};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How to reach the relay.
pub(super) struct Route {
    relay: Uri,
    proxy: Option<Intercept>,
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
                // A name alone would also be read as the name of a proxy.
                let found = Matcher::builder().all(address.as_str()).build().intercept(&relay);
                let http = found.filter(|found| address.contains("://") && speaks_http(found));
                Some(http.ok_or(error::Error::Misuse("the proxy's address must be http://host[:port]"))?)
            }
        };
        Ok(Self { relay, proxy })
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

    /// Connects to the relay's port.
    pub(super) async fn dial(&self) -> Result<TcpStream> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        // Frames are small, and each should arrive without delay.
        tcp.set_nodelay(true);
        let relay = self.relay.clone();
        let dialled = async {
            match &self.proxy {
                None => Ok(tcp.call(relay).await.map_err(|_| Offline::Unreachable)?),
                Some(proxy) => {
                    let mut tunnel = Tunnel::new(proxy.uri().clone(), tcp);
                    if let Some(auth) = proxy.basic_auth() {
                        tunnel = tunnel.with_auth(auth.clone());
                    }
                    Ok(tunnel.call(relay).await.map_err(|_| Offline::Unreachable)?)
                }
            }
        };
        match timeout(CONNECT_TIMEOUT, dialled).await {
            Ok(dialled) => dialled.map(hyper_util::rt::TokioIo::into_inner),
            Err(_) => Err(Offline::TimedOut.into()),
        }
    }
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
    fn a_proxy_is_used_when_the_app_says_so_and_never_on_loopback() {
        let proxy = ProxyChoice::Address("http://proxy.example:3128".to_owned());
        assert_eq!(route("https://relay.example", &ProxyChoice::Direct, false), Ok(None));
        let through = route("https://relay.example", &proxy, false).unwrap();
        assert_eq!(through.as_deref(), Some("http://proxy.example:3128/"));
        assert_eq!(route("http://127.0.0.1:8470", &proxy, true), Ok(None));
        assert_eq!(route("http://127.0.0.1:8470", &ProxyChoice::System, true), Ok(None));
    }

    #[test]
    fn a_proxy_that_would_not_be_used_is_a_mistake_of_the_app() {
        for address in
            ["", "proxy.example", "ftp://proxy.example", "socks5://proxy.example", "https://proxy.example"]
        {
            let refused = route("https://relay.example", &ProxyChoice::Address(address.to_owned()), false);
            assert!(matches!(refused, Err(error::Error::Misuse(_))), "{address}");
        }
    }
}

//! The relay's address, and which certificates are trusted for it.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use rustls::client::WantsClientCert;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Result;
use super::dial::Route;
use crate::config::{ProxyChoice, Trust};
use crate::error::{self, Offline};

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection with or without TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// How to reach the relay.
pub(super) struct Connector {
    pub(super) base: Url,
    pub(super) route: Route,
    trust: Trust,
    /// Created at the first connection, because reading the platform's certificates takes longer than opening a
    /// database.
    tls: OnceCell<Arc<ClientConfig>>,
}

impl Connector {
    pub(super) fn new(relay: &str, trust: &Trust, proxy: &ProxyChoice) -> error::Result<Self> {
        let base = Url::parse(relay).map_err(|_| error::Error::Misuse("the relay's address is not a URL"))?;
        let host = base.host_str().ok_or(error::Error::Misuse("the relay's address has no host"))?;
        match base.scheme() {
            "https" => {}
            "http" if is_loopback(host) => {}
            _ => return Err(error::Error::Misuse("the relay's address must be https, or http on loopback")),
        }
        let bare = base.path() == "/" && base.query().is_none() && base.fragment().is_none();
        if !bare || !base.username().is_empty() || base.password().is_some() {
            return Err(error::Error::Misuse("the relay's address must end with its host or port"));
        }
        let route = Route::new(&base, proxy, is_loopback(host))?;
        check(trust)?;
        Ok(Self { base, route, trust: trust.clone(), tls: OnceCell::new() })
    }

    /// The TLS configuration for the relay.
    ///
    /// # Errors
    /// Returns [`Offline::Untrusted`] if the platform has no certificates.
    pub(super) async fn tls(&self) -> Result<&Arc<ClientConfig>> {
        let make = async || -> Result<Arc<ClientConfig>> {
            let trust = self.trust.clone();
            match spawn_blocking(move || tls_config(&trust)).await {
                Ok(Ok(config)) => Ok(Arc::new(config)),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the trusted certificates could not be read");
                    Err(Offline::Untrusted.into())
                }
                Err(_) => Err(Offline::Untrusted.into()),
            }
        };
        self.tls.get_or_try_init(make).await
    }

    pub(super) async fn connect(&self) -> Result<Box<dyn Stream>> {
        let tcp = self.route.dial().await?;
        if self.base.scheme() == "http" {
            return Ok(Box::new(tcp));
        }
        let host = self.base.host_str().unwrap_or_default();
        let name =
            ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(|_| Offline::Untrusted)?;
        let connecting = TlsConnector::from(Arc::clone(self.tls().await?)).connect(name, tcp);
        match timeout(HANDSHAKE_TIMEOUT, connecting).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) if is_certificate_error(&error) => Err(Offline::Untrusted.into()),
            Ok(Err(_)) => Err(Offline::NotARelay.into()),
            Err(_) => Err(Offline::TimedOut.into()),
        }
    }
}

/// Checks everything that the app can be told at once.
fn check(trust: &Trust) -> error::Result<()> {
    match trust {
        Trust::Platform if cfg!(target_os = "android") => {
            Err(error::Error::Misuse("on Android, the trusted certificates must be given"))
        }
        Trust::Platform => Ok(()),
        Trust::Roots(roots) => {
            let mut store = RootCertStore::empty();
            let readable = roots.iter().any(|der| store.add(CertificateDer::from(der.as_slice())).is_ok());
            if readable {
                Ok(())
            } else {
                Err(error::Error::Misuse("none of the trusted certificates can be read"))
            }
        }
    }
}

fn tls_config(trust: &Trust) -> error::Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|_| error::Error::Bug("the TLS provider does not speak TLS 1.3"))?;
    let builder = match trust {
        Trust::Platform => with_platform(builder)?,
        Trust::Roots(roots) => builder.with_root_certificates(readable(roots)),
    };
    Ok(builder.with_no_client_auth())
}

#[cfg(not(target_os = "android"))]
fn with_platform(
    builder: ConfigBuilder<ClientConfig, WantsVerifier>,
) -> error::Result<ConfigBuilder<ClientConfig, WantsClientCert>> {
    use rustls_platform_verifier::BuilderVerifierExt as _;
    let builder = builder.with_platform_verifier();
    builder.map_err(|_| error::Error::Misuse("the platform's certificates cannot be used"))
}

/// Android's certificate store is only accessible from Java, which this library does not call (ADR 0011).
#[cfg(target_os = "android")]
fn with_platform(
    _: ConfigBuilder<ClientConfig, WantsVerifier>,
) -> error::Result<ConfigBuilder<ClientConfig, WantsClientCert>> {
    Err(error::Error::Misuse("on Android, the trusted certificates must be given"))
}

fn readable(roots: &[Vec<u8>]) -> RootCertStore {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(roots.iter().map(|der| CertificateDer::from(der.as_slice())));
    store
}

/// Whether a certificate error is the cause of this error. Intermediate layers wrap it in I/O errors, whose `source`
/// skips the wrapped error.
pub(super) fn is_certificate_error(error: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return matches!(error, rustls::Error::InvalidCertificate(_));
    }
    let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    held.is_some_and(|held| is_certificate_error(held)) || error.source().is_some_and(is_certificate_error)
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(relay: &str) -> bool {
        Connector::new(relay, &Trust::Roots(vec![test_certificate()]), &ProxyChoice::Direct).is_ok()
    }

    fn test_certificate() -> Vec<u8> {
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.der().to_vec()
    }

    #[test]
    fn plain_http_is_allowed_on_loopback_only() {
        assert!(accepts("http://127.0.0.1:8470"));
        assert!(accepts("http://[::1]:8470"));
        assert!(accepts("http://localhost"));
        assert!(accepts("https://relay.example"));
        assert!(!accepts("http://relay.example"));
        assert!(!accepts("http://127.0.0.1.example"));
        assert!(!accepts("ftp://127.0.0.1"));
        assert!(!accepts("relay.example"));
    }

    #[test]
    fn an_address_has_no_path_query_or_user() {
        assert!(accepts("https://relay.example:8443/"));
        for ending in ["/chat", "/chat/", "//", "/%2F", "?a=b", "/?", "#", "/#here"] {
            assert!(!accepts(&format!("https://relay.example{ending}")), "{ending}");
            assert!(!accepts(&format!("http://127.0.0.1:8470{ending}")), "{ending}");
        }
        assert!(!accepts("https://ada@relay.example"));
        assert!(!accepts("https://:word@relay.example"));
    }

    #[tokio::test]
    async fn certificates_are_read_once_at_the_first_connection() {
        let roots = Trust::Roots(vec![test_certificate()]);
        let connector = Connector::new("https://relay.example", &roots, &ProxyChoice::Direct).unwrap();
        assert!(!connector.tls.initialized());
        let config = Arc::clone(connector.tls().await.unwrap());
        assert!(Arc::ptr_eq(&config, connector.tls().await.unwrap()));
    }

    #[test]
    fn at_least_one_root_must_be_a_valid_certificate() {
        let connector = |roots| {
            Connector::new("https://relay.example", &Trust::Roots(roots), &ProxyChoice::Direct).map(|_| ())
        };
        let refused = Err(error::Error::Misuse("none of the trusted certificates can be read"));
        assert_eq!(connector(vec![]), refused);
        assert_eq!(connector(vec![vec![], vec![1, 2, 3]]), refused);
        assert_eq!(connector(vec![vec![1, 2, 3], test_certificate()]), Ok(()));
    }
}

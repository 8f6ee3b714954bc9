//! TLS 1.3 is the only accepted version.

use std::sync::Arc;

use rcgen::{Certificate, CertifiedKey, generate_simple_self_signed};
use sealpost_relay::TlsFiles;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};

use crate::common::World;

/// A certificate for localhost, and its files.
pub(crate) fn certificate() -> (TempDir, TlsFiles, Certificate) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".into()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let files = TlsFiles { cert: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
    std::fs::write(&files.cert, cert.pem()).unwrap();
    std::fs::write(&files.key, signing_key.serialize_pem()).unwrap();
    (folder, files, cert)
}

#[tokio::test]
async fn the_relay_accepts_tls_13_only() {
    let (_folder, files, cert) = certificate();
    let world = World::start_with(|config| config.tls = Some(files)).await;
    assert!(world.relay.url().starts_with("https://127.0.0.1:"));

    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let connect = async |version: &'static SupportedProtocolVersion| {
        let config = ClientConfig::builder_with_protocol_versions(&[version])
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        let tcp = TcpStream::connect(world.relay.addr()).await.unwrap();
        let name = "localhost".try_into().unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await
    };
    let stream = connect(&TLS13).await.unwrap();
    assert_eq!(stream.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    drop(stream);
    assert!(connect(&TLS12).await.is_err());

    let client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(cert.pem().as_bytes()).unwrap()])
        .build()
        .unwrap();
    let url = format!("https://localhost:{}/healthz", world.relay.addr().port());
    assert_eq!(client.get(url).send().await.unwrap().status(), 200);
    world.relay.shutdown().await;
}

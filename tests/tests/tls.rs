//! Over TLS 1.3, to a relay that proves who it is.

#![cfg(test)]

use rcgen::{CertifiedKey, generate_simple_self_signed};
use sealpost_core::{Client, Config, DatabaseKey, Error, MessageBody, Offline, Opened, Trust};
use sealpost_relay::{Config as RelayConfig, Relay, TlsFiles};
use sealpost_testkit::eventually;
use tempfile::TempDir;

/// A relay with a certificate of its own, and that certificate (DER).
async fn relay(folder: &TempDir) -> (Relay, Vec<u8>) {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    let files = TlsFiles { cert: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
    std::fs::write(&files.cert, cert.pem()).unwrap();
    std::fs::write(&files.key, signing_key.serialize_pem()).unwrap();
    let config = RelayConfig { tls: Some(files), ..RelayConfig::local(folder.path().join("relay")) };
    (Relay::start(config).await.unwrap(), cert.der().to_vec())
}

async fn register(folder: &TempDir, name: &str, url: &str, trust: Trust) -> Result<Client, Error> {
    let database = folder.path().join(format!("{name}.db"));
    let config = Config::new(database, DatabaseKey::new([7; 32]), url).trust(trust);
    match Client::open(config).await? {
        Opened::Unregistered(new) => new.register(&[]).await,
        Opened::Ready(client) => Ok(client),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_talk_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let (relay, certificate) = relay(&folder).await;
    let url = relay.url();
    assert!(url.starts_with("https://"));
    let trust = Trust::Pinned(certificate);
    let ada = register(&folder, "ada", &url, trust.clone()).await.unwrap();
    let ben = register(&folder, "ben", &url, trust).await.unwrap();
    ada.direct_thread(ben.user_id()).await.unwrap().send_text("sealed twice").await.unwrap();
    let his = ben.direct_thread(ada.user_id()).await.unwrap();
    let newest = eventually("the message", async || his.history(None).await.unwrap().messages.pop()).await;
    assert_eq!(newest.body, MessageBody::Text("sealed twice".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_prove_to_be_the_relay_is_not_talked_to() {
    let folder = tempfile::tempdir().unwrap();
    let (relay, _) = relay(&folder).await;
    let (_other, other_certificate) = self::relay(&tempfile::tempdir().unwrap()).await;
    for (name, trust) in [("pinned", Trust::Pinned(other_certificate)), ("platform", Trust::Platform)] {
        let refused = register(&folder, name, &relay.url(), trust).await.unwrap_err();
        assert_eq!(refused, Error::Offline(Offline::Untrusted), "{name}");
    }
}

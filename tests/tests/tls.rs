//! TLS 1.3, with certificates that the client verifies.

#![cfg(test)]

use sealpost_core::{Client, Config, DatabaseKey, Error, MessageBody, Offline, Opened, Trust};
use sealpost_testkit::{Root, World, eventually};
use tempfile::TempDir;

fn trust(roots: &[&Root]) -> Trust {
    Trust::Roots(roots.iter().map(|root| root.der()).collect())
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
async fn two_clients_exchange_messages_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let (root, other) = (Root::new(), Root::new());
    let world = World::start_over_tls(&root).await;
    let url = world.url();
    assert!(url.starts_with("https://"));
    // One client trusts this root only, the other one several; both REST and the socket must work.
    let ada = register(&folder, "ada", &url, trust(&[&root])).await.unwrap();
    let ben = register(&folder, "ben", &url, trust(&[&other, &root])).await.unwrap();
    ada.direct_thread(ben.user_id()).await.unwrap().send_text("sealed twice").await.unwrap();
    let his = ben.direct_thread(ada.user_id()).await.unwrap();
    let newest = eventually("the message", async || his.history(None).await.unwrap().messages.pop()).await;
    assert_eq!(newest.body, MessageBody::Text("sealed twice".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_trusted_certificate_is_not_contacted() {
    let folder = tempfile::tempdir().unwrap();
    let (root, other, third) = (Root::new(), Root::new(), Root::new());
    let world = World::start_over_tls(&root).await;
    for (name, trust) in [("other roots", trust(&[&other, &third])), ("platform", Trust::Platform)] {
        let refused = register(&folder, name, &world.url(), trust).await.unwrap_err();
        assert_eq!(refused, Error::Offline(Offline::Untrusted), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_roots_are_reported_as_misuse() {
    let folder = tempfile::tempdir().unwrap();
    for (name, roots) in [("none", vec![]), ("rubbish", vec![vec![0x30, 0x82], b"no certificate".to_vec()])] {
        let refused = register(&folder, name, "https://127.0.0.1:1", Trust::Roots(roots)).await.unwrap_err();
        assert!(matches!(refused, Error::Misuse(_)), "{name}: {refused}");
    }
}

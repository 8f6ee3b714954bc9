//! A relay that can be reached only through a proxy, and proxies that the client must ignore.

#![cfg(test)]

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sealpost_core::{
    Client, Config, ConnectionState, DatabaseKey, Error, MessageBody, Opened, ProxyChoice, Trust,
};
use sealpost_relay::Config as RelayConfig;
use sealpost_testkit::{Root, World, eventually};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// An address that does not exist (RFC 5737), which can be reached through the proxy only.
const NOWHERE: &str = "192.0.2.1";

/// A proxy that forwards from [`NOWHERE`] to the relay, for clients with the password.
struct Tunnels {
    addr: SocketAddr,
    made: Arc<AtomicUsize>,
    _server: JoinSet<()>,
}

impl Tunnels {
    async fn start(relay: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let made = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&made);
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(tunnel(stream, relay, Arc::clone(&count)));
            }
        });
        Self { addr, made, _server: server }
    }
}

async fn tunnel(client: TcpStream, relay: SocketAddr, made: Arc<AtomicUsize>) {
    let mut client = BufReader::new(client);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        client.read_line(&mut head).await.unwrap();
    }
    assert!(head.starts_with(&format!("CONNECT {NOWHERE}:")), "{head}");
    // "ada:secret", encoded as RFC 7617 specifies.
    assert!(head.to_ascii_lowercase().contains("proxy-authorization: basic ywrhonnly3jlda=="), "{head}");
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    made.fetch_add(1, Ordering::SeqCst);
    let mut relay = TcpStream::connect(relay).await.unwrap();
    let _ = tokio::io::copy_bidirectional(&mut client, &mut relay).await;
}

async fn open(config: Config) -> Result<Client, Error> {
    match Client::open(config).await? {
        Opened::Unregistered(new) => new.register(&[]).await,
        Opened::Ready(client) => Ok(client),
    }
}

async fn live(client: &Client) {
    let is_live = async || (client.connection_state() == ConnectionState::Live).then_some(());
    eventually("a live connection", is_live).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_and_the_socket_use_the_proxy() {
    let root = Root::new();
    let issuer = root.clone();
    let world = World::start_with(move |config| {
        let tls = issuer.certify(NOWHERE.parse::<IpAddr>().unwrap(), &config.data);
        RelayConfig { tls: Some(tls), ..config }
    })
    .await;
    let tunnels = Tunnels::start(world.addr()).await;
    let url = format!("https://{NOWHERE}:{}", world.addr().port());
    let config = |name: &str| {
        Config::new(world.dir().join(name), DatabaseKey::new([7; 32]), &url)
            .trust(Trust::Roots(vec![root.der()]))
            .proxy(ProxyChoice::Address(format!("http://ada:secret@{}", tunnels.addr)))
    };
    let (ada, ben) = (open(config("ada.db")).await.unwrap(), open(config("ben.db")).await.unwrap());
    live(&ada).await;
    ada.direct_thread(ben.user_id()).await.unwrap().send_text("through the tunnel").await.unwrap();
    let his = ben.direct_thread(ada.user_id()).await.unwrap();
    let newest = eventually("the message", async || his.history(None).await.unwrap().messages.pop()).await;
    assert_eq!(newest.body, MessageBody::Text("through the tunnel".into()));
    assert!(tunnels.made.load(Ordering::SeqCst) >= 4, "two tunnels for each client");
    ada.suspend().await.unwrap();
    ben.suspend().await.unwrap();
}

/// Set for this program when the test below runs it again.
const INSIDE: &str = "SEALPOST_TEST_BEHIND_A_DEAD_PROXY";

#[test]
fn proxy_settings_of_the_environment_do_not_apply_to_a_relay_on_loopback() {
    if std::env::var_os(INSIDE).is_none() {
        // The environment can be set safely only for a new process.
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", "proxy_settings_of_the_environment_do_not_apply_to_a_relay_on_loopback"]);
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
            again.env(name, "http://127.0.0.1:9");
        }
        assert!(again.env(INSIDE, "").env_remove("REQUEST_METHOD").status().unwrap().success());
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let world = World::start().await;
        for (name, proxy) in [("direct", ProxyChoice::Direct), ("system", ProxyChoice::System)] {
            let config = world.disk(name).config().proxy(proxy);
            let client = open(config).await.unwrap();
            live(&client).await;
            client.suspend().await.unwrap();
        }
    });
}

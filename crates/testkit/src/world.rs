//! A relay and the people who use it, in a temporary folder.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use sealpost_relay::{Config, Relay, Timing};
use tempfile::TempDir;

use crate::Root;
use crate::party::{Party, PartyDisk};

/// A relay in this process, which can be stopped and started again at the same address.
pub struct World {
    dir: TempDir,
    relay: Option<Relay>,
    addr: SocketAddr,
    url: String,
    configure: Configure,
}

type Configure = Box<dyn Fn(Config) -> Config + Send + Sync>;

impl World {
    /// Starts a relay that accepts every registration.
    pub async fn start() -> Self {
        Self::start_with(|config| config).await
    }

    /// Starts a relay with TLS, whose certificate is signed by `root`.
    pub async fn start_over_tls(root: &Root) -> Self {
        let root = root.clone();
        Self::start_with(move |config| {
            let tls = root.certify(config.listen.ip(), &config.data);
            Config { tls: Some(tls), ..config }
        })
        .await
    }

    /// Starts a relay with this configuration, which is also used when it is started again. The address is chosen
    /// before.
    pub async fn start_with(configure: impl Fn(Config) -> Config + Send + Sync + 'static) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let config = configure(local(own_address(), &dir.path().join("relay")));
        let relay = Relay::start(config).await;
        let relay = relay.expect("the relay starts");
        let (addr, url) = (relay.addr(), relay.url());
        Self { dir, relay: Some(relay), addr, url, configure: Box::new(configure) }
    }

    /// The URL of the relay, whether or not it is running.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// The address of the relay.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The folder with the files of all people.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The relay's own folder.
    pub fn relay_dir(&self) -> PathBuf {
        self.dir.path().join("relay")
    }

    /// The number of rows in the mailboxes of all devices.
    pub fn rows_in_mailboxes(&self) -> u32 {
        let path = self.relay_dir().join("relay.db");
        let relay =
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the relay's file");
        let sql = "SELECT (SELECT count(*) FROM mail) + (SELECT count(*) FROM inbox)";
        relay.query_row(sql, [], |row| row.get(0)).expect("a count")
    }

    /// Drains and stops the relay.
    pub async fn stop_relay(&mut self) {
        if let Some(relay) = self.relay.take() {
            relay.shutdown().await;
        }
    }

    /// Starts the relay again, at the same address with the same data.
    pub async fn start_relay(&mut self) {
        if self.relay.is_none() {
            let config = (self.configure)(local(self.addr, &self.relay_dir()));
            self.relay = Some(Relay::start(config).await.expect("the relay starts again"));
        }
    }

    /// A person with a database file who is not registered.
    pub fn disk(&self, name: &str) -> PartyDisk {
        PartyDisk::new(self.dir.path(), name, &self.url())
    }

    /// A person who is registered and connected.
    pub async fn party(&self, name: &str) -> Party {
        self.disk(name).register().await
    }

    /// A companion device that is linked to the account of `primary`, and connected.
    pub async fn companion(&self, primary: &Party, name: &str) -> Party {
        self.disk(name).link_to(primary).await
    }
}

/// A configuration in which clients reconnect quickly after a restart: the default period of half a minute is half of
/// the time that a test waits.
fn local(listen: SocketAddr, data: &Path) -> Config {
    let timing = Timing { spread_return: Duration::from_secs(1), ..Timing::default() };
    Config { listen, timing, ..Config::local(data) }
}

/// A loopback address that no other test uses, with any free port. A server there can be restarted on the same port,
/// which fails on a shared address if another test has taken the port in the meantime.
pub fn own_address() -> SocketAddr {
    static TAKEN: AtomicU8 = AtomicU8::new(1);
    // On other systems, only one loopback address is configured.
    if !cfg!(target_os = "linux") {
        return (Ipv4Addr::LOCALHOST, 0).into();
    }
    let [_, _, high, low] = std::process::id().to_be_bytes();
    (Ipv4Addr::new(127, high | 0x40, low, TAKEN.fetch_add(1, Ordering::SeqCst)), 0).into()
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { dir, relay, addr: _, url, configure: _ } = self;
        f.debug_struct("World").field("dir", dir).field("relay", relay).field("url", url).finish()
    }
}

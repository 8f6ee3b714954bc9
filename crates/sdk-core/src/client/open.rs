//! Opening a database, and registering an account.

use std::fmt;
use std::sync::Arc;

use tokio::sync::OnceCell;

use super::Client;
use crate::account::registration;
use crate::config::Config;
use crate::context::Context;
use crate::env::Env;
use crate::error::Result;
use crate::event::EventBus;
use crate::runtime;
use crate::store::{self, AccountStatus, Footprint, Store, StoredAccount};
use crate::transport::Transport;

/// The contents of a database.
#[derive(Debug)]
pub enum Opened {
    /// There is no account yet; it must be registered.
    Unregistered(Unregistered),
    /// There is an account; the client has started to connect.
    Ready(Client),
}

/// A database without an account. When the last handle is dropped, the database is closed. The drop blocks while the disk is written.
pub struct Unregistered {
    device: Arc<NewDevice>,
}

/// What the handles of a database without an account share.
pub(super) struct NewDevice {
    pub(super) ctx: Context,
    /// The client after the registration: always the same one.
    pub(super) client: OnceCell<Client>,
}

impl Drop for NewDevice {
    /// A read that nobody waits for may still hold the database open, which is to be opened again.
    fn drop(&mut self) {
        if !self.client.initialized() {
            self.ctx.transport.go_offline();
            self.ctx.store.end();
        }
    }
}

impl Client {
    /// Opens the database, and registers an account if there is none, using the proof that the relay requires (empty
    /// in development).
    ///
    /// # Errors
    /// Those of [`Client::open`] and of [`Unregistered::register`].
    pub async fn open_or_register(config: Config, proof: &[u8]) -> Result<Self> {
        match Self::open(config).await? {
            Opened::Ready(client) => Ok(client),
            Opened::Unregistered(new) => new.register(proof).await,
        }
    }

    /// Opens the database, or creates it. The connection runs on the tokio runtime that this is called on; if there
    /// is none, on two threads of the library. The client's futures can be awaited on any executor.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage) if the database cannot be used;
    /// [`Error::Misuse`](crate::Error::Misuse) if the configuration is invalid.
    pub async fn open(config: Config) -> Result<Opened> {
        runtime::inside(async {
            let (ctx, account) = open(config, Footprint::Full).await?;
            Ok(match account {
                Some(account) => Opened::Ready(Self::start(ctx, account)),
                None => Opened::Unregistered(Unregistered {
                    device: Arc::new(NewDevice { ctx, client: OnceCell::new() }),
                }),
            })
        })
        .await
    }
}

/// Opens the database with everything around it, and returns the account in it.
pub(crate) async fn open(config: Config, footprint: Footprint) -> Result<(Context, Option<StoredAccount>)> {
    let Config { database, key, relay, trust, proxy, policy, limits, requests, clock } = config;
    // Done here, where it cannot be cancelled: otherwise it would continue on another thread while the process may be
    // ending.
    store::prepare_for_exit()?;
    let transport = Transport::new(&relay, &trust, &proxy)?;
    let events = EventBus::new();
    // A caller that gets an error may try again immediately, because nothing of this attempt remains.
    let opening =
        Store::open_and_read(database, key, events.clone(), footprint, |rows| rows.stored_account());
    let (store, (account, clocks)) = opening.await?;
    let ctx = Context::new(store, transport, Env::new(clock), events, (policy, limits, requests));
    ctx.set_clocks(clocks);
    Ok((ctx, account))
}

impl Unregistered {
    pub(super) const fn device(&self) -> &Arc<NewDevice> {
        &self.device
    }

    /// Registers an account at the relay with this device as its first, using the proof that the relay requires
    /// (empty in development). The call can be repeated after a failure. Once it has succeeded, every call returns
    /// the same client.
    ///
    /// # Errors
    /// [`Error::Offline`](crate::Error::Offline), with [`Refused`](crate::Offline::Refused) if the proof is not accepted;
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn register(&self, proof: &[u8]) -> Result<Client> {
        let (device, proof) = (Arc::clone(&self.device), proof.to_owned());
        let running = runtime::handle()?.spawn(async move {
            let become_client = || async {
                let registered = registration::register(&device.ctx, proof).await?;
                let account = StoredAccount { registered, status: AccountStatus::Present };
                Ok(Client::start(device.ctx.clone(), account))
            };
            device.client.get_or_try_init(become_client).await.cloned()
        });
        running.await.map_err(|error| runtime::no_result(&error))?
    }
}

impl fmt::Debug for Unregistered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unregistered")
    }
}

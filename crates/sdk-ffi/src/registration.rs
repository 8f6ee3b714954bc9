//! Opening: to a client, or to something that can become one.

use std::sync::Arc;

use sealpost_core as core;
use tokio::sync::OnceCell;

use crate::{CancelToken, Client, Config, Result, runtime};

/// What a database turned out to hold.
#[derive(Debug, uniffi::Enum)]
pub enum Opened {
    /// An account; connecting has begun.
    Ready {
        /// It.
        client: Arc<Client>,
    },
    /// No account yet: register.
    Unregistered {
        /// How.
        registration: Arc<Registration>,
    },
}

/// Opens the database of an account, or creates it: one file for each account, in a folder that exists. The key is 32
/// random bytes that the app keeps in the Keychain or the Keystore. The relay is `https://host[:port]`, or `http://` on
/// loopback.
///
/// Throws `Storage` when the database cannot be used, `InvalidArgument` for a key of another length, `Misuse` for a relay
/// that is no such address.
#[uniffi::export(default(config))]
pub async fn open_account(database: String, key: Vec<u8>, relay: String, config: Config) -> Result<Opened> {
    let config = config.into_core(database, key, relay)?;
    runtime::run(async move {
        Ok(match core::Client::open(config).await? {
            core::Opened::Ready(client) => Opened::Ready { client: Client::new(client) },
            core::Opened::Unregistered(new) => {
                Opened::Unregistered { registration: Arc::new(Registration::new(new)) }
            }
        })
    })
    .await
}

/// A database without an account.
#[derive(Debug, uniffi::Object)]
pub struct Registration {
    new: core::Unregistered,
    /// What it became: one client, however often it was asked for.
    client: OnceCell<Arc<Client>>,
}

impl Registration {
    fn new(new: core::Unregistered) -> Self {
        Self { new, client: OnceCell::new() }
    }
}

#[uniffi::export]
impl Registration {
    /// Makes an account at the relay, with what it asks for as proof (nothing, in development), and this device its first.
    /// May be tried again after a failure or a cancellation. Once it has worked, every call gives the same client, also
    /// after it was shut down.
    ///
    /// Throws `Offline`, with `Refused` when the proof is not accepted, and `Storage`.
    #[uniffi::method(default(cancel = None, proof))]
    pub async fn register(
        self: Arc<Self>,
        proof: Vec<u8>,
        cancel: Option<Arc<CancelToken>>,
    ) -> Result<Arc<Client>> {
        let register = async move {
            let client = async || Ok(Client::new(self.new.register(&proof).await?));
            self.client.get_or_try_init(client).await.cloned()
        };
        runtime::run_until(cancel, register).await
    }
}

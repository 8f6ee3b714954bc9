//! Opening a database, and registering an account.

use std::sync::Arc;

use sealpost_core as core;
use tokio::sync::OnceCell;

use crate::{CancelToken, Client, Config, Result, runtime};

/// The contents of a database.
#[derive(Debug, uniffi::Enum)]
pub enum Opened {
    /// There is an account; the client has started to connect.
    Ready {
        /// The client.
        client: Arc<Client>,
    },
    /// There is no account yet; one must be registered, or the device be linked to one.
    Unregistered {
        /// The registration.
        registration: Arc<Registration>,
    },
}

/// Opens the database of an account, or creates it. Each account has its own file, in an existing folder. The key is
/// 32 random bytes that the app keeps in the Keychain or the Keystore. The relay is `https://host[:port]`, or
/// `http://` on loopback.
///
/// Throws `Storage` if the database cannot be used, `InvalidArgument` for a key of another length, and `Misuse` for
/// an invalid address of the relay.
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
    /// The client after the registration: always the same one.
    client: OnceCell<Arc<Client>>,
}

impl Registration {
    pub(crate) fn core(&self) -> &core::Unregistered {
        &self.new
    }

    fn new(new: core::Unregistered) -> Self {
        Self { new, client: OnceCell::new() }
    }
}

#[uniffi::export]
impl Registration {
    /// Registers an account at the relay with this device as its first, using the proof that the relay requires
    /// (empty in development). The call can be repeated after a failure or a cancellation. Once it has succeeded,
    /// every call returns the same client, even after it was shut down.
    ///
    /// Throws `Offline`, with `Refused` if the proof is not accepted, and `Storage`.
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

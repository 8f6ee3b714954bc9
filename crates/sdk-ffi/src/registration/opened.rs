//! Opening: to a client, or to something that can become one.

use std::sync::Arc;

use sealpost_core as core;

use super::Registration;
use crate::{Client, Config, Result, runtime};

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

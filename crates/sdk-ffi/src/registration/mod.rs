//! Becoming a client.

mod opened;

use std::sync::Arc;

use sealpost_core as core;
use tokio::sync::OnceCell;

pub use opened::{Opened, open_account};

use crate::{CancelToken, Client, Result, runtime};

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

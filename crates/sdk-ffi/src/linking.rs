//! Linking this device to an account that the person has on another one.

use std::sync::Arc;

use sealpost_core as core;
use tokio::sync::OnceCell;

use crate::{CancelToken, Client, Registration, Result, runtime};

#[uniffi::export]
impl Registration {
    /// Begins to link this device to an account as a companion, or continues what an earlier process has begun. `name` is suggested
    /// to the person at the primary device.
    ///
    /// Throws `Offline`, `Link` with `Name` if the name is empty or has more than 256 bytes, `Misuse` after `register`, and `Storage`.
    #[uniffi::method(default(cancel = None))]
    pub async fn link(
        self: Arc<Self>,
        name: String,
        cancel: Option<Arc<CancelToken>>,
    ) -> Result<Arc<Linking>> {
        let link = async move {
            let core = self.core().link(&name).await?;
            Ok(Arc::new(Linking { core, client: OnceCell::new() }))
        };
        runtime::run_until(cancel, link).await
    }
}

/// A link of this device to an account that the person has on another one. The person scans the code with the primary device, compares
/// the digits, and confirms there; `finish` then returns the client. If the process ends in between, `Registration.link` continues the
/// link. It keeps the database open, like the registration.
#[derive(Debug, uniffi::Object)]
pub struct Linking {
    core: core::Linking,
    /// The client after the link: always the same one.
    client: OnceCell<Arc<Client>>,
}

#[uniffi::export]
impl Linking {
    /// What to show as a QR code, in upper case, digits and a colon, or to copy to the primary device on another way that nobody else
    /// sees. It is valid for ten minutes. Whoever sees it first can link this device to their own account, so it must not be sent to
    /// anybody, nor logged.
    pub fn code(&self) -> Result<String> {
        Ok(self.core.code().to_text().as_str().to_owned())
    }

    /// Waits until the primary device has read the code, and returns the digits that both show: two groups of four. The person compares
    /// them, and confirms at the primary device. The call can be repeated, also after a cancellation.
    ///
    /// Throws `Link`: the link has ended, and another one can be begun. Throws `Cancelled`, which loses nothing, and `Storage`.
    #[uniffi::method(default(cancel = None))]
    pub async fn digits(self: Arc<Self>, cancel: Option<Arc<CancelToken>>) -> Result<String> {
        let digits = async move { Ok(self.core.digits().await?.to_string()) };
        runtime::run_while_wanted(cancel, digits).await
    }

    /// Waits until the person has confirmed, and registers this device at the relay. What it gets from the primary device arrives
    /// afterwards (`Event.LinkProgress`). The call can be repeated, also after a cancellation. Once it has succeeded, every call returns
    /// the same client, even after it was shut down.
    ///
    /// Throws what `digits` throws, and `Offline`.
    #[uniffi::method(default(cancel = None))]
    pub async fn finish(self: Arc<Self>, cancel: Option<Arc<CancelToken>>) -> Result<Arc<Client>> {
        let finish = async move {
            let client = async || Ok(Client::new(self.core.finish().await?));
            self.client.get_or_try_init(client).await.cloned()
        };
        // What waits for a person must not keep the database open when the app has stopped waiting.
        runtime::run_while_wanted(cancel, finish).await
    }

    /// Ends the link. Another one can be begun, or an account be registered.
    ///
    /// Throws `WrongState` if the device was linked, and `Storage`.
    pub async fn cancel(self: Arc<Self>) -> Result<()> {
        runtime::run(async move { Ok(self.core.cancel().await?) }).await
    }
}

//! Linking this device to an account, as a companion.

use std::fmt;
use std::sync::Arc;

use sealpost_protocol::device::link::{LinkCode, ShortCode};

use super::Client;
use super::devices::checked_name;
use super::open::{NewDevice, Unregistered};
use crate::account::linking;
use crate::error::Result;
use crate::runtime;
use crate::store::{AccountStatus, StoredAccount};

/// A link of this device to an account that the person has on another one.
///
/// The person scans the [`code`](Self::code) with the primary device, compares the [`digits`](Self::digits), and confirms there;
/// [`finish`](Self::finish) then gives the client. If the process ends in between, [`Unregistered::link`] continues the link.
pub struct Linking {
    device: Arc<NewDevice>,
    code: LinkCode,
}

impl Unregistered {
    /// Begins to link this device to an account, or continues what an earlier process has begun. `name` is suggested to the
    /// person at the primary device.
    ///
    /// # Errors
    /// [`Error::Offline`](crate::Error::Offline), [`Error::Storage`](crate::Error::Storage), and [`Error::Link`](crate::Error::Link) with
    /// [`Name`](crate::LinkFailure::Name).
    pub async fn link(&self, name: &str) -> Result<Linking> {
        let (device, name) = (Arc::clone(self.device()), checked_name(name)?);
        let keys = runtime::inside(linking::begin(&device.ctx, name)).await?;
        Ok(Linking { device, code: keys.into_code() })
    }
}

impl Linking {
    /// What to show as a QR code, or to copy to the primary device on another way that nobody else sees. Whoever sees it first
    /// can link this device to their own account, so it must not be sent to anybody.
    pub fn code(&self) -> &LinkCode {
        &self.code
    }

    /// Waits until the primary device has read the code, and returns the digits that both show. The person compares them and confirms at
    /// the primary device. The call can be repeated.
    ///
    /// # Errors
    /// [`Error::Link`](crate::Error::Link): the link has ended, and another one can be begun. [`Error::Storage`](crate::Error::Storage).
    pub async fn digits(&self) -> Result<ShortCode> {
        runtime::inside(linking::wait_for_digits(&self.device.ctx, *self.code.link())).await
    }

    /// Waits until the person has confirmed, and registers this device at the relay. The call can be repeated. Once it has succeeded, every
    /// call returns the same client.
    ///
    /// # Errors
    /// As [`digits`](Self::digits), and [`Error::Offline`](crate::Error::Offline).
    pub async fn finish(&self) -> Result<Client> {
        let become_client = || async {
            let registered = linking::finish(&self.device.ctx, *self.code.link()).await?;
            Ok(Client::start(
                self.device.ctx.clone(),
                StoredAccount { registered, status: AccountStatus::Present },
            ))
        };
        runtime::inside(self.device.client.get_or_try_init(become_client)).await.cloned()
    }

    /// Ends the link. Another one can be begun, or an account be registered.
    ///
    /// # Errors
    /// [`Error::WrongState`](crate::Error::WrongState) if the device was linked, [`Error::Storage`](crate::Error::Storage).
    pub async fn cancel(&self) -> Result<()> {
        runtime::inside(linking::cancel(&self.device.ctx, *self.code.link())).await
    }
}

impl fmt::Debug for Linking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Linking").field("code", &self.code).finish_non_exhaustive()
    }
}

//! Requests about links and the devices of our account.

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::HeaderValue;
use sealpost_wire as wire;

use super::{Http, with_body};
use crate::error::Offline;
use crate::id::DeviceId;
use crate::transport::Result;

impl Http {
    /// Begins a link.
    pub(crate) async fn begin_link(&self) -> Result<wire::Link> {
        self.answer(self.call(Method::POST, "v1/links", None).await?).await
    }

    /// Writes what the companion has for the primary device, and returns what that has for it. It may be repeated.
    pub(crate) async fn link_as_companion(
        &self,
        link: &[u8; 16],
        body: &wire::CompanionBlobs,
    ) -> Result<Vec<Bytes>> {
        let path = format!("v1/links/{:032x}/companion", u128::from_be_bytes(*link));
        let answer: wire::LinkBlobs =
            self.answer(with_body(self.call(Method::PUT, &path, None).await?, body)).await?;
        Ok(answer.blobs)
    }

    /// The same for the other side.
    pub(crate) async fn link_as_primary(
        &self,
        token: &str,
        link: &[u8; 16],
        blobs: Vec<Bytes>,
    ) -> Result<Vec<Bytes>> {
        let path = format!("v1/links/{:032x}/primary", u128::from_be_bytes(*link));
        let call = self.call(Method::PUT, &path, Some(token)).await?;
        let answer: wire::LinkBlobs = self.answer(with_body(call, &wire::LinkBlobs { blobs })).await?;
        Ok(answer.blobs)
    }

    /// Reserves a number above this one for a new device. A repetition reserves another one.
    pub(crate) async fn link_token(&self, token: &str, above: u32) -> Result<wire::LinkToken> {
        let call = self.call(Method::POST, "v1/link-tokens", Some(token)).await?;
        self.answer(with_body(call, &wire::LinkTokenRequest { above })).await
    }

    /// Registers this device as a companion. A repetition with the same idempotency key returns the same device.
    pub(crate) async fn link_device(
        &self,
        request: &wire::LinkDeviceRequest,
        once: &str,
    ) -> Result<wire::RegisterResponse> {
        let mut once = HeaderValue::from_str(once).map_err(|_| Offline::NotARelay)?;
        once.set_sensitive(true);
        let call = self.call(Method::POST, "v1/devices:link", None).await?.header("idempotency-key", once);
        self.answer(with_body(call, request)).await
    }

    /// The devices of our account.
    pub(crate) async fn devices(&self, token: &str) -> Result<wire::DeviceList> {
        self.answer(self.call(Method::GET, "v1/devices", Some(token)).await?).await
    }

    /// Revokes a device of our account. It may be repeated, and is then not found.
    pub(crate) async fn revoke_device(&self, token: &str, device: DeviceId) -> Result<()> {
        self.done(self.call(Method::DELETE, &format!("v1/devices/{device}"), Some(token)).await?).await
    }
}

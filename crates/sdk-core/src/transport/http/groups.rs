//! Requests about the rosters of groups.

use reqwest::Method;
use sealpost_wire as wire;

use super::Http;
use crate::id::ThreadId;
use crate::transport::Result;

impl Http {
    /// Entries of a group after this version, in order.
    pub(crate) async fn roster(&self, token: &str, thread: ThreadId, after: u64) -> Result<wire::RosterPage> {
        let path = format!("v1/threads/{thread}/roster?after={after}");
        self.answer(self.call(Method::GET, &path, Some(token)).await?).await
    }
}

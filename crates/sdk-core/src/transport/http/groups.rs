//! Requests about the rosters of groups.

use reqwest::Method;
use sealpost_wire as wire;

use super::{Http, with_body};
use crate::id::ThreadId;
use crate::transport::{Error, Result};

/// What the relay has made of an entry.
#[derive(Debug, Clone)]
pub(crate) enum Posted {
    /// It is the next one, or was before.
    Taken(wire::Group),
    /// Another one is.
    Stale,
    /// The rules do not allow it, or we are no member any more.
    Refused,
}

impl Http {
    /// Adds an entry to the roster of a group, or creates the group. It may be repeated.
    pub(crate) async fn post_entry(
        &self,
        token: &str,
        thread: Option<ThreadId>,
        entry: Vec<u8>,
    ) -> Result<Posted> {
        let path = match thread {
            Some(thread) => format!("v1/threads/{thread}/roster"),
            None => "v1/groups".to_owned(),
        };
        let request = wire::RosterRequest { entry: entry.into() };
        let call = with_body(self.call(Method::POST, &path, Some(token)).await?, &request);
        match self.answer(call).await {
            Ok(group) => Ok(Posted::Taken(group)),
            Err(Error::Refused(refusal)) if refusal.reason == wire::reason::STALE_ROSTER => Ok(Posted::Stale),
            Err(Error::Refused(_)) => Ok(Posted::Refused),
            Err(error) => Err(error),
        }
    }

    /// Entries of a group after this version, in order.
    pub(crate) async fn roster(&self, token: &str, thread: ThreadId, after: u64) -> Result<wire::RosterPage> {
        let path = format!("v1/threads/{thread}/roster?after={after}");
        self.answer(self.call(Method::GET, &path, Some(token)).await?).await
    }
}

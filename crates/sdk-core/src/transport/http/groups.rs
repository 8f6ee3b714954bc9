//! Requests about the rosters of groups.

use reqwest::header::HeaderValue;
use reqwest::{Method, RequestBuilder};
use sealpost_wire as wire;
use zeroize::Zeroizing;

use super::{Http, with_body};
use crate::error::Offline;
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
        (entry, link): (Vec<u8>, Option<&Zeroizing<String>>),
    ) -> Result<Posted> {
        let path = match thread {
            Some(thread) => format!("v1/threads/{thread}/roster"),
            None => "v1/groups".to_owned(),
        };
        let request = wire::RosterRequest { entry: entry.into() };
        let call = with_link(self.call(Method::POST, &path, Some(token)).await?, link)?;
        let call = with_body(call, &request);
        match self.answer(call).await {
            Ok(group) => Ok(Posted::Taken(group)),
            Err(Error::Refused(refusal)) if refusal.reason == wire::reason::STALE_ROSTER => Ok(Posted::Stale),
            Err(Error::Refused(_)) => Ok(Posted::Refused),
            Err(error) => Err(error),
        }
    }

    /// Entries of a group after this version, in order.
    pub(crate) async fn roster(
        &self,
        token: &str,
        (thread, after): (ThreadId, u64),
        link: Option<&Zeroizing<String>>,
    ) -> Result<wire::RosterPage> {
        let path = format!("v1/threads/{thread}/roster?after={after}");
        self.answer(with_link(self.call(Method::GET, &path, Some(token)).await?, link)?).await
    }
}

/// With the access token of a link, in hexadecimal digits.
fn with_link(call: RequestBuilder, link: Option<&Zeroizing<String>>) -> Result<RequestBuilder> {
    let Some(link) = link else { return Ok(call) };
    let mut value = HeaderValue::from_str(link).map_err(|_| Offline::NotARelay)?;
    value.set_sensitive(true);
    Ok(call.header(wire::GROUP_LINK_HEADER, value))
}

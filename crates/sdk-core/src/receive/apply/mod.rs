//! Station 7, Apply: what a content does to the database. One file for each kind.

mod receipt;
mod text;

use super::inbox::Envelope;
use super::open::Opened;
use crate::content::{Body, Content};
use crate::error::Result;
use crate::message::{MessageBody, Undecryptable};
use crate::store::{NewIncoming, Registered, Tx};

/// What was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Applied {
    /// A text that is new here: its sender is to be told.
    Text,
    Other,
}

pub(super) fn apply(
    tx: &mut Tx<'_>,
    envelope: &Envelope,
    opened: Opened,
    us: Registered,
    now_ms: u64,
) -> Result<Applied> {
    match opened {
        Opened::Content(Content { body: Body::Text(text), sent_ms, .. }) => {
            text::apply(tx, envelope, text, sent_ms)
        }
        Opened::Content(Content { body: Body::Receipt { kind, messages }, .. }) => {
            receipt::apply(tx, envelope, us, kind, &messages, now_ms)
        }
        Opened::Duplicate => {
            tx.insert_handled(envelope.thread, envelope.sender, envelope.client_msg_id, now_ms)?;
            Ok(Applied::Other)
        }
        Opened::Undecryptable(cause) => undecryptable(tx, envelope, cause, now_ms),
    }
}

fn undecryptable(tx: &mut Tx<'_>, envelope: &Envelope, cause: Undecryptable, now_ms: u64) -> Result<Applied> {
    tx.insert_incoming(NewIncoming {
        thread: envelope.thread,
        client_msg_id: envelope.client_msg_id,
        sender: envelope.sender,
        body: MessageBody::Undecryptable(cause),
        sent_ms: envelope.client_msg_id.time_ms().unwrap_or(now_ms),
        epoch: envelope.epoch,
        server_seq: envelope.server_seq,
    })?;
    Ok(Applied::Other)
}

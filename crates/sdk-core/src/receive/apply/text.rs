//! A text becomes a row.

use super::Applied;
use crate::error::Result;
use crate::message::MessageBody;
use crate::receive::inbox::Envelope;
use crate::store::{NewIncoming, Tx};

pub(super) fn apply(tx: &mut Tx<'_>, envelope: &Envelope, text: String, sent_ms: u64) -> Result<Applied> {
    tx.insert_incoming(NewIncoming {
        thread: envelope.thread,
        client_msg_id: envelope.client_msg_id,
        sender: envelope.sender,
        body: MessageBody::Text(text),
        // The database counts in signed numbers; a time beyond them is a lie in any case.
        sent_ms: sent_ms.min(u64::MAX >> 1),
        epoch: envelope.epoch,
        server_seq: envelope.server_seq,
    })?;
    Ok(Applied::Text)
}

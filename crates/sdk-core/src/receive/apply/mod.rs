//! Station 7, Apply: the effect of a content on the database, one file for each kind.

mod receipt;
mod text;

use super::envelope::Envelope;
use crate::content::{Body, Content};
use crate::error::Result;
use crate::store::{Registered, Tx};

pub(super) fn apply(tx: &mut Tx<'_>, envelope: &Envelope, content: Content, us: Registered) -> Result<()> {
    let placeholder = tx.unpark(envelope.name())?;
    if let Some(id) = placeholder.filter(|_| !content.body.kind().is_shown()) {
        tx.remove_placeholder(envelope.thread, id)?;
    }
    match &content.body {
        Body::Text(_) => text::apply(tx, envelope, content, placeholder),
        Body::Receipt { kind, messages } => receipt::apply(tx, envelope, us, *kind, messages),
    }
}

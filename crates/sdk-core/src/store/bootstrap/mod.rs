//! What a companion that was linked gets from the primary device: how far it has come on either side ([`transfer`]), what there is to send
//! ([`export`]), and how it is stored ([`import`]).

mod export;
mod export_message;
mod import;
mod import_message;
mod transfer;

pub(crate) use import::Import;
pub(crate) use transfer::{Incoming, Outgoing as OutgoingBootstrap, Phase, Place};

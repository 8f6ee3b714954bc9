//! The bootstrap of a companion that was linked: it gets contacts, settings, threads and messages from the primary device of its account, as
//! mail in the note to self.
//!
//! What is sent is divided into numbered pieces ([`outgoing`]), and these into windows; the next window is made after the companion has
//! acknowledged the one before. Both sides record in their databases how far they are, so each continues where it was. The companion keeps
//! pieces as they arrive, in any order ([`incoming`]), and applies them in their order, each in a transaction of its own.

mod incoming;
mod outgoing;

pub(crate) use incoming::{Verdict, apply_next, ask, judge};
pub(crate) use outgoing::{
    Made, make_piece, progress as outgoing_progress, receive as receive_acknowledgement,
};

use crate::content::{Body, Progress};
use crate::context::Context;
use crate::error::Result;
use crate::event::LinkProgress;
use crate::store::{NewMail, Rows, Tx, note_to_self};

/// How far the transfers are that go on: to this device, and from it.
pub(crate) fn unfinished(rows: &Rows<'_>) -> Result<Vec<LinkProgress>> {
    let (_, us) = rows.our_account()?;
    let going_on = |device, Progress { sent, total }| LinkProgress { device, sent, total, is_done: false };
    let incoming = rows.incoming_bootstrap()?.filter(|incoming| !incoming.is_done);
    let incoming = incoming.map(|incoming| going_on(us.device, incoming.progress));
    let outgoing = rows.outgoing_bootstraps()?;
    let outgoing = outgoing.iter().map(|out| going_on(out.device, outgoing_progress(out)));
    Ok(incoming.into_iter().chain(outgoing).collect())
}

/// Queues a content of a bootstrap for our own devices.
pub(crate) fn queue(ctx: &Context, tx: &mut Tx<'_>, body: Body) -> Result<()> {
    let (_, us) = tx.our_account()?;
    let sent_ms = ctx.server_now_ms();
    let content_id = ctx.new_client_msg_id();
    // The person may not have opened it.
    let thread = note_to_self(us.user);
    let mail = NewMail { thread, to: us.user, slot: None, content_id, sent_ms, body, due_ms: 0 };
    ctx.queue_mail(tx, &mail)
}

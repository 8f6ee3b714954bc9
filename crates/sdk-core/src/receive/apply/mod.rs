//! Station 7, Apply: the effect of a content on the database, one file for each kind.

mod account_state;
mod bootstrap;
mod delete;
mod edit;
pub(super) mod ephemeral;
mod message;
mod pin;
mod profile;
mod reaction;
mod receipt;
mod vote;

pub(super) use bootstrap::is_one as is_bootstrap;

use super::envelope::{Envelope, MailEnvelope};
use crate::account::moving;
use crate::config::ChangeLimits;
use crate::content::{Body, Content, Target};
use crate::error::{Error, Result};
use crate::store::{Found, Origin, Registered, Tx, VERSION, WaitsFor};

/// A content that is being applied.
pub(super) struct Applying {
    pub(super) origin: Origin,
    pub(super) now_ms: u64,
    pub(super) limits: ChangeLimits,
}

/// Applies a content that has arrived. Returns whether it is new, that is, whether it was not applied before.
pub(super) fn apply(
    tx: &mut Tx<'_>,
    envelope: &Envelope,
    content: Content,
    (us, is_group): (Registered, bool),
    (now_ms, limits): (u64, ChangeLimits),
) -> Result<bool> {
    let kind = content.body.kind();
    let placeholder = tx.unpark(envelope.name())?;
    if let Some(id) = placeholder.filter(|_| !kind.is_shown()) {
        tx.remove_placeholder(envelope.thread, id)?;
    }
    if is_bootstrap(&content.body) {
        // It has no place in a thread.
        bootstrap::refuse(tx, envelope.sender);
        return Ok(false);
    }
    if !kind.is_accepted(envelope.sender == us.user, is_group) || !kind.is_stored() {
        return Ok(false);
    }
    if let Body::Receipt(receipt) = &content.body {
        let from = receipt::From {
            thread: envelope.thread,
            user: envelope.sender,
            device: envelope.sender_device,
            sent_ms: content.sent_ms,
            is_group,
        };
        return receipt::apply(tx, &from, us, receipt, now_ms).map(|()| true);
    }
    let origin = envelope.origin(&content)?;
    if kind.is_shown() {
        let is_new = message::apply(tx, envelope, &origin, (us.user, is_group), content, placeholder)?;
        return apply_to(tx, &origin, (now_ms, limits)).map(|()| is_new);
    }
    if !tx.set_applied(origin.author, origin.content_id, now_ms)? {
        return Ok(false);
    }
    apply_change(tx, &Applying { origin, now_ms, limits }, content.body).map(|()| true)
}

/// Applies a content that has arrived as stored mail. A kind that does not belong there has no effect.
pub(super) fn apply_mail(
    tx: &mut Tx<'_>,
    mail: &MailEnvelope,
    content: Content,
    (us, is_group): (Registered, bool),
    (now_ms, limits): (u64, ChangeLimits),
) -> Result<()> {
    let kind = content.body.kind();
    if tx.is_discarded(mail.thread, mail.sender)? {
        return Ok(());
    }
    if is_bootstrap(&content.body) {
        return bootstrap::apply(tx, mail, &content, us, now_ms);
    }
    if !kind.is_mail() || !kind.is_stored() || !kind.is_accepted(mail.sender == us.user, is_group) {
        return Ok(());
    }
    if let Body::Receipt(receipt) = &content.body {
        let from = receipt::From {
            thread: mail.thread,
            user: mail.sender,
            device: mail.sender_device,
            sent_ms: content.sent_ms,
            is_group,
        };
        return receipt::apply(tx, &from, us, receipt, now_ms);
    }
    if let Body::AccountState(state) = &content.body {
        let told = (state, content.header.lists.own.as_ref());
        return account_state::apply(tx, us.user, told, (mail.came_ms, now_ms));
    }
    if !tx.set_applied(mail.sender, content.id, now_ms)? {
        return Ok(());
    }
    if let Body::Moving(moving) = &content.body {
        return moving::receive(tx, mail.sender_device, moving);
    }
    apply_change(tx, &Applying { origin: mail.origin(&content), now_ms, limits }, content.body)
}

/// Applies what has waited for a message that has arrived, or that is understood now.
pub(super) fn apply_to(
    tx: &mut Tx<'_>,
    message: &Origin,
    (now_ms, limits): (u64, ChangeLimits),
) -> Result<()> {
    let target = Target { author: message.author, id: message.content_id };
    for (origin, body) in tx.take_waiting(target)? {
        if let Ok(body) = Body::from_bytes(&body) {
            apply_change(tx, &Applying { origin, now_ms, limits }, body)?;
        }
    }
    Ok(())
}

/// Applies a content that shows nothing itself. If it changes a message that has not arrived, it waits for it.
pub(super) fn apply_change(tx: &mut Tx<'_>, applying: &Applying, body: Body) -> Result<()> {
    let Some(target) = body.target(applying.origin.author) else {
        return match &body {
            Body::Profile(profile) => profile::apply(tx, applying, profile),
            _ => keep_unknown(tx, applying, &body),
        };
    };
    let message = match tx.find(applying.origin.thread, target)? {
        Found::Here(message) => message,
        Found::Gone => return Ok(()),
        Found::Missing => {
            let waits_for = WaitsFor::Message(target);
            return tx.keep_waiting(&applying.origin, waits_for, &body.to_bytes(), applying.now_ms);
        }
    };
    match &body {
        Body::Reaction(content) => reaction::apply(tx, applying, message, content),
        Body::Edit(edit) => edit::apply(tx, applying, message, edit),
        Body::Delete(_) | Body::DeleteOf(_) => delete::apply(tx, applying, message),
        Body::Pin(pin) => pin::apply(tx, applying, message, pin),
        Body::Vote(vote) => vote::apply(tx, applying, message, vote),
        _ => Err(Error::Bug("a change without an effect")),
    }
}

fn keep_unknown(tx: &mut Tx<'_>, applying: &Applying, body: &Body) -> Result<()> {
    match body {
        Body::Unknown(unknown) if body.kind().is_stored() => {
            let waits_for = WaitsFor::Version(VERSION);
            tx.keep_waiting(&applying.origin, waits_for, unknown.bytes(), applying.now_ms)
        }
        // The others are applied where they arrive.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;

//! A part of a bootstrap, or its acknowledgement. It is kept or recorded here, and what follows is done in the background.

use crate::account::bootstrap::{Verdict, judge, receive_acknowledgement};
use crate::content::{Body, Bootstrap, Content, Piece};
use crate::error::Result;
use crate::event::Event;
use crate::id::{DeviceId, UserId};
use crate::receive::envelope::MailEnvelope;
use crate::store::{Registered, Tx, note_to_self};

/// Whether this file says what becomes of a content.
pub(in crate::receive) const fn is_one(body: &Body) -> bool {
    matches!(body, Body::Bootstrap(_) | Body::History(_))
}

/// Tells the person that somebody has sent what this device has not asked them for.
pub(super) fn refuse(tx: &mut Tx<'_>, sender: UserId) {
    tracing::warn!("a bootstrap that nobody has asked for was refused");
    tx.emit(Event::BootstrapRefused(sender));
}

pub(super) fn apply(
    tx: &mut Tx<'_>,
    mail: &MailEnvelope,
    content: &Content,
    us: Registered,
    now_ms: u64,
) -> Result<()> {
    if mail.sender != us.user || mail.thread != note_to_self(us.user) {
        refuse(tx, mail.sender);
        return Ok(());
    }
    if !tx.set_applied(mail.sender, content.id, now_ms)? {
        return Ok(());
    }
    let primary = primary(tx, us)?;
    let is_right = match &content.body {
        Body::History(piece) => keep(tx, (mail, primary), us, piece, &content.body)?,
        Body::Bootstrap(bootstrap) => match &**bootstrap {
            Bootstrap::Piece(piece) => keep(tx, (mail, primary), us, piece, &content.body)?,
            // The other companions do not make one.
            Bootstrap::Received { .. } if primary != Some(us.device) => true,
            Bootstrap::Received { transfer, number } => {
                if *number == 0 {
                    // It knows no names yet, and the other companions do not know what this one is called.
                    tx.tell_device_names()?;
                }
                transfer.device == mail.sender_device
                    && receive_acknowledgement(tx, mail.sender_device, *transfer, *number)?
            }
        },
        _ => true,
    };
    if !is_right {
        refuse(tx, mail.sender);
    }
    Ok(())
}

/// Keeps a piece, and returns false if it is refused.
fn keep(
    tx: &mut Tx<'_>,
    (mail, primary): (&MailEnvelope, Option<DeviceId>),
    us: Registered,
    piece: &Piece,
    body: &Body,
) -> Result<bool> {
    let (expected, kept_bytes) = (tx.incoming_bootstrap()?, tx.kept_piece_bytes()?);
    let is_from_primary = primary == Some(mail.sender_device);
    let verdict = judge(us.device, expected.as_ref(), is_from_primary, piece, kept_bytes);
    if verdict == Verdict::Keep {
        tx.keep_piece(piece.number, &body.to_bytes())?;
    }
    Ok(verdict != Verdict::Refuse)
}

/// The primary device of our account, according to our own list.
fn primary(tx: &Tx<'_>, us: Registered) -> Result<Option<DeviceId>> {
    let Some(list) = tx.device_list(us.user)? else { return Ok(None) };
    let Some(primary) = list.primary() else { return Ok(None) };
    Ok(Some(DeviceId::new(primary.device.get())?))
}

//! The companion: which pieces it accepts, and how it applies them.

use super::outgoing::WINDOW;
use crate::contact::devices;
use crate::content::{Body, Bootstrap, ContactItem, InThread, Item, Piece, Progress, Transfer};
use crate::error::{Error, Result, Storage};
use crate::event::{Event, LinkProgress};
use crate::id::{DeviceId, UserId};
use crate::store::{Import, Incoming, Origin, Registered, Tx};

/// Maximum number of pieces in a window.
const MAX_PIECES: u64 = 4_096;

/// After how many pieces the views read again what has come.
const PIECES_FOR_VIEWS: u64 = 16;

/// What becomes of a piece that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is kept until those before it were applied.
    Keep,
    /// It is for another device, or has come before.
    Ignore,
    /// Nobody has asked for it.
    Refuse,
}

/// Decides about a piece for a device `us`. `kept_bytes` is the size of those that wait.
pub(crate) fn judge(
    us: DeviceId,
    expected: Option<&Incoming>,
    is_from_primary: bool,
    piece: &Piece,
    kept_bytes: u64,
) -> Verdict {
    let Transfer { id, device, round } = piece.transfer;
    if !is_from_primary {
        return Verdict::Refuse;
    }
    if device != us {
        return Verdict::Ignore;
    }
    let Some(expected) = expected.filter(|expected| expected.transfer == id) else { return Verdict::Refuse };
    if expected.is_done || round < expected.round || piece.number <= expected.applied {
        return Verdict::Ignore;
    }
    let size = u64::try_from(piece.items.len()).unwrap_or(u64::MAX);
    let is_in_window = piece.number.saturating_sub(expected.complete) <= MAX_PIECES
        && kept_bytes.saturating_add(size) <= WINDOW.saturating_add(WINDOW / 4);
    if round > expected.round || !is_in_window { Verdict::Refuse } else { Verdict::Keep }
}

/// A piece that was applied.
#[derive(Debug)]
pub(crate) struct Applied {
    /// The messages that were not here.
    pub(crate) added: Vec<Origin>,
    /// To be sent to the primary in the same transaction: the window is complete.
    pub(crate) answer: Option<Body>,
}

/// Applies the next piece if it has come, and returns what follows.
pub(crate) fn apply_next(tx: &mut Tx<'_>, us: Registered, now_ms: u64) -> Result<Option<Applied>> {
    let Some(mut incoming) = tx.incoming_bootstrap()?.filter(|incoming| !incoming.is_done) else {
        return Ok(None);
    };
    let number = incoming.applied.saturating_add(1);
    let Some(body) = tx.kept_piece(number)? else { return Ok(None) };
    let piece = match Body::from_bytes(&body) {
        Ok(Body::History(piece)) => *piece,
        Ok(Body::Bootstrap(bootstrap)) => match *bootstrap {
            Bootstrap::Piece(piece) => piece,
            Bootstrap::Received { .. } => return Err(Error::Storage(Storage::Corrupt)),
        },
        _ => return Err(Error::Storage(Storage::Corrupt)),
    };
    let added = import(tx, us, &piece, now_ms)?;
    tx.forget_pieces(number)?;
    (incoming.applied, incoming.progress, incoming.is_done) = (number, piece.progress, piece.is_last);
    incoming.asked_ms = now_ms;
    let mut answer = None;
    if piece.ends_window {
        incoming.complete = number;
        answer = Some(received(us.device, &incoming));
        let Progress { sent, total } = piece.progress;
        tx.emit(Event::LinkProgress(LinkProgress { device: us.device, sent, total, is_done: piece.is_last }));
    }
    if piece.ends_window || number % PIECES_FOR_VIEWS == 1 {
        // Messages are not reported one by one.
        tx.look_again();
    }
    tx.set_incoming_bootstrap(&incoming)?;
    Ok(Some(Applied { added, answer }))
}

fn import(tx: &mut Tx<'_>, us: Registered, piece: &Piece, now_ms: u64) -> Result<Vec<Origin>> {
    let (mut added, mut is_refused, mut thread) = (Vec::new(), false, None);
    for item in piece.items.iter() {
        let part = tx.begin_part()?;
        let imported = match item.map(|item| import_item(tx, us.user, item, &mut thread, now_ms)) {
            Ok(Err(error)) if error.stops_everything() => return Err(error),
            Ok(Err(error)) => {
                tracing::warn!(%error, "a part of a bootstrap could not be stored");
                tx.undo_part(part)?;
                continue;
            }
            Ok(Ok(imported)) => imported,
            Err(_) => Import::Refused,
        };
        tx.keep_part(part)?;
        match imported {
            Import::Done => {}
            Import::Added(origin) => added.push(origin),
            Import::Refused => is_refused = true,
        }
    }
    if is_refused {
        tracing::warn!("a part of a bootstrap was refused");
        tx.emit(Event::BootstrapRefused(us.user));
    }
    Ok(added)
}

/// Stores an item. `thread` is that of the message before it.
fn import_item(
    tx: &mut Tx<'_>,
    us: UserId,
    item: Item,
    thread: &mut Option<InThread>,
    now_ms: u64,
) -> Result<Import> {
    match item {
        Item::Contact(contact) => import_contact(tx, us, &contact, now_ms).map(|()| Import::Done),
        Item::State(state) => tx.merge_present(&state, now_ms).map(|()| Import::Done),
        Item::Thread(thread) => tx.import_thread(us, &thread, now_ms),
        Item::Message(message) => {
            if let Some(of) = message.of {
                *thread = tx.ensure_history_thread(us, of, message.sent_ms)?.then_some(of);
            }
            match *thread {
                Some(of) => tx.import_message(us, of, &message, now_ms),
                None => Ok(Import::Refused),
            }
        }
        Item::Versions(versions) => tx.import_versions(&versions),
    }
}

fn import_contact(tx: &mut Tx<'_>, us: UserId, contact: &ContactItem, now_ms: u64) -> Result<()> {
    if contact.user != us {
        if let Some(list) = &contact.list {
            devices::examine(tx, contact.user, Some(list))?.store(tx, true)?;
        }
        tx.import_contact(contact, now_ms)?;
    }
    match &contact.profile {
        Some(profile) => tx.set_profile(contact.user, profile).map(drop),
        None => Ok(()),
    }
}

fn received(us: DeviceId, incoming: &Incoming) -> Body {
    let transfer = Transfer { id: incoming.transfer, device: us, round: incoming.round };
    Body::Bootstrap(Box::new(Bootstrap::Received { transfer, number: incoming.complete }))
}

/// Asks for what follows the last complete window, at first or because nothing has come for long. None if everything has come.
pub(crate) fn ask(tx: &mut Tx<'_>, us: DeviceId, now_ms: u64) -> Result<Option<Body>> {
    let Some(mut incoming) = tx.incoming_bootstrap()?.filter(|incoming| !incoming.is_done) else {
        return Ok(None);
    };
    incoming.round = incoming.round.saturating_add(1);
    (incoming.asked_ms, incoming.applied) = (now_ms, incoming.complete);
    tx.forget_pieces(u64::MAX >> 1)?;
    tx.set_incoming_bootstrap(&incoming)?;
    Ok(Some(received(us, &incoming)))
}

//! Distributions that leave together: the relay takes mail to several people in one frame, and stores all of it or nothing.
//!
//! Each piece stays a row of its own, with its own ciphertexts. The pieces of one frame have the same id, and are submitted in the order of their
//! rows, so that a repetition has the same bytes. If the relay refuses the frame because of some of its people, nothing of it is stored: their pieces are
//! sealed anew, and the same ciphertexts of the others are submitted under another id.

use std::collections::HashSet;

use prost::Message as _;
use sealpost_wire as wire;
use sealpost_wire::id::ToWire as _;
use sealpost_wire::limits::MAX_MAIL_COPIES;
use sealpost_wire::reason;

use crate::context::Context;
use crate::id::{ClientMsgId, ThreadId, UserId};
use crate::send::answer::is_about_time;
use crate::send::seal::MAX_SEND;
use crate::store::{MailId, MailOutcome, Parcel};

/// A piece of mail.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece {
    pub(crate) id: MailId,
    pub(super) to: UserId,
    pub(super) attempts: u32,
}

#[cfg(test)]
impl Piece {
    pub(super) const fn of(number: i64) -> Self {
        Self { id: MailId::of(number), to: UserId::from_bytes([7; 16]), attempts: 0 }
    }
}

/// Distributions for one frame.
pub(super) struct Together {
    pub(super) thread: ThreadId,
    pub(super) name: ClientMsgId,
    pub(super) pieces: Vec<Piece>,
    copies: Vec<wire::DeviceCopy>,
    shared: bytes::Bytes,
    length: usize,
}

impl Together {
    pub(super) fn new(thread: ThreadId, name: ClientMsgId) -> Self {
        let (pieces, copies) = (Vec::new(), Vec::new());
        Self { thread, name, pieces, copies, shared: bytes::Bytes::new(), length: 0 }
    }

    /// Whether a piece that was sealed alone fits into the frame, too. What has a shared part leaves alone.
    pub(super) fn has_room(&self, mail: &wire::Mail) -> bool {
        let copies = self.copies.len().saturating_add(mail.copies.len());
        self.pieces.is_empty()
            || (self.shared.is_empty()
                && mail.shared.is_empty()
                && copies <= MAX_MAIL_COPIES
                && self.length.saturating_add(mail.encoded_len()) <= MAX_SEND)
    }

    pub(super) fn add(&mut self, piece: Piece, mail: wire::Mail) {
        self.length = self.length.saturating_add(mail.encoded_len());
        self.pieces.push(piece);
        self.copies.extend(mail.copies);
        self.shared = mail.shared;
    }

    /// The frame, and what is in it.
    pub(super) fn into_parcel(self) -> (Vec<Piece>, Parcel) {
        let mail = wire::Mail {
            client_msg_id: self.name.to_wire(),
            thread_id: self.thread.to_wire(),
            copies: self.copies,
            shared: self.shared,
        };
        (self.pieces, Parcel { client_msg_id: self.name, bytes: mail.encode_to_vec().into() })
    }
}

/// What becomes of each of several pieces that were refused together.
pub(super) fn judge(ctx: &Context, pieces: &[Piece], refusal: &wire::Error) -> Vec<MailOutcome> {
    let all = |outcome: &dyn Fn() -> MailOutcome| pieces.iter().map(|_| outcome()).collect();
    let name = ctx.new_client_msg_id();
    match refusal.reason.as_str() {
        reason::MISMATCHED_DEVICES | reason::STALE_DEVICES => {
            let named =
                refusal.mismatches.iter().filter_map(|mismatch| UserId::from_slice(&mismatch.user_id).ok());
            let named: HashSet<_> = named.collect();
            if !pieces.iter().any(|piece| named.contains(&piece.to)) {
                return all(&|| MailOutcome::Again { name: ctx.new_client_msg_id() });
            }
            let outcome = |piece: &Piece| match named.contains(&piece.to) {
                true => MailOutcome::Anew { due_ms: 0, is_refusal: true },
                false => MailOutcome::Again { name },
            };
            pieces.iter().map(outcome).collect()
        }
        // Some have left the frame since it was submitted first, or the id is too old.
        reason::MSG_ID_REUSE => all(&|| MailOutcome::Again { name }),
        _ if is_about_time(refusal) => all(&|| MailOutcome::Again { name }),
        // It is not known because of whom: each is tried alone.
        _ => all(&|| MailOutcome::Again { name: ctx.new_client_msg_id() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(copies: usize, size: usize, shared: &'static [u8]) -> wire::Mail {
        let copy = || wire::DeviceCopy {
            envelope: Some(wire::Envelope { ciphertext: vec![7; size].into(), ..wire::Envelope::default() }),
            ..wire::DeviceCopy::default()
        };
        let copies = (0..copies).map(|_| copy()).collect();
        wire::Mail { copies, shared: bytes::Bytes::from_static(shared), ..wire::Mail::default() }
    }

    fn filled(add: &wire::Mail) -> Together {
        let mut together = Together::new(ThreadId::from_bytes([1; 16]), ClientMsgId::from_bytes([2; 16]));
        for number in 0..1_000 {
            if !together.has_room(add) {
                break;
            }
            together.add(Piece::of(number), add.clone());
        }
        together
    }

    #[test]
    fn a_frame_is_filled_up_to_its_bounds() {
        let small = filled(&mail(5, 100, b""));
        assert_eq!((small.pieces.len(), small.copies.len()), (51, 255));
        assert!(small.has_room(&mail(1, 100, b"")) && !small.has_room(&mail(2, 100, b"")));
        let large = filled(&mail(1, 3_000, b""));
        assert!((30..33).contains(&large.pieces.len()), "{}", large.pieces.len());
        let (pieces, parcel) = large.into_parcel();
        assert!(parcel.bytes.len() <= MAX_SEND && pieces.len() > 1);
        // What has a shared part is alone, whichever comes first.
        assert_eq!(filled(&mail(2, 100, b"shared")).pieces.len(), 1);
        assert!(!filled(&mail(1, 40_000, b"")).has_room(&mail(1, 100, b"shared")));
        // And one that is large alone, too.
        assert_eq!(filled(&mail(1, 2 * MAX_SEND, b"")).pieces.len(), 1);
    }
}

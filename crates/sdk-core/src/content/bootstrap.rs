//! What a companion that was linked gets from the primary device of its account: contacts, settings, threads and messages. They come in
//! numbered pieces, each a list of items ([`Item`]), in windows that the companion acknowledges.

use std::fmt;

use sealpost_wire::limits::MAX_COUNT;

use super::item::Item;
use super::list::{List, push};
use super::{ContentError, proto};
use crate::id::DeviceId;

/// Maximum size of the items of a piece, in bytes. A message with the longest text fits into one.
pub(crate) const MAX_PIECE: usize = 56_000;
/// How large a piece is unless a single item is larger, in bytes: so many messages are stored without anybody noticing.
const PIECE: usize = 16_000;

/// Names a transfer: random bytes that the companion has chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TransferId(pub(crate) [u8; 16]);

/// Which transfer a content belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Transfer {
    pub(crate) id: TransferId,
    /// The device that the content is for.
    pub(crate) device: DeviceId,
    /// How often the companion has asked for what has not come; from 1.
    pub(crate) round: u32,
}

/// A content of the bootstrap that is not history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bootstrap {
    /// From the companion: it asks for what follows the piece with this number; 0 for everything.
    Received {
        transfer: Transfer,
        number: u64,
    },
    Piece(Piece),
}

/// Some items, in their order.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) transfer: Transfer,
    /// From 1.
    pub(crate) number: u64,
    pub(crate) ends_window: bool,
    /// There are no further pieces.
    pub(crate) is_last: bool,
    pub(crate) progress: Progress,
    pub(crate) items: Items,
}

/// How many messages were sent up to some piece, and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Progress {
    pub(crate) sent: u64,
    pub(crate) total: u64,
}

/// A list of items, encoded.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Items(Vec<u8>);

impl Items {
    /// Adds an item, unless it would make the list larger than [`MAX_PIECE`], or larger than [`PIECE`] if it is not the first one. Returns
    /// whether it was added.
    pub(crate) fn add(&mut self, item: &Item) -> bool {
        let before = self.0.len();
        push(&mut self.0, &item.write());
        let limit = if before == 0 { MAX_PIECE } else { PIECE };
        let fits = self.0.len() <= limit;
        if !fits {
            self.0.truncate(before);
        }
        fits
    }

    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The items; none of those that a later version has introduced.
    ///
    /// # Errors
    /// [`ContentError::Malformed`] for an item that is malformed, which the iteration ends with.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Result<Item, ContentError>> {
        let read = |bytes: Result<&[u8], ContentError>| match bytes.and_then(Item::read) {
            Err(ContentError::Unknown) => None,
            read => Some(read),
        };
        List::new(&self.0).filter_map(read)
    }
}

impl Transfer {
    fn read(id: &[u8], device: u32, round: u32) -> Result<Self, ContentError> {
        let malformed = ContentError::Malformed;
        let id = TransferId(id.try_into().map_err(|_| malformed)?);
        let device = DeviceId::new(device).map_err(|_| malformed)?;
        if round == 0 { Err(malformed) } else { Ok(Self { id, device, round }) }
    }
}

impl Bootstrap {
    pub(super) fn write(&self) -> proto::content::Body {
        let (received, piece) = match self {
            Self::Received { transfer: Transfer { id, device, round }, number } => {
                let (transfer, device, round) = (id.0.to_vec(), device.get(), *round);
                (Some(proto::Received { transfer, device, round, number: *number }), None)
            }
            Self::Piece(piece) => (None, Some(piece.to_proto())),
        };
        proto::content::Body::Bootstrap(proto::Bootstrap { received, piece })
    }

    /// # Errors
    /// [`ContentError::Malformed`], or [`ContentError::Unknown`] if it is neither.
    pub(super) fn read(bootstrap: proto::Bootstrap) -> Result<Self, ContentError> {
        match (bootstrap.received, bootstrap.piece) {
            (Some(received), None) => {
                let proto::Received { transfer, device, round, number } = received;
                let transfer = Transfer::read(&transfer, device, round)?;
                if number <= MAX_COUNT {
                    Ok(Self::Received { transfer, number })
                } else {
                    Err(ContentError::Malformed)
                }
            }
            (None, Some(piece)) => Piece::read(piece).map(Self::Piece),
            (Some(_), Some(_)) => Err(ContentError::Malformed),
            (None, None) => Err(ContentError::Unknown),
        }
    }
}

impl Piece {
    fn to_proto(&self) -> proto::Piece {
        let Transfer { id, device, round } = self.transfer;
        proto::Piece {
            transfer: id.0.to_vec(),
            device: device.get(),
            round,
            number: self.number,
            ends_window: self.ends_window,
            is_last: self.is_last,
            sent: self.progress.sent,
            total: self.progress.total,
            items: self.items.0.clone(),
        }
    }

    /// As history.
    pub(super) fn write(&self) -> proto::content::Body {
        proto::content::Body::History(self.to_proto())
    }

    /// # Errors
    /// [`ContentError::Malformed`] if something is out of its range, or it is the last piece and does not end its window.
    pub(super) fn read(piece: proto::Piece) -> Result<Self, ContentError> {
        let transfer = Transfer::read(&piece.transfer, piece.device, piece.round)?;
        let are_counts = (1..=MAX_COUNT).contains(&piece.number)
            && piece.sent <= MAX_COUNT
            && piece.total <= MAX_COUNT
            && piece.items.len() <= MAX_PIECE;
        if !are_counts || (piece.is_last && !piece.ends_window) {
            return Err(ContentError::Malformed);
        }
        Ok(Self {
            transfer,
            number: piece.number,
            ends_window: piece.ends_window,
            is_last: piece.is_last,
            progress: Progress { sent: piece.sent, total: piece.total },
            items: Items(piece.items),
        })
    }
}

/// Contains nothing that a person wrote.
impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Piece({}, {} bytes)", self.number, self.items.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece() -> proto::Piece {
        proto::Piece {
            transfer: vec![1; 16],
            device: 2,
            round: 1,
            number: 7,
            ends_window: true,
            is_last: true,
            sent: 3,
            total: 4,
            items: vec![0; MAX_PIECE],
        }
    }

    #[test]
    fn each_field_of_a_piece_is_checked() {
        assert!(Piece::read(piece()).is_ok());
        let changes: [fn(&mut proto::Piece); 9] = [
            |piece| piece.transfer.push(1),
            |piece| piece.transfer.clear(),
            |piece| piece.device = 0,
            |piece| piece.device = 128,
            |piece| piece.round = 0,
            |piece| piece.number = 0,
            |piece| piece.total = MAX_COUNT + 1,
            |piece| piece.ends_window = false,
            |piece| piece.items.push(0),
        ];
        for (at, change) in changes.into_iter().enumerate() {
            let mut bad = piece();
            change(&mut bad);
            assert_eq!(Piece::read(bad), Err(ContentError::Malformed), "{at}");
        }
    }

    #[test]
    fn a_bootstrap_is_one_of_two_things() {
        let received = proto::Received { transfer: vec![1; 16], device: 1, round: 1, number: MAX_COUNT };
        let both = proto::Bootstrap { received: Some(received.clone()), piece: Some(piece()) };
        assert_eq!(Bootstrap::read(both), Err(ContentError::Malformed));
        let neither = proto::Bootstrap::default();
        assert_eq!(Bootstrap::read(neither), Err(ContentError::Unknown));
        let one = proto::Bootstrap { received: Some(received.clone()), piece: None };
        assert!(Bootstrap::read(one).is_ok());
        let beyond = proto::Received { number: MAX_COUNT + 1, ..received };
        let beyond = proto::Bootstrap { received: Some(beyond), piece: None };
        assert_eq!(Bootstrap::read(beyond), Err(ContentError::Malformed));
    }

    #[test]
    fn a_list_that_is_cut_ends_with_an_error() {
        let mut items = Items::default();
        assert!(items.add(&Item::State(super::super::AccountState::default())));
        let whole = items.0.clone();
        assert_eq!(items.iter().map(|item| item.is_ok()).collect::<Vec<_>>(), [true]);
        items.0.extend([9, 1]);
        assert_eq!(items.iter().map(|item| item.is_ok()).collect::<Vec<_>>(), [true, false]);
        // An item of a later version is left out.
        items.0.splice(whole.len().., [3, 0xfa, 0x01, 0]);
        assert_eq!(items.iter().count(), 1);
    }
}

//! A receipt: contents of the other side were delivered or read. It names them by their numbers, so that one receipt is enough for any
//! number of them, and a later one says everything that an earlier one said.

use super::{ContentError, Mark, proto};

/// Maximum number of marks in a receipt: one for each run of a device.
pub(crate) const MAX_RECEIPT_MARKS: usize = 16;
/// Maximum number of exceptions in a mark of a receipt.
pub(crate) const MAX_RECEIPT_EXCEPTIONS: usize = 64;

/// What happened to contents on the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ReceiptKind {
    Delivered,
    Read,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) kind: ReceiptKind,
    /// Which contents it is about: those of devices of the recipient. Queued receipts have none, because the marks are added when a
    /// receipt is sealed.
    pub(crate) marks: Vec<Mark>,
}

impl Receipt {
    pub(super) fn write(&self) -> proto::content::Body {
        proto::content::Body::Receipt(proto::Receipt {
            kind: match self.kind {
                ReceiptKind::Delivered => 1,
                ReceiptKind::Read => 2,
            },
            marks: self.marks.iter().map(Mark::write).collect(),
        })
    }

    /// # Errors
    /// [`ContentError::Unknown`] for a kind of a later version; [`ContentError::Malformed`] for too many marks or exceptions, and for
    /// marks that are malformed themselves.
    pub(super) fn read(receipt: &proto::Receipt) -> Result<Self, ContentError> {
        if receipt.marks.len() > MAX_RECEIPT_MARKS {
            return Err(ContentError::Malformed);
        }
        let marks = receipt.marks.iter().map(|mark| Mark::read(mark, MAX_RECEIPT_EXCEPTIONS));
        let marks = marks.collect::<Result<_, _>>()?;
        let kind = match receipt.kind {
            1 => ReceiptKind::Delivered,
            2 => ReceiptKind::Read,
            _ => return Err(ContentError::Unknown),
        };
        Ok(Self { kind, marks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{Counts, Run};
    use crate::id::DeviceId;

    fn receipt(kind: u32, marks: usize, counts: &Counts) -> Result<Receipt, ContentError> {
        let mark = Mark { device: DeviceId::PRIMARY, run: Run([1; 8]), counts: counts.clone() }.write();
        Receipt::read(&proto::Receipt { kind, marks: vec![mark; marks] })
    }

    #[test]
    fn too_many_marks_and_exceptions_are_refused() {
        let with_exceptions = |number: u64| Counts::of((0..=number).map(|n| 2 * n + 1));
        assert!(receipt(1, MAX_RECEIPT_MARKS, &with_exceptions(64)).is_ok());
        assert_eq!(receipt(1, MAX_RECEIPT_MARKS + 1, &Counts::none()), Err(ContentError::Malformed));
        assert_eq!(receipt(2, 1, &with_exceptions(65)), Err(ContentError::Malformed));
    }

    #[test]
    fn a_kind_of_a_later_version_is_distinguished_from_malformed_bytes() {
        assert_eq!(receipt(3, 1, &Counts::up_to(1)), Err(ContentError::Unknown));
        assert_eq!(receipt(3, 17, &Counts::up_to(1)), Err(ContentError::Malformed));
    }
}

//! Determines which mail a connection pushes next. Mail of each class is read in the order of its numbers, each once for each
//! connection.

use crate::store::{MailClass, MailSeq};

/// The position of a connection in its mail.
#[derive(Debug, Default)]
pub(super) struct MailFeed {
    /// Whether the client handles mail.
    enabled: bool,
    /// By class: whether there may be more.
    due: [bool; 2],
    /// By class: the last that was pushed on this connection.
    cursors: [MailSeq; 2],
}

impl MailFeed {
    /// Starts with the oldest mail. `last` is the number of the newest, or 0.
    pub(super) fn start(enabled: bool, last: MailSeq) -> Self {
        Self { enabled, due: [enabled && last > 0; 2], cursors: [0; 2] }
    }

    pub(super) const fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// There may be more mail of this class.
    pub(super) fn wake(&mut self, class: MailClass) {
        let enabled = self.enabled;
        *self.of(class).1 = enabled;
    }

    pub(super) fn is_due(&self) -> bool {
        self.due != [false; 2]
    }

    /// Starts to read after the cursor, if there may be mail.
    pub(super) fn begin_read(&mut self, class: MailClass) -> Option<MailSeq> {
        let (cursor, due) = self.of(class);
        std::mem::take(due).then_some(*cursor)
    }

    /// Mail of this class was pushed.
    pub(super) fn pushed(&mut self, class: MailClass, mail_seq: MailSeq) {
        *self.of(class).0 = mail_seq;
    }

    fn of(&mut self, class: MailClass) -> (&mut MailSeq, &mut bool) {
        let Self { cursors: [urgent, ordinary], due: [urgent_due, ordinary_due], .. } = self;
        match class {
            MailClass::Urgent => (urgent, urgent_due),
            MailClass::Ordinary => (ordinary, ordinary_due),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_is_read_once_until_it_is_woken() {
        let mut mail = MailFeed::start(true, 5);
        for class in MailClass::ALL {
            assert_eq!(mail.begin_read(class), Some(0));
            assert_eq!(mail.begin_read(class), None);
        }
        mail.pushed(MailClass::Urgent, 3);
        mail.wake(MailClass::Urgent);
        assert!(mail.is_due());
        assert_eq!(mail.begin_read(MailClass::Ordinary), None);
        assert_eq!(mail.begin_read(MailClass::Urgent), Some(3));
        assert!(!mail.is_due());
    }

    #[test]
    fn a_device_that_never_had_mail_or_does_not_handle_it_reads_none() {
        assert!(!MailFeed::start(true, 0).is_due());
        let mut disabled = MailFeed::start(false, 5);
        disabled.wake(MailClass::Urgent);
        assert!(!disabled.is_due());
    }
}

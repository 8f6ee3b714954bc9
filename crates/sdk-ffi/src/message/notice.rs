//! What an app is to do with its notifications.

use sealpost_core as core;

use crate::{Message, MessageId, ThreadId};

/// What an app is to do with the notification of a message.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Notice {
    /// The thread of the message.
    pub thread: ThreadId,
    /// The message. Use it as the name of the notification, so that one that is shown again replaces itself.
    pub message: MessageId,
    /// What is to be done.
    pub action: NoticeAction,
}

impl Notice {
    /// None for an action that the binding does not know.
    pub(crate) fn known(notice: core::Notice) -> Option<Self> {
        let action = NoticeAction::known(notice.action)?;
        Some(Self { thread: notice.thread, message: notice.message, action })
    }
}

/// What is to be done with a notification.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum NoticeAction {
    /// Show it: the message is new and unread, and its thread is not muted, or it mentions us.
    Show {
        /// What is shown.
        message: Message,
    },
    /// Show that a stranger has written: the thread is a message request. This is told once for each request, for its first message, and
    /// without what they wrote. It is taken back when the person accepts the request, deletes it, blocks the stranger, or has read the
    /// message.
    Request,
    /// Show its new form: it was edited, or can be read now.
    Update {
        /// What is shown.
        message: Message,
    },
    /// Take it back: it was read or deleted, its sender was blocked, or it is too old to be shown beside many others.
    Withdraw,
}

impl NoticeAction {
    fn known(action: core::NoticeAction) -> Option<Self> {
        Some(match action {
            core::NoticeAction::Show(message) => Self::Show { message: (*message).into() },
            core::NoticeAction::Request => Self::Request,
            core::NoticeAction::Update(message) => Self::Update { message: (*message).into() },
            core::NoticeAction::Withdraw => Self::Withdraw,
            _ => return None,
        })
    }
}

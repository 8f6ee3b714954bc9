//! What an app is to do with its notifications.

use super::Message;
use crate::id::{MessageId, ThreadId};

/// What an app is to do with the notification of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Notice {
    /// The thread of the message.
    pub thread: ThreadId,
    /// The message. Use it as the name of the notification, so that one that is shown again replaces itself.
    pub message: MessageId,
    /// What is to be done.
    pub action: NoticeAction,
}

/// What is to be done with a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoticeAction {
    /// Show it: the message is new and unread, and its thread is not muted, or it mentions us.
    Show(Box<Message>),
    /// Show that a stranger has written: the thread is a message request. This is told once for each request, for its first message that is not
    /// deleted before, and without what they wrote. It is taken back when the person accepts the request, deletes it, blocks the stranger, or has read the
    /// message.
    Request,
    /// Show its new form: it was edited, or can be read now.
    Update(Box<Message>),
    /// Take it back: it was read or deleted, its sender was blocked, or it is too old to be shown beside many others.
    Withdraw,
}

//! What has changed about a message since it was printed.

use std::collections::HashMap;

use sealpost_core::{Direction, Message, MessageBody, MessageId, ReactionCount};

use super::PlainError;
use super::screen::Screen;

/// The messages that were printed, as they were then.
#[derive(Default)]
pub(super) struct Printed(HashMap<MessageId, Known>);

struct Known {
    direction: Direction,
    edited_ms: Option<u64>,
    is_deleted: bool,
    reactions: Vec<ReactionCount>,
}

impl Known {
    fn of(message: &Message) -> Self {
        Self {
            direction: message.direction,
            edited_ms: message.edited_ms,
            is_deleted: message.body == MessageBody::Deleted,
            reactions: message.reactions.clone(),
        }
    }
}

impl Printed {
    pub(super) fn remember(&mut self, message: &Message) {
        self.0.insert(message.id, Known::of(message));
    }

    /// Prints what is different from before. Of messages that were not printed, only the progress of ours matters.
    pub(super) fn changed(&mut self, screen: &Screen, message: &Message) -> Result<(), PlainError> {
        let now = Known::of(message);
        let Some(before) = self.0.insert(message.id, now) else { return Ok(screen.progress(message)?) };
        if before.direction != message.direction {
            screen.progress(message)?;
        }
        if !before.is_deleted && message.body == MessageBody::Deleted {
            return Ok(screen.change("deleted", message)?);
        }
        if before.edited_ms != message.edited_ms {
            screen.change("edited", message)?;
        }
        if before.reactions != message.reactions {
            screen.reactions(message)?;
        }
        Ok(())
    }
}

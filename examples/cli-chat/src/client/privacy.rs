//! What others are told about what the person does.

use sealpost_core::{Error, PrivacySetting, ThreadId};

use super::Worker;
use super::problem::Problem;
use crate::forms::PRIVACY;

impl Worker {
    pub(super) async fn set_privacy(
        &mut self,
        thread: Option<ThreadId>,
        what: PrivacySetting,
        is_on: bool,
    ) -> Result<(), Problem> {
        let place = match thread {
            Some(thread) => {
                // Nobody is told anything in the note to self.
                self.peer(thread).await?;
                self.client.thread(thread).await?.set_privacy(what, is_on).await?;
                "in this chat"
            }
            None => {
                self.client.set_privacy(what, is_on).await?;
                "in all chats"
            }
        };
        // What is off for all is off everywhere.
        if thread.is_some() && is_on && !self.client.privacy(what).await? {
            let about = about(what);
            self.note(&format!(
                "on in this chat, but off for all chats, so others are not told {about}; /privacy shows both"
            ));
            return self.tell_peer().await;
        }
        let told = if is_on { "are told" } else { "are not told" };
        let exception = match (thread, is_on, what) {
            (None, true, PrivacySetting::Presence) => " in which it is on",
            (None, true, _) => " in which it is not off",
            _ => "",
        };
        self.note(&format!("{place}{exception}, others {told} {}", about(what)));
        self.tell_peer().await
    }

    /// What is set for all chats, and for the open one.
    pub(super) async fn privacy(&mut self, thread: Option<ThreadId>) -> Result<Vec<String>, Error> {
        let thread = match thread {
            Some(thread) => Some(self.client.thread(thread).await?),
            None => None,
        };
        let word = |is_on: bool| if is_on { "on" } else { "off" };
        let mut lines = Vec::new();
        for (name, what) in PRIVACY {
            let is_on = self.client.privacy(what).await?;
            let here = match &thread {
                Some(thread) => format!(", in this chat {}", word(is_on && thread.privacy(what).await?)),
                None => String::new(),
            };
            lines.push(format!("{name}: in all chats {}{here}", word(is_on)));
            lines.push(format!("  whether others are told {}", about(what)));
        }
        lines.push(String::new());
        lines.push("/privacy read off changes it for all chats, /privacy read off here for this one. What is off for all chats is off in each.".to_owned());
        Ok(lines)
    }
}

const fn about(what: PrivacySetting) -> &'static str {
    match what {
        PrivacySetting::DeliveryReceipts => "that their messages have arrived",
        PrivacySetting::ReadReceipts => "what you have read",
        PrivacySetting::Typing => "that you are writing",
        PrivacySetting::Presence => "when you are here",
        _ => "something that this version does not know",
    }
}

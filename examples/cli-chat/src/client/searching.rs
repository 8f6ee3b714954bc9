//! The search.

use std::collections::HashMap;

use sealpost_core::{Contact, Error};

use super::{Worker, rows};
use crate::news::{Found, News};
use crate::text::Shown;

/// The most results of a search.
const RESULTS: u32 = 200;

impl Worker {
    pub(super) async fn search(&mut self, words: String) -> Result<(), Error> {
        let messages = self.client.search(&words, RESULTS).await?;
        let mut found = Vec::with_capacity(messages.len());
        let mut names = HashMap::new();
        for message in messages {
            let chat = match names.get(&message.thread) {
                Some(name) => Shown::clone(name),
                None => {
                    let others = self.client.thread(message.thread).await?.others().await?;
                    let name = self.name(others.first().map(Contact::user_id));
                    names.insert(message.thread, name.clone());
                    name
                }
            };
            found.push(Found {
                thread: message.thread,
                message: message.id,
                chat,
                is_ours: rows::tick_of(&message).is_some(),
                sent_ms: message.sent_ms,
                text: rows::in_a_line(&message),
            });
        }
        self.tell(News::Found { words, found });
        Ok(())
    }
}

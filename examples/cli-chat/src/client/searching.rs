//! The search.

use std::collections::HashMap;

use sealpost_core::{Contact, Error, Search, ThreadId};

use super::{Worker, rows};
use crate::news::{Found, News};
use crate::text::Shown;

/// The most results of a search.
const RESULTS: u32 = 200;

impl Worker {
    pub(super) async fn search(&mut self, words: String, thread: Option<ThreadId>) -> Result<(), Error> {
        let mut search = Search::new(words.as_str());
        search.thread = thread;
        self.hits.clear();
        // A search in one chat examines a limited number of messages of the others at a time.
        loop {
            let missing = RESULTS.saturating_sub(u32::try_from(self.hits.len()).unwrap_or(RESULTS));
            let found = self.client.find(search.clone(), missing).await?;
            self.hits.extend(found.hits);
            search.before = found.next;
            if search.before.is_none() || self.hits.len() >= RESULTS as usize {
                break;
            }
        }
        let mut found = Vec::with_capacity(self.hits.len());
        let mut names = HashMap::new();
        for hit in &self.hits {
            let message = &hit.message;
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
                is_ours: rows::tick_of(message).is_some(),
                sent_ms: message.sent_ms,
                text: rows::found_in_a_line(hit),
            });
        }
        self.tell(News::Found { words, thread, found });
        Ok(())
    }
}

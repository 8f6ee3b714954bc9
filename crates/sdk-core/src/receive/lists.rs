//! Which device lists the contents of a batch name, of their authors and of their recipients.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::envelope::Source;
use crate::contact::named_lists::{self, About};
use crate::content::{ListDigest, NamedLists};
use crate::context::Context;
use crate::error::Result;
use crate::id::{ThreadId, UserId};
use crate::store::{Registered, Tx};

/// The lists that were named, each once.
#[derive(Default)]
pub(super) struct Lists(BTreeMap<(ThreadId, UserId), Named>);

/// What the devices of a user have named in a thread.
#[derive(Default)]
struct Named {
    own: BTreeSet<ListDigest>,
    yours: BTreeSet<ListDigest>,
}

impl Lists {
    /// What a content names that was opened.
    pub(super) fn note(&mut self, source: &Source<'_>, lists: NamedLists) {
        if lists == NamedLists::default() {
            return;
        }
        let named = self.0.entry((source.thread, source.sender)).or_default();
        named.own.extend(lists.own);
        named.yours.extend(lists.yours);
    }

    /// Takes note of them in the transaction of the batch.
    pub(super) fn store(&mut self, ctx: &Context, tx: &mut Tx<'_>, us: Registered) -> Result<()> {
        let mut about = BTreeMap::<About, BTreeSet<ListDigest>>::new();
        for ((thread, author), Named { own, yours }) in std::mem::take(&mut self.0) {
            // Our own devices write to the same person as we do.
            let (author, recipient) = match author == us.user {
                true => {
                    let peer = tx.thread(thread)?.and_then(|thread| thread.peer);
                    let peer = peer.filter(|peer| *peer != us.user);
                    (About::UsByOurs(us.user), peer.map(About::Other))
                }
                false => (About::Other(author), Some(About::Us(us.user))),
            };
            about.entry(author).or_default().extend(own);
            if let Some(recipient) = recipient {
                about.entry(recipient).or_default().extend(yours);
            }
        }
        let mut is_any = false;
        for (about, named) in about {
            is_any |= named_lists::note(tx, about, &named)?;
        }
        if is_any {
            let upkeep = Arc::clone(&ctx.upkeep);
            tx.after_commit(move || upkeep.lists.notify_one());
        }
        Ok(())
    }
}

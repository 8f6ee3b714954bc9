//! What the headers of a batch of contents state about other contents: which posts there are, and which of ours have come.

use std::collections::{BTreeMap, BTreeSet};

use super::envelope::Source;
use crate::content::{Counts, Header, Kind};
use crate::error::Result;
use crate::event::Event;
use crate::id::{DeviceId, ThreadId};
use crate::store::{
    HeardPost, HeardRun, MarkKind, MarkOf, PrivacySetting, Registered, Tx, note_to_self, order_of,
};

/// The header of a content that was opened.
pub(super) struct Stated {
    pub(super) header: Header,
    pub(super) kind: Kind,
    /// Whether the content is new.
    pub(super) is_new: bool,
    /// Where the relay has put it.
    pub(super) place: (u64, u64),
    /// When its author wrote it, or when the relay stored it if that was earlier. It may have been stored long after it was sealed, and says
    /// nothing about what was sent in between.
    pub(super) written_ms: u64,
}

/// The statements of a batch. They are stored once for each device, and not for each content.
#[derive(Default)]
pub(super) struct Headers {
    heard: BTreeMap<HeardRun, Heard>,
    seen: BTreeMap<MarkOf, Seen>,
    contradicted: BTreeSet<ThreadId>,
}

/// The posts of a run.
struct Heard {
    posts: Vec<HeardPost>,
    /// The place that the relay has given to the newest.
    place: (u64, u64),
}

/// What a device says that it has seen of our posts.
struct Seen {
    counts: Counts,
    /// When the content was written that says so.
    told_ms: u64,
    ours: DeviceId,
}

impl Headers {
    pub(super) fn note(&mut self, source: &Source<'_>, stated: Stated) {
        let Stated {
            header: Header { number, after, seen, devices: _, peer: _, lists: _, roster: _ },
            kind,
            is_new,
            place,
            written_ms,
        } = stated;
        let (thread, user, device) = (source.thread, source.sender, source.sender_device);
        if let Some(number) = number.filter(|_| kind.is_post()) {
            let run = HeardRun { thread, user, device, run: number.run };
            let heard = self.heard.entry(run).or_insert(Heard { posts: Vec::new(), place });
            heard.posts.push(HeardPost {
                count: number.count,
                is_new: is_new && !kind.is_null(),
                is_shown: kind.is_shown(),
            });
            heard.place = heard.place.max(place);
        }
        if is_new && after.is_some_and(|after| (after.epoch, after.server_seq) >= place) {
            self.contradicted.insert(thread);
        }
        if let Some(seen) = seen {
            let of = MarkOf { thread, user, device, kind: MarkKind::Seen, run: seen.run };
            let (ours, told_ms) = (seen.device, written_ms);
            let all = self.seen.entry(of).or_insert(Seen { counts: Counts::none(), told_ms, ours });
            all.counts = all.counts.union(&seen.counts);
            all.told_ms = all.told_ms.max(told_ms);
        }
    }

    /// Stores the statements in the transaction of the batch.
    pub(super) fn store(&mut self, tx: &mut Tx<'_>, us: Registered) -> Result<()> {
        for (run, Heard { posts, place: (epoch, server_seq) }) in std::mem::take(&mut self.heard) {
            let is_told = tx.tells(run.thread, PrivacySetting::DeliveryReceipts)?;
            if tx.hear(run, &posts, order_of(epoch, server_seq)?, is_told)? {
                self.contradicted.insert(run.thread);
            }
        }
        for (of, Seen { counts, told_ms, ours }) in std::mem::take(&mut self.seen) {
            // Another device of ours may have what the relay kept from everybody else.
            let counts_as_proof = of.user != us.user || of.thread == note_to_self(us.user);
            if ours == us.device && counts_as_proof {
                tx.set_mark(of, &counts, told_ms)?;
            }
        }
        for thread in std::mem::take(&mut self.contradicted) {
            tracing::warn!("the order of a thread contradicts what its authors have stated");
            tx.emit(Event::OrderContradicted(thread));
        }
        Ok(())
    }
}

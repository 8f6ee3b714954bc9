//! The threads in which something waits because the relay does not store it: the others have not accepted the thread, or have blocked us.
//!
//! Nobody tells us when that ends. But whoever writes to us has accepted the thread and does not block us, and neither do those for whom
//! the relay stores a message that it has refused before. (It stores the first ones of each thread, but no mail, before the thread is
//! accepted.) What waits for them is tried again then, instead of after an hour. It is enough to know this in memory: everything is tried
//! again on a new connection.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Context;
use crate::error::Result;
use crate::id::ThreadId;
use crate::store::Tx;

/// The maximum number of threads that are remembered. What waits in others is tried again after its time.
const MAX_THREADS: usize = 4096;

/// The threads.
#[derive(Debug, Default)]
pub(crate) struct Unwelcome(Mutex<HashSet<ThreadId>>);

impl Unwelcome {
    /// Remembers a thread once it is certain that what was refused there waits. If it was remembered before, the others could be heard
    /// in between, and nothing would wake what waits.
    pub(crate) fn add_after(self: &Arc<Self>, tx: &mut Tx<'_>, thread: ThreadId) {
        let unwelcome = Arc::clone(self);
        tx.after_commit(move || unwelcome.add(thread));
    }

    fn add(&self, thread: ThreadId) {
        let mut threads = self.lock();
        if threads.len() < MAX_THREADS {
            threads.insert(thread);
        }
    }

    pub(crate) fn contains(&self, thread: ThreadId) -> bool {
        self.lock().contains(&thread)
    }

    fn remove(&self, thread: ThreadId) {
        self.lock().remove(&thread);
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<ThreadId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Context {
    /// The others let the relay store what we send in this thread, which they did not before: what waits for that is due.
    pub(crate) fn try_unwelcome_again(&self, tx: &mut Tx<'_>, thread: ThreadId) -> Result<()> {
        tx.hurry_thread(thread)?;
        let (unwelcome, upkeep, outbox) =
            (Arc::clone(&self.unwelcome), Arc::clone(&self.upkeep), Arc::clone(&self.outbox));
        tx.after_commit(move || {
            unwelcome.remove(thread);
            upkeep.mail.notify_one();
            outbox.notify_one();
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DatabaseKey;
    use crate::error::Error;
    use crate::event::EventBus;
    use crate::store::{Footprint, Store};

    #[tokio::test]
    async fn a_thread_is_remembered_when_it_is_stored_that_something_waits() {
        let dir = tempfile::tempdir().unwrap();
        let (path, key) = (dir.path().join("a.db"), DatabaseKey::new([9; 32]));
        let store = Store::open(path, key, EventBus::new(), Footprint::Full).unwrap();
        let unwelcome = Arc::new(Unwelcome::default());
        let thread = ThreadId::from_bytes([1; 16]);
        for is_stored in [false, true] {
            let in_tx = Arc::clone(&unwelcome);
            let work = store.write(move |tx| {
                in_tx.add_after(tx, thread);
                assert!(!in_tx.contains(thread));
                if is_stored { Ok(()) } else { Err(Error::NotFound) }
            });
            assert_eq!(work.await.is_ok(), is_stored);
            assert_eq!(unwelcome.contains(thread), is_stored);
        }
    }

    #[test]
    fn the_threads_that_are_remembered_are_bounded() {
        let unwelcome = Unwelcome::default();
        let thread = |n: usize| ThreadId::from_bytes((n as u128).to_be_bytes());
        (0..2 * MAX_THREADS).for_each(|n| unwelcome.add(thread(n)));
        assert!(unwelcome.contains(thread(0)) && !unwelcome.contains(thread(MAX_THREADS)));
        unwelcome.remove(thread(0));
        unwelcome.add(thread(MAX_THREADS));
        assert!(!unwelcome.contains(thread(0)) && unwelcome.contains(thread(MAX_THREADS)));
    }
}

//! Events for consumers that have read the database: they report when to read it again.

use crate::error::{Error, Result};
use crate::event::{ConnectionState, Event, EventBus, EventReceiver};
use crate::store::{Rows, WeakStore};

/// What comes next for a watcher.
pub(crate) enum Next {
    /// Query the database: at the start, when events were lost, and when the database was closed for a while, because
    /// other processes may have written to it.
    Look,
    /// Something happened since the last query.
    Event(Event),
}

/// A listener that starts with a query of the database.
#[derive(Debug)]
pub(crate) struct Watch {
    events: EventReceiver,
    must_look: bool,
    /// The database is closed for a while.
    suspended: bool,
    /// Whether a query may take longer than a page.
    is_long: bool,
}

impl Watch {
    /// Starts listening now, before the first query, so that nothing is missed in between.
    pub(crate) fn new(bus: &EventBus) -> Self {
        Self { events: bus.subscribe(), must_look: true, suspended: false, is_long: false }
    }

    /// Like [`Watch::new`], for queries that may take longer than a page.
    pub(crate) fn with_long_queries(bus: &EventBus) -> Self {
        Self { is_long: true, ..Self::new(bus) }
    }

    /// `None` if the client is gone. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Option<Next> {
        if !self.must_look {
            match self.events.next().await? {
                Ok(event) if !self.is_resumption(&event) => return Some(Next::Event(event)),
                _ => self.look_again(),
            }
        }
        Some(Next::Look)
    }

    /// An event that is already queued; `None` if there is none, or if a query is due.
    pub(crate) fn try_next(&mut self) -> Option<Event> {
        if !self.must_look {
            match self.events.try_next()? {
                Ok(event) if !self.is_resumption(&event) => return Some(event),
                _ => self.look_again(),
            }
        }
        None
    }

    /// Queries the database now. Later events happened after it, or are already included in it.
    ///
    /// # Errors
    /// [`Error::Storage`]; [`Error::Misuse`] while the database is closed, or if the client is gone.
    pub(crate) async fn look<T: Send + 'static>(
        &mut self,
        store: &WeakStore,
        read: impl FnOnce(&Rows<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.look_again();
        let store = store.upgrade().ok_or(Error::Misuse("the client is gone"))?;
        let seen = if self.is_long { store.read(read).await? } else { store.glance(read).await? };
        self.looked();
        Ok(seen)
    }

    /// Like [`Watch::look`], but waits while the database is closed; `None` if the client is gone. Dropping the
    /// future loses nothing.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(crate) async fn look_when_open<T: Send + 'static>(
        &mut self,
        store: &WeakStore,
        read: impl FnOnce(&Rows<'_>) -> Result<T> + Clone + Send + 'static,
    ) -> Option<Result<T>> {
        loop {
            store.upgrade()?;
            match self.look(store, read.clone()).await {
                // The database is closed. Resuming is reported when it is open again, and listening began before the
                // query.
                Err(Error::Misuse(_)) => drop(self.events.next().await?),
                looked => return Some(looked),
            }
        }
    }

    /// The query succeeded, so the database was open.
    const fn looked(&mut self) {
        self.must_look = false;
        self.suspended = false;
    }

    /// Makes a query due.
    pub(crate) fn look_again(&mut self) {
        // Buffered events are older than the query to come.
        self.events.restart();
        self.must_look = true;
    }

    fn is_resumption(&mut self, event: &Event) -> bool {
        let Event::Connection(state) = event else { return false };
        let was_suspended = std::mem::replace(&mut self.suspended, *state == ConnectionState::Suspended);
        was_suspended && !self.suspended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::UserId;

    const HAPPENED: Event = Event::IdentityChanged(UserId::from_bytes([7; 16]));

    async fn looked_at(bus: &EventBus) -> Watch {
        let mut watch = Watch::new(bus);
        assert!(matches!(watch.next().await, Some(Next::Look)));
        assert!(matches!(watch.next().await, Some(Next::Look)), "a look that failed is due again");
        watch.looked();
        watch
    }

    #[tokio::test]
    async fn events_follow_the_first_query() {
        let bus = EventBus::new();
        let mut watch = looked_at(&bus).await;
        bus.publish(HAPPENED);
        bus.publish(HAPPENED);
        assert!(matches!(watch.next().await, Some(Next::Event(HAPPENED))));
        assert_eq!(watch.try_next(), Some(HAPPENED));
        assert_eq!(watch.try_next(), None);
        drop(bus);
        assert!(watch.next().await.is_none());
    }

    #[tokio::test]
    async fn lost_events_require_a_query_and_older_events_are_skipped() {
        let bus = EventBus::new();
        let mut watch = looked_at(&bus).await;
        for _ in 0..5000 {
            bus.publish(HAPPENED);
        }
        assert!(matches!(watch.next().await, Some(Next::Look)));
        assert_eq!(watch.try_next(), None);
        watch.looked();
        assert_eq!(watch.try_next(), None);
        for _ in 0..5000 {
            bus.publish(HAPPENED);
        }
        assert_eq!(watch.try_next(), None);
        assert!(matches!(watch.next().await, Some(Next::Look)));
    }

    #[tokio::test]
    async fn a_query_is_due_after_the_client_is_resumed() {
        let bus = EventBus::new();
        let mut watch = looked_at(&bus).await;
        let suspended = Event::Connection(ConnectionState::Suspended);
        let connecting = Event::Connection(ConnectionState::Connecting);
        bus.publish(connecting.clone());
        bus.publish(suspended.clone());
        assert_eq!(watch.try_next(), Some(connecting.clone()));
        assert_eq!(watch.try_next(), Some(suspended));
        bus.publish(connecting);
        assert!(matches!(watch.next().await, Some(Next::Look)));
    }
}

//! The parts of the client that cannot currently do their work. Each part reports this itself, and listeners are
//! notified of changes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Error;
use crate::event::{Event, EventBus};
use crate::health::{FailedPart, Failure, Part};

/// Clones share the same state.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    failures: Arc<Mutex<BTreeMap<Part, Failure>>>,
    events: EventBus,
}

/// A read-only view of the failing parts. Holding it does not keep the event stream open.
#[derive(Debug, Clone)]
pub(crate) struct Failures(Arc<Mutex<BTreeMap<Part, Failure>>>);

impl Health {
    pub(super) fn new(events: EventBus) -> Self {
        Self { failures: Arc::default(), events }
    }

    /// Records the outcome of an attempt by this part. An error that does not concern the part changes nothing.
    pub(crate) fn report<T>(&self, part: Part, outcome: &Result<T, Error>) {
        match outcome {
            Ok(_) => self.recovered(part),
            Err(error) => {
                if let Some(failure) = Failure::of(error) {
                    self.failed(part, failure);
                }
            }
        }
    }

    /// Records that the part cannot do its work.
    pub(crate) fn failed(&self, part: Part, failure: Failure) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.insert(part, failure) != Some(failure) {
            // Published under the lock, so that listeners are notified in the order of the changes.
            self.events.publish(Event::PartFailed(FailedPart { part, failure }));
        }
    }

    /// Records that the part works again.
    pub(crate) fn recovered(&self, part: Part) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.remove(&part).is_some() {
            self.events.publish(Event::PartRecovered(part));
        }
    }

    /// A view of the failing parts, for later use.
    pub(crate) fn failures(&self) -> Failures {
        Failures(Arc::clone(&self.failures))
    }
}

impl Failures {
    /// The parts that are failing now.
    pub(crate) fn list(&self) -> Vec<FailedPart> {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failures.iter().map(|(part, failure)| FailedPart { part: *part, failure: *failure }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Offline, Storage};

    fn told(events: &mut crate::event::EventReceiver) -> Vec<Event> {
        std::iter::from_fn(|| events.try_next()).map(Result::unwrap).collect()
    }

    #[test]
    fn a_failure_and_its_end_are_each_reported_once() {
        let bus = EventBus::new();
        let (health, mut events) = (Health::new(bus.clone()), bus.subscribe());
        let full: Result<(), _> = Err(Error::Storage(Storage::Full));
        let failed = |failure| FailedPart { part: Part::Search, failure };
        for _ in 0..3 {
            health.report(Part::Search, &full);
        }
        assert_eq!(told(&mut events), [Event::PartFailed(failed(Failure::Storage(Storage::Full)))]);
        health.failed(Part::Search, Failure::Panicked);
        assert_eq!(told(&mut events), [Event::PartFailed(failed(Failure::Panicked))]);
        assert_eq!(health.failures().list(), [failed(Failure::Panicked)]);
        for _ in 0..2 {
            health.report(Part::Search, &Ok(()));
        }
        assert_eq!(told(&mut events), [Event::PartRecovered(Part::Search)]);
        assert_eq!(health.failures().list(), []);
    }

    #[test]
    fn a_missing_connection_is_not_a_failure_of_a_part() {
        let bus = EventBus::new();
        let (health, mut events) = (Health::new(bus.clone()), bus.subscribe());
        for error in [Error::Offline(Offline::Unreachable), Error::Unauthorized] {
            health.report::<()>(Part::PreKeys, &Err(error));
        }
        assert_eq!(told(&mut events), []);
        health.report::<()>(Part::PreKeys, &Err(Error::Offline(Offline::Refused(422))));
        let failed = FailedPart { part: Part::PreKeys, failure: Failure::Refused(422) };
        assert_eq!(told(&mut events), [Event::PartFailed(failed)]);
        // Such an error does not end a failure either.
        health.report::<()>(Part::PreKeys, &Err(Error::Offline(Offline::TimedOut)));
        assert_eq!((told(&mut events), health.failures().list()), (vec![], vec![failed]));
    }
}

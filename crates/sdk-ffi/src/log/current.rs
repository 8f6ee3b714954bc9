//! Who is told.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock};

use super::{LogLevel, LogLine, Logger};

type Current = RwLock<Option<(Arc<dyn Logger>, LogLevel)>>;

fn current() -> &'static Current {
    static CURRENT: Current = RwLock::new(None);
    &CURRENT
}

/// The last one wins.
pub(super) fn set(logger: Arc<dyn Logger>, level: LogLevel) {
    *current().write().unwrap_or_else(PoisonError::into_inner) = Some((logger, level));
}

/// Who takes a line of this level, if anybody does.
pub(super) fn wanted(level: LogLevel) -> Option<Arc<dyn Logger>> {
    let current = current().read().unwrap_or_else(PoisonError::into_inner);
    current.as_ref().filter(|(_, least)| level <= *least).map(|(logger, _)| Arc::clone(logger))
}

/// Tells it whoever takes it.
pub(super) fn tell(level: LogLevel, target: &str, text: String) {
    thread_local!(static TELLING: Cell<bool> = const { Cell::new(false) });
    // A logger that makes the library log does not go round in circles.
    if let Some(logger) = wanted(level)
        && !TELLING.replace(true)
    {
        let line = LogLine { level, target: target.to_owned(), text };
        // Neither what it throws nor a panic of it ends what the library was at.
        let _ = catch_unwind(AssertUnwindSafe(|| logger.log(line)));
        TELLING.set(false);
    }
}

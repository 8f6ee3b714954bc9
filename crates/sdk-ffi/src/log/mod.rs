//! What the library has to tell to a developer, handed to the app line by line. The one thing that calls back.

mod subscriber;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once, PoisonError, RwLock};

use tracing::{Level, Metadata};

use crate::{Result, SealpostError};

/// Takes the lines. Called on the library's threads: it must return quickly and not wait for the library.
#[uniffi::export(foreign)]
pub trait Logger: Send + Sync {
    /// Takes a line. What it throws is ignored.
    fn log(&self, line: LogLine) -> Result<()>;
}

/// Where the lines go from now on, and from which level on. The last logger wins.
#[uniffi::export]
pub fn set_logger(logger: Arc<dyn Logger>, level: LogLevel) -> Result<()> {
    static SUBSCRIBE: Once = Once::new();
    set(logger, level);
    // Another subscriber is there already when Rust code of the same program has set one: then it gets the lines.
    SUBSCRIBE.call_once(|| drop(tracing::subscriber::set_global_default(subscriber::ToLogger)));
    report_panics();
    Ok(())
}

/// What the app's logger threw.
impl From<uniffi::UnexpectedUniFFICallbackError> for SealpostError {
    fn from(_: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::misuse("the logger threw")
    }
}

/// A line. It holds nothing secret and nothing personal.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct LogLine {
    /// How much it matters.
    pub level: LogLevel,
    /// The part of the library it comes from.
    pub target: String,
    /// What it says.
    pub text: String,
}

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, uniffi::Enum)]
pub enum LogLevel {
    /// A mistake in this library.
    Error,
    /// Somebody else does what they should not.
    Warn,
    /// Rare and worth knowing.
    Info,
    /// What goes on, in detail: for debugging.
    Debug,
}

impl LogLevel {
    /// Of what `tracing` tells; none for what is finer than any of ours.
    fn of(metadata: &Metadata<'_>) -> Option<Self> {
        Some(match *metadata.level() {
            Level::ERROR => Self::Error,
            Level::WARN => Self::Warn,
            Level::INFO => Self::Info,
            Level::DEBUG => Self::Debug,
            _ => return None,
        })
    }
}

type Current = RwLock<Option<(Arc<dyn Logger>, LogLevel)>>;

fn current() -> &'static Current {
    static CURRENT: Current = RwLock::new(None);
    &CURRENT
}

/// The last one wins.
fn set(logger: Arc<dyn Logger>, level: LogLevel) {
    *current().write().unwrap_or_else(PoisonError::into_inner) = Some((logger, level));
}

/// Who takes a line of this level, if anybody does.
fn wanted(level: LogLevel) -> Option<Arc<dyn Logger>> {
    let current = current().read().unwrap_or_else(PoisonError::into_inner);
    current.as_ref().filter(|(_, least)| level <= *least).map(|(logger, _)| Arc::clone(logger))
}

/// Tells it whoever takes it.
fn tell(level: LogLevel, target: &str, text: String) {
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

/// Tells of panics where they happen, by place: what a panic says could hold anything.
pub(crate) fn report_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let place = panic.location().map_or_else(|| "somewhere".to_owned(), ToString::to_string);
            tell(LogLevel::Error, "sealpost", format!("a panic at {place}"));
            before(panic);
        }));
    });
}

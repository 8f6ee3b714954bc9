//! Log lines for developers, passed to the app. The logger is the only callback of this API.

mod subscriber;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once, PoisonError, RwLock};

use tracing::{Level, Metadata};

use crate::{Result, SealpostError};

/// Receives log lines. It is called on threads of the library, and must return quickly without waiting for the
/// library.
#[uniffi::export(foreign)]
pub trait Logger: Send + Sync {
    /// Receives a line. An error that it throws is ignored.
    fn log(&self, line: LogLine) -> Result<()>;
}

/// Sets the logger, and the level from which on it receives lines. The last logger replaces earlier ones.
#[uniffi::export]
pub fn set_logger(logger: Arc<dyn Logger>, level: LogLevel) -> Result<()> {
    static SUBSCRIBE: Once = Once::new();
    set(logger, level);
    // If Rust code of the same program has already set a subscriber, that one receives the lines instead.
    SUBSCRIBE.call_once(|| drop(tracing::subscriber::set_global_default(subscriber::ToLogger)));
    report_panics();
    Ok(())
}

/// An error thrown by the app's logger.
impl From<uniffi::UnexpectedUniFFICallbackError> for SealpostError {
    fn from(_: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::misuse("the logger threw")
    }
}

/// A log line. It contains nothing secret and nothing personal.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct LogLine {
    /// The severity.
    pub level: LogLevel,
    /// The part of the library that the line comes from.
    pub target: String,
    /// The text.
    pub text: String,
}

/// The severity of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, uniffi::Enum)]
pub enum LogLevel {
    /// A bug in this library.
    Error,
    /// Another party does something that it should not do.
    Warn,
    /// Something rare and worth knowing.
    Info,
    /// Details for debugging.
    Debug,
}

impl LogLevel {
    /// The level of a `tracing` event; `None` if it is finer than any of ours.
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

/// Replaces an earlier logger.
fn set(logger: Arc<dyn Logger>, level: LogLevel) {
    *current().write().unwrap_or_else(PoisonError::into_inner) = Some((logger, level));
}

/// The logger that receives lines of this level, if there is one.
fn wanted(level: LogLevel) -> Option<Arc<dyn Logger>> {
    let current = current().read().unwrap_or_else(PoisonError::into_inner);
    current.as_ref().filter(|(_, least)| level <= *least).map(|(logger, _)| Arc::clone(logger))
}

/// Passes a line to the logger, if there is one.
fn tell(level: LogLevel, target: &str, text: String) {
    thread_local!(static TELLING: Cell<bool> = const { Cell::new(false) });
    // If a logger makes the library log, this does not recurse.
    if let Some(logger) = wanted(level)
        && !TELLING.replace(true)
    {
        let line = LogLine { level, target: target.to_owned(), text };
        // Neither an error nor a panic of the logger affects the library.
        let _ = catch_unwind(AssertUnwindSafe(|| logger.log(line)));
        TELLING.set(false);
    }
}

/// Reports panics with their location. The message of a panic is omitted, because it could contain anything.
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

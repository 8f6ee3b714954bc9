//! What the library has to tell to a developer, handed to the app line by line. The one thing that calls back.

use std::cell::Cell;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once, PoisonError, RwLock};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};

use crate::Result;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, uniffi::Enum)]
pub enum LogLevel {
    /// A mistake in this library.
    Error,
    /// Somebody else does what they should not.
    Warn,
    /// Rare and worth knowing.
    Info,
    /// What goes on, for who looks for a fault.
    Debug,
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
    *current().write().unwrap_or_else(PoisonError::into_inner) = Some((logger, level));
    // Another subscriber is there already when Rust code of the same program has set one: then it gets the lines.
    SUBSCRIBE.call_once(|| drop(tracing::subscriber::set_global_default(ToLogger)));
    report_panics();
    Ok(())
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

type Current = RwLock<Option<(Arc<dyn Logger>, LogLevel)>>;

fn current() -> &'static Current {
    static CURRENT: Current = RwLock::new(None);
    &CURRENT
}

fn wanted(level: LogLevel) -> Option<Arc<dyn Logger>> {
    let current = current().read().unwrap_or_else(PoisonError::into_inner);
    current.as_ref().filter(|(_, least)| level <= *least).map(|(logger, _)| Arc::clone(logger))
}

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

/// From `tracing` to the logger. Spans are not told.
struct ToLogger;

impl Subscriber for ToLogger {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // The level may change.
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && metadata.target().starts_with("sealpost")
            && level(metadata).is_some_and(|level| wanted(level).is_some())
    }

    fn event(&self, event: &tracing::Event<'_>) {
        if let Some(level) = level(event.metadata()) {
            let mut text = Text(String::new());
            event.record(&mut text);
            tell(level, event.metadata().target(), text.0);
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn level(metadata: &Metadata<'_>) -> Option<LogLevel> {
    Some(match *metadata.level() {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        Level::DEBUG => LogLevel::Debug,
        _ => return None,
    })
}

/// The sentence, then the fields.
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // A string takes any text.
        let _ = match field.name() {
            "message" if self.0.is_empty() => write!(self.0, "{value:?}"),
            "message" => {
                let fields = std::mem::take(&mut self.0);
                write!(self.0, "{value:?} {fields}")
            }
            name if self.0.is_empty() => write!(self.0, "{name}={value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::SealpostError;

    const OURS: &str = "sealpost::test";

    /// Takes each line of this test, and then fails in one way or the other.
    struct Broken(Mutex<Vec<String>>);

    impl Logger for Broken {
        fn log(&self, line: LogLine) -> Result<()> {
            if line.target != OURS {
                return Ok(());
            }
            let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            told.push(line.text);
            assert!(told.len().is_multiple_of(2), "on purpose");
            Err(SealpostError::misuse("the logger threw"))
        }
    }

    #[test]
    fn a_logger_that_fails_is_told_the_next_line_too() {
        let logger = Arc::new(Broken(Mutex::default()));
        set_logger(Arc::clone(&logger) as Arc<dyn Logger>, LogLevel::Info).unwrap();
        for number in 0..4 {
            tracing::info!(target: OURS, number, "line");
        }
        tracing::debug!(target: OURS, "not wanted");
        tracing::info!(target: "somebody else", "not ours");
        let told = logger.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        assert_eq!(told, ["line number=0", "line number=1", "line number=2", "line number=3"]);
    }
}

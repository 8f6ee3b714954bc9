//! What the library has to tell to a developer, handed to the app line by line. The one thing that calls back.

mod current;
mod line;
mod panic;
mod subscriber;
#[cfg(test)]
mod tests;
mod text;

use std::sync::{Arc, Once};

pub use line::{LogLevel, LogLine};
pub(crate) use panic::report_panics;

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
    current::set(logger, level);
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

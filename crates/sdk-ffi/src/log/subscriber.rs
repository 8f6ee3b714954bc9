//! What `tracing` collects, on its way to the logger.

use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

use super::LogLevel;
use super::current::{tell, wanted};
use super::text::Text;

/// From `tracing` to the logger. Spans are not told.
pub(super) struct ToLogger;

impl Subscriber for ToLogger {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // The level may change.
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && metadata.target().starts_with("sealpost")
            && LogLevel::of(metadata).is_some_and(|level| wanted(level).is_some())
    }

    fn event(&self, event: &Event<'_>) {
        if let Some(level) = LogLevel::of(event.metadata()) {
            let mut text = Text::default();
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

//! A `tracing` subscriber that passes events to the logger.

use std::fmt::Write as _;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

use super::{LogLevel, tell, wanted};

/// Passes `tracing` events to the logger. Spans are ignored.
pub(super) struct ToLogger;

impl Subscriber for ToLogger {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // The level may change later.
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

/// An event as one line: the message, followed by the fields.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a string cannot fail.
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

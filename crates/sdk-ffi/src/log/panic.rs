//! Panics, told where they happen.

use std::sync::Once;

use super::LogLevel;
use super::current::tell;

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

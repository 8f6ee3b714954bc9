//! Tests of a logger that fails.

use std::sync::{Mutex, PoisonError};

use super::*;
use crate::SealpostError;

const OURS: &str = "sealpost::test";

/// Keeps each line of this test, and then panics or returns an error.
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
fn a_logger_that_fails_still_receives_the_next_line() {
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

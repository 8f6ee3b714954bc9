//! Records a history of many clients in one total order.

use std::sync::{Mutex, PoisonError};

use crate::event::{At, Call, Event, Line, Reply};

/// The history so far. All clients of a test share it; a lock determines the order.
#[derive(Debug, Default)]
pub struct Recorder {
    lines: Mutex<Vec<Line>>,
}

impl Recorder {
    /// An empty history.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an event, and returns its position.
    pub fn write(&self, event: Event) -> At {
        self.write_with(|_| event)
    }

    /// Records that a request is about to be sent, and returns its number.
    pub fn invoke(&self, call: Call) -> u64 {
        self.write_with(|at| Event::Invoke { op: at, call })
    }

    /// Records that a request was carried out.
    pub fn ok(&self, op: u64, reply: Reply) {
        self.write(Event::Ok { op, reply });
    }

    /// Records that a request was certainly not carried out.
    pub fn fail(&self, op: u64, reason: &str) {
        self.write(Event::Fail { op, reason: reason.to_owned() });
    }

    /// Records that the outcome of a request is unknown.
    pub fn unknown(&self, op: u64) {
        self.write(Event::Unknown { op });
    }

    /// The position of the last line so far.
    pub fn last(&self) -> At {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.last().map_or(0, |line| line.at)
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<Line> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All lines so far in the format of a file: one JSON object for each line.
    ///
    /// # Errors
    /// None for these types; the JSON serializer has a result type.
    pub fn to_text(&self) -> serde_json::Result<String> {
        let mut text = String::new();
        for line in self.lines() {
            text.push_str(&serde_json::to_string(&line)?);
            text.push('\n');
        }
        Ok(text)
    }

    fn write_with(&self, event: impl FnOnce(At) -> Event) -> At {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let at = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        lines.push(Line { at, event: event(at) });
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::History;
    use crate::event::{Device, Dump};

    #[test]
    fn a_recorded_history_can_be_checked() {
        let recorder = Recorder::new();
        let device = Device("ada/1".into());
        let op = recorder.invoke(Call::Page { device });
        recorder.ok(op, Reply::Page { rows: Vec::new(), more: false });
        recorder.write(Event::Dump(Dump::default()));
        let history = History::parse(&recorder.to_text().unwrap()).unwrap();
        assert_eq!((history.operations.len(), history.operations[0].ended), (1, 1));
    }
}

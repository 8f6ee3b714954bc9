//! Forwards the output of a program while it runs.

use std::io::{self, BufRead as _, BufReader, Write};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::processes::Family;

/// Forwards the output of a program immediately, including incomplete lines, and collects the lines.
pub(super) fn lines(output: ChildStdout, mut ours: impl Write + Send + 'static) -> Receiver<String> {
    let (to, lines) = channel();
    thread::spawn(move || {
        let (mut output, mut line) = (BufReader::new(output), Vec::new());
        while let Ok(read) = output.fill_buf() {
            let length = read.len();
            if length == 0 {
                break;
            }
            let _ = ours.write_all(read).and_then(|()| ours.flush());
            for byte in read {
                if *byte == b'\n' {
                    let _ = to.send(String::from_utf8_lossy(&std::mem::take(&mut line)).into_owned());
                } else {
                    line.push(*byte);
                }
            }
            output.consume(length);
        }
    });
    lines
}

/// The lines that a command prints until it ends. Empty if it exceeds this time or fails.
pub(super) fn said_within(mut command: Command, patience: Duration) -> Option<Vec<String>> {
    let family = Family::mark(&mut command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let lines = lines(child.stdout.take()?, io::sink());
    let (start, mut said) = (Instant::now(), Vec::new());
    let is_whole = loop {
        match lines.recv_timeout(patience.saturating_sub(start.elapsed())) {
            Ok(line) => said.push(line),
            Err(error) => break error == RecvTimeoutError::Disconnected,
        }
    };
    if !is_whole {
        family.kill();
        let _ = child.kill();
    }
    let status = child.wait().ok()?;
    (is_whole && status.success()).then_some(said)
}

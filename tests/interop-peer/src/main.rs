//! One device of ours as a program, so that other implementations of the Signal protocol can talk to it.
//!
//! It reads one JSON object per line, `{"cmd":"<name>", …fields}`, and answers one per line:
//! `{"ok":true,"r":{…}}` or `{"ok":false,"err":"<code>","msg":"<words>"}`. Bytes are lower-case hex. A command that fails
//! changes nothing. [`commands`] lists the commands.

mod commands;
mod device;
mod failure;
mod hex;
mod saved;
mod skipped;
mod unverified;

use std::io::{self, BufRead, Read as _, Write};
use std::process::ExitCode;

use serde_json::{Value, json};

use commands::Command;
use device::Device;
use failure::Failure;

/// The maximum length of a line; longer lines are refused. The largest possible state has a tenth of this length.
const MAX_LINE: usize = 64 << 20;

fn main() -> ExitCode {
    match serve(&mut io::stdin().lock(), &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        // The process that made the requests has closed its end.
        Err(_) => ExitCode::FAILURE,
    }
}

/// Answers every line until the input ends.
fn serve(input: &mut impl BufRead, output: &mut impl Write) -> io::Result<()> {
    let mut device = None;
    while let Some(line) = read_line(input)? {
        let answer = match line.and_then(|line| answer(&mut device, &line)) {
            Ok(result) => json!({ "ok": true, "r": result }),
            Err(Failure { code, message }) => json!({ "ok": false, "err": code, "msg": message }),
        };
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}

fn answer(device: &mut Option<Device>, line: &[u8]) -> Result<Value, Failure> {
    let request: Value = serde_json::from_slice(line).map_err(Failure::not_json)?;
    let command: Command = serde_json::from_value(request).map_err(Failure::bad_request)?;
    commands::run(command, device)
}

/// The next line that is not blank. `None` at the end of the input.
fn read_line(input: &mut impl BufRead) -> io::Result<Option<Result<Vec<u8>, Failure>>> {
    loop {
        let mut line = Vec::new();
        let limit = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
        if input.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        if line.len() == MAX_LINE && !line.ends_with(b"\n") {
            input.skip_until(b'\n')?;
            return Ok(Some(Err(Failure::new("too_long", "a line has at most 64 MiB"))));
        }
        if !line.trim_ascii().is_empty() {
            return Ok(Some(Ok(line)));
        }
    }
}

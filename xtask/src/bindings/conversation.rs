//! Lets the chat in Kotlin and the chat in Swift talk to each other through a relay: two processes, two languages,
//! one protocol.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use super::{empty_folder, kotlin, swift, with_state};
use crate::error::{Error, not_started};
use crate::workspace::{Profile, Workspace};

/// Much longer than the wait for any line takes.
const TIMEOUT: Duration = Duration::from_secs(180);

/// The number of lines of each side. A chat starts by showing twenty messages.
const MORE_THAN_A_PAGE: u32 = 15;

/// Runs the conversation; both chats were compiled with the tests of their bindings.
pub(crate) fn test(workspace: &Workspace) -> Result<(), Error> {
    let state = workspace.target("conversation");
    empty_folder(&state)?;
    let mut relay = Command::new(workspace.binary(Profile::Debug, "sealpost-relay"));
    relay.arg("--data").arg(state.join("relay")).args(["--listen", "127.0.0.1:0", "--registration", "dev"]);
    let mut relay = Chat::start("the relay", relay)?;
    let listening = relay.wait_for("listening on ")?;
    let url = listening.rsplit(' ').next().unwrap_or_default();
    let who = |name: &str, friend: &str| {
        let words = ["--name", name, "--with", friend, "--relay", url].map(str::to_owned);
        with_state(&words, &state)
    };
    let both = || {
        let ada = Chat::start("the chat in Kotlin", kotlin::chat(workspace, &who("ada", "ben")))?;
        let ben = Chat::start("the chat in Swift", swift::chat(workspace, &state, &who("ben", "ada")))?;
        Ok::<_, Error>((ada, ben))
    };
    let (mut ada, mut ben) = both()?;
    for number in 1..=MORE_THAN_A_PAGE {
        ada.send(&format!("from Kotlin, {number} ✓"))?;
        ben.wait_for(&format!(" ada: from Kotlin, {number} ✓"))?;
        ben.send(&format!("from Swift, {number} ✓"))?;
        ada.wait_for(&format!(" ben: from Swift, {number} ✓"))?;
    }
    let numbers = (ada.ask("/safety", "safety number ")?, ben.ask("/safety", "safety number ")?);
    if numbers.0 != numbers.1 {
        return Err(Error::Failed(format!("the safety numbers differ: {numbers:?}")));
    }
    ada.leave()?;
    ben.leave()?;
    // After a restart, the last page is shown immediately, and the one before it on request.
    let (mut ada, mut ben) = both()?;
    for chat in [&mut ada, &mut ben] {
        chat.wait_for(&format!("from Swift, {MORE_THAN_A_PAGE} ✓"))?;
        chat.ask("/older", " ada: from Kotlin, 1 ✓")?;
        chat.wait_for(" ben: from Swift, 1 ✓")?;
        chat.ask("/older", "no older messages")?;
    }
    ada.leave()?;
    ben.leave()
}

/// A chat program that is written to and answers line by line. It is ended when this is dropped.
struct Chat {
    name: &'static str,
    program: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Chat {
    fn start(name: &'static str, mut command: Command) -> Result<Self, Error> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut program = command.spawn().map_err(|source| not_started(&command, source))?;
        let (told, lines) = channel();
        if let Some(output) = program.stdout.take() {
            // Ends when the program does, or when the lines are no longer read.
            thread::spawn(move || {
                BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| told.send(line))
            });
        }
        Ok(Self { name, input: program.stdin.take(), program, lines })
    }

    fn send(&mut self, line: &str) -> Result<(), Error> {
        let said = self.input.as_mut().map(|input| writeln!(input, "{line}"));
        said.transpose().map(|_| ()).map_err(|source| Error::Io { subject: self.name.into(), source })
    }

    /// Writes a line, and waits for a line that contains these words.
    fn ask(&mut self, line: &str, words: &str) -> Result<String, Error> {
        self.send(line)?;
        self.wait_for(words)
    }

    /// Waits for a line that contains these words.
    fn wait_for(&mut self, words: &str) -> Result<String, Error> {
        loop {
            match self.lines.recv_timeout(TIMEOUT) {
                Ok(line) if line.contains(words) => return Ok(line),
                Ok(_) => {}
                Err(_) => return Err(Error::Failed(format!("{} did not print {words:?}", self.name))),
            }
        }
    }

    /// A chat ends when its input does.
    fn leave(mut self) -> Result<(), Error> {
        self.input = None;
        let status = self.program.wait().map_err(|source| Error::Io { subject: self.name.into(), source })?;
        if status.success() { Ok(()) } else { Err(Error::Failed(self.name.to_owned())) }
    }
}

impl Drop for Chat {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

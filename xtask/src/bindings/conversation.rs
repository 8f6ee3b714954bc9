//! Lets the chat in Kotlin and the chat in Swift talk to each other through a relay: two processes, two languages,
//! one protocol. Then each gets a companion in the other language.

use std::collections::BTreeSet;
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
    let new = |name: &str, friend: &str| [vec!["--link".to_owned()], who(name, friend)].concat();
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
    // Each gets a companion in the other language.
    let tablet = kotlin::chat(workspace, &new("bens-tablet", "ada"));
    let mut tablet = Chat::link("the companion in Kotlin", tablet, &mut ben)?;
    let phone = swift::chat(workspace, &state, &new("adas-phone", "ben"));
    let mut phone = Chat::link("the companion in Swift", phone, &mut ada)?;
    let before = usize::try_from(MORE_THAN_A_PAGE).unwrap_or_default().saturating_mul(2);
    tablet.until_shown(before)?;
    phone.until_shown(before)?;
    tablet.send("from Ben's companion in Kotlin")?;
    for chat in [&mut ben, &mut ada, &mut phone] {
        chat.wait_for(": from Ben's companion in Kotlin")?;
    }
    phone.send("from Ada's companion in Swift")?;
    for chat in [&mut ada, &mut ben, &mut tablet] {
        chat.wait_for(": from Ada's companion in Swift")?;
    }
    for chat in [ada, ben, tablet, phone] {
        chat.leave()?;
    }
    // After a restart, all four show the same thread.
    let start = |name, command| Chat::start(name, command)?.thread();
    let shown = [
        start("the chat in Kotlin", kotlin::chat(workspace, &who("ada", "ben")))?,
        start("the chat in Swift", swift::chat(workspace, &state, &who("ben", "ada")))?,
        start("the companion in Kotlin", kotlin::chat(workspace, &who("bens-tablet", "ada")))?,
        start("the companion in Swift", swift::chat(workspace, &state, &who("adas-phone", "ben")))?,
    ];
    match shown.iter().all(|thread| thread.len() == before.saturating_add(2) && *thread == shown[0]) {
        true => Ok(()),
        false => Err(Error::Failed(format!("the devices do not show the same: {shown:#?}"))),
    }
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

    /// Starts a companion, and lets the primary device read its code. Both show the same digits.
    fn link(name: &'static str, command: Command, primary: &mut Self) -> Result<Self, Error> {
        let mut companion = Self::start(name, command)?;
        let shown = companion.wait_for(" /link ")?;
        let code = shown.rsplit(' ').next().unwrap_or_default();
        let question = primary.ask(&format!("/link {code}"), "wants to be linked")?;
        let digits = companion.wait_for("it must ask for ")?;
        let digits = digits.rsplit("for ").next().unwrap_or_default();
        if !question.contains(&format!(" {digits}?")) {
            return Err(Error::Failed(format!("other digits than {digits}: {question}")));
        }
        primary.ask("/yes", "linked as device 2")?;
        Ok(companion)
    }

    /// Waits until this number of different messages was shown, in any order.
    fn until_shown(&mut self, count: usize) -> Result<(), Error> {
        let mut shown = BTreeSet::new();
        while shown.len() < count {
            let line = self.wait_for(" ✓")?;
            shown.extend(text(&line).map(str::to_owned));
        }
        Ok(())
    }

    /// All texts of the thread, which has more than one page and less than three, the oldest first. The chat ends.
    fn thread(mut self) -> Result<Vec<String>, Error> {
        let newest = self.texts_until("type a message")?;
        self.send("/older")?;
        self.send("/older")?;
        let older = self.texts_until("no older messages")?;
        self.leave()?;
        Ok([older, newest].concat())
    }

    fn texts_until(&mut self, words: &str) -> Result<Vec<String>, Error> {
        let mut texts = Vec::new();
        loop {
            let line = self.wait_for("")?;
            if line.contains(words) {
                return Ok(texts);
            }
            texts.extend(text(&line).map(str::to_owned));
        }
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

/// The text in a line that shows a message: `12:34 ada: the text`.
fn text(line: &str) -> Option<&str> {
    let (time, message) = line.split_once(' ')?;
    let is_time = time.len() == 5 && time.get(2..3) == Some(":");
    message.split_once(": ").filter(|_| is_time).map(|(_, text)| text)
}

impl Drop for Chat {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_from_other_lines() {
        assert_eq!(text("12:34 ada: one: two"), Some("one: two"));
        assert_eq!(text("  · you are ada: yes"), None);
        assert_eq!(text("WARNING: something is: so"), None);
    }
}

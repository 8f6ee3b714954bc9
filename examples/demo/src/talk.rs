//! The conversation: a UTF-8 file with lines of the form `name: text` and at least two names.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use icu_normalizer::ComposingNormalizerBorrowed;
use sealpost_core::{MAX_PROFILE_NAME, MAX_TEXT, displayable_name};

/// The maximum size of a conversation in bytes. Each line is sent, acknowledged and compared, so a larger one would
/// take hours.
pub(crate) const MAX_BYTES: u64 = 16 << 20;

/// The most people in a conversation. Each is a client with a database, and everybody who speaks makes a session with everybody else.
pub(crate) const MAX_NAMES: usize = 12;

/// A conversation between two people, or of more in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Talk {
    /// In the order of their first lines: at least two.
    pub(crate) names: Vec<String>,
    pub(crate) lines: Vec<Line>,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// A place in [`Talk::names`].
    pub(crate) speaker: usize,
    pub(crate) text: String,
}

/// Why a file is not a valid conversation. Line numbers begin at 1.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TalkError {
    #[error("{path} cannot be read: {source}")]
    Unreadable { path: String, source: io::Error },
    #[error("it is longer than {} MiB", MAX_BYTES >> 20)]
    TooLarge,
    #[error("line {0} is not UTF-8")]
    NotUtf8(usize),
    #[error("line {0} has no colon: every line is `name: text`")]
    MissingColon(usize),
    #[error("line {0} has no name before its colon")]
    MissingName(usize),
    #[error("line {0} has no text after its colon")]
    MissingText(usize),
    #[error("line {line} is by one more person, {name:?}: a conversation has at most {MAX_NAMES}")]
    TooMany { line: usize, name: String },
    #[error("line {0} begins with a name that cannot be shown: nothing of it is visible")]
    InvisibleName(usize),
    #[error("line {line} begins with a name that is longer than {MAX_PROFILE_NAME} bytes")]
    LongName { line: usize },
    #[error("line {line} is by {name:?}, who looks like {other:?}: is it the same person?")]
    Alike { line: usize, name: String, other: String },
    #[error("line {line} is longer than a message can be ({max} bytes)")]
    TooLong { line: usize, max: usize },
    #[error("there are no lines in it")]
    Empty,
    #[error("only {0:?} speaks: a conversation has at least two people")]
    OneName(String),
}

impl Talk {
    /// Reads a file, or standard input if the path is `-`.
    pub(crate) fn read(path: &Path) -> Result<Self, TalkError> {
        if path == Path::new("-") {
            return Self::read_from(io::stdin().lock(), "the standard input");
        }
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Self::read_from(file, &name),
            Err(source) => Err(TalkError::Unreadable { path: name, source }),
        }
    }

    /// Reads no more than a conversation may have, whether or not the input ends.
    fn read_from(input: impl Read, name: &str) -> Result<Self, TalkError> {
        let mut bytes = Vec::new();
        let read = input.take(MAX_BYTES.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|source| TalkError::Unreadable { path: name.to_owned(), source })?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(TalkError::TooLarge);
        }
        Self::parse(&bytes)
    }

    /// Parses a file. Empty lines are skipped; a byte order mark and carriage returns are not part of the text.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, TalkError> {
        let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        let mut names: Vec<String> = Vec::new();
        let mut lines = Vec::new();
        for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            let line = std::str::from_utf8(line).map_err(|_| TalkError::NotUtf8(number))?;
            let line = line.strip_suffix('\r').unwrap_or(line);
            if line.is_empty() {
                continue;
            }
            let (name, text) = line.split_once(':').ok_or(TalkError::MissingColon(number))?;
            let name = name.trim();
            if name.is_empty() {
                return Err(TalkError::MissingName(number));
            }
            let text = text.strip_prefix(' ').unwrap_or(text);
            if text.is_empty() {
                return Err(TalkError::MissingText(number));
            }
            if text.len() > MAX_TEXT {
                return Err(TalkError::TooLong { line: number, max: MAX_TEXT });
            }
            let speaker = match names.iter().position(|known| known == name) {
                Some(speaker) => speaker,
                None => {
                    check_name(&names, name, number)?;
                    names.push(name.to_owned());
                    names.len().saturating_sub(1)
                }
            };
            lines.push(Line { speaker, text: text.to_owned() });
        }
        match names.as_slice() {
            [] => Err(TalkError::Empty),
            [name] => Err(TalkError::OneName(name.clone())),
            _ => Ok(Self { names, lines }),
        }
    }

    pub(crate) fn name(&self, side: usize) -> &str {
        self.names.get(side).map_or("", String::as_str)
    }
}

/// Whether this can be the name of one more person.
fn check_name(names: &[String], name: &str, line: usize) -> Result<(), TalkError> {
    if name.len() > MAX_PROFILE_NAME {
        return Err(TalkError::LongName { line });
    }
    let folded = folded(name);
    if folded.is_empty() {
        return Err(TalkError::InvisibleName(line));
    }
    let name = || displayable_name(name);
    if let Some(other) = names.iter().find(|other| self::folded(other) == folded) {
        return Err(TalkError::Alike { line, name: name(), other: other.clone() });
    }
    if names.len() == MAX_NAMES {
        return Err(TalkError::TooMany { line, name: name() });
    }
    Ok(())
}

/// The same for names that differ only in case, in what cannot be seen, or in how accents are encoded.
fn folded(name: &str) -> String {
    let normalizer = ComposingNormalizerBorrowed::new_nfkc();
    normalizer.normalize(&displayable_name(name).to_lowercase()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(bytes: &[u8]) -> String {
        Talk::parse(bytes).unwrap_err().to_string()
    }

    #[test]
    fn names_end_at_the_first_colon() {
        let talk = Talk::parse("\u{feff}A: one: two\r\nB:three\n\nA:  four".as_bytes()).unwrap();
        assert_eq!(talk.names, ["A", "B"]);
        let lines: Vec<_> = talk.lines.iter().map(|line| (line.speaker, line.text.as_str())).collect();
        assert_eq!(lines, [(0, "one: two"), (1, "three"), (0, " four")]);
    }

    #[test]
    fn invalid_conversations_are_reported_with_their_line() {
        assert_eq!(error(b"A: hi\nno colon here"), "line 2 has no colon: every line is `name: text`");
        assert_eq!(error(b"A: hi\nB: \xff\xfe"), "line 2 is not UTF-8");
        assert_eq!(error(b""), "there are no lines in it");
        assert_eq!(error(b"\n\n"), "there are no lines in it");
        assert_eq!(error(b"A: hi\nA: anyone?"), "only \"A\" speaks: a conversation has at least two people");
        assert_eq!(error(b"A: hi"), "only \"A\" speaks: a conversation has at least two people");
        assert_eq!(error(b": hi"), "line 1 has no name before its colon");
        assert_eq!(error(b"A: hi\nB: "), "line 2 has no text after its colon");
        let long = format!("A: hi\nB: {}", "x".repeat(48_001));
        assert_eq!(error(long.as_bytes()), "line 2 is longer than a message can be (48000 bytes)");
    }

    #[test]
    fn a_conversation_has_as_many_people_as_can_be_told_apart() {
        let lines = |count: usize| (1..=count).map(|n| format!("Person {n}: hi\n")).collect::<String>();
        assert_eq!(Talk::parse(lines(MAX_NAMES).as_bytes()).unwrap().names.len(), MAX_NAMES);
        assert_eq!(
            error(lines(300).as_bytes()),
            "line 13 is by one more person, \"Person 13\": a conversation has at most 12"
        );
        for (name, shown) in [("ada", "ada"), ("Ada\u{200b}", "Ada"), ("\u{ff21}da", "\u{ff21}da")] {
            assert_eq!(
                error(format!("Ada: hi\nBen: hi\n{name}: hi").as_bytes()),
                format!("line 3 is by {shown:?}, who looks like \"Ada\": is it the same person?"),
            );
        }
        assert!(error("Zoé: hi\nZoe\u{301}: hi".as_bytes()).contains("who looks like \"Zoé\""));
        assert!(Talk::parse("Zoé: hi\nZoe: hi".as_bytes()).is_ok());
        let invisible = "line 2 begins with a name that cannot be shown: nothing of it is visible";
        assert_eq!(error("Ada: hi\n\u{202e}\u{200b}: hi".as_bytes()), invisible);
        let long = format!("Ada: hi\n{}: hi", "x".repeat(MAX_PROFILE_NAME + 1));
        assert_eq!(error(long.as_bytes()), "line 2 begins with a name that is longer than 256 bytes");
    }

    #[test]
    fn input_without_an_end_is_refused() {
        let endless = io::repeat(b'a');
        assert_eq!(Talk::read_from(endless, "it").unwrap_err().to_string(), "it is longer than 16 MiB");
        let whole = Talk::read_from(&b"A: one\nB: two"[..], "it").unwrap();
        assert_eq!(whole.lines.len(), 2);
    }

    #[test]
    fn the_built_in_conversation_is_valid() {
        let talk = Talk::parse(include_bytes!("../talk.txt")).unwrap();
        assert!(talk.lines.len() >= 20);
    }
}

//! The conversation: a UTF-8 file with lines of the form `name: text` and two names.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The maximum size of a conversation in bytes. Each line is sent, acknowledged and compared, so a larger one would
/// take hours.
pub(crate) const MAX_BYTES: u64 = 16 << 20;

/// A conversation between two people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Talk {
    /// In the order of their first lines.
    pub(crate) names: [String; 2],
    pub(crate) lines: Vec<Line>,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// 0 or 1.
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
    #[error("line {line} is by a third person, {name:?}: a conversation has two")]
    ThirdName { line: usize, name: String },
    #[error("line {line} is longer than a message can be ({max} bytes)")]
    TooLong { line: usize, max: usize },
    #[error("there are no lines in it")]
    Empty,
    #[error("only {0:?} speaks: a conversation has two people")]
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
            if text.len() > sealpost_core::MAX_TEXT {
                return Err(TalkError::TooLong { line: number, max: sealpost_core::MAX_TEXT });
            }
            let speaker = match names.iter().position(|known| known == name) {
                Some(speaker) => speaker,
                None if names.len() == 2 => {
                    return Err(TalkError::ThirdName { line: number, name: name.to_owned() });
                }
                None => {
                    names.push(name.to_owned());
                    names.len().saturating_sub(1)
                }
            };
            lines.push(Line { speaker, text: text.to_owned() });
        }
        let one = names.first().cloned();
        match (<[String; 2]>::try_from(names), one) {
            (Ok(names), _) => Ok(Self { names, lines }),
            (Err(_), Some(name)) => Err(TalkError::OneName(name)),
            (Err(_), None) => Err(TalkError::Empty),
        }
    }
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
        assert_eq!(
            error(b"A: hi\nB: hi\nC: hi"),
            "line 3 is by a third person, \"C\": a conversation has two"
        );
        assert_eq!(error(b"A: hi\nA: anyone?"), "only \"A\" speaks: a conversation has two people");
        assert_eq!(error(b": hi"), "line 1 has no name before its colon");
        assert_eq!(error(b"A: hi\nB: "), "line 2 has no text after its colon");
        let long = format!("A: hi\nB: {}", "x".repeat(48_001));
        assert_eq!(error(long.as_bytes()), "line 2 is longer than a message can be (48000 bytes)");
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

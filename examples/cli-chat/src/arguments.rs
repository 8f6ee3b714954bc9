//! The command line.

use std::path::PathBuf;

pub(crate) const HELP: &str = "\
sealpost-cli-chat --name NAME [--with NAME] [--relay URL] [--state FOLDER]

  -- name NAME      your name; an account is registered the first time with NAME      your peer: a name on this machine,
  -- or a user id; by default, the first user who writes relay URL      the relay; default http://127.0.0.1:8470, where
  -- ./dev relay listens state FOLDER   the folder of the accounts; default .cache/chat

In the conversation: /safety shows the safety number, /older an older page, /quit ends.";

/// The parsed command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) name: String,
    pub(crate) with: Option<String>,
    pub(crate) relay: String,
    pub(crate) state: PathBuf,
}

/// `None` if help was requested.
pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Arguments>, String> {
    let (mut name, mut with, mut relay, mut state) = (None, None, None, None);
    while let Some(word) = words.next() {
        let (flag, value) = match word.split_once('=') {
            Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
            None => (word, None),
        };
        let slot = match flag.as_str() {
            "--help" | "-h" => return Ok(None),
            "--name" => &mut name,
            "--with" => &mut with,
            "--relay" => &mut relay,
            "--state" => &mut state,
            _ => return Err(format!("{flag} is not a known option")),
        };
        *slot = Some(value.or_else(|| words.next()).ok_or_else(|| format!("{flag} requires a value"))?);
    }
    let name = name.ok_or("--name is required")?;
    for name in [Some(&name), with.as_ref()].into_iter().flatten() {
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || !name.chars().all(plain) {
            return Err("a name may contain only letters, digits, - and _".to_owned());
        }
    }
    if with.as_ref() == Some(&name) {
        return Err("--with must be another user".to_owned());
    }
    Ok(Some(Arguments {
        name,
        with,
        relay: relay.unwrap_or_else(|| "http://127.0.0.1:8470".to_owned()),
        state: state.unwrap_or_else(|| ".cache/chat".to_owned()).into(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Option<Arguments>, String> {
        parse(words.iter().map(|word| (*word).to_owned()))
    }

    #[test]
    fn only_a_name_is_required() {
        let arguments = parsed(&["--name", "ada"]).unwrap().unwrap();
        assert_eq!(arguments.relay, "http://127.0.0.1:8470");
        assert_eq!(arguments.with, None);
    }

    #[test]
    fn mistakes_are_reported() {
        assert_eq!(parsed(&[]).unwrap_err(), "--name is required");
        assert_eq!(parsed(&["--name"]).unwrap_err(), "--name requires a value");
        assert_eq!(parsed(&["--name=../x"]).unwrap_err(), "a name may contain only letters, digits, - and _");
        assert_eq!(parsed(&["--name=a", "--with=a"]).unwrap_err(), "--with must be another user");
        assert_eq!(parsed(&["--colour"]).unwrap_err(), "--colour is not a known option");
    }
}

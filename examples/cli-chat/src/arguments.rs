//! The command line.

use std::path::PathBuf;

use crate::home::is_name;

pub(crate) const HELP: &str = "\
./dev chat --name NAME [--with NAME] [--relay URL] [--state FOLDER] [--plain] [--link [CODE]]

  --name NAME      your name; an account is registered the first time
  --with NAME      opens the chat with NAME: a name on this machine, or a user id
  --relay URL      the relay; default http://127.0.0.1:8470, where ./dev relay listens
  --state FOLDER   the folder of the accounts; default .cache/chat
  --link           links this terminal, which has no account yet, to the account of another one, and shows a code
  --link CODE      reads the code that another terminal shows
  --plain          lines instead of a screen, as when input or output is a pipe

On the screen, ? shows the keys and the commands. With --plain, /help does.";

/// The parsed command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) name: String,
    pub(crate) with: Option<String>,
    pub(crate) relay: String,
    pub(crate) state: PathBuf,
    pub(crate) plain: bool,
    pub(crate) link: Option<Link>,
}

/// What `--link` asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// This terminal is linked to the account of another one.
    Join,
    /// Another terminal, which shows this code, is linked to this account.
    Read(String),
}

/// `None` if help was requested.
pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Option<Arguments>, String> {
    let mut words = words.peekable();
    let mut link = None;
    let (mut name, mut with, mut relay, mut state, mut plain) = (None, None, None, None, false);
    while let Some(word) = words.next() {
        let (flag, value) = match word.split_once('=') {
            Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
            None => (word, None),
        };
        let slot = match flag.as_str() {
            "--help" | "-h" => return Ok(None),
            "--plain" => {
                plain = true;
                continue;
            }
            "--link" => {
                let code = value.or_else(|| words.next_if(|word| !word.starts_with('-')));
                link = Some(code.map_or(Link::Join, Link::Read));
                continue;
            }
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
        if !is_name(name) {
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
        plain,
        link,
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
        assert_eq!((arguments.with, arguments.plain), (None, false));
        assert!(parsed(&["--plain", "--name", "ada"]).unwrap().unwrap().plain);
    }

    #[test]
    fn a_code_may_follow_the_request_to_link() {
        let link = |words: &[&str]| parsed(&[&["--name", "ada"], words].concat()).unwrap().unwrap().link;
        assert_eq!(link(&[]), None);
        assert_eq!(link(&["--link"]), Some(Link::Join));
        assert_eq!(link(&["--link", "--plain"]), Some(Link::Join));
        let code = Some(Link::Read("SEALPOST:AB".to_owned()));
        assert_eq!(
            (link(&["--link", "SEALPOST:AB"]), link(&["--link=SEALPOST:AB"])),
            (code, Some(Link::Read("SEALPOST:AB".to_owned())))
        );
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

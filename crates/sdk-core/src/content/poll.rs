//! A poll: a question and its options. People choose among them with votes.

use std::fmt;

use super::{ContentError, of, proto};

/// Maximum size of the question of a poll, in bytes of UTF-8.
pub const MAX_QUESTION: usize = 1000;
/// Maximum number of options of a poll.
pub const MAX_OPTIONS: usize = 32;
/// Maximum size of an option of a poll, in bytes of UTF-8.
pub const MAX_OPTION: usize = 255;

/// A poll without its votes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Poll {
    question: String,
    options: Vec<String>,
    is_multiple: bool,
}

impl Poll {
    /// `None` without a question, with fewer than two or more than [`MAX_OPTIONS`] options, with two equal options, or if a
    /// text is empty or too long.
    pub(crate) fn new(question: String, options: Vec<String>, is_multiple: bool) -> Option<Self> {
        let is_text = |text: &str, max: usize| !text.trim().is_empty() && text.len() <= max;
        let are_different = || {
            options.iter().enumerate().all(|(place, option)| !options.iter().take(place).any(|o| o == option))
        };
        let is_valid = is_text(&question, MAX_QUESTION)
            && (2..=MAX_OPTIONS).contains(&options.len())
            && options.iter().all(|option| is_text(option, MAX_OPTION))
            && are_different();
        is_valid.then_some(Self { question, options, is_multiple })
    }

    pub(crate) fn question(&self) -> &str {
        &self.question
    }

    /// At least 2 and at most [`MAX_OPTIONS`].
    pub(crate) fn options(&self) -> &[String] {
        &self.options
    }

    /// Whether a person may choose several options.
    pub(crate) const fn is_multiple(&self) -> bool {
        self.is_multiple
    }

    /// Whether these choices can be made in this poll.
    pub(crate) fn allows(&self, choices: &Choices) -> bool {
        let exist = choices.0.last().is_none_or(|last| usize::from(*last) < self.options.len());
        exist && (self.is_multiple || choices.0.len() <= 1)
    }

    pub(super) fn write(&self) -> proto::Content {
        let mut options = Vec::new();
        for option in &self.options {
            // At most 255, as the constructor has checked.
            options.push(u8::try_from(option.len()).unwrap_or_default());
            options.extend_from_slice(option.as_bytes());
        }
        let poll = proto::Poll { question: self.question.clone(), options, multiple: self.is_multiple };
        of(proto::content::Body::Poll(poll))
    }

    /// # Errors
    /// [`ContentError::Malformed`] if it is not a poll that could be sent.
    pub(super) fn read(poll: proto::Poll) -> Result<Self, ContentError> {
        let mut options = Vec::new();
        let mut rest = poll.options.as_slice();
        while let Some((length, after)) = rest.split_first() {
            if options.len() == MAX_OPTIONS {
                return Err(ContentError::Malformed);
            }
            let (option, after) =
                after.split_at_checked(usize::from(*length)).ok_or(ContentError::Malformed)?;
            options.push(str::from_utf8(option).map_err(|_| ContentError::Malformed)?.to_owned());
            rest = after;
        }
        Self::new(poll.question, options, poll.multiple).ok_or(ContentError::Malformed)
    }
}

/// Contains nothing that a person wrote, so that it cannot end up in a log.
impl fmt::Debug for Poll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Poll({})", self.options.len())
    }
}

/// Options of a poll, by their numbers: ascending, each once. None of them: the person has no vote, or no longer.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Choices(Vec<u8>);

impl Choices {
    /// `None` if a number is not that of an option of any poll, or is there twice.
    pub(crate) fn new(mut numbers: Vec<u32>) -> Option<Self> {
        if numbers.len() > MAX_OPTIONS {
            return None;
        }
        numbers.sort_unstable();
        let bytes = numbers.into_iter().map(u8::try_from).collect::<Result<_, _>>().ok()?;
        Self::from_bytes(bytes)
    }

    /// `None` if the bytes are not ascending, or one is not the number of an option of any poll.
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        let is_valid = bytes.is_sorted_by(|a, b| a < b)
            && bytes.last().is_none_or(|last| usize::from(*last) < MAX_OPTIONS);
        is_valid.then_some(Self(bytes))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Contains nothing that a person has chosen, so that it cannot end up in a log.
impl fmt::Debug for Choices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Choices(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(question: &str, options: usize) -> Option<Poll> {
        let options = (0..options).map(|number| format!("option {number}")).collect();
        Poll::new(question.to_owned(), options, true)
    }

    #[test]
    fn a_poll_has_a_question_and_2_to_32_different_options() {
        for options in [2, 3, 32] {
            let poll = poll("where?", options).unwrap();
            let Some(proto::content::Body::Poll(written)) = poll.write().body else { panic!() };
            assert_eq!(Poll::read(written), Ok(poll));
        }
        for options in [0, 1, 33, 1000] {
            assert!(poll("where?", options).is_none(), "{options}");
        }
        assert!(poll(&"a".repeat(1000), 2).is_some());
        for question in ["", "  ", &"a".repeat(1001)] {
            assert!(poll(question, 2).is_none());
        }
        let with =
            |option: &str| Poll::new("where?".to_owned(), vec!["here".to_owned(), option.to_owned()], false);
        assert!(with(&"a".repeat(255)).is_some());
        for option in ["", " ", "here", &"a".repeat(256)] {
            assert!(with(option).is_none());
        }
    }

    #[test]
    fn options_that_are_cut_off_or_too_many_are_refused() {
        let read = |options: &[u8]| {
            Poll::read(proto::Poll {
                question: "where?".to_owned(),
                options: options.to_vec(),
                multiple: false,
            })
        };
        assert!(read(b"\x01a\x01b").is_ok());
        for bad in [&b"\x01a\x02b"[..], b"\x01a\x01\xff", b"\x01a", b"", &b"\x01a".repeat(1000), &[0; 1000]] {
            assert_eq!(read(bad), Err(ContentError::Malformed), "{bad:?}");
        }
    }

    #[test]
    fn choices_must_exist_in_the_poll() {
        let choices = |numbers: &[u32]| Choices::new(numbers.to_vec());
        for bad in [&[32][..], &[1, 1], &[u32::MAX], &[256], &[0; 33]] {
            assert!(choices(bad).is_none(), "{bad:?}");
        }
        assert_eq!(choices(&[2, 0]).unwrap().as_bytes(), [0, 2]);
        assert!(Choices::from_bytes(vec![2, 0]).is_none() && Choices::from_bytes(vec![0; 2]).is_none());
        let (many, one) =
            (poll("where?", 3).unwrap(), Poll { is_multiple: false, ..poll("where?", 3).unwrap() });
        for (numbers, in_many, in_one) in
            [(&[][..], true, true), (&[2], true, true), (&[0, 2], true, false), (&[3], false, false)]
        {
            let choices = choices(numbers).unwrap();
            assert_eq!((many.allows(&choices), one.allows(&choices)), (in_many, in_one), "{numbers:?}");
        }
    }
}

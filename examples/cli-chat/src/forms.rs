//! The arguments of commands that have several parts.

use sealpost_core::PrivacySetting;

use crate::news::Change;

/// 10,000,000 units are one degree.
const UNITS: f64 = 1e7;

type Read<T> = Result<T, &'static str>;

/// `question | option | option`.
pub(crate) fn poll(form: &str, is_multiple: bool) -> Read<Change> {
    let mut parts = form.split('|').map(|part| part.trim().to_owned());
    let question = parts.next().unwrap_or_default();
    let options: Vec<String> = parts.collect();
    if question.is_empty() || options.len() < 2 || options.iter().any(String::is_empty) {
        return Err("a poll needs a question and two options: /poll Tea or coffee? | tea | coffee");
    }
    Ok(Change::Poll { question, options, is_multiple })
}

/// Numbers of options, as they are shown, from 1; the result counts from 0.
pub(crate) fn choices(form: &str) -> Read<Vec<u32>> {
    let words = form.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty());
    let number = |word: &str| word.parse().ok().and_then(|number: u32| number.checked_sub(1));
    let choices: Option<Vec<u32>> = words.map(number).collect();
    choices.ok_or("a vote needs the numbers of options: /vote 2")
}

/// `name | phone | e-mail`, of which the last two can be left out.
pub(crate) fn card(form: &str) -> Read<Change> {
    let mut parts = form.split('|').map(|part| part.trim().to_owned());
    let mut part = || parts.next().unwrap_or_default();
    let (name, phone, email) = (part(), part(), part());
    if name.is_empty() || parts.next().is_some() {
        return Err("a contact card needs a name: /card Ada | +41 44 555 01 23 | ada@example.org");
    }
    Ok(Change::Card { name, phone, email })
}

/// `address | title | description`, of which the last one can be left out.
pub(crate) fn link(form: &str) -> Read<Change> {
    const USAGE: &str =
        "a link needs an address and a title: /link https://example.org | Example | an example";
    let mut parts = form.split('|').map(|part| part.trim().to_owned());
    let mut part = || parts.next().unwrap_or_default();
    let (url, title, description) = (part(), part(), part());
    let is_address = url.starts_with("https://") || url.starts_with("http://");
    if !is_address || url.contains(char::is_whitespace) || title.is_empty() || parts.next().is_some() {
        return Err(USAGE);
    }
    Ok(Change::Link { url, title, description })
}

/// `days`, `days here`: how old messages are at least, and whether it is about the open chat only.
pub(crate) fn clean_up(form: &str) -> Read<(u64, bool)> {
    const USAGE: &str = "/cleanup needs a number of days: /cleanup 365, /cleanup 365 here";
    let (days, is_here) = match form.split_whitespace().collect::<Vec<_>>()[..] {
        [days] => (days, false),
        [days, "here"] => (days, true),
        _ => return Err(USAGE),
    };
    Ok((days.parse().map_err(|_| USAGE)?, is_here))
}

/// `latitude longitude name`, in degrees.
pub(crate) fn location(form: &str) -> Read<Change> {
    const USAGE: &str = "a location needs degrees: /location 47.3769 8.5417 Zürich";
    let mut words = form.splitn(3, char::is_whitespace).map(str::trim);
    let mut degrees = |most: f64| {
        let degrees: f64 = words.next()?.trim_end_matches(',').parse().ok()?;
        // Comparing refuses what is not a number.
        (degrees.abs() <= most).then(|| (degrees * UNITS).round() as i32)
    };
    let (latitude_e7, longitude_e7) = (degrees(90.0).ok_or(USAGE)?, degrees(180.0).ok_or(USAGE)?);
    Ok(Change::Location { latitude_e7, longitude_e7, name: words.next().unwrap_or_default().to_owned() })
}

/// `name | about`; none if nothing is there.
pub(crate) fn profile(form: &str) -> Option<(String, String)> {
    let (name, about) = form.split_once('|').unwrap_or((form, ""));
    (!form.is_empty()).then(|| (name.trim().to_owned(), about.trim().to_owned()))
}

/// What others are told, with the word for it.
pub(crate) const PRIVACY: [(&str, PrivacySetting); 4] = [
    ("delivered", PrivacySetting::DeliveryReceipts),
    ("read", PrivacySetting::ReadReceipts),
    ("typing", PrivacySetting::Typing),
    ("presence", PrivacySetting::Presence),
];

/// `what on`, `what off here`: what others are told, whether they are, and whether it is about the open chat only.
pub(crate) fn privacy(form: &str) -> Read<(PrivacySetting, bool, bool)> {
    const USAGE: &str = "/privacy needs delivered, read, typing or presence, and on or off: /privacy read off, \
                         /privacy read off here";
    let words: Vec<_> = form.split_whitespace().collect();
    let (what, is_on, is_here) = match words[..] {
        [what, is_on] => (what, is_on, false),
        [what, is_on, "here"] => (what, is_on, true),
        _ => return Err(USAGE),
    };
    let what = PRIVACY.iter().find(|(word, _)| *word == what).map(|(_, what)| *what);
    Ok((what.ok_or(USAGE)?, switch(is_on).ok_or(USAGE)?, is_here))
}

/// `on` or `off`.
pub(crate) fn switch(word: &str) -> Option<bool> {
    match word {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_has_a_question_and_at_least_two_options() {
        let options = vec!["tea".to_owned(), "milk | no".split(" | ").next().unwrap().to_owned()];
        let question = "What?".to_owned();
        let expected = Change::Poll { question, options, is_multiple: true };
        assert_eq!(poll("What? | tea|milk", true), Ok(expected));
        for bad in ["", "What?", "What? | tea", " | tea | milk", "What? | tea | "] {
            assert!(poll(bad, false).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_link_has_an_address_and_a_title() {
        let [url, title] = ["https://example.org/a?b", "An example"].map(str::to_owned);
        let link = |description: &str| {
            let (url, title, description) = (url.clone(), title.clone(), description.to_owned());
            Ok(Change::Link { url, title, description })
        };
        assert_eq!(super::link("https://example.org/a?b | An example"), link(""));
        assert_eq!(super::link("https://example.org/a?b|An example|for all"), link("for all"));
        for bad in
            ["", "https://a", "https://a |", "example.org | a", "https://a b | c", "https://a | b | c | d"]
        {
            assert!(super::link(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn votes_count_from_one() {
        assert_eq!(choices("1 3"), Ok(vec![0, 2]));
        assert_eq!(choices("2, 1"), Ok(vec![1, 0]));
        assert_eq!(choices(""), Ok(vec![]));
        for bad in ["0", "-1", "tea", "1 x", "99999999999"] {
            assert!(choices(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_card_needs_only_a_name() {
        let of = |name: &str, phone: &str, email: &str| Change::Card {
            name: name.to_owned(),
            phone: phone.to_owned(),
            email: email.to_owned(),
        };
        assert_eq!(card("Ada"), Ok(of("Ada", "", "")));
        assert_eq!(card("Ada | | a@b"), Ok(of("Ada", "", "a@b")));
        for bad in ["", " | 1", "a|b|c|d"] {
            assert!(card(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_location_is_on_the_earth() {
        let of = |latitude_e7, longitude_e7, name: &str| Change::Location {
            latitude_e7,
            longitude_e7,
            name: name.to_owned(),
        };
        assert_eq!(location("47.3769, 8.5417 Zürich HB"), Ok(of(473_769_000, 85_417_000, "Zürich HB")));
        assert_eq!(location("-90 180"), Ok(of(-900_000_000, 1_800_000_000, "")));
        for bad in ["", "47", "91 0", "0 181", "NaN 0", "inf 0", "here there"] {
            assert!(location(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_profile_is_a_name_and_a_few_words() {
        assert_eq!(profile(""), None);
        assert_eq!(profile("Ada"), Some(("Ada".to_owned(), String::new())));
        assert_eq!(profile("Ada | on a train"), Some(("Ada".to_owned(), "on a train".to_owned())));
    }
}

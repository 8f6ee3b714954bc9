//! Converts texts to the terms in the index, and queries to FTS5 expressions. Both are normalised in the same way.
//!
//! Scripts with spaces between words are indexed by words, and a query matches the beginning of a word. Scripts
//! without spaces (Chinese, Japanese, Thai and others), Hangul, and symbols such as emoji are indexed by overlapping
//! pairs of characters, like in Lucene's `CJKBigramFilter`: any part of such a text is found, without a dictionary.
//!
//! The index determines which messages may match; [`Query::matches`] decides by the text itself. The index contains
//! no more than the first [`MAX_TERM`] letters of a word, and no positions.
//!
//! To remove a message from the index, its terms are computed again. If [`terms`] ever returns other terms for a
//! text, a migration has to empty the index, so that it is built again.

use std::collections::BTreeSet;

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory as Category;

/// The number of letters of a word in the index: one more than the longest prefix index, so that no query scans the
/// terms.
pub(super) const MAX_TERM: usize = 10;
/// The number of words, and of runs of characters without spaces, that count in a query, because each takes time.
const MAX_PARTS: usize = 16;
/// The number of characters of a run that are looked up in the index.
const MAX_RUN: usize = 16;

/// A parsed query.
#[derive(Debug)]
pub(super) struct Query {
    parts: Vec<Part>,
}

/// The text between separators.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A word of a script with spaces.
    Word(String),
    /// At least one character of a script without spaces, or symbols.
    Run(String),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Word,
    Unspaced,
    /// A mark that belongs to the preceding character.
    Mark,
    Separator,
}

/// The terms of a text, without duplicates, separated by spaces. The only ASCII characters in them are small letters
/// and digits, so that FTS5's tokenizer `ascii` finds the same terms.
pub(super) fn terms(text: &str) -> String {
    let parts = parts(text);
    let mut terms = BTreeSet::new();
    for part in &parts {
        match part {
            Part::Word(word) => {
                terms.insert(beginning(word, MAX_TERM));
            }
            Part::Run(run) => {
                terms.extend(pairs(run));
                // Every character must begin a term.
                terms.extend(run.char_indices().last().and_then(|(at, _)| run.get(at..)));
            }
        }
    }
    terms.into_iter().collect::<Vec<_>>().join(" ")
}

impl Query {
    /// `None` if there is nothing to search for. The first [`MAX_PARTS`] different words count.
    pub(super) fn new(words: &str) -> Option<Self> {
        let mut kept = Vec::new();
        for part in parts(words) {
            if kept.len() < MAX_PARTS && !kept.contains(&part) {
                kept.push(part);
            }
        }
        (!kept.is_empty()).then_some(Self { parts: kept })
    }

    /// What is searched for.
    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The FTS5 expression for the messages that may match. It consists of quoted terms only, so that nothing in a
    /// query is interpreted as syntax.
    pub(super) fn expression(&self) -> String {
        let mut expression = String::new();
        for part in &self.parts {
            match part {
                Part::Word(word) => {
                    let term = beginning(word, MAX_TERM);
                    push_term(&mut expression, term, term.chars().count() < MAX_TERM);
                }
                Part::Run(run) => {
                    let mut pairs = pairs(beginning(run, MAX_RUN)).peekable();
                    if pairs.peek().is_none() {
                        push_term(&mut expression, run, true);
                    }
                    pairs.for_each(|pair| push_term(&mut expression, pair, false));
                }
            }
        }
        expression
    }

    /// Whether a text has words that begin with those of the query, and contains the runs of the query.
    pub(super) fn matches(&self, text: &str) -> bool {
        let found = parts(text);
        self.parts.iter().all(|wanted| {
            found.iter().any(|part| match (wanted, part) {
                (Part::Word(beginning), Part::Word(word)) => word.starts_with(beginning),
                (Part::Run(piece), Part::Run(run)) => run.contains(piece),
                _ => false,
            })
        })
    }
}

fn push_term(expression: &mut String, term: &str, prefix: bool) {
    let (space, star) = (if expression.is_empty() { "" } else { " " }, if prefix { "*" } else { "" });
    for piece in [space, "\"", term, "\"", star] {
        expression.push_str(piece);
    }
}

/// At most this many characters.
fn beginning(text: &str, chars: usize) -> &str {
    let end = text.char_indices().nth(chars).map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or(text)
}

/// Each character together with the following one.
fn pairs(run: &str) -> impl Iterator<Item = &str> {
    let ends = run.char_indices().skip(2).map(|(at, _)| at).chain([run.len()]);
    let begins = run.char_indices().map(|(at, _)| at);
    let several = run.chars().nth(1).is_some();
    begins.zip(ends).filter(move |_| several).filter_map(|(begin, end)| run.get(begin..end))
}

/// The normalised words and runs of a text, in order.
pub(super) fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut open: Option<Part> = None;
    for c in fold(text).chars() {
        match (class(c), &mut open) {
            (Class::Separator, open) => parts.extend(open.take()),
            (Class::Word | Class::Mark, Some(Part::Word(text)))
            | (Class::Unspaced | Class::Mark, Some(Part::Run(text))) => text.push(c),
            (Class::Word | Class::Mark, open) => parts.extend(open.replace(Part::Word(c.into()))),
            (Class::Unspaced, open) => parts.extend(open.replace(Part::Run(c.into()))),
        }
    }
    parts.extend(open);
    parts
}

/// NFKC and full case folding (Unicode, section 3.13), without accents, vowel points and invisible characters.
pub(super) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let plain = DecomposingNormalizerBorrowed::new_nfkd()
        .normalize_iter(text.chars())
        .filter(|c| !is_dropped(*c))
        .flat_map(fold_case)
        .flat_map(plain_letters);
    // Composes Hangul syllables, and kana with their voicing marks, into one character again.
    ComposingNormalizerBorrowed::new_nfc().normalize_iter(plain).collect()
}

/// The result of Unicode's full case folding, also for ß, the final sigma and Cherokee: characters that differ only
/// in case have the same capitals.
fn fold_case(c: char) -> impl Iterator<Item = char> {
    c.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

/// Letters that people type in place of others, and that no normalisation form maps.
fn plain_letters(c: char) -> impl Iterator<Item = char> {
    let (first, second) = match c {
        'đ' | 'ð' => ('d', None),
        'ħ' => ('h', None),
        'ı' => ('i', None),
        'ł' => ('l', None),
        'ø' => ('o', None),
        'ŧ' => ('t', None),
        'æ' => ('a', Some('e')),
        'œ' => ('o', Some('e')),
        'þ' => ('t', Some('h')),
        // Arabic and Persian: dotless and Persian yeh, Persian kaf, teh marbuta.
        'ى' | 'ی' => ('ي', None),
        'ک' => ('ك', None),
        'ة' => ('ه', None),
        c => (c, None),
    };
    std::iter::once(first).chain(second)
}

/// Accents, vowel points and invisible characters. Marks that make another letter (voiced kana, the vowels of Thai
/// and of the scripts of India) are kept.
pub(super) const fn is_dropped(c: char) -> bool {
    matches!(c,
        // Accents of Latin, Greek, Cyrillic; marks that enclose a symbol
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}'
        // Points and cantillation of Hebrew
        | '\u{591}'..='\u{5bd}' | '\u{5bf}' | '\u{5c1}' | '\u{5c2}' | '\u{5c4}' | '\u{5c5}' | '\u{5c7}'
        // Vowels and annotations of Arabic, the stretching tatweel; vowels of Syriac
        | '\u{610}'..='\u{61a}' | '\u{640}' | '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{6d6}'..='\u{6dc}'
        | '\u{6df}'..='\u{6e4}' | '\u{6e7}' | '\u{6e8}' | '\u{6ea}'..='\u{6ed}' | '\u{711}'
        | '\u{730}'..='\u{74a}' | '\u{897}'..='\u{89f}' | '\u{8ca}'..='\u{8ff}'
        // Soft hyphen, joiners, directions, variation selectors, fillers, tags
        | '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{1bca0}'..='\u{1bca3}' | '\u{e0000}'..='\u{e0fff}')
}

pub(super) fn class(c: char) -> Class {
    if c.is_ascii() {
        return if c.is_ascii_alphanumeric() { Class::Word } else { Class::Separator };
    }
    match CodePointMapData::<Category>::new().get(c) {
        Category::UppercaseLetter
        | Category::LowercaseLetter
        | Category::TitlecaseLetter
        | Category::ModifierLetter
        | Category::OtherLetter
        | Category::DecimalNumber
        | Category::LetterNumber
        | Category::OtherNumber => {
            if is_unspaced(c) {
                Class::Unspaced
            } else {
                Class::Word
            }
        }
        Category::NonspacingMark | Category::SpacingMark | Category::EnclosingMark => Class::Mark,
        Category::MathSymbol
        | Category::CurrencySymbol
        | Category::ModifierSymbol
        | Category::OtherSymbol => Class::Unspaced,
        _ => Class::Separator,
    }
}

/// Letters of scripts without spaces between words, and Hangul, whose words are compounds.
const fn is_unspaced(c: char) -> bool {
    matches!(c,
        // Thai, Lao, Tibetan, Myanmar, Hangul
        '\u{e00}'..='\u{109f}' | '\u{1100}'..='\u{11ff}'
        // Khmer, Tai Le, New Tai Lue, Tai Tham, Balinese, Sundanese, Batak
        | '\u{1780}'..='\u{17ff}' | '\u{1950}'..='\u{19ff}' | '\u{1a20}'..='\u{1aaf}' | '\u{1b00}'..='\u{1bff}'
        // Kana, Bopomofo, Han, Yi
        | '\u{2e80}'..='\u{a4cf}'
        // Hangul, Javanese, Myanmar, Cham, Tai Viet, Hangul syllables
        | '\u{a960}'..='\u{aadf}' | '\u{ac00}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}'
        // Kana, Tangut, Nushu; Han of the planes above
        | '\u{16fe0}'..='\u{18dff}' | '\u{1aff0}'..='\u{1b2ff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whether a text is found, by evaluating the expression on its terms and then checking the text.
    fn finds(words: &str, text: &str) -> bool {
        let terms = terms(text);
        let Some(query) = Query::new(words) else { return false };
        let may_match = query.expression().split(' ').all(|wanted| {
            let (wanted, prefix) = match wanted.strip_suffix('*') {
                Some(wanted) => (wanted.trim_matches('"'), true),
                None => (wanted.trim_matches('"'), false),
            };
            terms.split(' ').any(|term| term == wanted || (prefix && term.starts_with(wanted)))
        });
        assert!(may_match || !query.matches(text), "the index would hide {words:?} in {text:?}");
        may_match && query.matches(text)
    }

    fn expression(words: &str) -> Option<String> {
        Query::new(words).map(|query| query.expression())
    }

    #[test]
    fn words_are_folded_and_characters_without_spaces_are_paired() {
        for (text, expected) in [
            ("", ""),
            (" \t\0,. ", ""),
            ("Hello, World 42!", "hello world 42"),
            ("he\0llo", "he llo"),
            ("Crème BRÛLÉE", "creme brulee"),
            ("北京", "北京 京"),
            ("iPhone手机7", "iphone 手机 机 7"),
            ("が", "が"),
            ("か\u{3099}い", "がい い"),
            ("\u{1112}\u{1161}\u{11ab}글", "한글 글"),
            ("🎉🎉 🎉", "🎉🎉 🎉"),
            ("❤\u{fe0f}", "❤"),
            ("नमस्ते दुनिया", "नमस्ते दुनिया"),
            ("5 € + 3 $", "5 € 3"),
        ] {
            let mut expected: Vec<_> = expected.split(' ').collect();
            expected.sort_unstable();
            assert_eq!(terms(text), expected.join(" "), "{text:?}");
        }
    }

    #[test]
    fn a_query_is_made_of_quoted_terms_only() {
        for (words, expected) in [
            ("", None),
            (" \0 \" * ( ) ^ - : ", None),
            ("he\0llo\"", Some("\"he\"* \"llo\"*")),
            ("a NOT b OR a", Some("\"a\"* \"not\"* \"b\"* \"or\"*")),
            ("text:x*", Some("\"text\"* \"x\"*")),
            ("京", Some("\"京\"*")),
            ("北京市", Some("\"北京\" \"京市\"")),
            ("Wi-Fi 大阪", Some("\"wi\"* \"fi\"* \"大阪\"")),
        ] {
            assert_eq!(expression(words).as_deref(), expected, "{words:?}");
        }
    }

    #[test]
    fn a_text_is_found_by_every_equivalent_spelling() {
        for (text, words) in [
            ("ΟΔΥΣΣΕΥΣ", "οδυσσευς"),
            ("Ὀδυσσεύς", "ΟΔΥΣΣΕΥΣ"),
            ("λόγος", "ΛΟΓΟΣ"),
            ("DIYARBAKIR", "diyarbakır"),
            ("İstanbul", "istanbul"),
            ("STRASSE", "straße"),
            ("GROẞ", "gross"),
            ("שָׁלוֹם", "שלום"),
            ("مُحَمَّد", "محمد"),
            ("أحمد", "احمد"),
            ("كـــتاب", "كتاب"),
            ("ｶﾞｲﾄﾞ", "ガイド"),
            ("①②", "12"),
            ("ﬁne", "fine"),
            ("Łódź", "lodz"),
            ("Ꭰꮃ", "ꭰꮃ"),
            ("👍🏽 done", "👍"),
            ("👨\u{200d}👩\u{200d}👧", "👧"),
            ("🇩🇪🇫🇷", "🇫🇷"),
            ("ភាសាខ្មែរ", "ខ្មែរ"),
            ("မြန်မာဘာသာ", "ဘာသာ"),
            ("ພາສາລາວ", "ລາວ"),
            ("བོད་སྐད", "སྐད"),
            ("대한민국", "민국"),
            ("東京タワー", "タワー"),
            ("\u{20000}\u{20001}", "\u{20001}"),
        ] {
            assert!(finds(words, text), "{words:?} in {text:?}: {:?} {:?}", expression(words), terms(text));
        }
        for (text, words) in [
            ("ばら", "はら"),
            ("กา", "กี"),
            ("北 京", "北京"),
            ("京北", "北京"),
            ("Wi-Fi", "fix"),
            ("कि", "कु"),
        ] {
            assert!(!finds(words, text), "{words:?} in {text:?}");
        }
    }

    #[test]
    fn the_text_is_compared_where_the_index_is_ambiguous() {
        // Words that are equal up to the length that the index stores, and pairs that are not adjacent.
        for (text, words) in [("internationalist", "internationalisation"), ("京都大学 学京", "大学京")]
        {
            let query = Query::new(words).unwrap();
            assert!(query.expression().split(' ').all(|term| {
                let term = term.trim_matches('"');
                terms(text).split(' ').any(|found| found == term)
            }));
            assert!(!query.matches(text), "{words:?} in {text:?}");
        }
    }

    #[test]
    fn long_words_are_truncated_alike_in_the_index_and_in_a_query() {
        let word = "x".repeat(1000);
        assert_eq!(terms(&word).len(), MAX_TERM);
        assert!(finds(&word, &word));
        let run: String = ('一'..='龥').collect();
        assert_eq!(terms(&run).split(' ').count(), run.chars().count());
        assert_eq!(expression(&run).unwrap().split(' ').count(), MAX_RUN - 1);
        assert!(finds(&run, &run));
        let many: String = (0..1000).map(|n| format!("w{n} ")).collect();
        assert_eq!(expression(&many).unwrap().matches('*').count(), MAX_PARTS);
        assert_eq!(expression("again AGAIN again").as_deref(), Some("\"again\"*"));
    }

    proptest! {
        #[test]
        fn terms_survive_the_tokenizer(text in any::<String>()) {
            let terms = terms(&text);
            // The tokenizer `ascii` accepts ASCII letters and digits, and all other characters that are not ASCII.
            let plain = |c: char| c == ' ' || c.is_ascii_digit() || c.is_ascii_lowercase() || !c.is_ascii();
            prop_assert!(terms.chars().all(plain), "{:?}", terms);
            prop_assert!(terms.is_empty() || terms.split(' ').all(|term| !term.is_empty()), "{:?}", terms);
        }

        #[test]
        fn a_query_never_contains_fts5_syntax_of_its_own(words in any::<String>()) {
            let Some(expression) = expression(&words) else { return Ok(()) };
            let bare: String = expression.chars().filter(|c| !matches!(c, '"' | '*' | ' ')).collect();
            prop_assert!(bare.chars().all(|c| c.is_ascii_alphanumeric() || !c.is_ascii()), "{:?}", expression);
            prop_assert_eq!(expression.matches('"').count() % 2, 0);
        }

        #[test]
        fn a_text_is_found_by_itself_and_in_small_letters_and_capitals(text in "\\PC{1,24}") {
            // The iota under a Greek vowel is removed like an accent, but beside a capital it is a letter.
            let iota = DecomposingNormalizerBorrowed::new_nfkd().normalize(&text).contains('\u{345}');
            if expression(&text).is_some() && !iota {
                prop_assert!(finds(&text, &text));
                prop_assert!(finds(&text.to_uppercase(), &text), "{:?} {:?}", terms(&text.to_uppercase()), terms(&text));
                prop_assert!(finds(&text.to_lowercase(), &text));
            }
        }

        #[test]
        fn any_part_of_a_text_without_spaces_is_found(
            text in "[\u{4e00}-\u{9fff}\u{3041}-\u{3096}\u{e01}-\u{e2e}\u{ac00}-\u{d7a3}]{1,20}",
            from in any::<prop::sample::Index>(),
            length in 1_usize..20,
        ) {
            let from = from.index(text.chars().count());
            let part: String = text.chars().skip(from).take(length).collect();
            prop_assert!(finds(&part, &text));
        }

        #[test]
        fn a_word_is_found_by_any_beginning(text in "[a-zA-Zа-яёΑ-ΡΣ-Ωά-ώ]{1,20}", length in 1_usize..20) {
            let beginning: String = text.chars().take(length).collect();
            prop_assert!(finds(&beginning, &text));
        }
    }
}

//! What accompanies a text: styled ranges, mentions, and the preview of a link.
//!
//! Ranges count bytes of UTF-8, as the text itself is UTF-8: whether a range fits is checked without another form of the text, and no
//! language is preferred. [`TextRange`] converts to and from UTF-16, which Swift's and Kotlin's texts count in.
//!
//! A text must not be lost because of its decoration, so a range that does not fit the text, and the preview of a link that is not in it,
//! are left out on arrival. More than the permitted number or size is malformed.

use std::fmt;
use std::ops::Range;

use super::{ContentError, MAX_TEXT, proto};
use crate::id::UserId;

/// Maximum number of styled ranges of a text.
pub const MAX_STYLES: usize = 256;
/// Maximum number of mentions in a text.
pub const MAX_MENTIONS: usize = 64;
/// Maximum size of the address of a link preview, in bytes of UTF-8.
pub const MAX_PREVIEW_URL: usize = 2000;
/// Maximum size of the title of a link preview, in bytes of UTF-8.
pub const MAX_PREVIEW_TITLE: usize = 300;
/// Maximum size of the description of a link preview, in bytes of UTF-8.
pub const MAX_PREVIEW_DESCRIPTION: usize = 1000;
/// Maximum size of the thumbnail of a link preview, in bytes.
pub const MAX_PREVIEW_THUMBNAIL: usize = 16_384;

/// The size of a styled range on the wire: start and length as big-endian numbers of 16 bits, and the style.
const STYLE: usize = 5;
/// The size of a mention on the wire: start and length, and the user.
const MENTION: usize = 20;

/// A part of a text, in bytes of UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TextRange {
    /// Where it begins, in bytes of UTF-8.
    pub start: u32,
    /// Its length, in bytes of UTF-8.
    pub length: u32,
}

impl TextRange {
    /// The range of a text that begins at this code unit of UTF-16 and has this many of them; `None` if it is not within the text, or
    /// begins or ends inside of a character.
    pub fn from_utf16(text: &str, start: u32, length: u32) -> Option<Self> {
        let end = start.checked_add(length)?;
        let (mut units, mut from, mut to) = (0_u32, None, None);
        // The end of the text is a boundary, too.
        for (at, width) in text.char_indices().map(|(at, c)| (at, c.len_utf16())).chain([(text.len(), 0)]) {
            from = if units == start { from.or(Some(at)) } else { from };
            to = if units == end { to.or(Some(at)) } else { to };
            units = units.checked_add(u32::try_from(width).ok()?)?;
        }
        let (from, to) = (u32::try_from(from?).ok()?, u32::try_from(to?).ok()?);
        Some(Self { start: from, length: to.checked_sub(from)? })
    }

    /// Its start and its length in code units of UTF-16; `None` if it is not a range of this text.
    pub fn to_utf16(self, text: &str) -> Option<(u32, u32)> {
        let bytes = self.bytes()?;
        let units = |text: &str| u32::try_from(text.encode_utf16().count()).ok();
        Some((units(text.get(..bytes.start)?)?, units(text.get(bytes)?)?))
    }

    /// The part of the text; `None` if the range is not within it, or begins or ends inside of a character.
    pub fn of(self, text: &str) -> Option<&str> {
        text.get(self.bytes()?)
    }

    fn bytes(self) -> Option<Range<usize>> {
        let end = self.start.checked_add(self.length)?;
        Some(usize::try_from(self.start).ok()?..usize::try_from(end).ok()?)
    }

    fn fits(self, text: &str) -> bool {
        self.of(text).is_some_and(|part| !part.is_empty())
    }

    fn end(self) -> u32 {
        self.start.saturating_add(self.length)
    }

    /// A text has at most [`MAX_TEXT`] bytes, so that its ranges fit.
    fn write(self) -> [u8; 4] {
        let number = |number: u32| u16::try_from(number).unwrap_or(u16::MAX).to_be_bytes();
        let ([a, b], [c, d]) = (number(self.start), number(self.length));
        [a, b, c, d]
    }

    fn read([a, b, c, d]: [u8; 4]) -> Self {
        Self { start: u16::from_be_bytes([a, b]).into(), length: u16::from_be_bytes([c, d]).into() }
    }
}

/// How a part of a text is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TextStyle {
    /// Bold.
    Bold,
    /// Italic.
    Italic,
    /// Struck through.
    Strikethrough,
    /// In letters of the same width.
    Monospace,
    /// Covered until the person uncovers it.
    Spoiler,
}

impl TextStyle {
    /// The number on the wire, which never changes.
    const fn write(self) -> u8 {
        match self {
            Self::Bold => 1,
            Self::Italic => 2,
            Self::Strikethrough => 3,
            Self::Monospace => 4,
            Self::Spoiler => 5,
        }
    }

    /// `None` for a style of a later version.
    const fn read(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Bold),
            2 => Some(Self::Italic),
            3 => Some(Self::Strikethrough),
            4 => Some(Self::Monospace),
            5 => Some(Self::Spoiler),
            _ => None,
        }
    }
}

/// A part of a text with a style. Ranges may overlap, also with the same style.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StyledRange {
    /// The part of the text.
    pub range: TextRange,
    /// Its style.
    pub style: TextStyle,
}

/// A part of a text that names a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mention {
    /// The part of the text, for example "@Ada". Mentions do not overlap.
    pub range: TextRange,
    /// The user, or [`EVERYBODY`].
    pub user: UserId,
}

/// Mentions all members of a group. In a group of more than 32 members, only admins can do so; others' mentions of everybody count for nobody.
pub const EVERYBODY: UserId = UserId::from_bytes([0xff; 16]);

/// The preview of a link in a text, which the sender's app has made. Nothing of it is verified: show the address.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct LinkPreview {
    /// The address, which is in the text and begins with `http://` or `https://`; at most [`MAX_PREVIEW_URL`] bytes.
    pub url: String,
    /// The title of the page, at most [`MAX_PREVIEW_TITLE`] bytes of UTF-8; can be empty.
    pub title: String,
    /// A description, at most [`MAX_PREVIEW_DESCRIPTION`] bytes of UTF-8; can be empty.
    pub description: String,
    /// A small picture in a format that the apps agree on, at most [`MAX_PREVIEW_THUMBNAIL`] bytes; can be empty.
    pub thumbnail: Vec<u8>,
}

/// Contains nothing that a person wrote, so that it cannot end up in a log.
impl fmt::Debug for LinkPreview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkPreview({} bytes)", self.size())
    }
}

impl LinkPreview {
    fn size(&self) -> usize {
        [self.url.len(), self.title.len(), self.description.len(), self.thumbnail.len()]
            .iter()
            .fold(0, |sum, size| usize::saturating_add(sum, *size))
    }

    fn is_within_bounds(&self) -> bool {
        self.url.len() <= MAX_PREVIEW_URL
            && self.title.len() <= MAX_PREVIEW_TITLE
            && self.description.len() <= MAX_PREVIEW_DESCRIPTION
            && self.thumbnail.len() <= MAX_PREVIEW_THUMBNAIL
    }

    /// Whether it is the preview of a link that the person sees in the text.
    fn belongs_to(&self, text: &str) -> bool {
        let rest = ["http://", "https://"].iter().find_map(|scheme| self.url.strip_prefix(scheme));
        rest.is_some_and(|rest| !rest.is_empty()) && text.contains(&self.url)
    }
}

/// What accompanies a text. Its total size together with the text is at most [`MAX_TEXT`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Markup {
    /// Styled ranges, at most [`MAX_STYLES`].
    pub styles: Vec<StyledRange>,
    /// Mentions, at most [`MAX_MENTIONS`].
    pub mentions: Vec<Mention>,
    /// The preview of a link.
    pub preview: Option<Box<LinkPreview>>,
}

/// What a text is accompanied by on the wire.
pub(super) struct Written {
    pub(super) styles: Vec<u8>,
    pub(super) mentions: Vec<u8>,
    pub(super) preview: Option<proto::LinkPreview>,
}

impl Markup {
    pub(crate) fn is_empty(&self) -> bool {
        self.styles.is_empty() && self.mentions.is_empty() && self.preview.is_none()
    }

    /// What recipients show of it: in order, each once, and only what fits the text.
    fn cleaned(mut self, text: &str) -> Self {
        self.styles.retain(|styled| styled.range.fits(text));
        self.styles.sort_unstable();
        self.styles.dedup();
        self.mentions.retain(|mention| mention.range.fits(text));
        self.mentions.sort_unstable();
        let mut end = 0;
        self.mentions.retain(|mention| {
            let is_free = mention.range.start >= end;
            end = if is_free { mention.range.end() } else { end };
            is_free
        });
        self.preview = self.preview.filter(|preview| preview.belongs_to(text));
        self
    }

    /// `None` if recipients would refuse it, or leave something out.
    pub(crate) fn for_sending(self, text: &str) -> Option<Self> {
        let (styles, mentions) = (self.styles.len(), self.mentions.len());
        let has_preview = self.preview.is_some();
        if !self.is_within_bounds(text) {
            return None;
        }
        let cleaned = self.cleaned(text);
        let is_whole = cleaned.styles.len() == styles
            && cleaned.mentions.len() == mentions
            && cleaned.preview.is_some() == has_preview;
        is_whole.then_some(cleaned)
    }

    fn is_within_bounds(&self, text: &str) -> bool {
        let (styles, mentions) = (self.styles.len(), self.mentions.len());
        let preview = self.preview.as_deref().map_or(0, LinkPreview::size);
        let sizes = [text.len(), styles.saturating_mul(STYLE), mentions.saturating_mul(MENTION), preview];
        styles <= MAX_STYLES
            && mentions <= MAX_MENTIONS
            && self.preview.as_deref().is_none_or(LinkPreview::is_within_bounds)
            && sizes.into_iter().fold(0, usize::saturating_add) <= MAX_TEXT
    }

    pub(super) fn write(&self) -> Written {
        let mut styles = Vec::with_capacity(self.styles.len().saturating_mul(STYLE));
        for StyledRange { range, style } in &self.styles {
            styles.extend_from_slice(&range.write());
            styles.push(style.write());
        }
        let mut mentions = Vec::with_capacity(self.mentions.len().saturating_mul(MENTION));
        for Mention { range, user } in &self.mentions {
            mentions.extend_from_slice(&range.write());
            mentions.extend_from_slice(user.as_bytes());
        }
        let preview = self.preview.clone().map(|preview| {
            let LinkPreview { url, title, description, thumbnail } = *preview;
            proto::LinkPreview { url, title, description, thumbnail }
        });
        Written { styles, mentions, preview }
    }

    /// # Errors
    /// [`ContentError::Malformed`] if there is too much of something, or bytes are left over.
    pub(super) fn read(text: &str, written: Written) -> Result<Self, ContentError> {
        let Written { styles, mentions, preview } = written;
        let ((styles, no_styles), (mentions, no_mentions)) =
            (styles.as_chunks::<STYLE>(), mentions.as_chunks::<MENTION>());
        let is_too_much = styles.len() > MAX_STYLES || mentions.len() > MAX_MENTIONS;
        if is_too_much || !no_styles.is_empty() || !no_mentions.is_empty() {
            return Err(ContentError::Malformed);
        }
        let style = |[a, b, c, d, style]: &[u8; STYLE]| {
            let range = TextRange::read([*a, *b, *c, *d]);
            TextStyle::read(*style).map(|style| StyledRange { range, style })
        };
        let mention = |bytes: &[u8; MENTION]| {
            let (range, user) = bytes.split_first_chunk::<4>()?;
            Some(Mention { range: TextRange::read(*range), user: UserId::from_slice(user).ok()? })
        };
        let preview = preview.map(|preview| {
            let proto::LinkPreview { url, title, description, thumbnail } = preview;
            Box::new(LinkPreview { url, title, description, thumbnail })
        });
        let markup = Self {
            styles: styles.iter().filter_map(style).collect(),
            mentions: mentions.iter().filter_map(mention).collect(),
            preview,
        };
        if markup.is_within_bounds(text) { Ok(markup.cleaned(text)) } else { Err(ContentError::Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "a é 🎈 https://example.org/a";

    fn range(start: u32, length: u32) -> TextRange {
        TextRange { start, length }
    }

    fn styled(start: u32, length: u32) -> StyledRange {
        StyledRange { range: range(start, length), style: TextStyle::Bold }
    }

    fn mention(start: u32, length: u32) -> Mention {
        Mention { range: range(start, length), user: UserId::from_bytes([7; 16]) }
    }

    fn preview(url: &str) -> LinkPreview {
        LinkPreview { url: url.to_owned(), ..LinkPreview::default() }
    }

    #[test]
    fn a_range_that_does_not_fit_is_left_out_on_arrival_and_refused_before() {
        // Inside of é and of the balloon, behind the end, across it, and empty.
        for (start, length) in [(3, 1), (2, 1), (6, 2), (99, 1), (0, 99), (0, 0), (u32::MAX, u32::MAX)] {
            let markup = Markup { styles: vec![styled(start, length)], ..Markup::default() };
            assert_eq!(markup.clone().for_sending(TEXT), None, "{start} {length}");
            assert_eq!(markup.cleaned(TEXT), Markup::default());
            let markup = Markup { mentions: vec![mention(start, length)], ..Markup::default() };
            assert_eq!(markup.clone().for_sending(TEXT), None, "{start} {length}");
        }
        let fits = Markup { styles: vec![styled(5, 4), styled(2, 2), styled(0, 9)], ..Markup::default() };
        let sorted = [styled(0, 9), styled(2, 2), styled(5, 4)];
        assert_eq!(fits.for_sending(TEXT).unwrap().styles, sorted);
    }

    #[test]
    fn styles_overlap_and_mentions_do_not() {
        let all = Markup {
            styles: vec![styled(0, 4), styled(2, 7)],
            mentions: vec![mention(0, 4), mention(2, 7), mention(5, 4)],
            preview: None,
        };
        assert_eq!(all.clone().for_sending(TEXT), None);
        let read = Markup::read(TEXT, all.write()).unwrap();
        assert_eq!((read.styles.len(), read.mentions), (2, vec![mention(0, 4), mention(5, 4)]));
    }

    #[test]
    fn a_preview_is_of_a_link_in_the_text() {
        let with = |preview| Markup { preview: Some(Box::new(preview)), ..Markup::default() };
        let good = preview("https://example.org/a");
        assert!(with(good.clone()).for_sending(TEXT).is_some());
        for url in ["", "https://", "https://example.com", "example.org/a", "🎈"] {
            assert_eq!(with(preview(url)).for_sending(TEXT), None, "{url}");
            assert_eq!(Markup::read(TEXT, with(preview(url)).write()), Ok(Markup::default()), "{url}");
        }
        for large in [
            LinkPreview { title: "a".repeat(301), ..good.clone() },
            LinkPreview { description: "a".repeat(1001), ..good.clone() },
            LinkPreview { thumbnail: vec![0; 16_385], ..good.clone() },
            preview(&format!("https://{}", "a".repeat(1993))),
        ] {
            assert_eq!(with(large.clone()).for_sending(TEXT), None);
            assert_eq!(Markup::read(TEXT, with(large).write()), Err(ContentError::Malformed));
        }
        // Together with the text, it fits into a message.
        let long = format!("{TEXT} {}", "a".repeat(MAX_TEXT - 10_000));
        let large = with(LinkPreview { thumbnail: vec![0; 10_000], ..good });
        assert_eq!(large.for_sending(&long), None);
    }

    #[test]
    fn too_many_ranges_and_left_over_bytes_are_malformed() {
        let empty = || Written { styles: Vec::new(), mentions: Vec::new(), preview: None };
        let styles = |styles| Markup::read(TEXT, Written { styles, ..empty() });
        let mentions = |mentions| Markup::read(TEXT, Written { mentions, ..empty() });
        assert!(styles([0, 0, 0, 1, 1].repeat(256)).is_ok());
        assert_eq!(styles([0, 0, 0, 1, 1].repeat(257)), Err(ContentError::Malformed));
        assert_eq!(styles(vec![0; 4]), Err(ContentError::Malformed));
        assert!(mentions(vec![0; 64 * 20]).is_ok());
        assert_eq!(mentions(vec![0; 65 * 20]), Err(ContentError::Malformed));
        assert_eq!(mentions(vec![0; 21]), Err(ContentError::Malformed));
        // A style of a later version.
        assert_eq!(styles(vec![0, 0, 0, 1, 9]), Ok(Markup::default()));
    }

    proptest! {
        #[test]
        fn ranges_convert_to_utf16_and_back(text in ".{0,30}", from in 0_usize..31, count in 0_usize..31) {
            let part: String = text.chars().skip(from).take(count).collect();
            let start = text.chars().take(from).map(char::len_utf8).sum::<usize>();
            let range = range(u32::try_from(start).unwrap(), u32::try_from(part.len()).unwrap());
            prop_assert_eq!(range.of(&text), Some(part.as_str()));
            let (at, length) = range.to_utf16(&text).unwrap();
            let units: Vec<u16> = text.encode_utf16().collect();
            let (first, last) = (usize::try_from(at).unwrap(), usize::try_from(at.saturating_add(length)).unwrap());
            prop_assert_eq!(String::from_utf16(&units[first..last]).unwrap(), part);
            prop_assert_eq!(TextRange::from_utf16(&text, at, length), Some(range));
        }

        #[test]
        fn any_numbers_are_a_range_of_the_text_or_none(text in ".{0,9}", start in 0_u32..40, length in 0_u32..40) {
            if let Some(range) = TextRange::from_utf16(&text, start, length) {
                prop_assert_eq!(range.to_utf16(&text), Some((start, length)));
            }
            if let Some((at, units)) = range(start, length).to_utf16(&text) {
                prop_assert_eq!(TextRange::from_utf16(&text, at, units), Some(range(start, length)));
            }
        }

        #[test]
        fn any_bytes_are_refused_or_fit_the_text(
            text in ".{0,20}",
            styles in proptest::collection::vec(0_u8..8, 0..30),
            mentions in proptest::collection::vec(0_u8..9, 0..60),
        ) {
            if let Ok(markup) = Markup::read(&text, Written { styles, mentions, preview: None }) {
                prop_assert!(markup.styles.iter().all(|styled| styled.range.fits(&text)));
                prop_assert!(markup.mentions.iter().all(|mention| mention.range.fits(&text)));
                prop_assert!(markup.mentions.is_sorted_by(|a, b| a.range.end() <= b.range.start));
                prop_assert_eq!(markup.clone().for_sending(&text), Some(markup));
            }
        }
    }
}

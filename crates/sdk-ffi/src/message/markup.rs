//! What accompanies a text: styled ranges, mentions, and the preview of a link.

use std::fmt;

use sealpost_core as core;

use crate::{Result, UserId};

/// A part of a text, in bytes of UTF-8. The layers of both languages convert it to and from their own ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct TextRange {
    /// Where it begins, in bytes of UTF-8.
    #[uniffi(default = 0)]
    pub start: u32,
    /// Its length, in bytes of UTF-8.
    #[uniffi(default = 0)]
    pub length: u32,
}

impl From<core::TextRange> for TextRange {
    fn from(range: core::TextRange) -> Self {
        Self { start: range.start, length: range.length }
    }
}

impl From<TextRange> for core::TextRange {
    fn from(range: TextRange) -> Self {
        Self { start: range.start, length: range.length }
    }
}

/// How a part of a text is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
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
    /// None for a style that the binding does not know.
    fn known(style: core::TextStyle) -> Option<Self> {
        match style {
            core::TextStyle::Bold => Some(Self::Bold),
            core::TextStyle::Italic => Some(Self::Italic),
            core::TextStyle::Strikethrough => Some(Self::Strikethrough),
            core::TextStyle::Monospace => Some(Self::Monospace),
            core::TextStyle::Spoiler => Some(Self::Spoiler),
            _ => None,
        }
    }
}

impl From<TextStyle> for core::TextStyle {
    fn from(style: TextStyle) -> Self {
        match style {
            TextStyle::Bold => Self::Bold,
            TextStyle::Italic => Self::Italic,
            TextStyle::Strikethrough => Self::Strikethrough,
            TextStyle::Monospace => Self::Monospace,
            TextStyle::Spoiler => Self::Spoiler,
        }
    }
}

/// A part of a text with a style. Ranges may overlap, also with the same style.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct StyledRange {
    /// The part of the text.
    pub range: TextRange,
    /// Its style.
    pub style: TextStyle,
}

/// A part of a text that names a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct Mention {
    /// The part of the text, for example "@Ada". Mentions do not overlap.
    pub range: TextRange,
    /// The user, or `everybody` for all members of a group.
    pub user: UserId,
}

/// The user of a `Mention` of all members of a group. In a group of more than 32 members, only admins can mention all; what others write is
/// no mention of anybody.
#[uniffi::export]
pub fn everybody() -> Result<UserId> {
    Ok(core::EVERYBODY)
}

/// The preview of a link in a text, which the sender's app has made. Nothing of it is verified: show the address.
// Compared here, because Kotlin compares arrays by their identity.
#[derive(Clone, PartialEq, Eq, Hash, uniffi::Record)]
#[uniffi::export(Debug, Eq, Hash)]
pub struct LinkPreview {
    /// The address, which is in the text and begins with `http://` or `https://`; at most 2000 bytes.
    pub url: String,
    /// The title of the page, at most 300 bytes of UTF-8; can be empty.
    #[uniffi(default = "")]
    pub title: String,
    /// A description of the page, at most 1000 bytes of UTF-8; can be empty.
    #[uniffi(default = "")]
    pub summary: String,
    /// A small picture in a format that the apps agree on, at most 16,384 bytes; can be empty.
    #[uniffi(default)]
    pub thumbnail: Vec<u8>,
}

impl From<core::LinkPreview> for LinkPreview {
    fn from(preview: core::LinkPreview) -> Self {
        let core::LinkPreview { url, title, description, thumbnail } = preview;
        Self { url, title, summary: description, thumbnail }
    }
}

impl From<LinkPreview> for core::LinkPreview {
    fn from(preview: LinkPreview) -> Self {
        let LinkPreview { url, title, summary, thumbnail } = preview;
        Self { url, title, description: summary, thumbnail }
    }
}

/// Contains nothing that a person wrote, so that it cannot end up in a log.
impl fmt::Debug for LinkPreview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkPreview(..)")
    }
}

/// What accompanies a text. Its total size together with the text is at most 48,000 bytes.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Markup {
    /// Styled ranges, at most 256.
    #[uniffi(default = [])]
    pub styles: Vec<StyledRange>,
    /// Mentions, at most 64.
    #[uniffi(default = [])]
    pub mentions: Vec<Mention>,
    /// The preview of a link.
    #[uniffi(default = None)]
    pub preview: Option<LinkPreview>,
}

impl From<core::Markup> for Markup {
    fn from(markup: core::Markup) -> Self {
        let styled = |styled: core::StyledRange| {
            Some(StyledRange { range: styled.range.into(), style: TextStyle::known(styled.style)? })
        };
        let mention = |mention: core::Mention| Mention { range: mention.range.into(), user: mention.user };
        Self {
            styles: markup.styles.into_iter().filter_map(styled).collect(),
            mentions: markup.mentions.into_iter().map(mention).collect(),
            preview: markup.preview.map(|preview| LinkPreview::from(*preview)),
        }
    }
}

impl From<Markup> for core::Markup {
    fn from(markup: Markup) -> Self {
        let styled = |styled: StyledRange| core::StyledRange {
            range: styled.range.into(),
            style: styled.style.into(),
        };
        let mention = |mention: Mention| core::Mention { range: mention.range.into(), user: mention.user };
        Self {
            styles: markup.styles.into_iter().map(styled).collect(),
            mentions: markup.mentions.into_iter().map(mention).collect(),
            preview: markup.preview.map(|preview| Box::new(preview.into())),
        }
    }
}

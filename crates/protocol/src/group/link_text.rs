//! The link by which people join a group, as members show and send it.

use std::fmt;
use std::str::FromStr;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{GroupId, GroupSecret, LinkSecret};
use crate::device::link::text;
use crate::primitives::kdf::sha256;
use crate::stored::StoredBytes;

const MAGIC: &[u8; 3] = b"SPG";
const VERSION: u8 = 1;
/// Before the text form.
const SCHEME: &str = "SEALPOST-GROUP:";
const CHECKSUM_LEN: usize = 4;

/// Why something that was scanned or pasted is not a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupLinkError {
    /// It is something else.
    #[error("not the link of a group")]
    NotALink,
    /// A later version of the library has made it.
    #[error("a link of another version")]
    OtherVersion,
    /// Something is missing, was changed, or follows it.
    #[error("the link is damaged")]
    Damaged,
}

/// The link of a group. Whoever has it can join, so it is as secret as the members want it to be. It contains the secret of the group, which everybody
/// gets who joins, so that the title can be shown before.
pub struct GroupLink {
    /// The group.
    pub group: GroupId,
    /// With which somebody joins.
    pub secret: LinkSecret,
    /// The secret of the group when the link was shown, if who showed it had it. A removal that is no entry of an admin replaces it, but not the link.
    pub group_secret: Option<GroupSecret>,
}

impl GroupLink {
    /// The text form: a scheme and base32 in upper case, which a QR code stores compactly and which can be pasted.
    pub fn to_text(&self) -> Zeroizing<String> {
        let digits = Zeroizing::new(text::encode(&self.to_bytes()));
        let mut text = Zeroizing::new(String::with_capacity(SCHEME.len().saturating_add(digits.len())));
        text.push_str(SCHEME);
        text.push_str(&digits);
        text
    }

    /// `"SPG" || version (1) || group (16) || secret of the link (32) || secret of the group (32, or nothing) || the first 4 bytes of the SHA-256 of all
    /// this`.
    fn to_bytes(&self) -> StoredBytes {
        let mut bytes = Vec::with_capacity(4 + 16 + 64 + CHECKSUM_LEN);
        bytes.extend(MAGIC);
        bytes.push(VERSION);
        bytes.extend(self.group);
        bytes.extend(self.secret.expose());
        if let Some(secret) = &self.group_secret {
            bytes.extend(secret.expose());
        }
        bytes.extend(checksum(&bytes));
        StoredBytes::new(bytes)
    }

    fn parse(bytes: &[u8]) -> Result<Self, GroupLinkError> {
        let damaged = GroupLinkError::Damaged;
        let (magic, rest) = bytes.split_first_chunk().ok_or(GroupLinkError::NotALink)?;
        if magic != MAGIC {
            return Err(GroupLinkError::NotALink);
        }
        let (content, sum) = bytes.split_last_chunk::<CHECKSUM_LEN>().ok_or(damaged)?;
        if sum.ct_ne(&checksum(content)).into() {
            return Err(damaged);
        }
        match rest.first() {
            Some(&VERSION) => {}
            _ => return Err(GroupLinkError::OtherVersion),
        }
        let (_, content) = content.split_first_chunk::<4>().ok_or(damaged)?;
        let (group, content) = content.split_first_chunk().ok_or(damaged)?;
        let (secret, rest) = content.split_at_checked(LinkSecret::LEN).ok_or(damaged)?;
        let secret = LinkSecret::parse(secret).ok_or(damaged)?;
        let group_secret = match rest {
            [] => None,
            rest => Some(GroupSecret::parse(rest).ok_or(damaged)?),
        };
        Ok(Self { group: *group, secret, group_secret })
    }
}

/// Parses the text form. White space around it and the case of letters do not matter.
impl FromStr for GroupLink {
    type Err = GroupLinkError;

    fn from_str(text: &str) -> Result<Self, GroupLinkError> {
        let (scheme, digits) = text.trim().split_at_checked(SCHEME.len()).ok_or(GroupLinkError::NotALink)?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(GroupLinkError::NotALink);
        }
        let bytes = text::decode(digits).map(Zeroizing::new).ok_or(GroupLinkError::Damaged)?;
        Self::parse(&bytes)
    }
}

fn checksum(content: &[u8]) -> [u8; CHECKSUM_LEN] {
    let [a, b, c, d, ..] = sha256(content);
    [a, b, c, d]
}

/// Shows neither secrets nor the group.
impl fmt::Debug for GroupLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupLink(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(group_secret: Option<GroupSecret>) -> GroupLink {
        let secret = LinkSecret::parse(&[2; 32]).unwrap();
        GroupLink { group: [1; 16], secret, group_secret }
    }

    #[test]
    fn a_link_is_read_from_its_text_and_not_from_a_damaged_one() {
        for group_secret in [None, GroupSecret::parse(&[3; 32])] {
            let expected = group_secret.as_ref().map(|secret| *secret.expose());
            let text = link(group_secret).to_text();
            let read: GroupLink = format!(" {}\n", text.to_lowercase()).parse().unwrap();
            assert_eq!((read.group, *read.secret.expose()), ([1; 16], [2; 32]));
            assert_eq!(read.group_secret.map(|secret| *secret.expose()), expected);
            // Nothing of it can be missing or another one, and nothing can follow.
            for end in SCHEME.len()..text.len() {
                assert!(text[..end].parse::<GroupLink>().is_err(), "{end}");
                let other = if text[end..].starts_with('A') { "B" } else { "A" };
                let changed = [&text[..end], other, &text[end + 1..]].concat();
                assert!(changed.parse::<GroupLink>().is_err(), "{end}");
            }
            assert!([&text, "AAAAAAAA"].concat().parse::<GroupLink>().is_err());
        }
        assert_eq!("SEALPOST:AAAA".parse::<GroupLink>().unwrap_err(), GroupLinkError::NotALink);
        assert_eq!("".parse::<GroupLink>().unwrap_err(), GroupLinkError::NotALink);
    }

    #[test]
    fn a_link_of_another_version_is_told_apart() {
        let mut bytes = link(None).to_bytes().to_vec();
        bytes[3] = 2;
        let end = bytes.len() - CHECKSUM_LEN;
        let sum = checksum(&bytes[..end]);
        bytes[end..].copy_from_slice(&sum);
        assert_eq!(GroupLink::parse(&bytes).unwrap_err(), GroupLinkError::OtherVersion);
    }
}

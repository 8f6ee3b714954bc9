//! A content that several devices get: it is in the shared part of a message, and each device gets the key of that part, and what is for this device
//! only, in its session.

use prost::Message as _;
use sealpost_protocol::SharedPartKey;
use zeroize::Zeroizing;

use super::{Content, ContentError, Header, decode, padding, proto};
use crate::id::UserId;

/// Contents whose padded plaintext is at least this long are sealed once for all devices.
pub(crate) const SHARED_FROM: usize = 2_048;
/// The longest padded plaintext of a content. Together with what its session adds, it fits into a copy for any device, and the copies for all
/// devices fit into a frame, so the limit does not depend on their number.
pub(crate) const MAX_PLAINTEXT: usize = 66_799;

/// A ciphertext that the shared part follows: `length (2, big-endian) || ciphertext`. None if it is too long.
pub(crate) fn before_shared(ciphertext: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(ciphertext.len()).ok()?;
    Some([&length.to_be_bytes()[..], ciphertext].concat())
}

/// A ciphertext, and the shared part that follows it.
///
/// # Errors
/// [`ContentError::Malformed`] if it is shorter than it says.
pub(crate) fn split_shared(both: &[u8]) -> Result<(&[u8], &[u8]), ContentError> {
    let (length, rest) = both.split_first_chunk().ok_or(ContentError::Malformed)?;
    rest.split_at_checked(u16::from_be_bytes(*length).into()).ok_or(ContentError::Malformed)
}

/// What a device gets in its session.
#[derive(Debug)]
pub(crate) struct SharedContent {
    pub(crate) key: SharedPartKey,
    /// As in [`Header`], and for this device only.
    pub(crate) devices: Option<Vec<u8>>,
    /// As in [`Header`], and for this device only.
    pub(crate) peer: Option<UserId>,
}

impl SharedContent {
    /// The padded plaintext that is sealed.
    pub(crate) fn to_plaintext(&self) -> Zeroizing<Vec<u8>> {
        let header = Header { devices: self.devices.clone(), peer: self.peer, ..Header::default() };
        let mut content = header.write(proto::Content::default());
        content.shared_key = self.key.serialize().to_vec();
        let bytes = Zeroizing::new(content.encode_to_vec());
        zeroize::Zeroize::zeroize(&mut content.shared_key);
        padding::pad(bytes)
    }

    /// The inverse of [`SharedContent::to_plaintext`]. None if this is a content itself.
    ///
    /// # Errors
    /// [`ContentError::Malformed`]
    pub(crate) fn from_plaintext(padded: &[u8]) -> Result<Option<Self>, ContentError> {
        let mut content = decode(padding::unpad(padded)?)?;
        if content.shared_key.is_empty() {
            return Ok(None);
        }
        let key = Zeroizing::new(std::mem::take(&mut content.shared_key));
        let key = SharedPartKey::parse(&key).ok_or(ContentError::Malformed)?;
        let Header { devices, peer, .. } = Header::read(&content)?;
        Ok(Some(Self { key, devices, peer }))
    }

    /// The content in the shared part.
    ///
    /// # Errors
    /// [`ContentError::Malformed`]
    pub(crate) fn read(self, padded: &[u8]) -> Result<Content, ContentError> {
        let mut content = Content::from_plaintext(padded)?;
        (content.header.devices, content.header.peer) = (self.devices, self.peer);
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;
    use crate::content::{Body, Timer};
    use crate::id::{ClientMsgId, ThreadId};

    fn content() -> Content {
        Content {
            thread: ThreadId::from_bytes([1; 16]),
            id: ClientMsgId::from_bytes([2; 16]),
            sent_ms: 3,
            timer: Timer::default(),
            header: Header::default(),
            body: Body::text("a".repeat(9_000)),
        }
    }

    #[test]
    fn each_device_reads_the_content_with_what_is_for_it_only() {
        let rng = &mut StdRng::seed_from_u64(1);
        let plaintext = content().to_plaintext();
        let (key, part) = SharedPartKey::seal(&plaintext, rng).unwrap();
        let key = key.serialize();
        let peer = Some(UserId::from_bytes([8; 16]));
        for (devices, peer) in [(None, None), (Some(vec![7; 641]), None), (None, peer)] {
            let key = SharedPartKey::parse(&*key).unwrap();
            let sent = SharedContent { key, devices: devices.clone(), peer };
            let got = SharedContent::from_plaintext(&sent.to_plaintext()).unwrap().unwrap();
            let opened = got.key.open(&part).unwrap();
            let read = got.read(opened.expose()).unwrap();
            assert_eq!(read, Content { header: Header { devices, peer, ..Header::default() }, ..content() });
        }
    }

    #[test]
    fn a_ciphertext_is_separated_from_the_shared_part() {
        let mut both = before_shared(b"cipher").unwrap();
        both.extend_from_slice(b"shared");
        assert_eq!(split_shared(&both), Ok((&b"cipher"[..], &b"shared"[..])));
        for length in 0..8 {
            assert_eq!(split_shared(&both[..length]), Err(ContentError::Malformed), "{length}");
        }
        assert_eq!(split_shared(&both[..8]), Ok((&b"cipher"[..], &b""[..])));
        assert!(before_shared(&vec![1; 65_536]).is_none());
    }

    #[test]
    fn a_content_is_not_taken_for_a_key_and_a_key_not_for_a_content() {
        assert!(SharedContent::from_plaintext(&content().to_plaintext()).unwrap().is_none());
        let (key, _) = SharedPartKey::seal(b"part", &mut StdRng::seed_from_u64(1)).unwrap();
        let sent = SharedContent { key, devices: None, peer: None };
        assert_eq!(Content::from_plaintext(&sent.to_plaintext()), Err(ContentError::Malformed));
        let cut = proto::Content { shared_key: vec![1; 63], ..proto::Content::default() };
        let cut = padding::pad(Zeroizing::new(cut.encode_to_vec()));
        assert_eq!(SharedContent::from_plaintext(&cut).map(drop), Err(ContentError::Malformed));
    }
}

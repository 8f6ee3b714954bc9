//! Links: places in memory where a companion that has no account yet and the primary device of an account exchange a few blobs, which
//! the relay does not read.
//!
//! They are in memory, so that somebody without an account cannot fill the disk. After a restart, the companion shows a new code.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sealpost_wire::id::UserId;
use sealpost_wire::limits::{LINK_LIFE_MS, LINK_SECRET, MAX_LINK_BLOB, MAX_LINK_BLOBS};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::random;

/// How long a link exists.
const LIFE: Duration = Duration::from_millis(LINK_LIFE_MS);
/// The number of links at a time. Each holds at most 24 KiB, and all of them together at most 48 MiB.
const MAX_LINKS: usize = 2_048;

/// The id of a link.
pub(crate) type LinkId = [u8; 16];

/// Why a link cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkError {
    /// There is no such link (any more), or the secret is another one.
    Unknown,
    /// Another account uses it, or a blob was written before with other bytes.
    Taken,
    /// Too many blobs, or one that is too large.
    TooLarge,
    /// There are too many links.
    Full,
}

struct Link {
    secret: [u8; 32],
    ends: Duration,
    owner: Option<UserId>,
    primary: Vec<Bytes>,
    companion: Vec<Bytes>,
}

/// All links.
#[derive(Default)]
pub(crate) struct Links(Mutex<HashMap<LinkId, Link>>);

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Links(..)")
    }
}

impl Links {
    fn lock(&self) -> MutexGuard<'_, HashMap<LinkId, Link>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a link, and returns its id and the secret of its companion.
    ///
    /// # Errors
    /// [`LinkError::Full`].
    pub(crate) fn begin(&self, now: Duration) -> Result<(LinkId, [u8; LINK_SECRET]), LinkError> {
        let mut links = self.lock();
        if links.len() >= MAX_LINKS {
            links.retain(|_, link| link.ends > now);
        }
        if links.len() >= MAX_LINKS {
            return Err(LinkError::Full);
        }
        let (id, secret) = (random::id().into_bytes(), **random::secret());
        let link = Link {
            secret: Sha256::digest(secret).into(),
            ends: now.saturating_add(LIFE),
            owner: None,
            primary: Vec::new(),
            companion: Vec::new(),
        };
        links.insert(id, link);
        Ok((id, secret))
    }

    /// Writes blobs of the primary device of `user`, and returns those of the companion.
    ///
    /// # Errors
    /// [`LinkError`], except [`LinkError::Full`].
    pub(crate) fn as_primary(
        &self,
        id: &LinkId,
        user: UserId,
        blobs: Vec<Bytes>,
        now: Duration,
    ) -> Result<Vec<Bytes>, LinkError> {
        let mut links = self.lock();
        let link = live(&mut links, id, now)?;
        if link.owner.is_some_and(|owner| owner != user) {
            return Err(LinkError::Taken);
        }
        write(&mut link.primary, blobs)?;
        link.owner = Some(user);
        Ok(link.companion.clone())
    }

    /// Writes blobs of the companion, and returns those of the primary device.
    ///
    /// # Errors
    /// [`LinkError`], except [`LinkError::Full`].
    pub(crate) fn as_companion(
        &self,
        id: &LinkId,
        secret: &[u8],
        blobs: Vec<Bytes>,
        now: Duration,
    ) -> Result<Vec<Bytes>, LinkError> {
        let mut links = self.lock();
        let link = live(&mut links, id, now)?;
        if !bool::from(Sha256::digest(secret).as_slice().ct_eq(&link.secret)) {
            return Err(LinkError::Unknown);
        }
        write(&mut link.companion, blobs)?;
        Ok(link.primary.clone())
    }

    /// Forgets the links that have ended.
    pub(crate) fn sweep(&self, now: Duration) {
        self.lock().retain(|_, link| link.ends > now);
    }
}

fn live<'a>(
    links: &'a mut HashMap<LinkId, Link>,
    id: &LinkId,
    now: Duration,
) -> Result<&'a mut Link, LinkError> {
    links.get_mut(id).filter(|link| link.ends > now).ok_or(LinkError::Unknown)
}

/// Those that were written before are the same ones, and remain.
fn write(known: &mut Vec<Bytes>, blobs: Vec<Bytes>) -> Result<(), LinkError> {
    if blobs.len() > MAX_LINK_BLOBS || blobs.iter().any(|blob| blob.len() > MAX_LINK_BLOB) {
        return Err(LinkError::TooLarge);
    }
    if known.iter().zip(&blobs).any(|(known, blob)| known != blob) {
        return Err(LinkError::Taken);
    }
    // Copies, so that no larger buffer of a request stays in memory.
    known.extend(blobs.iter().skip(known.len()).map(|blob| Bytes::copy_from_slice(blob)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_000);

    fn blobs(bytes: &[&'static [u8]]) -> Vec<Bytes> {
        bytes.iter().map(|bytes| Bytes::from_static(bytes)).collect()
    }

    #[test]
    fn each_side_reads_what_the_other_has_written_once() {
        let links = Links::default();
        let (us, others) = (UserId::from_bytes([1; 16]), UserId::from_bytes([2; 16]));
        let (id, secret) = links.begin(NOW).unwrap();
        let primary = |user, bytes| links.as_primary(&id, user, blobs(bytes), NOW);
        let companion = |secret: &[u8], bytes| links.as_companion(&id, secret, blobs(bytes), NOW);
        assert_eq!(companion(&secret, &[]), Ok(vec![]));
        assert_eq!(primary(us, &[b"one"]), Ok(vec![]));
        assert_eq!(companion(&secret, &[b"two"]), Ok(blobs(&[b"one"])));
        assert_eq!(primary(us, &[b"one", b"three"]), Ok(blobs(&[b"two"])));
        assert_eq!(primary(us, &[b"one"]), Ok(blobs(&[b"two"])), "a repetition");
        assert_eq!(companion(&secret, &[b"two"]), Ok(blobs(&[b"one", b"three"])));
        assert_eq!(primary(others, &[]), Err(LinkError::Taken));
        assert_eq!(primary(us, &[b"one", b"other"]), Err(LinkError::Taken));
        assert_eq!(companion(&secret, &[b"other"]), Err(LinkError::Taken));
        assert_eq!(companion(&[0; 32], &[b"two"]), Err(LinkError::Unknown));
        assert_eq!(companion(&secret, &[b"two"]), Ok(blobs(&[b"one", b"three"])), "nothing has changed");
        let unknown = links.as_companion(&[0; 16], &secret, vec![], NOW);
        assert_eq!(unknown, Err(LinkError::Unknown));
    }

    #[test]
    fn blobs_are_few_and_small() {
        let links = Links::default();
        let (id, secret) = links.begin(NOW).unwrap();
        let put = |blobs| links.as_companion(&id, &secret, blobs, NOW);
        assert_eq!(put(vec![Bytes::new(); MAX_LINK_BLOBS + 1]), Err(LinkError::TooLarge));
        assert_eq!(put(vec![vec![1; MAX_LINK_BLOB + 1].into()]), Err(LinkError::TooLarge));
        assert_eq!(put(vec![vec![1; MAX_LINK_BLOB].into(); MAX_LINK_BLOBS]), Ok(vec![]));
    }

    #[test]
    fn links_end_and_their_number_is_bounded() {
        let links = Links::default();
        let (id, secret) = links.begin(NOW).unwrap();
        assert_eq!(links.as_companion(&id, &secret, vec![], NOW + LIFE - Duration::from_secs(1)), Ok(vec![]));
        assert_eq!(links.as_companion(&id, &secret, vec![], NOW + LIFE), Err(LinkError::Unknown));
        for _ in 1..MAX_LINKS {
            links.begin(NOW).unwrap();
        }
        assert_eq!(links.begin(NOW), Err(LinkError::Full));
        assert!(links.begin(NOW + LIFE).is_ok(), "all others have ended");
        links.sweep(NOW + LIFE + LIFE);
        assert!(links.lock().is_empty());
    }
}

//! What the header of a content says about its place among the others of its thread. Each part may be absent, and is unknown then.

use sealpost_wire::limits::{MAX_COUNT, MAX_DEVICE_LIST};

use super::{ContentError, Counts, proto};
use crate::id::{DeviceId, UserId};

/// The highest version of a device list.
const MAX_LIST_VERSION: u64 = i64::MAX as u64;

/// Maximum number of exceptions in what a header says was seen.
pub(crate) const MAX_SEEN_EXCEPTIONS: usize = 8;

/// The place of a content among the others of its thread.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) number: Option<Number>,
    /// The newest post of the thread that the author's device had received.
    pub(crate) after: Option<Post>,
    /// Which contents of a device of the recipient the author's device had received.
    pub(crate) seen: Option<Mark>,
    /// The device list of the author's account, as it was signed, in contents that are sealed before the recipient has answered.
    pub(crate) devices: Option<Vec<u8>>,
    /// In the copies of a post for the other devices of the author's own account: the other member of the direct thread. The relay could
    /// name another one.
    pub(crate) peer: Option<UserId>,
    /// The newest device lists that the author's device has.
    pub(crate) lists: NamedLists,
    /// In a group: the roster that this was sealed for.
    pub(crate) roster: Option<RosterHead>,
}

/// The roster of a group by its version, and the first half of the hash of its last entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RosterHead {
    pub(crate) version: u64,
    pub(crate) digest: [u8; 16],
}

/// The newest device lists that a device has, as it names them in contents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct NamedLists {
    /// Of its own account.
    pub(crate) own: Option<ListDigest>,
    /// In a direct thread, of the account of the other member.
    pub(crate) yours: Option<ListDigest>,
}

/// A device list by its version, and the first half of its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ListDigest {
    pub(crate) version: u64,
    pub(crate) digest: [u8; 16],
}

/// The number of a content among those that its device has created in a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number {
    pub(crate) run: Run,
    /// From 1, and without gaps in a run.
    pub(crate) count: u64,
}

/// A series of counts: 8 random bytes, which change when the database of the device is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Run(pub(crate) [u8; 8]);

/// The place of a post in its thread, as the relay has assigned it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Post {
    pub(crate) epoch: u64,
    pub(crate) server_seq: u64,
}

/// How far the contents of one run of a device have come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) device: DeviceId,
    pub(crate) run: Run,
    pub(crate) counts: Counts,
}

impl Run {
    /// # Errors
    /// [`ContentError::Malformed`] unless these are 8 bytes.
    pub(crate) fn from_slice(bytes: &[u8]) -> Result<Self, ContentError> {
        bytes.try_into().map(Self).map_err(|_| ContentError::Malformed)
    }
}

impl Header {
    /// Adds the header to a content.
    pub(super) fn write(&self, content: proto::Content) -> proto::Content {
        let Self { number, after, seen, devices, peer, lists: NamedLists { own, yours }, roster } = self;
        proto::Content {
            count: number.map_or(0, |number| number.count),
            run: number.map_or_else(Vec::new, |number| number.run.0.to_vec()),
            after: after.map(|Post { epoch, server_seq }| proto::Post { epoch, server_seq }),
            seen: seen.as_ref().map(Mark::write),
            devices: devices.clone().unwrap_or_default(),
            peer: peer.map_or_else(Vec::new, |peer| peer.as_bytes().to_vec()),
            own: own.as_ref().map(ListDigest::write),
            yours: yours.as_ref().map(ListDigest::write),
            roster: roster.as_ref().map(RosterHead::write),
            ..content
        }
    }

    /// # Errors
    /// [`ContentError::Malformed`] for a count without a run or the other way round, and for numbers that no honest client and relay
    /// reach.
    pub(super) fn read(content: &proto::Content) -> Result<Self, ContentError> {
        let number = match (content.count, content.run.as_slice()) {
            (0, []) => None,
            (count @ 1..=MAX_COUNT, run) => Some(Number { run: Run::from_slice(run)?, count }),
            _ => return Err(ContentError::Malformed),
        };
        let after =
            content.after.as_ref().map(|post| Post { epoch: post.epoch, server_seq: post.server_seq });
        if after.is_some_and(|post| post.epoch > MAX_COUNT || post.server_seq > MAX_COUNT) {
            return Err(ContentError::Malformed);
        }
        let seen = content.seen.as_ref().map(|mark| Mark::read(mark, MAX_SEEN_EXCEPTIONS)).transpose()?;
        if content.devices.len() > MAX_DEVICE_LIST {
            return Err(ContentError::Malformed);
        }
        let devices = (!content.devices.is_empty()).then(|| content.devices.clone());
        let peer = match content.peer.as_slice() {
            [] => None,
            peer => Some(UserId::from_slice(peer).map_err(|_| ContentError::Malformed)?),
        };
        let lists = NamedLists {
            own: content.own.as_ref().map(ListDigest::read).transpose()?,
            yours: content.yours.as_ref().map(ListDigest::read).transpose()?,
        };
        let roster = content.roster.as_ref().map(RosterHead::read).transpose()?;
        Ok(Self { number, after, seen, devices, peer, lists, roster })
    }
}

impl ListDigest {
    fn write(&self) -> proto::ListDigest {
        proto::ListDigest { version: self.version, digest: self.digest.to_vec() }
    }

    /// # Errors
    /// [`ContentError::Malformed`] for a version that no list has, and for a digest of another length.
    fn read(digest: &proto::ListDigest) -> Result<Self, ContentError> {
        let proto::ListDigest { version, digest } = digest;
        match (*version, digest.as_slice().try_into()) {
            (version @ 1..=MAX_LIST_VERSION, Ok(digest)) => Ok(Self { version, digest }),
            _ => Err(ContentError::Malformed),
        }
    }
}

impl RosterHead {
    fn write(&self) -> proto::RosterHead {
        proto::RosterHead { version: self.version, digest: self.digest.to_vec() }
    }

    /// # Errors
    /// [`ContentError::Malformed`] for a version that no roster has, and for a digest of another length.
    fn read(head: &proto::RosterHead) -> Result<Self, ContentError> {
        let proto::RosterHead { version, digest } = head;
        match (*version, digest.as_slice().try_into()) {
            (version @ 1..=MAX_COUNT, Ok(digest)) => Ok(Self { version, digest }),
            _ => Err(ContentError::Malformed),
        }
    }
}

impl Mark {
    pub(super) fn write(&self) -> proto::Mark {
        proto::Mark {
            device: self.device.get(),
            run: self.run.0.to_vec(),
            count: self.counts.highest(),
            except: self.counts.exception_bytes(),
        }
    }

    /// # Errors
    /// [`ContentError::Malformed`], also if it has more exceptions than `most`.
    pub(super) fn read(mark: &proto::Mark, most: usize) -> Result<Self, ContentError> {
        Ok(Self {
            device: DeviceId::new(mark.device).map_err(|_| ContentError::Malformed)?,
            run: Run::from_slice(&mark.run)?,
            counts: Counts::from_parts(mark.count, &mark.except, most)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> proto::Content {
        let device = DeviceId::PRIMARY;
        let header = Header {
            number: Some(Number { run: Run([1; 8]), count: 7 }),
            after: Some(Post { epoch: 2, server_seq: 9 }),
            seen: Some(Mark { device, run: Run([2; 8]), counts: Counts::of([1, 2, 5]) }),
            devices: Some(vec![7; MAX_DEVICE_LIST]),
            peer: Some(UserId::from_bytes([8; 16])),
            lists: NamedLists {
                own: Some(ListDigest { version: 1, digest: [3; 16] }),
                yours: Some(ListDigest { version: MAX_LIST_VERSION, digest: [4; 16] }),
            },
            roster: Some(RosterHead { version: MAX_COUNT, digest: [5; 16] }),
        };
        let content = header.write(proto::Content::default());
        assert_eq!(Header::read(&content), Ok(header));
        content
    }

    #[test]
    fn an_absent_header_is_unknown() {
        let header = Header::default();
        assert_eq!(Header::read(&header.write(proto::Content::default())), Ok(header));
    }

    #[test]
    fn contradictory_and_impossible_numbers_are_refused() {
        type Change = fn(&mut proto::Content);
        let changes: [Change; 20] = [
            |content| content.count = 0,
            |content| content.count = MAX_COUNT + 1,
            |content| content.run.clear(),
            |content| content.run.push(1),
            |content| content.after.as_mut().unwrap().epoch = MAX_COUNT + 1,
            |content| content.after.as_mut().unwrap().server_seq = u64::MAX,
            |content| content.seen.as_mut().unwrap().device = 0,
            |content| content.seen.as_mut().unwrap().run.clear(),
            |content| content.seen.as_mut().unwrap().count = 4,
            |content| content.devices.push(7),
            |content| content.peer.push(7),
            |content| content.own.as_mut().unwrap().version = 0,
            |content| content.own.as_mut().unwrap().digest.clear(),
            |content| content.own.as_mut().unwrap().digest.push(3),
            |content| content.yours.as_mut().unwrap().version = MAX_LIST_VERSION + 1,
            |content| content.yours.as_mut().unwrap().digest.truncate(15),
            |content| content.yours = Some(proto::ListDigest::default()),
            |content| content.roster.as_mut().unwrap().version = 0,
            |content| content.roster.as_mut().unwrap().version = MAX_COUNT + 1,
            |content| content.roster.as_mut().unwrap().digest.truncate(15),
        ];
        for (at, change) in changes.into_iter().enumerate() {
            let mut content = written();
            change(&mut content);
            assert_eq!(Header::read(&content), Err(ContentError::Malformed), "{at}");
        }
    }
}

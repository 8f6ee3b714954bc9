//! One entry of a roster, in its only form.

use sha2::{Digest as _, Sha256};

use super::author_list::AuthorList;
use super::change::Change;
use super::reader::{FormError, Reader, write_short};
use crate::id::{DeviceId, ThreadId, UserId};
use crate::limits::{MAX_COUNT, MAX_ROSTER_ENTRY};

/// Length of the hash of an entry, in bytes.
pub const HASH: usize = 32;
/// Length of the signature of an entry, in bytes.
pub const SIGNATURE: usize = 64;
const KIND_CREATE: u8 = 1;

/// The device that has signed an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Author {
    /// Whose device.
    pub user: UserId,
    /// The device.
    pub device: DeviceId,
}

/// What an entry says, before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsignedEntry {
    /// The group; zeros in the first entry, from whose hash the id comes.
    pub thread: ThreadId,
    /// Its number, from 1.
    pub version: u64,
    /// The hash of the entry before; zeros in the first entry.
    pub previous: [u8; HASH],
    /// Who signs it.
    pub author: Author,
    /// The author's newest signed device list, if it is another one than before.
    pub list: Option<AuthorList>,
    /// What it changes.
    pub change: Change,
}

impl UnsignedEntry {
    /// The first entry of a group.
    pub fn first(author: Author, list: AuthorList, create: super::Create) -> Self {
        Self {
            thread: ThreadId::from_bytes([0; 16]),
            version: 1,
            previous: [0; HASH],
            author,
            list: Some(list),
            change: Change::Create(Box::new(create)),
        }
    }

    /// What is signed, behind a type word.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.thread.as_bytes().to_vec();
        out.extend(self.version.to_be_bytes());
        out.extend(self.previous);
        out.extend(self.author.user.as_bytes());
        out.extend(u8::try_from(self.author.device.get()));
        let list = self.list.as_ref().map_or(&[][..], AuthorList::as_bytes);
        write_short(&mut out, list.len());
        out.extend(list);
        self.change.write(&mut out);
        out
    }

    /// The entry with its signature.
    ///
    /// # Errors
    /// [`FormError`] if a bound is exceeded: the entry could not be parsed.
    pub fn with_signature(&self, signature: &[u8; SIGNATURE]) -> Result<Entry, FormError> {
        Entry::parse(&[&self.to_bytes()[..], signature].concat())
    }

    fn parse(bytes: &[u8]) -> Result<Self, FormError> {
        let mut reader = Reader::new(bytes);
        let thread = ThreadId::from_bytes(reader.array()?);
        let version = reader.long()?;
        let previous = reader.array()?;
        let user = reader.user()?;
        let device = DeviceId::new(u32::from(reader.byte()?)).map_err(|_| FormError)?;
        let length = reader.short()?;
        let list = match reader.take(length)? {
            [] => None,
            list => Some(AuthorList::parse(list)?),
        };
        let kind = reader.byte()?;
        let is_first = version == 1;
        let begins = thread.as_bytes() == &[0; 16] && previous == [0; HASH];
        if !(1..=MAX_COUNT).contains(&version)
            || is_first != (kind == KIND_CREATE)
            || (is_first && !begins)
            || (is_first && list.is_none())
        {
            return Err(FormError);
        }
        let change = Change::parse(kind, reader.rest())?;
        Ok(Self { thread, version, previous, author: Author { user, device }, list, change })
    }
}

/// An entry. Nobody has verified its signature, or whether it follows from the entries before.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    bytes: Vec<u8>,
    content: UnsignedEntry,
    hash: [u8; HASH],
}

impl Entry {
    /// Parses the serialized form.
    ///
    /// # Errors
    /// [`FormError`] if it is not the form of an entry, or exceeds a bound.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormError> {
        if bytes.len() > MAX_ROSTER_ENTRY {
            return Err(FormError);
        }
        let (unsigned, _) = bytes.split_last_chunk::<SIGNATURE>().ok_or(FormError)?;
        let content = UnsignedEntry::parse(unsigned)?;
        Ok(Self { content, hash: Sha256::digest(bytes).into(), bytes: bytes.to_vec() })
    }

    /// The serialized form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What it says.
    pub fn content(&self) -> &UnsignedEntry {
        &self.content
    }

    /// What is signed, behind a type word.
    pub fn signed_bytes(&self) -> &[u8] {
        self.bytes.split_last_chunk::<SIGNATURE>().map_or(&[], |(unsigned, _)| unsigned)
    }

    /// The signature of the author's device.
    pub fn signature(&self) -> &[u8] {
        self.bytes.split_last_chunk::<SIGNATURE>().map_or(&[], |(_, signature)| signature)
    }

    /// SHA-256 of the serialized form, which the next entry names.
    pub const fn hash(&self) -> &[u8; HASH] {
        &self.hash
    }

    /// Its number.
    pub const fn version(&self) -> u64 {
        self.content.version
    }

    /// The group that it belongs to. The id of a group is the beginning of the hash of its first entry.
    pub fn thread(&self) -> ThreadId {
        if self.content.version == 1 {
            return ThreadId::from_bytes(std::array::from_fn(|at| {
                self.hash.get(at).copied().unwrap_or_default()
            }));
        }
        self.content.thread
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.content.fmt(f)
    }
}

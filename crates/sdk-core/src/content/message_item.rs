//! The items of a bootstrap that are about messages: the message as its content, and what others have said about it.

use prost::Message as _;

use super::in_thread::{InThread, position, thread, time, user};
use super::list::{List, push};
use super::{Body, ContentError, Number, Run, Target, Timer, proto};
use crate::id::{ClientMsgId, ThreadId};

/// Maximum number of reactions to a message, and of votes, that are passed on: one for each member of a thread.
pub(crate) const MAX_SAID: usize = 1_024;

/// The state of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ItemState {
    Sent,
    Delivered,
    /// One of ours that others have read.
    ReadByOthers,
    Unread,
    /// One of others that was read.
    Read,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct MessageItem {
    /// None if it is in the thread of the message before it in the piece.
    pub(crate) of: Option<InThread>,
    pub(crate) target: Target,
    /// 0 if it is not known.
    pub(crate) device: u32,
    /// None if it was deleted for everyone.
    pub(crate) body: Option<Body>,
    pub(crate) sent_ms: u64,
    pub(crate) server_seq: u64,
    pub(crate) position: u64,
    pub(crate) state: ItemState,
    pub(crate) number: Option<Number>,
    pub(crate) timer: Timer,
    /// 0 if its timer does not run; likewise, of the following values, those that are not known.
    pub(crate) expires_ms: u64,
    pub(crate) after_position: u64,
    pub(crate) stored_ms: u64,
    pub(crate) delivered_ms: u64,
    pub(crate) read_ms: u64,
    /// 1 for the newest message when the transfer began, and so on; 0 if it came later.
    pub(crate) rank: u64,
    pub(crate) reactions: Vec<Said>,
    pub(crate) votes: Vec<Said>,
    pub(crate) versions: Vec<Said>,
    pub(crate) pin: Option<Said>,
}

/// Versions of a message that did not fit beside it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct VersionsItem {
    pub(crate) thread: ThreadId,
    pub(crate) target: Target,
    pub(crate) versions: Vec<Said>,
}

/// What a content has said about a message. `by` is a user, or the content id of a version.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) by: [u8; 16],
    pub(crate) what: Vec<u8>,
    pub(crate) sent_ms: u64,
    pub(crate) position: u64,
}

impl ItemState {
    const ALL: [(Self, u32); 5] = [
        (Self::Sent, 1),
        (Self::Delivered, 2),
        (Self::ReadByOthers, 3),
        (Self::Unread, 10),
        (Self::Read, 11),
    ];

    /// Whether the message is one of ours.
    pub(crate) const fn is_ours(self) -> bool {
        matches!(self, Self::Sent | Self::Delivered | Self::ReadByOthers)
    }
}

impl MessageItem {
    pub(super) fn write(&self) -> proto::MessageItem {
        let state = ItemState::ALL.iter().find(|(state, _)| *state == self.state);
        proto::MessageItem {
            thread: self.of.map(|of| of.thread.as_bytes().to_vec()).unwrap_or_default(),
            peer: self.of.map(|of| of.peer_bytes()).unwrap_or_default(),
            roster_version: self.of.map_or(0, |of| of.roster_version),
            author: self.target.author.as_bytes().to_vec(),
            id: self.target.id.as_bytes().to_vec(),
            device: self.device,
            body: self.body.as_ref().map(Body::to_bytes).unwrap_or_default(),
            sent_ms: self.sent_ms,
            server_seq: self.server_seq,
            position: self.position,
            state: state.map_or(0, |(_, number)| *number),
            run: self.number.map(|number| number.run.0.to_vec()).unwrap_or_default(),
            count: self.number.map_or(0, |number| number.count),
            timer_s: self.timer.seconds(),
            expires_ms: self.expires_ms,
            after_position: self.after_position,
            stored_ms: self.stored_ms,
            delivered_ms: self.delivered_ms,
            read_ms: self.read_ms,
            rank: self.rank,
            reactions: write_said(&self.reactions),
            votes: write_said(&self.votes),
            versions: write_said(&self.versions),
            pin: write_said(self.pin.as_slice()),
        }
    }

    pub(super) fn read(item: proto::MessageItem) -> Result<Self, ContentError> {
        let malformed = ContentError::Malformed;
        let of = match &item.thread[..] {
            [] => None,
            of => Some(InThread::read((of, &item.peer), item.roster_version)?),
        };
        let body = match &item.body[..] {
            [] => None,
            body => Some(Body::from_bytes(body)?),
        };
        let number = match &item.run[..] {
            [] => None,
            run => {
                Some(Number { run: Run(run.try_into().map_err(|_| malformed)?), count: time(item.count)? })
            }
        };
        let state = ItemState::ALL.iter().find(|(_, number)| *number == item.state).ok_or(malformed)?.0;
        let mut pins = read_said(&item.pin)?;
        let is_valid = body.as_ref().is_none_or(|body| body.kind().is_shown()) && item.device <= 127;
        if !is_valid || pins.len() > 1 {
            return Err(malformed);
        }
        Ok(Self {
            of,
            target: target(&item.author, &item.id)?,
            device: item.device,
            body,
            sent_ms: time(item.sent_ms)?,
            server_seq: time(item.server_seq)?,
            position: position(item.position)?,
            state,
            number,
            timer: Timer::read(item.timer_s)?,
            expires_ms: time(item.expires_ms)?,
            after_position: position(item.after_position)?,
            stored_ms: time(item.stored_ms)?,
            delivered_ms: time(item.delivered_ms)?,
            read_ms: time(item.read_ms)?,
            rank: position(item.rank)?,
            reactions: read_said(&item.reactions)?,
            votes: read_said(&item.votes)?,
            versions: read_said(&item.versions)?,
            pin: pins.pop(),
        })
    }
}

impl VersionsItem {
    pub(super) fn write(&self) -> proto::VersionsItem {
        proto::VersionsItem {
            thread: self.thread.as_bytes().to_vec(),
            author: self.target.author.as_bytes().to_vec(),
            id: self.target.id.as_bytes().to_vec(),
            versions: write_said(&self.versions),
        }
    }

    pub(super) fn read(versions: &proto::VersionsItem) -> Result<Self, ContentError> {
        Ok(Self {
            thread: thread(&versions.thread)?,
            target: target(&versions.author, &versions.id)?,
            versions: read_said(&versions.versions)?,
        })
    }
}

fn write_said(all: &[Said]) -> Vec<u8> {
    let mut list = Vec::new();
    for Said { by, what, sent_ms, position } in all {
        let said =
            proto::Said { by: by.to_vec(), what: what.clone(), sent_ms: *sent_ms, position: *position };
        push(&mut list, &said);
    }
    list
}

fn read_said(list: &[u8]) -> Result<Vec<Said>, ContentError> {
    let mut all = Vec::new();
    for said in List::new(list) {
        #[expect(clippy::disallowed_methods, reason = "it has no repeated fields")]
        let said = proto::Said::decode(said?).map_err(|_| ContentError::Malformed)?;
        if all.len() == MAX_SAID {
            return Err(ContentError::Malformed);
        }
        all.push(Said {
            by: said.by.try_into().map_err(|_| ContentError::Malformed)?,
            what: said.what,
            sent_ms: time(said.sent_ms)?,
            // A deletion of the original, and a reaction that was only queued, have the position 0.
            position: position(said.position)?,
        });
    }
    Ok(all)
}

fn target(author: &[u8], id: &[u8]) -> Result<Target, ContentError> {
    let id = ClientMsgId::from_slice(id).map_err(|_| ContentError::Malformed)?;
    Ok(Target { author: user(author)?, id })
}

//! Station 1, Arrive: deliveries whose fields are well-formed.

use sealpost_wire as wire;
use sealpost_wire::id::ToWire as _;
use sealpost_wire::limits::MAX_COUNT;

use crate::content::{Content, Header, Timer};
use crate::context::Context;
use crate::error::Result;
use crate::id::{ClientMsgId, DeviceId, InvalidId, ThreadId, UserId};
use crate::message::Undecryptable;
use crate::store::{Arrived, EnvelopeName, NewIncoming, Origin, Registered, note_to_self, order_of};
use crate::transport::EnvelopeId;

/// A delivery whose fields are well-formed.
pub(super) struct Envelope {
    pub(super) thread: ThreadId,
    pub(super) server_seq: u64,
    pub(super) epoch: u64,
    /// When the relay stored it, by the relay's clock, in milliseconds.
    pub(super) server_ms: u64,
    pub(super) sender: UserId,
    pub(super) sender_device: DeviceId,
    pub(super) roster_version: u64,
    pub(super) sealed: wire::Envelope,
    client_msg_id: ClientMsgId,
}

/// A ciphertext, and where the relay says that it comes from. Only what is inside is authenticated.
pub(super) struct Source<'e> {
    pub(super) thread: ThreadId,
    pub(super) sender: UserId,
    pub(super) sender_device: DeviceId,
    pub(super) sealed: &'e wire::Envelope,
}

impl Source<'_> {
    /// Whether nobody writes there as the relay says: in our name, this device gets what our other devices have sent; in our note to
    /// self, nothing else.
    pub(super) fn is_impossible(&self, us: Registered) -> bool {
        let is_impossible = match self.sender == us.user {
            true => self.sender_device == us.device,
            false => self.thread == note_to_self(us.user),
        };
        if is_impossible {
            tracing::warn!(
                "the relay delivered something in the name of this device, or into the note to self"
            );
        }
        is_impossible
    }
}

/// Delivered mail whose fields are well-formed. It has no position in its thread.
pub(super) struct MailEnvelope {
    /// Its number in our mailbox; 0 if it is ephemeral.
    mail_seq: u64,
    pub(super) thread: ThreadId,
    pub(super) sender: UserId,
    pub(super) sender_device: DeviceId,
    /// When the relay received it, by the relay's clock, in milliseconds.
    pub(super) came_ms: u64,
    pub(super) sealed: wire::Envelope,
}

/// A delivery of either kind.
pub(super) enum AnyEnvelope {
    Post(Envelope),
    Mail(MailEnvelope),
}

impl MailEnvelope {
    pub(super) fn parse(mail: wire::DeliverMail) -> Result<Self, InvalidId> {
        Ok(Self {
            mail_seq: mail.mail_seq,
            thread: ThreadId::from_slice(&mail.thread_id)?,
            sender: UserId::from_slice(&mail.sender_user_id)?,
            sender_device: DeviceId::new(mail.sender_device_id)?,
            came_ms: mail.server_time_ms,
            sealed: mail.envelope.unwrap_or_default(),
        })
    }

    /// Whether the relay has not stored it: it is worth nothing later.
    pub(super) const fn is_ephemeral(&self) -> bool {
        self.mail_seq == 0
    }

    pub(super) const fn source(&self) -> Source<'_> {
        Source {
            thread: self.thread,
            sender: self.sender,
            sender_device: self.sender_device,
            sealed: &self.sealed,
        }
    }

    /// Where its content comes from. It has no position, and counts as the first.
    pub(super) fn origin(&self, content: &Content) -> Origin {
        Origin {
            thread: self.thread,
            author: self.sender,
            content_id: content.id,
            sent_ms: content.sent_ms.min(MAX_TIME),
            order: 0,
        }
    }

    /// The frame again, to be kept.
    pub(super) fn to_frame(&self) -> wire::Frame {
        let mail = wire::DeliverMail {
            mail_seq: self.mail_seq,
            thread_id: self.thread.to_wire(),
            sender_user_id: self.sender.to_wire(),
            sender_device_id: self.sender_device.get(),
            server_time_ms: self.came_ms,
            envelope: Some(self.sealed.clone()),
            ..wire::DeliverMail::default()
        };
        wire::Frame { v: wire::FRAME_VERSION, id: 0, body: Some(wire::frame::Body::DeliverMail(mail)) }
    }
}

impl AnyEnvelope {
    /// An envelope that was kept as it was delivered; none if its bytes are damaged.
    pub(super) fn from_kept(ctx: &Context, bytes: Vec<u8>) -> Option<Self> {
        let frame: wire::Frame = wire::decode(bytes.into()).ok()?;
        match frame.body? {
            wire::frame::Body::Deliver(deliver) => {
                let (place, server_ms) = (place(&deliver).ok()?, ctx.time_of_hlc(deliver.hlc));
                Envelope::parse(place, deliver, server_ms).ok().map(Self::Post)
            }
            wire::frame::Body::DeliverMail(mail) => MailEnvelope::parse(mail).ok().map(Self::Mail),
            _ => None,
        }
    }
}

/// The position that the relay states.
///
/// # Errors
/// [`InvalidId`] if it states no valid position.
pub(super) fn place(deliver: &wire::Deliver) -> Result<EnvelopeId, InvalidId> {
    let key = deliver.key.as_ref().ok_or(InvalidId)?;
    Ok(EnvelopeId { thread: ThreadId::from_slice(&key.thread_id)?, server_seq: key.server_seq })
}

impl Envelope {
    pub(super) fn parse(
        place: EnvelopeId,
        deliver: wire::Deliver,
        server_ms: u64,
    ) -> Result<Self, InvalidId> {
        // No honest relay can reach such numbers.
        if [place.server_seq, deliver.epoch, deliver.roster_version].iter().any(|count| *count > MAX_COUNT) {
            return Err(InvalidId);
        }
        Ok(Self {
            thread: place.thread,
            server_seq: place.server_seq,
            epoch: deliver.epoch,
            server_ms,
            sender: UserId::from_slice(&deliver.sender_user_id)?,
            sender_device: DeviceId::new(deliver.sender_device_id)?,
            client_msg_id: ClientMsgId::from_slice(&deliver.client_msg_id)?,
            roster_version: deliver.roster_version,
            sealed: deliver.envelope.unwrap_or_default(),
        })
    }

    pub(super) const fn source(&self) -> Source<'_> {
        Source {
            thread: self.thread,
            sender: self.sender,
            sender_device: self.sender_device,
            sealed: &self.sealed,
        }
    }

    /// The frame again, to be kept.
    pub(super) fn to_frame(&self) -> wire::Frame {
        let key = wire::InboxKey { thread_id: self.thread.to_wire(), server_seq: self.server_seq };
        let deliver = wire::Deliver {
            key: Some(key),
            epoch: self.epoch,
            hlc: self.server_ms << 16,
            sender_user_id: self.sender.to_wire(),
            sender_device_id: self.sender_device.get(),
            client_msg_id: self.client_msg_id.to_wire(),
            roster_version: self.roster_version,
            envelope: Some(self.sealed.clone()),
            attempt: 0,
        };
        wire::Frame { v: wire::FRAME_VERSION, id: 0, body: Some(wire::frame::Body::Deliver(deliver)) }
    }

    /// The id and the position that the relay states. Only what is inside the ciphertext is authenticated.
    pub(super) const fn name(&self) -> EnvelopeName {
        EnvelopeName { thread: self.thread, sender: self.sender, id: self.client_msg_id }
    }

    /// Where its content comes from.
    pub(super) fn origin(&self, content: &Content) -> Result<Origin> {
        Ok(Origin {
            thread: self.thread,
            author: self.sender,
            content_id: content.id,
            sent_ms: content.sent_ms.min(MAX_TIME),
            order: order_of(self.epoch, self.server_seq)?,
        })
    }

    /// The message that it becomes.
    fn message(&self, us: UserId, what: Arrived, sent_ms: u64, timer: Timer) -> NewIncoming {
        NewIncoming {
            thread: self.thread,
            author: self.sender,
            device: self.sender_device,
            is_ours: self.sender == us,
            what,
            // The database stores signed numbers; a larger time is false in any case.
            sent_ms: if sent_ms > MAX_TIME { MAX_TIME } else { sent_ms },
            timer,
            server_ms: self.server_ms,
            epoch: self.epoch,
            server_seq: self.server_seq,
            number: None,
            after: None,
            roster: None,
        }
    }

    /// The message that a content becomes.
    pub(super) fn content(&self, us: UserId, content: Content) -> NewIncoming {
        let Content { id, sent_ms, timer, header: Header { number, after, roster, .. }, body, .. } = content;
        let roster = roster.map(|head| head.version);
        NewIncoming { number, after, roster, ..self.message(us, Arrived::Content(id, body), sent_ms, timer) }
    }

    /// The message that represents it if it cannot be opened.
    pub(super) fn placeholder(&self, us: UserId, cause: Undecryptable, now_ms: u64) -> NewIncoming {
        let sent_ms = self.client_msg_id.time_ms().unwrap_or(now_ms);
        self.message(us, Arrived::Undecryptable(cause), sent_ms, Timer::default())
    }
}

/// The latest time that is stored, in milliseconds.
const MAX_TIME: u64 = u64::MAX >> 1;

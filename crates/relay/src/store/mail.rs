//! Mail: contents for devices, which have no place in a thread.

use std::fmt;

use sealpost_wire::id::ToWire as _;
use sealpost_wire::id::{ClientMsgId, ThreadId};
use sealpost_wire::{DeliverMail, Envelope};

use super::answer::Answer;
use super::audience::Misaddressed;
use super::lane::{BodyHash, Copy};
use super::mailbox::{MailSeq, PageLimit};
use crate::address::Address;

/// The mail that waits for each device.
pub trait Mail {
    /// Stores mail for all devices that it names, or says why not.
    fn post_mail(&self, mail: NewMail) -> Answer<Posted>;
    /// Mail of one class in the order of its numbers, after the given one. No row becomes visible at or before a number
    /// of this class that was already read.
    fn mail(&self, owner: Address, class: MailClass, after: MailSeq, limit: PageLimit) -> Answer<MailPage>;
    /// Deletes acknowledged mail, and returns how much there was. Like [`Mailboxes::inbox_ack`], it may delete in several
    /// transactions.
    ///
    /// [`Mailboxes::inbox_ack`]: super::Mailboxes::inbox_ack
    fn mail_ack(&self, owner: Address, seqs: Vec<MailSeq>) -> Answer<u32>;
}

/// Whether mail is delivered before or after the messages that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailClass {
    /// Before them.
    Urgent,
    /// After them.
    Ordinary,
}

impl MailClass {
    /// Both, in the order of delivery.
    pub const ALL: [Self; 2] = [Self::Urgent, Self::Ordinary];

    /// The class of mail with this envelope.
    pub const fn of(envelope: &Envelope) -> Self {
        if envelope.urgent { Self::Urgent } else { Self::Ordinary }
    }
}

/// Mail to store.
#[derive(Debug, Clone)]
pub struct NewMail {
    /// The sending device.
    pub sender: Address,
    /// The id chosen by the sender, unique for the sending device. The time inside determines how long it is remembered.
    pub client_msg_id: ClientMsgId,
    /// The thread whose members its sender and its recipients are.
    pub thread: ThreadId,
    /// Distinguishes a repetition from other mail with the same id.
    pub body_hash: BodyHash,
    /// One for each device that receives it.
    pub copies: Vec<Copy>,
    /// The current time.
    pub now_ms: u64,
}

/// The result of [`NewMail`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Posted {
    /// The mail is durable.
    Stored,
    /// It was stored before, with the same body.
    Duplicate,
    /// The id was used for another body.
    MsgIdReuse,
    /// There is no such thread, or the sender is not a member.
    NotMember,
    /// The devices cannot receive it.
    Misaddressed(Misaddressed),
    /// A recipient has not accepted the thread.
    NotAccepted,
    /// The id is unknown and older than the relay remembers ids.
    TooOld,
    /// The time of the id is too far in the future or in the past, and the mail was not stored.
    ClockSkew,
}

/// Mail as it waits for a device.
#[derive(Clone)]
pub struct MailRow {
    /// Its number.
    pub mail_seq: MailSeq,
    /// The thread.
    pub thread: ThreadId,
    /// When it was stored.
    pub came_ms: u64,
    /// The sending device.
    pub sender: Address,
    /// The id chosen by the sender.
    pub client_msg_id: ClientMsgId,
    /// Opaque to the relay.
    pub envelope: Envelope,
}

impl fmt::Debug for MailRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailRow").field("mail_seq", &self.mail_seq).finish_non_exhaustive()
    }
}

impl MailRow {
    /// The mail as it is sent to a device.
    pub fn into_deliver(self, epoch: u64) -> DeliverMail {
        DeliverMail {
            mail_seq: self.mail_seq,
            thread_id: self.thread.to_wire(),
            server_time_ms: self.came_ms,
            epoch,
            sender_user_id: self.sender.user.to_wire(),
            sender_device_id: self.sender.device.get(),
            client_msg_id: self.client_msg_id.to_wire(),
            envelope: Some(self.envelope),
        }
    }
}

/// Mail, and whether there is more.
#[derive(Debug, Clone, Default)]
pub struct MailPage {
    /// In the order of the numbers.
    pub rows: Vec<MailRow>,
    /// There is more after the last of these.
    pub more: bool,
    /// The number of rows that were ever trimmed from this mailbox.
    pub trimmed: u64,
}

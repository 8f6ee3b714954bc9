//! Handles a send: parses it, appends it to the store and builds the answer. The socket and the HTTP endpoint share
//! this code.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use prost::Message as _;
use sealpost_wire::id::ToWire as _;
use sealpost_wire::id::{ClientMsgId, ThreadId, UserId};
use sealpost_wire::limits::{MAILBOX_TTL_S, MAX_CIPHERTEXT, MAX_COPIES};
use sealpost_wire::roster::Refusal;
use sealpost_wire::send_ack::{Fanout, Status};
use sealpost_wire::{DeviceCopy, Envelope, Send, SendAck, envelope};
use sha2::{Digest as _, Sha256};

use crate::address::Address;
use crate::bus::WakeReason;
use crate::fault::{self, Station};
use crate::limits::Wait;
use crate::problem::Problem;
use crate::random;
use crate::state::State;
use crate::store::{self, Append, Appended, BodyHash, Copy, GroupAppend, JobId, Order, Stored, Turn};

/// A stored send, and the recipients to notify. It waits among the answers of a connection, so it is smaller than its frame.
#[derive(Debug)]
pub(crate) struct Sent {
    /// `None` for ephemeral mail, which needs no id.
    pub(crate) client_msg_id: Option<ClientMsgId>,
    pub(crate) thread: ThreadId,
    /// Where a message is; mail is nowhere.
    pub(crate) stored: Option<Stored>,
    pub(crate) epoch: u64,
    pub(crate) status: Status,
    /// For a message of a group.
    pub(crate) fanout: Fanout,
    /// The job that still writes its rows.
    pub(crate) job: Option<JobId>,
    pub(crate) recipients: Vec<(Address, WakeReason)>,
}

impl Sent {
    /// The answer to the sender.
    pub(crate) fn ack(&self) -> SendAck {
        SendAck {
            client_msg_id: self.client_msg_id.map(ClientMsgId::to_wire).unwrap_or_default(),
            thread_id: self.thread.to_wire(),
            server_seq: self.stored.map_or(0, |stored| stored.server_seq),
            hlc: self.stored.map_or(0, |stored| stored.hlc),
            epoch: self.epoch,
            status: self.status.into(),
            fanout: self.fanout.into(),
            job_id: self.job.map(|job| Bytes::copy_from_slice(&job)).unwrap_or_default(),
        }
    }

    /// Notifies the recipients' connections. Called once the sender's answer is on its way.
    pub(crate) fn wake(&self, state: &State) {
        for (recipient, reason) in &self.recipients {
            state.bus.wake(*recipient, *reason);
        }
        if self.job.is_some() {
            state.jobs.notify_one();
        }
    }
}

/// A send in progress.
pub(crate) type Sending = BoxFuture<'static, Result<Sent, Problem>>;

/// Charges a send to its sender's rate limits, before anything else is done with it. What it adds to the recipients'
/// mailboxes is charged when it is stored.
pub(crate) fn charge(state: &State, sender: Address, send: &Send) -> Result<Wait, Problem> {
    let now = state.clock.monotonic();
    let mut wait = charge_recipients(state, sender, &send.copies)?;
    if send.group.is_some() {
        wait = wait.max(state.limiter.group_post(sender.user, now)?);
    }
    Ok(wait.max(state.limiter.send(
        sender,
        charged_bytes(send.encoded_len(), &send.shared, &send.copies),
        now,
    )?))
}

/// The bytes for which a sender is charged: those of the frame, and those of the shared part once more for each further copy with it. No accepted
/// message has more copies than are counted.
pub(crate) fn charged_bytes(frame: usize, shared: &Bytes, copies: &[DeviceCopy]) -> usize {
    let with_shared =
        copies.iter().filter(|copy| copy.envelope.as_ref().is_some_and(has_shared)).take(MAX_COPIES);
    frame.saturating_add(shared.len().saturating_mul(with_shared.count().saturating_sub(1)))
}

/// Checks what the sender may deliver to the recipients.
pub(crate) fn charge_recipients(
    state: &State,
    sender: Address,
    copies: &[DeviceCopy],
) -> Result<Wait, Problem> {
    let now = state.clock.monotonic();
    let (mut wait, mut before) = (Wait::NONE, None);
    for copy in copies {
        // The copies for one user are adjacent. An invalid ID is rejected later.
        let Ok(recipient) = UserId::from_slice(&copy.user_id) else { continue };
        if before.replace(recipient) != Some(recipient) {
            wait = wait.max(state.limiter.inbound(sender.user, recipient, now)?);
        }
    }
    Ok(wait)
}

/// Passes a charged send to the store *at once*, so that sends submitted one after another are appended in that
/// order. A send with a [`Turn`] is refused if an earlier one of its lane was refused and the lane has not been
/// resumed. A lookup is never stored.
pub(crate) fn submit(
    state: &State,
    sender: Address,
    send: &Send,
    turn: Option<Turn>,
    _charged: Wait,
) -> Result<Sending, Problem> {
    let (id, thread, epoch) =
        (message_id(send)?, ThreadId::from_slice(&send.thread_id)?, state.store.epoch());
    let turn = turn.or_else(|| send.lookup.then(|| Order::default().lookup(thread)));
    let metrics = std::sync::Arc::clone(&state.metrics);
    let (appended, recipients) = match &send.group {
        None => {
            let append = parse(sender, send, state.clock.unix_ms())?;
            fault::at(Station::SendDecoded);
            let recipients = append.copies.iter().map(|copy| (copy.to, WakeReason::Messages)).collect();
            let appended = match turn {
                Some(turn) => state.store.append_in_turn(append, turn),
                None => state.store.append(append),
            };
            (appended, recipients)
        }
        Some(envelope) => {
            let post = parse_group(sender, send, envelope, state.clock.unix_ms())?;
            fault::at(Station::SendDecoded);
            let appended = match turn {
                Some(turn) => state.store.append_to_group_in_turn(post, turn),
                None => state.store.append_to_group(post),
            };
            (appended, Vec::new())
        }
    };
    Ok(Box::pin(async move {
        let appended = appended.await?;
        fault::at(Station::SendAfterCommit);
        let sent = |stored: Stored, status: Status, recipients: Vec<_>| Sent {
            client_msg_id: Some(id),
            thread,
            stored: Some(stored),
            epoch,
            status,
            fanout: Fanout::Unspecified,
            job: None,
            recipients,
        };
        match appended {
            Appended::ForGroup(stored, fanout) => {
                let stored = sent(stored, Status::Stored, Vec::new());
                Ok(match fanout {
                    store::Fanout::Inline(devices) => {
                        metrics.fanout.inline.count();
                        metrics.fanout.rows.add(u64::try_from(devices.len()).unwrap_or(u64::MAX));
                        let recipients = devices.into_iter().map(|to| (to, WakeReason::Messages)).collect();
                        Sent { fanout: Fanout::Inline, recipients, ..stored }
                    }
                    store::Fanout::Background(job) => {
                        metrics.fanout.background.count();
                        Sent { fanout: Fanout::Background, job: Some(job), ..stored }
                    }
                })
            }
            Appended::MayNotWrite => Err(Problem::NotAllowed(Refusal::NotAllowed.word())),
            Appended::Stored(stored) => Ok(sent(stored, Status::Stored, recipients)),
            Appended::Duplicate(stored) => {
                metrics.dedupe_hits.count();
                Ok(sent(stored, Status::Duplicate, Vec::new()))
            }
            Appended::MsgIdReuse => Err(Problem::MsgIdReuse),
            Appended::SenderRevoked => Err(Problem::InvalidToken),
            Appended::NotMember => Err(Problem::NotFound),
            Appended::StaleRoster { current } => Err(Problem::StaleRoster { current }),
            Appended::MismatchedDevices(devices) => Err(Problem::MismatchedDevices(devices)),
            Appended::StaleDevices(devices) => Err(Problem::StaleDevices(devices)),
            Appended::RecipientDeleted => Err(Problem::RecipientDeleted),
            Appended::LaneStopped => Err(Problem::LaneStopped),
            Appended::NotAccepted => Err(Problem::NotAccepted),
            Appended::TooOld => Err(Problem::TooOld),
            Appended::ClockSkew => Err(Problem::ClockSkew),
        }
    }))
}

/// Only the format is checked here. The store checks the time, once it knows that the send is not a duplicate.
fn message_id(send: &Send) -> Result<ClientMsgId, Problem> {
    let client_msg_id = ClientMsgId::from_slice(&send.client_msg_id)?;
    client_msg_id.time_ms()?;
    Ok(client_msg_id)
}

/// Performs the checks that do not need the store.
fn parse(sender: Address, send: &Send, now_ms: u64) -> Result<Append, Problem> {
    Ok(Append {
        sender,
        client_msg_id: message_id(send)?,
        thread: ThreadId::from_slice(&send.thread_id)?,
        roster_version: send.roster_version,
        body_hash: body_hash(send),
        copies: parse_copies(&send.copies, &send.shared, now_ms)?,
        now_ms,
    })
}

/// The same for a message of a group.
fn parse_group(
    sender: Address,
    send: &Send,
    envelope: &Envelope,
    now_ms: u64,
) -> Result<GroupAppend, Problem> {
    if envelope.ephemeral {
        return Err(Problem::EphemeralRefused);
    }
    if envelope.ciphertext.len() > MAX_CIPHERTEXT {
        return Err(Problem::TooLarge);
    }
    let is_known = envelope.kind == envelope::GROUP && !envelope.ciphertext.is_empty();
    if !is_known || !send.copies.is_empty() || !send.shared.is_empty() {
        return Err(Problem::Malformed);
    }
    Ok(GroupAppend {
        sender,
        client_msg_id: message_id(send)?,
        thread: ThreadId::from_slice(&send.thread_id)?,
        roster_version: send.roster_version,
        body_hash: body_hash(send),
        expires_ms: expires_ms(envelope, now_ms)?,
        envelope: envelope.clone(),
        job: random::id().into_bytes(),
        now_ms,
    })
}

/// When a row with this envelope is removed.
fn expires_ms(envelope: &Envelope, now_ms: u64) -> Result<u64, Problem> {
    let ttl_s = match u64::from(envelope.ttl_s) {
        0 => MAILBOX_TTL_S,
        ttl_s @ 1..=MAILBOX_TTL_S => ttl_s,
        _ => return Err(Problem::Malformed),
    };
    Ok(now_ms.saturating_add(ttl_s.saturating_mul(1_000)))
}

/// The hash by which a duplicate is recognised. It covers everything except the flags that say what to do with the
/// send.
fn body_hash(send: &Send) -> BodyHash {
    let encoded = if send.resume || send.lookup {
        Send { resume: false, lookup: false, ..send.clone() }.encode_to_vec()
    } else {
        send.encode_to_vec()
    };
    Sha256::digest(encoded).into()
}

/// Whether it is a message of a session, which may begin the session, and is not empty.
pub(crate) fn is_known(envelope: &Envelope) -> bool {
    let is_known = matches!(envelope.kind, envelope::SIGNAL | envelope::PRE_KEY) || has_shared(envelope);
    is_known && !envelope.ciphertext.is_empty()
}

/// Whether the shared part follows its ciphertext.
const fn has_shared(envelope: &Envelope) -> bool {
    matches!(envelope.kind, envelope::SIGNAL_WITH_SHARED | envelope::PRE_KEY_WITH_SHARED)
}

/// What follows the ciphertext of a copy. A shared part that belongs to none, and a copy that lacks it, are malformed.
pub(crate) fn shared_of(
    copies: &[DeviceCopy],
    shared: &Bytes,
) -> Result<impl Fn(&Envelope) -> Bytes, Problem> {
    let with_shared =
        copies.iter().filter_map(|copy| copy.envelope.as_ref()).filter(|one| has_shared(one)).count();
    // The sender of more would not be charged for all of them.
    if (with_shared > 0) == shared.is_empty() || with_shared > MAX_COPIES {
        return Err(Problem::Malformed);
    }
    let shared = shared.clone();
    Ok(move |envelope: &Envelope| if has_shared(envelope) { shared.clone() } else { Bytes::new() })
}

/// Parses copies that will be stored.
pub(crate) fn parse_copies(copies: &[DeviceCopy], shared: &Bytes, now_ms: u64) -> Result<Vec<Copy>, Problem> {
    let shared_of = shared_of(copies, shared)?;
    copies.iter().map(|copy| parse_copy(copy, &shared_of, now_ms)).collect()
}

fn parse_copy(
    copy: &DeviceCopy,
    shared_of: impl Fn(&Envelope) -> Bytes,
    now_ms: u64,
) -> Result<Copy, Problem> {
    let envelope = copy.envelope.clone().ok_or(Problem::Malformed)?;
    if envelope.ephemeral {
        return Err(Problem::EphemeralRefused);
    }
    let shared = shared_of(&envelope);
    if envelope.ciphertext.len().saturating_add(shared.len()) > MAX_CIPHERTEXT {
        return Err(Problem::TooLarge);
    }
    let expires_ms = expires_ms(&envelope, now_ms)?;
    if !is_known(&envelope) {
        return Err(Problem::Malformed);
    }
    Ok(Copy {
        to: Address::from_wire(&copy.user_id, copy.device_id)?,
        registration_id: copy.registration_id,
        envelope,
        shared,
        expires_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copies(kinds: &[u32]) -> Vec<DeviceCopy> {
        let copy = |kind: &u32| DeviceCopy {
            user_id: UserId::from_bytes([1; 16]).to_wire(),
            device_id: 1,
            registration_id: 1,
            envelope: Some(Envelope { kind: *kind, ciphertext: vec![1].into(), ..Envelope::default() }),
        };
        kinds.iter().map(copy).collect()
    }

    #[test]
    fn the_shared_part_is_charged_once_for_each_copy_that_is_written() {
        let shared = Bytes::from(vec![0; 1_000]);
        for (kinds, bytes) in [(&[1, 2][..], 5_000), (&[9, 1], 5_000), (&[9, 1, 10, 9], 7_000)] {
            assert_eq!(charged_bytes(5_000, &shared, &copies(kinds)), bytes, "{kinds:?}");
        }
        // Nothing is written for so many copies, and no bucket has room for them.
        assert_eq!(charged_bytes(5_000, &shared, &copies(&[9; 4_000])), 5_000 + 8 * 1_000);
    }

    #[test]
    fn copies_take_no_memory_for_their_shared_part() {
        let shared = Bytes::from(vec![0; 1_000]);
        let parsed = parse_copies(&copies(&[9, 10, 1]), &shared, 1).unwrap();
        let lengths: Vec<_> = parsed.iter().map(Copy::ciphertext_len).collect();
        assert_eq!(lengths, [1_001, 1_001, 1]);
        for copy in &parsed[..2] {
            assert_eq!(copy.shared.as_ptr(), shared.as_ptr(), "it is the bytes of the frame");
        }
        assert_eq!(parsed[0].ciphertext().len(), 1_001);
    }
}

//! Stations 4 to 7 in a group: a post is encrypted once, with our chain, for all devices that have it. Before it, those that lack it get it as
//! mail.

use std::collections::BTreeSet;

use bytes::Bytes;
use prost::Message as _;
use rand::rngs::StdRng;
use sealpost_protocol::group::{SenderKeyRecord, distribution_id};
use sealpost_wire as wire;
use sealpost_wire::id::ToWire as _;
use zeroize::Zeroizing;

use crate::content::{Body, Content, Distribution, MAX_PLAINTEXT};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::id::{ClientMsgId, DeviceId, ThreadId, UserId};
use crate::message::FailReason;
use crate::store::{ChainOut, DISTRIBUTION_SLOT, GroupHead, Holder, NewMail, Registered, Rows, Tx, Writable};

/// After this time, another chain begins.
const MAX_AGE_MS: u64 = 7 * 24 * 3_600 * 1_000;
/// After so many messages, another chain begins.
const MAX_MESSAGES: u32 = 1_000;
/// How long a post waits at most for those who get our chain, unless it is known earlier that they have it, in milliseconds.
const WAIT_MS: u64 = 3_000;

/// Whether a chain can encrypt the next message. Otherwise, another one begins.
pub(super) fn is_usable(chain: &ChainOut, removal_version: u64, now_ms: u64) -> bool {
    chain.removal_version == removal_version
        && chain.sent < MAX_MESSAGES
        // Our clock may have been wrong when it began.
        && now_ms.abs_diff(chain.began_ms) < MAX_AGE_MS
}

/// A member, and the devices that they have.
pub(super) struct MemberDevices {
    pub(super) user: UserId,
    /// Without this one. Of somebody who was never met, none is known.
    pub(super) devices: Vec<(DeviceId, [u8; 33])>,
    /// Whether these are our own other devices.
    pub(super) is_us: bool,
}

/// The members who lack our chain on one of their devices, apart from those for whom it waits already.
pub(super) fn lacking(
    members: &[MemberDevices],
    holders: &BTreeSet<Holder>,
    waiting: &BTreeSet<UserId>,
) -> Vec<UserId> {
    let lacks = |member: &&MemberDevices| {
        let MemberDevices { user, devices, is_us } = member;
        let is_unknown = devices.is_empty() && !is_us;
        let is_missing =
            |(device, identity): &(DeviceId, [u8; 33])| !holders.contains(&(*user, *device, *identity));
        !waiting.contains(user) && (is_unknown || devices.iter().any(is_missing))
    };
    members.iter().filter(lacks).map(|member| member.user).collect()
}

/// Whether a group can be written to.
pub(super) enum Ready {
    /// Its roster, and our chain, which those have who can.
    Yes(GroupHead, SenderKeyRecord),
    /// The roster is not known or not clear now.
    NoRoster,
    /// The roster does not let us write.
    Refused(FailReason),
    /// Others get our chain first. The lane was put off.
    Distributing,
}

/// Prepares our chain for the next post: begins another one if it is time, and queues it for those who lack it.
pub(super) fn prepare(
    ctx: &Context,
    tx: &mut Tx<'_>,
    thread: ThreadId,
    us: Registered,
    rng: &mut StdRng,
) -> Result<Ready> {
    match tx.is_writable(thread, us.user)? {
        Writable::Yes => {}
        Writable::NotNow => return Ok(Ready::NoRoster),
        Writable::Never => return Ok(Ready::Refused(FailReason::NotAMember)),
        Writable::AdminsOnly => return Ok(Ready::Refused(FailReason::Refused)),
    }
    let Some(head) = tx.group_head(thread)? else { return Ok(Ready::NoRoster) };
    let now_ms = ctx.server_now_ms();
    let known = tx.chain_out(thread)?.filter(|chain| is_usable(chain, head.removal_version, now_ms));
    let chain = match known {
        Some(chain) if chain.is_checked => return Ok(Ready::Yes(head, chain.record)),
        Some(chain) => chain,
        None => begin(tx, (thread, us), &head, now_ms, rng)?,
    };
    let holders = tx.chain_holders(thread)?;
    let (waiting, _) = tx.waiting_distributions(thread)?;
    let members = members(tx, thread, us)?;
    let lacking = lacking(&members, &holders, &waiting);
    if lacking.is_empty() && waiting.is_empty() {
        tx.set_chain_checked(thread)?;
        return Ok(Ready::Yes(head, chain.record));
    }
    queue(ctx, tx, (thread, us), (&chain, &lacking), rng)?;
    let since_ms = tx.waiting_distributions(thread)?.1;
    if let Some(left_ms) = since_ms.and_then(|since_ms| left_ms(since_ms, ctx.server_now_ms())) {
        tx.hold_lane_until(thread, ctx.env.now_ms().saturating_add(left_ms))?;
        return Ok(Ready::Distributing);
    }
    // Those whom nothing reaches now get it later, and delay nobody.
    Ok(Ready::Yes(head, chain.record))
}

/// How much longer a post waits for those to whom our chain was to be sent at `since_ms` or later, and was not yet; none if it does not.
fn left_ms(since_ms: u64, now_ms: u64) -> Option<u64> {
    // If the clock was set back, it does not wait.
    let waited_ms = now_ms.checked_sub(since_ms)?;
    WAIT_MS.checked_sub(waited_ms).filter(|left_ms| *left_ms > 0)
}

fn begin(
    tx: &mut Tx<'_>,
    (thread, us): (ThreadId, Registered),
    head: &GroupHead,
    now_ms: u64,
    rng: &mut StdRng,
) -> Result<ChainOut> {
    let (account, _) = tx.our_account()?;
    let number = sealpost_protocol::DeviceId::new(us.device.get())
        .map_err(|_| Error::Bug("a device without a number"))?;
    let whose = (us.user.as_bytes(), number);
    let id = distribution_id(thread.as_bytes(), whose, account.identity.public(), head.removal_version);
    let record = SenderKeyRecord::empty(id).create_distribution(rng).next;
    tx.begin_chain(thread, &record, head.removal_version, now_ms)?;
    let removal_version = head.removal_version;
    Ok(ChainOut { record, removal_version, began_ms: now_ms, sent: 0, is_checked: false })
}

/// The members that our chain is for, with the devices on the lists that their accounts have signed, or those of accounts from before lists.
fn members(rows: &Rows<'_>, thread: ThreadId, us: Registered) -> Result<Vec<MemberDevices>> {
    let of = |user| {
        let devices: Vec<_> = match rows.device_list(user)? {
            Some(list) => list
                .devices()
                .iter()
                .filter_map(|entry| {
                    Some((DeviceId::new(entry.device.get()).ok()?, entry.identity.serialize()))
                })
                .collect(),
            None => {
                let known = rows.devices(user)?.into_iter();
                known.map(|known| (known.device, known.identity.serialize())).collect()
            }
        };
        let is_us = user == us.user;
        let devices = devices.into_iter().filter(|(device, _)| !is_us || *device != us.device).collect();
        Ok(MemberDevices { user, devices, is_us })
    };
    rows.members_with_keys(thread)?.into_iter().map(of).collect()
}

/// Queues our chain for these members.
fn queue(
    ctx: &Context,
    tx: &mut Tx<'_>,
    (thread, us): (ThreadId, Registered),
    (chain, to): (&ChainOut, &[UserId]),
    rng: &mut StdRng,
) -> Result<()> {
    let message = chain.record.create_distribution(rng).output;
    let (ours, secret) = (tx.profile(us.user)?, tx.present_group_secret(thread)?);
    for to in to {
        // Somebody who is blocked reads what we write here, and learns nothing else of us.
        let profile = if tx.is_blocked(*to)? { None } else { ours.clone() };
        let body = Body::Distribution(Distribution {
            message: Zeroizing::new(message.serialize().to_vec()),
            removal_version: chain.removal_version,
            secret: secret.clone(),
            profile,
        });
        let (content_id, sent_ms) = (ctx.new_client_msg_id(), ctx.server_now_ms());
        let slot = Some(DISTRIBUTION_SLOT);
        ctx.queue_mail(tx, &NewMail { thread, to: *to, slot, content_id, sent_ms, body, due_ms: 0 })?;
    }
    Ok(())
}

/// The bytes of the `Send`, and our chain after it; none if the content is larger than contents may be.
pub(super) fn seal(
    client_msg_id: ClientMsgId,
    content: &Content,
    head: &GroupHead,
    chain: &SenderKeyRecord,
    rng: &mut StdRng,
) -> Result<Option<(Bytes, SenderKeyRecord)>> {
    let plaintext = content.to_plaintext();
    if plaintext.len() > MAX_PLAINTEXT {
        return Ok(None);
    }
    let sealed = chain.encrypt(&plaintext, rng).map_err(|_| Error::Bug("a chain that cannot encrypt"))?;
    let group = wire::Envelope {
        kind: wire::envelope::GROUP,
        ciphertext: Bytes::copy_from_slice(sealed.output.serialize()),
        urgent: content.body.kind().is_urgent(),
        ..wire::Envelope::default()
    };
    let send = wire::Send {
        client_msg_id: client_msg_id.to_wire(),
        thread_id: content.thread.to_wire(),
        roster_version: head.version,
        group: Some(group),
        ..wire::Send::default()
    };
    Ok(Some((send.encode_to_vec().into(), sealed.next)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEN: UserId = UserId::from_bytes([2; 16]);
    const CAM: UserId = UserId::from_bytes([3; 16]);
    const US: UserId = UserId::from_bytes([1; 16]);

    fn device(number: u32) -> DeviceId {
        DeviceId::new(number).unwrap()
    }

    fn chain(removal_version: u64, began_ms: u64, sent: u32) -> ChainOut {
        let record = SenderKeyRecord::empty(sealpost_protocol::DistributionId::new([1; 16]));
        ChainOut { record, removal_version, began_ms, sent, is_checked: true }
    }

    #[test]
    fn another_chain_begins_after_a_removal_a_week_and_a_thousand_messages() {
        let now_ms = 2 * MAX_AGE_MS;
        assert!(is_usable(&chain(4, now_ms - MAX_AGE_MS + 1, MAX_MESSAGES - 1), 4, now_ms));
        assert!(!is_usable(&chain(4, now_ms - MAX_AGE_MS, 0), 4, now_ms));
        assert!(!is_usable(&chain(4, now_ms, MAX_MESSAGES), 4, now_ms));
        assert!(!is_usable(&chain(4, now_ms, 0), 5, now_ms));
        // A clock that was ahead does not keep a chain for ever.
        assert!(!is_usable(&chain(4, now_ms + MAX_AGE_MS, 0), 4, now_ms));
    }

    #[test]
    fn a_post_waits_for_three_seconds_in_all() {
        assert_eq!(left_ms(5_000, 5_000), Some(WAIT_MS));
        assert_eq!(left_ms(5_000, 7_999), Some(1));
        assert_eq!(left_ms(5_000, 8_000), None);
        assert_eq!(left_ms(5_000, 60_000), None);
        assert_eq!(left_ms(5_000, 4_999), None);
    }

    #[test]
    fn who_lacks_the_chain_on_a_device_gets_it_unless_it_waits_for_them() {
        let key = [5; 33];
        let member = |user, numbers: &[u32], is_us| {
            let devices = numbers.iter().map(|number| (device(*number), key)).collect();
            MemberDevices { user, devices, is_us }
        };
        let holders =
            BTreeSet::from([(BEN, device(1), key), (CAM, device(1), key), (CAM, device(2), [6; 33])]);
        let lacks = |members: &[MemberDevices], waiting: &[UserId]| {
            lacking(members, &holders, &waiting.iter().copied().collect())
        };
        let all = [member(US, &[], true), member(BEN, &[1], false), member(CAM, &[1], false)];
        assert_eq!(lacks(&all, &[]), []);
        // Another device, another identity key, and somebody whose devices are not known.
        assert_eq!(lacks(&[member(BEN, &[1, 2], false)], &[]), [BEN]);
        assert_eq!(lacks(&[member(CAM, &[1, 2], false)], &[]), [CAM]);
        assert_eq!(lacks(&[member(UserId::from_bytes([9; 16]), &[], false)], &[]).len(), 1);
        assert_eq!(lacks(&[member(US, &[2], true)], &[]), [US], "another device of ours");
        assert_eq!(lacks(&[member(BEN, &[1, 2], false), member(CAM, &[2], false)], &[CAM]), [BEN]);
    }
}

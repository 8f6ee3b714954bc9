//! Stations 3, 4 and 6 to 8 for mail, in one transaction. Each piece is a part of it, so that one that cannot be processed stops no other.

use std::collections::{BTreeSet, HashMap, HashSet};

use rand::rngs::StdRng;
use sealpost_protocol::UnixSeconds;
use sealpost_wire as wire;
use sealpost_wire::limits::MAILBOX_TTL_S;

use super::together::{Piece, Together};
use crate::account::registration::address;
use crate::content::{AccountState, Body, Content, Header, Receipt, Timer};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::id::{ClientMsgId, DeviceId, ThreadId, UserId};
use crate::send::backoff_ceiling_ms;
use crate::send::plan::{Addressed, ToMeet, address_users};
use crate::send::seal::{Sealing, Sender, seal_mail};
use crate::store::{
    DueMail, Durable, MailDropped, MailId, MailOutcome, Parcel, QueuedMail, Registered, Tx, contained,
};
use crate::thread::{hold_receipt, receipt_leaves};

/// How much mail is in flight at a time: few enough that messages hardly wait for it.
const BATCH: usize = 32;
const BATCH_BYTES: usize = 16 << 10;
/// After this many refusals, each followed by sealing it anew, mail is dropped.
pub(super) const MAX_REFUSALS: u32 = 12;
/// The longest wait for what does not change soon, in milliseconds.
pub(super) const LONG_MS: u64 = 3_600_000;

/// Mail that is sealed, ready to be submitted.
pub(crate) struct Sealed {
    /// What it consists of: several distributions, or one other piece.
    pub(crate) pieces: Vec<Piece>,
    pub(super) thread: ThreadId,
    /// Whether it is for our own devices.
    pub(super) to_us: bool,
    /// Whether a message in a group waits for it.
    pub(super) is_distribution: bool,
    pub(crate) parcel: Durable<Parcel>,
}

/// A user for whom mail waits that first needs these sessions.
pub(crate) struct Unmet {
    pub(super) thread: ThreadId,
    /// How often this was tried in vain.
    pub(super) attempts: u32,
    pub(super) to_meet: ToMeet,
}

/// What is to be done after the transaction.
#[derive(Default)]
pub(crate) struct Prepared {
    pub(crate) sealed: Vec<Sealed>,
    /// One entry for each user, however much mail waits for them.
    pub(crate) unmet: HashMap<UserId, Unmet>,
}

/// Seals the mail that is due, except that to users with whom sessions are being started.
pub(crate) fn prepare(
    ctx: &Context,
    tx: &mut Tx<'_>,
    now_ms: u64,
    except: &HashSet<UserId>,
) -> Result<Prepared> {
    let mut rng = ctx.env.rng();
    let (mut prepared, mut put_off) = (Prepared::default(), HashMap::new());
    let (mut distributions, mut put_off_in) = (Distributions::default(), BTreeSet::new());
    for mail in tx.due_mail(now_ms, except, (BATCH, BATCH_BYTES))? {
        let mail = match mail {
            DueMail::Readable(mail) => *mail,
            DueMail::Damaged(id) => {
                tx.drop_mail(id, MailDropped::Damaged)?;
                continue;
            }
        };
        let (id, to, thread, attempts) = (mail.id, mail.to, mail.thread, mail.attempts);
        let is_distribution = matches!(mail.body, Body::Distribution(_));
        let was_sealed = mail.sealed.is_some();
        if !was_sealed && prepared.unmet.contains_key(&to) {
            continue;
        }
        let part = tx.begin_part()?;
        let next = match contained(|| next(ctx, tx, mail, &mut rng)) {
            Ok(next) => {
                tx.keep_part(part)?;
                next
            }
            Err(error) if error.stops_everything() => return Err(error),
            Err(error) => {
                tx.undo_part(part)?;
                tracing::warn!(%error, attempts, "mail could not be sealed, and is tried again later");
                Next::Fault
            }
        };
        if is_distribution && !matches!(next, Next::Submit(_)) {
            put_off_in.insert(thread);
        }
        match next {
            Next::Submit(parcel) if is_distribution => {
                let piece = Piece { id, to, attempts };
                distributions.add(ctx, tx, (thread, was_sealed), piece, &parcel)?;
            }
            Next::Submit(parcel) => {
                let (pieces, to_us) = (vec![Piece { id, to, attempts }], tx.is_us(to)?);
                prepared.sealed.push(Sealed { pieces, thread, to_us, is_distribution, parcel });
            }
            Next::Meet(to_meet) => {
                let (attempts, until) = match put_off.get(&to) {
                    Some(known) => *known,
                    None => tx.unsealed_mail_to(to, now_ms)?,
                };
                put_off.insert(to, (attempts, until));
                match until {
                    // Starting a session was tried a short while ago.
                    Some(due_ms) => tx.settle_mail((id, None, MailOutcome::Later { due_ms }))?,
                    None => drop(prepared.unmet.insert(to, Unmet { thread, attempts, to_meet })),
                }
            }
            Next::Held => {}
            Next::Drop(why) => tx.drop_mail(id, why)?,
            Next::Fault => defer(ctx, tx, (id, attempts))?,
        }
    }
    put_off_in.into_iter().try_for_each(|thread| tx.release_group(thread))?;
    prepared.sealed.extend(distributions.finish(tx)?);
    Ok(prepared)
}

/// The distributions of one transaction, which leave together.
#[derive(Default)]
struct Distributions {
    made: Vec<Together>,
    /// The frames that may have been submitted before.
    again: BTreeSet<(ThreadId, ClientMsgId)>,
}

impl Distributions {
    /// Adds one that was sealed now, or before.
    fn add(
        &mut self,
        ctx: &Context,
        tx: &mut Tx<'_>,
        (thread, was_sealed): (ThreadId, bool),
        piece: Piece,
        parcel: &Durable<Parcel>,
    ) -> Result<()> {
        let Parcel { client_msg_id, bytes } = parcel.get();
        if was_sealed {
            self.again.insert((thread, *client_msg_id));
            return Ok(());
        }
        let mail: wire::Mail = wire::decode(bytes.clone()).map_err(|_| Error::Bug("mail that is none"))?;
        let known = self.made.iter_mut().find(|known| known.thread == thread && known.has_room(&mail));
        match known {
            Some(known) => {
                tx.rename_mail(piece.id, known.name)?;
                known.add(piece, mail);
            }
            None => {
                let name = ctx.new_client_msg_id();
                tx.rename_mail(piece.id, name)?;
                let mut together = Together::new(thread, name);
                together.add(piece, mail);
                self.made.push(together);
            }
        }
        Ok(())
    }

    /// What is to be submitted.
    fn finish(mut self, tx: &mut Tx<'_>) -> Result<Vec<Sealed>> {
        for (thread, name) in self.again {
            let mut together = Together::new(thread, name);
            for (id, to, attempts, bytes) in tx.mail_named(name)? {
                match wire::decode::<wire::Mail>(bytes.into()) {
                    Ok(mail) => together.add(Piece { id, to, attempts }, mail),
                    Err(_) => tx.drop_mail(id, MailDropped::Damaged)?,
                }
            }
            self.made.push(together);
        }
        let filled = self.made.into_iter().filter(|together| !together.pieces.is_empty());
        let sealed = filled.map(|together| {
            let thread = together.thread;
            let (pieces, parcel) = together.into_parcel();
            Sealed { pieces, thread, to_us: false, is_distribution: true, parcel: tx.durable(parcel) }
        });
        Ok(sealed.collect())
    }
}

/// What to do with mail that is due.
enum Next {
    Submit(Durable<Parcel>),
    /// Start these sessions first.
    Meet(ToMeet),
    Drop(MailDropped),
    /// It is a receipt, and another one has just left.
    Held,
    /// It could not be processed because of a fault on this side.
    Fault,
}

fn next(ctx: &Context, tx: &mut Tx<'_>, mail: QueuedMail, rng: &mut StdRng) -> Result<Next> {
    let QueuedMail { id, thread, to, attempts, refusals, sent_ms, content_id, body, sealed } = mail;
    if sent_ms < ctx.expiry_now_ms().saturating_sub(MAILBOX_TTL_S.saturating_mul(1_000)) {
        return Ok(Next::Drop(MailDropped::Expired));
    }
    if refusals >= MAX_REFUSALS {
        return Ok(Next::Drop(MailDropped::Refused));
    }
    // The person may have blocked the recipient since it was queued, or switched it off. What is sealed may have been submitted, but is
    // not submitted again.
    if !tx.may_mail(thread, to, &body)? {
        return Ok(Next::Drop(MailDropped::NotAllowed));
    }
    if let Some(parcel) = sealed {
        return Ok(Next::Submit(parcel));
    }
    // What a receipt says is decided at the last moment.
    let body = match body {
        // Nothing has left of one that was tried before.
        Body::Receipt(Receipt { kind, .. })
            if attempts == 0 && hold_receipt(ctx, tx, (thread, to), kind)? =>
        {
            return Ok(Next::Held);
        }
        Body::Receipt(Receipt { kind, .. }) => match tx.receipt(thread, to, kind)? {
            Some(receipt) => Body::Receipt(receipt),
            None => return Ok(Next::Drop(MailDropped::Empty)),
        },
        Body::AccountState(_) => {
            let us = tx.our_account()?.1.device;
            match tx.take_due_state(id, (us, ctx.stated_now_ms().unwrap_or(0)))? {
                items if items.is_empty() => return Ok(Next::Drop(MailDropped::Empty)),
                items => Body::AccountState(AccountState { items }),
            }
        }
        body => body,
    };
    let sent_ms = sent_ms.min(ctx.server_now_ms());
    let us = tx.our_account()?.1.user;
    let lists = tx.named_lists(us, Some(to))?;
    // Mail without a body is for our list, from which a device was removed.
    let devices = if body == Body::Null { tx.device_list_bytes(us)? } else { None };
    let roster = tx.group_head(thread)?.map(|head| head.named());
    let (timer, header) = (Timer::default(), Header { lists, devices, roster, ..Header::default() });
    let content = Content { thread, id: content_id, sent_ms, timer, header, body };
    Ok(match seal(ctx, tx, &content, to, rng)? {
        Sealable::Yes(parcel) => {
            if let Body::Receipt(Receipt { kind, .. }) = content.body {
                receipt_leaves(ctx, tx, (thread, to), kind);
            }
            Next::Submit(tx.set_mail_sealed(id, parcel, ctx.server_now_ms())?)
        }
        Sealable::Meet(to_meet) => Next::Meet(to_meet),
        Sealable::No => Next::Drop(MailDropped::Unsealable),
    })
}

/// Puts mail off that could not be processed. If even that is not possible, it is dropped.
fn defer(ctx: &Context, tx: &mut Tx<'_>, (id, attempts): (MailId, u32)) -> Result<()> {
    let ceiling_ms = backoff_ceiling_ms(attempts.saturating_add(1), LONG_MS);
    let due_ms = ctx.env.now_ms().saturating_add(1).saturating_add(ctx.env.jitter(ceiling_ms));
    let part = tx.begin_part()?;
    match tx.settle_mail((id, None, MailOutcome::Later { due_ms })) {
        Ok(()) => tx.keep_part(part),
        Err(error) if error.stops_everything() => Err(error),
        Err(_) => {
            tx.undo_part(part)?;
            tx.drop_mail(id, MailDropped::Damaged)
        }
    }
}

enum Sealable {
    Yes(Parcel),
    /// Start these sessions first.
    Meet(ToMeet),
    /// Nothing can be sealed for this person.
    No,
}

/// The devices on the list of a user, except this one, with which no session was started yet. The relay names them for posts in direct
/// threads, but not for mail, and not in groups.
fn listed_to_meet(
    ctx: &Context,
    tx: &Tx<'_>,
    (user, us): (UserId, Registered),
    now: UnixSeconds,
) -> Result<Option<ToMeet>> {
    let Some(list) = tx.device_list(user)? else { return Ok(None) };
    let (known, skipped) = (tx.devices(user)?, ctx.skipped.of(user, now));
    let is_done = |device: &DeviceId| {
        (user == us.user && *device == us.device)
            || known.iter().any(|known| known.device == *device)
            || skipped.iter().any(|skipped| skipped.device == *device)
    };
    let listed = list.devices().iter().filter_map(|entry| DeviceId::new(entry.device.get()).ok());
    let devices: Vec<_> = listed.filter(|device| !is_done(device)).collect();
    Ok((!devices.is_empty()).then_some(ToMeet { user, devices }))
}

/// Seals a content for all devices of a person, and stores the advanced sessions.
fn seal(ctx: &Context, tx: &mut Tx<'_>, content: &Content, to: UserId, rng: &mut StdRng) -> Result<Sealable> {
    let now = UnixSeconds(ctx.server_now_ms() / 1000);
    let (account, us) = tx.our_account()?;
    let is_distribution = matches!(content.body, Body::Distribution(_));
    if (to == us.user || is_distribution)
        && let Some(to_meet) = listed_to_meet(ctx, tx, (to, us), now)?
    {
        return Ok(Sealable::Meet(to_meet));
    }
    let mut recipients = match address_users(tx, (&[to], us), &ctx.skipped, ctx.policy, now)? {
        // None of our other devices is there.
        Addressed::Ready(recipients) if recipients.ready.is_empty() => return Ok(Sealable::No),
        Addressed::Ready(recipients) => recipients,
        Addressed::Meet(mut to_meet) => return Ok(to_meet.pop().map_or(Sealable::No, Sealable::Meet)),
        Addressed::Blocked(_) | Addressed::Contradicted => return Ok(Sealable::No),
    };
    // A piece of a bootstrap is large, and is nothing to the others.
    if let Some(only) = content.body.only_device() {
        recipients.ready.retain(|(device, _)| device.device == only);
        if recipients.ready.is_empty() {
            return Ok(Sealable::No);
        }
    }
    let our_address = address(us.user, us.device)?;
    let from = Sender::new(tx, (&account, us, &our_address), &recipients.ready)?;
    let client_msg_id = ctx.new_client_msg_id();
    let form = wire::Envelope { urgent: content.body.kind().is_urgent(), ..wire::Envelope::default() };
    let sealing = seal_mail(client_msg_id, content, &form, &mut recipients.ready, &from, now, rng)?;
    let outcome = match sealing {
        Sealing::Sealed { send, skipped } => {
            for ((device, _), changes) in recipients.ready.iter().zip(skipped) {
                tx.store_skipped(device.user, device.device, changes)?;
            }
            if is_distribution {
                tx.set_holders(content.thread, recipients.ready.iter().map(|(device, _)| device))?;
            }
            Sealable::Yes(Parcel { client_msg_id, bytes: send })
        }
        Sealing::TooLarge => return Ok(Sealable::No),
        Sealing::SpentSession(to_meet) => Sealable::Meet(to_meet),
    };
    for (_, sessions) in &mut recipients.ready {
        tx.store_sessions(sessions)?;
    }
    Ok(outcome)
}

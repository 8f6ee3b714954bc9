//! Sends ephemeral mail: it is sealed, the advanced sessions are committed, and only then do the bytes leave. It is never sent
//! again, and there is no row of it. Who cannot be sealed for at once gets nothing.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rand::rngs::StdRng;
use sealpost_protocol::UnixSeconds;
use sealpost_wire as wire;

use super::plan::{Addressed, Recipients, address_users};
use super::seal::{Sealing, Sender, seal_mail};
use crate::account::registration::address;
use crate::content::{Body, Call, Content, Header, Timer};
use crate::context::Context;
use crate::error::Result;
use crate::fault::{self, Station};
use crate::id::{ThreadId, UserId};
use crate::store::{Durable, Parcel, Registered, Tx};
use crate::transport;

/// A device gets no ephemeral mail after this many messages that it has not answered: it keeps the keys of at most 2,000 that it
/// did not receive.
const MAX_UNANSWERED: u32 = 500;
/// So many devices of a group get what is ephemeral.
const MAX_IN_GROUP: usize = 16;
/// How long the relay may hold a signal of a call, in seconds.
const CALL_TTL_S: u32 = 30;

/// An answer of the relay. It need not be waited for.
pub(crate) type Answer = BoxFuture<'static, transport::Result<wire::SendAck>>;

/// What is sent.
#[derive(Debug, Clone)]
pub(crate) struct Passing {
    pub(crate) body: Body,
    /// How long the relay may wait until it can be written to a connection, in seconds: at most 60.
    pub(crate) ttl_s: u32,
    /// When it is sent, by server time.
    pub(crate) sent_ms: u64,
}

impl Passing {
    /// A signal of a call.
    pub(crate) const fn call(call: Call, sent_ms: u64) -> Self {
        Self { body: Body::Call(call), ttl_s: CALL_TTL_S, sent_ms }
    }
}

/// Sends a content in each of these threads. Nothing is sent without a connection, or that the others are not to be told.
pub(crate) async fn pass(ctx: &Context, threads: Vec<ThreadId>, passing: Passing) -> Result<Vec<Answer>> {
    pass_to(ctx, threads, passing, To::Others).await
}

/// Sends a content to our other devices, if there are any.
pub(crate) async fn pass_to_own(ctx: &Context, thread: ThreadId, passing: Passing) -> Result<()> {
    if !ctx.store.glance(|rows| rows.has_other_devices()).await? {
        return Ok(());
    }
    pass_to(ctx, vec![thread], passing, To::OurOther).await.map(drop)
}

/// Whose devices get a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    /// Those of the other members of the thread.
    Others,
    /// Ours.
    OurOther,
}

async fn pass_to(ctx: &Context, threads: Vec<ThreadId>, passing: Passing, to: To) -> Result<Vec<Answer>> {
    let Some(socket) = ctx.transport.live() else { return Ok(Vec::new()) };
    let (ctx_in_tx, mut rng) = (ctx.clone(), ctx.env.rng());
    let work = move |tx: &mut Tx<'_>| {
        let mut sealed = Vec::with_capacity(threads.len());
        for thread in threads {
            sealed.extend(seal(&ctx_in_tx, tx, (thread, to), &passing, &mut rng)?);
        }
        fault::at(Station::EphemeralBeforeCommit);
        Ok(sealed)
    };
    let sealed: Vec<Durable<Parcel>> = ctx.store.write(work).await?;
    fault::at(Station::EphemeralAfterCommit);
    let mut answers = Vec::with_capacity(sealed.len());
    for parcel in sealed {
        answers.push(socket.submit_mail(&parcel).await?.boxed());
    }
    Ok(answers)
}

/// The devices of a group that get what is ephemeral: in a large one, of those who are there. Somebody who is blocked gets nothing, and nobody
/// waits for somebody else's session.
fn address_group(
    ctx: &Context,
    tx: &Tx<'_>,
    (thread, us): (ThreadId, Registered),
    mut users: Vec<UserId>,
    now: UnixSeconds,
) -> Result<Addressed> {
    if users.len() > MAX_IN_GROUP {
        ctx.ephemeral.who_is_there(thread, &mut users);
    }
    let mut recipients = Recipients::default();
    for user in users {
        if tx.is_blocked(user)? {
            continue;
        }
        if let Addressed::Ready(of_user) = address_users(tx, (&[user], us), &ctx.skipped, ctx.policy, now)? {
            recipients.ready.extend(of_user.ready);
        }
        if recipients.ready.len() >= MAX_IN_GROUP {
            recipients.ready.truncate(MAX_IN_GROUP);
            break;
        }
    }
    Ok(Addressed::Ready(recipients))
}

/// Seals a content for those who get it, and stores the advanced sessions; none if nobody does.
pub(crate) fn seal(
    ctx: &Context,
    tx: &mut Tx<'_>,
    (thread, to): (ThreadId, To),
    passing: &Passing,
    rng: &mut StdRng,
) -> Result<Option<Durable<Parcel>>> {
    let Passing { body, ttl_s, sent_ms } = passing;
    if !tx.may_tell(thread, body)? || tx.has_left()? {
        return Ok(None);
    }
    let (now_ms, client_msg_id) = (ctx.server_now_ms(), ctx.new_client_msg_id());
    let now = UnixSeconds(now_ms / 1000);
    let (account, us) = tx.our_account()?;
    // Our own devices are told of calls only, and not what we are doing on this one.
    let users = match to {
        To::Others => tx.others(thread)?,
        To::OurOther => vec![us.user],
    };
    let addressed = match to == To::Others && tx.is_group(thread)? {
        true => address_group(ctx, tx, (thread, us), users.clone(), now)?,
        false => address_users(tx, (&users, us), &ctx.skipped, ctx.policy, now)?,
    };
    let Addressed::Ready(mut recipients) = addressed else { return Ok(None) };
    recipients.ready.retain(|(_, sessions)| sessions.record.unanswered() < MAX_UNANSWERED);
    if recipients.ready.is_empty() {
        return Ok(None);
    }
    let lists = match users[..] {
        [other] => tx.named_lists(us.user, Some(other))?,
        _ => tx.named_lists(us.user, None)?,
    };
    let content = Content {
        thread,
        id: client_msg_id,
        sent_ms: *sent_ms,
        timer: Timer::default(),
        header: Header { lists, ..Header::default() },
        body: body.clone(),
    };
    let urgent = content.body.kind().is_urgent();
    let form = wire::Envelope { ephemeral: true, urgent, ttl_s: *ttl_s, ..wire::Envelope::default() };
    let our_address = address(us.user, us.device)?;
    let from = Sender::new(tx, (&account, us, &our_address), &recipients.ready)?;
    let Sealing::Sealed { send: bytes, skipped } =
        seal_mail(client_msg_id, &content, &form, &mut recipients.ready, &from, now, rng)?
    else {
        // Nothing has changed in the database.
        return Ok(None);
    };
    for ((device, sessions), changes) in recipients.ready.iter_mut().zip(skipped) {
        tx.store_skipped(device.user, device.device, changes)?;
        tx.store_sessions(sessions)?;
    }
    Ok(Some(tx.durable(Parcel { client_msg_id, bytes })))
}

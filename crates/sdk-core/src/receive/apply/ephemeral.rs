//! Ephemeral mail has no effect on history, and none at all if it is old, or from somebody who may not be answered.

use crate::content::{Body, Call, CallStep, Content};
use crate::context::Context;
use crate::error::Result;
use crate::receive::envelope::MailEnvelope;
use crate::store::{Thread, Tx};

/// How far the clocks of two devices may differ, in milliseconds, though both follow the relay's.
const CLOCKS_DIFFER_MS: u64 = 5_000;
const TYPING_MS: u64 = 5_000;
const PRESENCE_MS: u64 = 60_000;
const CALL_MS: u64 = 30_000;

pub(in crate::receive) fn apply(
    ctx: &Context,
    tx: &mut Tx<'_>,
    mail: &MailEnvelope,
    content: &Content,
) -> Result<()> {
    let (now_ms, sent_ms) = (ctx.server_now_ms(), content.sent_ms);
    let (thread, user) = (mail.thread, mail.sender);
    let is_recent = |life_ms: u64| {
        now_ms.saturating_sub(sent_ms) <= life_ms.saturating_add(CLOCKS_DIFFER_MS)
            && sent_ms.saturating_sub(now_ms) <= CLOCKS_DIFFER_MS
    };
    if !tx.may_answer(thread)? {
        return Ok(());
    }
    let live = ctx.ephemeral.clone();
    if tx.is_us(user)? {
        // Our own devices tell each other which calls were taken, and nothing else that is worth nothing later.
        if let Body::Call(Call { id, step: CallStep::Elsewhere { is_answered } }) = content.body
            && is_recent(CALL_MS)
            && let Some(Thread { peer: Some(peer), .. }) = tx.thread(thread)?
        {
            let calls = ctx.calls.clone();
            tx.after_commit(move || {
                calls.elsewhere(id, (thread, peer), is_answered);
                live.changed.notify_one();
            });
        }
        return Ok(());
    }
    match &content.body {
        Body::Typing { is_typing } if is_recent(TYPING_MS) => {
            let is_typing = *is_typing;
            tx.after_commit(move || live.set_typing((thread, user), is_typing, sent_ms));
        }
        Body::Presence { is_here } if is_recent(PRESENCE_MS) => {
            tx.set_last_seen(user, sent_ms.min(now_ms))?;
            let is_here = *is_here;
            tx.after_commit(move || live.set_present(user, is_here));
        }
        Body::Call(call) if is_recent(CALL_MS) => {
            let (calls, (_, us), call) = (ctx.calls.clone(), tx.our_account()?, call.clone());
            let from = (thread, user, mail.sender_device);
            tx.after_commit(move || {
                calls.arrived(from, us.user, call, (sent_ms, now_ms));
                live.changed.notify_one();
            });
        }
        _ => {}
    }
    Ok(())
}

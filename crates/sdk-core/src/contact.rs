//! Others, and how far we trust who they say they are.

use sealpost_protocol::{Party, SafetyNumber};

use crate::context::Context;
use crate::error::{Error, Result};
use crate::id::{DeviceId, UserId};
use crate::message::FailReason;
use crate::store::{Rows, TrustState};

/// The safety number with a user: 60 digits, the same on both sides. Made from the keys of both primary devices.
pub(crate) async fn safety_number(ctx: &Context, user: UserId) -> Result<String> {
    ctx.store.read(move |rows| number(rows, user)).await
}

/// How far the person trusts a user.
pub(crate) async fn trust(ctx: &Context, user: UserId) -> Result<TrustState> {
    ctx.store.read(move |rows| rows.trust(user)?.ok_or(Error::NotFound)).await
}

/// The person has compared this safety number, and both sides saw the same. It is checked again here, as it may have changed
/// in the meantime.
pub(crate) async fn verify(ctx: &Context, user: UserId, compared: String) -> Result<bool> {
    let work = ctx.store.write(move |tx| {
        let same = number(tx, user)? == compared;
        if same {
            tx.set_trust(user, TrustState::Verified)?;
        }
        Ok(same)
    });
    work.await
}

/// The person goes on with a changed identity without comparing.
pub(crate) async fn accept(ctx: &Context, user: UserId) -> Result<()> {
    let work = ctx.store.write(move |tx| match tx.trust(user)?.ok_or(Error::NotFound)? {
        TrustState::ChangedSinceVerified => tx.set_trust(user, TrustState::FirstUse),
        // There is nothing to accept, and what was compared stays compared.
        TrustState::FirstUse | TrustState::Verified => Ok(()),
    });
    work.await
}

/// Whether anything may be sealed for this user.
pub(crate) fn check(rows: &Rows<'_>, user: UserId) -> Result<Result<(), FailReason>> {
    Ok(match rows.trust(user)? {
        Some(TrustState::ChangedSinceVerified) => Err(FailReason::IdentityChanged),
        _ => Ok(()),
    })
}

fn number(rows: &Rows<'_>, user: UserId) -> Result<String> {
    let (account, us) = rows.our_account()?;
    if us.user == user {
        return Err(Error::Misuse("the safety number with oneself"));
    }
    let theirs = rows.identity(user, DeviceId::PRIMARY)?.ok_or(Error::NotFound)?;
    let number = SafetyNumber::new(
        Party { stable_id: us.user.as_bytes(), key: account.identity.public() },
        Party { stable_id: user.as_bytes(), key: &theirs },
    );
    Ok(number.to_string())
}

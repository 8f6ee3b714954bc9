//! Registration: an identity in this database, and an account at the relay.
//!
//! The identity and the pre-keys are on disk before the relay receives their public halves. A registration whose answer was
//! lost is repeated with the same keys and the same idempotency key, so that the relay finds the account that it created.

use std::fmt::Write as _;

use hkdf::Hkdf;
use rand::Rng as _;
use rand::rngs::StdRng;
use sealpost_protocol::device::AccountKeyPair;
use sealpost_protocol::{Address, DeviceId as ProtocolDeviceId, IdentityKeyPair, LocalDevice};
use sealpost_wire as wire;
use sealpost_wire::limits::MAX_REGISTRATION_ID;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::key_supply::{self, upload_form};
use super::{device_list, login};
use crate::context::Context;
use crate::error::{Error, Offline, Result};
use crate::fault::{self, Station};
use crate::id::{DeviceId, UserId};
use crate::store::{Account, LoginKey, Registered, Tokens};

const REGISTRATION_INFO: &[u8] = b"Sealpost registration v1";

/// Registers this device as a new account, with the proof that the relay requires.
pub(crate) async fn register(ctx: &Context, proof: Vec<u8>) -> Result<Registered> {
    let now_ms = ctx.env.now_ms();
    let mut rng = ctx.env.rng();
    let prepared = ctx.store.write(move |tx| {
        if tx.link_attempt()?.is_some() {
            return Err(Error::Misuse("this device is being linked"));
        }
        if tx.account()?.is_none() {
            let registration_id = draw_registration_id(&mut rng);
            tx.insert_account(&IdentityKeyPair::generate(&mut rng), registration_id)?;
            tx.set_account_key(&AccountKeyPair::generate(&mut rng))?;
        }
        let account = tx.account()?.ok_or(Error::Bug("no account"))?;
        let login_key = tx.ensure_login_key(&LoginKey::generate(&mut rng))?;
        if account.registered.is_some() {
            return Err(Error::Misuse("already registered"));
        }
        let keys = key_supply::prepare(tx, &account, wire::KeyCounts::default(), now_ms, &mut rng)?;
        Ok((account, login::public_key(&login_key)?, keys))
    });
    let (account, login_key, keys) = prepared.await?;
    fault::at(Station::RegisterBeforeSubmit);
    let request = wire::RegisterRequest {
        proof: proof.into(),
        registration_id: account.registration_id,
        identity_key: account.identity.public().serialize().to_vec().into(),
        keys: Some(upload_form(&keys)),
        login_key,
    };
    let once = idempotency_key(&account.identity)?;
    let response = ctx.transport.http.register(&request, &once).await?;
    fault::at(Station::RegisterAnswered);
    let tag = login::tag(&response.registration_tag);
    let (registered, tokens, server_time_ms) = parse(response)?;
    let clocks = ctx.learn_server_time(server_time_ms);
    let (now_ms, mut rng) = (ctx.server_now_ms(), ctx.env.rng());
    let stored = ctx.store.write(move |tx| {
        let present = tx.account()?;
        if present.is_none_or(|present| present.identity.public() != account.identity.public()) {
            // The app has begun to link this device in the meantime, which has ended the registration.
            return Err(Error::WrongState);
        }
        tx.set_registered(registered, &tokens)?;
        // From here on, a file that has lost its log is an older state of this one, and not a file without an account.
        tx.need_in_file();
        if let Some(tag) = tag {
            tx.set_registration_tag(&tag)?;
        }
        tx.set_clocks(clocks)?;
        device_list::ensure(tx, (&account, registered), now_ms, &mut rng)?;
        tx.set_pre_keys_uploaded(&keys)
    });
    stored.await?;
    device_list::tell_at_registration(ctx).await;
    Ok(registered)
}

/// A registration id, by which peers notice that a device was set up again. The smallest is 1.
pub(super) fn draw_registration_id(rng: &mut StdRng) -> u32 {
    (rng.next_u32() % MAX_REGISTRATION_ID).saturating_add(1)
}

/// The idempotency key of the registration of this identity: 64 hexadecimal digits, which are the same at every attempt and
/// which nobody else can know.
pub(super) fn idempotency_key(identity: &IdentityKeyPair) -> Result<Zeroizing<String>> {
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(None, &identity.to_bytes())
        .expand(REGISTRATION_INFO, key.as_mut())
        .map_err(|_| Error::Bug("a derived key is too long"))?;
    // The capacity is final: a reallocation would leave a copy in memory.
    let mut digits = Zeroizing::new(String::with_capacity(64));
    for byte in key.iter() {
        write!(digits, "{byte:02x}").map_err(|_| Error::Bug("writing to a string failed"))?;
    }
    Ok(digits)
}

/// The address of a device in the protocol: user and number.
pub(crate) fn address(user: UserId, device: DeviceId) -> Result<Address> {
    let device = ProtocolDeviceId::new(device.get()).map_err(|_| Error::Bug("a device id out of range"))?;
    Ok(Address::new(&user.to_string(), device))
}

/// This device, in the form that the protocol requires.
pub(crate) const fn local_device<'a>(account: &'a Account, address: &'a Address) -> LocalDevice<'a> {
    LocalDevice { identity: &account.identity, address, registration_id: account.registration_id }
}

pub(super) fn parse(response: wire::RegisterResponse) -> Result<(Registered, Tokens, u64)> {
    let not_a_relay = |_| Error::Offline(Offline::NotARelay);
    let registered = Registered {
        user: UserId::from_slice(&response.user_id).map_err(not_a_relay)?,
        device: DeviceId::new(response.device_id).map_err(not_a_relay)?,
    };
    let tokens = response.tokens.ok_or(Error::Offline(Offline::NotARelay))?;
    let server_time_ms = tokens.server_time_ms;
    Ok((registered, super::tokens::from_wire(tokens), server_time_ms))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn registration_ids_come_from_the_generator_and_fill_their_range() {
        let draw = |seed, count| {
            let rng = &mut StdRng::seed_from_u64(seed);
            (0..count).map(|_| draw_registration_id(rng)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1, 10), draw(1, 10));
        assert_ne!(draw(1, 10), draw(2, 10));
        // Every value in the range is drawn, and none outside it.
        let all: BTreeSet<_> = draw(1, 16 * MAX_REGISTRATION_ID).into_iter().collect();
        assert_eq!((all.first(), all.last()), (Some(&1), Some(&MAX_REGISTRATION_ID)));
        assert_eq!(all.len(), usize::try_from(MAX_REGISTRATION_ID).unwrap());
    }
}

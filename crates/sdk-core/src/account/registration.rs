//! Becoming somebody: an identity here, an account at the relay.
//!
//! Identity and pre-keys are on disk before the relay sees their public halves. A registration whose answer was
//! lost is made again with the same keys and under the same name, by which the relay knows the account it has made.

use std::fmt::Write as _;

use hkdf::Hkdf;
use rand::Rng as _;
use rand::rngs::StdRng;
use sealpost_protocol::{Address, DeviceId as ProtocolDeviceId, IdentityKeyPair, LocalDevice};
use sealpost_wire as wire;
use sealpost_wire::limits::MAX_REGISTRATION_ID;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::key_supply::{self, upload_form};
use super::login;
use crate::context::Context;
use crate::error::{Error, Offline, Result};
use crate::fault::{self, Station};
use crate::id::{DeviceId, UserId};
use crate::store::{Account, LoginKey, Registered, Tokens};

const REGISTRATION_INFO: &[u8] = b"Sealpost registration v1";

/// Registers this device as a new account, with what the relay asks for as proof.
pub(crate) async fn register(ctx: &Context, proof: Vec<u8>) -> Result<Registered> {
    let now_ms = ctx.env.now_ms();
    let mut rng = ctx.env.rng();
    let prepared = ctx.store.write(move |tx| {
        if tx.account()?.is_none() {
            let registration_id = draw_registration_id(&mut rng);
            tx.insert_account(&IdentityKeyPair::generate(&mut rng), registration_id)?;
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
    let once = request_name(&account.identity)?;
    let response = ctx.transport.http.register(&request, &once).await?;
    fault::at(Station::RegisterAnswered);
    let tag = login::tag(&response.registration_tag);
    let (registered, tokens, server_time_ms) = parse(response)?;
    let offset = ctx.learn_server_time(server_time_ms);
    let stored = ctx.store.write(move |tx| {
        tx.set_registered(registered, &tokens)?;
        // A file that loses its log from here on is an older one, and not one without an account.
        tx.need_in_file();
        if let Some(tag) = tag {
            tx.set_registration_tag(&tag)?;
        }
        tx.set_clock_offset(offset)?;
        tx.set_pre_keys_uploaded(&keys)
    });
    stored.await?;
    Ok(registered)
}

/// By which peers notice that a device was set up anew: from 1.
fn draw_registration_id(rng: &mut StdRng) -> u32 {
    (rng.next_u32() % MAX_REGISTRATION_ID).saturating_add(1)
}

/// What names the registration of this identity, whenever it is made: 64 hexadecimal digits that nobody else can know.
fn request_name(identity: &IdentityKeyPair) -> Result<Zeroizing<String>> {
    let mut name = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(None, &identity.to_bytes())
        .expand(REGISTRATION_INFO, name.as_mut())
        .map_err(|_| Error::Bug("the name of a registration is too long"))?;
    // Enough room from the start: a reallocation would leave a copy behind.
    let mut digits = Zeroizing::new(String::with_capacity(64));
    for byte in name.iter() {
        write!(digits, "{byte:02x}").map_err(|_| Error::Bug("writing to a string failed"))?;
    }
    Ok(digits)
}

/// How the protocol names a device: user and number.
pub(crate) fn address(user: UserId, device: DeviceId) -> Result<Address> {
    let device = ProtocolDeviceId::new(device.get()).map_err(|_| Error::Bug("a device id out of range"))?;
    Ok(Address::new(&user.to_string(), device))
}

/// Ourselves, as the protocol wants to know us.
pub(crate) const fn local_device<'a>(account: &'a Account, address: &'a Address) -> LocalDevice<'a> {
    LocalDevice { identity: &account.identity, address, registration_id: account.registration_id }
}

fn parse(response: wire::RegisterResponse) -> Result<(Registered, Tokens, u64)> {
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
    fn registration_ids_follow_the_generator_and_fill_their_range() {
        let draw = |seed, count| {
            let rng = &mut StdRng::seed_from_u64(seed);
            (0..count).map(|_| draw_registration_id(rng)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1, 10), draw(1, 10));
        assert_ne!(draw(1, 10), draw(2, 10));
        // All of them come, and none outside.
        let all: BTreeSet<_> = draw(1, 16 * MAX_REGISTRATION_ID).into_iter().collect();
        assert_eq!((all.first(), all.last()), (Some(&1), Some(&MAX_REGISTRATION_ID)));
        assert_eq!(all.len(), usize::try_from(MAX_REGISTRATION_ID).unwrap());
    }
}

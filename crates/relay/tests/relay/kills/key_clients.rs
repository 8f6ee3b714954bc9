//! Clients that fetch one-time keys, and upload some.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sealpost_relay_check::event::{Call, Reply};
use sealpost_wire::{Bundles, KeyUpload};

use super::convert::device;
use super::world::{Outcome, World};
use crate::common::{Party, ec, kem, with_body};

/// The number of one-time keys of each kind that every client starts with, and that it uploads later.
pub(super) const KEYS: u32 = 10;
/// The relay recognises a repeated fetch for one minute.
const REPEATABLE: Duration = Duration::from_secs(40);

/// Fetches keys of all users until none are left, repeating each request until it is answered, and uploads own keys.
pub(super) async fn fetch_keys(world: Arc<World>, index: usize, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let (me, recorder) = (world.parties[index].clone(), Arc::clone(&world.recorder));
    let others = world.parties.len();
    let (mut count, mut added) = (0_u32, false);
    while !world.is_finishing() {
        tokio::time::sleep(Duration::from_millis(random.random_range(1..40))).await;
        if !added && random.random_range(0..10) == 0 {
            added = upload_keys(&world, &me).await;
            continue;
        }
        let of = &world.parties[(index + random.random_range(1..others)) % others];
        count += 1;
        let idempotency = format!("{index}-{count}");
        let began = Instant::now();
        while began.elapsed() < REPEATABLE {
            let path = format!("/v1/users/{}/devices/1/prekeys", of.user);
            let url = world.url().await + &path;
            let op = recorder.invoke(Call::Take {
                requester: device(&me),
                idempotency: idempotency.clone(),
                target: device(of),
            });
            let request = world.http.get(url).header("idempotency-key", &idempotency);
            match Outcome::from(world.ask(request, Some(&me)).await) {
                Outcome::Done(answer) => {
                    let Bundles { bundles, .. } = answer.body();
                    let ec = bundles[0].one_time.as_ref().map(|key| key.id);
                    let kem = bundles[0].kem.as_ref().map(|key| key.id).filter(|id| *id != u32::MAX);
                    recorder.ok(op, Reply::Take { ec, kem });
                    world.answered();
                    break;
                }
                Outcome::Refused(reason) => {
                    recorder.fail(op, &reason);
                    break;
                }
                Outcome::Unknown => recorder.unknown(op),
            }
        }
    }
}

/// Returns `true` if they were stored.
async fn upload_keys(world: &World, me: &Party) -> bool {
    let ids: Vec<u32> = (KEYS..2 * KEYS).collect();
    let upload = KeyUpload {
        one_time: ids.iter().copied().map(ec).collect(),
        one_time_kem: ids.iter().copied().map(kem).collect(),
        ..KeyUpload::default()
    };
    let request = with_body(world.http.put(world.url().await + "/v1/keys"), &upload);
    let op = world.recorder.invoke(Call::Upload { device: device(me), ec: ids.clone(), kem: ids });
    match Outcome::from(world.ask(request, Some(me)).await) {
        Outcome::Done(_) => world.recorder.ok(op, Reply::Upload),
        Outcome::Refused(reason) => world.recorder.fail(op, &reason),
        Outcome::Unknown => {
            world.recorder.unknown(op);
            return false;
        }
    }
    true
}

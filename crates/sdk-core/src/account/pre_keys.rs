//! Keeps enough pre-keys at the relay, and replaces those that are too old.

use sealpost_wire as wire;
use sealpost_wire::limits::MAX_ONE_TIME_KEYS;

use super::key_supply::{DAY_MS, prepare, prepare_anew, upload_form};
use super::tokens;
use crate::context::Context;
use crate::error::Result;
use crate::fault::{self, Station};
use crate::store::{PreKeys, Tx};
use crate::transport;

/// How long a key that is no longer given out is kept for first messages: a session that was started with it is used for
/// 30 days without an answer, and a mailbox keeps its messages for 30 days.
const KEEP_MS: u64 = 60 * DAY_MS;

/// Creates and uploads the keys that the relay lacks.
pub(crate) async fn replenish(ctx: &Context) -> Result<()> {
    match upload_missing(ctx).await? {
        Upload::Arrived => Ok(()),
        // Continue with the rest of that upload and whatever else is missing, or with what fits now.
        Upload::ArrivedBefore | Upload::Full => upload_missing(ctx).await.map(|_| ()),
    }
}

/// The outcome of an upload.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Upload {
    Arrived,
    /// The relay has these one-time keys from an upload whose answer was lost, and has given out some of them.
    ArrivedBefore,
    /// Another process has filled the relay's pool in the meantime. Nothing was stored.
    Full,
}

async fn upload_missing(ctx: &Context) -> Result<Upload> {
    let newest = ctx.store.read(|rows| rows.newest_uploaded()).await?;
    let counts = tokens::with_access(ctx, |http, token| async move { http.key_counts(&token).await }).await?;
    let (now_ms, expiry_ms) = (ctx.server_now_ms(), ctx.expiry_now_ms());
    let mut rng = ctx.env.rng();
    let prepared = ctx.store.write(move |tx| {
        let (account, _) = tx.our_account()?;
        tx.forget_old_pre_keys(expiry_ms.saturating_sub(KEEP_MS))?;
        if tx.has_lost_pre_keys()? {
            // The relay's ids belong to keys that were created in a later state of this database.
            tx.skip_key_ids(counts.newest_id)?;
            return Ok((prepare_anew(tx, &account, now_ms, &mut rng)?, true));
        }
        note_left(tx, newest, counts, now_ms)?;
        Ok((prepare(tx, &account, counts, now_ms, &mut rng)?, false))
    });
    let (mut keys, replaces_all) = prepared.await?;
    if !replaces_all {
        keep_what_fits(&mut keys, counts);
    }
    if keys.is_empty() {
        return Ok(Upload::Arrived);
    }
    fault::at(Station::PreKeysBeforeUpload);
    let form = wire::KeyUpload { replaces_all, ..upload_form(&keys) };
    let form = &form;
    let upload = tokens::with_access(ctx, |http, token| async move {
        match http.upload_keys(&token, form).await {
            Ok(_) => Ok(Upload::Arrived),
            Err(transport::Error::Refused(refusal)) if refusal.reason == wire::reason::KEY_ID_USED => {
                Ok(Upload::ArrivedBefore)
            }
            Err(transport::Error::Refused(refusal)) if refusal.reason == wire::reason::TOO_MANY_KEYS => {
                Ok(Upload::Full)
            }
            Err(error) => Err(error),
        }
    });
    let upload = upload.await?;
    fault::at(Station::PreKeysUploaded);
    if upload == Upload::Full {
        return Ok(upload);
    }
    if upload == Upload::ArrivedBefore {
        (keys.signed, keys.last_resort) = (None, None);
    }
    let noted = ctx.store.write(move |tx| {
        tx.set_pre_keys_uploaded(&keys)?;
        // An upload that was refused because its ids were too low is repeated with higher ones.
        if replaces_all && upload == Upload::Arrived { tx.pre_keys_were_replaced() } else { Ok(()) }
    });
    noted.await?;
    Ok(upload)
}

/// Records which keys the relay has given out, from the number that it had left when `newest` was the newest key there.
/// Does nothing if another process has uploaded keys since: the number may be older, and those keys would seem given out.
fn note_left(tx: &mut Tx<'_>, newest: u32, at_relay: wire::KeyCounts, now_ms: u64) -> Result<()> {
    if tx.newest_uploaded()? == newest { tx.note_given_out(at_relay, now_ms) } else { Ok(()) }
}

/// Removes the keys for which the relay has no room; they are uploaded later. The oldest stay, because ids may only grow
/// at the relay.
fn keep_what_fits(keys: &mut PreKeys, at_relay: wire::KeyCounts) {
    let room = |left: u32| usize::try_from(MAX_ONE_TIME_KEYS.saturating_sub(left)).unwrap_or(usize::MAX);
    keys.one_time.truncate(room(at_relay.ec));
    keys.one_time_kem.truncate(room(at_relay.kem));
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;
    use sealpost_protocol::{IdentityKeyPair, KemPreKey, KemPreKeyId, OneTimePreKey, OneTimePreKeyId};
    use tempfile::TempDir;

    use super::super::key_supply::{FULL, MAX_KEPT, ROTATE_MS, is_due, missing};
    use super::*;
    use crate::config::DatabaseKey;
    use crate::event::EventBus;
    use crate::id::{DeviceId, UserId};
    use crate::store::{Footprint, Registered, Store, Tokens};

    #[test]
    fn a_pool_is_filled_only_when_it_is_low() {
        assert_eq!(missing(0, 0, 0), 100);
        assert_eq!(missing(19, 0, 300), 81);
        assert_eq!(missing(20, 0, 20), 0);
        assert_eq!(missing(0, 100, 100), 0);
        assert_eq!(missing(5, 10, 15), 85);
        assert_eq!(missing(0, 0, 950), 50);
        assert_eq!(missing(0, 0, 1000), 0);
        assert_eq!(missing(0, 0, u32::MAX), 0);
    }

    /// A client that replenishes its pre-keys, according to the number that its relay claims to have left.
    struct Client {
        _dir: TempDir,
        store: Store,
    }

    impl Client {
        async fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a.db");
            let store =
                Store::open(path, DatabaseKey::new([9; 32]), EventBus::new(), Footprint::Full).unwrap();
            let work = store.write(|tx| {
                tx.insert_account(&IdentityKeyPair::generate(&mut rand::rng()), 7)?;
                let registered = Registered { user: UserId::from_bytes([1; 16]), device: DeviceId::PRIMARY };
                tx.set_registered(registered, &Tokens::new("access".into(), 1, "refresh".into()))
            });
            work.await.unwrap();
            Self { _dir: dir, store }
        }

        /// Creates and uploads what is missing. Returns how many one-time keys of each kind that were, and how many are kept
        /// now.
        async fn keep_up(&self, left: u32, now_ms: u64) -> ([usize; 2], [u32; 2]) {
            let work = self.store.write(move |tx| {
                let (account, _) = tx.our_account()?;
                let counts = wire::KeyCounts { ec: left, kem: left, ..Default::default() };
                tx.forget_old_pre_keys(now_ms.saturating_sub(KEEP_MS))?;
                note_left(tx, tx.newest_uploaded()?, counts, now_ms)?;
                let keys = prepare(tx, &account, counts, now_ms, &mut StdRng::seed_from_u64(1))?;
                tx.set_pre_keys_uploaded(&keys)?;
                let kept = tx.one_time_pre_keys()?;
                Ok(([keys.one_time.len(), keys.one_time_kem.len()], [kept.ec, kept.kem]))
            });
            work.await.unwrap()
        }
    }

    #[test]
    fn no_more_is_uploaded_than_the_relay_has_room_for() {
        let me = IdentityKeyPair::generate(&mut rand::rng());
        let fitting = |left: wire::KeyCounts| {
            let mut rng = StdRng::seed_from_u64(1);
            let mut keys = PreKeys {
                one_time: (0..9).map(|id| OneTimePreKey::generate(OneTimePreKeyId(id), &mut rng)).collect(),
                one_time_kem: (0..3)
                    .map(|id| KemPreKey::generate(KemPreKeyId(id), &me, 1, &mut rng))
                    .collect(),
                ..PreKeys::default()
            };
            keep_what_fits(&mut keys, left);
            let ids: Vec<_> = keys.one_time.iter().map(|key| key.id().0).collect();
            (ids, keys.one_time_kem.len())
        };
        assert_eq!(fitting(wire::KeyCounts { ec: 0, kem: 198, ..Default::default() }), ((0..9).collect(), 2));
        assert_eq!(
            fitting(wire::KeyCounts { ec: 196, kem: 6_000, ..Default::default() }),
            ((0..4).collect(), 0)
        );
    }

    #[test]
    fn a_signed_key_with_a_time_in_the_future_is_replaced_like_an_old_one() {
        let now = 1000 * DAY_MS;
        for (made, due) in [(now, false), (now - ROTATE_MS, true), (now - ROTATE_MS + 1, false)] {
            assert_eq!(is_due(made, now), due);
        }
        // A clock may be a little ahead, but not 100 years.
        assert!(!is_due(now + ROTATE_MS, now) && is_due(now + ROTATE_MS + 1, now));
        assert!(is_due(now + 36_500 * DAY_MS, now) && is_due(u64::MAX, now));
    }

    #[tokio::test]
    async fn a_relay_that_always_claims_to_have_no_keys_gets_a_bounded_number() {
        let client = Client::new().await;
        let begin = 1000 * DAY_MS;
        for round in 0..30 {
            let (_, kept) = client.keep_up(0, begin + round).await;
            assert!(kept.into_iter().all(|kept| kept <= MAX_KEPT), "{kept:?}");
        }
        // Keys that were given out are kept for late first messages for 60 days. Then they are deleted, which makes room.
        assert_eq!(client.keep_up(0, begin + KEEP_MS).await, ([0, 0], [MAX_KEPT; 2]));
        let (made, kept) = client.keep_up(0, begin + KEEP_MS + 100).await;
        assert_eq!((made, kept), ([FULL as usize; 2], [FULL; 2]));
    }

    #[tokio::test]
    async fn keys_are_kept_for_as_long_as_the_relay_has_them() {
        let client = Client::new().await;
        let begin = 1000 * DAY_MS;
        assert_eq!(client.keep_up(0, begin).await, ([100; 2], [100; 2]));
        assert_eq!(client.keep_up(30, begin + 1).await, ([0; 2], [100; 2]));
        assert_eq!(client.keep_up(30, begin + 3 * KEEP_MS).await, ([0; 2], [30; 2]));
    }

    #[tokio::test]
    async fn keys_that_another_process_has_just_uploaded_do_not_count_as_given_out() {
        let client = Client::new().await;
        let begin = 1000 * DAY_MS;
        client.keep_up(0, begin).await;
        let newest = client.store.read(|rows| rows.newest_uploaded()).await.unwrap();
        // The relay states that 10 are left, and before this is recorded, another process fills the pool.
        assert_eq!(client.keep_up(10, begin).await, ([90; 2], [190; 2]));
        let work = client.store.write(move |tx| {
            note_left(tx, newest, wire::KeyCounts { ec: 10, kem: 10, ..Default::default() }, begin)
        });
        work.await.unwrap();
        assert_eq!(client.keep_up(100, begin + KEEP_MS + 1).await, ([0; 2], [100; 2]));
    }
}

//! What the device lists mean that others name in their contents: somebody with whom we talk, and our own devices.
//!
//! A later one than the known one is fetched: the relay, or whoever has told us the known one, has not told us the newest. Another one with
//! the same version shows that different lists were shown to different people: nothing is sealed for this account until a later one is known.
//!
//! What a contact says about our own list is not believed on a companion, because the contact can lie: the relay is asked, and a list that
//! verifies counts. The primary device knows what it has signed, and signs a later one.

use std::collections::BTreeSet;

use sealpost_protocol::device::{KnownDeviceList, Succession};

use crate::content::ListDigest;
use crate::error::Result;
use crate::event::Event;
use crate::id::UserId;
use crate::store::{DueList, Tx};

/// Versions of our own list that are higher than ours by more than this are not believed. Nobody can use up the versions by naming some.
const MAX_STEP: u64 = 1 << 31;

/// After this many answers of the relay without the list, within some minutes, the relay is said to hide it, and what waits for it is given up.
/// It is asked again at longer intervals.
pub(crate) const TRIES: u32 = 8;

/// What a list means that somebody has named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    /// Nothing new.
    Ignore,
    /// It is to be fetched, if the relay may be asked again.
    Wait,
    /// It is to be fetched.
    Fetch,
    /// It is to be replaced by a later one.
    Contradicts,
}

fn decide(known: Option<&KnownDeviceList>, due: Option<&DueList>, named: &ListDigest) -> Decision {
    let succession =
        known.map_or(Succession::Newer, |known| known.succession_of(named.version, &named.digest));
    let due_for = due.and_then(|due| due.named).filter(|for_what| for_what.version >= named.version);
    match succession {
        Succession::Same | Succession::Older | Succession::Moved | Succession::OtherAccountKey => {
            Decision::Ignore
        }
        Succession::Newer if due_for.is_some() => Decision::Wait,
        Succession::Newer => Decision::Fetch,
        Succession::Contradicts if due.is_some_and(|due| due.contradicts) => Decision::Wait,
        Succession::Contradicts => Decision::Contradicts,
    }
}

/// Whose lists were named, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum About {
    /// Those of somebody else.
    Other(UserId),
    /// Ours, by a contact.
    Us(UserId),
    /// Ours, by another device of ours.
    UsByOurs(UserId),
}

impl About {
    const fn user(self) -> UserId {
        let (Self::Other(user) | Self::Us(user) | Self::UsByOurs(user)) = self;
        user
    }
}

/// Takes note of the lists of a user that somebody has named. Returns whether the relay may have to be asked.
pub(crate) fn note(tx: &mut Tx<'_>, about: About, named: &BTreeSet<ListDigest>) -> Result<bool> {
    let user = about.user();
    let known = tx.known_list(user)?;
    let is_hearsay = matches!(about, About::Us(_)) && !tx.holds_account_key()?;
    let mut is_any = false;
    for named in named {
        let highest = known.map_or(0, |known| known.version).saturating_add(MAX_STEP);
        if !matches!(about, About::Other(_)) && named.version > highest {
            tracing::warn!("somebody names an impossible version of our device list");
            continue;
        }
        let due = tx.due_list(user)?;
        if is_hearsay {
            is_any |= note_hearsay(tx, user, (known.as_ref(), due.as_ref()), named)?;
            continue;
        }
        match decide(known.as_ref(), due.as_ref(), named) {
            Decision::Ignore => continue,
            Decision::Wait => {}
            Decision::Fetch => {
                tx.set_list_due(user, Some(*named), due.is_some_and(|due| due.contradicts))?;
            }
            Decision::Contradicts => {
                tracing::warn!("somebody has another device list with the same version");
                // A later one, if it was named, settles this too.
                let later = due.and_then(|due| due.named).filter(|later| later.version > named.version);
                tx.set_list_due(user, later.or(Some(*named)), true)?;
                tx.emit(Event::DeviceListRefused(user));
            }
        }
        is_any = true;
    }
    Ok(is_any)
}

/// Takes note of a list of ours that a contact has named.
fn note_hearsay(
    tx: &mut Tx<'_>,
    user: UserId,
    (known, due): (Option<&KnownDeviceList>, Option<&DueList>),
    named: &ListDigest,
) -> Result<bool> {
    // Any list that verifies tells whether there is another one with the known version.
    let at_least = match decide(known, None, named) {
        Decision::Ignore => return Ok(false),
        Decision::Contradicts => 0,
        Decision::Fetch | Decision::Wait => named.version,
    };
    if due.is_none_or(|due| due.named.is_none() && due.at_least < at_least) {
        tx.set_version_due(user, at_least)?;
    }
    Ok(true)
}

/// Whether the relay is being asked for the list of a user, because something came from a device that is not on the known one. Unless it
/// `may_begin`, that was asked before.
pub(crate) fn is_awaited(tx: &mut Tx<'_>, user: UserId, may_begin: bool) -> Result<bool> {
    Ok(match tx.due_list(user)? {
        Some(due) => due.tries < TRIES,
        None if may_begin => {
            tx.set_list_due(user, None, false)?;
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;
    use sealpost_protocol::IdentityKeyPair;
    use sealpost_protocol::device::{AccountKeyPair, DeviceBinding, DeviceEntry, DeviceList};

    use super::*;
    use crate::config::DatabaseKey;
    use crate::event::{EventBus, EventReceiver};
    use crate::id::DeviceId;
    use crate::store::{Footprint, Registered, Store, Tokens};

    const BEN: UserId = UserId::from_bytes([2; 16]);

    struct Fixture {
        _dir: tempfile::TempDir,
        store: Store,
        events: EventReceiver,
        key: AccountKeyPair,
        device: IdentityKeyPair,
    }

    impl Fixture {
        fn new() -> Self {
            let (dir, bus) = (tempfile::tempdir().unwrap(), EventBus::new());
            let path = dir.path().join("a.db");
            let store = Store::open(path, DatabaseKey::new([9; 32]), bus.clone(), Footprint::Full).unwrap();
            let rng = &mut StdRng::seed_from_u64(1);
            let (key, device) = (AccountKeyPair::generate(rng), IdentityKeyPair::generate(rng));
            Self { _dir: dir, store, events: bus.subscribe(), key, device }
        }

        /// Ben's list with this version becomes the known one. Returns how contents name it.
        async fn knows(&self, version: u64) -> ListDigest {
            let rng = &mut StdRng::seed_from_u64(version);
            let device = sealpost_protocol::DeviceId::new(1).unwrap();
            let binding = DeviceBinding::sign(BEN.as_bytes(), device, &self.device, &self.key.public(), rng);
            let entry = DeviceEntry {
                device,
                identity: *self.device.public(),
                added_ms: 1,
                is_primary: true,
                binding,
            };
            let list = DeviceList::new(version, vec![entry]).unwrap().sign(BEN.as_bytes(), &self.key, rng);
            let list = list.verify(BEN.as_bytes()).unwrap();
            let digest = *list.digest().first_chunk().unwrap();
            self.store.write(move |tx| tx.set_device_list(BEN, &list)).await.unwrap();
            ListDigest { version, digest }
        }

        /// Somebody names these lists of Ben.
        async fn named(&self, lists: &[ListDigest], is_ours: bool) -> bool {
            self.hears(if is_ours { About::UsByOurs(BEN) } else { About::Other(BEN) }, lists).await
        }

        async fn hears(&self, about: About, lists: &[ListDigest]) -> bool {
            let lists = lists.iter().copied().collect();
            self.store.write(move |tx| note(tx, about, &lists)).await.unwrap()
        }

        /// Ben's device with this number is this one.
        async fn is_device(&self, number: u32) {
            let work = self.store.write(move |tx| {
                tx.insert_account(&IdentityKeyPair::generate(&mut rand::rng()), 7)?;
                let us = Registered { user: BEN, device: DeviceId::new(number).unwrap() };
                tx.set_registered(us, &Tokens::new("access".into(), 1, "refresh".into()))
            });
            work.await.unwrap();
        }

        async fn due(&self) -> Option<DueList> {
            self.store.read(|rows| rows.due_list(BEN)).await.unwrap()
        }

        fn told(&mut self) -> Vec<Event> {
            std::iter::from_fn(|| self.events.try_next()).map(Result::unwrap).collect()
        }
    }

    #[tokio::test]
    async fn a_named_list_is_due_until_it_or_a_later_one_is_known() {
        let mut fixture = Fixture::new();
        let known = fixture.knows(5).await;
        assert!(!fixture.named(&[known, digest(4, 1), digest(1, 1)], false).await);
        assert_eq!(fixture.due().await, None);
        let later = [digest(7, 1), digest(6, 1)];
        assert!(fixture.named(&later, false).await);
        let due = fixture.due().await.unwrap();
        assert_eq!((due.named, due.contradicts, due.tries), (Some(later[0]), false, 0));
        // The relay was asked; what names the same list again does not begin anew.
        fixture.store.write(|tx| tx.put_list_off(BEN, 3, 99)).await.unwrap();
        assert!(fixture.named(&later, false).await);
        let due = fixture.due().await.unwrap();
        assert_eq!((due.tries, due.due_ms), (3, 99));
        fixture.knows(6).await;
        assert_eq!(fixture.due().await.unwrap().named, Some(later[0]));
        fixture.knows(8).await;
        assert_eq!(fixture.due().await, None);
        assert_eq!(fixture.told(), []);
    }

    #[tokio::test]
    async fn another_list_with_the_same_version_is_reported_once_and_settled_by_a_later_one() {
        let mut fixture = Fixture::new();
        fixture.knows(5).await;
        let contradicted = async |fixture: &Fixture| {
            fixture.store.read(|rows| rows.is_list_contradicted(BEN)).await.unwrap()
        };
        for _ in 0..3 {
            assert!(fixture.named(&[digest(5, 1)], false).await);
        }
        assert!(contradicted(&fixture).await);
        assert_eq!(fixture.told(), [Event::DeviceListRefused(BEN)]);
        // A later one was named, and another one with its version is what the relay shows.
        assert!(fixture.named(&[digest(6, 1)], false).await);
        assert!(contradicted(&fixture).await);
        assert_eq!(fixture.told(), []);
        fixture.knows(6).await;
        assert!(contradicted(&fixture).await);
        assert_eq!(fixture.told(), [Event::DeviceListRefused(BEN)]);
        fixture.knows(7).await;
        assert!(!contradicted(&fixture).await);
        assert_eq!(fixture.due().await, None);
    }

    #[tokio::test]
    async fn what_a_contact_says_about_our_list_alarms_no_companion() {
        let mut fixture = Fixture::new();
        fixture.is_device(2).await;
        let known = fixture.knows(5).await;
        let contradicted = async |fixture: &Fixture| {
            fixture.store.read(|rows| rows.is_list_contradicted(BEN)).await.unwrap()
        };
        let us = About::Us(BEN);
        assert!(!fixture.hears(us, &[known, digest(4, 1)]).await);
        // Another list with the same version: the relay is asked, and nothing else.
        assert!(fixture.hears(us, &[digest(5, 1)]).await);
        let due = fixture.due().await.unwrap();
        assert_eq!((due.named, due.at_least), (None, 0));
        // A later one, which need not be the one that was named.
        assert!(fixture.hears(us, &[digest(6, 1)]).await);
        fixture.store.write(|tx| tx.put_list_off(BEN, 3, 99)).await.unwrap();
        assert!(fixture.hears(us, &[digest(5, 2), digest(6, 1), digest(6, 2)]).await);
        let due = fixture.due().await.unwrap();
        assert_eq!((due.named, due.at_least, due.tries), (None, 6, 3), "it does not begin anew");
        assert!(!contradicted(&fixture).await);
        fixture.knows(6).await;
        assert_eq!(fixture.due().await, None);
        assert_eq!(fixture.told(), []);
        // What another device of ours names counts, and is not replaced by what a contact says.
        assert!(fixture.hears(About::UsByOurs(BEN), &[digest(8, 1)]).await);
        assert!(fixture.hears(us, &[digest(9, 1)]).await);
        assert_eq!(fixture.due().await.unwrap().named, Some(digest(8, 1)));
        fixture.knows(8).await;
        assert!(contradicted(&fixture).await);
        assert_eq!(fixture.told(), [Event::DeviceListRefused(BEN)]);
    }

    #[tokio::test]
    async fn the_primary_device_signs_a_later_list_whoever_names_another_one() {
        let mut fixture = Fixture::new();
        fixture.is_device(1).await;
        fixture.knows(5).await;
        assert!(fixture.hears(About::Us(BEN), &[digest(5, 1)]).await);
        assert_eq!(fixture.due().await.unwrap().named, Some(digest(5, 1)));
        assert_eq!(fixture.told(), [Event::DeviceListRefused(BEN)]);
    }

    #[tokio::test]
    async fn nobody_can_use_up_the_versions_of_our_list() {
        let fixture = Fixture::new();
        fixture.knows(5).await;
        let most = 5 + MAX_STEP;
        assert!(!fixture.named(&[digest(most + 1, 1), digest(i64::MAX.unsigned_abs(), 1)], true).await);
        assert!(fixture.named(&[digest(most, 1)], true).await);
    }

    #[tokio::test]
    async fn a_bounded_number_of_lists_is_due() {
        let fixture = Fixture::new();
        let work = fixture.store.write(|tx| {
            for number in 0..1_030_u16 {
                let mut user = [7; 16];
                user[..2].copy_from_slice(&number.to_be_bytes());
                let user = UserId::from_bytes(user);
                note(tx, About::Other(user), &[digest(1, 1)].into())?;
                tx.put_list_off(user, 1, u64::from(number).saturating_add(1))?;
            }
            tx.count_due_lists()
        });
        assert_eq!(work.await.unwrap(), 1024);
    }

    fn digest(version: u64, byte: u8) -> ListDigest {
        ListDigest { version, digest: [byte; 16] }
    }

    #[test]
    fn a_later_list_is_fetched_and_another_one_with_the_same_version_contradicts() {
        let account = AccountKeyPair::generate(&mut StdRng::seed_from_u64(1)).public();
        let known = KnownDeviceList { account, version: 5, digest: [7; 32] };
        let due = |named, contradicts| DueList {
            user: UserId::from_bytes([1; 16]),
            named,
            at_least: 0,
            contradicts,
            tries: 0,
            due_ms: 0,
        };
        let with = |due: Option<DueList>, named| decide(Some(&known), due.as_ref(), &named);
        for named in [digest(5, 7), digest(4, 9), digest(1, 7)] {
            assert_eq!(with(None, named), Decision::Ignore, "{named:?}");
        }
        assert_eq!(with(None, digest(6, 1)), Decision::Fetch);
        assert_eq!(with(None, digest(5, 8)), Decision::Contradicts);
        // What is to be fetched already.
        let six = due(Some(digest(6, 1)), false);
        assert_eq!(with(Some(six), digest(6, 1)), Decision::Wait);
        assert_eq!(with(Some(six), digest(7, 1)), Decision::Fetch);
        assert_eq!(with(Some(six), digest(5, 8)), Decision::Contradicts);
        let forked = due(Some(digest(5, 8)), true);
        assert_eq!(with(Some(forked), digest(5, 8)), Decision::Wait);
        assert_eq!(with(Some(forked), digest(6, 1)), Decision::Fetch);
        assert_eq!(with(Some(due(None, false)), digest(6, 1)), Decision::Fetch);
        // An account that has shown no list.
        assert_eq!(decide(None, None, &digest(1, 1)), Decision::Fetch);
    }
}

//! A walk along a chain of theirs, to a message that need not be the next one.
//!
//! ```text
//!   chain ──▶ skipped ──▶ skipped ──▶ kept ──▶ kept ──▶ the message ──▶ chain
//!             beyond the bound: lost  for when they come
//! ```
//!
//! Anybody can ask for a walk, and the message proves only at its end that it is no forgery. So the chain is walked twice: to the key
//! of the message, holding nothing on the way; and, when the message has proved authentic, once more for the keys to keep.
//! How far all the chains that may be meant are walked for one message has a bound: its [`Work`].
//!
//! The Double Ratchet, SPQR and sender keys all receive like this. They differ in how a chain makes its keys, and in how
//! the message of a key is named.

use std::marker::PhantomData;

use super::message_key::MessageKey;
use crate::primitives::secret::Secret;

/// A step of the Double Ratchet or of a sender key: one HMAC.
pub(crate) const STEP_COST: u32 = 1;
/// A step of SPQR: an HKDF.
pub(crate) const PQ_STEP_COST: u32 = 2;

/// Most keys kept for one chain.
pub(crate) const MAX_KEPT: u32 = 2000;
/// Most messages that one message may skip.
pub(crate) const MAX_JUMP: u32 = 25_000;
/// Most messages that one message of an own device may skip.
const MAX_OWN_JUMP: u32 = 1 << 18;

/// How a chain makes its keys.
pub(crate) trait Chain {
    /// What a step costs, in hashes of a step of the Double Ratchet.
    const COST: u32;

    /// The number of the key that the next step gives, where the chain is at `index`.
    fn next_number(index: u32) -> u32;

    /// Puts what comes next in the place of `key`, and gives the message key on the way there. `index` is that of the new place.
    fn step(key: &mut [u8; 32], index: u32) -> MessageKey;

    /// A [`step`](Self::step) whose key nobody wants.
    fn skip(key: &mut [u8; 32], index: u32);
}

/// A place in a chain: how far it has come, and what gives the next key. It is moved where it stands: whoever wants to keep the
/// old place makes a copy first.
pub(crate) struct Place<'a> {
    pub(crate) index: &'a mut u32,
    pub(crate) key: &'a mut [u8; 32],
}

impl Place<'_> {
    /// Moves on, and gives the key on the way. `None` at the end, after 2^32 - 1 messages: then it stays.
    pub(crate) fn step<C: Chain>(&mut self) -> Option<MessageKey> {
        *self.index = self.index.checked_add(1)?;
        Some(C::step(self.key, *self.index))
    }

    /// A [`step`](Self::step) whose key nobody wants.
    pub(crate) fn skip<C: Chain>(&mut self) -> Option<()> {
        *self.index = self.index.checked_add(1)?;
        C::skip(self.key, *self.index);
        Some(())
    }
}

/// How far ahead a message may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Jump {
    /// 25,000 messages.
    Limited,
    /// With oneself: an own device that was away may be further behind, 262,144 messages. Signal's library has no limit
    /// there; but who it is that a message claims to be from is known only after the walk, and anybody could ask for
    /// one of an hour.
    Far,
}

/// The steps that may still be taken for one message before it has proved authentic, in all sessions together.
///
/// It begins with one and a half times what the longest jump of both ratchets takes: the session that is tried first can
/// always go as far as the protocol allows.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) left: u32,
}

/// How many messages one may skip, and how many keys are kept for a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) skip: u32,
    pub(crate) keep: u32,
}

/// Where a walk ends.
#[derive(Debug)]
pub(crate) struct Walked<C> {
    /// The key of the message.
    pub(crate) key: MessageKey,
    /// How many keys are kept for the chain from now on.
    pub(crate) kept: u32,
    pub(crate) passed: PassedOver<C>,
}

/// What a walk changes about the keys that are kept for its chain, once its message has proved authentic.
#[derive(Debug)]
pub(crate) struct PassedOver<C> {
    /// How many of those that were kept before remain, if that is fewer than there were: the rest makes room.
    trim: Option<u32>,
    /// How many are to be kept.
    keep: u32,
    /// The place from which to make them, if there are any: an index and a key.
    from: Option<(u32, Secret<32>)>,
    chain: PhantomData<C>,
}

impl Work {
    /// What one message may cost that jumps as far as `jump` allows.
    pub(crate) const fn new(jump: Jump) -> Self {
        let longest = Limits::new(jump).skip.saturating_add(1).saturating_mul(STEP_COST + PQ_STEP_COST);
        Self { left: longest.saturating_add(longest / 2) }
    }

    /// Takes `steps` of a chain off. `None` when that is more than there is, and nothing is taken.
    fn take<C: Chain>(&mut self, steps: u32) -> Option<()> {
        self.left = self.left.checked_sub(steps.checked_mul(C::COST)?)?;
        Some(())
    }
}

impl Limits {
    pub(crate) const fn new(jump: Jump) -> Self {
        let skip = match jump {
            Jump::Limited => MAX_JUMP,
            Jump::Far => MAX_OWN_JUMP,
        };
        Self { skip, keep: MAX_KEPT }
    }
}

/// How many steps it is from a chain whose next message is `next` to message `number`, both included. `None` when that is
/// behind it.
pub(crate) fn distance(next: u32, number: u32) -> Option<u32> {
    number.checked_sub(next).map(|between| between.saturating_add(1))
}

/// Moves `place` to behind message `number`, which is not behind it, in a chain for which `kept` keys are kept. `None` when it is
/// too far ahead, or the chain ends before, or that is more than is left of `work`: then `place` is no place to go on from.
pub(crate) fn walk<C: Chain>(
    mut place: Place<'_>,
    number: u32,
    kept: u32,
    limits: Limits,
    work: &mut Work,
) -> Option<Walked<C>> {
    let between = number.checked_sub(C::next_number(*place.index))?;
    if between > limits.skip {
        return None;
    }
    work.take::<C>(between.saturating_add(1))?;
    let newest = between.min(limits.keep);
    let room = limits.keep.saturating_sub(newest);
    for _ in newest..between {
        place.skip::<C>()?;
    }
    let from = (newest != 0).then(|| (*place.index, Secret::copied(place.key)));
    for _ in 0..newest {
        place.skip::<C>()?;
    }
    let key = place.step::<C>()?;
    let passed = PassedOver { trim: (kept > room).then_some(room), keep: newest, from, chain: PhantomData };
    Some(Walked { key, kept: kept.min(room).saturating_add(newest), passed })
}

impl<C: Chain> PassedOver<C> {
    /// The same in the caller's words, and in the order in which it happens.
    pub(crate) fn into_changes<T>(
        self,
        keep_newest: impl FnOnce(u32) -> T,
        mut keep: impl FnMut((u32, Secret<32>)) -> T,
    ) -> Vec<T> {
        let Self { trim, keep: count, mut from, chain: _ } = self;
        if trim.is_none() && count == 0 {
            // Nothing, mostly.
            return Vec::new();
        }
        let trim = trim.map(keep_newest);
        // The first walk came by here: the chain does not end before.
        let keys = (0..count).map_while(|_| {
            let (index, key) = from.as_mut()?;
            let number = C::next_number(*index);
            let key = Place { index, key: key.expose_mut() }.step::<C>()?;
            Some(keep((number, key.into_seed())))
        });
        trim.into_iter().chain(keys).collect()
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Its key number `n` is `n` in 32 bytes.
    #[derive(Debug)]
    struct Counting;

    impl Chain for Counting {
        const COST: u32 = 1;

        fn next_number(index: u32) -> u32 {
            index
        }

        fn step(_: &mut [u8; 32], index: u32) -> MessageKey {
            let mut seed = [0; 32];
            seed[..4].copy_from_slice(&(index - 1).to_be_bytes());
            MessageKey::new(Secret::new(seed))
        }

        fn skip(_: &mut [u8; 32], _: u32) {}
    }

    /// Where the walk ends, and what it gives.
    fn walk_from<C: Chain>(
        from: u32,
        number: u32,
        kept: u32,
        limits: Limits,
        work: &mut Work,
    ) -> Option<(u32, Walked<C>)> {
        let (mut index, mut key) = (from, [0; 32]);
        let walked = walk(Place { index: &mut index, key: &mut key }, number, kept, limits, work)?;
        Some((index, walked))
    }

    fn work() -> Work {
        Work::new(Jump::Limited)
    }

    fn number_of(seed: &Secret<32>) -> u32 {
        u32::from_be_bytes(seed.expose()[..4].try_into().unwrap())
    }

    enum Change {
        KeepNewest(u32),
        Keep(u32, Secret<32>),
    }

    proptest! {
        #[test]
        fn the_newest_keys_are_kept_as_far_as_there_is_room(
            from in 100_u32..200, between in 0_u32..50, keep in 0_u32..20, already in 0_u32..20,
        ) {
            let (number, already) = (from + between, already.min(keep));
            let limits = Limits { skip: 50, keep };
            let (index, walked) = walk_from::<Counting>(from, number, already, limits, &mut work()).unwrap();
            prop_assert_eq!(index, number + 1);
            prop_assert_eq!(number_of(&walked.key.into_seed()), number);
            let mut rows: Vec<_> = (from - already..from).collect();
            let newest = |count| (number - count..number).collect::<Vec<_>>();
            let expected = newest(keep.min(already + between));
            for change in walked.passed.into_changes(Change::KeepNewest, |(n, seed)| Change::Keep(n, seed)) {
                match change {
                    Change::KeepNewest(count) => {
                        let count = usize::try_from(count).unwrap();
                        prop_assert!(count < rows.len(), "a change that changes nothing");
                        rows.drain(..rows.len() - count);
                    }
                    Change::Keep(n, seed) => {
                        prop_assert_eq!(number_of(&seed), n);
                        rows.push(n);
                    }
                }
                prop_assert!(rows.len() <= usize::try_from(keep).unwrap());
            }
            prop_assert_eq!(rows.len(), usize::try_from(walked.kept).unwrap());
            prop_assert_eq!(rows, expected);
        }
    }

    #[test]
    fn a_walk_has_bounds() {
        let limits = Limits { skip: 3, keep: 2 };
        let ends_at = |from, number| {
            walk_from::<Counting>(from, number, 0, limits, &mut work()).map(|(index, _)| index)
        };
        assert_eq!(ends_at(7, 10), Some(11));
        assert_eq!(ends_at(7, 11), None);
        assert_eq!(ends_at(7, 6), None);
        assert_eq!(ends_at(u32::MAX - 3, u32::MAX - 1), Some(u32::MAX));
        assert_eq!(ends_at(u32::MAX - 3, u32::MAX), None);
        let far = |jump, number| {
            walk_from::<Counting>(0, number, 0, Limits::new(jump), &mut Work::new(jump)).is_some()
        };
        assert!(far(Jump::Limited, 25_000) && !far(Jump::Limited, 25_001));
        assert!(far(Jump::Far, 262_144));
        assert!(!far(Jump::Far, 262_145));
    }

    thread_local! {
        static STEPS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
    }

    /// Counts the steps that are really taken.
    #[derive(Debug)]
    struct Counted;

    impl Chain for Counted {
        const COST: u32 = 3;

        fn next_number(index: u32) -> u32 {
            index
        }

        fn step(key: &mut [u8; 32], index: u32) -> MessageKey {
            Self::skip(key, index);
            MessageKey::new(Secret::new([0; 32]))
        }

        fn skip(_: &mut [u8; 32], _: u32) {
            STEPS.set(STEPS.get() + 1);
        }
    }

    #[test]
    fn work_is_what_the_steps_cost_and_what_is_too_much_is_not_begun() {
        let limits = Limits::new(Jump::Limited);
        for (number, left, steps) in [(9, 30, 10), (9, 29, 0), (0, 3, 1), (25_001, u32::MAX, 0)] {
            STEPS.set(0);
            let mut work = Work { left };
            let walked = walk_from::<Counted>(0, number, 0, limits, &mut work).is_some();
            assert_eq!((STEPS.get(), walked), (steps, steps > 0));
            assert_eq!(work.left, left - 3 * steps);
        }
    }

    #[test]
    fn a_message_may_cost_one_and_a_half_of_the_longest_jump() {
        assert_eq!(Work::new(Jump::Limited).left, 112_504);
        assert_eq!(Work::new(Jump::Far).left, 1_179_652);
    }
}

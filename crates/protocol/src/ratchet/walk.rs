//! A walk along a receiving chain, to a message that need not be the next one.
//!
//! ```text
//!   chain ──▶ skipped ──▶ skipped ──▶ kept ──▶ kept ──▶ the message ──▶ chain
//!             beyond the bound: lost  for when they come
//! ```
//!
//! Anyone can cause a walk, and the message can be authenticated only at its end. The chain is therefore walked
//! twice: first to the key of the message, without storing anything on the way, and once the message has been
//! authenticated, again for the keys to store. The total number of steps along all candidate chains for one message
//! is limited: see [`Work`].
//!
//! The Double Ratchet, SPQR and sender keys all receive messages in this way. They differ in how a chain derives its
//! keys, and in how the message of a key is identified.

use std::marker::PhantomData;

use super::message_key::MessageKey;
use crate::primitives::secret::Secret;

/// The cost of a step of the Double Ratchet or of a sender key: one HMAC.
pub(crate) const STEP_COST: u32 = 1;
/// The cost of a step of SPQR: one HKDF.
pub(crate) const PQ_STEP_COST: u32 = 2;

/// How many skipped keys are stored for one chain.
pub(crate) const MAX_KEPT: u32 = 2000;
/// How many messages one message may skip.
pub(crate) const MAX_JUMP: u32 = 25_000;
/// How many messages one message from our own other device may skip.
const MAX_OWN_JUMP: u32 = 1 << 18;

/// How a chain derives its keys.
pub(crate) trait Chain {
    /// The cost of a step, relative to a step of the Double Ratchet.
    const COST: u32;

    /// The number of the key that the next step yields if the chain is at `index`.
    fn next_number(index: u32) -> u32;

    /// Replaces `key` with the next chain key, and returns the message key of the step. `index` is the index after
    /// the step.
    fn step(key: &mut [u8; 32], index: u32) -> MessageKey;

    /// A [`step`](Self::step) whose message key is not needed.
    fn skip(key: &mut [u8; 32], index: u32);
}

/// A position in a chain: its index, and the key that yields the next message key. It is advanced in place, so a
/// caller that needs the old position must copy it first.
pub(crate) struct Place<'a> {
    pub(crate) index: &'a mut u32,
    pub(crate) key: &'a mut [u8; 32],
}

impl Place<'_> {
    /// Advances by one step and returns its message key. Returns `None` at the end of the chain, after 2^32 - 1
    /// messages, and then does not advance.
    pub(crate) fn step<C: Chain>(&mut self) -> Option<MessageKey> {
        *self.index = self.index.checked_add(1)?;
        Some(C::step(self.key, *self.index))
    }

    /// A [`step`](Self::step) whose message key is not needed.
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
    /// 262,144 messages, for sessions between our own devices, because one that was offline may be further behind.
    /// Signal's library has no limit in this case. But the claimed sender is verified only after the walk, so without
    /// a limit anyone could cause a walk that takes an hour.
    Far,
}

/// The steps that may still be taken for one message before it has been authenticated, in all sessions together.
///
/// It starts at one and a half times the cost of the longest jump of both ratchets. The session that is tried first
/// can thus always go as far as the protocol allows.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) left: u32,
}

/// How many messages one message may skip, and how many keys are stored for a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) skip: u32,
    pub(crate) keep: u32,
}

/// The end of a walk.
#[derive(Debug)]
pub(crate) struct Walked<C> {
    /// The key of the message.
    pub(crate) key: MessageKey,
    /// How many keys are stored for the chain from now on.
    pub(crate) kept: u32,
    pub(crate) passed: PassedOver<C>,
}

/// How a walk changes the stored keys of its chain, once its message has been authenticated.
#[derive(Debug)]
pub(crate) struct PassedOver<C> {
    /// How many of the keys that were stored before remain, if some must be deleted to make room.
    trim: Option<u32>,
    /// How many keys are to be stored.
    keep: u32,
    /// The position from which to derive them, if there are any: an index and a key.
    from: Option<(u32, Secret<32>)>,
    chain: PhantomData<C>,
}

impl Work {
    /// The allowance of one message that jumps as far as `jump` allows.
    pub(crate) const fn new(jump: Jump) -> Self {
        let longest = Limits::new(jump).skip.saturating_add(1).saturating_mul(STEP_COST + PQ_STEP_COST);
        Self { left: longest.saturating_add(longest / 2) }
    }

    /// Deducts `steps` of a chain. Returns `None` and deducts nothing if fewer are left.
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

/// The number of steps from a chain whose next message is `next` to message `number`, both included. Returns `None`
/// if the chain has already passed it.
pub(crate) fn distance(next: u32, number: u32) -> Option<u32> {
    number.checked_sub(next).map(|between| between.saturating_add(1))
}

/// Advances `place` past message `number`, which it has not passed yet, in a chain for which `kept` keys are stored.
/// Returns `None` if the message is too far ahead, the chain ends before it, or not enough of `work` is left. In that
/// case, `place` must not be used any more.
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
    /// The same as the caller's type of changes, in the order in which they happen.
    pub(crate) fn into_changes<T>(
        self,
        keep_newest: impl FnOnce(u32) -> T,
        mut keep: impl FnMut((u32, Secret<32>)) -> T,
    ) -> Vec<T> {
        let Self { trim, keep: count, mut from, chain: _ } = self;
        if trim.is_none() && count == 0 {
            // Usually there are none.
            return Vec::new();
        }
        let trim = trim.map(keep_newest);
        // The first walk has passed these steps, so the chain does not end before.
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

    /// A chain whose key number `n` is `n` in 32 bytes.
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

    /// The end of a walk, and its result.
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
    fn a_walk_is_limited() {
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

    /// Counts the steps that are actually taken.
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
    fn a_walk_deducts_its_cost_and_is_not_started_beyond_the_limit() {
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
    fn the_work_limit_is_one_and_a_half_times_the_longest_jump() {
        assert_eq!(Work::new(Jump::Limited).left, 112_504);
        assert_eq!(Work::new(Jump::Far).left, 1_179_652);
    }
}

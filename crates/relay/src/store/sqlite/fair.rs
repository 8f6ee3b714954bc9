//! Determines whose operation is next, and thereby shares the time of the writer among those who wait for it.
//!
//! This is start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996). Each payer has its own queue, in the order
//! of its calls, and a virtual time that advances by the time that its operations took. The payer with the smallest
//! virtual time is next, so a payer with few operations is served before one with many, however long the queue of the
//! latter is.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use sealpost_wire::id::UserId;

/// The party to which the time of an operation is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Payer {
    /// A user, with all their devices.
    User(UserId),
    /// Requests without an access token, which share one queue.
    Anonymous,
    /// The relay itself.
    Relay,
}

/// Maximum number of waiting operations of one payer.
const MAX_QUEUE_OF_PAYER: usize = 2_048;
/// The time that one payer may use of a group that contains no operations of others.
const SHARE_ALONE: Duration = Duration::from_millis(2);
/// The time that one payer may use of a group while others wait for it to be committed. In this time, a payer with
/// large messages can write some hundreds of kilobytes, and the others also have to wait while these are written to
/// disk.
const SHARE_WITH_OTHERS: Duration = Duration::from_micros(500);
/// If there are more payers than this, those with nothing waiting and no lead in virtual time are forgotten.
const MAX_IDLE_PAYERS: usize = 4_096;

/// The queue of one payer.
#[derive(Debug)]
struct PayerQueue<T> {
    waiting: VecDeque<(u64, T)>,
    /// The virtual time at which its next operation starts.
    start: Duration,
    /// The group that `taken` refers to.
    group: u64,
    /// The time that it used of that group.
    taken: Duration,
}

impl<T> PayerQueue<T> {
    /// Whether it has used this much of the group, or more.
    fn has_used(&self, share: Duration, group: u64) -> bool {
        self.group == group && self.taken >= share
    }
}

/// The waiting operations, with one queue for each payer.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    queues: HashMap<Payer, PayerQueue<T>>,
    /// The payers that may be served in this group, ordered by virtual time and then by arrival.
    turns: BTreeSet<(Duration, u64, Payer)>,
    /// The payers that have used their share of this group and have more operations.
    exhausted: Vec<Payer>,
    /// The payer whose operation is being served.
    serving: Option<Payer>,
    now: Duration,
    group: u64,
    /// The time that a payer may use of this group.
    share: Duration,
    /// The payer that was served first in this group.
    first: Option<Payer>,
    arrivals: u64,
    len: usize,
    tidy_at: usize,
}

/// An operation that is being served.
#[derive(Debug)]
pub(super) struct Turn<T> {
    pub(super) payer: Payer,
    pub(super) operation: T,
}

impl<T> FairQueue<T> {
    pub(super) fn new() -> Self {
        Self {
            queues: HashMap::new(),
            turns: BTreeSet::new(),
            exhausted: Vec::new(),
            serving: None,
            now: Duration::ZERO,
            group: 0,
            share: SHARE_ALONE,
            first: None,
            arrivals: 0,
            len: 0,
            tidy_at: MAX_IDLE_PAYERS,
        }
    }

    /// The number of waiting operations.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Appends an operation to its payer's queue.
    ///
    /// # Errors
    /// Returns the operation if the queue is full.
    pub(super) fn push(&mut self, payer: Payer, operation: T) -> Result<(), T> {
        let (now, group, share) = (self.now, self.group, self.share);
        let queue = self.queues.entry(payer).or_insert_with(|| PayerQueue {
            waiting: VecDeque::new(),
            start: now,
            group,
            taken: Duration::ZERO,
        });
        if queue.waiting.len() >= MAX_QUEUE_OF_PAYER {
            return Err(operation);
        }
        let arrival = self.arrivals;
        if queue.waiting.is_empty() {
            queue.start = queue.start.max(now);
            if queue.has_used(share, group) {
                self.exhausted.push(payer);
            } else {
                self.turns.insert((queue.start, arrival, payer));
            }
        }
        queue.waiting.push_back((arrival, operation));
        self.arrivals = arrival.wrapping_add(1);
        self.len = self.len.saturating_add(1);
        Ok(())
    }

    /// The next operation of this group; must be followed by [`FairQueue::served`].
    pub(super) fn pop(&mut self) -> Option<Turn<T>> {
        self.settle();
        loop {
            let (start, _, payer) = self.turns.pop_first()?;
            let queue = self.queues.get_mut(&payer)?;
            // The share may have become smaller since this payer was added.
            if queue.has_used(self.share, self.group) {
                self.exhausted.push(payer);
                continue;
            }
            self.now = self.now.max(start);
            let (_, operation) = queue.waiting.pop_front()?;
            self.len = self.len.saturating_sub(1);
            self.serving = Some(payer);
            return Some(Turn { payer, operation });
        }
    }

    /// Records how long an operation of this payer took.
    pub(super) fn served(&mut self, payer: Payer, took: Duration) {
        self.serving = None;
        let Some(queue) = self.queues.get_mut(&payer) else { return };
        if queue.group != self.group {
            (queue.group, queue.taken) = (self.group, Duration::ZERO);
        }
        // Time advances for all waiting payers and one more, the one that comes next.
        let waiting = self.turns.len().saturating_add(self.exhausted.len()).saturating_add(2);
        let each = took.checked_div(u32::try_from(waiting).unwrap_or(u32::MAX)).unwrap_or_default();
        self.now = self.now.saturating_add(each);
        queue.start = queue.start.saturating_add(took);
        queue.taken = queue.taken.saturating_add(took);
        if *self.first.get_or_insert(payer) != payer {
            self.share = SHARE_WITH_OTHERS;
        }
        let Some((arrival, _)) = queue.waiting.front() else { return };
        if queue.has_used(self.share, self.group) {
            self.exhausted.push(payer);
        } else {
            self.turns.insert((queue.start, *arrival, payer));
        }
    }

    /// The duration of an operation with which a group failed is unknown; its payer can be served again.
    fn settle(&mut self) {
        if let Some(payer) = self.serving.take() {
            self.served(payer, Duration::ZERO);
        }
    }

    /// Starts the next group, in which every payer can be served again.
    pub(super) fn next_group(&mut self) {
        self.settle();
        self.group = self.group.wrapping_add(1);
        (self.share, self.first) = (SHARE_ALONE, None);
        for payer in self.exhausted.drain(..) {
            if let Some(queue) = self.queues.get(&payer)
                && let Some((arrival, _)) = queue.waiting.front()
            {
                self.turns.insert((queue.start, *arrival, payer));
            }
        }
        if self.len == 0 {
            // No payer is waiting, so all of them start equal.
            self.queues.clear();
            self.now = Duration::ZERO;
        } else if self.queues.len() >= self.tidy_at {
            self.queues.retain(|_, queue| !queue.waiting.is_empty() || queue.start > self.now);
            self.tidy_at = self.queues.len().saturating_mul(2).max(MAX_IDLE_PAYERS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn user(n: u8) -> Payer {
        Payer::User(UserId::from_bytes([n; 16]))
    }

    const STEP: Duration = Duration::from_micros(100);

    /// Serves a whole group in which every operation takes equally long, and returns the operations with their
    /// payers.
    fn serve<T: Copy>(queue: &mut FairQueue<T>, took: Duration) -> Vec<(Payer, T)> {
        queue.next_group();
        let mut served = Vec::new();
        while let Some(Turn { payer, operation }) = queue.pop() {
            queue.served(payer, took);
            served.push((payer, operation));
        }
        served
    }

    #[test]
    fn a_payer_with_few_operations_is_served_before_one_with_many() {
        let mut queue = FairQueue::new();
        for n in 0..1_000 {
            queue.push(user(1), n).unwrap();
        }
        for _ in 0..3 {
            queue.next_group();
            let Turn { payer, .. } = queue.pop().unwrap();
            queue.served(payer, STEP);
        }
        queue.push(user(2), 0).unwrap();
        queue.push(user(3), 0).unwrap();
        let next: Vec<_> = serve(&mut queue, STEP).into_iter().take(2).map(|(payer, _)| payer).collect();
        assert_eq!(next, [user(2), user(3)]);
    }

    #[test]
    fn the_operations_of_one_payer_keep_their_order() {
        let mut queue = FairQueue::new();
        for n in 0..100 {
            for one in 0..3 {
                queue.push(user(one), n).unwrap();
            }
        }
        let mut served = Vec::new();
        while queue.len() > 0 {
            served.extend(serve(&mut queue, STEP));
        }
        assert_eq!(served.len(), 300);
        for one in 0..3 {
            let own: Vec<_> = served.iter().filter(|(payer, _)| *payer == user(one)).collect();
            assert!(own.is_sorted_by_key(|(_, n)| *n));
        }
    }

    #[test]
    fn payers_that_always_wait_get_equal_time() {
        let mut queue = FairQueue::new();
        for n in 0..2_000 {
            queue.push(user(1), n).unwrap();
            queue.push(user(2), n).unwrap();
        }
        let mut times = [Duration::ZERO; 2];
        queue.next_group();
        for _ in 0..1_000 {
            let turn = queue.pop().or_else(|| {
                queue.next_group();
                queue.pop()
            });
            let payer = turn.unwrap().payer;
            // The operations of one payer take ten times as long.
            let (which, took) = if payer == user(1) { (0, STEP * 10) } else { (1, STEP) };
            times[which] += took;
            queue.served(payer, took);
        }
        assert!(times[0].abs_diff(times[1]) <= STEP * 20, "{times:?}");
    }

    #[test]
    fn no_payer_gets_more_than_its_share_of_a_group() {
        let mut queue = FairQueue::new();
        for n in 0..1_000 {
            queue.push(user(1), n).unwrap();
        }
        let most = usize::try_from(SHARE_ALONE.div_duration_f64(STEP) as u64).unwrap();
        assert_eq!(serve(&mut queue, STEP).len(), most);
        assert_eq!(serve(&mut queue, STEP).len(), most);
        // Queueing one operation at a time does not increase the share either.
        let mut queue = FairQueue::new();
        queue.next_group();
        for n in 0..most {
            queue.push(user(1), n).unwrap();
            let payer = queue.pop().unwrap().payer;
            queue.served(payer, STEP);
        }
        queue.push(user(1), most).unwrap();
        assert!(queue.pop().is_none());
        queue.next_group();
        assert!(queue.pop().is_some());
    }

    #[test]
    fn a_group_ends_early_while_others_wait_for_it() {
        let most = usize::try_from(SHARE_WITH_OTHERS.div_duration_f64(STEP) as u64).unwrap();
        for earlier in [0, 2, most, most + 3] {
            let mut queue = FairQueue::new();
            for n in 0..1_000 {
                queue.push(user(1), n).unwrap();
            }
            queue.next_group();
            for _ in 0..earlier {
                let payer = queue.pop().unwrap().payer;
                queue.served(payer, STEP);
            }
            queue.push(user(2), 0).unwrap();
            let mut served = Vec::new();
            while let Some(Turn { payer, .. }) = queue.pop() {
                queue.served(payer, STEP);
                served.push(payer);
            }
            assert!(served.contains(&user(2)), "after {earlier}");
            let others = served.iter().filter(|payer| **payer == user(1)).count();
            assert!(others <= most.saturating_sub(earlier), "{others} after {earlier}");
            // The next group contains no operations of other payers.
            queue.next_group();
            assert!(queue.pop().is_some());
        }
    }

    #[test]
    fn many_new_payers_do_not_delay_an_existing_one() {
        let mut queue = FairQueue::new();
        queue.push(user(0), 0).unwrap();
        queue.push(user(0), 0).unwrap();
        queue.next_group();
        let first = queue.pop().unwrap().payer;
        assert_eq!(first, user(0));
        queue.served(first, STEP);
        let served = (1..=100).find(|n| {
            queue.push(user(*n), 0).unwrap();
            let payer = queue.pop().unwrap().payer;
            queue.served(payer, STEP);
            payer == user(0)
        });
        assert!(served.is_some_and(|others| others < 10), "{served:?}");
    }

    #[test]
    fn a_payer_has_further_turns_after_a_group_that_failed() {
        let mut queue = FairQueue::new();
        for n in 0..3 {
            queue.push(user(1), n).unwrap();
        }
        queue.next_group();
        assert_eq!(queue.pop().unwrap().operation, 0);
        // The group ends here, without recording how long that took.
        queue.next_group();
        assert_eq!(queue.pop().unwrap().operation, 1);
        assert_eq!(queue.pop().unwrap().operation, 2, "the same within a group");
        queue.next_group();
        assert!(queue.pop().is_none());
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn a_full_queue_does_not_affect_the_others() {
        let mut queue = FairQueue::new();
        for n in 0..MAX_QUEUE_OF_PAYER {
            queue.push(user(1), n).unwrap();
        }
        assert_eq!(queue.push(user(1), 7), Err(7));
        assert_eq!(queue.push(user(2), 8), Ok(()));
    }

    #[test]
    fn idle_payers_are_forgotten() {
        let mut queue = FairQueue::new();
        queue.push(user(0), 0).unwrap();
        for n in 0..20_000_u32 {
            let mut id = [1; 16];
            id[..4].copy_from_slice(&n.to_be_bytes());
            // A payer that always waits keeps the queue from becoming empty.
            queue.push(Payer::User(UserId::from_bytes(id)), 0).unwrap();
            queue.next_group();
            let payer = queue.pop().unwrap().payer;
            queue.served(payer, STEP);
            if payer == user(0) {
                queue.push(user(0), 0).unwrap();
            }
        }
        assert!(queue.queues.len() <= MAX_IDLE_PAYERS * 2, "{}", queue.queues.len());
    }
}

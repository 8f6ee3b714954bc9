//! Distributes work over several cores (docs/adr/0008). The number of cores, and whether threads can be started,
//! affects the time only.

use std::num::NonZero;
use std::panic;
use std::sync::LazyLock;
use std::thread::{self, ScopedJoinHandle};

/// Up to this many items are processed by the calling thread, because starting another one costs as much as it would
/// save.
const ALONE: usize = 32;
/// The minimum share of a thread.
const LEAST: usize = 16;

/// Querying the system takes longer than an agreement.
static CORES: LazyLock<usize> = LazyLock::new(|| thread::available_parallelism().map_or(1, NonZero::get));

/// The results of `work` for each of `items`, in order. An item takes about as long as an agreement; more than 32 are
/// distributed over the cores.
pub(crate) fn for_each<T: Sync, U: Send>(items: &[T], work: impl Fn(&T) -> U + Sync) -> Vec<U> {
    let do_all = |share: &[T]| share.iter().map(&work).collect::<Vec<U>>();
    if items.len() <= ALONE {
        return do_all(items);
    }
    let share = items.len().div_ceil(*CORES).max(LEAST);
    let (own, others) = items.split_at_checked(share).unwrap_or((items, &[]));
    thread::scope(|scope| {
        let do_all = &do_all;
        let begin = |share| thread::Builder::new().spawn_scoped(scope, move || do_all(share)).ok();
        let shares: Vec<_> = others.chunks(share).map(|share| (share, begin(share))).collect();
        let mut done = do_all(own);
        for (share, thread) in shares {
            done.extend(result(thread, || do_all(share)));
        }
        done
    })
}

/// The results of `work` for both arguments, each of which takes as long as dozens of agreements.
pub(crate) fn for_both<T: Sync, U: Send>([one, other]: [&T; 2], work: impl Fn(&T) -> U + Sync) -> [U; 2] {
    thread::scope(|scope| {
        let begin = || thread::Builder::new().spawn_scoped(scope, || work(other)).ok();
        let thread = if *CORES > 1 { begin() } else { None };
        [work(one), result(thread, || work(other))]
    })
}

/// The result of a thread, or of the same work done here if the thread could not be started.
fn result<U>(thread: Option<ScopedJoinHandle<'_, U>>, work: impl FnOnce() -> U) -> U {
    match thread.map(ScopedJoinHandle::join) {
        Some(Ok(result)) => result,
        Some(Err(reason)) => panic::resume_unwind(reason),
        None => work(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_processed_once_and_in_order() {
        for count in [0, 1, 31, 32, 33, 47, 48, 49, 64, 65, 1000] {
            let items: Vec<usize> = (0..count).collect();
            assert_eq!(
                for_each(&items, |item| item * 2),
                (0..count).map(|item| item * 2).collect::<Vec<_>>()
            );
        }
        assert_eq!(for_both([&1, &2], |item| item * 2), [2, 4]);
    }

    #[test]
    fn a_panic_is_propagated_to_the_caller() {
        let fails_at = |bad: u32| panic::catch_unwind(|| for_both([&1, &2], |item| assert_ne!(*item, bad)));
        assert!(fails_at(1).is_err() && fails_at(2).is_err() && fails_at(3).is_ok());
    }
}

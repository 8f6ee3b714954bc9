//! The same work for many, on all cores (docs/adr/0008).

use std::num::NonZero;
use std::panic;
use std::sync::LazyLock;
use std::thread;

/// So few are done by the calling thread: to begin another costs as much as it would save.
const ALONE: usize = 32;
/// Least share of a thread.
const LEAST: usize = 16;

/// What `work` makes of each of `items`, in their order. More than 32 are shared among the cores; how many of those there are,
/// and whether threads can be had, decides about the time it takes and about nothing else.
pub(super) fn for_each<T: Sync, U: Send>(items: &[T], work: impl Fn(&T) -> U + Sync) -> Vec<U> {
    // To ask the system takes longer than an agreement.
    static CORES: LazyLock<usize> = LazyLock::new(|| thread::available_parallelism().map_or(1, NonZero::get));
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
            match thread.map(thread::ScopedJoinHandle::join) {
                Some(Ok(results)) => done.extend(results),
                Some(Err(reason)) => panic::resume_unwind(reason),
                None => done.extend(do_all(share)),
            }
        }
        done
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_done_once_and_in_order() {
        for count in [0, 1, 31, 32, 33, 47, 48, 49, 64, 65, 1000] {
            let items: Vec<usize> = (0..count).collect();
            assert_eq!(
                for_each(&items, |item| item * 2),
                (0..count).map(|item| item * 2).collect::<Vec<_>>()
            );
        }
    }
}

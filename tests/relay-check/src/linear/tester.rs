//! Converts operations for the tester.

use std::cell::Cell;
use std::fmt::Debug;
use std::hash::Hash;
use std::marker::PhantomData;
use std::rc::Rc;

use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History};
use todc_utils::specifications::Specification;

use crate::event::At;
use crate::invariants::{CheckResult, Violation};

/// A sequential model.
pub(super) trait Model {
    type State: Clone + Eq + Hash + Debug + Default;
    type Op: Clone + Debug;

    /// The state after this operation; `None` if its answer is impossible in this state.
    fn step(op: &Self::Op, state: &Self::State) -> Option<Self::State>;
}

/// An operation with the interval in which it took effect.
#[derive(Debug, Clone)]
pub(super) struct Timed<Op> {
    pub(super) invoked: At,
    pub(super) ended: At,
    pub(super) op: Op,
}

/// Maximum number of steps of one search, each with a copy of the state in its cache. A history that needs more is
/// rejected.
const MAX_STEPS: u64 = 500_000;

/// An operation with the remaining steps of its search. The tester itself has no limit; when the steps are used up,
/// no operation is possible any more, and the search ends.
#[derive(Debug, Clone)]
struct Counted<Op> {
    op: Op,
    left: Rc<Cell<u64>>,
    /// Whether the operation was possible in any state so far.
    was_possible: Rc<Cell<bool>>,
}

struct Specified<M>(PhantomData<M>);

impl<M: Model> Specification for Specified<M> {
    type State = M::State;
    type Operation = Counted<M::Op>;

    fn init() -> Self::State {
        M::State::default()
    }

    fn apply(counted: &Self::Operation, state: &Self::State) -> (bool, Self::State) {
        let left = counted.left.get();
        let next = if left == 0 { None } else { M::step(&counted.op, state) };
        if next.is_some() {
            counted.left.set(left.saturating_sub(1));
            counted.was_possible.set(true);
        }
        (next.is_some(), next.unwrap_or_else(|| state.clone()))
    }
}

/// Whether there is an order for these operations.
pub(super) fn order<M: Model>(name: &str, operations: &[Timed<M::Op>]) -> CheckResult {
    if operations.is_empty() {
        return Ok(0);
    }
    let left = Rc::new(Cell::new(MAX_STEPS));
    // Each operation is a separate process, so that those of one client may overlap. An answer and an invocation
    // never have the same position, except for operations without an answer, which all end together at the very end.
    let (mut actions, mut was_possible) = (Vec::new(), Vec::new());
    for (process, Timed { invoked, ended, op }) in operations.iter().enumerate() {
        let counted = Counted { op: op.clone(), left: Rc::clone(&left), was_possible: Rc::default() };
        was_possible.push((*ended, Rc::clone(&counted.was_possible), op));
        actions.push((*invoked, process, Action::Call(counted.clone())));
        actions.push((*ended, process, Action::Response(counted)));
    }
    actions.sort_by_key(|(at, process, action)| (*at, matches!(action, Action::Response(_)), *process));
    let actions = actions.into_iter().map(|(_, process, action)| (process, action)).collect();
    if WGLChecker::<Specified<M>>::is_linearizable(History::from_actions(actions)) {
        return Ok(operations.len());
    }
    // The first operation that was never possible, as a hint to the cause.
    was_possible.sort_by_key(|(ended, ..)| *ended);
    let impossible =
        was_possible.iter().find(|(_, was_possible, _)| !was_possible.get()).map(|(at, _, op)| (at, op));
    let why = if left.get() == 0 { "the search has exceeded its limit" } else { "there is no order" };
    Err(Violation(format!(
        "{name}, {} operations: {why}; an operation that was never possible: {impossible:?}",
        operations.len()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A register.
    struct Register;

    #[derive(Debug, Clone)]
    enum Op {
        Write(u8),
        Read(u8),
    }

    impl Model for Register {
        type State = u8;
        type Op = Op;

        fn step(op: &Op, state: &u8) -> Option<u8> {
            match op {
                Op::Write(value) => Some(*value),
                Op::Read(value) => (value == state).then_some(*state),
            }
        }
    }

    fn timed(invoked: At, ended: At, op: Op) -> Timed<Op> {
        Timed { invoked, ended, op }
    }

    #[test]
    fn only_overlapping_operations_may_be_reordered() {
        let read = |at| timed(at, at + 1, Op::Read(1));
        let overlapping = [timed(0, 9, Op::Write(1)), timed(1, 8, Op::Write(2)), read(3)];
        assert_eq!(order::<Register>("register", &overlapping), Ok(3));
        let apart = [timed(0, 1, Op::Write(1)), timed(2, 3, Op::Write(2)), read(4)];
        assert!(order::<Register>("register", &apart).is_err());
    }

    #[test]
    fn an_unanswered_operation_may_have_had_no_effect() {
        let late = [timed(0, 1, Op::Write(1)), timed(2, At::MAX, Op::Write(2)), timed(4, 5, Op::Read(1))];
        assert!(order::<Register>("register", &late).is_ok());
        let mut seen = late.to_vec();
        seen.push(timed(6, 7, Op::Read(2)));
        assert!(order::<Register>("register", &seen).is_ok());
        seen.push(timed(8, 9, Op::Read(1)));
        assert!(order::<Register>("register", &seen).is_err());
    }

    #[test]
    fn a_search_that_exceeds_its_limit_is_ended() {
        // 24 concurrent writes, and a value that none of them writes.
        let mut operations: Vec<_> = (0..24).map(|at| timed(at, 90, Op::Write(at as u8))).collect();
        operations.push(timed(100, 101, Op::Read(99)));
        let error = order::<Register>("register", &operations).unwrap_err();
        assert!(error.0.contains("exceeded its limit"), "{error}");
    }
}

//! The second checker: an independent linearizability tester.
//!
//! It searches for one order of all operations, each between its invocation and its answer, that a sequential relay
//! could have followed (Herlihy and Wing 1990; the search of Wing and Gong 1993 with Lowe's cache, from the crate
//! `todc-utils`). Only the two models, and the conversion of a history, are our own: one search for each thread
//! (`lane`) and for each pool of one-time keys (`pool`), because these are independent of each other.

mod lane;
mod pool;
mod tester;

use crate::history::History;
use crate::invariants::CheckResult;

/// The number of operations for which an order exists.
///
/// # Errors
/// The thread or pool whose operations have no such order, or have too many to try.
pub fn check(history: &History) -> CheckResult {
    lane::check(history).and_then(|lanes| Ok(lanes.saturating_add(pool::check(history)?)))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::History;
    use crate::event::{Call, Reply, Send};
    use crate::history::{Operation, Outcome, Seen};
    use crate::invariants::examples::{device, history, modified, place, row, send, stored};

    fn operation(invoked: u64, call: Call, reply: Reply) -> Operation {
        Operation { invoked, ended: invoked + 1, call, outcome: Outcome::Ok(reply) }
    }

    fn placed(history: &mut History, id: &str) -> (u64, bool) {
        let found =
            history.operations.iter().find_map(|operation| match (&operation.call, &operation.outcome) {
                (Call::Send(send), Outcome::Ok(Reply::Send { seq, duplicate, .. })) if send.id == id => {
                    Some((*seq, *duplicate))
                }
                _ => None,
            });
        found.unwrap()
    }

    #[test]
    fn a_correct_history_has_an_order() {
        let checked = check(&history());
        assert!(checked.as_ref().is_ok_and(|checked| *checked > 10), "{checked:?}");
    }

    /// Every history that both checkers cover, modified in each way that the tests of the invariants modify it, is
    /// rejected by this checker too.
    #[test]
    fn each_modified_history_has_none() {
        type Modification = fn(&mut History);
        let breakings: [(&str, Modification); 16] = [
            ("a lost message", |history| drop(history.dump.stored.remove(1))),
            ("the last message lost", |history| drop(history.dump.stored.pop())),
            ("a message in another place", |history| history.dump.stored[0].place.seq = 9),
            ("a message stored twice", |history| history.dump.stored.push(stored("ada", "m1", 4))),
            ("a message that nobody sent", |history| history.dump.stored.push(stored("eve", "m9", 4))),
            ("two messages in one place", |history| {
                let first = history.operations[1].invoked;
                let reply = Reply::Send { seq: 1, hlc: 101, epoch: 1, duplicate: false };
                history.operations.push(operation(first + 60, Call::Send(send("ada/1", "m9")), reply));
            }),
            ("a repetition with another place", |history| {
                assert_eq!(placed(history, "m2"), (2, true));
                let reply = Reply::Send { seq: 7, hlc: 107, epoch: 1, duplicate: true };
                history.operations.push(operation(70, Call::Send(send("ada/1", "m2")), reply));
            }),
            ("a message stored anew", |history| {
                let reply = Reply::Send { seq: 4, hlc: 104, epoch: 1, duplicate: false };
                history.operations.push(operation(70, Call::Send(send("ada/1", "m2")), reply));
            }),
            ("a row that vanished", |history| history.dump.mailboxes.clear()),
            ("a row that outlived its acknowledgement", |history| {
                history.dump.mailboxes.get_mut(&device("ben/1")).unwrap().insert(0, place(1));
            }),
            ("a row that came as another", |history| history.seen[0].row.id = "m2".into()),
            ("a row before its message was sent", |history| history.seen[0].at = 3),
            ("a page without a row that was there", |history| {
                let page = Reply::Page { rows: Vec::new(), more: false };
                history.operations.push(operation(70, Call::Page { device: device("ben/1") }, page));
            }),
            ("a row in a page after it was deleted", |history| {
                let (device, row) = (device("ben/1"), row("ada/1", "m1", 1));
                let page = Reply::Page { rows: vec![row.clone()], more: true };
                history.operations.push(operation(70, Call::Page { device: device.clone() }, page));
                history.seen.push(Seen { at: 71, since: 70, device, pushed: false, row });
            }),
            ("a key given out twice", |history| {
                let again = Reply::Take { ec: Some(1), kem: None };
                let call = Call::Take {
                    requester: device("ada/1"),
                    idempotency: "k4".into(),
                    target: device("ben/1"),
                };
                history.operations.push(operation(70, call, again));
            }),
            ("a key denied", |history| {
                for operation in &mut history.operations {
                    if matches!(operation.outcome, Outcome::Ok(Reply::Take { ec: Some(2), .. })) {
                        operation.outcome = Outcome::Ok(Reply::Take { ec: None, kem: None });
                    }
                }
            }),
        ];
        for (name, modify) in breakings {
            let broken = modified(modify);
            assert!(check(&broken).is_err(), "{name}: the tester accepts it");
            let found = crate::check(&broken);
            assert!(found.iter().any(|(_, found)| found.is_err()), "{name}: no invariant is broken");
        }
    }

    #[test]
    fn an_id_is_refused_as_reused_only_for_another_message() {
        let refused = |id: &str, body: &str| {
            modified(|history| {
                let send = Send { body: body.into(), ..send("ada/1", id) };
                let outcome = Outcome::Fail("msg_id_reuse".into());
                history.operations.push(Operation {
                    invoked: 70,
                    ended: 71,
                    call: Call::Send(send),
                    outcome,
                });
            })
        };
        assert!(check(&refused("m1", "another")).is_ok());
        assert!(check(&refused("m1", "body of m1")).is_err());
        assert!(check(&refused("m9", "new")).is_err());
    }

    #[test]
    fn a_lost_answer_allows_both_outcomes() {
        // Without the repetition, the outcome of m2 is unknown, and both are possible.
        let forget = |history: &mut History| {
            history.operations.retain(|operation| {
                !matches!(&operation.call, Call::Send(send) if send.id == "m2"
                    && matches!(operation.outcome, Outcome::Ok(_)))
            });
        };
        assert!(check(&modified(forget)).is_ok());
        let never = modified(|history| {
            forget(history);
            history
                .operations
                .retain(|operation| !matches!(&operation.call, Call::Send(send) if send.id == "m3"));
            history.operations.retain(|operation| !matches!(operation.call, Call::Page { .. }));
            history.operations.retain(
                |operation| !matches!(&operation.call, Call::Ack { device, .. } if device.0 == "ada/1"),
            );
            history.seen.truncate(1);
            history.dump.stored.truncate(1);
            history.dump.mailboxes.clear();
        });
        assert!(check(&never).is_ok());
    }
}

//! I9: ephemeral messages are passed on or refused, and not stored.

use std::collections::BTreeSet;

use super::{CheckResult, ensure};
use crate::event::Reply;
use crate::history::{History, Outcome};

pub(super) fn check(history: &History) -> CheckResult {
    let mut names = BTreeSet::new();
    for (send, operation) in history.sends().filter(|(send, _)| send.ephemeral) {
        let stored = matches!(&operation.outcome, Outcome::Ok(reply) if *reply != Reply::PassedOn);
        ensure(!stored, || format!("{} was stored", send.id))?;
        names.insert((send.sender.user(), send.id.as_str()));
    }
    for row in &history.dump.stored {
        let name = (row.sender.as_str(), row.id.as_str());
        ensure(!names.contains(&name), || format!("{} is in the store", row.id))?;
    }
    Ok(names.len())
}

#[cfg(test)]
mod tests {
    use super::super::examples::{modified, stored};
    use super::check;
    use crate::event::{Call, Reply};
    use crate::history::Outcome;

    #[test]
    fn a_stored_ephemeral_message_is_found() {
        assert!(check(&modified(|history| history.dump.stored.push(stored("ada", "typing", 4)))).is_err());
        let acknowledged = modified(|history| {
            for operation in &mut history.operations {
                if matches!(&operation.call, Call::Send(send) if send.ephemeral) {
                    operation.outcome =
                        Outcome::Ok(Reply::Send { seq: 4, hlc: 104, epoch: 1, duplicate: false });
                }
            }
        });
        assert!(check(&acknowledged).is_err());
    }
}

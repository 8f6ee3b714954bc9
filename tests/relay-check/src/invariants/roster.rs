//! I7: only members send to a thread and receive its messages, and only for its roster.

use std::collections::BTreeMap;

use super::{CheckResult, ensure};
use crate::history::History;

pub(super) fn check(history: &History) -> CheckResult {
    let member = |thread: &str, user: &str| {
        history.threads.get(thread).is_some_and(|(members, _)| members.iter().any(|member| member == user))
    };
    let sends: BTreeMap<_, _> =
        history.sends().map(|(send, _)| ((send.sender.user(), send.id.as_str()), send)).collect();
    let mut checked = 0_usize;
    for row in &history.dump.stored {
        let thread = &row.place.thread;
        ensure(member(thread, &row.sender), || {
            format!("{} was sent by a user who is not a member of {thread}", row.id)
        })?;
        let made_for = sends.get(&(row.sender.as_str(), row.id.as_str())).map(|send| send.roster_version);
        let roster = history.threads.get(thread).map(|(_, version)| *version);
        ensure(made_for.is_none() || made_for == roster, || format!("{} is for another roster", row.id))?;
        checked = checked.saturating_add(1);
    }
    for (send, place, ..) in history.placed() {
        let user = send.sender.user();
        ensure(member(&place.thread, user), || format!("{user}, who is not a member, received {place:?}"))?;
    }
    for seen in &history.seen {
        let (user, row) = (seen.device.user(), &seen.row);
        ensure(member(&row.place.thread, user), || format!("{user} got {:?}", row.place))?;
        let roster = history.threads.get(&row.place.thread).map(|(_, version)| *version);
        ensure(roster == Some(row.roster_version), || format!("{:?} is for another roster", row.place))?;
        checked = checked.saturating_add(1);
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use super::super::examples::{device, modified};
    use super::check;
    use crate::event::{Call, Reply};
    use crate::history::{Operation, Outcome};

    #[test]
    fn a_message_from_a_non_member_is_found() {
        assert!(check(&modified(|history| history.dump.stored[0].sender = "eve".into())).is_err());
        let answered = modified(|history| {
            let mut send = super::super::examples::send("ada/1", "m1");
            send.sender = device("eve/1");
            let reply = Reply::Send { seq: 1, hlc: 101, epoch: 1, duplicate: true };
            let (call, outcome) = (Call::Send(send), Outcome::Ok(reply));
            history.operations.push(Operation { invoked: 90, ended: 91, call, outcome });
        });
        assert!(check(&answered).is_err());
    }

    #[test]
    fn a_message_to_a_non_member_is_found() {
        assert!(check(&modified(|history| history.seen[0].device = device("eve/1"))).is_err());
    }

    #[test]
    fn a_message_for_another_roster_is_found() {
        assert!(check(&modified(|history| history.threads.get_mut("t").unwrap().1 = 2)).is_err());
        assert!(check(&modified(|history| history.seen[0].row.roster_version = 2)).is_err());
    }
}

//! Stores, reads and acknowledges mail.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, Error, OptionalExtension as _, Result, Row as SqlRow, params};
use sealpost_wire::Envelope;
use sealpost_wire::id::UserId;

use super::arrivals::Arrivals;
use super::columns::{address, blob, client_msg_id, expect_one, row_bytes, thread};
use super::dedupe::{Earlier, Submission, WrongTime};
use super::deferred::{Deferred, Mailboxes};
use super::lane::Lane;
use super::{audience, blocks, fan_out, inbox, requests};
use crate::address::Address;
use crate::limits::Inbound;
use crate::store::{
    Audience, Copy, MailClass, MailPage, MailRow, MailSeq, Misaddressed, NewMail, PageLimit, Posted, Stored,
    check_recipients,
};

/// Makes all decisions first, membership before all others, then writes, and records the bytes that were delivered.
pub(super) fn post(
    tx: &Connection,
    deferred: &mut Deferred,
    arrivals: &Arrivals,
    mail: &NewMail,
    inbound: &mut Vec<Inbound>,
) -> Result<Posted> {
    let submission = Submission::of_mail(mail);
    let sender = mail.sender.user;
    let (lane, of_group) = match deferred.lanes.get(tx, mail.thread)? {
        Some(lane) if lane.has_member(sender) => (Some(&*lane), None),
        Some(_) => (None, None),
        None => (None, audience::of_group(tx, mail.thread, sender, &users(mail))?),
    };
    let checked = match (lane, &of_group) {
        (Some(lane), _) => check(mail, lane, &submission),
        (None, Some(group)) => check_group(mail, group, &submission),
        (None, None) => return Ok(Posted::NotMember),
    };
    if let Err(refused) = checked {
        if refused == Posted::Misaddressed(Misaddressed::SenderRevoked) {
            return Ok(refused);
        }
        return match (submission.earlier(tx)?, refused) {
            (Some(earlier), _) => Ok(repeated(earlier)),
            (None, Posted::TooOld) if !submission.may_be_forgotten(tx)? => Ok(Posted::ClockSkew),
            (None, refused) => Ok(refused),
        };
    }
    let invited = of_group.map(|group| group.not_accepted).unwrap_or_default();
    // Nobody who is invited by a stranger gets more than a few messages and pieces of mail of the group.
    let mut strangers = BTreeSet::new();
    for user in invited.into_iter().filter(|user| mail.copies.iter().any(|copy| copy.to.user == *user)) {
        if requests::knows(tx, user, sender)? {
            continue;
        }
        strangers.insert(user);
        if !has_room(tx, &mut deferred.mailboxes, mail, user)? {
            return Ok(submission.earlier(tx)?.map_or(Posted::NotAccepted, repeated));
        }
    }
    // Mail has no position, so there is none to repeat.
    if !submission.remember(tx, Stored { server_seq: 0, hlc: 0 })? {
        return submission.earlier(tx)?.map(repeated).ok_or(Error::QueryReturnedNoRows);
    }
    for copy in &mail.copies {
        let is_request = strangers.contains(&copy.to.user);
        if is_request {
            fan_out::count_request(tx, mail.thread, copy.to.user, copy.ciphertext_len())?;
        }
        store(tx, arrivals.next(), mail, copy)?;
        let bytes = row_bytes(copy.ciphertext_len());
        deferred.mailboxes.grow(tx, copy.to, mail.thread, (bytes, is_request))?;
        inbound.push(Inbound { recipient: copy.to.user, bytes, accepted: !is_request });
    }
    Ok(Posted::Stored)
}

fn repeated(earlier: Earlier) -> Posted {
    match earlier {
        Earlier::Same(_) => Posted::Duplicate,
        Earlier::Other => Posted::MsgIdReuse,
    }
}

fn check(mail: &NewMail, lane: &Lane, submission: &Submission) -> std::result::Result<(), Posted> {
    submission.check_time(mail.now_ms).map_err(|wrong| match wrong {
        WrongTime::Old => Posted::TooOld,
        WrongTime::Ahead => Posted::ClockSkew,
    })?;
    let named = mail.copies.iter().map(|copy| (copy.to, copy.registration_id));
    check_recipients(&lane.live, lane.is_left_alone(mail.sender.user), mail.sender, named)
        .map_err(Posted::Misaddressed)?;
    // Somebody who has not accepted the thread gets messages only, and few of them.
    let accepted =
        |copy: &Copy| copy.to.user == mail.sender.user || !lane.not_accepted.contains_key(&copy.to.user);
    let blocked = lane.blocks(mail.sender.user);
    let accepted = |copy: &Copy| accepted(copy) && (!blocked || copy.to.user == mail.sender.user);
    if mail.copies.iter().all(accepted) { Ok(()) } else { Err(Posted::NotAccepted) }
}

/// The same in a group, where nobody has to accept mail of fellow members.
fn check_group(mail: &NewMail, group: &Audience, submission: &Submission) -> std::result::Result<(), Posted> {
    submission.check_time(mail.now_ms).map_err(|wrong| match wrong {
        WrongTime::Old => Posted::TooOld,
        WrongTime::Ahead => Posted::ClockSkew,
    })?;
    let named = mail.copies.iter().map(|copy| (copy.to, copy.registration_id));
    check_recipients(&group.live, group.left_alone, mail.sender, named).map_err(Posted::Misaddressed)
}

fn users(mail: &NewMail) -> Vec<UserId> {
    mail.copies.iter().map(|copy| copy.to.user).collect()
}

/// Whether somebody who is invited by a stranger can get this mail.
fn has_room(tx: &Connection, mailboxes: &mut Mailboxes, mail: &NewMail, user: UserId) -> Result<bool> {
    if blocks::is_blocked(tx, user, mail.sender.user)? {
        return Ok(false);
    }
    let (mut count, mut bytes) = (0_u64, 0_usize);
    for copy in mail.copies.iter().filter(|copy| copy.to.user == user) {
        (count, bytes) = (count.saturating_add(1), bytes.saturating_add(copy.ciphertext_len()));
        mailboxes.write(tx, copy.to)?;
        if !requests::mailbox_has_room(tx, copy.to, row_bytes(copy.ciphertext_len()))? {
            return Ok(false);
        }
    }
    fan_out::has_request_room(tx, mail.thread, user, (count, bytes))
}

fn store(tx: &Connection, arrival: i64, mail: &NewMail, copy: &Copy) -> Result<()> {
    let (user, device) = (copy.to.user.as_bytes(), copy.to.device.get());
    let mail_seq: MailSeq = tx
        .prepare_cached(
            "UPDATE mailbox SET mail_seq = mail_seq + 1 WHERE user_id = ?1 AND device_id = ?2 RETURNING mail_seq",
        )?
        .query_row(params![user, device], |row| row.get(0))?;
    expect_one(
        tx.prepare_cached(
            "INSERT INTO mail (arrival, user_id, device_id, urgent, mail_seq, thread_id, came_ms, sender_user,
                sender_device, client_msg_id, kind, ttl_s, expires_ms, ciphertext)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )?
        .execute(params![
            arrival,
            user,
            device,
            copy.envelope.urgent,
            mail_seq,
            mail.thread.as_bytes(),
            mail.now_ms,
            mail.sender.user.as_bytes(),
            mail.sender.device.get(),
            mail.client_msg_id.as_bytes(),
            copy.envelope.kind,
            copy.envelope.ttl_s,
            copy.expires_ms,
            copy.ciphertext()
        ])?,
    )
}

pub(super) fn page(
    tx: &Connection,
    owner: Address,
    class: MailClass,
    after: MailSeq,
    limit: PageLimit,
) -> Result<MailPage> {
    let mut statement = tx.prepare_cached(
        "SELECT mail_seq, thread_id, came_ms, sender_user, sender_device, client_msg_id, kind, urgent, ttl_s, ciphertext
         FROM mail WHERE user_id = ?1 AND device_id = ?2 AND urgent = ?3 AND mail_seq > ?4 AND expires_ms > ?5
         ORDER BY mail_seq",
    )?;
    let urgent = class == MailClass::Urgent;
    let (user, device) = (owner.user.as_bytes(), owner.device.get());
    let rows = statement.query(params![user, device, urgent, after, limit.now_ms])?;
    let (rows, more) = inbox::fill_page(rows, limit, mail_row, |row| &row.envelope)?;
    let trimmed = inbox::state(tx, owner).optional()?.map_or(0, |mailbox| mailbox.trimmed);
    Ok(MailPage { rows, more, trimmed })
}

fn mail_row(row: &SqlRow<'_>) -> Result<MailRow> {
    Ok(MailRow {
        mail_seq: row.get(0)?,
        thread: thread(row, 1)?,
        came_ms: row.get(2)?,
        sender: address(row, 3, 4)?,
        client_msg_id: client_msg_id(row, 5)?,
        envelope: Envelope {
            kind: row.get(6)?,
            urgent: row.get(7)?,
            ephemeral: false,
            ttl_s: row.get(8)?,
            ciphertext: blob(row, 9)?,
        },
    })
}

pub(super) fn acknowledge(
    tx: &Connection,
    mailboxes: &mut Mailboxes,
    owner: Address,
    seqs: &[MailSeq],
) -> Result<u32> {
    let mut removed: u32 = 0;
    let mut freed: BTreeMap<_, u64> = BTreeMap::new();
    let mut delete = tx.prepare_cached(
        "DELETE FROM mail WHERE user_id = ?1 AND device_id = ?2 AND urgent IN (0, 1) AND mail_seq = ?3
         RETURNING thread_id, length(ciphertext)",
    )?;
    // A client may send any number; one that SQLite cannot store matches nothing.
    let named: BTreeSet<i64> = seqs.iter().filter_map(|seq| i64::try_from(*seq).ok()).collect();
    for seq in named {
        let mut gone = delete.query(params![owner.user.as_bytes(), owner.device.get(), seq])?;
        while let Some(row) = gone.next()? {
            removed = removed.saturating_add(1);
            let of_thread = freed.entry(thread(row, 0)?).or_default();
            *of_thread = of_thread.saturating_add(row_bytes(row.get(1)?));
        }
    }
    for (thread, bytes) in freed {
        mailboxes.shrink(owner, thread, bytes);
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::super::schema::tests::of_version;
    use super::*;

    #[test]
    fn queries_of_mail_use_an_index() {
        let db = of_version(11, "");
        let of_mailbox = "FROM mail WHERE user_id = x'01' AND device_id = 1";
        for (sql, way) in [
            (
                format!("SELECT * {of_mailbox} AND urgent = 0 AND mail_seq > 5 ORDER BY mail_seq"),
                "SEARCH mail USING INDEX sqlite_autoindex_mail",
            ),
            (
                format!("DELETE {of_mailbox} AND urgent IN (0, 1) AND mail_seq = 5"),
                "SEARCH mail USING INDEX sqlite_autoindex_mail",
            ),
            (
                format!(
                    "SELECT arrival, length(ciphertext) {of_mailbox} AND thread_id = x'09' ORDER BY mail_seq LIMIT 256"
                ),
                "SEARCH mail USING INDEX mail_of_thread",
            ),
            (
                "SELECT arrival FROM mail WHERE ttl_s > 0 AND expires_ms <= 5 ORDER BY expires_ms LIMIT 9"
                    .into(),
                "SEARCH mail USING INDEX mail_early_expiry",
            ),
        ] {
            let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let steps: Vec<String> =
                plan.query_map([], |row| row.get(3)).unwrap().collect::<Result<_>>().unwrap();
            assert!(steps.len() == 1 && steps[0].starts_with(way), "{sql}: {steps:?}");
        }
    }

    #[test]
    fn a_mailbox_of_an_earlier_version_has_no_mail() {
        let db = of_version(
            11,
            "INSERT INTO mailbox (user_id, device_id, bytes, trimmed, pushed) VALUES (x'01', 1, 30, 0, 7)",
        );
        let (mail_seq, bytes): (u64, u64) = db
            .query_row("SELECT mail_seq, bytes FROM mailbox", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        assert_eq!((mail_seq, bytes), (0, 30));
    }
}

//! Mail on its way out: contents for the devices of one person, which have no place in a thread.
//!
//! Mail has no order and no lanes. Each piece is sealed, submitted and settled on its own, so it never stops or delays another, nor
//! a message. As for messages, the same bytes are submitted under the same id until the relay has answered.

use std::collections::HashSet;

use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension as _, ToSql, params};

use super::{DISTRIBUTION_SLOT, Durable, News, Parcel, Rows, STATE_SLOT, Tx, from_sql, to_sql};
use crate::content::Body;
use crate::error::{Error, Result, Storage};
use crate::id::{ClientMsgId, ThreadId, UserId};

/// Mail to be queued.
pub(crate) struct NewMail {
    /// The thread that both are members of.
    pub(crate) thread: ThreadId,
    /// It goes to all devices of this person.
    pub(crate) to: UserId,
    /// While it is not sealed, newer mail to the same person in the same slot of the thread replaces it, and is sent when it would
    /// have been.
    pub(crate) slot: Option<u8>,
    pub(crate) content_id: ClientMsgId,
    pub(crate) sent_ms: u64,
    pub(crate) body: Body,
    /// The local time before which it is not sealed, in milliseconds; 0 for at once.
    pub(crate) due_ms: u64,
}

/// A slot: the thread, the recipient, and the number of the slot.
pub(crate) type MailSlot = (ThreadId, UserId, u8);

/// A sealed distribution: its recipient, attempts and bytes.
pub(crate) type NamedMail = (MailId, UserId, u32, Vec<u8>);

/// The id of queued mail on this device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MailId(i64);

impl MailId {
    #[cfg(test)]
    pub(crate) const fn of(number: i64) -> Self {
        Self(number)
    }

    pub(super) const fn number(self) -> i64 {
        self.0
    }
}

/// Mail that is due.
#[derive(Debug)]
pub(crate) struct QueuedMail {
    pub(crate) id: MailId,
    pub(crate) thread: ThreadId,
    pub(crate) to: UserId,
    pub(crate) attempts: u32,
    /// How often it was refused, after which it was sealed anew.
    pub(crate) refusals: u32,
    pub(crate) sent_ms: u64,
    pub(crate) content_id: ClientMsgId,
    pub(crate) body: Body,
    /// What it was sealed into. It may have been submitted.
    pub(crate) sealed: Option<Durable<Parcel>>,
}

/// Mail that is due, as it was read.
#[derive(Debug)]
pub(crate) enum DueMail {
    Readable(Box<QueuedMail>),
    /// The row is damaged.
    Damaged(MailId),
}

/// Why mail is dropped that was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MailDropped {
    /// It was queued too long ago.
    Expired,
    /// It was refused too often.
    Refused,
    /// The recipient was blocked, or is not to be told any more.
    NotAllowed,
    /// Nothing can be sealed for the recipient.
    Unsealable,
    /// There is nothing to say.
    Empty,
    /// Its row could not be read, or could not be changed.
    Damaged,
}

/// What becomes of mail that was submitted, or could not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MailOutcome {
    /// The relay has stored it, or never will because the recipient is gone.
    Done,
    /// It was refused for good, or too often.
    GivenUp,
    /// The relay has stored nothing. It is sealed anew at this local time.
    Anew { due_ms: u64, is_refusal: bool },
    /// It is tried again at this local time, with the same bytes if it is sealed.
    Later { due_ms: u64 },
    /// The relay has stored nothing of the frame that it was in, because of something else in it. The same bytes are submitted under this id.
    Again { name: ClientMsgId },
    /// The recipient does not accept the thread. It is tried again at this local time. What has a slot is sealed anew then, so
    /// that newer mail replaces it instead of waiting beside it.
    Unwelcome { due_ms: u64 },
}

/// The outcome of mail, and the parcel that it belongs to. There is none if the mail was not sealed.
pub(crate) type SettledMail = (MailId, Option<ClientMsgId>, MailOutcome);

impl Rows<'_> {
    /// Whether any mail is due, except to these users.
    pub(crate) fn is_mail_due(&self, now_ms: u64, except: &HashSet<UserId>) -> Result<bool> {
        let sql = "SELECT recipient FROM mail WHERE due <= ?1 ORDER BY due, id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([to_sql(now_ms)?])?;
        while let Some(row) = rows.next()? {
            if !is_one_of(except, row.get_ref(0)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The mail that was queued last; none if there is none.
    pub(crate) fn newest_mail(&self) -> Result<Option<MailId>> {
        let sql = "SELECT max(id) FROM mail";
        let newest: Option<i64> = self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        Ok(newest.map(MailId))
    }

    /// How often mail to a user that is not sealed was put off, and until when, if that is later than now.
    pub(crate) fn unsealed_mail_to(&self, user: UserId, now_ms: u64) -> Result<(u32, Option<u64>)> {
        let sql =
            "SELECT coalesce(max(attempts), 0), max(iif(attempts > 0 AND due > ?2, due, NULL)) FROM mail
                   WHERE recipient = ?1 AND bytes IS NULL";
        let values = params![user.as_bytes(), to_sql(now_ms)?];
        let (attempts, due): (u32, Option<i64>) =
            self.connection.prepare_cached(sql)?.query_row(values, |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok((attempts, due.map(from_sql).transpose()?))
    }

    /// When the next mail becomes due that is not due yet, if there is any.
    pub(crate) fn next_mail_due(&self, now_ms: u64) -> Result<Option<u64>> {
        let sql = "SELECT min(due) FROM mail WHERE due > ?1";
        let due: Option<i64> =
            self.connection.prepare_cached(sql)?.query_row([to_sql(now_ms)?], |row| row.get(0))?;
        due.map(from_sql).transpose()
    }

    /// Whether there is mail in a slot that is not sealed.
    pub(crate) fn is_mail_waiting(&self, (thread, to, slot): MailSlot) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM mail WHERE thread_id = ?1 AND recipient = ?2 AND slot = ?3 AND bytes IS NULL)";
        let values = params![thread.as_bytes(), to.as_bytes(), slot];
        Ok(self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
    }

    /// Whether there is mail in a slot that is not sealed and not due, although nothing has failed.
    pub(crate) fn is_mail_held(&self, (thread, to, slot): MailSlot, now_ms: u64) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM mail WHERE thread_id = ?1 AND recipient = ?2 AND slot = ?3 AND bytes IS NULL
                   AND due > ?4 AND attempts = 0)";
        let values = params![thread.as_bytes(), to.as_bytes(), slot, to_sql(now_ms)?];
        Ok(self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
    }

    /// The sealed distributions that are submitted under this id, in their order.
    pub(crate) fn mail_named(&self, name: ClientMsgId) -> Result<Vec<NamedMail>> {
        let sql = "SELECT id, recipient, attempts, bytes FROM mail
                   WHERE client_msg_id = ?1 AND slot = ?2 AND bytes IS NOT NULL ORDER BY id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![name.as_bytes(), DISTRIBUTION_SLOT], |row| {
            Ok((MailId(row.get(0)?), row.get::<_, Vec<u8>>(1)?, row.get(2)?, row.get(3)?))
        })?;
        rows.map(|row| {
            let (id, to, attempts, bytes) = row?;
            Ok((id, UserId::from_slice(&to)?, attempts, bytes))
        })
        .collect()
    }

    /// Mail that is due, except to these users, within the limits of number and bytes but at least one.
    pub(crate) fn due_mail(
        &self,
        now_ms: u64,
        except: &HashSet<UserId>,
        (limit, max_bytes): (usize, usize),
    ) -> Result<Vec<DueMail>> {
        let sql = "SELECT id, thread_id, recipient, attempts, refusals, sent, content_id, body, client_msg_id, bytes
                   FROM mail WHERE due <= ?1 ORDER BY due, id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([to_sql(now_ms)?])?;
        let (mut due, mut bytes) = (Vec::new(), 0_usize);
        while due.len() < limit
            && bytes < max_bytes
            && let Some(row) = rows.next()?
        {
            if is_one_of(except, row.get_ref(2)?) {
                continue;
            }
            let id = MailId(row.get(0)?);
            due.push(match read(id, row) {
                Ok((mail, length)) => {
                    bytes = bytes.saturating_add(length);
                    DueMail::Readable(Box::new(mail))
                }
                Err(error) => {
                    tracing::warn!(%error, "mail could not be read");
                    DueMail::Damaged(id)
                }
            });
        }
        Ok(due)
    }
}

fn is_one_of(users: &HashSet<UserId>, user: ValueRef<'_>) -> bool {
    let user = user.as_blob().ok().and_then(|bytes| UserId::from_slice(bytes).ok());
    user.is_some_and(|user| users.contains(&user))
}

/// Mail from its row, and how many bytes it has.
fn read(id: MailId, row: &rusqlite::Row<'_>) -> Result<(QueuedMail, usize)> {
    let body = row.get::<_, Vec<u8>>(7)?;
    let sealed = row.get::<_, Option<Vec<u8>>>(8)?.zip(row.get::<_, Option<Vec<u8>>>(9)?);
    let length = sealed.as_ref().map_or(body.len(), |(_, sealed)| sealed.len());
    let sealed = sealed.map(|(name, bytes)| {
        Ok::<_, Error>(Durable(Parcel {
            client_msg_id: ClientMsgId::from_slice(&name)?,
            bytes: bytes.into(),
        }))
    });
    let mail = QueuedMail {
        id,
        thread: ThreadId::from_slice(&row.get::<_, Vec<u8>>(1)?)?,
        to: UserId::from_slice(&row.get::<_, Vec<u8>>(2)?)?,
        attempts: row.get(3)?,
        refusals: row.get(4)?,
        sent_ms: from_sql(row.get(5)?)?,
        content_id: ClientMsgId::from_slice(&row.get::<_, Vec<u8>>(6)?)?,
        body: Body::from_bytes(&body).map_err(|_| Error::Storage(Storage::Corrupt))?,
        sealed: sealed.transpose()?,
    };
    Ok((mail, length))
}

impl Tx<'_> {
    /// Queues mail, or replaces mail in the same slot. The caller wakes the task that sends it
    /// ([`Context::queue_mail`](crate::context::Context::queue_mail)).
    pub(crate) fn queue_mail(&mut self, new: &NewMail) -> Result<()> {
        self.change_one(
            "INSERT INTO mail (thread_id, recipient, slot, content_id, sent, body, due) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (thread_id, recipient, slot) WHERE bytes IS NULL DO UPDATE
                SET content_id = excluded.content_id, sent = excluded.sent, body = excluded.body",
            params![
                new.thread.as_bytes(),
                new.to.as_bytes(),
                new.slot,
                new.content_id.as_bytes(),
                to_sql(new.sent_ms)?,
                new.body.to_bytes(),
                to_sql(new.due_ms)?,
            ],
        )
    }

    /// Sets the local time before which the mail in a slot is not sealed, unless it was put off after a failure.
    pub(crate) fn set_mail_due(&mut self, (thread, to, slot): MailSlot, due_ms: u64) -> Result<()> {
        let sql = "UPDATE mail SET due = ?4
                   WHERE thread_id = ?1 AND recipient = ?2 AND slot = ?3 AND bytes IS NULL AND attempts = 0";
        let values = params![thread.as_bytes(), to.as_bytes(), slot, to_sql(due_ms)?];
        self.change(sql, values).map(drop)
    }

    /// Makes the mail in a slot due at this time, if it would be later and was not put off after a failure. Returns false if it was not.
    pub(crate) fn hurry_mail_in(&mut self, (thread, to, slot): MailSlot, due_ms: u64) -> Result<bool> {
        let sql = "UPDATE mail SET due = ?4
                   WHERE thread_id = ?1 AND recipient = ?2 AND slot = ?3 AND bytes IS NULL AND due > ?4 AND attempts = 0";
        let values = params![thread.as_bytes(), to.as_bytes(), slot, to_sql(due_ms)?];
        Ok(self.change(sql, values)? > 0)
    }

    /// Stores the parcel of mail. Only this parcel is submitted from then on.
    pub(crate) fn set_mail_sealed(
        &mut self,
        id: MailId,
        parcel: Parcel,
        now_ms: u64,
    ) -> Result<Durable<Parcel>> {
        self.change_one(
            "UPDATE mail SET client_msg_id = ?2, bytes = ?3, made = ?4 WHERE id = ?1 AND bytes IS NULL",
            params![id.0, parcel.client_msg_id.as_bytes(), parcel.bytes.as_ref(), to_sql(now_ms)?],
        )?;
        Ok(Durable(parcel))
    }

    /// Mail that was just sealed is submitted under this id, with other pieces that have the same.
    pub(crate) fn rename_mail(&mut self, id: MailId, name: ClientMsgId) -> Result<()> {
        let sql = "UPDATE mail SET client_msg_id = ?2 WHERE id = ?1 AND bytes IS NOT NULL";
        self.change_one(sql, params![id.0, name.as_bytes()])
    }

    /// Records the outcome of mail. Does nothing if another process has changed its state since.
    pub(crate) fn settle_mail(&mut self, (id, submitted, outcome): SettledMail) -> Result<()> {
        let sql = "SELECT client_msg_id, slot FROM mail WHERE id = ?1";
        let now = self
            .connection
            .prepare_cached(sql)?
            .query_row([id.0], |row| Ok((row.get::<_, Option<Vec<u8>>>(0)?, row.get::<_, Option<u8>>(1)?)));
        let Some((now, slot)) = now.optional()? else { return Ok(()) };
        if slot == Some(DISTRIBUTION_SLOT) {
            return self.settle_distribution((id, submitted, outcome), now.as_deref());
        }
        self.settle_other_mail((id, submitted, outcome), (now.as_deref(), slot))
    }

    /// A distribution that was not sent is made anew before the next message.
    fn settle_distribution(&mut self, settled: SettledMail, now: Option<&[u8]>) -> Result<()> {
        let sql = "SELECT thread_id, recipient FROM mail WHERE id = ?1";
        let (thread, user): (Vec<u8>, Vec<u8>) = self
            .connection
            .prepare_cached(sql)?
            .query_row([settled.0.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if matches!(settled.2, MailOutcome::Anew { .. }) {
            self.forget_holders(&thread, &user)?;
        }
        self.settle_other_mail(settled, (now, Some(DISTRIBUTION_SLOT)))
    }

    fn settle_other_mail(
        &mut self,
        (id, submitted, outcome): SettledMail,
        (now, slot): (Option<&[u8]>, Option<u8>),
    ) -> Result<()> {
        let is_unchanged = now == submitted.as_ref().map(|name| &name.as_bytes()[..]);
        match outcome {
            // Whichever parcel it was in.
            MailOutcome::Done => {
                if slot == Some(STATE_SLOT) {
                    self.settle_state(id)?;
                }
                self.change_one("DELETE FROM mail WHERE id = ?1", [id.0])
            }
            _ if !is_unchanged => Ok(()),
            MailOutcome::GivenUp => self.drop_mail(id, MailDropped::Refused),
            MailOutcome::Anew { due_ms, is_refusal } => {
                // Newer mail in its slot takes its place.
                self.change(&format!("DELETE FROM mail AS old WHERE id = ?1 AND {IS_REPLACED}"), [id.0])?;
                self.change(
                    "UPDATE mail SET client_msg_id = NULL, bytes = NULL, made = NULL, due = ?2,
                        attempts = attempts + 1, refusals = refusals + ?3 WHERE id = ?1",
                    params![id.0, to_sql(due_ms)?, is_refusal],
                )?;
                Ok(())
            }
            MailOutcome::Again { name } => self.change_one(
                "UPDATE mail SET client_msg_id = ?2, refusals = refusals + 1 WHERE id = ?1",
                params![id.0, name.as_bytes()],
            ),
            MailOutcome::Unwelcome { due_ms } => {
                // What has taken its slot since is as unwelcome.
                self.change(
                    "UPDATE mail SET due = max(mail.due, ?2), attempts = max(mail.attempts, old.attempts + 1) FROM mail AS old
                     WHERE old.id = ?1 AND mail.thread_id = old.thread_id AND mail.recipient = old.recipient
                        AND mail.slot = old.slot AND mail.bytes IS NULL",
                    params![id.0, to_sql(due_ms)?],
                )?;
                self.change(&format!("DELETE FROM mail AS old WHERE id = ?1 AND {IS_REPLACED}"), [id.0])?;
                self.change(
                    "UPDATE mail SET due = ?2, attempts = attempts + 1, client_msg_id = iif(slot IS NULL, client_msg_id, NULL),
                        bytes = iif(slot IS NULL, bytes, NULL), made = iif(slot IS NULL, made, NULL) WHERE id = ?1",
                    params![id.0, to_sql(due_ms)?],
                )?;
                Ok(())
            }
            MailOutcome::Later { due_ms } => self.change_one(
                "UPDATE mail SET due = ?2, attempts = attempts + 1 WHERE id = ?1",
                params![id.0, to_sql(due_ms)?],
            ),
        }
    }

    /// Puts all mail to a user off that is not sealed.
    pub(crate) fn put_off_mail_to(&mut self, user: UserId, due_ms: u64) -> Result<()> {
        self.change(
            "UPDATE mail SET due = max(due, ?2), attempts = attempts + 1 WHERE recipient = ?1 AND bytes IS NULL",
            params![user.as_bytes(), to_sql(due_ms)?],
        )?;
        Ok(())
    }

    /// Drops all mail to a user that is not sealed, because nothing can be sealed for them. News are due again when something changes,
    /// unless they have deleted their account.
    pub(crate) fn drop_unsealed_mail_to(&mut self, user: UserId, is_deleted: bool) -> Result<()> {
        for news in News::ALL.into_iter().filter(|_| !is_deleted) {
            let threads = "SELECT thread_id FROM mail WHERE recipient = ?1 AND bytes IS NULL AND slot = ?2";
            self.set_news_unsent(news, threads, params![user.as_bytes(), news.slot()], true)?;
        }
        self.lose_distributions("recipient = ?1 AND bytes IS NULL", user.as_bytes())?;
        self.change("DELETE FROM mail WHERE recipient = ?1 AND bytes IS NULL", [user.as_bytes()]).map(drop)
    }

    /// Drops mail that was not sent. News are due again; if they would be dropped for the same reason, only when something changes.
    pub(crate) fn drop_mail(&mut self, id: MailId, why: MailDropped) -> Result<()> {
        tracing::debug!(?why, "mail is dropped");
        let is_refused = matches!(why, MailDropped::Refused | MailDropped::Unsealable);
        for news in News::ALL {
            let thread = "SELECT thread_id FROM mail WHERE id = ?1 AND slot = ?2";
            self.set_news_unsent(news, thread, params![id.0, news.slot()], is_refused)?;
        }
        self.lose_distributions("id = ?1", id.0)?;
        self.change("DELETE FROM mail WHERE id = ?1", [id.0]).map(drop)
    }

    /// Distributions are about to be dropped: whoever should have got them lacks our chain, and what waits for them is sent soon.
    fn lose_distributions(&mut self, which: &str, value: impl ToSql) -> Result<()> {
        let sql = format!("SELECT thread_id, recipient FROM mail WHERE {which} AND slot = ?2");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![value, DISTRIBUTION_SLOT], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?))
        })?;
        let lost = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        drop(statement);
        lost.into_iter().try_for_each(|(thread, user)| self.forget_holders(&thread, &user))
    }

    /// Drops all mail to a user. News are due again.
    pub(super) fn drop_mail_to(&mut self, user: UserId) -> Result<()> {
        for news in News::ALL {
            let threads = "SELECT thread_id FROM mail WHERE recipient = ?1 AND slot = ?2";
            self.set_news_unsent(news, threads, params![user.as_bytes(), news.slot()], false)?;
        }
        self.lose_distributions("recipient = ?1", user.as_bytes())?;
        self.change("DELETE FROM mail WHERE recipient = ?1", [user.as_bytes()]).map(drop)
    }

    /// Makes mail of a thread due immediately that was put off, because the others let the relay store it again.
    pub(super) fn hurry_mail_of(&mut self, thread: ThreadId) -> Result<()> {
        let sql =
            "UPDATE mail SET due = 0 WHERE thread_id = ?1 AND bytes IS NULL AND due > 0 AND attempts > 0";
        self.change(sql, [thread.as_bytes()]).map(drop)
    }

    /// Makes mail that was put off due immediately, for example because there is a connection again.
    pub(super) fn hurry_mail(&mut self) -> Result<()> {
        self.change("UPDATE mail SET due = 0 WHERE due > 0 AND attempts > 0", [])?;
        Ok(())
    }

    /// Makes mail up to this one due immediately that waits although nothing has failed.
    pub(crate) fn release_mail(&mut self, up_to: MailId) -> Result<()> {
        self.change("UPDATE mail SET due = 0 WHERE due > 0 AND attempts = 0 AND id <= ?1", [up_to.0])
            .map(drop)
    }

    /// Seals all mail anew, because this database is an older copy, and the same message keys may have been used for other contents.
    pub(super) fn unseal_mail(&mut self) -> Result<()> {
        self.change(&format!("DELETE FROM mail AS old WHERE bytes IS NOT NULL AND {IS_REPLACED}"), [])?;
        // Of several sealed pieces in one slot, the newest is kept.
        self.change(
            "DELETE FROM mail AS old WHERE slot IS NOT NULL AND EXISTS (SELECT 1 FROM mail WHERE thread_id = old.thread_id
                AND recipient = old.recipient AND slot = old.slot AND id > old.id)",
            [],
        )?;
        self.change("UPDATE mail SET client_msg_id = NULL, bytes = NULL, made = NULL", [])?;
        Ok(())
    }
}

/// Whether there is newer mail that is not sealed in the slot of `old`.
const IS_REPLACED: &str =
    "EXISTS (SELECT 1 FROM mail WHERE thread_id = old.thread_id AND recipient = old.recipient
    AND slot = old.slot AND bytes IS NULL AND id <> old.id)";

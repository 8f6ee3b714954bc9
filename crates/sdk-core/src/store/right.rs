//! What may leave this device without the person having done something just now: receipts, typing, presence, calls, the profile, and
//! what the library sends by itself. This is the only place that decides it. It is asked when something is queued, and again in the
//! transaction that seals it, because the person may have changed their mind in between, also in another process.

use rusqlite::params;

use super::thread::DIRECT;
use super::{PrivacySetting, Rows, Tx};
use crate::content::{Body, ReceiptKind, StateKey};
use crate::error::Result;
use crate::id::{ThreadId, UserId};

/// The threads `t` whose other members may be answered: not a request, and not one with somebody who is blocked.
pub(super) fn may_answer_sql() -> String {
    format!(
        "t.request = 0 AND (t.kind <> {DIRECT} OR NOT EXISTS (SELECT 1 FROM member JOIN contact USING (user_id)
            WHERE member.thread_id = t.thread_id AND contact.blocked > 0))"
    )
}

impl PrivacySetting {
    /// The setting that must be on for a receipt.
    pub(crate) const fn of_receipt(kind: ReceiptKind) -> Self {
        match kind {
            ReceiptKind::Delivered => Self::DeliveryReceipts,
            ReceiptKind::Read => Self::ReadReceipts,
        }
    }

    /// The setting that must be on for a content, if it depends on one.
    pub(super) const fn of(body: &Body) -> Option<Self> {
        match body {
            Body::Receipt(receipt) => Some(Self::of_receipt(receipt.kind)),
            Body::Typing { .. } => Some(Self::Typing),
            Body::Presence { .. } => Some(Self::Presence),
            _ => None,
        }
    }
}

impl Rows<'_> {
    /// Whether the others in a thread may be answered without the person having written something. Not in a request, and not somebody
    /// who is blocked.
    pub(crate) fn may_answer(&self, thread: ThreadId) -> Result<bool> {
        let sql = format!(
            "SELECT EXISTS (SELECT 1 FROM thread AS t WHERE t.thread_id = ?1 AND {})",
            may_answer_sql()
        );
        Ok(self.connection.prepare_cached(&sql)?.query_row([thread.as_bytes()], |row| row.get(0))?)
    }

    /// Whether the others in a thread are told this.
    pub(crate) fn tells(&self, thread: ThreadId, setting: PrivacySetting) -> Result<bool> {
        Ok(self.privacy(None, setting)? && self.privacy(Some(thread), setting)? && self.may_answer(thread)?)
    }

    /// Whether this content may be sent to the others in a thread without the person having written something.
    pub(crate) fn may_tell(&self, thread: ThreadId, body: &Body) -> Result<bool> {
        match PrivacySetting::of(body) {
            Some(setting) => self.tells(thread, setting),
            None => self.may_answer(thread),
        }
    }

    /// Whether this content may be sent to one of the others in a thread. Also in a group, nothing is sent to somebody who is blocked. Our
    /// own devices may be told everything, whether or not the thread is on this one.
    pub(crate) fn may_mail(&self, thread: ThreadId, to: UserId, body: &Body) -> Result<bool> {
        if self.is_us(to)? {
            return Ok(true);
        }
        // Whoever is a member can read what we write in a group, blocked or not.
        if matches!(body, Body::Distribution(_)) {
            return self.is_member(thread, to);
        }
        Ok(self.may_tell(thread, body)? && self.is_welcome_member(thread, to)?)
    }
}

impl Rows<'_> {
    /// Whether a user is a member of a thread, and not blocked. Whoever has left a group is told nothing of it any more.
    fn is_welcome_member(&self, thread: ThreadId, user: UserId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM member LEFT JOIN contact USING (user_id)
                       WHERE thread_id = ?1 AND user_id = ?2 AND coalesce(contact.blocked, 0) = 0)";
        let values = [thread.as_bytes(), user.as_bytes()];
        Ok(self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
    }
}

impl Tx<'_> {
    /// Sets what others are told. What is queued and may no longer be told is dropped.
    pub(crate) fn set_privacy(
        &mut self,
        thread: Option<ThreadId>,
        setting: PrivacySetting,
        is_on: bool,
    ) -> Result<()> {
        self.store_privacy(thread, setting, is_on)?;
        self.note_state(StateKey::Privacy(thread, setting.number()))?;
        if is_on { Ok(()) } else { self.drop_mail_of(thread, setting) }
    }

    fn drop_mail_of(&mut self, thread: Option<ThreadId>, setting: PrivacySetting) -> Result<()> {
        let sql = "SELECT id, body FROM mail WHERE ?1 IS NULL OR thread_id = ?1";
        let scope = thread.as_ref().map(|thread| thread.as_bytes());
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows =
            statement.query_map([scope], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
        let mut ids = Vec::<i64>::new();
        for row in rows {
            let (id, body) = row?;
            let of = Body::from_bytes(&body).ok().and_then(|body| PrivacySetting::of(&body));
            ids.extend((of == Some(setting)).then_some(id));
        }
        drop(statement);
        ids.into_iter().try_for_each(|id| self.change_one("DELETE FROM mail WHERE id = ?1", params![id]))
    }
}

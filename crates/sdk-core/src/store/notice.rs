//! Notifications: which messages the app is to show, and which it is to take back.
//!
//! Nothing is written when a message arrives. What is to be done is the difference between what the app has shown, in the form in which
//! it was told (`notified`), and the messages as they are now. So it is the same after a restart, and after changes by another process.

use rusqlite::params;

use super::reading::STATE_INCOMING;
use super::thread::UNLISTED;
use super::{Rows, Tx, to_sql};
use crate::error::Result;
use crate::id::{MessageId, ThreadId};
use crate::message::{Direction, Message, MessageBody, Notice, NoticeAction};

/// The number of notifications that are shown at a time. The oldest are taken back when there are more.
pub(crate) const MAX_SHOWN: usize = 200;
/// The number of new messages that are examined at a time.
const EXAMINED: u32 = 500;

/// What an app is to be told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct DueNotices {
    pub(crate) notices: Vec<Notice>,
    /// New messages were examined up to this one.
    pub(crate) up_to: i64,
    /// How many new messages were examined.
    pub(crate) examined: usize,
}

/// The form of a message: its kind, and how often it was edited.
type Form = (i64, i64);

/// The form of a message of which only the request is shown.
const REQUEST: Form = (-1, 0);

impl Rows<'_> {
    /// Up to `limit` notices that are due.
    pub(crate) fn due_notices(&self, limit: usize, now_ms: u64) -> Result<DueNotices> {
        let mut due = DueNotices { up_to: self.notified_up_to()?, ..DueNotices::default() };
        let mut kept = Vec::new();
        for (id, thread, told) in self.notified()? {
            let action = match self.shown(id)? {
                Some((_, form)) if form == told => {
                    kept.push((id, thread));
                    continue;
                }
                Some((message, form)) if form != REQUEST && told != REQUEST => {
                    NoticeAction::Update(Box::new(message))
                }
                // A request that was accepted is no longer one.
                _ => NoticeAction::Withdraw,
            };
            if due.notices.len() == limit {
                return Ok(due);
            }
            due.notices.push(Notice { thread, message: id, action });
        }
        let mut shown = kept.len();
        for (id, is_shown) in self.new_incoming(due.up_to, now_ms)? {
            if due.notices.len() == limit {
                return Ok(due);
            }
            let shown_now = if is_shown { self.shown(id)? } else { None };
            let action = match shown_now {
                Some((message, REQUEST)) => {
                    let thread = message.thread;
                    let is_due =
                        |notice: &Notice| notice.thread == thread && notice.action == NoticeAction::Request;
                    let is_told = due.notices.iter().any(is_due) || self.is_request_told(thread)?;
                    (!is_told).then_some((thread, NoticeAction::Request))
                }
                Some((message, _)) => Some((message.thread, NoticeAction::Show(Box::new(message)))),
                None => None,
            };
            if let Some((thread, action)) = action {
                if shown >= MAX_SHOWN && !kept.is_empty() {
                    // One more is due with the next call.
                    let (oldest, thread) = kept.remove(0);
                    due.notices.push(Notice { thread, message: oldest, action: NoticeAction::Withdraw });
                    return Ok(due);
                }
                shown = shown.saturating_add(1);
                due.notices.push(Notice { thread, message: id, action });
            }
            due.up_to = id.0;
            due.examined = due.examined.saturating_add(1);
        }
        Ok(due)
    }

    fn notified_up_to(&self) -> Result<i64> {
        let sql = "SELECT coalesce(max(notified_up_to), 0) FROM account";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    fn notified(&self) -> Result<Vec<(MessageId, ThreadId, Form)>> {
        let sql = "SELECT message_id, thread_id, kind, edits FROM notified ORDER BY message_id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement
            .query_map([], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?, (row.get(2)?, row.get(3)?))))?;
        rows.map(|row| {
            let (id, thread, form) = row?;
            Ok((MessageId(id), ThreadId::from_slice(&thread)?, form))
        })
        .collect()
    }

    /// A message, if it is to be shown as a notification, and in which form.
    fn shown(&self, id: MessageId) -> Result<Option<(Message, Form)>> {
        let Some(message) = self.message(id)?.filter(is_to_be_shown) else { return Ok(None) };
        let sql = "SELECT m.kind, m.edits, t.request, t.folder FROM message AS m JOIN thread AS t USING (thread_id) WHERE m.id = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let (form, is_request, folder): (Form, bool, i64) =
            statement.query_row([id.0], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?, row.get(3)?)))?;
        if folder == UNLISTED || self.is_discarded(message.thread, message.sender)? {
            return Ok(None);
        }
        Ok(Some((message, if is_request { REQUEST } else { form })))
    }

    /// Whether a request was announced.
    fn is_request_told(&self, thread: ThreadId) -> Result<bool> {
        let sql = "SELECT request_told FROM thread WHERE thread_id = ?1";
        Ok(self.connection.prepare_cached(sql)?.query_row([thread.as_bytes()], |row| row.get(0))?)
    }

    /// The messages that were added after another one, and whether they are incoming in a thread that is not muted, or mention us.
    fn new_incoming(&self, after: i64, now_ms: u64) -> Result<Vec<(MessageId, bool)>> {
        let sql = "SELECT m.id, m.state >= ?2 AND (t.muted_until <= ?3 OR m.mentions = 1)
                   FROM message AS m JOIN thread AS t USING (thread_id) WHERE m.id > ?1 ORDER BY m.id LIMIT ?4";
        let mut statement = self.connection.prepare_cached(sql)?;
        let values = params![after, STATE_INCOMING, to_sql(now_ms)?, EXAMINED];
        let rows = statement.query_map(values, |row| Ok((MessageId(row.get(0)?), row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

impl Tx<'_> {
    /// Records that the app has done what it was told.
    pub(crate) fn confirm_notices(&mut self, done: &DueNotices) -> Result<()> {
        for Notice { thread, message, action } in &done.notices {
            match action {
                NoticeAction::Withdraw => {
                    self.change("DELETE FROM notified WHERE message_id = ?1", [message.0])?;
                }
                NoticeAction::Show(told) | NoticeAction::Update(told) => {
                    // What has changed since then is told next.
                    let form = match self.shown(*message)? {
                        Some((now, form)) if now == **told => form,
                        _ => (0, 0),
                    };
                    self.set_notified(*thread, *message, form)?;
                }
                NoticeAction::Request => {
                    self.set_notified(*thread, *message, REQUEST)?;
                    // If the person has deleted the request since, what arrives next is another one.
                    self.change(
                        "UPDATE thread SET request_told = 1 WHERE thread_id = ?1 AND coalesce(clear_up_to, 0) < ?2
                            AND EXISTS (SELECT 1 FROM message WHERE id = ?2 AND thread_id = ?1)",
                        params![thread.as_bytes(), message.0],
                    )?;
                }
            }
        }
        self.change("UPDATE account SET notified_up_to = max(notified_up_to, ?1)", [done.up_to])?;
        Ok(())
    }
}

impl Tx<'_> {
    fn set_notified(&mut self, thread: ThreadId, message: MessageId, (kind, edits): Form) -> Result<()> {
        self.change_one(
            "INSERT INTO notified (message_id, thread_id, kind, edits) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (message_id) DO UPDATE SET kind = excluded.kind, edits = excluded.edits",
            params![message.0, thread.as_bytes(), kind, edits],
        )
    }
}

fn is_to_be_shown(message: &Message) -> bool {
    message.direction == Direction::Incoming { read: false } && message.body != MessageBody::Deleted
}

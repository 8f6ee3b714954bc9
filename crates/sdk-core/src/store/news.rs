//! News for everybody with whom we talk: our profile, and our device list after a device was removed from it.
//!
//! A column of `thread` says in which threads each is still to be sent. It stays due while it may not be sent: to somebody who is blocked,
//! in a request, or to somebody whose changed identity was not accepted. Groups get none: their rosters name the lists of their members. What was refused for good is not sent again until there is
//! something newer, or something is known of the recipient that may change that: another device, or that the relay knows the thread.

use rusqlite::{OptionalExtension as _, Params, params};

use super::contact::CHANGED_SINCE_VERIFIED;
use super::right::may_answer_sql;
use super::thread::{GROUP, NOTE_TO_SELF};
use super::{Rows, Tx};
use crate::error::Result;
use crate::id::{ThreadId, UserId};

/// What is sent to the others in all threads when it has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// What the person says about themselves.
    Profile,
    /// The signed list of our devices.
    DeviceList,
}

impl News {
    pub(crate) const ALL: [Self; 2] = [Self::Profile, Self::DeviceList];

    /// Its slot among the mail to a person. If it is dropped there, it is due again.
    pub(crate) const fn slot(self) -> u8 {
        match self {
            Self::Profile => 22,
            Self::DeviceList => 29,
        }
    }

    const fn column(self) -> &'static str {
        match self {
            Self::Profile => "profile_due",
            Self::DeviceList => "list_due",
        }
    }

    /// What makes somebody a recipient: a profile is for those with whom there are messages, a list for those whose devices are known.
    const fn condition(self) -> &'static str {
        match self {
            Self::Profile => "EXISTS (SELECT 1 FROM message WHERE message.thread_id = t.thread_id)",
            Self::DeviceList => {
                "EXISTS (SELECT 1 FROM member JOIN device USING (user_id)
                    WHERE member.thread_id = t.thread_id AND user_id IS NOT (SELECT user_id FROM account))"
            }
        }
    }

    /// Which are served first: where a removed device would be missed first.
    const fn order(self) -> &'static str {
        match self {
            Self::Profile => "",
            Self::DeviceList => "ORDER BY t.activity DESC",
        }
    }
}

impl Rows<'_> {
    /// Whether this is still to be sent to this thread.
    pub(crate) fn is_news_due(&self, thread: ThreadId, news: News) -> Result<bool> {
        let sql = format!("SELECT {} = 1 FROM thread WHERE thread_id = ?1", news.column());
        let due = self.connection.prepare_cached(&sql)?.query_row([thread.as_bytes()], |row| row.get(0));
        Ok(due.optional()?.unwrap_or(false))
    }

    /// Up to `limit` threads to which this is still to be sent, and may be: those that the person has accepted.
    pub(crate) fn threads_for_news(&self, news: News, limit: u32) -> Result<Vec<ThreadId>> {
        let sql = format!(
            "SELECT t.thread_id FROM thread AS t WHERE t.{} = 1 AND t.accepted = 1 AND t.kind <> {GROUP} AND {}
                AND NOT EXISTS (SELECT 1 FROM member JOIN contact USING (user_id)
                    WHERE member.thread_id = t.thread_id AND contact.trust = {CHANGED_SINCE_VERIFIED})
                AND {} {} LIMIT ?1",
            news.column(),
            may_answer_sql(),
            news.condition(),
            news.order()
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map([limit], |row| row.get::<_, Vec<u8>>(0))?;
        rows.map(|row| Ok(ThreadId::from_slice(&row?)?)).collect()
    }
}

impl Tx<'_> {
    /// This has changed, and is to be sent to every thread.
    pub(crate) fn set_news_due(&mut self, news: News) -> Result<()> {
        let column = news.column();
        let sql = format!("UPDATE thread SET {column} = 1 WHERE {column} <> 1 AND kind <> {NOTE_TO_SELF}");
        self.change(&sql, []).map(drop)
    }

    /// Somebody does not have our newest device list. Returns whether there is a thread in which it can be sent.
    pub(crate) fn set_list_due_to(&mut self, user: UserId) -> Result<bool> {
        let sql = format!(
            "UPDATE thread SET list_due = 1 WHERE list_due <> 1 AND kind NOT IN ({GROUP}, {NOTE_TO_SELF})
             AND thread_id IN (SELECT thread_id FROM member WHERE user_id = ?1)"
        );
        Ok(self.change(&sql, [user.as_bytes()])? > 0)
    }

    /// This was queued for this thread.
    pub(crate) fn set_news_queued(&mut self, thread: ThreadId, news: News) -> Result<()> {
        let sql = format!("UPDATE thread SET {} = 0 WHERE thread_id = ?1", news.column());
        self.change_one(&sql, [thread.as_bytes()])
    }

    /// This could not be sent to the threads that a query returns, and is due again: if it was refused, when something changes.
    /// Where it may not be sent now because of a changed identity, that is the reason.
    pub(super) fn set_news_unsent(
        &mut self,
        news: News,
        threads: &str,
        values: impl Params,
        is_refused: bool,
    ) -> Result<()> {
        let unsent = {
            let mut statement = self.connection.prepare_cached(threads)?;
            let rows = statement.query_map(values, |row| row.get::<_, Vec<u8>>(0))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()?
        };
        for thread in unsent {
            let sql = format!(
                "UPDATE thread SET {} = iif(?2 AND NOT EXISTS (SELECT 1 FROM member JOIN contact USING (user_id)
                    WHERE member.thread_id = ?1 AND contact.trust = {CHANGED_SINCE_VERIFIED}), 2, 1) WHERE thread_id = ?1",
                news.column()
            );
            self.change(&sql, params![thread, is_refused])?;
        }
        Ok(())
    }

    /// Something has changed about a user: what was refused is due again. Returns whether there is such a thread.
    pub(super) fn retry_news_to(&mut self, user: UserId) -> Result<bool> {
        let mut is_any = false;
        for news in News::ALL {
            let column = news.column();
            let sql = format!(
                "UPDATE thread SET {column} = 1
                 WHERE {column} = 2 AND thread_id IN (SELECT thread_id FROM member WHERE user_id = ?1)"
            );
            is_any |= self.change(&sql, [user.as_bytes()])? > 0;
        }
        Ok(is_any)
    }
}

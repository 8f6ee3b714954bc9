//! How the messages of a bootstrap are stored. One that is here remains as it is: it has come by itself, and so has what changed it since.

use rusqlite::params;

use super::import::Import;
use super::transfer::HISTORY_IDS;
use crate::content::{Body, InThread, ItemState as State, MessageItem, Said, VersionsItem};
use crate::error::Result;
use crate::id::{MessageId, UserId};
use crate::message::Position;
use crate::store::message::{KIND_CONTENT, KIND_DELETED, kind_of};
use crate::store::reading::{STATE_INCOMING, STATE_READ_LATE};
use crate::store::{Origin, Thread, Tx, VERSION, to_sql};

impl Tx<'_> {
    /// Adds a thread if it is not there, and returns false if it cannot be one of ours with this member.
    pub(crate) fn ensure_history_thread(
        &mut self,
        us: UserId,
        of: InThread,
        created_ms: u64,
    ) -> Result<bool> {
        let thread = Thread { id: of.thread, peer: of.peer, roster_version: of.roster_version };
        self.ensure_thread(us, thread, created_ms)
    }

    /// Stores a message of a thread that is here.
    pub(crate) fn import_message(
        &mut self,
        us: UserId,
        of: InThread,
        item: &MessageItem,
        now_ms: u64,
    ) -> Result<Import> {
        let author = item.target.author;
        if (author == us) != item.state.is_ours()
            || (author != us && of.peer.is_some_and(|peer| author != peer))
        {
            return Ok(Import::Refused);
        }
        if (1..=now_ms).contains(&item.expires_ms)
            || self.is_known_content(item)?
            || self.was_applied(author, item.target.id)?
        {
            return Ok(Import::Done);
        }
        let id = self.insert_imported(us, of, item)?;
        self.import_said(id, item)?;
        self.index_late(id)?;
        self.timers_started |= item.expires_ms > 0;
        let origin = Origin {
            thread: of.thread,
            author,
            content_id: item.target.id,
            sent_ms: item.sent_ms,
            order: to_sql(item.position)?,
        };
        Ok(Import::Added(origin))
    }

    /// Whether there is a row of this content, in any thread.
    fn is_known_content(&self, item: &MessageItem) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM message WHERE author = ?1 AND content_id = ?2)";
        let key = [item.target.author.as_bytes(), item.target.id.as_bytes()];
        Ok(self.connection.prepare_cached(sql)?.query_row(key, |row| row.get(0))?)
    }

    fn insert_imported(&mut self, us: UserId, of: InThread, item: &MessageItem) -> Result<MessageId> {
        let order = to_sql(item.position)?;
        let id = self.history_id(item.rank)?;
        let mentions = !item.state.is_ours() && item.body.as_ref().is_some_and(|body| body.mentions(us));
        let (state, is_unread) = self.imported_state(of, item, order)?;
        let known = |number: u64| if number == 0 { Ok(None) } else { to_sql(number).map(Some) };
        self.change_one(
            "INSERT INTO message (id, thread_id, content_id, author, device, kind, body, sent, server_seq, position, state, run, count,
                timer, expires, after_position, mentions, links, stored, delivered, read, outgoing)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)",
            params![
                id,
                of.thread.as_bytes(),
                item.target.id.as_bytes(),
                item.target.author.as_bytes(),
                item.device,
                item.body.as_ref().map_or(KIND_DELETED, kind_of),
                item.body.as_ref().map(Body::to_bytes).unwrap_or_default(),
                to_sql(item.sent_ms)?,
                known(item.server_seq)?,
                order,
                state,
                item.number.as_ref().map(|number| number.run.0.as_slice()),
                item.number.map(|number| to_sql(number.count)).transpose()?,
                item.timer.seconds(),
                known(item.expires_ms)?,
                known(item.after_position)?,
                mentions,
                item.body.as_ref().is_some_and(Body::has_link),
                known(item.stored_ms)?,
                known(item.delivered_ms)?,
                known(item.read_ms)?,
                // Receipts for it are for all of our devices.
                item.state.is_ours().then_some(0),
            ],
        )?;
        let id = MessageId(self.connection.last_insert_rowid());
        if matches!(item.body, Some(Body::Unknown(_))) {
            self.set_version(id, VERSION)?;
        }
        self.change_one(
            "UPDATE thread SET unread = unread + ?2, mentions = mentions + ?3, newest = max(newest, ?4),
                activity = max(activity, ?5), timer_due = max(timer_due, ?6) WHERE thread_id = ?1",
            params![
                of.thread.as_bytes(),
                is_unread,
                is_unread && mentions,
                order,
                to_sql(item.stored_ms)?,
                state == STATE_READ_LATE && item.timer.seconds() > 0 && item.expires_ms == 0,
            ],
        )?;
        Ok(id)
    }

    /// The state of a message here, and whether it is unread: not if what is below it was read here in the meantime.
    fn imported_state(&self, of: InThread, item: &MessageItem, order: i64) -> Result<(i64, bool)> {
        let at = Position { order, id: i64::MAX };
        Ok(match item.state {
            State::Sent => (1, false),
            State::Delivered => (2, false),
            State::ReadByOthers => (3, false),
            State::Unread if at > self.read_mark(of.thread)? => (STATE_INCOMING, true),
            State::Unread | State::Read => (STATE_READ_LATE, false),
        })
    }

    /// The id of the row of a message with this rank; none if it is new here, too.
    fn history_id(&self, rank: u64) -> Result<Option<i64>> {
        let Some(above) = rank.checked_sub(1) else { return Ok(None) };
        let id = HISTORY_IDS.saturating_sub(to_sql(above)?);
        let sql = "SELECT EXISTS (SELECT 1 FROM message WHERE id = ?1)";
        let is_taken: bool = self.connection.prepare_cached(sql)?.query_row([id], |row| row.get(0))?;
        Ok(Some(id).filter(|id| *id > 0 && !is_taken))
    }

    fn import_said(&mut self, id: MessageId, item: &MessageItem) -> Result<()> {
        let has_any = !item.reactions.is_empty()
            || !item.votes.is_empty()
            || !item.versions.is_empty()
            || item.pin.is_some();
        if item.body.is_none() || !has_any {
            return Ok(());
        }
        for Said { by, what, sent_ms, position } in &item.reactions {
            let Ok(emoji) = std::str::from_utf8(what) else { continue };
            let sql =
                "INSERT INTO reaction (message_id, author, emoji, sent, position) VALUES (?1, ?2, ?3, ?4, ?5)
                       ON CONFLICT DO NOTHING";
            self.change(sql, params![id.0, by, emoji, to_sql(*sent_ms)?, to_sql(*position)?])?;
        }
        for Said { by, what, sent_ms, position } in &item.votes {
            let sql =
                "INSERT INTO vote (message_id, author, choices, sent, position) VALUES (?1, ?2, ?3, ?4, ?5)
                       ON CONFLICT DO NOTHING";
            self.change(sql, params![id.0, by, what, to_sql(*sent_ms)?, to_sql(*position)?])?;
        }
        if let Some(pin) = &item.pin {
            let sql = "INSERT INTO pin (thread_id, message_id, pinned, position)
                       SELECT thread_id, id, ?2, ?3 FROM message WHERE id = ?1 ON CONFLICT DO NOTHING";
            self.change(sql, params![id.0, to_sql(pin.sent_ms)?, to_sql(pin.position)?])?;
        }
        self.add_versions(id, &item.versions)?;
        self.change_one(
            "UPDATE message SET reactions = (SELECT count(*) FROM reaction WHERE message_id = ?1 AND emoji > '') WHERE id = ?1",
            [id.0],
        )
    }

    fn add_versions(&mut self, id: MessageId, versions: &[Said]) -> Result<()> {
        for Said { by, what, sent_ms, position } in versions {
            if !matches!(Body::from_bytes(what), Ok(Body::Text(_))) {
                continue;
            }
            // An edit that came before its message has taken the text that it found for the first version.
            let sql =
                "INSERT INTO edit (message_id, position, content_id, body, sent) VALUES (?1, ?2, ?3, ?4, ?5)
                       ON CONFLICT DO UPDATE SET body = excluded.body, sent = excluded.sent WHERE position = 0";
            self.change(sql, params![id.0, to_sql(*position)?, by, what, to_sql(*sent_ms)?])?;
        }
        if versions.is_empty() {
            return Ok(());
        }
        self.change_one(
            "UPDATE message SET edits = (SELECT max(count(*) - 1, 0) FROM edit WHERE message_id = ?1),
                edited = (SELECT iif(position = 0, NULL, sent) FROM edit WHERE message_id = ?1
                    ORDER BY position DESC, content_id DESC LIMIT 1)
             WHERE id = ?1",
            [id.0],
        )
    }

    /// Stores versions of a message that has come before. Nothing is refused if it is not here: it may have been deleted.
    pub(crate) fn import_versions(&mut self, item: &VersionsItem) -> Result<Import> {
        let found = self.message_of_thread(item.thread, item.target.author, item.target.id)?;
        let Some(id) = found else { return Ok(Import::Done) };
        let sql = "SELECT kind, body FROM message WHERE id = ?1";
        let (kind, shown): (i64, Vec<u8>) =
            self.connection.prepare_cached(sql)?.query_row([id.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let is_text = matches!(Body::from_bytes(&shown), Ok(Body::Text(_)));
        if kind == KIND_CONTENT && is_text {
            self.add_versions(id, &item.versions)?;
            self.show_last_version(id, &shown)?;
        }
        Ok(Import::Done)
    }
}

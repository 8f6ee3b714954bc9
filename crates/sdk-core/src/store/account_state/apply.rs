//! The merge of what another device of ours says with what is here.
//!
//! What an item is about may not have arrived: it waits then, a limited number of them.

use rusqlite::params;

use super::Known;
use crate::content::{AccountState, Stamp, StateItem, StateKey, StateValue, Target};
use crate::error::Result;
use crate::event::Event;
use crate::id::{DeviceId, MessageId, ThreadId, UserId};
use crate::name::displayable_name;
use crate::store::contact::trust_from_stored;
use crate::store::message::POSITION_PENDING;
use crate::store::thread::UNLISTED;
use crate::store::{Folder, PrivacySetting, Tx, to_sql};

/// Maximum number of items that wait for what they are about. Beyond it, the oldest are forgotten.
pub(in crate::store) const MAX_WAITING: u32 = 4_096;

impl Tx<'_> {
    /// Merges what another device of ours says, which the relay has received at `came_ms`.
    pub(crate) fn merge_state(&mut self, item: &StateItem, came_ms: u64, now_ms: u64) -> Result<()> {
        let was_merging = std::mem::replace(&mut self.is_merging, true);
        let merged = self.merge(item, came_ms, now_ms);
        self.is_merging = was_merging;
        merged
    }

    /// Merges what the primary device says to a new device. Its stamps count as they are: they were limited when it received them.
    pub(crate) fn merge_present(&mut self, state: &AccountState, now_ms: u64) -> Result<()> {
        state.items.iter().try_for_each(|item| self.merge_state(item, u64::MAX, now_ms))
    }

    fn merge(&mut self, item: &StateItem, came_ms: u64, now_ms: u64) -> Result<()> {
        let StateItem { key, value, stamp } = item;
        if !key.is_register() {
            return self.grow(key, value, (came_ms, now_ms));
        }
        let known = self.known_state(key)?;
        let stamp = stamp.received_at(came_ms);
        let is_first = known.stamp == Stamp::default() && known.said.is_none() && !known.is_due();
        if stamp.replaces(known.stamp, known.is_due()) || (is_first && stamp == known.stamp) {
            self.set_stamp(key, stamp, &known, false)?;
            if !self.set_state(key, value, now_ms)? {
                self.set_said(key, value, Some(now_ms))?;
            }
        } else if known.is_due() && stamp > known.stamp {
            // Ours will be later than this one.
            self.set_stamp(key, stamp, &known, true)?;
        }
        Ok(())
    }

    fn set_stamp(&mut self, key: &StateKey, stamp: Stamp, known: &Known, is_due: bool) -> Result<()> {
        let (what, key) = key.parts();
        let said = if is_due { known.said.clone() } else { None };
        self.change_one(
            "INSERT INTO account_state (what, key, hlc, device, mail, said) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET hlc = excluded.hlc, device = excluded.device, mail = excluded.mail, said = excluded.said,
                waits = NULL",
            params![what, key, to_sql(stamp.hlc)?, stamp.device, is_due.then_some(0), said],
        )
    }

    /// Keeps what was said; while it waits for what it is about, since then.
    pub(super) fn set_said(&mut self, key: &StateKey, value: &StateValue, waits: Option<u64>) -> Result<()> {
        let (what, key) = key.parts();
        let waits = waits.map(to_sql).transpose()?;
        self.change_one(
            "INSERT INTO account_state (what, key, said, waits) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET said = excluded.said, waits = excluded.waits",
            params![what, key, value.to_bytes(), waits],
        )?;
        if waits.is_some() {
            self.change(
                "DELETE FROM account_state WHERE waits IS NOT NULL AND (what, key) NOT IN (
                    SELECT what, key FROM account_state WHERE waits IS NOT NULL ORDER BY waits DESC, what, key LIMIT ?1)
                    AND (SELECT count(*) FROM account_state WHERE waits IS NOT NULL) > ?1",
                [MAX_WAITING],
            )?;
        }
        Ok(())
    }

    /// Makes it true here. Returns false if what it is about is not here.
    fn set_state(&mut self, key: &StateKey, value: &StateValue, now_ms: u64) -> Result<bool> {
        if let Some(thread) = key.thread()
            && self.kind(thread)?.is_none()
        {
            return Ok(false);
        }
        match (key, value) {
            (StateKey::Muted(thread), StateValue::Number(until)) => self.set_muted_until(*thread, *until)?,
            (StateKey::MarkedUnread(thread), StateValue::Number(is)) => {
                self.set_marked_unread(*thread, *is == 1)?
            }
            (StateKey::Draft(thread), StateValue::Text(text)) => {
                self.set_draft(*thread, Some(text.as_str()).filter(|text| !text.is_empty()))?;
            }
            (StateKey::Pinned(thread), StateValue::Number(rank)) => {
                let sql = "UPDATE thread SET pinned = ?2 WHERE thread_id = ?1 AND pinned <> ?2";
                self.change_thread(*thread, sql, params![thread.as_bytes(), to_sql(*rank)?])?;
            }
            (StateKey::Archived(thread), StateValue::Archived { is_archived, up_to }) => {
                self.set_said(key, value, None)?;
                self.archive_as_elsewhere(*thread, *is_archived, *up_to)?;
            }
            (StateKey::Blocked(user), StateValue::Number(is)) if *user != self.our_account()?.1.user => {
                self.set_blocked(*user, *is == 1, now_ms)?;
            }
            (StateKey::Trust(user, of), StateValue::Number(trust)) => {
                let Some(trust) = trust_from_stored(to_sql(*trust)?).ok() else { return Ok(true) };
                let is_this = self.account_key_of(*user)?.is_some_and(|key| key.serialize() == *of);
                if is_this && self.trust(*user)?.is_some() {
                    self.set_trust(*user, trust)?;
                }
                return Ok(is_this);
            }
            (StateKey::DeviceName(device), StateValue::Text(name)) => {
                let Some(name) = Some(displayable_name(name)).filter(|name| !name.is_empty()) else {
                    return Ok(true);
                };
                // It comes before the list with a new device, or after the list without a removed one.
                if !self.is_own_listed(*device)? {
                    return Ok(false);
                }
                self.rename_device(*device, &name)?;
            }
            (StateKey::Privacy(scope, setting), StateValue::Number(is_on)) => {
                if let Some(setting) = PrivacySetting::of_number(*setting) {
                    self.set_privacy(*scope, setting, *is_on == 1)?;
                }
            }
            _ => {}
        }
        Ok(true)
    }

    /// Another device has put a thread into the archive, or has taken it out. A message behind `up_to`, which that device did not have,
    /// takes it out, as if it arrived now.
    fn archive_as_elsewhere(&mut self, thread: ThreadId, is_archived: bool, up_to: i64) -> Result<()> {
        let [chats, archive] = [Folder::Chats, Folder::Archive].map(Folder::to_stored);
        let (from, to) = if is_archived { (chats, archive) } else { (archive, chats) };
        let sql = "UPDATE thread SET folder = ?3 WHERE thread_id = ?1 AND folder = ?2";
        self.change_thread(thread, sql, params![thread.as_bytes(), from, to])?;
        if !is_archived {
            return Ok(());
        }
        let left = self.change(
            "UPDATE thread SET folder = ?3 WHERE thread_id = ?1 AND folder = ?2 AND EXISTS (SELECT 1 FROM message AS m
                 WHERE m.thread_id = ?1 AND m.position > ?4 AND m.hidden IS NULL
                    AND (m.state < 10 OR thread.muted_until <= coalesce(m.stored, m.sent)))",
            params![thread.as_bytes(), archive, chats, up_to],
        )?;
        if left > 0 { self.note_state_of(StateKey::Archived(thread), None) } else { Ok(()) }
    }

    /// A thread is in a list now: it belongs into the archive if that was said before.
    pub(in crate::store) fn archive_if_said(&mut self, thread: ThreadId) -> Result<()> {
        match self.said(&StateKey::Archived(thread))? {
            Some(StateValue::Archived { is_archived: true, up_to }) => {
                self.archive_as_elsewhere(thread, true, up_to)
            }
            _ => Ok(()),
        }
    }

    /// Merges what only grows.
    fn grow(&mut self, key: &StateKey, value: &StateValue, (came_ms, now_ms): (u64, u64)) -> Result<()> {
        match (key, value) {
            (StateKey::Accepted(thread), _) => match self.kind(*thread)? {
                Some(_) => self.accept_as_elsewhere(*thread),
                None => self.set_said(key, value, Some(now_ms)),
            },
            (StateKey::Read(thread), StateValue::Read(set)) => self.merge_read(*thread, set),
            (StateKey::Cleared(thread), StateValue::Number(up_to)) => {
                self.clear_as_elsewhere(*thread, *up_to)
            }
            (StateKey::TimerStarted(message), StateValue::Number(at_ms)) => {
                let at_ms = (*at_ms).min(came_ms);
                match self.message_of(message.author, message.id)? {
                    Some(id) => self.start_timer_by(id, at_ms),
                    None if self.was_applied(message.author, message.id)? => Ok(()),
                    None => self.keep_timer(key, at_ms, now_ms),
                }
            }
            (StateKey::DeletedForMe(message), _) => self.delete_as_elsewhere(*message, now_ms),
            (StateKey::Profile, StateValue::Profile(profile)) => {
                let us = self.our_account()?.1.user;
                self.set_profile(us, profile).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// A request that was accepted elsewhere becomes a chat. One that was deleted stays in no list.
    pub(in crate::store) fn accept_as_elsewhere(&mut self, thread: ThreadId) -> Result<()> {
        let sql = "UPDATE thread SET request = 0, folder = CASE WHEN folder = ?2 THEN ?3
                       WHEN folder = ?4 AND clear_up_to IS NULL AND EXISTS (SELECT 1 FROM message AS m
                           WHERE m.thread_id = ?1 AND m.hidden IS NULL) THEN ?3 ELSE folder END
                   WHERE thread_id = ?1 AND request = 1";
        let [requests, chats] = [Folder::Requests, Folder::Chats].map(Folder::to_stored);
        self.change_thread(thread, sql, params![thread.as_bytes(), requests, chats, UNLISTED]).map(drop)
    }

    fn clear_as_elsewhere(&mut self, thread: ThreadId, up_to: u64) -> Result<()> {
        if self.cleared_up_to(thread)? >= to_sql(up_to)? {
            return Ok(());
        }
        self.set_said(&StateKey::Cleared(thread), &StateValue::Number(up_to), None)?;
        if self.kind(thread)?.is_none() {
            return Ok(());
        }
        // If it is being cleared here, that goes on.
        self.change_one(
            "UPDATE thread SET clear_position = ?2, clear_up_to = coalesce(clear_up_to, 0),
                folder = iif(EXISTS (SELECT 1 FROM message AS m WHERE m.thread_id = ?1 AND m.position > ?2), folder, ?3)
             WHERE thread_id = ?1",
            params![thread.as_bytes(), to_sql(up_to)?, UNLISTED],
        )?;
        self.emit(Event::ThreadChanged(thread));
        Ok(())
    }

    /// Up to where the history of a thread was deleted on one of our devices.
    pub(super) fn cleared_up_to(&self, thread: ThreadId) -> Result<i64> {
        match self.said(&StateKey::Cleared(thread))? {
            Some(StateValue::Number(up_to)) => to_sql(up_to),
            _ => Ok(-1),
        }
    }

    /// Whether a message at this place was deleted before it arrived here.
    pub(crate) fn was_cleared(&self, thread: ThreadId, place: i64) -> Result<bool> {
        Ok(self.has_companions()? && place < POSITION_PENDING && place <= self.cleared_up_to(thread)?)
    }

    /// The timer of a message runs from the earliest time at which it was read.
    fn start_timer_by(&mut self, id: MessageId, at_ms: u64) -> Result<()> {
        if self.start_timer(id, at_ms)?.is_none() {
            let sql = "UPDATE message SET expires = ?2 + 1000 * timer WHERE id = ?1 AND expires > ?2 + 1000 * timer";
            self.timers_started |= self.change(sql, params![id.0, to_sql(at_ms)?])? > 0;
        }
        self.emit_changed(id)
    }

    /// Keeps the earliest time until the message arrives.
    fn keep_timer(&mut self, key: &StateKey, at_ms: u64, now_ms: u64) -> Result<()> {
        let earlier = match self.said(key)? {
            Some(StateValue::Number(known)) => at_ms.min(known),
            _ => at_ms,
        };
        self.set_said(key, &StateValue::Number(earlier), Some(now_ms))
    }

    /// A message with a timer has arrived: another device may have read it before.
    pub(in crate::store) fn start_kept_timer(&mut self, id: MessageId, message: Target) -> Result<()> {
        if !self.has_companions()? {
            return Ok(());
        }
        let key = StateKey::TimerStarted(message);
        let Some(StateValue::Number(at_ms)) = self.said(&key)? else { return Ok(()) };
        self.forget_state(&key)?;
        self.start_timer(id, at_ms).map(drop)
    }

    fn delete_as_elsewhere(&mut self, message: Target, now_ms: u64) -> Result<()> {
        // It does not appear if it has not arrived, or arrives again.
        self.set_applied(message.author, message.id, now_ms)?;
        match self.message_of(message.author, message.id)? {
            Some(id) => self.delete_for_us(id, message, now_ms),
            None => Ok(()),
        }
    }

    /// A thread was added: what was said about it becomes true.
    pub(in crate::store) fn apply_waiting_of(&mut self, thread: ThreadId, now_ms: u64) -> Result<()> {
        if !self.has_companions()? {
            return Ok(());
        }
        let keys = [
            StateKey::Muted(thread),
            StateKey::Archived(thread),
            StateKey::Pinned(thread),
            StateKey::MarkedUnread(thread),
            StateKey::Draft(thread),
        ];
        keys.iter().try_for_each(|key| self.apply_waiting(key, now_ms))?;
        let read = self.read_elsewhere(thread)?;
        if read.up_to() > 0 { self.read_as_elsewhere(thread, &read) } else { Ok(()) }
    }

    /// The present account key of a user is known: what was said about it becomes true.
    pub(in crate::store) fn apply_waiting_trust(&mut self, user: UserId) -> Result<()> {
        if !self.has_companions()? {
            return Ok(());
        }
        match self.account_key_of(user)? {
            Some(key) => self.apply_waiting(&StateKey::Trust(user, key.serialize()), 0),
            None => Ok(()),
        }
    }

    /// A device of ours was added: it gets the name that was said.
    pub(in crate::store) fn apply_waiting_name(&mut self, device: DeviceId) -> Result<()> {
        if self.has_companions()? { self.apply_waiting(&StateKey::DeviceName(device), 0) } else { Ok(()) }
    }

    fn apply_waiting(&mut self, key: &StateKey, now_ms: u64) -> Result<()> {
        if !self.known_state(key)?.is_waiting {
            return Ok(());
        }
        let Some(value) = self.said(key)? else { return Ok(()) };
        let was_merging = std::mem::replace(&mut self.is_merging, true);
        let is_set = self.set_state(key, &value, now_ms);
        self.is_merging = was_merging;
        if is_set? {
            let (what, key) = key.parts();
            let said = "UPDATE account_state SET waits = NULL WHERE what = ?1 AND key = ?2";
            self.change(said, params![what, key])?;
        }
        Ok(())
    }

    /// Whether another device of ours has accepted a thread that begins here now.
    pub(in crate::store) fn is_accepted_elsewhere(&self, thread: ThreadId) -> Result<bool> {
        Ok(self.has_companions()? && self.said(&StateKey::Accepted(thread))?.is_some())
    }

    pub(in crate::store) fn forget_state(&mut self, key: &StateKey) -> Result<()> {
        let (what, key) = key.parts();
        let sql = "DELETE FROM account_state WHERE what = ?1 AND key = ?2";
        self.change(sql, params![what, key]).map(drop)
    }
}

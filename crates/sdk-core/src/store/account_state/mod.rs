//! What the devices of our account tell each other about what the person has decided (`content/account_state`).
//!
//! What is true is in the rows of threads, contacts and messages. A row of `account_state` says when it was changed, and whether our
//! other devices are still to be told; what they are told is read when it is sealed. There are no such rows as long as the account has one
//! device.

mod apply;
mod present;
mod read;
#[cfg(test)]
mod snapshot;

use rusqlite::{OptionalExtension as _, params};

use super::message::POSITION_PENDING;
use super::{Folder, MailId, PrivacySetting, Rows, Tx, from_sql, narrow, to_sql};
use crate::content::{
    MAX_STATE_BYTES, MAX_STATE_DRAFT, Stamp, StateItem, StateKey, StateValue, Target, stamping,
};
use crate::error::{Error, Result, Storage};
use crate::id::{DeviceId, ThreadId, UserId};

#[cfg(test)]
pub(crate) use snapshot::StateCursor;

/// In this slot of the note to self, there is what our other devices are to be told.
pub(crate) const STATE_SLOT: u8 = 26;

/// A row of the table.
#[derive(Default)]
struct Known {
    stamp: Stamp,
    mail: Option<i64>,
    said: Option<Vec<u8>>,
    is_waiting: bool,
}

impl Known {
    /// Whether the person has changed it on this device, and it has no stamp yet.
    fn is_due(&self) -> bool {
        self.mail == Some(0)
    }
}

impl Rows<'_> {
    /// When the timer of a message here began to run.
    pub(super) fn timer_started(&self, message: Target) -> Result<Option<u64>> {
        let Some(id) = self.message_of(message.author, message.id)? else { return Ok(None) };
        let sql = "SELECT expires - 1000 * timer FROM message WHERE id = ?1";
        let at: Option<i64> = self.connection.prepare_cached(sql)?.query_row([id.0], |row| row.get(0))?;
        at.map(from_sql).transpose()
    }

    /// Whether our other devices are still to be told something that no mail tells them.
    pub(crate) fn is_state_due(&self) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM account_state AS s WHERE s.mail = 0 OR s.mail IS NOT NULL
                       AND NOT EXISTS (SELECT 1 FROM mail AS m WHERE m.id = s.mail))";
        let is_due: bool = self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        Ok(is_due && self.has_other_devices()?)
    }

    fn known_state(&self, key: &StateKey) -> Result<Known> {
        let (what, key) = key.parts();
        let sql = "SELECT hlc, device, mail, said, waits IS NOT NULL FROM account_state WHERE what = ?1 AND key = ?2";
        let row = self.connection.prepare_cached(sql)?.query_row(params![what, key], |row| {
            let (hlc, device): (i64, i64) = (row.get(0)?, row.get(1)?);
            Ok((
                hlc,
                device,
                Known { mail: row.get(2)?, said: row.get(3)?, is_waiting: row.get(4)?, ..Known::default() },
            ))
        });
        let Some((hlc, device, known)) = row.optional()? else { return Ok(Known::default()) };
        Ok(Known { stamp: to_stamp(hlc, device)?, ..known })
    }

    /// What was said about something that is in no other row.
    fn said(&self, key: &StateKey) -> Result<Option<StateValue>> {
        let said = self.known_state(key)?.said;
        said.map(|said| StateValue::read(key, &said).map_err(|_| Error::Storage(Storage::Corrupt)))
            .transpose()
    }

    /// What is true here; none if what it is about is not here, or if there is nothing to say.
    fn state_value(&self, key: &StateKey) -> Result<Option<StateValue>> {
        Ok(match key {
            StateKey::Muted(thread) => self.of_thread(*thread, "muted_until")?.map(StateValue::Number),
            StateKey::Pinned(thread) => self.of_thread(*thread, "pinned")?.map(StateValue::Number),
            StateKey::MarkedUnread(thread) => {
                self.of_thread(*thread, "marked_unread")?.map(StateValue::Number)
            }
            StateKey::Archived(thread) => match self.of_thread(*thread, "folder = 1")? {
                Some(is) => {
                    Some(StateValue::Archived { is_archived: is == 1, up_to: self.archived_up_to(*thread)? })
                }
                None => None,
            },
            StateKey::Draft(thread) => {
                let draft = self.draft(*thread)?.unwrap_or_default();
                let is_told = self.kind(*thread)?.is_some() && draft.len() <= MAX_STATE_DRAFT;
                is_told.then_some(StateValue::Text(draft))
            }
            StateKey::Blocked(user) => Some(StateValue::Number(self.is_blocked(*user)?.into())),
            StateKey::Trust(user, of) => match self.account_key_of(*user)? {
                Some(key) if key.serialize() == *of => self.stored_trust(*user)?.map(StateValue::Number),
                _ => None,
            },
            StateKey::Privacy(scope, setting) => match PrivacySetting::of_number(*setting) {
                Some(setting) => {
                    self.privacy_set(*scope, setting)?.map(|is_on| StateValue::Number(is_on.into()))
                }
                None => None,
            },
            StateKey::Accepted(thread) => self
                .of_thread(*thread, "CASE WHEN kind = 1 AND request = 0 THEN 1 END")?
                .map(StateValue::Number),
            StateKey::Read(thread) => self.own_read_set(*thread)?.map(StateValue::Read),
            StateKey::Cleared(_) => self.said(key)?,
            StateKey::TimerStarted(message) => match self.timer_started(*message)? {
                Some(at_ms) => Some(StateValue::Number(at_ms)),
                // It has disappeared.
                None => self.said(key)?,
            },
            StateKey::DeletedForMe(_) => Some(StateValue::Number(1)),
            StateKey::DeviceName(device) => self.device_name(*device)?.map(StateValue::Text),
            StateKey::Profile => {
                let profile = self.profile(self.our_account()?.1.user)?;
                profile.map(|profile| StateValue::Profile(Box::new(profile)))
            }
        })
    }

    fn of_thread(&self, thread: ThreadId, column: &str) -> Result<Option<u64>> {
        let sql = format!("SELECT {column} FROM thread WHERE thread_id = ?1");
        let found: Option<Option<i64>> = self
            .connection
            .prepare_cached(&sql)?
            .query_row([thread.as_bytes()], |row| row.get(0))
            .optional()?;
        found.flatten().map(from_sql).transpose()
    }

    fn stored_trust(&self, user: UserId) -> Result<Option<u64>> {
        let sql = "SELECT trust FROM contact WHERE user_id = ?1";
        let trust: Option<i64> =
            self.connection.prepare_cached(sql)?.query_row([user.as_bytes()], |row| row.get(0)).optional()?;
        trust.map(from_sql).transpose()
    }

    /// The place of the newest message that a thread had when it was put into the archive.
    fn archived_up_to(&self, thread: ThreadId) -> Result<i64> {
        match self.said(&StateKey::Archived(thread))? {
            Some(StateValue::Archived { up_to, .. }) => Ok(up_to),
            _ => self.newest_place(thread),
        }
    }

    /// The place of the newest message of a thread; 0 if it has none.
    fn newest_place(&self, thread: ThreadId) -> Result<i64> {
        let sql = "SELECT coalesce(max(position), 0) FROM message WHERE thread_id = ?1 AND position < ?2";
        let values = params![thread.as_bytes(), POSITION_PENDING];
        Ok(self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
    }
}

impl Tx<'_> {
    /// Whether the account has other devices than this one. It is asked once in a transaction.
    pub(crate) fn has_companions(&self) -> Result<bool> {
        if let Some(known) = self.companions.get() {
            return Ok(known);
        }
        let found = self.has_other_devices()?;
        self.companions.set(Some(found));
        Ok(found)
    }

    /// The person has changed something on this device: our other devices are to be told, if there are any.
    pub(crate) fn note_state(&mut self, key: StateKey) -> Result<()> {
        if self.is_merging { Ok(()) } else { self.note_state_of(key, None) }
    }

    /// Like [`Tx::note_state`], also while changes of another device are merged, with what is in no other row.
    fn note_state_of(&mut self, key: StateKey, said: Option<&StateValue>) -> Result<()> {
        if !self.has_companions()? {
            return Ok(());
        }
        let (what, key) = key.parts();
        self.change_one(
            "INSERT INTO account_state (what, key, mail, said) VALUES (?1, ?2, 0, ?3)
             ON CONFLICT DO UPDATE SET mail = 0, waits = NULL, said = coalesce(excluded.said, said)",
            params![what, key, said.map(StateValue::to_bytes)],
        )?;
        self.is_state_noted = true;
        Ok(())
    }

    /// The person has put a thread into the archive, or has taken it out.
    pub(in crate::store) fn note_archived(&mut self, thread: ThreadId) -> Result<()> {
        if self.is_merging || !self.has_companions()? {
            return Ok(());
        }
        let is_archived = self.folder(thread)? == Some(Folder::Archive);
        let said = StateValue::Archived { is_archived, up_to: self.newest_place(thread)? };
        self.note_state_of(StateKey::Archived(thread), Some(&said))
    }

    /// A message is at this place that has taken a thread out of the archive. One that was known when it was put there does not.
    pub(in crate::store) fn note_left_archive(&mut self, thread: ThreadId, place: i64) -> Result<()> {
        if place <= self.archived_up_to(thread)? {
            let sql = "UPDATE thread SET folder = ?2 WHERE thread_id = ?1";
            return self.change_one(sql, params![thread.as_bytes(), Folder::Archive.to_stored()]);
        }
        self.note_state_of(StateKey::Archived(thread), None)
    }

    /// The history of a thread is being deleted on this device.
    pub(in crate::store) fn note_cleared(&mut self, thread: ThreadId) -> Result<()> {
        // What was deleted on another device may not have arrived here.
        let up_to = from_sql(self.newest_place(thread)?.max(self.cleared_up_to(thread)?).max(0))?;
        self.note_state_of(StateKey::Cleared(thread), Some(&StateValue::Number(up_to)))?;
        for key in [StateKey::Draft(thread), StateKey::Pinned(thread), StateKey::MarkedUnread(thread)] {
            self.note_state(key)?;
        }
        let key = StateKey::Archived(thread);
        if let Some(StateValue::Archived { is_archived: true, up_to }) = self.said(&key)? {
            // It comes back as a chat, on whichever device it is not in the list at that moment.
            self.note_state_of(key, Some(&StateValue::Archived { is_archived: false, up_to }))?;
        }
        Ok(())
    }

    /// The timer of a message began to run at this time, because it was read here.
    pub(in crate::store) fn note_timer_started(&mut self, message: Target, at_ms: u64) -> Result<()> {
        self.note_state_of(StateKey::TimerStarted(message), Some(&StateValue::Number(at_ms)))
    }

    /// The person trusts the present account key of a user so far.
    pub(in crate::store) fn note_trust(&mut self, user: UserId) -> Result<()> {
        if self.is_merging || !self.has_companions()? {
            return Ok(());
        }
        match self.account_key_of(user)? {
            Some(key) => self.note_state(StateKey::Trust(user, key.serialize())),
            None => Ok(()),
        }
    }

    /// What our other devices are to be told by this mail, as it is now. What has no stamp gets one, which contains the time that the relay
    /// has stated.
    pub(crate) fn take_due_state(
        &mut self,
        mail: MailId,
        (us, stated_ms): (DeviceId, u64),
    ) -> Result<Vec<StateItem>> {
        let sql = "SELECT s.what, s.key FROM account_state AS s
                   WHERE s.mail IS NOT NULL AND (s.mail = 0 OR s.mail = ?1 OR NOT EXISTS (SELECT 1 FROM mail AS m WHERE m.id = s.mail))
                   ORDER BY s.mail = 0, s.what DESC, s.key";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement
            .query_map([mail.number()], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
        let due = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        drop(statement);
        let (mut items, mut left) = (Vec::new(), MAX_STATE_BYTES);
        for (what, key) in due {
            let key = StateKey::of_parts(narrow(what)?, &key)
                .ok()
                .flatten()
                .ok_or(Error::Storage(Storage::Corrupt))?;
            let known = self.known_state(&key)?;
            let value = match key {
                // With the same stamp, all say the same, although a message has taken the thread out of the archive here.
                StateKey::Archived(_) if !known.is_due() && known.said.is_some() => self.said(&key)?,
                _ => self.state_value(&key)?,
            };
            let Some(value) = value else {
                self.forget_due(&key)?;
                continue;
            };
            let stamp = match known.is_due() && key.is_register() {
                true => Stamp::after(known.stamp, stated_ms, stamping(us)),
                false => known.stamp,
            };
            let item = StateItem { key, value, stamp };
            let Some(after) = left.checked_sub(item.size()) else {
                self.is_state_noted = true;
                break;
            };
            left = after;
            self.set_state_told(&item, mail)?;
            items.push(item);
        }
        Ok(items)
    }

    /// The names of our devices are told once more, as they are: a new companion has asked for what it does not know.
    pub(crate) fn tell_device_names(&mut self) -> Result<()> {
        for device in self.named_devices()? {
            self.tell_again(&StateKey::DeviceName(device))?;
        }
        Ok(())
    }

    /// Tells our other devices something once more, as it is now.
    pub(crate) fn tell_again(&mut self, key: &StateKey) -> Result<()> {
        let (what, key) = key.parts();
        // No mail has this number, so it is due, and keeps its stamp.
        let told = self.change(
            "INSERT INTO account_state (what, key, mail) VALUES (?1, ?2, -1)
             ON CONFLICT DO UPDATE SET mail = -1 WHERE mail IS NULL OR mail <> 0",
            params![what, key],
        )?;
        self.is_state_noted |= told > 0;
        Ok(())
    }

    fn set_state_told(&mut self, item: &StateItem, mail: MailId) -> Result<()> {
        let (what, key) = item.key.parts();
        // All devices know the same place.
        let said = matches!(item.key, StateKey::Archived(_)).then(|| item.value.to_bytes());
        self.change_one(
            "UPDATE account_state SET hlc = ?3, device = ?4, mail = ?5, said = coalesce(?6, said) WHERE what = ?1 AND key = ?2",
            params![what, key, to_sql(item.stamp.hlc)?, item.stamp.device, mail.number(), said],
        )
    }

    fn forget_due(&mut self, key: &StateKey) -> Result<()> {
        let (what, key) = key.parts();
        let sql = "UPDATE account_state SET mail = NULL WHERE what = ?1 AND key = ?2";
        self.change_one(sql, params![what, key])
    }

    /// The relay has stored mail that tells our other devices something. What is about one message need not be known any longer.
    pub(in crate::store) fn settle_state(&mut self, mail: MailId) -> Result<()> {
        self.change("DELETE FROM account_state WHERE mail = ?1 AND what IN (12, 13)", [mail.number()])?;
        self.change("UPDATE account_state SET mail = NULL WHERE mail = ?1", [mail.number()]).map(drop)
    }
}

fn to_stamp(hlc: i64, device: i64) -> Result<Stamp> {
    Stamp::new(from_sql(hlc)?, narrow(device)?).ok_or(Error::Storage(Storage::Corrupt))
}

//! How the items of a bootstrap are stored. Storing one twice changes nothing, and what this device has learnt by itself remains.

use rusqlite::params;
use sealpost_protocol::IdentityKey;

use crate::content::{ContactItem, StateItem, StateKey, StateValue, ThreadItem};
use crate::error::Result;
use crate::id::{DeviceId, ThreadId, UserId};
use crate::store::thread::UNLISTED;
use crate::store::{Folder, Origin, Rows, Thread, ThreadKind, Tx, note_to_self, to_sql};

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Import {
    /// It is stored, or was there.
    Done,
    /// A message that was not there: what has waited for it can be applied.
    Added(Origin),
    /// It contradicts itself or what is known here, and has changed nothing.
    Refused,
}

impl Rows<'_> {
    /// Whether this can be the thread with this person, or a group: it is not known with somebody else.
    pub(super) fn fits(&self, us: UserId, thread: ThreadId, peer: Option<UserId>) -> Result<bool> {
        if (thread == note_to_self(us)) != (peer == Some(us)) {
            return Ok(false);
        }
        Ok(self.thread(thread)?.is_none_or(|known| known.peer == peer))
    }
}

impl Tx<'_> {
    /// Stores what the primary knows about a contact whose device list, if there is one, was stored before.
    pub(crate) fn import_contact(&mut self, contact: &ContactItem, now_ms: u64) -> Result<()> {
        let user = contact.user;
        self.ensure_contact(user)?;
        for replaced in &contact.replaced {
            let sql = "INSERT INTO replaced_account_key (user_id, account_key) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
            self.change(sql, (user.as_bytes(), replaced))?;
        }
        if let Some(key) = contact.account_key
            && self.account_key_of(user)?.is_none()
            && let Ok(identity) = IdentityKey::parse(&key)
        {
            self.remember_first_identity(user, &identity)?;
        }
        let was_blocked = self.is_blocked(user)?;
        self.merge_present(&contact.state, now_ms)?;
        if !was_blocked && self.is_blocked(user)? {
            let sql = "UPDATE contact SET blocked = ?2 WHERE user_id = ?1";
            self.change_one(sql, params![user.as_bytes(), to_sql(contact.blocked_ms.max(1))?])?;
        }
        self.note_compared_key(contact)
    }

    /// If the person has compared a key that this device does not know the contact by, it has changed since.
    fn note_compared_key(&mut self, contact: &ContactItem) -> Result<()> {
        let Some(known) = self.account_key_of(contact.user)? else { return Ok(()) };
        let known = known.serialize();
        let is_other = |item: &StateItem| match (&item.key, &item.value) {
            (StateKey::Trust(user, of), StateValue::Number(trust)) => {
                *user == contact.user && *of != known && *trust != 0
            }
            _ => false,
        };
        if contact.state.items.iter().any(is_other) {
            let sql = "UPDATE contact SET trust = 2 WHERE user_id = ?1 AND trust = 0";
            self.change(sql, [contact.user.as_bytes()])?;
        }
        Ok(())
    }

    /// Remembers the identity key of the first device of a user who has shown no list. Nothing is sealed for it until its bundle came.
    fn remember_first_identity(&mut self, user: UserId, identity: &IdentityKey) -> Result<()> {
        self.change(
            "INSERT INTO device (user_id, device_id, registration_id, identity, live) VALUES (?1, ?2, 0, ?3, 0)
             ON CONFLICT DO NOTHING",
            params![user.as_bytes(), DeviceId::PRIMARY.get(), identity.serialize().as_slice()],
        )?;
        self.apply_waiting_trust(user)
    }

    /// Adds a thread if it is not there, and returns false if it cannot be one of ours with this member.
    pub(super) fn ensure_thread(&mut self, us: UserId, thread: Thread, created_ms: u64) -> Result<bool> {
        if !self.fits(us, thread.id, thread.peer)? {
            return Ok(false);
        }
        if self.kind(thread.id)?.is_none() {
            if thread.peer == Some(us) {
                self.open_note_to_self(us, created_ms)?;
            } else {
                self.put_thread(thread, created_ms)?;
                if thread.peer.is_none() {
                    // Who is in a group says its chain, and the primary is not believed about it.
                    self.set_roster_due(thread.id)?;
                }
                // The primary has accepted it and has sent our profile, or does so.
                let sql = "UPDATE thread SET accepted = 1, profile_due = 0 WHERE thread_id = ?1";
                self.change_one(sql, [thread.id.as_bytes()])?;
            }
        }
        Ok(true)
    }

    /// Stores a thread with what the person has decided about it. Its unread messages count when they come. What this device knows to be
    /// decided later remains.
    pub(crate) fn import_thread(&mut self, us: UserId, item: &ThreadItem, now_ms: u64) -> Result<Import> {
        let of = item.of;
        let thread = Thread { id: of.thread, peer: of.peer, roster_version: of.roster_version };
        let is_new = self.kind(of.thread)?.is_none();
        if !self.ensure_thread(us, thread, item.created_ms)? {
            return Ok(Import::Refused);
        }
        let id = of.thread.as_bytes();
        self.change_one(
            "UPDATE thread SET created = ?2, activity = max(iif(newest > 0, activity, 0), ?3) WHERE thread_id = ?1",
            params![id, to_sql(item.created_ms)?, to_sql(item.activity_ms)?],
        )?;
        self.import_folder(item, is_new)?;
        self.change(
            "UPDATE thread SET timer = ?2, timer_position = ?3 WHERE thread_id = ?1 AND timer_position <= ?3",
            params![id, item.timer.seconds(), to_sql(item.timer_position)?],
        )?;
        self.account_from(of.thread, item.seen.epoch, item.seen.server_seq)?;
        self.merge_present(&item.state, now_ms)?;
        if is_new {
            self.archive_if_said(of.thread)?;
        }
        Ok(Import::Done)
    }

    /// Puts a thread into the list in which the primary has it. Its place in the archive is a decision of its own.
    fn import_folder(&mut self, item: &ThreadItem, is_new: bool) -> Result<()> {
        let thread = item.of.thread;
        let id = thread.as_bytes();
        let [chats, archive] = [Folder::Chats, Folder::Archive].map(Folder::to_stored);
        let folder = if i64::from(item.folder) == archive { chats } else { i64::from(item.folder) };
        let is_request = item.is_request && self.kind(thread)? != Some(ThreadKind::NoteToSelf);
        if is_new {
            let sql = "UPDATE thread SET folder = ?2, request = ?3 WHERE thread_id = ?1";
            return self.change_one(sql, params![id, folder, is_request]);
        }
        if !is_request {
            self.accept_as_elsewhere(thread)?;
        }
        // It was known here, but nothing in it that anybody has written.
        let sql = "UPDATE thread SET folder = ?2 WHERE thread_id = ?1 AND folder = ?3 AND clear_up_to IS NULL
                       AND NOT EXISTS (SELECT 1 FROM message WHERE thread_id = ?1)";
        self.change(sql, params![id, folder, UNLISTED]).map(drop)
    }
}

//! How the items of a bootstrap are stored. Storing one twice changes nothing, and what this device has learnt by itself remains.

use rusqlite::params;
use sealpost_protocol::IdentityKey;

use crate::content::{ContactItem, PrivacyItem, ThreadItem};
use crate::error::Result;
use crate::id::{DeviceId, ThreadId, UserId};
use crate::store::{Origin, Rows, Thread, ThreadKind, Tx, note_to_self, to_sql};

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
    /// Whether this can be the thread of these members: it is not known with others.
    pub(super) fn fits(&self, us: UserId, thread: ThreadId, peer: UserId) -> Result<bool> {
        if (thread == note_to_self(us)) != (peer == us) {
            return Ok(false);
        }
        Ok(self.thread(thread)?.is_none_or(|known| known.peer == peer))
    }
}

impl Tx<'_> {
    /// Stores what the primary knows about a contact whose device list, if there is one, was stored before.
    pub(crate) fn import_contact(&mut self, contact: &ContactItem) -> Result<()> {
        let user = contact.user;
        self.ensure_contact(user)?;
        for replaced in &contact.replaced {
            let sql = "INSERT INTO replaced_account_key (user_id, account_key) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
            self.change(sql, (user.as_bytes(), replaced))?;
        }
        let Some(key) = contact.account_key else { return self.import_block(contact) };
        if self.account_key_of(user)?.is_none()
            && let Ok(identity) = IdentityKey::parse(&key)
        {
            self.remember_first_identity(user, &identity)?;
        }
        let is_known = self.account_key_of(user)?.is_some_and(|known| known.serialize() == key);
        // The person has compared a key that this device does not know the contact by.
        let trust = if is_known || contact.trust == 0 { contact.trust } else { 2 };
        let sql = "UPDATE contact SET trust = ?2 WHERE user_id = ?1 AND trust = 0";
        self.change(sql, params![user.as_bytes(), trust])?;
        self.import_block(contact)
    }

    fn import_block(&mut self, contact: &ContactItem) -> Result<()> {
        if contact.blocked_ms > 0 {
            let sql = "UPDATE contact SET blocked = ?2 WHERE user_id = ?1 AND blocked IS NULL";
            self.change(sql, params![contact.user.as_bytes(), to_sql(contact.blocked_ms)?])?;
        }
        Ok(())
    }

    /// Remembers the identity key of the first device of a user who has shown no list. Nothing is sealed for it until its bundle came.
    fn remember_first_identity(&mut self, user: UserId, identity: &IdentityKey) -> Result<()> {
        self.change(
            "INSERT INTO device (user_id, device_id, registration_id, identity, live) VALUES (?1, ?2, 0, ?3, 0)
             ON CONFLICT DO NOTHING",
            params![user.as_bytes(), DeviceId::PRIMARY.get(), identity.serialize().as_slice()],
        )
        .map(drop)
    }

    pub(crate) fn import_privacy(&mut self, item: &PrivacyItem) -> Result<()> {
        let scope = item.thread.as_ref().map_or(&[][..], |thread| thread.as_bytes());
        self.change(
            "INSERT INTO privacy (scope, delivered, read, typing, presence) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET delivered = coalesce(delivered, excluded.delivered), read = coalesce(read, excluded.read),
                typing = coalesce(typing, excluded.typing), presence = coalesce(presence, excluded.presence)",
            params![scope, item.delivered, item.read, item.typing, item.presence],
        )
        .map(drop)
    }

    /// Adds a thread if it is not there, and returns false if it cannot be one of ours with this member.
    pub(super) fn ensure_thread(&mut self, us: UserId, thread: Thread, created_ms: u64) -> Result<bool> {
        if !self.fits(us, thread.id, thread.peer)? {
            return Ok(false);
        }
        if self.kind(thread.id)?.is_none() {
            if thread.peer == us {
                self.open_note_to_self(us, created_ms)?;
            } else {
                self.put_thread(thread, created_ms)?;
                // The primary has accepted it and has sent our profile, or does so.
                let sql = "UPDATE thread SET accepted = 1, profile_due = 0 WHERE thread_id = ?1";
                self.change_one(sql, [thread.id.as_bytes()])?;
            }
        }
        Ok(true)
    }

    /// Stores a thread with what the person has decided about it. Its unread messages count when they come.
    pub(crate) fn import_thread(&mut self, us: UserId, item: &ThreadItem) -> Result<Import> {
        let of = item.of;
        let thread = Thread { id: of.thread, peer: of.peer, roster_version: of.roster_version };
        if !self.ensure_thread(us, thread, item.created_ms)? {
            return Ok(Import::Refused);
        }
        let id = of.thread.as_bytes();
        let is_note = self.kind(of.thread)? == Some(ThreadKind::NoteToSelf);
        self.change_one(
            "UPDATE thread SET created = ?2, activity = max(iif(newest > 0, activity, 0), ?3), folder = ?4, pinned = ?5, muted_until = ?6,
                marked_unread = ?7, draft = coalesce(draft, ?8), request = ?9 WHERE thread_id = ?1",
            params![
                id,
                to_sql(item.created_ms)?,
                to_sql(item.activity_ms)?,
                item.folder,
                to_sql(item.pinned)?,
                to_sql(item.muted_until_ms)?,
                item.is_marked_unread,
                item.draft,
                item.is_request && !is_note,
            ],
        )?;
        self.change(
            "UPDATE thread SET timer = ?2, timer_position = ?3 WHERE thread_id = ?1 AND timer_position <= ?3",
            params![id, item.timer.seconds(), to_sql(item.timer_position)?],
        )?;
        self.account_from(of.thread, item.seen.epoch, item.seen.server_seq)?;
        Ok(Import::Done)
    }
}

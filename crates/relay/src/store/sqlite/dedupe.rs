//! The ids of what was submitted, by which repetitions are recognised.

use rusqlite::{Connection, OptionalExtension as _, Result, params};
use sealpost_wire::id::{ClientMsgId, ThreadId};
use sealpost_wire::limits::{CLOCK_AHEAD_MS, DEDUPE_WINDOW_MS};

use crate::address::Address;
use crate::store::{Append, BodyHash, GroupAppend, NewMail, Stored};

/// Something that was submitted under an id of its sender.
#[derive(Debug)]
pub(super) struct Submission {
    /// The 16 bytes of the user for a message, whose ids belong to the user. For mail, the number of the device
    /// follows, because its ids belong to the device.
    sender: Vec<u8>,
    id: ClientMsgId,
    thread: ThreadId,
    body_hash: BodyHash,
}

/// The earlier result for an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Earlier {
    /// The same was stored.
    Same(Stored),
    /// The id was used for something else.
    Other,
}

/// The time of an id is not one at which it may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WrongTime {
    /// It is older than the relay remembers ids.
    Old,
    /// It is too far in the future.
    Ahead,
}

impl Submission {
    pub(super) fn of_message(append: &Append) -> Self {
        let Append { sender, client_msg_id, thread, body_hash, .. } = append;
        Self {
            sender: sender.user.as_bytes().to_vec(),
            id: *client_msg_id,
            thread: *thread,
            body_hash: *body_hash,
        }
    }

    pub(super) fn of_group_message(post: &GroupAppend) -> Self {
        let GroupAppend { sender, client_msg_id, thread, body_hash, .. } = post;
        Self {
            sender: sender.user.as_bytes().to_vec(),
            id: *client_msg_id,
            thread: *thread,
            body_hash: *body_hash,
        }
    }

    pub(super) fn of_mail(mail: &NewMail) -> Self {
        let Address { user, device } = mail.sender;
        let sender = [&user.as_bytes()[..], &device.get().to_be_bytes()[..]].concat();
        Self { sender, id: mail.client_msg_id, thread: mail.thread, body_hash: mail.body_hash }
    }

    /// The time of the id must be recent enough to be remembered.
    pub(super) fn check_time(&self, now_ms: u64) -> std::result::Result<(), WrongTime> {
        let made_ms = self.made_ms();
        if made_ms < now_ms.saturating_sub(DEDUPE_WINDOW_MS) {
            return Err(WrongTime::Old);
        }
        if made_ms > now_ms.saturating_add(CLOCK_AHEAD_MS) {
            return Err(WrongTime::Ahead);
        }
        Ok(())
    }

    /// Whether it may have been stored so long ago that its id has been forgotten. After a wrong clock was corrected, an
    /// id can be older than is accepted and yet be known never to have been stored.
    pub(super) fn may_be_forgotten(&self, tx: &Connection) -> Result<bool> {
        tx.prepare_cached("SELECT v >= ?1 FROM store_meta WHERE k = 'forgotten_ms'")?
            .query_row([self.made_ms()], |row| row.get(0))
    }

    /// The earlier result for this id.
    pub(super) fn earlier(&self, tx: &Connection) -> Result<Option<Earlier>> {
        let earlier = tx
            .prepare_cached(
                "SELECT body_hash, server_seq, hlc FROM dedupe WHERE sender = ?1 AND client_msg_id = ?2",
            )?
            .query_row(params![self.sender, self.id.as_bytes()], |row| {
                let body_hash: BodyHash = row.get(0)?;
                Ok((body_hash, Stored { server_seq: row.get(1)?, hlc: row.get(2)? }))
            })
            .optional()?;
        Ok(earlier.map(
            |(body_hash, stored)| {
                if body_hash == self.body_hash { Earlier::Same(stored) } else { Earlier::Other }
            },
        ))
    }

    /// Stores the position of this id. Returns `false` if it already has one; nothing was written then.
    pub(super) fn remember(&self, tx: &Connection, stored: Stored) -> Result<bool> {
        let written = tx
            .prepare_cached(
                "INSERT INTO dedupe (client_msg_id, sender, thread_id, server_seq, hlc, body_hash)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
            )?
            .execute(params![
                self.id.as_bytes(),
                self.sender,
                self.thread.as_bytes(),
                stored.server_seq,
                stored.hlc,
                self.body_hash
            ])?;
        Ok(written == 1)
    }

    fn made_ms(&self) -> u64 {
        self.id.time_ms().unwrap_or(0)
    }
}

//! How far the transfer to a companion has come, on the primary and on the companion.

use rusqlite::{OptionalExtension as _, Row, params};

use crate::content::{Progress, TransferId};
use crate::error::{Error, Result, Storage};
use crate::id::DeviceId;
use crate::store::{Rows, Tx, from_sql, narrow, to_sql};

/// The rows of messages that come with a bootstrap have ids up to this one, in the order of those on the primary. All others have higher
/// ones, so that history is never older than what it follows, nor new to anybody.
pub(crate) const HISTORY_IDS: i64 = 1 << 40;

/// What is sent, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Contacts = 1,
    Settings,
    Threads,
    /// Messages that were here when it began, the newest first.
    Messages,
    /// Messages that were accepted or arrived later, the oldest first. Most have come to the companion by themselves.
    Later,
    Done,
}

impl Phase {
    const ALL: [Self; 6] =
        [Self::Contacts, Self::Settings, Self::Threads, Self::Messages, Self::Later, Self::Done];

    fn from_stored(number: i64) -> Result<Self> {
        let phase = Self::ALL.into_iter().find(|phase| *phase as i64 == number);
        phase.ok_or(Error::Storage(Storage::Corrupt))
    }

    /// The phase that follows.
    pub(crate) fn next(self) -> Self {
        Self::ALL.into_iter().find(|phase| *phase > self).unwrap_or(Self::Done)
    }
}

/// A place in what is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) phase: Phase,
    /// The key of the last row of the phase that is in a piece; empty at its beginning.
    pub(crate) after: Vec<u8>,
    /// Of the last piece.
    pub(crate) number: u64,
    /// How many messages are in the pieces up to it.
    pub(crate) sent: u64,
}

/// The transfer to a companion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) device: DeviceId,
    /// None until the companion has asked.
    pub(crate) transfer: Option<TransferId>,
    pub(crate) round: u32,
    /// Messages that the relay stored before are left out; with `None`, all are.
    pub(crate) since_ms: Option<u64>,
    /// The newest message, in any thread, when it began.
    pub(crate) newest: i64,
    /// Messages after this one may have been accepted since it began.
    pub(crate) later_after: i64,
    /// None until the messages were counted.
    pub(crate) total: Option<u64>,
    /// The size of the pieces in the present window.
    pub(crate) open_bytes: u64,
    /// Whether the present window has ended and was not acknowledged.
    pub(crate) is_waiting: bool,
    pub(crate) at: Place,
    /// Where the last window ended that was acknowledged.
    pub(crate) received: Place,
}

/// The transfer to this device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Incoming {
    pub(crate) transfer: TransferId,
    pub(crate) round: u32,
    /// When this device asked last or applied a piece, by server time.
    pub(crate) asked_ms: u64,
    pub(crate) applied: u64,
    /// The last piece of the last window that was applied completely.
    pub(crate) complete: u64,
    pub(crate) progress: Progress,
    pub(crate) is_done: bool,
}

const OUTGOING: &str =
    "device, transfer, round, since, newest, total, open_bytes, is_waiting, phase, after, number, sent,
    received_phase, received_after, received_number, received_sent, later_after FROM bootstrap_out";

type PlaceColumns = (i64, Vec<u8>, i64, i64);

fn place_columns(row: &Row<'_>, first: usize) -> rusqlite::Result<PlaceColumns> {
    let at = |offset: usize| first.saturating_add(offset);
    Ok((row.get(at(0))?, row.get(at(1))?, row.get(at(2))?, row.get(at(3))?))
}

fn to_place((phase, after, number, sent): PlaceColumns) -> Result<Place> {
    Ok(Place { phase: Phase::from_stored(phase)?, after, number: from_sql(number)?, sent: from_sql(sent)? })
}

fn to_transfer(bytes: Vec<u8>) -> Result<TransferId> {
    bytes.try_into().map(TransferId).map_err(|_| Error::Storage(Storage::Corrupt))
}

fn outgoing(row: &Row<'_>) -> rusqlite::Result<Result<Outgoing>> {
    let (device, transfer): (i64, Option<Vec<u8>>) = (row.get(0)?, row.get(1)?);
    let (round, since, newest): (u32, Option<i64>, i64) = (row.get(2)?, row.get(3)?, row.get(4)?);
    let (total, open_bytes, is_waiting): (Option<i64>, i64, bool) = (row.get(5)?, row.get(6)?, row.get(7)?);
    let later_after: i64 = row.get(16)?;
    let (at, received) = (place_columns(row, 8)?, place_columns(row, 12)?);
    Ok((|| {
        Ok(Outgoing {
            device: DeviceId::new(narrow(device)?)?,
            transfer: transfer.map(to_transfer).transpose()?,
            round,
            since_ms: since.map(from_sql).transpose()?,
            newest,
            later_after,
            total: total.map(from_sql).transpose()?,
            open_bytes: from_sql(open_bytes)?,
            is_waiting,
            at: to_place(at)?,
            received: to_place(received)?,
        })
    })())
}

impl Rows<'_> {
    /// Whether anything is still to be sent to a companion, or to come from the primary.
    pub(crate) fn is_bootstrap_running(&self) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM bootstrap_out) OR EXISTS (SELECT 1 FROM bootstrap_in WHERE is_done = 0)";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    /// The transfer to a companion.
    pub(crate) fn outgoing_bootstrap(&self, device: DeviceId) -> Result<Option<Outgoing>> {
        let sql = format!("SELECT {OUTGOING} WHERE device = ?1");
        self.connection.prepare_cached(&sql)?.query_row([device.get()], outgoing).optional()?.transpose()
    }

    /// All transfers to companions: at most one for each.
    pub(crate) fn outgoing_bootstraps(&self) -> Result<Vec<Outgoing>> {
        let mut statement = self.connection.prepare_cached(&format!("SELECT {OUTGOING} ORDER BY device"))?;
        let rows = statement.query_map([], outgoing)?;
        rows.map(|row| row?).collect()
    }

    /// The transfer to this device; none if it has not asked for one.
    pub(crate) fn incoming_bootstrap(&self) -> Result<Option<Incoming>> {
        let sql = "SELECT transfer, round, asked, applied, complete, sent, total, is_done FROM bootstrap_in";
        let found = self.connection.prepare_cached(sql)?.query_row([], |row| {
            let numbers: [i64; 5] = [row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?];
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, u32>(1)?, numbers, row.get::<_, bool>(7)?))
        });
        let Some((transfer, round, [asked, applied, complete, sent, total], is_done)) = found.optional()?
        else {
            return Ok(None);
        };
        Ok(Some(Incoming {
            transfer: to_transfer(transfer)?,
            round,
            asked_ms: from_sql(asked)?,
            applied: from_sql(applied)?,
            complete: from_sql(complete)?,
            progress: Progress { sent: from_sql(sent)?, total: from_sql(total)? },
            is_done,
        }))
    }

    /// The body of a piece that has come and was not applied.
    pub(crate) fn kept_piece(&self, number: u64) -> Result<Option<Vec<u8>>> {
        let sql = "SELECT body FROM bootstrap_piece WHERE number = ?1";
        let number = to_sql(number)?;
        Ok(self.connection.prepare_cached(sql)?.query_row([number], |row| row.get(0)).optional()?)
    }

    /// Whether a piece has come and was not applied.
    pub(crate) fn has_kept_piece(&self, number: u64) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM bootstrap_piece WHERE number = ?1)";
        Ok(self.connection.prepare_cached(sql)?.query_row([to_sql(number)?], |row| row.get(0))?)
    }

    /// How many pieces of mail to our own devices are queued.
    pub(crate) fn mail_to_ourselves(&self) -> Result<u64> {
        let sql = "SELECT count(*) FROM mail WHERE recipient = (SELECT user_id FROM account)";
        from_sql(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    /// The size of the pieces that have come and were not applied.
    pub(crate) fn kept_piece_bytes(&self) -> Result<u64> {
        let sql = "SELECT coalesce(sum(length(body)), 0) FROM bootstrap_piece";
        from_sql(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }
}

impl Tx<'_> {
    /// The person has confirmed that this companion is linked: when it asks, it gets what this device knows, and the messages that the
    /// relay stored after a time; with `None`, no messages.
    pub(crate) fn offer_bootstrap(&mut self, device: DeviceId, since_ms: Option<u64>) -> Result<()> {
        let since = since_ms.map(to_sql).transpose()?;
        let sql = "INSERT OR REPLACE INTO bootstrap_out (device, since) VALUES (?1, ?2)";
        self.change_one(sql, params![device.get(), since])
    }

    /// The companion was removed, or has everything.
    pub(crate) fn end_bootstrap(&mut self, device: DeviceId) -> Result<()> {
        self.change("DELETE FROM bootstrap_out WHERE device = ?1", [device.get()]).map(drop)
    }

    /// Stores the state of a transfer to a companion.
    pub(crate) fn set_outgoing_bootstrap(&mut self, out: &Outgoing) -> Result<()> {
        let Outgoing { at, received, .. } = out;
        self.change_one(
            "UPDATE bootstrap_out SET transfer = ?2, round = ?3, newest = ?4, total = ?5, open_bytes = ?6, is_waiting = ?7,
                phase = ?8, after = ?9, number = ?10, sent = ?11, received_phase = ?12, received_after = ?13,
                received_number = ?14, received_sent = ?15, later_after = ?16 WHERE device = ?1",
            params![
                out.device.get(),
                out.transfer.as_ref().map(|transfer| transfer.0.as_slice()),
                out.round,
                out.newest,
                out.total.map(to_sql).transpose()?,
                to_sql(out.open_bytes)?,
                out.is_waiting,
                at.phase as i64,
                at.after,
                to_sql(at.number)?,
                to_sql(at.sent)?,
                received.phase as i64,
                received.after,
                to_sql(received.number)?,
                to_sql(received.sent)?,
                out.later_after,
            ],
        )
    }

    /// This device is a companion that was linked: it accepts a bootstrap from now on, and asks for it when there is a connection. There are no
    /// messages yet; the rows of those that arrive by themselves follow [`HISTORY_IDS`].
    ///
    /// # Errors
    /// [`Error::WrongState`] if it has asked before, or has messages.
    pub(crate) fn ask_for_bootstrap(&mut self, transfer: TransferId) -> Result<()> {
        let sql = "SELECT EXISTS (SELECT 1 FROM message) OR EXISTS (SELECT 1 FROM bootstrap_in)";
        if self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))? {
            return Err(Error::WrongState);
        }
        self.change_one(
            "INSERT INTO bootstrap_in (only, transfer, round, asked) VALUES (1, ?1, 0, 0)",
            [transfer.0.as_slice()],
        )?;
        self.change("DELETE FROM sqlite_sequence WHERE name = 'message'", [])?;
        self.change_one("INSERT INTO sqlite_sequence (name, seq) VALUES ('message', ?1)", [HISTORY_IDS])?;
        // History is indexed from the newest to the oldest, behind what arrives, and nobody is notified of it.
        self.change_one(
            "UPDATE account SET indexed_after = ?1, indexed_up_to = ?1, notified_up_to = ?1, judged_up_to = ?1",
            [HISTORY_IDS],
        )
    }

    /// Stores how far the transfer to this device has come.
    pub(crate) fn set_incoming_bootstrap(&mut self, incoming: &Incoming) -> Result<()> {
        self.change_one(
            "UPDATE bootstrap_in SET round = ?1, asked = ?2, applied = ?3, complete = ?4, sent = ?5, total = ?6, is_done = ?7",
            params![
                incoming.round,
                to_sql(incoming.asked_ms)?,
                to_sql(incoming.applied)?,
                to_sql(incoming.complete)?,
                to_sql(incoming.progress.sent)?,
                to_sql(incoming.progress.total)?,
                incoming.is_done,
            ],
        )
    }

    /// Keeps a piece until those before it were applied. Does nothing if it is there.
    pub(crate) fn keep_piece(&mut self, number: u64, body: &[u8]) -> Result<()> {
        let sql = "INSERT INTO bootstrap_piece (number, body) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        self.change(sql, params![to_sql(number)?, body]).map(drop)
    }

    /// Removes the pieces up to this one.
    pub(crate) fn forget_pieces(&mut self, up_to: u64) -> Result<()> {
        self.change("DELETE FROM bootstrap_piece WHERE number <= ?1", [to_sql(up_to)?]).map(drop)
    }
}

//! Conversions between columns and the types of the relay.

use rusqlite::types::FromSqlError;
use rusqlite::{Error, Result, Row};
use sealpost_wire::id::{ClientMsgId, DeviceId, ThreadId, UserId};
use sealpost_wire::limits::ROW_BYTES;
use sealpost_wire::roster::{FormError, Role, Who};

use crate::address::Address;

/// Asserts that a statement changed exactly one row.
pub(super) fn expect_one(changed: usize) -> Result<()> {
    if changed == 1 { Ok(()) } else { Err(Error::StatementChangedRows(changed)) }
}

pub(super) fn user(row: &Row<'_>, column: usize) -> Result<UserId> {
    row.get(column).map(UserId::from_bytes)
}

pub(super) fn thread(row: &Row<'_>, column: usize) -> Result<ThreadId> {
    row.get(column).map(ThreadId::from_bytes)
}

pub(super) fn client_msg_id(row: &Row<'_>, column: usize) -> Result<ClientMsgId> {
    row.get(column).map(ClientMsgId::from_bytes)
}

pub(super) fn device(row: &Row<'_>, column: usize) -> Result<DeviceId> {
    let number: u32 = row.get(column)?;
    DeviceId::new(number).map_err(|_| FromSqlError::OutOfRange(number.into()).into())
}

/// The size for which a row is counted in its mailbox.
pub(super) fn row_bytes(ciphertext: usize) -> u64 {
    u64::try_from(ciphertext).unwrap_or(u64::MAX).saturating_add(ROW_BYTES)
}

/// A user column followed by a device column.
pub(super) fn address(row: &Row<'_>, user_column: usize, device_column: usize) -> Result<Address> {
    Ok(Address { user: user(row, user_column)?, device: device(row, device_column)? })
}

pub(super) fn blob(row: &Row<'_>, column: usize) -> Result<bytes::Bytes> {
    row.get::<_, Vec<u8>>(column).map(Into::into)
}

/// The number of a [`Role`].
pub(super) fn role(row: &Row<'_>, column: usize) -> Result<Role> {
    Role::from_number(row.get(column)?).map_err(|FormError| FromSqlError::InvalidType.into())
}

/// The number of a [`Who`].
pub(super) fn who(row: &Row<'_>, column: usize) -> Result<Who> {
    Who::from_number(row.get(column)?).map_err(|FormError| FromSqlError::InvalidType.into())
}

/// How a table of mailboxes states the length of the ciphertext of a row, and its payload. Mail has a ciphertext of its own.
pub(super) struct Shape {
    pub(super) size: &'static str,
    pub(super) payload: &'static str,
}

impl Shape {
    pub(super) fn of(table: &str) -> Self {
        match table {
            "inbox" => Self { size: "length(ciphertext) + payload_bytes", payload: "payload_id" },
            _ => Self { size: "length(ciphertext)", payload: "NULL" },
        }
    }
}

//! Creates the tables of a new database, and migrates those of earlier versions.

use rusqlite::{Connection, TransactionBehavior};

use crate::error::{Error, Result, Storage};
use crate::fault::{self, Station};

/// Each migrates the schema from version n to n + 1. The version is SQLite's `user_version`. New migrations are appended; one that was
/// released is never changed.
const MIGRATIONS: [&str; 46] = [
    include_str!("schema/01.sql"),
    include_str!("schema/02.sql"),
    include_str!("schema/03.sql"),
    include_str!("schema/04.sql"),
    include_str!("schema/05.sql"),
    include_str!("schema/06.sql"),
    include_str!("schema/07.sql"),
    include_str!("schema/08.sql"),
    include_str!("schema/09.sql"),
    include_str!("schema/10.sql"),
    include_str!("schema/11.sql"),
    include_str!("schema/12.sql"),
    include_str!("schema/13.sql"),
    include_str!("schema/14.sql"),
    include_str!("schema/15.sql"),
    include_str!("schema/16.sql"),
    include_str!("schema/17.sql"),
    include_str!("schema/18.sql"),
    include_str!("schema/19.sql"),
    include_str!("schema/20.sql"),
    include_str!("schema/21.sql"),
    include_str!("schema/22.sql"),
    include_str!("schema/23.sql"),
    include_str!("schema/24.sql"),
    include_str!("schema/25.sql"),
    include_str!("schema/26.sql"),
    include_str!("schema/27.sql"),
    include_str!("schema/28.sql"),
    include_str!("schema/29.sql"),
    include_str!("schema/30.sql"),
    include_str!("schema/31.sql"),
    include_str!("schema/32.sql"),
    include_str!("schema/33.sql"),
    include_str!("schema/34.sql"),
    include_str!("schema/35.sql"),
    include_str!("schema/36.sql"),
    include_str!("schema/37.sql"),
    include_str!("schema/38.sql"),
    include_str!("schema/39.sql"),
    include_str!("schema/40.sql"),
    include_str!("schema/41.sql"),
    include_str!("schema/42.sql"),
    include_str!("schema/43.sql"),
    include_str!("schema/44.sql"),
    include_str!("schema/45.sql"),
    include_str!("schema/46.sql"),
];

/// The tables of a new database: the result of all migrations.
const NEW: &str = include_str!("schema/new.sql");

/// Creates the tables or migrates them to the newest version. The caller holds the lock between processes.
///
/// # Errors
/// The same as [`check`].
pub(super) fn migrate(connection: &mut Connection) -> Result<()> {
    let found = check(connection)? as usize;
    if found == MIGRATIONS.len() {
        return Ok(());
    }
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if found == 0 {
        tx.execute_batch(NEW)?;
        // SQLite's integers are signed, and rusqlite converts usize only with a feature that only the relay enables.
        let newest = i64::try_from(MIGRATIONS.len()).map_err(|_| Error::Bug("too many migrations"))?;
        tx.pragma_update(None, "user_version", newest)?;
        return Ok(tx.commit()?);
    }
    for (migration, version) in MIGRATIONS.iter().zip(1..).skip(found) {
        tx.execute_batch(migration)?;
        tx.pragma_update(None, "user_version", version)?;
    }
    fault::at(Station::MigrateBeforeCommit);
    Ok(tx.commit()?)
}

/// The version of the schema in the file.
///
/// # Errors
/// [`Storage::Newer`] if this version of the library does not know it.
pub(super) fn check(connection: &Connection) -> Result<u32> {
    let known = u32::try_from(MIGRATIONS.len()).map_err(|_| Error::Bug("too many migrations"))?;
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > known {
        return Err(Storage::Newer { found, known }.into());
    }
    Ok(found)
}

#[cfg(test)]
mod tests;

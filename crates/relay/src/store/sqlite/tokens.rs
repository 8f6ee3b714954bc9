//! Refresh tokens. A token names its family and proves itself with a secret; only the hash of the secret is stored
//! here.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Result, params};
use subtle::ConstantTimeEq as _;

use super::columns::{address, expect_one};
use super::fair::Payer;
use super::room::Need;
use super::{SqliteStore, devices};
use crate::address::Address;
use crate::store::{Answer, FamilyId, NewFamily, Origin, Rotated, Rotation, TokenHash, Tokens};

impl Tokens for SqliteStore {
    fn is_live(&self, address: Address, family: FamilyId) -> Answer<bool> {
        self.readers.read(address.user, move |tx| is_live(tx, address, family))
    }

    fn rotate_refresh(&self, rotation: Rotation) -> Answer<Rotated> {
        let revocations = Arc::clone(&self.revocations);
        self.writer.write_and_then(
            Payer::Anonymous,
            Need::Frees,
            move |tx| rotate(tx, &rotation),
            move |rotated| {
                if let Rotated::ReuseDetected(device) = rotated {
                    revocations.record(device);
                }
                rotated
            },
        )
    }

    fn end_family(&self, family: FamilyId) -> Answer<Option<Address>> {
        let revocations = Arc::clone(&self.revocations);
        self.writer.write_and_then(
            Payer::Relay,
            Need::Frees,
            move |tx| end(tx, family),
            move |owner| {
                if let Some(device) = owner {
                    revocations.record(device);
                }
                owner
            },
        )
    }
}

pub(super) fn insert(tx: &Connection, owner: Address, family: &NewFamily) -> Result<()> {
    expect_one(tx
        .prepare_cached(
            "INSERT INTO token_family (family_id, user_id, device_id, token_hash, previous_hash, expires_ms, epoch)
             VALUES (?1, ?2, ?3, ?4, NULL, ?5, (SELECT v FROM store_meta WHERE k = 'epoch'))",
        )?
        .execute(params![
            family.id.0,
            owner.user.as_bytes(),
            owner.device.get(),
            family.refresh.0,
            family.expires_ms
        ])?)
}

/// Ends every family of a device.
pub(super) fn end_all(tx: &Connection, owner: Address) -> Result<usize> {
    tx.prepare_cached("DELETE FROM token_family WHERE user_id = ?1 AND device_id = ?2")?
        .execute(params![owner.user.as_bytes(), owner.device.get()])
}

pub(super) fn is_live(tx: &Connection, owner: Address, family: FamilyId) -> Result<bool> {
    tx.prepare_cached("SELECT 1 FROM token_family WHERE family_id = ?1 AND user_id = ?2 AND device_id = ?3")?
        .exists(params![family.0, owner.user.as_bytes(), owner.device.get()])
}

/// A token can be exchanged once. The token before the current one can also be exchanged again: the answer must have
/// been lost, because otherwise the current token would have been used. Any other token that was issued for the family
/// has been used already, either by its owner or by an attacker. The relay cannot tell which, so it ends the family. A
/// token that was never issued changes nothing. Nothing changes either if the family has not been used since the store
/// was restored: the token may be newer than the restored state.
pub(super) fn rotate(tx: &Connection, rotation: &Rotation) -> Result<Rotated> {
    let Some(family) = load(tx, rotation.family)? else {
        let deleted = rotation.origin == Origin::Issued && was_deleted(tx, rotation.family)?;
        return Ok(if deleted { Rotated::Deleted } else { Rotated::Unknown });
    };
    let presented = rotation.presented.0;
    let current = bool::from(family.token.ct_eq(&presented));
    let previous = family.previous.is_some_and(|hash| bool::from(hash.ct_eq(&presented)));
    if (current || previous) && rotation.now_ms >= family.expires_ms {
        return Ok(Rotated::Unknown);
    }
    if current || previous {
        replace(tx, rotation)?;
        if let Some(key) = rotation.login_key {
            devices::set_login_key(tx, family.owner, key)?;
        }
        return Ok(Rotated::Next(family.owner));
    }
    if rotation.origin == Origin::Unproven && !was_issued_untagged(tx, rotation.family, rotation.presented)? {
        return Ok(Rotated::Unknown);
    }
    if family.before_restore {
        return Ok(Rotated::Unknown);
    }
    end(tx, rotation.family)?;
    Ok(Rotated::ReuseDetected(family.owner))
}

/// Ends a family and returns the device that it belonged to.
pub(super) fn end(tx: &Connection, family: FamilyId) -> Result<Option<Address>> {
    tx.prepare_cached("DELETE FROM token_family WHERE family_id = ?1 RETURNING user_id, device_id")?
        .query_row([family.0], |row| address(row, 0, 1))
        .optional()
}

/// Whether the family was removed together with its account.
fn was_deleted(tx: &Connection, family: FamilyId) -> Result<bool> {
    tx.prepare_cached("SELECT 1 FROM deleted_family WHERE family_id = ?1")?.exists([family.0])
}

/// Whether this token is one of the two that each family had when tags were introduced. These are recognised by their
/// hashes.
fn was_issued_untagged(tx: &Connection, family: FamilyId, presented: TokenHash) -> Result<bool> {
    let mut hashes = tx.prepare_cached("SELECT token_hash FROM untagged_token WHERE family_id = ?1")?;
    let mut known = hashes.query_map([family.0], |row| row.get::<_, [u8; 32]>(0))?;
    known.try_fold(false, |found, hash| Ok(found | bool::from(hash?.ct_eq(&presented.0))))
}

struct Family {
    owner: Address,
    token: [u8; 32],
    previous: Option<[u8; 32]>,
    expires_ms: u64,
    /// Whether the family was last used before the store was restored.
    before_restore: bool,
}

fn load(tx: &Connection, family: FamilyId) -> Result<Option<Family>> {
    tx.prepare_cached(
        "SELECT user_id, device_id, token_hash, previous_hash, expires_ms,
            epoch < (SELECT v FROM store_meta WHERE k = 'epoch')
         FROM token_family WHERE family_id = ?1",
    )?
    .query_row([family.0], |row| {
        Ok(Family {
            owner: address(row, 0, 1)?,
            token: row.get(2)?,
            previous: row.get(3)?,
            expires_ms: row.get(4)?,
            before_restore: row.get(5)?,
        })
    })
    .optional()
}

/// Makes the successor current. The presented token stays valid until the successor is used.
fn replace(tx: &Connection, rotation: &Rotation) -> Result<()> {
    expect_one(
        tx.prepare_cached(
            "UPDATE token_family SET token_hash = ?2, previous_hash = ?3, expires_ms = ?4,
                epoch = (SELECT v FROM store_meta WHERE k = 'epoch')
             WHERE family_id = ?1",
        )?
        .execute(params![
            rotation.family.0,
            rotation.next.0,
            rotation.presented.0,
            rotation.expires_ms
        ])?,
    )
}

#[cfg(test)]
mod tests {
    use super::super::schema::tests::of_version;
    use super::*;

    const FAMILY: FamilyId = FamilyId([9; 16]);

    /// Families from a relay version without tags: their current token is `22…`, the previous one `11…`.
    const UNTAGGED: &str = "
        INSERT INTO token_family (family_id, user_id, device_id, token_hash, previous_hash, expires_ms) VALUES
            (unhex('09090909090909090909090909090909'), zeroblob(16), 1,
             unhex('2222222222222222222222222222222222222222222222222222222222222222'),
             unhex('1111111111111111111111111111111111111111111111111111111111111111'), 100),
            (unhex('08080808080808080808080808080808'), zeroblob(16), 2,
             unhex('3333333333333333333333333333333333333333333333333333333333333333'), NULL, 100);";

    fn present(db: &Connection, presented: u8, next: u8) -> Rotated {
        let rotation = Rotation {
            family: FAMILY,
            presented: TokenHash([presented; 32]),
            origin: Origin::Unproven,
            next: TokenHash([next; 32]),
            login_key: None,
            expires_ms: 200,
            now_ms: 50,
        };
        rotate(db, &rotation).unwrap()
    }

    #[test]
    fn untagged_tokens_remain_valid_and_their_reuse_ends_the_family() {
        for version in 1..=2 {
            let db = of_version(version, UNTAGGED);
            assert_eq!(present(&db, 0x99, 0x98), Rotated::Unknown, "a guess");
            assert!(
                matches!(present(&db, 0x11, 0x44), Rotated::Next(_)),
                "the answer with its successor was lost"
            );
            assert!(matches!(present(&db, 0x44, 0x55), Rotated::Next(_)));
            assert_eq!(present(&db, 0x99, 0x98), Rotated::Unknown, "a guess");
            assert!(matches!(present(&db, 0x22, 0x98), Rotated::ReuseDetected(_)), "from {version}");
            assert_eq!(present(&db, 0x55, 0x66), Rotated::Unknown);
            let kept: u32 =
                db.query_row("SELECT count(*) FROM untagged_token", [], |row| row.get(0)).unwrap();
            assert_eq!(kept, 1, "the token of the other family");
        }
    }
}

//! Device lists of an account, as its primary device would sign them.

#![expect(clippy::expect_used, reason = "a failure here fails the test with a message")]

use rusqlite::params;
use sealpost_core::UserId;
use sealpost_protocol::device::{
    AccountKeyPair, DeviceBinding, DeviceEntry, DeviceList, SignedDeviceList, VerifiedDeviceList,
};
use sealpost_protocol::{DeviceId, IdentityKeyPair};
use sealpost_testkit::{PartyDisk, open_database};

/// The keys of an account whose client is closed.
#[derive(Debug)]
pub struct Signer {
    user: UserId,
    account: AccountKeyPair,
    list: VerifiedDeviceList,
}

impl Signer {
    /// Reads the keys of the account in this database.
    pub fn of(disk: &PartyDisk) -> Self {
        let sql = "SELECT user_id, coalesce(account.account_key, identity), list FROM account JOIN device_list USING (user_id)";
        let database = open_database(disk.database(), &disk.key());
        let row: (Vec<u8>, Vec<u8>, Vec<u8>) = database
            .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .expect("an account with a list");
        let user = UserId::from_slice(&row.0).expect("a user id");
        let list = SignedDeviceList::parse(&row.2).expect("a list").verify(user.as_bytes());
        Self {
            user,
            account: AccountKeyPair::from_bytes(&row.1).expect("a key pair"),
            list: list.expect("our own list verifies"),
        }
    }

    /// The present list of the account.
    pub fn list(&self) -> &VerifiedDeviceList {
        &self.list
    }

    /// The list with this version, in which the primary device has another identity key.
    pub fn sign_for(&self, version: u64, identity: &IdentityKeyPair) -> VerifiedDeviceList {
        let mut entry = *self.list.primary().expect("a primary device");
        entry.identity = *identity.public();
        let (user, key) = (self.user.as_bytes(), self.account.public());
        entry.binding = DeviceBinding::sign(user, entry.device, identity, &key, &mut rand::rng());
        let list = DeviceList::new(version, vec![entry]).expect("a valid list");
        list.sign(user, &self.account, &mut rand::rng()).verify(user).expect("a list that verifies")
    }

    /// The list with this version, which has the devices of the present one and these companions. Signatures are randomised, but lists with
    /// the same companions have the same digest only if `added_ms` is the same.
    pub fn sign(
        &self,
        version: u64,
        companions: &[(u32, &IdentityKeyPair)],
        added_ms: u64,
    ) -> VerifiedDeviceList {
        let mut entries = self.list.devices().to_vec();
        for (device, identity) in companions {
            let device = DeviceId::new(*device).expect("a device number");
            let (user, key, mut rng) = (self.user.as_bytes(), self.account.public(), rand::rng());
            let binding = DeviceBinding::sign(user, device, identity, &key, &mut rng);
            let identity = *identity.public();
            entries.push(DeviceEntry { device, identity, added_ms, is_primary: false, binding });
        }
        let list = DeviceList::new(version, entries).expect("a valid list");
        let list = list.sign(self.user.as_bytes(), &self.account, &mut rand::rng());
        list.verify(self.user.as_bytes()).expect("a list that verifies")
    }
}

/// Makes this the newest list of a user in the database of a closed client.
pub fn set_list(disk: &PartyDisk, user: UserId, list: &VerifiedDeviceList) {
    let database = open_database(disk.database(), &disk.key());
    let sql = "UPDATE device_list SET version = ?2, digest = ?3, list = ?4 WHERE user_id = ?1";
    let version = i64::try_from(list.version()).expect("a small version");
    let values = params![user.as_bytes(), version, list.digest(), list.serialize()];
    assert_eq!(database.execute(sql, values).expect("the list is stored"), 1);
}

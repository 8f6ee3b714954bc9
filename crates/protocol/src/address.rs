//! Addresses: a user, and one of their devices.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

/// Length of a service id in its fixed-width form, in bytes.
const SERVICE_ID_LEN: usize = 17;
/// Length of a hyphenated UUID, in characters.
const UUID_TEXT_LEN: usize = 36;

/// One installation of an account, 1 to 127.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId(u8);

/// A device id outside 1 to 127.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("device id outside 1 to 127")]
pub struct InvalidDeviceId;

impl DeviceId {
    /// From the number on the wire.
    ///
    /// # Errors
    /// [`InvalidDeviceId`] outside 1 to 127.
    pub fn new(id: u32) -> Result<Self, InvalidDeviceId> {
        match u8::try_from(id) {
            Ok(id @ 1..=127) => Ok(Self(id)),
            _ => Err(InvalidDeviceId),
        }
    }

    /// The number on the wire.
    pub fn get(self) -> u32 {
        u32::from(self.0)
    }

    /// The number as it is encoded in one byte.
    pub(crate) fn byte(self) -> u8 {
        self.0
    }
}

/// A user and one of their devices: the peer of a session.
///
/// The name may be any text, but only a service id (a UUID, or `PNI:` and a UUID) is authenticated in messages and
/// makes a session with oneself recognisable.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    name: Arc<str>,
    device: DeviceId,
    service_id: Option<[u8; SERVICE_ID_LEN]>,
}

impl Address {
    /// The device `device` of the user `name`.
    pub fn new(name: &str, device: DeviceId) -> Self {
        Self { name: name.into(), device, service_id: parse_service_id(name) }
    }

    /// The user.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The device.
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// The name as a service id of fixed width: one byte for the kind (0 account, 1 phone number), followed by the 16
    /// bytes of the UUID. `None` if the name is not a service id.
    pub fn service_id(&self) -> Option<&[u8; SERVICE_ID_LEN]> {
        self.service_id.as_ref()
    }

    /// Whether both are devices of one account, as far as their names show it.
    pub(crate) fn same_service(&self, other: &Self) -> bool {
        self.service_id.is_some() && self.service_id == other.service_id
    }

    /// `sender service id || sender device || recipient service id || recipient device`, which a pre-key message
    /// contains in its `addresses` field. `None` unless both names are service ids.
    pub(crate) fn pair(sender: &Self, recipient: &Self) -> Option<[u8; 36]> {
        let mut pair = [0; 36];
        let (from, to) = pair.split_at_mut(18);
        sender.write_fixed(from)?;
        recipient.write_fixed(to)?;
        Some(pair)
    }

    fn write_fixed(&self, out: &mut [u8]) -> Option<()> {
        let (device, id) = out.split_last_mut()?;
        id.copy_from_slice(self.service_id.as_ref()?);
        *device = self.device.0;
        Some(())
    }
}

/// Shows the device, not the user, because addresses end up in logs.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name: _, device, service_id: _ } = self;
        write!(f, "Address(.., {})", device.0)
    }
}

fn parse_service_id(name: &str) -> Option<[u8; SERVICE_ID_LEN]> {
    let (kind, uuid) = match name.strip_prefix("PNI:") {
        Some(uuid) => (1, uuid),
        None => (0, name),
    };
    // Only the hyphenated form has this length; braces and URNs do not.
    if uuid.len() != UUID_TEXT_LEN {
        return None;
    }
    let uuid = Uuid::try_parse(uuid).ok()?;
    let mut id = [kind; SERVICE_ID_LEN];
    id.last_chunk_mut::<16>()?.copy_from_slice(uuid.as_bytes());
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "9d0652a3-dcc3-4d11-975f-74d61598733f";

    fn address(name: &str) -> Address {
        Address::new(name, DeviceId::new(3).unwrap())
    }

    #[test]
    fn device_ids_are_1_to_127() {
        for bad in [0, 128, 255, 256, u32::MAX] {
            assert_eq!(DeviceId::new(bad), Err(InvalidDeviceId));
        }
        assert_eq!(DeviceId::new(1).unwrap().get(), 1);
        assert_eq!(DeviceId::new(127).unwrap().get(), 127);
    }

    #[test]
    fn service_ids_are_hyphenated_uuids_with_an_optional_prefix() {
        let id = *address(UUID).service_id().unwrap();
        assert_eq!(hex::encode(id), "009d0652a3dcc34d11975f74d61598733f");
        assert_eq!(*address(&UUID.to_uppercase()).service_id().unwrap(), id);
        let phone = format!("PNI:{UUID}");
        assert_eq!(hex::encode(address(&phone).service_id().unwrap()), "019d0652a3dcc34d11975f74d61598733f");
    }

    #[test]
    fn other_names_are_not_service_ids() {
        let simple = UUID.replace('-', "");
        let names =
            ["", "alice", &simple, &format!("{{{UUID}}}"), &format!("ACI:{UUID}"), &format!("pni:{UUID}")];
        for name in names {
            assert_eq!(address(name).service_id(), None, "{name}");
        }
    }

    #[test]
    fn a_pair_needs_two_service_ids() {
        let pair = Address::pair(&address(UUID), &address(UUID)).unwrap();
        assert_eq!(pair[17], 3);
        assert_eq!(pair[35], 3);
        assert_eq!(Address::pair(&address(UUID), &address("bob")), None);
    }
}

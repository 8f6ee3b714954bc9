//! Identifiers: who, where, which.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// Bytes or text that are not an identifier of the expected form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid identifier")]
pub struct InvalidId;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 16]);

        impl $name {
            /// From the 16 bytes of the UUID.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// From a byte string that must be 16 bytes long.
            ///
            /// # Errors
            /// [`InvalidId`] for any other length.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, InvalidId> {
                bytes.try_into().map(Self).map_err(|_| InvalidId)
            }

            /// The 16 bytes of the UUID.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// The 16 bytes, as a protobuf field.
            pub fn to_wire(self) -> bytes::Bytes {
                bytes::Bytes::copy_from_slice(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Uuid::from_bytes(self.0).hyphenated().fmt(f)
            }
        }

        /// Four hex digits: enough to tell two apart in a log, not enough to name one.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let [a, b, ..] = self.0;
                write!(f, concat!(stringify!($name), "({:02x}{:02x}..)"), a, b)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::try_parse(text).map(|id| Self(id.into_bytes())).map_err(|_| InvalidId)
            }
        }
    };
}

uuid_id! {
    /// An account. Random, made by the relay.
    UserId
}
uuid_id! {
    /// What people talk in. Random, made by the relay.
    ThreadId
}
uuid_id! {
    /// One message, for ever: a UUIDv7 on server time, made by the sender before the first attempt.
    ClientMsgId
}

impl ClientMsgId {
    /// A UUIDv7 (RFC 9562, section 5.7) of a server time in milliseconds and 10 random bytes.
    pub const fn new(server_time_ms: u64, random: &[u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(server_time_ms, random).into_uuid().into_bytes())
    }

    /// The server time inside, in milliseconds.
    ///
    /// # Errors
    /// [`InvalidId`] when the id is not a UUIDv7.
    pub fn time_ms(&self) -> Result<u64, InvalidId> {
        let id = Uuid::from_bytes(self.0);
        if id.get_version_num() != 7 || id.get_variant() != uuid::Variant::RFC4122 {
            return Err(InvalidId);
        }
        let [a, b, c, d, e, f, ..] = self.0;
        Ok(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }
}

/// One installation of an account, 1 to 127.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId(u8);

impl DeviceId {
    /// The first device of an account.
    pub const PRIMARY: Self = Self(1);

    /// From the number on the wire.
    ///
    /// # Errors
    /// [`InvalidId`] outside 1 to 127.
    pub fn new(id: u32) -> Result<Self, InvalidId> {
        match u8::try_from(id) {
            Ok(id @ 1..=127) => Ok(Self(id)),
            _ => Err(InvalidId),
        }
    }

    /// The number on the wire.
    pub fn get(self) -> u32 {
        u32::from(self.0)
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_msg_id_carries_its_server_time() {
        let id = ClientMsgId::new(1_764_000_000_123, &[0xff; 10]);
        assert_eq!(id.time_ms(), Ok(1_764_000_000_123));
        assert_eq!(id.to_string().parse::<ClientMsgId>(), Ok(id));
    }

    #[test]
    fn a_random_uuid_is_not_a_client_msg_id() {
        assert_eq!(ClientMsgId::from_bytes([0x44; 16]).time_ms(), Err(InvalidId));
    }

    #[test]
    fn device_ids_are_1_to_127() {
        for bad in [0, 128, 255, 256, u32::MAX] {
            assert_eq!(DeviceId::new(bad), Err(InvalidId));
        }
        assert_eq!(DeviceId::new(127).unwrap().get(), 127);
    }

    #[test]
    fn debug_does_not_name_the_user() {
        let id = UserId::from_bytes([0xab; 16]);
        assert_eq!(format!("{id:?}"), "UserId(abab..)");
    }
}

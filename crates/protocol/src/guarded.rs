//! Protobuf messages that hold secrets.

use bytes::Bytes;
use zeroize::Zeroizing;

/// A stored form to decode. Prost copies the bytes of a field twice, and nobody would wipe the first copy; out of this
/// one it takes shares instead, and all of it is wiped with the last of them.
pub(crate) fn shared(bytes: &[u8]) -> Bytes {
    Bytes::from_owner(Zeroizing::new(bytes.to_vec()))
}

/// For the messages of a stored form: secret fields are wiped with the message, and none of it is
/// printable. They derive neither `Clone` nor `==`: a copy would be one to wipe, a comparison one that takes its time.
macro_rules! guarded {
    ($($name:ident: $($secret:ident),*;)*) => {$(
        impl Drop for $name {
            fn drop(&mut self) {
                $(zeroize::Zeroize::zeroize(&mut self.$secret);)*
            }
        }
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

pub(crate) use guarded;

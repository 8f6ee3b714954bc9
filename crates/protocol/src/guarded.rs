//! Protobuf messages that hold secrets.

use bytes::Bytes;
use zeroize::optimization_barrier;

/// A stored form to decode. Prost copies the bytes of a field twice, and nobody would wipe the first copy; out of this
/// one it takes shares instead, and all of it is wiped with the last of them.
pub(crate) fn shared(bytes: &[u8]) -> Bytes {
    wiped(bytes.to_vec())
}

/// The bytes, in a buffer that is wiped with the last share of it.
pub(crate) fn wiped(bytes: Vec<u8>) -> Bytes {
    Bytes::from_owner(Wiped(bytes))
}

/// As `Zeroizing`, but wiped as fast as memory can be: with one `memset` that the compiler must not leave out, instead of
/// byte by byte. What lies behind the last byte is not wiped, so that the vector must never have shrunk.
struct Wiped(Vec<u8>);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        self.0.fill(0);
        optimization_barrier(self.0.as_slice());
    }
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

//! Protobuf messages that hold secrets.

use bytes::Bytes;

use crate::primitives::secret::wipe;

/// A stored form to decode. Prost copies the bytes of a field twice, and nobody would wipe the first copy; out of this
/// one it takes shares instead, and all of it is wiped with the last of them.
pub(crate) fn shared(bytes: &[u8]) -> Bytes {
    wiped(bytes.to_vec())
}

/// The bytes, in a buffer that is wiped with the last share of it.
pub(crate) fn wiped(bytes: Vec<u8>) -> Bytes {
    Bytes::from_owner(Wiped(bytes))
}

/// A field that is wiped.
pub(crate) trait Wipe {
    /// Wipes all of its buffer, also what lies behind the last byte.
    fn wipe_all(&mut self);
}

impl Wipe for Vec<u8> {
    fn wipe_all(&mut self) {
        let capacity = self.capacity();
        self.clear();
        self.resize(capacity, 0);
        wipe(self);
    }
}

impl Wipe for Option<Vec<u8>> {
    fn wipe_all(&mut self) {
        self.iter_mut().for_each(Wipe::wipe_all);
    }
}

/// Copies of secrets, for the fields of a form: shares of one such buffer.
pub(crate) fn copies<'a>(secrets: impl Iterator<Item = &'a [u8; 32]> + Clone) -> impl Iterator<Item = Bytes> {
    // Room for all from the start: a reallocation would leave copies behind.
    let mut all = Vec::with_capacity(secrets.clone().count().saturating_mul(32));
    secrets.for_each(|secret| all.extend_from_slice(secret));
    let mut rest = wiped(all);
    std::iter::from_fn(move || (rest.len() >= 32).then(|| rest.split_to(32)))
}

struct Wiped(Vec<u8>);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        self.0.wipe_all();
    }
}

/// For the messages of a stored form: secret fields are wiped with the message, and none of it is
/// printable. They derive neither `Clone` nor `==`: a copy would be one to wipe, a comparison one that takes its time.
macro_rules! guarded {
    ($($name:ident: $($secret:ident),*;)*) => {$(
        impl Drop for $name {
            fn drop(&mut self) {
                $($crate::guarded::Wipe::wipe_all(&mut self.$secret);)*
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

//! Protobuf messages that hold secrets.

/// For the messages of a stored form: secret fields are wiped with the message, and none of it is printable.
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

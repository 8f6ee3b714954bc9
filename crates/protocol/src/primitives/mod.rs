//! The cryptographic primitives, each behind a type of our own. No other folder names a cryptographic crate.

pub(crate) mod cbc;
pub(crate) mod cipher;
#[cfg(test)]
mod client_formats;
pub(crate) mod gcm_siv;
mod hmac;
pub(crate) mod hpke;
pub(crate) mod kdf;
pub(crate) mod kem;
pub(crate) mod known_keys;
pub(crate) mod mlkem;
pub(crate) mod secret;
pub(crate) mod stream;
pub(crate) mod x25519;
pub(crate) mod xeddsa;

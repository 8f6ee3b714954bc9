//! Names that other people have chosen.

use sealpost_core as core;

use crate::Result;

/// A name as it can be shown, in one line: without control characters, characters that change the direction of text, and invisible ones;
/// with at most three accents or other marks on a character, and at most 80 characters. Empty if nothing is left; then show something
/// else, such as the user id. Profiles, contact cards and lists of threads have names in this form; use it for names from elsewhere.
#[uniffi::export]
pub fn displayable_name(name: String) -> Result<String> {
    Ok(core::displayable_name(&name))
}

//! A person says something about themselves.

use super::Applying;
use crate::content::Revised;
use crate::error::Result;
use crate::store::Tx;

pub(super) fn apply(tx: &mut Tx<'_>, applying: &Applying, profile: &Revised) -> Result<()> {
    tx.set_profile(applying.origin.author, profile).map(drop)
}

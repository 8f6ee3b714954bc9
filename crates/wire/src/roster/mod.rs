//! The roster of a group: who is a member, with which rights, as a chain of entries that members sign.
//!
//! Client and relay share this code, so that an honest relay refuses exactly what the devices would not accept. Signatures are not
//! verified here, as the relay links no protocol code. The forms are defined in `docs/wire.md` ("Groups").
//!
//! [`Entry`] is one entry in its only form. [`Roster`] is the state after an entry: [`Roster::judge`] says what a further entry changes, as an
//! [`Effect`] that names the rows, or why it is refused, and [`Roster::take`] applies it.

mod author_list;
mod change;
mod device_set;
mod draft;
mod effect;
mod entry;
mod membership;
mod reader;
mod refusal;
mod rules;
mod state;
mod value;

pub use author_list::AuthorList;
pub use change::{Change, Create, Invitation, NewSecret};
pub use device_set::DeviceSet;
pub use effect::Effect;
pub use entry::{Author, Entry, HASH, SIGNATURE, UnsignedEntry};
pub use membership::Roster;
pub use reader::FormError;
pub use refusal::{ChainError, Refusal};
pub use state::{Invited, Member, State};
pub use value::{ACCOUNT_KEY, AccountKey, Details, InviteLink, Permissions, Role, Who};

#[cfg(test)]
mod tests;

//! A contact card: how to reach a person.

use std::fmt;

use super::{ContentError, of, proto};
use crate::id::UserId;

/// Maximum size of each field of a contact card, in bytes of UTF-8.
pub const MAX_CARD_FIELD: usize = 256;

/// How to reach a person. Each text has at most [`MAX_CARD_FIELD`] bytes of UTF-8, and is what the sender states: nothing of it is
/// verified.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ContactCard {
    /// The name; not empty.
    pub name: String,
    /// The account of the person, if it is known.
    pub user: Option<UserId>,
    /// A phone number; empty if there is none.
    pub phone: String,
    /// An e-mail address; empty if there is none.
    pub email: String,
}

impl ContactCard {
    /// Whether it can be sent.
    pub(crate) fn is_valid(&self) -> bool {
        let fits = |field: &String| field.len() <= MAX_CARD_FIELD;
        !self.name.trim().is_empty() && [&self.name, &self.phone, &self.email].into_iter().all(fits)
    }
}

/// Contains nothing about the person, so that it cannot end up in a log.
impl fmt::Debug for ContactCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContactCard(..)")
    }
}

/// A contact card in a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contact {
    pub(crate) card: ContactCard,
    pub(crate) is_forwarded: bool,
}

impl Contact {
    pub(super) fn write(&self) -> proto::Content {
        let ContactCard { name, user, phone, email } = self.card.clone();
        let user = user.map(|user| user.as_bytes().to_vec()).unwrap_or_default();
        let card = proto::ContactCard { name, user, phone, email };
        proto::Content { forwarded: self.is_forwarded, ..of(proto::content::Body::ContactCard(card)) }
    }

    /// # Errors
    /// [`ContentError::Malformed`] without a name, for a field that is too long, or for the id of a user of another length.
    pub(super) fn read(card: proto::ContactCard, is_forwarded: bool) -> Result<Self, ContentError> {
        let proto::ContactCard { name, user, phone, email } = card;
        let user = match user.as_slice() {
            [] => None,
            user => Some(UserId::from_slice(user).map_err(|_| ContentError::Malformed)?),
        };
        let card = ContactCard { name, user, phone, email };
        if card.is_valid() { Ok(Self { card, is_forwarded }) } else { Err(ContentError::Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_of_a_card_is_checked() {
        let text = |length| "a".repeat(length);
        let good =
            proto::ContactCard { name: text(256), user: vec![1; 16], phone: text(256), email: text(256) };
        assert!(Contact::read(good.clone(), true).is_ok());
        let without_user = proto::ContactCard { user: Vec::new(), ..good.clone() };
        assert_eq!(Contact::read(without_user, false).unwrap().card.user, None);
        for bad in [
            proto::ContactCard { name: text(257), ..good.clone() },
            proto::ContactCard { name: " ".to_owned(), ..good.clone() },
            proto::ContactCard { user: vec![1; 15], ..good.clone() },
            proto::ContactCard { phone: text(257), ..good.clone() },
            proto::ContactCard { email: text(257), ..good.clone() },
        ] {
            assert!(Contact::read(bad, false).is_err());
        }
    }
}

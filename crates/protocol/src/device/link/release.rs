//! The last message: the person has confirmed, or refused.

use zeroize::Zeroizing;

use super::{LinkCode, LinkError, LinkKeys, Offer, RELEASE, message_key};
use crate::device::{SignedDeviceList, VerifiedDeviceList};
use crate::error::{DecodeError, NotAuthentic};
use crate::primitives::gcm_siv;
use crate::primitives::secret::Secret;

const REFUSED: u8 = 0;
const LINKED: u8 = 1;

/// What the person has decided at the primary device.
#[derive(Debug)]
pub enum Release {
    /// The companion is on this list.
    Linked(VerifiedDeviceList),
    /// It is not linked.
    Refused,
}

impl Release {
    /// Encrypts it for the companion with this code, and the offer that was made with `seed`. The same release has always the same bytes.
    pub fn seal(&self, code: &LinkCode, seed: &Secret<32>) -> Option<Vec<u8>> {
        let plaintext = Zeroizing::new(match self {
            Self::Refused => vec![REFUSED],
            Self::Linked(list) => [&[LINKED], list.serialize().as_slice()].concat(),
        });
        gcm_siv::seal(message_key(&code.secret, seed, RELEASE), &plaintext)
    }

    /// Opens it, and checks that the companion with these keys is on the list, that the account is the one of the offer, and that the list is
    /// later than the one in the offer.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn open(keys: &LinkKeys, offer: &Offer, sealed: &[u8]) -> Result<Self, LinkError> {
        let opened = gcm_siv::open(message_key(&keys.code.secret, &offer.seed, RELEASE), sealed);
        let opened = opened.map_err(|NotAuthentic| LinkError::NotAuthentic)?;
        match opened.split_first() {
            Some((&REFUSED, [])) => Ok(Self::Refused),
            Some((&LINKED, list)) => {
                let list = SignedDeviceList::parse(list)?.verify(&offer.user)?;
                let is_ours = |entry: &crate::device::DeviceEntry| {
                    let is_key = entry.identity == *keys.identity.public();
                    entry.device == offer.device && is_key && !entry.is_primary
                };
                let is_later = list.version() > offer.list.version();
                let is_account = list.account_key() == offer.list.account_key();
                if is_account && is_later && list.devices().iter().any(is_ours) {
                    Ok(Self::Linked(list))
                } else {
                    Err(LinkError::OtherList)
                }
            }
            _ => Err(DecodeError::Malformed.into()),
        }
    }
}

//! Limits on the bytes that one sender, and all senders together, deliver into the mailboxes of a user.
//!
//! Bytes are charged when they are stored. A message that is refused, or was stored before, costs nothing, and one
//! whose sender no longer waits for the answer costs the same. Before that, a sender may have in flight what the
//! other limits allow.

use std::time::Duration;

use sealpost_wire::id::UserId;
use sealpost_wire::limits::ROW_BYTES;

use super::buckets::Key;
use super::limiter::Limiter;
use super::table::Name;
use super::{OverLimit, Wait};

/// What a message delivered to a user, in all mailboxes of their devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inbound {
    /// The owner of the mailboxes.
    pub recipient: UserId,
    /// The size of the rows, as it is counted for the mailbox.
    pub bytes: u64,
    /// Whether the recipient has accepted the thread. Deliveries by strangers are limited elsewhere, and do not reduce
    /// what others may deliver.
    pub accepted: bool,
}

impl Limiter {
    /// Admits a message from one user to another.
    ///
    /// A sender whose share is not used up is accepted, however much others send to this recipient. Therefore no user
    /// can block another one's messages, and only a sender who has sent much can learn how much the recipient receives.
    ///
    /// # Errors
    /// [`OverLimit`]
    pub fn inbound(&self, sender: UserId, recipient: UserId, now: Duration) -> Result<Wait, OverLimit> {
        if sender == recipient {
            return Ok(Wait::NONE);
        }
        let pair = Key::SenderAndRecipient(sender, recipient);
        let wait = self.admit(Name::PairBytes, pair, 0, now)?;
        if self.find(Name::ShareBytes).is_some() && self.admit(Name::ShareBytes, pair, 0, now).is_ok() {
            return Ok(wait);
        }
        Ok(wait.max(self.admit(Name::RecipientBytes, Key::User(recipient), 0, now)?))
    }

    /// Charges ephemeral mail for one device of the recipient, with the same overhead as a row. Mail for the sender's own
    /// devices is charged to the sender only.
    ///
    /// # Errors
    /// [`OverLimit`]
    pub fn ephemeral(
        &self,
        sender: UserId,
        recipient: UserId,
        ciphertext: usize,
        now: Duration,
    ) -> Result<(), OverLimit> {
        if sender == recipient {
            return Ok(());
        }
        let bytes = u64::try_from(ciphertext).unwrap_or(u64::MAX).saturating_add(ROW_BYTES);
        self.admit(Name::EphemeralBytes, Key::SenderAndRecipient(sender, recipient), bytes, now).map(drop)
    }

    /// Charges a stored message of this user. Copies for the sender's own devices are charged to the sender only.
    pub fn delivered(&self, sender: UserId, inbound: &[Inbound], now: Duration) {
        for Inbound { recipient, bytes, accepted } in inbound.iter().filter(|one| one.recipient != sender) {
            let pair = Key::SenderAndRecipient(sender, *recipient);
            self.charge(Name::PairBytes, pair, *bytes, now);
            self.charge(Name::ShareBytes, pair, *bytes, now);
            if *accepted {
                self.charge(Name::RecipientBytes, Key::User(*recipient), *bytes, now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::{Limits, TABLE};
    use super::*;

    const NOW: Duration = Duration::from_secs(1_000);
    const MIB: u64 = 1 << 20;

    fn user(n: u16) -> UserId {
        let mut id = [7; 16];
        id[..2].copy_from_slice(&n.to_be_bytes());
        UserId::from_bytes(id)
    }

    fn deliver(limiter: &Limiter, sender: UserId, recipient: UserId, bytes: u64, accepted: bool) {
        limiter.delivered(sender, &[Inbound { recipient, bytes, accepted }], NOW);
    }

    fn retry_after(answer: Result<Wait, OverLimit>) -> Option<Duration> {
        match answer {
            Err(OverLimit { retry_after_ms }) => Some(Duration::from_millis(retry_after_ms.into())),
            _ => None,
        }
    }

    #[test]
    fn a_sender_is_slowed_and_then_refused_for_this_recipient_only() {
        let (limiter, ada, ben) = (Limiter::default(), user(1), user(2));
        deliver(&limiter, ada, ben, 64 * MIB, true);
        assert_eq!(limiter.inbound(ada, ben, NOW), Ok(Wait::NONE));
        // A quarter of a MiB is refilled in a second.
        deliver(&limiter, ada, ben, MIB / 8, true);
        assert_eq!(limiter.inbound(ada, ben, NOW), Ok(Wait(Duration::from_millis(500))));
        deliver(&limiter, ada, ben, MIB, true);
        let wait = retry_after(limiter.inbound(ada, ben, NOW)).unwrap();
        assert_eq!(wait, Duration::from_millis(3_500));
        assert_eq!(limiter.inbound(ada, user(3), NOW), Ok(Wait::NONE));
        assert_eq!(limiter.inbound(user(3), ben, NOW), Ok(Wait::NONE));
        // A sender that waits as long as it was told is admitted, slowly, and nothing was lost meanwhile.
        assert_eq!(limiter.inbound(ada, ben, NOW + wait), Ok(Wait(Duration::from_secs(1))));
    }

    #[test]
    fn heavy_senders_share_the_limit_of_the_recipient_and_light_senders_are_accepted() {
        let (limiter, ben) = (Limiter::default(), user(0));
        for n in 1..=9 {
            deliver(&limiter, user(n), ben, 16 * MIB, true);
        }
        for n in 1..=9 {
            // 16 MiB too much, refilled at one in a second; a wait of one second is allowed.
            assert_eq!(retry_after(limiter.inbound(user(n), ben, NOW)), Some(Duration::from_secs(15)));
            assert_eq!(
                limiter.inbound(user(n), user(99), NOW),
                Ok(Wait::NONE),
                "other recipients are not affected"
            );
        }
        let light = user(10);
        deliver(&limiter, light, ben, MIB, true);
        assert_eq!(limiter.inbound(light, ben, NOW), Ok(Wait::NONE));
        deliver(&limiter, light, ben, MIB / 1024, true);
        assert!(limiter.inbound(light, ben, NOW).is_err(), "its share is used up");
        // The share of a light sender is refilled slowly, so that many of them cannot circumvent the limit.
        assert!(limiter.inbound(light, ben, NOW + Duration::from_millis(200)).is_err());
        assert_eq!(limiter.inbound(light, ben, NOW + Duration::from_millis(250)), Ok(Wait::NONE));
    }

    #[test]
    fn strangers_and_own_devices_do_not_use_the_limit_of_the_recipient() {
        let (limiter, ben) = (Limiter::default(), user(0));
        for n in 1..=1_000 {
            deliver(&limiter, user(n), ben, MIB / 4, false);
        }
        deliver(&limiter, ben, ben, 1_024 * MIB, true);
        assert_eq!(limiter.inbound(ben, ben, NOW), Ok(Wait::NONE));
        let heavy = user(1_001);
        deliver(&limiter, heavy, ben, 60 * MIB, true);
        assert_eq!(limiter.inbound(heavy, ben, NOW), Ok(Wait::NONE));
    }

    #[test]
    fn an_unset_limit_accepts_everything() {
        let ben = user(0);
        for name in [Name::PairBytes, Name::RecipientBytes] {
            let mut limits = Limits::none();
            limits.set(name, TABLE.iter().find(|row| row.name == name).map(|row| row.rate));
            let limiter = Limiter::new(limits);
            deliver(&limiter, user(1), ben, 256 * MIB, true);
            assert!(limiter.inbound(user(1), ben, NOW).is_err());
            assert_eq!(limiter.inbound(user(1), user(2), NOW), Ok(Wait::NONE));
        }
        let limiter = Limiter::new(Limits::none());
        deliver(&limiter, user(1), ben, 256 * MIB, true);
        assert_eq!(limiter.inbound(user(1), ben, NOW), Ok(Wait::NONE));
    }
}

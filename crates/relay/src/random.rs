//! Random values: ids that cannot be guessed, and the secrets of refresh tokens.

use rand::CryptoRng;
use uuid::Uuid;
use zeroize::Zeroizing;

/// A UUIDv4 (RFC 9562, section 5.4) for a user, a thread, a token family or a connection.
pub(crate) fn id() -> Uuid {
    draw_id(&mut rand::rng())
}

/// A secret of 256 bits.
pub(crate) fn secret() -> Box<Zeroizing<[u8; 32]>> {
    draw_secret(&mut rand::rng())
}

fn draw_id(rng: &mut impl CryptoRng) -> Uuid {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

fn draw_secret(rng: &mut impl CryptoRng) -> Box<Zeroizing<[u8; 32]>> {
    let mut secret = Box::new(Zeroizing::new([0; 32]));
    rng.fill_bytes(&mut **secret);
    secret
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    /// The bits that are set in some of the values and not in others.
    fn varying<const N: usize>(values: &BTreeSet<[u8; N]>) -> [u8; N] {
        let (mut every, mut any) = ([0xff; N], [0; N]);
        for value in values {
            for (place, byte) in value.iter().enumerate() {
                every[place] &= byte;
                any[place] |= byte;
            }
        }
        std::array::from_fn(|place| any[place] & !every[place])
    }

    #[test]
    fn ids_and_secrets_come_from_the_generator() {
        let rng = |seed| StdRng::seed_from_u64(seed);
        assert_eq!(draw_id(&mut rng(1)), draw_id(&mut rng(1)));
        assert_ne!(draw_id(&mut rng(1)), draw_id(&mut rng(2)));
        assert_eq!(draw_secret(&mut rng(1)), draw_secret(&mut rng(1)));
        assert_ne!(draw_secret(&mut rng(1)), draw_secret(&mut rng(2)));
        let same = &mut rng(1);
        assert_ne!(draw_id(same), draw_id(same));
        assert_ne!(draw_secret(same), draw_secret(same));
    }

    /// This fails by chance once in 2^91 runs.
    #[test]
    fn ids_and_secrets_differ_in_every_bit() {
        let ids: BTreeSet<_> = (0..100).map(|_| id().into_bytes()).collect();
        assert_eq!(ids.len(), 100);
        let mut all_but_the_version = [0xff; 16];
        (all_but_the_version[6], all_but_the_version[8]) = (0x0f, 0x3f);
        assert_eq!(varying(&ids), all_but_the_version);
        assert!(ids.iter().all(|id| Uuid::from_bytes(*id).get_version_num() == 4));

        let secrets: BTreeSet<[u8; 32]> = (0..100).map(|_| **secret()).collect();
        assert_eq!(secrets.len(), 100);
        assert_eq!(varying(&secrets), [0xff; 32]);
    }
}

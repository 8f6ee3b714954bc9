//! The position of a message in its thread.

use std::fmt;
use std::str::FromStr;

use crate::id::InvalidId;

/// The position of a message in its thread. Of two messages, the one with the greater position is shown below the
/// other; no two have the same position. When the relay assigns a sequence number to a message, its position changes,
/// which is reported. A position has no meaning in another thread or on another device.
///
/// As text, it has 32 characters, which sort in the same order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    pub(crate) order: i64,
    pub(crate) id: i64,
}

impl Position {
    /// Before every possible message.
    pub(crate) const FIRST: Self = Self { order: i64::MIN, id: i64::MIN };
    /// After every possible message.
    pub(crate) const LAST: Self = Self { order: i64::MAX, id: i64::MAX };
}

/// Makes negative numbers sort first as text, too.
const SIGN: u64 = 1 << 63;

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { order, id } = self;
        write!(f, "{:016x}{:016x}", order.cast_unsigned() ^ SIGN, id.cast_unsigned() ^ SIGN)
    }
}

impl FromStr for Position {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let (order, id) = text.split_at_checked(16).ok_or(InvalidId)?;
        let number = |digits: &str| {
            let is_ours =
                digits.len() == 16 && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
            if !is_ours {
                return Err(InvalidId);
            }
            u64::from_str_radix(digits, 16).map(|number| (number ^ SIGN).cast_signed()).map_err(|_| InvalidId)
        };
        Ok(Self { order: number(order)?, id: number(id)? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn positions_keep_their_order_as_text(order: [i64; 2], id: [i64; 2]) {
            let [a, b] = [0, 1].map(|n| Position { order: order[n], id: id[n] });
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
            prop_assert_eq!(a.to_string().parse(), Ok(a));
        }
    }

    #[test]
    fn other_texts_are_not_positions() {
        let good = Position::FIRST.to_string();
        assert_eq!(good.parse(), Ok(Position::FIRST));
        for bad in [
            "",
            "0",
            &good[1..],
            &format!("{good}0"),
            &good.replace('0', "A"),
            &good.replace('0', "+"),
            &"é".repeat(16),
        ] {
            assert_eq!(bad.parse::<Position>(), Err(InvalidId), "{bad}");
        }
    }
}

//! Contacts, and how far the person trusts their identity.

pub(crate) mod devices;
pub(crate) mod named_lists;

use std::sync::Arc;

use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory as Category;
use sealpost_protocol::{Party, SafetyNumber};

use crate::context::Context;
use crate::error::{Error, Result};
use crate::id::UserId;
use crate::message::FailReason;
use crate::store::{Rows, TrustState};

/// The number of digits in a safety number, plus one to detect longer input.
const MAX_DIGITS: usize = 61;
/// The only dash that is a symbol in Unicode.
const MINUS: char = '\u{2212}';

/// The safety number with a user: 60 digits, the same on both sides. It is computed from the account keys, so it does not change
/// with the devices of either side.
pub(crate) async fn safety_number(ctx: &Context, user: UserId) -> Result<String> {
    ctx.store.read(move |rows| number(rows, user)).await
}

/// How far the person trusts a user.
pub(crate) async fn trust(ctx: &Context, user: UserId) -> Result<TrustState> {
    ctx.store.read(move |rows| rows.trust(user)?.ok_or(Error::NotFound)).await
}

/// Records that the person has compared this safety number, and that both sides saw the same, however it is written
/// ([`digits`]). It is checked again here, because it may have changed in the meantime.
pub(crate) async fn verify(ctx: &Context, user: UserId, compared: String) -> Result<bool> {
    let work = ctx.store.write(move |tx| {
        let same = digits(&compared).as_ref() == Some(&number(tx, user)?);
        if same {
            tx.set_trust(user, TrustState::Verified)?;
        }
        Ok(same)
    });
    let same = work.await?;
    // It was not sent while a change was not accepted.
    ctx.upkeep.news.notify_one();
    Ok(same)
}

/// Records that the person accepts a changed identity without comparing it.
pub(crate) async fn accept(ctx: &Context, user: UserId) -> Result<()> {
    let work = ctx.store.write(move |tx| match tx.trust(user)?.ok_or(Error::NotFound)? {
        TrustState::ChangedSinceVerified => tx.set_trust(user, TrustState::FirstUse),
        // There is nothing to accept, and a comparison remains valid.
        TrustState::FirstUse | TrustState::Verified => Ok(()),
    });
    work.await?;
    ctx.upkeep.news.notify_one();
    Ok(())
}

/// Blocks a user, or ends that.
pub(crate) async fn set_blocked(ctx: &Context, user: UserId, is_blocked: bool) -> Result<()> {
    let now_ms = ctx.server_now_ms();
    let handover = Arc::clone(&ctx.handover);
    let work = ctx.store.write(move |tx| {
        // Before the commit: what is submitted afterwards has asked for the block.
        handover.note_block();
        tx.set_blocked(user, is_blocked, now_ms)
    });
    if work.await? {
        ctx.upkeep.to_accept.notify_one();
        // What has changed or waited during a block is sent after it.
        ctx.upkeep.news.notify_one();
        ctx.outbox.notify_one();
    }
    Ok(())
}

/// Whether anything may be sealed for this user.
pub(crate) fn check(rows: &Rows<'_>, user: UserId) -> Result<Result<(), FailReason>> {
    Ok(match rows.trust(user)? {
        Some(TrustState::ChangedSinceVerified) => Err(FailReason::IdentityChanged),
        _ => Ok(()),
    })
}

/// The digits of a number as a person writes it: in any script, with any spaces, line breaks, dashes and invisible
/// marks between them. `None` if there is anything else.
fn digits(text: &str) -> Option<String> {
    let categories = CodePointMapData::<Category>::new();
    let mut digits = String::new();
    for character in text.chars() {
        match categories.get(character) {
            Category::DecimalNumber if digits.len() < MAX_DIGITS => digits.push(value(character)?),
            Category::DashPunctuation
            | Category::Format
            | Category::SpaceSeparator
            | Category::LineSeparator
            | Category::ParagraphSeparator => {}
            _ if character.is_whitespace() || character == MINUS => {}
            _ => return None,
        }
    }
    Some(digits)
}

/// The ASCII digit of the same value. In Unicode, the decimal digits of a script are consecutive from 0 to 9 (The
/// Unicode Standard, 4.6), in some scripts in several sequences one after the other.
fn value(digit: char) -> Option<char> {
    let categories = CodePointMapData::<Category>::new();
    let before = (1..).map_while(|distance| {
        let before = u32::from(digit).checked_sub(distance)?;
        (categories.get32(before) == Category::DecimalNumber).then_some(())
    });
    char::from_digit(u32::try_from(before.count()).ok()?.checked_rem(10)?, 10)
}

fn number(rows: &Rows<'_>, user: UserId) -> Result<String> {
    let (_, us) = rows.our_account()?;
    if us.user == user {
        return Err(Error::Misuse("the safety number with oneself"));
    }
    let theirs = rows.account_key_of(user)?.ok_or(Error::NotFound)?;
    let ours = rows.our_account_key(us.user)?;
    let number = SafetyNumber::new(
        Party { stable_id: us.user.as_bytes(), key: ours.as_identity() },
        Party { stable_id: user.as_bytes(), key: theirs.as_identity() },
    );
    Ok(number.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn digits_of_every_script_have_their_values() {
        for zero in ['0', '٠', '۰', '߀', '०', '๐', '０', '𝟎', '𝟘', '𝟢', '𝟬', '𝟶', '🯰']
        {
            let row: String = (0..10).map(|n| char::from_u32(u32::from(zero) + n).unwrap()).collect();
            assert_eq!(digits(&row).as_deref(), Some("0123456789"), "{zero}");
        }
    }

    /// Checks the assumption of `value` for all of Unicode.
    #[test]
    fn the_digits_of_a_script_are_consecutive() {
        let categories = CodePointMapData::<Category>::new();
        let mut row = 0;
        for code in 0..=0x11_0000 {
            if categories.get32(code) == Category::DecimalNumber {
                row += 1;
            } else {
                assert_eq!(row % 10, 0, "before {code:x}");
                row = 0;
            }
        }
    }

    #[test]
    fn separators_are_ignored_and_other_characters_are_refused() {
        for text in [
            "12345 67890",
            "12345-67890",
            " 12345\n67890\r\n",
            "1 2 3 4 5 – 6 7 8 9 0",
            "\u{200f}12345\u{2009}67890\u{feff}",
            "12345−67890",
        ] {
            assert_eq!(digits(text).as_deref(), Some("1234567890"), "{text:?}");
        }
        for text in [
            "12345.67890",
            "12345,67890",
            "1234567890x",
            "①②",
            "½",
            "x²",
            "五",
            "Ⅴ",
            "+12345",
            "12345_67890",
            "12345\u{0}",
        ] {
            assert_eq!(digits(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn sixty_digits_are_found_in_any_notation(
            number in "[0-9]{60}",
            between in proptest::collection::vec("[ \\n\u{a0}\u{2013}-]{0,3}", 60),
            zeros in proptest::collection::vec(proptest::sample::select(vec!['0', '٠', '०', '０']), 60),
        ) {
            let mut written = String::new();
            for ((digit, zero), between) in number.chars().zip(zeros).zip(between) {
                let mut row = zero..=char::MAX;
                written.extend(row.nth(digit.to_digit(10).unwrap() as usize));
                written.push_str(&between);
            }
            prop_assert_eq!(digits(&written), Some(number.clone()));
            // One more is another number.
            let longer = digits(&format!("{written}7"));
            prop_assert_eq!(longer.map(|digits| digits.len()), Some(61));
        }
    }
}

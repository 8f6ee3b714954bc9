//! Local times and days.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Zoned};

/// The time zone of the person, and what day it is.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    zone: TimeZone,
    now_ms: u64,
}

impl Clock {
    /// The clock and the time zone of the system.
    pub(crate) fn system() -> Self {
        Self { zone: TimeZone::system(), now_ms: system_ms() }
    }

    #[cfg(test)]
    pub(crate) fn at(now_ms: u64, hours_east: i8) -> Self {
        Self { zone: TimeZone::fixed(jiff::tz::offset(hours_east)), now_ms }
    }

    /// Goes on to the system's present time. Returns true if another day has begun.
    pub(crate) fn advance(&mut self, now_ms: u64) -> bool {
        let before = self.today();
        self.now_ms = now_ms;
        self.today() != before
    }

    /// The present time.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Hours and minutes.
    pub(crate) fn time(&self, ms: u64) -> String {
        self.zoned(ms).strftime("%H:%M").to_string()
    }

    /// The day of a time.
    pub(crate) fn day(&self, ms: u64) -> Date {
        self.zoned(ms).date()
    }

    /// How a person calls a day.
    pub(crate) fn day_name(&self, day: Date) -> String {
        let today = self.today();
        if day == today {
            "Today".to_owned()
        } else if today.checked_sub(1.day()).is_ok_and(|yesterday| day == yesterday) {
            "Yesterday".to_owned()
        } else if day.year() == today.year() {
            day.strftime("%A, %-d %B").to_string()
        } else {
            day.strftime("%A, %-d %B %Y").to_string()
        }
    }

    /// The time of a message of today, otherwise its day, in a few characters.
    pub(crate) fn short(&self, ms: u64) -> String {
        let zoned = self.zoned(ms);
        let (day, today) = (zoned.date(), self.today());
        if day == today {
            zoned.strftime("%H:%M").to_string()
        } else if day.year() == today.year() {
            day.strftime("%-d %b").to_string()
        } else {
            day.strftime("%Y").to_string()
        }
    }

    /// Day and time, to the second.
    pub(crate) fn full(&self, ms: u64) -> String {
        self.zoned(ms).strftime("%-d %b %Y, %H:%M:%S").to_string()
    }

    fn today(&self) -> Date {
        self.day(self.now_ms)
    }

    /// A time that no calendar knows is shown as the start of 1970.
    fn zoned(&self, ms: u64) -> Zoned {
        let time = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        time.unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(self.zone.clone())
    }
}

/// The system's time in milliseconds since the Unix epoch.
pub(crate) fn system_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;
    /// Monday, 24 November 2025, 16:00 UTC.
    const MONDAY: u64 = 1_764_000_000_000;

    #[test]
    fn times_are_local() {
        assert_eq!(Clock::at(MONDAY, 0).time(MONDAY), "16:00");
        assert_eq!(Clock::at(MONDAY, 9).time(MONDAY), "01:00");
        assert_eq!(Clock::at(MONDAY, 9).full(MONDAY), "25 Nov 2025, 01:00:00");
        assert_eq!(Clock::at(MONDAY, 9).day_name(Clock::at(MONDAY, 9).day(MONDAY)), "Today");
    }

    #[test]
    fn days_have_the_names_that_people_use() {
        let clock = Clock::at(MONDAY, 0);
        let name = |hours: u64| clock.day_name(clock.day(MONDAY - hours * HOUR));
        assert_eq!(name(16), "Today");
        assert_eq!(name(17), "Yesterday");
        assert_eq!(name(48), "Saturday, 22 November");
        assert_eq!(name(400 * 24), "Sunday, 20 October 2024");
        assert_eq!(clock.short(MONDAY), "16:00");
        assert_eq!(clock.short(MONDAY - 48 * HOUR), "22 Nov");
        assert_eq!(clock.short(MONDAY - 400 * 24 * HOUR), "2024");
    }

    #[test]
    fn impossible_times_are_shown() {
        let clock = Clock::at(u64::MAX, 0);
        assert_eq!(clock.time(u64::MAX), "00:00");
    }

    #[test]
    fn the_clock_notices_a_new_day() {
        let mut clock = Clock::at(MONDAY, 0);
        assert!(!clock.advance(MONDAY + HOUR));
        assert!(clock.advance(MONDAY + 8 * HOUR));
    }
}
